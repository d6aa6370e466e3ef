//! x87, MMX and SSE: random programs leave the same state behind on the translator and on the interpreter.
//!
//! `IDEM86_EXTENDED_CASES` sets the number of programs, `IDEM86_EXTENDED_SEED` the first seed.
#![forbid(unsafe_code)]
#![cfg(target_arch = "x86_64")]

#[path = "../../tests/support/rng.rs"]
mod rng;
#[path = "../../tests/support/values.rs"]
#[expect(dead_code, reason = "others use the rest")]
mod values;

use iced_x86::{
    Code, Decoder, DecoderOptions, Encoder, EncodingKind, Instruction, MemoryOperand, Mnemonic,
    OpCodeOperandKind, OpKind, Register,
};
use idem86_cpu::cpu::Cpu;
use idem86_cpu::decode::attrs::{Class, class};
use idem86_cpu::flat::FlatBus;
use idem86_cpu::run::Stop;
use idem86_cpu::softfloat::F80;
use idem86_cpu::state::control::{cr0, cr4};
use idem86_cpu::state::gpr;
use idem86_cpu::state::segment::{AccessRights, Segment, TableRegister};
use idem86_translator::{Chaining, Options, Ram, Sensitive, Translator, Windows};
use rng::Rng;
use std::cell::Cell;

const GDT: usize = 0x1000;
const IDT: usize = 0x2000;
const HANDLERS: usize = 0x3000;
const CODE: usize = 0x8000;
/// Good values for control registers.
const CONTROLS: usize = 0x9000;
/// What is read and written, around the boundary of two pages.
const WINDOW: std::ops::Range<usize> = 0x1_0E00..0x1_1200;
const STACK: usize = 0x2_0000;
const RAM: usize = 0x2_1000;

/// Selector, base, limit and access rights of ES, CS, SS, DS, FS, GS.
const SEGMENTS: [(u16, u64, u32, u16); 6] = [
    (0x10, 0, u32::MAX, 0xC093),
    (0x08, 0, u32::MAX, 0xC09B),
    (0x10, 0, u32::MAX, 0xC093),
    (0x10, 0, u32::MAX, 0xC093),
    (0x1B, 0x1_0008, 0x11FF, 0x4093),
    (0x23, 0xFFFF_0001, u32::MAX, 0xC093),
];

/// A processor with its memory.
struct Pc {
    cpu: Cpu,
    ram: Ram,
    bus: FlatBus,
}

impl Pc {
    fn new() -> Pc {
        let mut ram = Ram::new(RAM).expect("the host has memory");
        let mut put = |at: usize, bytes: &[u8]| ram[at..at + bytes.len()].copy_from_slice(bytes);
        put(GDT + 8, &[0xFF, 0xFF, 0, 0, 0, 0x9B, 0xCF, 0, 0xFF, 0xFF, 0, 0, 0, 0x93, 0xCF, 0]);
        for vector in 0..256 {
            let [a, b, ..] = (HANDLERS + vector).to_le_bytes();
            put(IDT + 8 * vector, &[a, b, 8, 0, 0, 0x8E, 0, 0]);
        }
        put(HANDLERS, &[0xF4; 256]);
        Pc { cpu: Cpu::new(), ram, bus: FlatBus::new(RAM) }
    }

    fn store(&mut self, at: usize, bytes: &[u8]) {
        self.ram[at..at + bytes.len()].copy_from_slice(bytes);
        self.cpu.ram_written(at as u64, bytes.len() as u64);
    }

    /// Runs for `budget` units of work, on `engine` if there is one.
    fn run(&mut self, engine: Option<&mut Translator>, budget: u64) -> Stop {
        let ram = Cell::from_mut(&mut *self.ram).as_slice_of_cells();
        match engine {
            Some(engine) => self.cpu.run_with(engine, ram, &mut self.bus, budget),
            None => self.cpu.run(ram, &mut self.bus, budget),
        }
    }

