//! How to encode each instruction under test, from iced-x86's tables.

use super::rng::Rng;
use iced_x86::{
    Code, CpuidFeature, EncodingKind, MandatoryPrefix, Mnemonic, OpCodeOperandKind, OpCodeTableKind,
};

const OPERAND_SIZE: u8 = 0x66;
const ADDRESS_SIZE: u8 = 0x67;

/// What ModR/M's r/m field may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rm {
    Register,
    Memory,
    Either,
    Fixed(u8),
}

/// An immediate or branch operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Immediate {
    /// Data of this many bytes.
    Data(u8),
    /// A displacement of this many bytes.
    Relative(u8),
    /// An offset of this many bytes, and a selector.
    Far(u8),
    /// An offset of the address size.
    Moffs,
}

/// An encoding in 16- or 32-bit code, all of it but what is chosen at random.
#[derive(Clone, Debug)]
pub struct Template {
    /// The instruction.
    pub code: Code,
    /// Immediates in encoding order.
    pub immediates: Vec<Immediate>,
    bits: u32,
    prefixes: Vec<u8>,
    /// Address size, if the instruction fixes it.
    address_size: Option<u32>,
    /// Prefixes that the instruction gives a meaning to beyond operand and address size.
    optional_prefixes: Vec<u8>,
    opcode: Vec<u8>,
    /// The low three bits of the opcode name a register.
    register_in_opcode: bool,
    /// The reg field, if it is part of the opcode, and what r/m may be.
    modrm: Option<(Option<u8>, Rm)>,
}

/// Why an instruction that the interpreter knows is not compared with the host.
fn left_out(code: Code) -> Option<&'static str> {
    let op_code = code.op_code();
    Some(match code.mnemonic() {
        _ if op_code.fwait() => "an alias of two instructions",
        Mnemonic::Sgdt | Mnemonic::Sidt | Mnemonic::Sldt | Mnemonic::Str | Mnemonic::Smsw => {
            "shows the host's system registers, or what its kernel makes up for them"
        }
        Mnemonic::Cpuid | Mnemonic::Rdtsc | Mnemonic::Rdpmc => "shows the host's identity or time",
        Mnemonic::Sysenter | Mnemonic::Sysexit => "undefined under 64-bit kernels on AMD's",
        Mnemonic::Int1 => "hypervisors intercept it, and some report it as a fault",
        Mnemonic::Reservednop if op_code.op_code() == 0x0D => "a prefetch, without register forms, on AMD's",
        Mnemonic::Ud0 | Mnemonic::Ud1 => "has a ModR/M byte, which may be beyond the page, on Intel's only",
        _ => return None,
    })
}

/// Whether the processor under test has it.
fn has_feature(feature: CpuidFeature) -> bool {
    use CpuidFeature::*;
    matches!(
        feature,
        INTEL8086
            | INTEL186
            | INTEL286
            | INTEL386
            | INTEL486
            | MSR
            | FPU
            | FPU287
            | FPU387
            | CX8
            | CMOV
            | MMX
            | FXSR
            | SSE
            | SSE2
            | SSE3
            | CLFSH
            | PAUSE
            | MULTIBYTENOP
    )
}

/// Whether `code` is an instruction under test.
pub fn is_tested(code: Code) -> bool {
    let op_code = code.op_code();
    op_code.is_instruction()
        && op_code.encoding() == EncodingKind::Legacy
        && code.cpuid_features().iter().all(|&feature| has_feature(feature))
        && left_out(code).is_none()
}

/// Every encoding under test in code of `bits` (16 or 32).
pub fn templates(bits: u32) -> Vec<Template> {
    let available = |code: &Code| code.op_code().is_available_in_mode(bits) && is_tested(*code);
    Code::values().filter(available).map(|code| Template::new(code, bits)).collect()
}

