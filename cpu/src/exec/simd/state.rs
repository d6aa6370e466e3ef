//! EMMS, LDMXCSR, STMXCSR. FXSAVE and FXRSTOR are in [`crate::exec::fxsave`].
//!
//! SDM Vol. 2A, "EMMS", "LDMXCSR"; Vol. 2B, "STMXCSR".

use crate::bus::Biu;
use crate::cpu::Cpu;
use crate::decode::insn::{Handler, Insn};
use crate::event::exception::{Fault, Outcome};
use iced_x86::{Instruction, Mnemonic};

/// The handler of `i`, if it belongs to this family.
pub fn select(i: &Instruction) -> Option<Handler> {
    let handler: Handler = match i.mnemonic() {
        Mnemonic::Emms => emms,
        Mnemonic::Ldmxcsr => ldmxcsr,
        Mnemonic::Stmxcsr => stmxcsr,
        _ => return None,
    };
    Some(handler)
}

/// Empties all registers of the x87 unit.
fn emms(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    if cpu.mmx_ready(biu, insn)? {
        cpu.x87.top = 0;
        cpu.x87.valid = 0;
    }
    Ok(())
}

fn ldmxcsr(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    cpu.sse_available()?;
    let mxcsr = cpu.read::<u32>(biu, insn.segment, insn.ea(&cpu.gpr))?;
    if mxcsr & !cpu.processor.features().mxcsr() != 0 {
        return Err(Fault::GP0);
    }
    cpu.simd.mxcsr = mxcsr;
    Ok(())
}

fn stmxcsr(cpu: &mut Cpu, biu: &mut Biu, insn: &Insn) -> Outcome {
    cpu.sse_available()?;
    let mxcsr = cpu.simd.mxcsr;
    cpu.write(biu, insn.segment, insn.ea(&cpu.gpr), mxcsr)
}
