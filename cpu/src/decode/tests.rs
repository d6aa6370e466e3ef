//! Every instruction that the decoder knows, against what is announced and against the rules of LOCK.

use super::attrs::{self, Class};
use super::decode;
use crate::cpu::Cpu;
use crate::cpuid;
use crate::state::eflags::bit;
use iced_x86::{Code, CpuidFeature, Instruction, Mnemonic, OpKind};
use std::collections::BTreeMap;

/// One instruction of each kind that `prefix` and any opcode and ModRM byte give in 16- and 32-bit code.
fn every_instruction(prefix: &[u8]) -> Vec<Instruction> {
    let mut found = BTreeMap::new();
    let maps: [&[u8]; 4] = [&[], &[0x0F], &[0x0F, 0x38], &[0x0F, 0x3A]];
    for map in maps {
        for mandatory in [&[] as &[u8], &[0x66], &[0xF2], &[0xF3]] {
            for opcode_and_modrm in 0..=u16::MAX {
                let mut bytes = [prefix, mandatory, map, &opcode_and_modrm.to_be_bytes()].concat();
                bytes.resize(15, 1);
                for code_size in [16, 32] {
                    if let Ok(i) = decode(&bytes, code_size) {
                        found.entry((i.code(), i.op0_kind() as u8)).or_insert(i);
                    }
                }
            }
        }
    }
    found.into_values().collect()
}

/// What every processor of our family has, in iced-x86's terms.
const BASIC: &[CpuidFeature] = &[
    CpuidFeature::INTEL8086,
    CpuidFeature::INTEL186,
    CpuidFeature::INTEL286,
    CpuidFeature::INTEL386,
    CpuidFeature::INTEL486,
    CpuidFeature::CPUID,
    CpuidFeature::FPU287,
    CpuidFeature::FPU387,
    CpuidFeature::RDPMC,
    CpuidFeature::MULTIBYTENOP,
    CpuidFeature::PAUSE,
];

/// Where leaf 1 of CPUID announces what else there may be: ECX (2) or EDX (3), and the bit.
const OPTIONAL: &[(CpuidFeature, usize, u32)] = &[
    (CpuidFeature::FPU, 3, 0),
    (CpuidFeature::TSC, 3, 4),
    (CpuidFeature::MSR, 3, 5),
    (CpuidFeature::CX8, 3, 8),
    (CpuidFeature::SEP, 3, 11),
    (CpuidFeature::CMOV, 3, 15),
    (CpuidFeature::CLFSH, 3, 19),
    (CpuidFeature::MMX, 3, 23),
    (CpuidFeature::FXSR, 3, 24),
    (CpuidFeature::SSE, 3, 25),
    (CpuidFeature::SSE2, 3, 26),
    (CpuidFeature::SSE3, 2, 0),
    (CpuidFeature::PCLMULQDQ, 2, 1),
    (CpuidFeature::MONITOR, 2, 3),
    (CpuidFeature::SSSE3, 2, 9),
    (CpuidFeature::SSE4_1, 2, 19),
    (CpuidFeature::SSE4_2, 2, 20),
    (CpuidFeature::MOVBE, 2, 22),
    (CpuidFeature::POPCNT, 2, 23),
    (CpuidFeature::AES, 2, 25),
    (CpuidFeature::XSAVE, 2, 26),
    (CpuidFeature::RDRAND, 2, 30),
];

#[test]
fn the_table_has_what_cpuid_announces_and_nothing_else() {
    let leaf = cpuid::leaf(&Cpu::new(), 1);
    let announced = |f: &CpuidFeature| {
        BASIC.contains(f)
            || OPTIONAL.iter().any(|(o, register, bit)| o == f && leaf[*register] >> bit & 1 != 0)
    };
    let mut wrong = every_instruction(&[]);
    wrong.retain(|i| attrs::class(i).is_some() != i.cpuid_features().iter().all(announced));
    assert!(wrong.is_empty(), "{:?}", wrong.iter().map(Instruction::code).collect::<Vec<_>>());
}

