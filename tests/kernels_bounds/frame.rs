//! Buffers that notice what a kernel does outside of them, and calls that are made twice.

use inkstone::error::ShapeError;
use inkstone::kernels::{Isa, f16};
use proptest::prelude::*;
use std::ops::{Deref, DerefMut};

/// What buffers hold.
pub(crate) trait Element: Copy + 'static {
    /// What lies around a buffer, and in one that is yet to be written: another value in each of the two calls.
    const GUARDS: [Self; 2];
    /// A value for an input, from random bits.
    fn of(random: u64) -> Self;
    /// The element as bits: comparisons of floats know no NaN.
    fn bits(self) -> u64;
}

impl Element for f32 {
    const GUARDS: [Self; 2] = [f32::from_bits(0x7fc0_dead), f32::MAX];
    fn of(random: u64) -> Self {
        (random >> 40) as f32 / (1 << 22) as f32 - 2.0
    }
    fn bits(self) -> u64 {
        self.to_bits().into()
    }
}

impl Element for f16 {
    const GUARDS: [Self; 2] = [f16::NAN, f16::MAX];
    fn of(random: u64) -> Self {
        f16::from_f32(f32::of(random))
    }
    fn bits(self) -> u64 {
        self.to_bits().into()
    }
}

impl Element for i8 {
    const GUARDS: [Self; 2] = [0x5a, -128];
    fn of(random: u64) -> Self {
        (random >> 40) as i8
    }
    fn bits(self) -> u64 {
        self as u64
    }
}

impl Element for u8 {
    const GUARDS: [Self; 2] = [0x5a, 0xff];
    fn of(random: u64) -> Self {
        (random >> 40) as u8
    }
    fn bits(self) -> u64 {
        self.into()
    }
}

impl Element for i32 {
    const GUARDS: [Self; 2] = [0x5a5a_5a5a, i32::MIN];
    fn of(random: u64) -> Self {
        (random >> 32) as i32
    }
    fn bits(self) -> u64 {
        self as u64
    }
}

impl Element for u32 {
    const GUARDS: [Self; 2] = [0x5a5a_5a5a, u32::MAX];
    fn of(random: u64) -> Self {
        (random >> 32) as u32
    }
    fn bits(self) -> u64 {
        self.into()
    }
}

impl Element for u64 {
    const GUARDS: [Self; 2] = [0x5a5a_5a5a_5a5a_5a5a, u64::MAX];
    fn of(random: u64) -> Self {
        random
    }
    fn bits(self) -> u64 {
        self
    }
}

/// What a kernel may do with a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Read it.
    In,
    /// Write all of it.
    Out,
    /// Read and write it.
    InOut,
    /// Leave anything in it, after an error too.
    Scratch,
}

/// Which lengths of a buffer are legal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    /// The one that is asked for.
    Exact,
    /// No shorter ones.
    AtLeast,
    /// Whatever the test says by [`Frame::expect`].
    Any,
}

/// How a buffer gets a wrong length.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    Empty,
    Short,
    Long,
}

/// How the buffers of a call lie in memory, what is in them, and which one, if any, has a wrong length.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// Guard elements before each buffer: the same number of elements shifts it against the registers.
    front: usize,
    /// Whether its end is the end of its allocation, where a sanitizer sees reads as well.
    end: bool,
    fault: Option<(usize, Fault)>,
    seed: u64,
}

/// Guard elements behind a buffer: more than a register.
const BACK: usize = 20;

pub(crate) fn plans() -> impl Strategy<Value = Plan> {
    let fault = (0..7usize, prop_oneof![Just(Fault::Empty), Just(Fault::Short), Just(Fault::Long)]);
    (0..=19usize, any::<bool>(), prop::option::weighted(0.3, fault), any::<u64>())
        .prop_map(|(front, end, fault, seed)| Plan { front, end, fault, seed })
}

/// One call: hands out its buffers, in the same order both times, and looks at them afterwards.
pub(crate) struct Frame {
    plan: Plan,
    /// Which of the two calls it is.
    turn: usize,
    handed: usize,
    /// Whether the call must succeed, if that is known.
    expected: Option<bool>,
}

/// What came of a call: its error, or the bits of all outputs; or else what it did that it must not.
pub(crate) type Outcome = Result<Result<Vec<u64>, ShapeError>, String>;

