//! One call of a service: the caller's registers, and the machine.

use crate::platform::{Number, Platform, Registers};

/// The carry and zero flags.
const CF: u32 = 1 << 0;
const ZF: u32 = 1 << 6;

/// A call. What it leaves in `regs` goes back to the caller.
pub(crate) struct Call<'a> {
    pub regs: Registers,
    pub io: &'a mut dyn Platform,
}

impl Call<'_> {
    /// Answers our own ROM code, which looks at the carry flag.
    pub fn answer(&mut self, carry: bool) {
        self.answer_flags(carry, false);
    }

    /// Answers our own ROM code by carry and zero flag.
    pub fn answer_flags(&mut self, carry: bool, zero: bool) {
        set(&mut self.regs.eflags, CF, carry);
        set(&mut self.regs.eflags, ZF, zero);
    }

    /// The carry flag at the call.
    pub fn carry(&self) -> bool {
        self.regs.eflags & CF != 0
    }

    /// Where an INT has put the caller's FLAGS.
    fn caller_flags_at(&self) -> u32 {
        self.regs.ss.at(self.regs.sp().wrapping_add(4).into())
    }

    fn change_caller_flag(&mut self, flag: u32, on: bool) {
        let at = self.caller_flags_at();
        let mut flags = u32::from(self.io.get::<u16>(at));
        set(&mut flags, flag, on);
        self.io.put(at, flags as u16);
    }

    /// Sets the carry flag of the program that executed INT.
    pub fn return_carry(&mut self, on: bool) {
        self.change_caller_flag(CF, on);
    }

    /// Sets the zero flag of the program that executed INT.
    pub fn return_zero(&mut self, on: bool) {
        self.change_caller_flag(ZF, on);
    }

    /// The linear address of `offset` in ES.
    pub fn es_at(&self, offset: u16) -> u32 {
        self.regs.es.at(offset.into())
    }

    /// The linear address of `offset` in DS.
    pub fn ds_at(&self, offset: u16) -> u32 {
        self.regs.ds.at(offset.into())
    }

    pub fn get<T: Number>(&mut self, at: u32) -> T {
        self.io.get(at)
    }

    pub fn put<T: Number>(&mut self, at: u32, value: T) {
        self.io.put(at, value);
    }
}

fn set(flags: &mut u32, flag: u32, on: bool) {
    *flags = if on { *flags | flag } else { *flags & !flag };
}

/// The linear address of a far pointer as memory holds it.
pub(crate) const fn far(pointer: u32) -> u32 {
    (pointer >> 16 << 4) + (pointer & 0xFFFF)
}