/// SDM Vol. 2A, "LOCK—Assert LOCK# Signal Prefix".
#[test]
fn lock_is_for_the_listed_instructions_with_a_memory_destination() {
    use Mnemonic::*;
    let lockable =
        [Add, Adc, And, Btc, Btr, Bts, Cmpxchg, Cmpxchg8b, Dec, Inc, Neg, Not, Or, Sbb, Sub, Xor, Xadd, Xchg];
    let codes =
        |instructions: &[Instruction]| -> Vec<Code> { instructions.iter().map(|i| i.code()).collect() };
    let mut listed = every_instruction(&[]);
    listed.retain(|i| i.op0_kind() == OpKind::Memory && lockable.contains(&i.mnemonic()));
    assert_eq!(codes(&every_instruction(&[0xF0])), codes(&listed));
}

/// SDM Vol. 2B, "SAL/SAR/SHL/SHR", "SHRD"; what depends on the count.
#[test]
fn flags_of_shifts_depend_on_the_count() {
    let flags = |bytes: &[u8], cl| {
        let i = decode(bytes, 32).expect("an instruction");
        attrs::flags_with_cl(&i, cl)
    };
    let szp = bit::SF | bit::ZF | bit::PF;
    // shl eax,cl
    let f = flags(&[0xD3, 0xE0], 1);
    assert_eq!((f.written, f.undefined, f.kept), (szp | bit::CF | bit::OF, bit::AF, 0));
    let f = flags(&[0xD3, 0xE0], 32);
    assert_eq!((f.written, f.undefined, f.kept), (0, 0, 0));
    // shl al,8
    let f = flags(&[0xC0, 0xE0, 8], 0);
    assert_eq!((f.written, f.undefined), (szp, bit::AF | bit::OF | bit::CF));
    // sar al,8: every bit that goes out is the sign.
    let f = flags(&[0xC0, 0xF8, 8], 0);
    assert_eq!((f.written, f.undefined), (szp | bit::CF, bit::AF | bit::OF));
    // rcl eax,1
    let f = flags(&[0xD1, 0xD0], 0);
    assert_eq!((f.read, f.written, f.undefined), (bit::CF, bit::CF | bit::OF, 0));
    // shrd ax,bx,cl
    let f = flags(&[0x66, 0x0F, 0xAD, 0xD8], 17);
    assert_eq!((f.written, f.undefined), (0, bit::ARITHMETIC));
}

#[test]
fn flags_that_may_be_kept_are_not_killed() {
    let killed = |bytes: &[u8]| attrs::flags(&decode(bytes, 32).expect("an instruction")).killed();
    assert_eq!(killed(&[0xA6]), bit::ARITHMETIC, "cmpsb");
    assert_eq!(killed(&[0xF3, 0xA6]), 0, "repe cmpsb");
    assert_eq!(killed(&[0xD3, 0xE0]), 0, "shl eax,cl");
    assert_eq!(killed(&[0xD1, 0xE0]), bit::ARITHMETIC, "shl eax,1");
    assert_eq!(killed(&[0x0F, 0xA3, 0xC0]), bit::CF, "bt eax,eax");
    assert_eq!(killed(&[0x40]), bit::ARITHMETIC & !bit::CF, "inc eax");
}

#[test]
fn what_changes_mode_or_flow_ends_a_block() {
    let flow = |bytes: &[u8]| attrs::flow(&decode(bytes, 32).expect("an instruction"));
    assert_eq!(flow(&[0x8E, 0xD8]), attrs::Flow::End, "mov ds,ax");
    assert_eq!(flow(&[0x0F, 0x22, 0xC0]), attrs::Flow::End, "mov cr0,eax");
    assert_eq!(flow(&[0xF3, 0xA4]), attrs::Flow::End, "rep movsb");
    assert_eq!(flow(&[0xA4]), attrs::Flow::Next, "movsb");
    assert_eq!(flow(&[0x74, 0x00]), attrs::Flow::Conditional, "je");
    assert_eq!(flow(&[0xCB]), attrs::Flow::End, "retf");
    let far = decode(&[0xCB], 32).expect("an instruction");
    assert_eq!(attrs::class(&far), Some(Class::FarTransfer));
    assert_eq!(attrs::sensitivity(&far), attrs::Sensitivity::Sensitive);
}
