//! Control: FNINIT, FNCLEX, FLDCW, FNSTCW, FNSTSW, FLDENV, FNSTENV, FRSTOR, FNSAVE, FINCSTP, FDECSTP, FFREE, FNOP,
//! WAIT.
//!
//! SDM Vol. 1, "x87 FPU Control Instructions" and "Waiting vs. Non-waiting Instructions". The forms without N are
//! WAIT and another instruction.

use super::image::Layout;
use super::{Handler, Insn, Numeric, numeric};
use crate::bus::Biu;
use crate::cpu::Cpu;
use crate::event::exception::{Fault, Outcome};
use crate::softfloat::F80;
use crate::state::control::cr0;
use crate::state::gpr;
use crate::state::x87::status::{C1, EXCEPTIONS, SF};
use iced_x86::{Instruction, MemorySize, Mnemonic, OpKind};

/// The handler of `i`, if it belongs to this part of the family.
pub fn select(i: &Instruction) -> Option<Handler> {
    use Mnemonic::*;
    let wide = matches!(i.memory_size(), MemorySize::FpuEnv28 | MemorySize::FpuState108);
    let handler: Handler = match i.mnemonic() {
        Wait => wait,
        Fninit => fninit,
        Fnclex => fnclex,
        // The 287's and the 8087's, which later units ignore.
        Fneni | Fndisi | Fnsetpm => ignored,
        Fldcw => fldcw,
        Fnstcw => fnstcw,
        Fnstsw if i.op0_kind() == OpKind::Register => fnstsw_ax,
        Fnstsw => fnstsw,
        Fldenv if wide => fldenv::<true>,
        Fldenv => fldenv::<false>,
        Fnstenv if wide => fnstenv::<true>,
        Fnstenv => fnstenv::<false>,
        Frstor if wide => frstor::<true>,
        Frstor => frstor::<false>,
        Fnsave if wide => fnsave::<true>,
        Fnsave => fnsave::<false>,
        Fnop => numeric::<Nothing>,
        Fincstp => numeric::<Rotate<1>>,
        Fdecstp => numeric::<Rotate<7>>,
        Ffree => numeric::<Free<false>>,
        Ffreep => numeric::<Free<true>>,
        _ => return None,
    };
    Some(handler)
}

/// SDM Vol. 2B, "WAIT/FWAIT": it heeds TS only together with MP, and EM not at all.
fn wait(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    if cpu.cr0 & (cr0::MP | cr0::TS) == cr0::MP | cr0::TS {
        return Err(Fault::NM);
    }
    if cpu.x87.error_pending() {
        cpu.report_x87_error(biu, insn)?;
    }
    Ok(())
}

fn ignored(cpu: &mut Cpu, _: &mut Biu, _: &Insn) -> Outcome {
    cpu.x87_available()
}

fn fninit(cpu: &mut Cpu, biu: &mut Biu, _: &Insn) -> Outcome {
    cpu.x87_available()?;
    cpu.x87.initialize();
    cpu.drive_ferr(biu);
    Ok(())
}

fn fnclex(cpu: &mut Cpu, biu: &mut Biu, _: &Insn) -> Outcome {
    cpu.x87_available()?;
    cpu.x87.status &= !(EXCEPTIONS | SF);
    cpu.drive_ferr(biu);
    Ok(())
}

fn fldcw(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    if cpu.x87_ready(biu, insn)? {
        let control = cpu.read(biu, insn.segment, insn.ea(&cpu.gpr))?;
        cpu.x87.set_control(control);
        // Flags that were set under the mask may be pending now.
        if cpu.x87.status & EXCEPTIONS != 0 {
            cpu.drive_ferr(biu);
        }
    }
    Ok(())
}

fn fnstcw(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    cpu.x87_available()?;
    cpu.write(biu, insn.segment, insn.ea(&cpu.gpr), cpu.x87.control)
}

fn fnstsw(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    cpu.x87_available()?;
    cpu.write(biu, insn.segment, insn.ea(&cpu.gpr), cpu.x87.status_word())
}

fn fnstsw_ax(cpu: &mut Cpu, _: &mut Biu, _: &Insn) -> Outcome {
    cpu.x87_available()?;
    cpu.gpr.set(gpr::AX, cpu.x87.status_word());
    Ok(())
}