impl Template {
    fn new(code: Code, bits: u32) -> Self {
        let op_code = code.op_code();
        let mut prefixes = Vec::new();
        match op_code.mandatory_prefix() {
            MandatoryPrefix::P66 => prefixes.push(OPERAND_SIZE),
            MandatoryPrefix::PF3 => prefixes.push(0xF3),
            MandatoryPrefix::PF2 => prefixes.push(0xF2),
            MandatoryPrefix::None | MandatoryPrefix::PNP => {}
        }
        if ![0, bits].contains(&op_code.operand_size()) {
            prefixes.push(OPERAND_SIZE);
        }
        let mut optional_prefixes = Vec::new();
        for (meaningful, prefix) in [
            (op_code.can_use_lock_prefix(), 0xF0),
            (op_code.can_use_rep_prefix(), 0xF3),
            (op_code.can_use_repne_prefix(), 0xF2),
        ] {
            if meaningful {
                optional_prefixes.push(prefix);
            }
        }
        let escape: &[u8] = match op_code.table() {
            OpCodeTableKind::T0F => &[0x0F],
            OpCodeTableKind::T0F38 => &[0x0F, 0x38],
            OpCodeTableKind::T0F3A => &[0x0F, 0x3A],
            _ => &[],
        };
        let length = op_code.op_code_len() as usize;
        let opcode = [escape, &op_code.op_code().to_be_bytes()[4 - length..]].concat();

        let mut immediates = Vec::new();
        let mut register_in_opcode = false;
        let mut modrm = None;
        if op_code.is_group() || op_code.is_rm_group() {
            modrm = Some(Rm::Either);
        }
        for &kind in op_code.op_kinds() {
            use OpCodeOperandKind::*;
            match kind {
                farbr2_2 => immediates.push(Immediate::Far(2)),
                farbr4_2 => immediates.push(Immediate::Far(4)),
                mem_offs => immediates.push(Immediate::Moffs),
                imm8 | imm8sex16 | imm8sex32 => immediates.push(Immediate::Data(1)),
                imm16 => immediates.push(Immediate::Data(2)),
                imm32 => immediates.push(Immediate::Data(4)),
                br16_1 | br32_1 => immediates.push(Immediate::Relative(1)),
                br16_2 => immediates.push(Immediate::Relative(2)),
                br32_4 => immediates.push(Immediate::Relative(4)),
                r8_opcode | r16_opcode | r32_opcode | sti_opcode => register_in_opcode = true,
                mem => modrm = Some(Rm::Memory),
                r8_or_mem | r16_or_mem | r32_or_mem | mm_or_mem | xmm_or_mem => modrm = Some(Rm::Either),
                r16_rm | r32_rm | mm_rm | xmm_rm => modrm = Some(Rm::Register),
                r8_reg | r16_reg | r32_reg | r16_reg_mem | r32_reg_mem | seg_reg | mm_reg | xmm_reg => {
                    modrm = modrm.or(Some(Rm::Either));
                }
                _ => {}
            }
        }
        if op_code.is_rm_group() {
            modrm = Some(Rm::Fixed(op_code.rm_group_index() as u8));
        }
        let reg = op_code.is_group().then(|| op_code.group_index() as u8);
        Self {
            code,
            immediates,
            bits,
            prefixes,
            address_size: (op_code.address_size() != 0).then(|| op_code.address_size()),
            optional_prefixes,
            opcode,
            register_in_opcode,
            modrm: modrm.map(|rm| (reg, rm)),
        }
    }

    /// Appends prefixes, opcode and ModR/M with what belongs to it. `displacement` gives the displacement of a
    /// memory operand that has no register. Returns the address size.
    pub fn encode_head(&self, rng: &mut Rng, bytes: &mut Vec<u8>, displacement: u32) -> u32 {
        const SEGMENTS: [u8; 6] = [0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65];
        let other = 48 - self.bits;
        let address_size = self.address_size.unwrap_or(if rng.chance(20) { other } else { self.bits });
        if rng.chance(25) {
            bytes.push(rng.pick(&SEGMENTS));
        }
        if address_size != self.bits {
            bytes.push(ADDRESS_SIZE);
        }
        if !self.optional_prefixes.is_empty() && rng.chance(50) {
            bytes.push(rng.pick(&self.optional_prefixes));
        }
        bytes.extend(&self.prefixes);
        bytes.extend(&self.opcode);
        if self.register_in_opcode {
            let register = rng.below(8) as u8;
            *bytes.last_mut().expect("an opcode has at least one byte") += register;
        }
        if let Some((reg, rm)) = self.modrm {
            let reg = reg.unwrap_or_else(|| rng.below(8) as u8);
            let register_form = match rm {
                Rm::Register | Rm::Fixed(_) => true,
                Rm::Memory => false,
                Rm::Either => rng.chance(40),
            };
            match rm {
                Rm::Fixed(rm) => bytes.push(0xC0 | reg << 3 | rm),
                _ if register_form => bytes.push(0xC0 | reg << 3 | rng.below(8) as u8),
                _ => encode_memory(rng, bytes, reg, address_size, displacement),
            }
        }
        address_size
    }
}

/// Appends ModR/M, SIB and displacement of a random memory operand.
fn encode_memory(rng: &mut Rng, bytes: &mut Vec<u8>, reg: u8, address_size: u32, displacement: u32) {
    let (mode, rm) = (rng.below(3) as u8, rng.below(8) as u8);
    bytes.push(mode << 6 | reg << 3 | rm);
    let mut absolute = mode == 0 && rm == if address_size == 16 { 6 } else { 5 };
    if address_size == 32 && rm == 4 {
        let sib = rng.bits() as u8;
        bytes.push(sib);
        // Without a base; an index that is there is steered towards the displacement.
        absolute = mode == 0 && sib & 7 == 5;
    }
    let relative = if rng.chance(70) { rng.below(0x200).wrapping_sub(0x100) } else { rng.bits() };
    let wide = if absolute { displacement } else { relative }.to_le_bytes();
    match mode {
        0 if !absolute => {}
        1 => bytes.push(wide[0]),
        _ => bytes.extend(&wide[..address_size as usize / 8]),
    }
}
