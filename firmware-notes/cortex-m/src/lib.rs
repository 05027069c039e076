//! What the programs here share: the way out of the chip, a clock that counts instructions, and how deep the stack has been.

#![no_std]

pub mod host;
pub mod stack;
pub mod timer;
