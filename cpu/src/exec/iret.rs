//! IRET: return from interrupts, to the same or an outer level, to virtual-8086 mode, and from nested tasks.
//!
//! SDM Vol. 2A, "IRET/IRETD".

use crate::bus::Biu;
use crate::cpu::Cpu;
use crate::decode::insn::{Handler, Insn};
use crate::event::exception::{Fault, Outcome};
use crate::event::task::Switch;
use crate::state::control::cr4;
use crate::state::descriptor::{Kind, Selector};
use crate::state::eflags::bit;
use crate::state::gpr::{self, Word};
use crate::state::segment::{SegReg, Segment};
use iced_x86::{Code, Instruction};

/// The flags that every IRET loads.
const ALWAYS: u32 = bit::ARITHMETIC | bit::TF | bit::DF | bit::NT;
/// The flags that IRETD loads besides.
const ALWAYS_WIDE: u32 = bit::RF | bit::AC | bit::ID;

/// The handler of `i`, if it belongs to this family.
pub fn select(i: &Instruction) -> Option<Handler> {
    Some(match i.code() {
        Code::Iretw => iret::<u16>,
        Code::Iretd => iret::<u32>,
        _ => return None,
    })
}

fn iret<T: Word>(cpu: &mut Cpu, biu: &mut Biu, _: &Insn) -> Outcome {
    // NMIs are let in even if the instruction then faults. SDM Vol. 3A, "Handling Multiple NMIs".
    cpu.nmi_blocked = false;
    cpu.attention = true;
    if cpu.real_mode() {
        return cpu.iret_real::<T>(biu);
    }
    if cpu.v8086() {
        return cpu.iret_v86::<T>(biu);
    }
    if cpu.eflags.has(bit::NT) {
        return cpu.iret_task(biu);
    }
    cpu.iret_protected::<T>(biu)
}

/// What IRET finds on the stack.
struct Popped {
    offset: u64,
    selector: u16,
    flags: u32,
}

impl Cpu {
    fn peek_interrupt_frame<T: Word>(&mut self, biu: &mut Biu) -> Outcome<Popped> {
        let size = T::BYTES as u64;
        Ok(Popped {
            offset: self.stack_item::<T>(biu, 0)?,
            selector: self.stack_item::<T>(biu, size)? as u16,
            flags: self.stack_item::<T>(biu, 2 * size)? as u32,
        })
    }

    /// Replaces the flags of `mask` by those of `image`.
    pub(super) fn merge_flags(&mut self, image: u32, mask: u32) {
        self.set_eflags(self.eflags.bits() & !mask | image & mask);
    }

    /// Takes the frame off a stack that uses real-mode segments, and goes to where it leads.
    fn return_real<T: Word>(&mut self, popped: &Popped) -> Outcome {
        if popped.offset > self.seg[SegReg::Cs as usize].limit as u64 {
            return Err(Fault::GP0);
        }
        self.load_code_real(popped.selector, popped.offset);
        self.release_stack(3 * T::BYTES as u64);
        Ok(())
    }

    fn iret_real<T: Word>(&mut self, biu: &mut Biu) -> Outcome {
        let popped = self.peek_interrupt_frame::<T>(biu)?;
        self.return_real::<T>(&popped)?;
        let mask = ALWAYS | bit::IF | bit::IOPL | if T::BYTES == 4 { ALWAYS_WIDE } else { 0 };
        self.merge_flags(popped.flags, mask);
        Ok(())
    }

    fn iret_v86<T: Word>(&mut self, biu: &mut Biu) -> Outcome {
        let wide = T::BYTES == 4;
        if self.eflags.iopl() == 3 {
            let popped = self.peek_interrupt_frame::<T>(biu)?;
            self.return_real::<T>(&popped)?;
            let mask = ALWAYS | bit::IF | if wide { ALWAYS_WIDE } else { 0 };
            self.merge_flags(popped.flags, mask);
            return Ok(());
        }
        if wide || self.cr4 & cr4::VME == 0 {
            return Err(Fault::GP0);
        }
        let popped = self.peek_interrupt_frame::<T>(biu)?;
        let image = self.virtual_flags_to_load(popped.flags)?;
        self.return_real::<T>(&popped)?;
        self.merge_flags(image, ALWAYS | bit::VIF);
        Ok(())
    }