impl Frame {
    /// Any buffer.
    pub(crate) fn buffer<T: Element>(&mut self, role: Role, fit: Fit, len: usize) -> Buffer<T> {
        let wrong = match self.plan.fault {
            Some((at, Fault::Empty)) if at == self.handed => 0,
            Some((at, Fault::Short)) if at == self.handed => len.saturating_sub(1),
            Some((at, Fault::Long)) if at == self.handed => len + 1,
            _ => len,
        };
        if wrong < len && fit != Fit::Any || wrong > len && fit == Fit::Exact {
            self.expected = Some(false);
        }
        let mut random = self.plan.seed.wrapping_add((self.handed as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        self.handed += 1;
        let guard = T::GUARDS[self.turn];
        let (from, back) = (self.plan.front, if self.plan.end { 0 } else { BACK });
        let all: Box<[T]> = (0..from + wrong + back)
            .map(|i| {
                if !(from..from + wrong).contains(&i) || matches!(role, Role::Out | Role::Scratch) {
                    return guard;
                }
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                T::of(random)
            })
            .collect();
        let used = if fit == Fit::AtLeast { len } else { wrong };
        Buffer { role, before: all.clone(), all, from, len: wrong, used, row: (1, 1) }
    }

    pub(crate) fn input<T: Element>(&mut self, len: usize) -> Buffer<T> {
        self.buffer(Role::In, Fit::Exact, len)
    }

    pub(crate) fn output<T: Element>(&mut self, len: usize) -> Buffer<T> {
        self.buffer(Role::Out, Fit::Exact, len)
    }

    pub(crate) fn in_out<T: Element>(&mut self, len: usize) -> Buffer<T> {
        self.buffer(Role::InOut, Fit::Exact, len)
    }

    pub(crate) fn scratch<T: Element>(&mut self, len: usize) -> Buffer<T> {
        self.buffer(Role::Scratch, Fit::AtLeast, len)
    }

    /// Says whether the call must succeed, if its buffers do not say so; `None` if it may do either.
    pub(crate) fn expect(&mut self, success: Option<bool>) {
        self.expected = success;
    }

    /// The call must fail, whatever its buffers are.
    pub(crate) fn refuse_if(&mut self, wrong: bool) {
        if wrong {
            self.expected = Some(false);
        }
    }

    /// Whether the call must fail for what is known so far.
    pub(crate) fn is_refused(&self) -> bool {
        self.expected == Some(false)
    }

    /// Looks at all buffers, in the order in which they were handed out.
    pub(crate) fn close(self, result: Result<(), ShapeError>, buffers: &[&dyn Kept]) -> Outcome {
        assert_eq!(buffers.len(), self.handed, "every buffer is looked at");
        if self.expected.is_some_and(|expected| expected != result.is_ok()) {
            return Err(format!("the call returned {result:?}"));
        }
        let mut outputs = Vec::new();
        for (i, buffer) in buffers.iter().enumerate() {
            buffer.look(result.is_ok(), &mut outputs).map_err(|problem| format!("buffer {i}: {problem}"))?;
        }
        Ok(result.map(|()| outputs))
    }
}

/// A slice between guard elements, or up to the very end of its allocation.
pub(crate) struct Buffer<T> {
    role: Role,
    all: Box<[T]>,
    before: Box<[T]>,
    from: usize,
    len: usize,
    /// Elements that may be written, if it is no scratch.
    used: usize,
    /// Elements of a row that count, and from one row to the next.
    row: (usize, usize),
}

impl<T> Buffer<T> {
    /// Rows of `cols` elements, `stride` apart: what lies between them is not to be written.
    pub(crate) fn rows(mut self, cols: usize, stride: usize) -> Self {
        self.row = (cols, stride.max(1));
        self
    }

    /// The same elements, changed before the call.
    pub(crate) fn map(mut self, change: impl Fn(usize, T) -> T) -> Self
    where
        T: Copy,
    {
        for i in 0..self.len {
            self.all[self.from + i] = change(i, self.all[self.from + i]);
        }
        self.before.copy_from_slice(&self.all);
        self
    }
}

impl<T> Deref for Buffer<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.all[self.from..][..self.len]
    }
}

impl<T> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.all[self.from..][..self.len]
    }
}

/// A [`Buffer`] of any elements.
pub(crate) trait Kept {
    /// What changed that must not. Appends what a call that succeeded wrote.
    fn look(&self, success: bool, outputs: &mut Vec<u64>) -> Result<(), String>;
}

