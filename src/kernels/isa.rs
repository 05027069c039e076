//! Which instruction sets this machine has, and how work gets to run on one of them.

#[cfg(target_arch = "x86_64")]
use super::arch::Avx2;
use super::arch::{Baseline, Scalar};
use super::simd::{Kernel, Simd};
use core::fmt;

/// An instruction set that this machine has. A value can only come from detection, so it proves that its instructions exist.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Isa(Token);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Token {
    Scalar(Scalar),
    Baseline(Baseline),
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
}

/// Names that [`Isa::from_name`] knows on any machine, slowest first.
pub const ISA_NAMES: [&str; 3] = ["scalar", "baseline", "avx2"];

/// Why an instruction set cannot be forced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IsaError {
    /// No instruction set has this name.
    Unknown,
    /// The name is known, but this machine lacks the instructions.
    Missing(&'static str),
}

impl fmt::Display for IsaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => write!(f, "no such instruction set; known are {}", Joined(&ISA_NAMES)),
            Self::Missing(name) => write!(f, "this machine lacks the instruction set {name}"),
        }
    }
}

impl core::error::Error for IsaError {}

/// Names with commas between them.
struct Joined<'a>(&'a [&'a str]);

impl fmt::Display for Joined<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, name) in self.0.iter().enumerate() {
            write!(f, "{}{name}", if i == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

impl Isa {
    /// Plain scalar code, one element at a time: every machine has it.
    pub const SCALAR: Self = Self(Token::Scalar(Scalar));
    /// What the compilation target guarantees (SSE2, NEON, simd128), by way of the crate `wide`.
    pub const BASELINE: Self = Self(Token::Baseline(Baseline));

    /// The fastest instruction set of this machine.
    #[inline]
    #[must_use]
    pub fn best() -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(avx2) = Avx2::detect() {
            return Self(Token::Avx2(avx2));
        }
        Self::BASELINE
    }

    /// Every instruction set of this machine, slowest first.
    pub fn available() -> impl Iterator<Item = Self> {
        let known: [Option<Self>; 3] = [
            Some(Self::SCALAR),
            Some(Self::BASELINE),
            #[cfg(target_arch = "x86_64")]
            Avx2::detect().map(|avx2| Self(Token::Avx2(avx2))),
            #[cfg(not(target_arch = "x86_64"))]
            None,
        ];
        known.into_iter().flatten()
    }

    /// The instruction set called `name` (one of [`ISA_NAMES`]).
    ///
    /// # Errors
    /// [`IsaError::Unknown`] for another name, [`IsaError::Missing`] if this machine lacks it: never a silent substitute.
    pub fn from_name(name: &str) -> Result<Self, IsaError> {
        let known = ISA_NAMES.iter().find(|known| **known == name).ok_or(IsaError::Unknown)?;
        Self::available().find(|isa| isa.name() == name).ok_or(IsaError::Missing(known))
    }

    /// Its name, as `--isa` takes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self.0 {
            Token::Scalar(_) => ISA_NAMES[0],
            Token::Baseline(_) => ISA_NAMES[1],
            #[cfg(target_arch = "x86_64")]
            Token::Avx2(_) => ISA_NAMES[2],
        }
    }

    /// Floats in one of its registers.
    #[must_use]
    pub const fn lanes(self) -> usize {
        match self.0 {
            Token::Scalar(_) => Scalar::LANES,
            Token::Baseline(_) => Baseline::LANES,
            #[cfg(target_arch = "x86_64")]
            Token::Avx2(_) => Avx2::LANES,
        }
    }

    /// Runs `kernel` compiled for this instruction set, in a function of its own: inlined, every caller would hold a copy.
    #[inline(always)] // a match and a call: small products would feel one more
    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        match self.0 {
            Token::Scalar(scalar) => scalar.outline(kernel),
            Token::Baseline(baseline) => baseline.outline(kernel),
            #[cfg(target_arch = "x86_64")]
            Token::Avx2(avx2) => avx2.run(kernel),
        }
    }
}

impl fmt::Debug for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    #[test]
    fn every_available_isa_is_found_by_its_name_and_best_is_the_last() {
        let mut last = None;
        for isa in Isa::available() {
            std::println!("isa {isa}: {} lanes", isa.lanes());
            assert_eq!(Isa::from_name(isa.name()), Ok(isa));
            last = Some(isa);
        }
        assert_eq!(last, Some(Isa::best()));
        assert_eq!(Isa::from_name("mmx"), Err(IsaError::Unknown));
    }
}