    /// The state that `rng` chooses, at the start of `program`.
    fn prepare(&mut self, program: &[u8], mut rng: Rng) {
        let rng = &mut rng;
        self.store(CODE, program);
        let window: Vec<u8> = WINDOW.step_by(16).flat_map(|_| values::vector(rng)).collect();
        self.store(WINDOW.start, &window);
        for at in (CONTROLS..CONTROLS + 64).step_by(4) {
            // x87 control words and values of MXCSR by turns.
            let control = if at & 4 == 0 { fcw(rng) } else { mxcsr(rng) };
            self.store(at, &control.to_le_bytes());
        }
        let cpu = &mut self.cpu;
        for r in gpr::AX..=gpr::DI {
            let near = WINDOW.start as u32 + 0x100 + rng.below(0x200);
            cpu.gpr.set::<u32>(r, if rng.chance(60) { near & !15 } else { near });
        }
        cpu.gpr.set::<u32>(gpr::SP, STACK as u32);
        cpu.rip = CODE as u64;
        cpu.set_eflags(2 | rng.bits() & 0x8D5);
        cpu.seg = SEGMENTS
            .map(|(selector, base, limit, access)| Segment::new(selector, base, limit, AccessRights(access)));
        cpu.gdtr = TableRegister { base: GDT as u64, limit: 0x17 };
        cpu.idtr = TableRegister { base: IDT as u64, limit: 0x7FF };
        cpu.cpl = 0;
        cpu.cr0 = cr0::PE | cr0::ET | cr0::NE | cr0::MP;
        cpu.cr0 |= if rng.chance(4) { cr0::TS } else { 0 } | if rng.chance(2) { cr0::EM } else { 0 };
        cpu.cr4 = cr4::OSXMMEXCPT | if rng.chance(96) { cr4::OSFXSR } else { 0 };
        cpu.halted = false;
        cpu.shutdown = false;
        cpu.interrupt_shadow = false;
        cpu.x87.last_ip = (rng.bits() as u16, rng.bits());
        cpu.x87.last_data = (rng.bits() as u16, rng.bits());
        cpu.x87.last_opcode = rng.bits() as u16 & 0x7FF;
        cpu.x87.set_control(fcw(rng) as u16);
        cpu.x87.set_status_word(if rng.chance(50) { 0 } else { rng.bits() as u16 });
        let random = rng.bits() as u8;
        cpu.x87.valid = rng.pick(&[0, 0xFF, 0x80, 0xC0, 0xF0, random]);
        for i in 0..8 {
            cpu.x87.set_contents(i, F80::from_bytes(values::extended(rng)));
        }
        cpu.simd.mxcsr = mxcsr(rng) & 0xFFFF;
        cpu.simd.xmm[..8].fill_with(|| values::vector(rng));
        cpu.state_changed();
    }
}

/// An x87 control word, mostly with all exceptions masked.
fn fcw(rng: &mut Rng) -> u32 {
    rng.bits() & 0xF00 | if rng.chance(90) { 0x7F } else { rng.bits() & 0x7F }
}

/// The same for MXCSR.
fn mxcsr(rng: &mut Rng) -> u32 {
    let unmasked = if rng.chance(5) { rng.bits() & 0x1F80 } else { 0 };
    let reserved = if rng.chance(1) { 1 << 16 } else { 0 };
    (rng.bits() & 0xE07F | 0x1F80) & !unmasked | reserved
}

/// The instructions of the three units, as the decoder knows them.
fn codes() -> Vec<Code> {
    let of_units = |code: &Code| {
        let mut i = Instruction::default();
        i.set_code(*code);
        let class = class(&i);
        let op = code.op_code();
        op.is_instruction()
            && op.encoding() == EncodingKind::Legacy
            && op.mode32()
            && !op.fwait()
            && (i.mnemonic() != Mnemonic::Cmpsd || !i.is_string_instruction())
            && matches!(class, Some(Class::X87 | Class::Mmx | Class::Sse | Class::Sse2 | Class::Sse3))
    };
    Code::values().filter(of_units).collect()
}

/// A memory operand, mostly in the window.
fn memory(rng: &mut Rng) -> MemoryOperand {
    let base = Register::EAX + rng.below(8);
    let base = if base == Register::ESP { Register::EBX } else { base };
    let displacement = match rng.below(4) {
        0 => rng.below(64) as i32 - 32,
        _ => 16 * (rng.below(8) as i32 - 4),
    };
    let segment = match rng.below(8) {
        // Its base is on no boundary of 16 bytes; the operand is, half of the time.
        0 => return MemoryOperand::new(base, Register::None, 1, -0xFFF8 - 0x1_0000, 4, false, Register::FS),
        1 => Register::GS,
        2 => Register::SS,
        3 => Register::ES,
        _ => Register::None,
    };
    let displacement = if segment == Register::GS { displacement + 0xFFFF } else { displacement };
    MemoryOperand::new(base, Register::None, 1, displacement.into(), 4, false, segment)
}

