//! The ROM's code in the making: what its entry points have in common.

use crate::bios::traps::{Trap, call};
use iced_x86::IcedError;
use iced_x86::code_asm::*;

/// The code in the making, and routines that it calls.
pub(super) struct Code {
    pub(super) asm: CodeAssembler,
    /// Prints the text that a service has prepared, by INT 10h. All registers stay.
    pub(super) print: CodeLabel,
    pub(super) post: CodeLabel,
    pub(super) boot_next: CodeLabel,
}

impl Code {
    pub(super) fn new() -> Result<Self, IcedError> {
        let mut asm = CodeAssembler::new(16)?;
        let [print, post, boot_next] = std::array::from_fn(|_| asm.create_label());
        Ok(Code { asm, print, post, boot_next })
    }

    pub(super) fn trap(&mut self, trap: Trap) -> Result<(), IcedError> {
        call(&mut self.asm, trap)
    }

    /// An interrupt service without more.
    pub(super) fn service(&mut self, trap: Trap) -> Result<(), IcedError> {
        self.trap(trap)?;
        self.asm.iret()
    }

    pub(super) fn far_service(&mut self, trap: Trap) -> Result<(), IcedError> {
        self.trap(trap)?;
        self.asm.retf()
    }

    /// A service whose caller may have to wait: interrupts come through until `again` says that it is done.
    pub(super) fn waiting_service(&mut self, trap: Trap, again: Trap) -> Result<(), IcedError> {
        let (mut wait, mut done) = (self.asm.create_label(), self.asm.create_label());
        self.trap(trap)?;
        self.asm.jnc(done)?;
        self.asm.set_label(&mut wait)?;
        self.asm.sti()?;
        // Behind this, interrupts come through.
        self.asm.nop()?;
        self.trap(again)?;
        self.asm.jc(wait)?;
        self.asm.set_label(&mut done)?;
        self.asm.iret()
    }

    /// A hardware interrupt that is served by a call and ends.
    pub(super) fn irq(&mut self, trap: Trap, slave: bool) -> Result<(), IcedError> {
        self.trap(trap)?;
        self.asm.push(ax)?;
        self.end_of_interrupt(slave)?;
        self.asm.pop(ax)?;
        self.asm.iret()
    }

    /// Acknowledges the interrupt to its controllers. Changes AL.
    pub(super) fn end_of_interrupt(&mut self, slave: bool) -> Result<(), IcedError> {
        let a = &mut self.asm;
        a.mov(al, 0x20)?;
        if slave {
            a.out(0xA0, al)?;
        }
        a.out(0x20, al)
    }

    pub(super) fn print_routine(&mut self) -> Result<(), IcedError> {
        let mut done = self.asm.create_label();
        let mut again = self.asm.create_label();
        let mut label = self.print;
        self.asm.set_label(&mut label)?;
        self.asm.push(ax)?;
        self.asm.push(bx)?;
        self.asm.set_label(&mut again)?;
        self.trap(Trap::NextCharacter)?;
        let a = &mut self.asm;
        a.jc(done)?;
        // Some display ROMs change BP when they scroll.
        a.push(bp)?;
        a.int(0x10)?;
        a.pop(bp)?;
        a.jmp(again)?;
        a.set_label(&mut done)?;
        a.pop(bx)?;
        a.pop(ax)?;
        a.ret()
    }
}
