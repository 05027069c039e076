//! Which instruction sets this machine has, and how work gets to run on one of them.

#[cfg(inkstone_vectors)]
use super::arch::Baseline;
#[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
use super::arch::Neon;
use super::arch::Scalar;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
use super::arch::Simd128;
#[cfg(target_arch = "x86_64")]
use super::arch::{Avx2, Avx512};
use super::simd::{Kernel, Simd};
use core::fmt;

/// An instruction set that this machine has. A value can only come from detection, so it proves that its instructions exist.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Isa(Token);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Token {
    Scalar(Scalar),
    #[cfg(inkstone_dsp)]
    Dsp(Scalar<true>),
    #[cfg(inkstone_vectors)]
    Baseline(Baseline),
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
    #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
    Neon(Neon<false>),
    #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
    DotProd(Neon<true>),
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    Simd128(Simd128),
}

/// Names that [`Isa::from_name`] knows on any machine, slowest first.
pub const ISA_NAMES: [&str; 8] = ["scalar", "baseline", "avx2", "avx512", "neon", "dotprod", "dsp", "simd128"];

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
    pub const SCALAR: Self = Self(Token::Scalar(Scalar::PLAIN));
    /// What the compilation target guarantees (SSE2, NEON, simd128), by way of the crate `wide`.
    #[cfg(inkstone_vectors)]
    pub const BASELINE: Self = Self(Token::Baseline(Baseline));
    /// What the compilation target guarantees: it has no vectors, so scalar code.
    #[cfg(not(inkstone_vectors))]
    pub const BASELINE: Self = Self::SCALAR;

    /// The fastest instruction set of this machine.
    #[inline]
    #[must_use]
    pub fn best() -> Self {
        Self::detected().into_iter().rev().flatten().next().unwrap_or(Self::BASELINE)
    }

    /// Every instruction set of this machine, slowest first.
    pub fn available() -> impl Iterator<Item = Self> {
        Self::PORTABLE.into_iter().chain(Self::detected().into_iter().flatten())
    }

    /// What every machine has.
    #[cfg(inkstone_vectors)]
    const PORTABLE: [Self; 2] = [Self::SCALAR, Self::BASELINE];
    #[cfg(not(inkstone_vectors))]
    const PORTABLE: [Self; 1] = [Self::SCALAR];

    /// What has to be looked for, slowest first.
    #[cfg(target_arch = "x86_64")]
    #[inline]
    fn detected() -> [Option<Self>; 2] {
        let avx2 = Avx2::detect().map(|avx2| Self(Token::Avx2(avx2)));
        [avx2, Avx512::detect().map(|avx512| Self(Token::Avx512(avx512)))]
    }

    #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
    #[inline]
    fn detected() -> [Option<Self>; 2] {
        let neon = Neon::<false>::detect().map(|neon| Self(Token::Neon(neon)));
        [neon, Neon::<true>::detect().map(|dots| Self(Token::DotProd(dots)))]
    }

    #[cfg(inkstone_dsp)]
    #[inline]
    fn detected() -> [Option<Self>; 1] {
        [Some(Self(Token::Dsp(Scalar::DSP)))]
    }

    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    #[inline]
    fn detected() -> [Option<Self>; 1] {
        [Some(Self(Token::Simd128(Simd128)))]
    }

    #[cfg(not(any(
        target_arch = "x86_64",
        all(target_arch = "aarch64", target_feature = "neon"),
        all(target_arch = "wasm32", target_feature = "simd128"),
        inkstone_dsp
    )))]
    #[inline]
    fn detected() -> [Option<Self>; 0] {
        []
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
            #[cfg(inkstone_dsp)]
            Token::Dsp(_) => ISA_NAMES[6],
            #[cfg(inkstone_vectors)]
            Token::Baseline(_) => ISA_NAMES[1],
            #[cfg(target_arch = "x86_64")]
            Token::Avx2(_) => ISA_NAMES[2],
            #[cfg(target_arch = "x86_64")]
            Token::Avx512(_) => ISA_NAMES[3],
            #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
            Token::Neon(_) => ISA_NAMES[4],
            #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
            Token::DotProd(_) => ISA_NAMES[5],
            #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
            Token::Simd128(_) => ISA_NAMES[7],
        }
    }

    /// Floats in one of its registers.
    #[must_use]
    pub const fn lanes(self) -> usize {
        match self.0 {
            Token::Scalar(_) => Scalar::<false>::LANES,
            #[cfg(inkstone_dsp)]
            Token::Dsp(_) => Scalar::<true>::LANES,
            #[cfg(inkstone_vectors)]
            Token::Baseline(_) => Baseline::LANES,
            #[cfg(target_arch = "x86_64")]
            Token::Avx2(_) => Avx2::LANES,
            #[cfg(target_arch = "x86_64")]
            Token::Avx512(_) => Avx512::LANES,
            #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
            Token::Neon(_) | Token::DotProd(_) => Neon::<false>::LANES,
            #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
            Token::Simd128(_) => Simd128::LANES,
        }
    }

    /// The set for work that has `channels` of an image side by side in a register: one of half as many lanes, where the registers of this one
    /// would be half empty. An EPYC of the fourth generation, which computes sixteen lanes as two times eight, infers a batch of 100 by
    /// `cnn-8-16` so in 0.84 ms in bytes and 1.32 in floats, and by half-empty registers in 1.33 and 1.84. Machines of full width were
    /// measured only before requantization had a way for parts of registers: AVX2 was the faster one there too.
    #[inline]
    pub(crate) fn for_channels(self, channels: usize) -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Token::Avx512(avx512) = self.0
            && channels <= Avx2::LANES
        {
            return Self(Token::Avx2(avx512.into()));
        }
        let _ = channels;
        self
    }

    /// Runs `kernel` compiled for this instruction set, in a function of its own: inlined, every caller would hold a copy.
    #[inline(always)] // a match and a call: small products would feel one more
    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        match self.0 {
            Token::Scalar(scalar) => scalar.outline(kernel),
            #[cfg(inkstone_dsp)]
            Token::Dsp(dsp) => dsp.outline(kernel),
            #[cfg(inkstone_vectors)]
            Token::Baseline(baseline) => baseline.outline(kernel),
            #[cfg(target_arch = "x86_64")]
            Token::Avx2(avx2) => avx2.run(kernel),
            #[cfg(target_arch = "x86_64")]
            Token::Avx512(avx512) => avx512.run(kernel),
            #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
            Token::Neon(neon) => neon.run(kernel),
            #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
            Token::DotProd(dots) => dots.run(kernel),
            #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
            Token::Simd128(simd128) => simd128.outline(kernel),
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
    fn registers_that_channels_fill_half_are_exchanged_for_narrow_ones() {
        for isa in Isa::available() {
            for channels in [1, 8, 9, 16, 17, 100] {
                let narrow = isa.for_channels(channels);
                let expected = if isa.name() == "avx512" && channels <= 8 { "avx2" } else { isa.name() };
                assert_eq!(narrow.name(), expected, "{channels} channels on {isa}");
            }
        }
    }

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
        // One that is forced and not there is an error, never another one.
        for name in ISA_NAMES.into_iter().filter(|name| Isa::available().all(|isa| isa.name() != *name)) {
            assert_eq!(Isa::from_name(name), Err(IsaError::Missing(name)));
        }
    }
}