    /// The 16-bit flags that IRET or POPF loads in virtual-8086 mode with the extensions on and IOPL below 3: IF
    /// becomes VIF. #GP(0) where the monitor has to step in. SDM Vol. 2A, "IRET/IRETD"; Vol. 2B, "POPF".
    pub(super) fn virtual_flags_to_load(&self, popped: u32) -> Outcome<u32> {
        let enables_pending = popped & bit::IF != 0 && self.eflags.has(bit::VIP);
        if enables_pending || popped & bit::TF != 0 {
            return Err(Fault::GP0);
        }
        Ok(popped & 0xFFFF | if popped & bit::IF != 0 { bit::VIF } else { 0 })
    }

    fn iret_task(&mut self, biu: &mut Biu) -> Outcome {
        let link = Selector(self.read_system(biu, self.tr.base)?);
        if link.is_local() {
            return Err(Fault::ts(link.0));
        }
        let tss = self.need_descriptor(biu, link, Fault::ts)?;
        let rights = tss.descriptor.access();
        if !matches!(rights.describes(), Kind::Tss { busy: true, .. }) {
            return Err(Fault::ts(link.0));
        }
        if !rights.present() {
            return Err(Fault::np(link.0));
        }
        let old_flags = self.eflags.bits() & !bit::NT;
        if let Some(fault) = self.switch_task(biu, tss, Switch::Return, old_flags, None)? {
            self.deliver_fault(biu, fault);
        }
        Ok(())
    }

    fn iret_protected<T: Word>(&mut self, biu: &mut Biu) -> Outcome {
        let wide = T::BYTES == 4;
        let popped = self.peek_interrupt_frame::<T>(biu)?;
        if wide && popped.flags & bit::VM != 0 && self.cpl == 0 {
            return self.iret_to_v86(biu, popped);
        }
        let selector = Selector(popped.selector);
        let code = self.return_target(biu, selector)?;
        // Which flags may change is decided by the privilege of the code that returns.
        let mut mask = ALWAYS;
        if wide {
            mask |= ALWAYS_WIDE;
        }
        if self.cpl <= self.eflags.iopl() {
            mask |= bit::IF;
        }
        if self.cpl == 0 {
            mask |= bit::IOPL | if wide { bit::VIF | bit::VIP } else { 0 };
        }
        if selector.rpl() > self.cpl {
            self.return_outer::<T>(biu, code, popped.offset, 3 * T::BYTES as u64)?;
        } else {
            if popped.offset > code.descriptor.limit() as u64 {
                return Err(Fault::GP0);
            }
            self.seg[SegReg::Cs as usize] = code.descriptor.segment(selector.0);
            self.rip = popped.offset;
            self.release_stack(3 * T::BYTES as u64);
        }
        self.merge_flags(popped.flags, mask);
        Ok(())
    }

    fn iret_to_v86(&mut self, biu: &mut Biu, popped: Popped) -> Outcome {
        // Above EIP, CS and EFLAGS: ESP, SS, ES, DS, FS, GS.
        let mut rest = [0; 6];
        for (n, v) in rest.iter_mut().enumerate() {
            *v = self.stack_item::<u32>(biu, 12 + n as u64 * 4)? as u32;
        }
        if popped.offset > 0xFFFF {
            return Err(Fault::GP0);
        }
        let [sp, ss, es, ds, fs, gs] = rest;
        self.seg = [es, popped.selector as u32, ss, ds, fs, gs].map(|s| Segment::v86(s as u16));
        self.gpr.set(gpr::SP, sp);
        self.rip = popped.offset;
        self.cpl = 3;
        self.set_eflags(popped.flags);
        Ok(())
    }
}
