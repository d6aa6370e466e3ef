//! Moves between registers and memory: whole registers, halves, single elements.
//!
//! SDM Vol. 1, "MMX Data Transfer Instructions", "SSE Data Transfer Instructions", "SSE2 Data Movement
//! Instructions"; there are no caches, so non-temporal stores are like any other.

use super::is_memory;
use super::place::{
    Destination, General, High, Low, LowZeroing, Memory, Mm, Source, Unaligned, Xmm, complete, ready,
};
use crate::bus::Biu;
use crate::cpu::Cpu;
use crate::decode::insn::{Handler, Insn};
use crate::event::exception::Outcome;
use crate::state::simd::Row;
use iced_x86::{Code, Instruction};

/// The handler of `i`, if it belongs to this family.
pub fn select(i: &Instruction) -> Option<Handler> {
    use Code::*;
    let memory = is_memory(i, 0) || is_memory(i, 1);
    let either = |in_memory: Handler, in_register: Handler| if memory { in_memory } else { in_register };
    Some(match i.code() {
        Movaps_xmm_xmmm128 | Movapd_xmm_xmmm128 | Movdqa_xmm_xmmm128 => {
            either(mov::<Memory, Xmm, 16>, mov::<Xmm, Xmm, 16>)
        }
        Movaps_xmmm128_xmm | Movapd_xmmm128_xmm | Movdqa_xmmm128_xmm => {
            either(mov::<Xmm, Memory, 16>, mov::<Xmm, Xmm, 16>)
        }
        Movups_xmm_xmmm128 | Movupd_xmm_xmmm128 | Movdqu_xmm_xmmm128 => {
            either(mov::<Unaligned, Xmm, 16>, mov::<Xmm, Xmm, 16>)
        }
        Movups_xmmm128_xmm | Movupd_xmmm128_xmm | Movdqu_xmmm128_xmm => {
            either(mov::<Xmm, Unaligned, 16>, mov::<Xmm, Xmm, 16>)
        }
        Movntps_m128_xmm | Movntpd_m128_xmm | Movntdq_m128_xmm => mov::<Xmm, Memory, 16>,
        Lddqu_xmm_m128 => mov::<Unaligned, Xmm, 16>,

        Movss_xmm_xmmm32 => either(mov::<Memory, LowZeroing, 4>, mov::<Low, Low, 4>),
        Movss_xmmm32_xmm => either(mov::<Low, Memory, 4>, mov::<Low, Low, 4>),
        Movsd_xmm_xmmm64 => either(mov::<Memory, LowZeroing, 8>, mov::<Low, Low, 8>),
        Movsd_xmmm64_xmm => either(mov::<Low, Memory, 8>, mov::<Low, Low, 8>),
        Movq_xmm_xmmm64 => either(mov::<Memory, LowZeroing, 8>, mov::<Low, LowZeroing, 8>),
        Movq_xmmm64_xmm => either(mov::<Low, Memory, 8>, mov::<Low, LowZeroing, 8>),
        Movd_xmm_rm32 => either(mov::<Memory, LowZeroing, 4>, mov::<General, LowZeroing, 4>),
        Movd_rm32_xmm => either(mov::<Low, Memory, 4>, mov::<Low, General, 4>),

        Movlps_xmm_m64 | Movlpd_xmm_m64 => mov::<Memory, Low, 8>,
        Movlps_m64_xmm | Movlpd_m64_xmm => mov::<Low, Memory, 8>,
        Movhps_xmm_m64 | Movhpd_xmm_m64 => mov::<Memory, High, 8>,
        Movhps_m64_xmm | Movhpd_m64_xmm => mov::<High, Memory, 8>,
        Movhlps_xmm_xmm => mov::<High, Low, 8>,
        Movlhps_xmm_xmm => mov::<Low, High, 8>,

        Movq_mm_mmm64 => either(mov::<Memory, Mm, 8>, mov::<Mm, Mm, 8>),
        Movq_mmm64_mm => either(mov::<Mm, Memory, 8>, mov::<Mm, Mm, 8>),
        Movd_mm_rm32 => either(mov::<Memory, Mm, 4>, mov::<General, Mm, 4>),
        Movd_rm32_mm => either(mov::<Mm, Memory, 4>, mov::<Mm, General, 4>),
        Movntq_m64_mm => mov::<Mm, Memory, 8>,
        Movq2dq_xmm_mm => mov::<Mm, LowZeroing, 8>,
        Movdq2q_mm_xmm => mov::<Low, Mm, 8>,
        _ => return None,
    })
}

fn mov<S: Source<N>, D: Destination<N>, const N: usize>(
    cpu: &mut Cpu,
    biu: &mut Biu,
    insn: &Insn,
) -> Outcome {
    if ready::<S, D>(cpu, biu, insn)? {
        let Row(value) = S::read(cpu, biu, insn)?;
        D::write(cpu, biu, insn, value)?;
        complete::<S, D>(cpu);
    }
    Ok(())
}