/// One instruction of `code` with random operands.
fn instruction(code: Code, rng: &mut Rng) -> Option<Instruction> {
    use OpCodeOperandKind::*;
    let mut i = Instruction::default();
    i.set_code(code);
    let kinds = code.op_code().op_kinds();
    for (n, kind) in (0..).zip(kinds) {
        let either = rng.chance(50);
        let register = |i: &mut Instruction, first: Register, rng: &mut Rng| {
            i.set_op_kind(n, OpKind::Register);
            i.set_op_register(n, first + rng.below(8));
        };
        let in_memory = |i: &mut Instruction, rng: &mut Rng| {
            let at = match code.mnemonic() {
                Mnemonic::Fldcw => {
                    MemoryOperand::with_displ(CONTROLS as u64 + u64::from(rng.below(8) * 8), 4)
                }
                Mnemonic::Ldmxcsr => {
                    MemoryOperand::with_displ(CONTROLS as u64 + 4 + u64::from(rng.below(8) * 8), 4)
                }
                _ => memory(rng),
            };
            i.set_op_kind(n, OpKind::Memory);
            i.set_memory_base(at.base);
            i.set_memory_displacement64(at.displacement as u64 & 0xFFFF_FFFF);
            i.set_memory_displ_size(4);
            i.set_segment_prefix(at.segment_prefix);
        };
        match kind {
            xmm_reg | xmm_rm => register(&mut i, Register::XMM0, rng),
            mm_reg | mm_rm => register(&mut i, Register::MM0, rng),
            r32_reg | r32_rm => register(&mut i, Register::EAX, rng),
            xmm_or_mem if either => register(&mut i, Register::XMM0, rng),
            mm_or_mem if either => register(&mut i, Register::MM0, rng),
            r32_or_mem if either => register(&mut i, Register::EAX, rng),
            mem | xmm_or_mem | mm_or_mem | r32_or_mem => in_memory(&mut i, rng),
            st0 => {
                i.set_op_kind(n, OpKind::Register);
                i.set_op_register(n, Register::ST0);
            }
            sti_opcode => register(&mut i, Register::ST0, rng),
            ax => {
                i.set_op_kind(n, OpKind::Register);
                i.set_op_register(n, Register::AX);
            }
            imm8 => {
                i.set_op_kind(n, OpKind::Immediate8);
                i.set_immediate8(rng.bits() as u8);
            }
            seg_rDI => i.set_op_kind(n, OpKind::MemorySegEDI),
            _ => return Option::None,
        }
    }
    Some(i)
}

/// An instruction that has nothing to do with the units, but stands among them.
fn other(rng: &mut Rng) -> Instruction {
    let register = |rng: &mut Rng| Register::EAX + [0, 1, 2, 3, 5, 6, 7][rng.below(7) as usize];
    let (a, b) = (register(rng), register(rng));
    match rng.below(9) {
        0 => Instruction::with2(Code::Cmp_rm32_r32, a, b),
        1 => Instruction::with2(Code::Mov_rm32_r32, a, b),
        2 => Instruction::with2(Code::Add_rm32_imm8, a, rng.pick(&[16, 32, -16, 8, 1])),
        3 => Instruction::with2(Code::Mov_rm32_r32, memory(rng), a),
        4 => Instruction::with1(Code::Push_r32, a),
        5 => Instruction::with2(Code::Bt_rm32_imm8, a, rng.below(32)),
        6 => Instruction::with1(Code::Sldt_r32m16, a),
        7 => Instruction::with2(Code::Adc_rm32_r32, a, b),
        _ => Ok(Instruction::with(Code::Clts)),
    }
    .expect("valid operands")
}

