//! The tests, and the instructions that they go through.

mod availability;
mod estimates;
mod exceptions;
mod memory;
mod tables;

use crate::kit::place;
use iced_x86::{Code, CpuidFeature, EncodingKind, Instruction, OpKind};
use idem86_cpu::decode::decode;
use std::collections::{BTreeMap, HashSet};

fn is_ours(features: &[CpuidFeature]) -> bool {
    use CpuidFeature::*;
    features.iter().all(|f| matches!(f, MMX | SSE | SSE2 | SSE3))
}

/// One instruction of each MMX, SSE, SSE2 and SSE3 opcode, with register and with memory operand, for 32-bit code:
/// the memory operand is at `place::DATA`, the register of r/m is number 1.
fn every_instruction() -> Vec<(Instruction, Vec<u8>)> {
    let mut found = BTreeMap::new();
    for prefix in [&[] as &[u8], &[0x66], &[0xF2], &[0xF3]] {
        for opcode in 0..=0xFF {
            for reg in 0..8 {
                let register = [prefix, &[0x0F, opcode, 0xC1 | reg << 3, 0, 0]].concat();
                let memory =
                    [prefix, &[0x0F, opcode, 5 | reg << 3], &place::DATA.to_le_bytes(), &[0]].concat();
                for bytes in [register, memory] {
                    match decode(&bytes, 32) {
                        Ok(i) if is_ours(i.cpuid_features()) => {
                            found.insert((i.code(), has_memory_operand(&i)), (i, bytes[..i.len()].to_vec()));
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    found.into_values().collect()
}

fn has_memory_operand(i: &Instruction) -> bool {
    i.op_kinds().any(|kind| kind == OpKind::Memory)
}

/// All that iced-x86 has, but for hints and fences, which do nothing here and have several encodings.
#[test]
fn every_opcode_is_found() {
    let found: HashSet<_> = every_instruction().iter().map(|(i, _)| i.code()).collect();
    let does_nothing = |code: Code| {
        let name = format!("{:?}", code.mnemonic());
        name.starts_with("Prefetch") || name.ends_with("fence")
    };
    let all = Code::values().filter(|code| {
        let op_code = code.op_code();
        op_code.is_instruction()
            && op_code.encoding() == EncodingKind::Legacy
            && op_code.mode32()
            && !code.cpuid_features().is_empty()
            && is_ours(code.cpuid_features())
            && !does_nothing(*code)
    });
    let missed: Vec<_> = all.filter(|code| !found.contains(code)).collect();
    assert!(missed.is_empty() && found.len() > 250, "{missed:?}");
}
