//! How sizes are cut: into even parts, and rows into even panels.

/// `len` cut into as few parts as possible of at most `most`, all but the last of the size returned: a multiple of `unit`, as
/// `most` is. Uncut where one of them is 0.
pub(crate) const fn even(len: usize, most: usize, unit: usize) -> usize {
    if most == 0 || unit == 0 {
        return len;
    }
    let parts = len.div_ceil(most);
    if parts == 0 { 0 } else { len.div_ceil(parts).next_multiple_of(unit) }
}

/// `rows` rows cut into panels of at most `most`, as even as possible: 200 by 6 is 30 panels of 6 and 4 of 5, never 33 and a 2.
#[derive(Clone, Copy)]
pub(crate) struct Panels {
    pub(crate) count: usize,
    low: usize,
    pub(crate) taller: usize, // the first panels have one row more
}

impl Panels {
    #[inline(always)]
    pub(crate) const fn of(rows: usize, most: usize) -> Self {
        let count = rows.div_ceil(most);
        if count == 0 {
            return Self { count: 0, low: 0, taller: 0 };
        }
        Self { count, low: rows / count, taller: rows % count }
    }

    /// First row of panel `i`; of `count`, the number of rows.
    #[inline(always)]
    pub(crate) const fn start(&self, i: usize) -> usize {
        i * self.low + if i < self.taller { i } else { self.taller }
    }

    /// Panels `from..to` alone.
    #[inline(always)]
    pub(crate) const fn range(&self, from: usize, to: usize) -> Self {
        let count = to - from;
        let taller = self.taller.saturating_sub(from);
        Self { count, low: self.low, taller: if taller < count { taller } else { count } }
    }

    #[inline(always)]
    pub(crate) const fn height(&self, i: usize) -> usize {
        self.low + (i < self.taller) as usize
    }
}