/// A loop of up to 24 instructions.
fn program(codes: &[Code], rng: &mut Rng) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(32);
    let most = if rng.chance(50) { 6 } else { 24 };
    let count = 1 + rng.below(most);
    // Mostly one unit at a time.
    let class_of = |code: Code| {
        let mut i = Instruction::default();
        i.set_code(code);
        class(&i)
    };
    let favourite = class_of(rng.pick(codes));
    let mut skip = None;
    while (bytes.len() as u32) < count * 6 {
        if let Some((at, until)) = skip
            && until == 0
        {
            bytes[at] = (bytes.len() - at - 1) as u8;
            skip = None;
        }
        skip = skip.map(|(at, until)| (at, until - 1));
        if skip.is_none() && rng.chance(10) {
            // A branch over a few instructions.
            bytes.extend([0x70 | rng.below(16) as u8, 0]);
            skip = Some((bytes.len() - 1, 1 + rng.below(3)));
        }
        let i = if rng.chance(25) {
            other(rng)
        } else {
            let code = rng.pick(codes);
            if class_of(code) != favourite && rng.chance(70) {
                continue;
            }
            let Some(i) = instruction(code, rng) else { continue };
            i
        };
        if encoder.encode(&i, 0).is_ok() {
            bytes.extend(encoder.take_buffer());
        } else {
            let _ = encoder.take_buffer();
        }
    }
    if let Some((at, _)) = skip {
        bytes[at] = (bytes.len() - at - 1) as u8;
    }
    let back = -(bytes.len() as i32 + 5);
    bytes.push(0xE9);
    bytes.extend(back.to_le_bytes());
    bytes
}

