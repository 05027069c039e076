//! What the programs here share: the way out of the chip, a clock that counts instructions, how deep the stack has been, and a tally of digits.

#![no_std]

pub mod host;
pub mod stack;
pub mod tally;
pub mod timer;