/// The address of an image: its alignment is that of its items. SDM Vol. 3A, "Interrupt 17—Alignment Check
/// Exception (#AC)".
fn image_address<const WIDE: bool>(cpu: &Cpu, insn: &Insn) -> Outcome<u64> {
    let ea = insn.ea(&cpu.gpr);
    let linear = cpu.seg[insn.segment as usize].base.wrapping_add(ea);
    cpu.check_alignment(linear, if WIDE { 4 } else { 2 }, cpu.view)?;
    Ok(ea)
}

fn fldenv<const WIDE: bool>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    if cpu.x87_ready(biu, insn)? {
        let layout = Layout::current(cpu, WIDE);
        let mut image = [0; Layout::LARGEST];
        let bytes = &mut image[..layout.bytes()];
        let at = image_address::<WIDE>(cpu, insn)?;
        cpu.read_block(biu, insn.segment, at, bytes)?;
        layout.load(&mut cpu.x87, bytes);
        cpu.drive_ferr(biu);
    }
    Ok(())
}

/// Masks all exceptions behind the image that it stores.
fn fnstenv<const WIDE: bool>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    cpu.x87_available()?;
    let layout = Layout::current(cpu, WIDE);
    let mut image = [0; Layout::LARGEST];
    let bytes = &mut image[..layout.bytes()];
    layout.store(&cpu.x87, bytes);
    let at = image_address::<WIDE>(cpu, insn)?;
    cpu.write_block(biu, insn.segment, at, bytes)?;
    cpu.x87.control |= EXCEPTIONS;
    cpu.drive_ferr(biu);
    Ok(())
}

/// Ten bytes for each register behind the environment.
const REGISTER_BYTES: usize = 10;
const STATE_LARGEST: usize = Layout::LARGEST + 8 * REGISTER_BYTES;

fn frstor<const WIDE: bool>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    if cpu.x87_ready(biu, insn)? {
        let layout = Layout::current(cpu, WIDE);
        let mut image = [0; STATE_LARGEST];
        let bytes = &mut image[..layout.bytes() + 8 * REGISTER_BYTES];
        let at = image_address::<WIDE>(cpu, insn)?;
        cpu.read_block(biu, insn.segment, at, bytes)?;
        let (environment, registers) = bytes.split_at(layout.bytes());
        layout.load(&mut cpu.x87, environment);
        for (i, register) in registers.as_chunks().0.iter().enumerate() {
            cpu.x87.set_contents(i as u8, F80::from_bytes(*register));
        }
        cpu.drive_ferr(biu);
    }
    Ok(())
}

/// Initializes the unit behind the image that it stores.
fn fnsave<const WIDE: bool>(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    cpu.x87_available()?;
    let layout = Layout::current(cpu, WIDE);
    let mut image = [0; STATE_LARGEST];
    let bytes = &mut image[..layout.bytes() + 8 * REGISTER_BYTES];
    let (environment, registers) = bytes.split_at_mut(layout.bytes());
    layout.store(&cpu.x87, environment);
    for (i, register) in registers.as_chunks_mut().0.iter_mut().enumerate() {
        *register = cpu.x87.st(i as u8).to_bytes();
    }
    let at = image_address::<WIDE>(cpu, insn)?;
    cpu.write_block(biu, insn.segment, at, bytes)?;
    cpu.x87.initialize();
    cpu.drive_ferr(biu);
    Ok(())
}

/// FNOP.
struct Nothing;

impl Numeric for Nothing {
    fn execute(_: &mut Cpu, _: &mut Biu, _: &Insn) -> Outcome {
        Ok(())
    }
}

/// FINCSTP and FDECSTP: adds to TOP, and leaves tags alone.
struct Rotate<const BY: u8>;

impl<const BY: u8> Numeric for Rotate<BY> {
    fn execute(cpu: &mut Cpu, _: &mut Biu, _: &Insn) -> Outcome {
        cpu.x87.top = cpu.x87.top.wrapping_add(BY) & 7;
        cpu.x87.set_conditions(C1, 0);
        Ok(())
    }
}

/// FFREE, and the undocumented FFREEP, which pops too.
struct Free<const POPS: bool>;

impl<const POPS: bool> Numeric for Free<POPS> {
    fn execute(cpu: &mut Cpu, _: &mut Biu, insn: &Insn) -> Outcome {
        cpu.x87.free(insn.op[0]);
        cpu.x87.set_conditions(C1, 0);
        if POPS {
            cpu.x87.pop();
        }
        Ok(())
    }
}