fn listing(program: &[u8]) -> String {
    let decoder = Decoder::with_ip(32, program, CODE as u64, DecoderOptions::NONE);
    decoder.into_iter().map(|i| format!("{:x} {i}\n", i.ip())).collect()
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

#[test]
fn every_instruction_can_be_generated() {
    let mut rng = Rng::new(1);
    for code in codes() {
        let encoded =
            |rng: &mut Rng| instruction(code, rng).is_some_and(|i| Encoder::new(32).encode(&i, 0).is_ok());
        assert!((0..8).any(|_| encoded(&mut rng)), "{code:?}");
    }
}

/// Translation at first sight, through shadow tables.
const TABLES: Options = Options {
    threshold: 0,
    chaining: Chaining::Linked,
    arena: 1 << 20,
    unit: 32,
    windows: Windows::Never,
    sensitive: Sensitive::Adaptive,
};

#[test]
fn random_programs_end_as_on_the_interpreter() {
    compare(TABLES, 0);
}

#[test]
fn random_programs_end_as_on_the_interpreter_in_windows() {
    compare(Options { windows: Windows::AtOnce, ..TABLES }, 1 << 32);
}

#[test]
fn random_programs_end_as_on_the_interpreter_in_pieces() {
    compare(Options { arena: 0, unit: 3, chaining: Chaining::Unlinked, ..TABLES }, 2 << 32);
}

fn compare(options: Options, first: u64) {
    let (mut ours, mut theirs) = (Pc::new(), Pc::new());
    let Ok(mut translator) = Translator::new(options).inspect_err(|e| eprintln!("skipped: {e}")) else {
        return;
    };
    translator.attach(&ours.ram);
    let codes = codes();
    let first = setting("IDEM86_EXTENDED_SEED", first);
    let cases = setting("IDEM86_EXTENDED_CASES", 10_000);
    for seed in first..first + cases {
        let mut rng = Rng::new(seed);
        let program = program(&codes, &mut rng);
        let values = rng.next();
        theirs.prepare(&program, Rng::new(values));
        ours.prepare(&program, Rng::new(values));
        for _ in 0..1 + rng.below(4) {
            let budget = u64::from(1 + rng.below(40));
            let stops = [theirs.run(None, budget), ours.run(Some(&mut translator), budget)];
            let (their, our) = (theirs.cpu.save(), ours.cpu.save());
            let part = |pc: &Pc| (pc.ram[WINDOW].to_vec(), pc.ram[STACK - 256..STACK].to_vec());
            let same_memory = part(&theirs) == part(&ours);
            if their != our || !same_memory || stops[0] != stops[1] {
                let (their, our) = (format!("{their:#?}"), format!("{our:#?}"));
                let differences: String = their
                    .lines()
                    .zip(our.lines())
                    .filter(|(a, b)| a != b)
                    .map(|(a, b)| format!("interpreter {a}\ntranslator  {b}\n"))
                    .collect();
                panic!(
                    "seed {seed}, memory same: {same_memory}, {stops:?}\n{}{differences}",
                    listing(&program)
                );
            }
        }
    }
    if std::env::var_os("IDEM86_EXTENDED_CASES").is_some() {
        eprintln!("{}", translator.counters());
    }
}

/// What was learnt of a pointer does not outlive its change.
#[test]
fn alignment_is_looked_at_again_when_a_pointer_moves() {
    let changes: [&[u8]; 4] = [
        &[0x83, 0xC1, 0x08], // add ecx,8
        &[0x41],             // inc ecx
        &[0x0F, 0x7E, 0xC1], // movd ecx,mm0
        &[0xE2, 0x00],       // loop to the next instruction
    ];
    for change in changes {
        let Ok(mut translator) = Translator::new(TABLES) else { return };
        // movaps xmm0,[ecx]; movaps xmm1,[ecx+16]; the change; movaps xmm2,[ecx+32]; hlt
        let head = [0x0F, 0x28, 0x01, 0x0F, 0x28, 0x49, 0x10];
        let program = [&head, change, &[0x0F, 0x28, 0x51, 0x20, 0xF4]].concat();
        let mut pc = Pc::new();
        pc.prepare(&program, Rng::new(0));
        pc.cpu.gpr.set::<u32>(gpr::CX, 0x1_0F00);
        pc.cpu.x87.significand[0] = 0x1_0F01;
        pc.cpu.x87.set_control(0x37F);
        pc.cpu.simd.mxcsr = 0x1F80;
        pc.cpu.cr0 = cr0::PE | cr0::NE;
        pc.cpu.cr4 = cr4::OSFXSR;
        pc.cpu.state_changed();
        assert_eq!(pc.run(Some(&mut translator), 1000), Stop::Halted);
        // At the handler of #GP, behind its HLT.
        assert_eq!(pc.cpu.rip, HANDLERS as u64 + 13 + 1, "{}", listing(&program));
    }
}

/// Loops that compute stay in translated code.
#[test]
fn native_instructions_need_the_interpreter_once() {
    let Ok(mut translator) = Translator::new(TABLES) else { return };
    let loops: [&[u8]; 3] = [
        // movaps xmm0,[10F00h]; addps xmm0,xmm1; cvttss2si eax,xmm0; movups [10F11h],xmm0; ldmxcsr [9004h]
        &[
            0x0F, 0x28, 0x05, 0x00, 0x0F, 0x01, 0x00, 0x0F, 0x58, 0xC1, 0xF3, 0x0F, 0x2C, 0xC0, 0x0F, 0x11,
            0x05, 0x11, 0x0F, 0x01, 0x00, 0x0F, 0xAE, 0x15, 0x04, 0x90, 0x00, 0x00,
        ],
        // fld qword [10F00h]; fmul st,st; fnstcw [10F20h]; fldcw [9000h]; fistp dword [10F24h]; fnstsw ax; sahf
        &[
            0xDD, 0x05, 0x00, 0x0F, 0x01, 0x00, 0xD8, 0xC8, 0xD9, 0x3D, 0x20, 0x0F, 0x01, 0x00, 0xD9, 0x2D,
            0x00, 0x90, 0x00, 0x00, 0xDB, 0x1D, 0x24, 0x0F, 0x01, 0x00, 0xDF, 0xE0, 0x9E,
        ],
        // movq mm0,[10F00h]; paddw mm0,mm1; movd eax,mm0; emms
        &[0x0F, 0x6F, 0x05, 0x00, 0x0F, 0x01, 0x00, 0x0F, 0xFD, 0xC1, 0x0F, 0x7E, 0xC0, 0x0F, 0x77],
    ];
    let mut pc = Pc::new();
    for body in loops {
        let back = -(body.len() as i32 + 5);
        let program = [body, &[0xE9], &back.to_le_bytes()].concat();
        pc.prepare(&program, Rng::new(0));
        pc.store(CONTROLS, &[0x7F, 0x03, 0, 0, 0x80, 0x1F, 0, 0]);
        pc.cpu.x87.set_control(0x37F);
        pc.cpu.simd.mxcsr = 0x1F80;
        pc.cpu.cr0 = cr0::PE | cr0::NE;
        pc.cpu.cr4 = cr4::OSFXSR;
        pc.cpu.state_changed();
        let asked = |t: &Translator| t.counters().callouts + t.counters().slow;
        let before = asked(&translator);
        pc.run(Some(&mut translator), 100_000);
        assert!(asked(&translator) - before < 12, "{}", listing(&program));
    }
}
