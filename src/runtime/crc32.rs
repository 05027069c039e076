//! The checksum of images: CRC-32 as gzip and PNG have it (reflected polynomial `0xEDB88320`, all ones before and after), by a table of 16
//! words instead of the usual kilobytes.

/// The remainders of all values of four bits.
const TABLE: [u32; 16] = {
    let mut table = [0; 16];
    let mut i = 0;
    while i < 16 {
        let (mut word, mut bit) = (i as u32, 0);
        while bit < 4 {
            word = if word & 1 == 1 { word >> 1 ^ 0xedb8_8320 } else { word >> 1 };
            bit += 1;
        }
        table[i] = word;
        i += 1;
    }
    table
};

/// A checksum of bytes that come in pieces.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crc32(u32);

impl Crc32 {
    /// Of no byte yet.
    pub(crate) const NEW: Self = Self(!0);

    /// With these bytes after the others.
    #[must_use]
    pub(crate) fn with(self, bytes: &[u8]) -> Self {
        let mut sum = self.0;
        for byte in bytes {
            sum ^= u32::from(*byte);
            sum = sum >> 4 ^ TABLE[(sum & 15) as usize];
            sum = sum >> 4 ^ TABLE[(sum & 15) as usize];
        }
        Self(sum)
    }

    /// The checksum of all of them.
    pub(crate) const fn value(self) -> u32 {
        !self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check value of the catalogue of CRC algorithms, and no bytes.
    #[test]
    fn it_is_the_usual_one() {
        assert_eq!(Crc32::NEW.with(b"123456789").value(), 0xcbf4_3926);
        assert_eq!(Crc32::NEW.with(b"1234").with(b"").with(b"56789").value(), 0xcbf4_3926);
        assert_eq!(Crc32::NEW.value(), 0);
    }
}