impl<T: Element> Kept for Buffer<T> {
    fn look(&self, success: bool, outputs: &mut Vec<u64>) -> Result<(), String> {
        let writes = match self.role {
            Role::In => false,
            Role::Out | Role::InOut => success,
            Role::Scratch => true,
        };
        for (i, (now, before)) in self.all.iter().zip(&self.before).enumerate() {
            let at = i as isize - self.from as isize;
            let inside = (0..self.len as isize).contains(&at);
            if inside && self.role == Role::Scratch {
                continue;
            }
            if writes && inside && (at as usize) < self.used && at as usize % self.row.1 < self.row.0 {
                outputs.push(now.bits());
                continue;
            }
            if now.bits() != before.bits() {
                let (role, len) = (self.role, self.len);
                return Err(format!("{role:?} of {len}, element {at} was {:#x}, is {:#x}", before.bits(), now.bits()));
            }
        }
        Ok(())
    }
}

/// Makes the same call twice, in other places of memory, between other guards and over other leftovers: what comes out must be the same.
/// So an element that is not written shows, and so does a result into which something went that is no input.
pub(crate) fn twice(plan: &Plan, call: impl Fn(Frame) -> Outcome) {
    if let Err(problem) = compared(plan, call) {
        panic!("{problem}");
    }
}

fn compared(plan: &Plan, call: impl Fn(Frame) -> Outcome) -> Result<(), String> {
    let first = call(Frame { plan: *plan, turn: 0, handed: 0, expected: Some(true) })?;
    let plan = Plan { front: (plan.front * 7 + 3) % 20, end: !plan.end, ..*plan };
    let second = call(Frame { plan, turn: 1, handed: 0, expected: Some(true) })?;
    if first == second { Ok(()) } else { Err(format!("the same call twice: {first:x?} and {second:x?}")) }
}

/// [`twice`] on every instruction set of this machine.
pub(crate) fn on_every_isa(plan: &Plan, call: impl Fn(Isa, Frame) -> Outcome) {
    for isa in Isa::available() {
        twice(plan, |frame| call(isa, frame));
    }
}

/// `cases` of each property, or as many as `PROPTEST_CASES` says.
pub(crate) fn cases(cases: u32) -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig { cases: asked.unwrap_or(cases), failure_persistence: None, ..ProptestConfig::default() }
}

/// A check that cannot fail is none: each of these calls does one thing that none may do.
#[test]
fn a_call_that_breaks_a_rule_is_noticed() {
    let plan = Plan { front: 3, end: false, fault: None, seed: 1 };
    type Call<'a> = &'a dyn Fn(&mut Buffer<f32>, &mut Buffer<f32>) -> Result<(), ShapeError>;
    let notices = |what: &str, plan: Plan, call: Call<'_>| {
        let problem = compared(&plan, |mut frame| {
            let (mut x, mut out) = (frame.input(5), frame.output(5));
            let result = call(&mut x, &mut out);
            frame.close(result, &[&x, &out])
        });
        assert_eq!(problem.is_err(), what != "nothing", "{what}: {problem:?}");
    };
    let copy = |x: &mut Buffer<f32>, out: &mut Buffer<f32>| {
        if x.len() != out.len() {
            return Err(ShapeError::Overflow);
        }
        out.copy_from_slice(x);
        Ok(())
    };
    notices("nothing", plan, &copy);
    notices("nothing", Plan { fault: Some((1, Fault::Short)), ..plan }, &copy);
    for (what, place) in [("a write before the output", 2), ("a write behind the output", 8)] {
        notices(what, plan, &|x, out| {
            out.all[place] = 0.0;
            copy(x, out)
        });
    }
    notices("an element left as it was", plan, &|x, out| {
        out[..4].copy_from_slice(&x[..4]);
        Ok(())
    });
    notices("a changed input", plan, &|x, out| {
        copy(x, out)?;
        x[0] += 1.0;
        Ok(())
    });
    notices("a read before the input", plan, &|x, out| {
        copy(x, out)?;
        out[0] += x.all[2];
        Ok(())
    });
    notices("an error for nothing", plan, &|_, _| Err(ShapeError::Overflow));
    notices("an output begun before an error", Plan { fault: Some((0, Fault::Long)), ..plan }, &|_, out| {
        out[0] = 0.0;
        Err(ShapeError::Overflow)
    });
    let short = Plan { fault: Some((0, Fault::Empty)), ..plan };
    notices("a wrong length that is taken", short, &|_, out| {
        out.fill(0.0);
        Ok(())
    });
}
