//! Behaviour of the unit as a whole: availability, pending exceptions, stack faults, images in memory.

use crate::bus::{Bus, PageKind, Pins, Work};
use crate::cpu::Cpu;
use crate::event::exception::vector;
use crate::flat::{self, FlatBus};
use crate::run::Stop;
use crate::softfloat::F80;
use crate::state::control::{cr0, cr4};
use crate::state::gpr;
use crate::state::segment::{AccessRights, SegReg, Segment};
use std::cell::Cell;

const RAM: usize = 1 << 20;
/// Where code is placed: 0800:0000.
const CODE: usize = 0x8000;
/// The handler of vector n is a HLT at 0000:1000+n.
const HANDLERS: usize = 0x1000;
/// Where tests keep their data, in segment 2000h.
const DATA: u64 = 0x2_0000;

/// A flat bus with the x87's two pins.
struct Pinned {
    flat: FlatBus,
    ferr: bool,
    ignne: bool,
}

impl Bus for Pinned {
    fn page(&mut self, page: u64) -> PageKind {
        self.flat.page(page)
    }
    fn read(&mut self, address: u64, size: usize, now: Work) -> u64 {
        self.flat.read(address, size, now)
    }
    fn write(&mut self, address: u64, size: usize, value: u64, now: Work) {
        self.flat.write(address, size, value, now)
    }
    fn port_in(&mut self, port: u16, size: usize, now: Work) -> u32 {
        self.flat.port_in(port, size, now)
    }
    fn port_out(&mut self, port: u16, size: usize, value: u32, now: Work) {
        self.flat.port_out(port, size, value, now)
    }
    fn acknowledge_interrupt(&mut self, now: Work) -> u8 {
        self.flat.acknowledge_interrupt(now)
    }
    fn pins(&mut self) -> Pins {
        self.flat.pins()
    }
    fn ferr(&mut self, asserted: bool) {
        // The PC's board: FERR# requests interrupt 75h.
        self.flat.intr |= asserted && !self.ferr;
        self.flat.vector = 0x75;
        self.ferr = asserted;
    }
    fn ignne(&mut self) -> bool {
        self.ignne
    }
}

/// A processor in real mode with CS = 0800h, DS = ES = 2000h, SS = 3000h.
struct Machine {
    cpu: Cpu,
    ram: Vec<Cell<u8>>,
    bus: Pinned,
}

impl Machine {
    fn new() -> Machine {
        let ram = flat::ram(RAM);
        for n in 0..=255 {
            flat::load(&ram, 4 * n, &((HANDLERS + n) as u32).to_le_bytes());
            flat::load(&ram, HANDLERS + n, &[0xF4]);
        }
        let mut cpu = Cpu::new();
        for (register, selector) in
            [(SegReg::Cs, 0x800), (SegReg::Ds, 0x2000), (SegReg::Es, 0x2000), (SegReg::Ss, 0x3000)]
        {
            cpu.seg[register as usize] = Segment::real(selector, 0xFFFF, Segment::RESET_DATA);
        }
        cpu.gpr.set::<u16>(gpr::SP, 0x1000);
        cpu.cr0 = cr0::ET | cr0::NE;
        cpu.cr4 = cr4::OSFXSR;
        cpu.state_changed();
        let bus = Pinned { flat: FlatBus::new(RAM), ferr: false, ignne: false };
        Machine { cpu, ram, bus }
    }

    /// Runs `code` up to its end, and expects to get there.
    fn run(&mut self, code: &[u8]) {
        assert_eq!(self.try_run(code), None);
    }

    /// Runs `code` up to its end. The vector of the exception or interrupt that prevents it, if one does.
    fn try_run(&mut self, code: &[u8]) -> Option<usize> {
        flat::load(&self.ram, CODE, code);
        flat::load(&self.ram, CODE + code.len(), &[0xF4]);
        self.cpu.rip = 0;
        self.cpu.halted = false;
        self.cpu.ram_written(0, RAM as u64);
        self.go()
    }

    /// Runs to a HLT, and says whose.
    fn go(&mut self) -> Option<usize> {
        assert_eq!(self.cpu.run(&self.ram, &mut self.bus, 1000), Stop::Halted);
        let at = self.cpu.seg[SegReg::Cs as usize].base as usize + self.cpu.rip as usize - 1;
        at.checked_sub(HANDLERS).filter(|n| *n < 256)
    }

    fn bytes<const N: usize>(&self, offset: usize) -> [u8; N] {
        std::array::from_fn(|i| self.ram[DATA as usize + offset + i].get())
    }

    fn words<const N: usize>(&self, offset: usize) -> [u16; N] {
        std::array::from_fn(|i| u16::from_le_bytes(self.bytes(offset + 2 * i)))
    }

    fn doublewords<const N: usize>(&self, offset: usize) -> [u32; N] {
        std::array::from_fn(|i| u32::from_le_bytes(self.bytes(offset + 4 * i)))
    }

    fn load(&mut self, offset: usize, bytes: &[u8]) {
        flat::load(&self.ram, DATA as usize + offset, bytes);
    }
}

const FNINIT: [u8; 2] = [0xDB, 0xE3];
const FLD1: [u8; 2] = [0xD9, 0xE8];
const FLDZ: [u8; 2] = [0xD9, 0xEE];
const FLDPI: [u8; 2] = [0xD9, 0xEB];
const FADD_ST1: [u8; 2] = [0xD8, 0xC1];
const FDIV_ST1: [u8; 2] = [0xD8, 0xF1];
const FNOP: [u8; 2] = [0xD9, 0xD0];
const FNCLEX: [u8; 2] = [0xDB, 0xE2];
const FNSTSW_AX: [u8; 2] = [0xDF, 0xE0];
const WAIT: [u8; 1] = [0x9B];

/// Unmasks division by zero, at `[0]`.
const FLDCW_0: [u8; 4] = [0xD9, 0x2E, 0, 0];

/// A unit with an unmasked division by zero pending.
fn with_pending_error() -> Machine {
    let mut m = Machine::new();
    m.load(0, &0x37Bu16.to_le_bytes());
    m.run(&[&FNINIT[..], &FLDCW_0, &FLDZ, &FLD1].concat());
    m.bus.ferr = false;
    m
}

#[test]
fn unmasked_error_is_reported_by_the_next_waiting_instruction() {
    for (waiting, length) in [(&FNOP[..], 2), (&FLD1, 2), (&WAIT, 1), (&FLDCW_0, 4)] {
        let mut m = with_pending_error();
        let code = [&FDIV_ST1[..], &FNSTSW_AX, waiting].concat();
        assert_eq!(m.try_run(&code), Some(vector::MF as usize), "{waiting:02x?}");
        assert_eq!(m.cpu.gpr.get::<u16>(gpr::AX), 0xB084, "TOP, ES, B and ZE");
        let return_ip = u16::from_le_bytes(std::array::from_fn(|i| m.ram[0x3_0000 + 0x0FFA + i].get()));
        assert_eq!(return_ip as usize, code.len() - length);
        // The operands are as they were.
        assert_eq!((m.cpu.x87.st(0), m.cpu.x87.st(1)), (F80::ONE, F80::default()));
        assert!(!m.bus.ferr, "with NE the error stays inside");
    }
}

#[test]
fn non_waiting_instructions_ignore_a_pending_error() {
    let code = [&FDIV_ST1[..], &FNSTSW_AX, &[0xD9, 0x3E, 0, 1], &[0xDD, 0x3E, 2, 1], &FNCLEX, &FNOP].concat();
    with_pending_error().run(&code);
    for other in [&FNINIT[..], &[0xD9, 0x36, 0, 1], &[0xDD, 0x36, 0, 1]] {
        with_pending_error().run(&[&FDIV_ST1[..], other, &FNOP].concat());
    }
}

#[test]
fn without_ne_ferr_is_asserted_upon_completion_of_the_instruction() {
    let mut m = with_pending_error();
    m.cpu.cr0 &= !cr0::NE;
    m.run(&FDIV_ST1);
    assert!(m.bus.ferr);
    m.run(&FNCLEX);
    assert!(!m.bus.ferr);
}

#[test]
fn without_ne_the_processor_freezes_before_the_next_waiting_instruction() {
    let mut m = with_pending_error();
    m.cpu.cr0 &= !cr0::NE;
    flat::load(&m.ram, CODE, &[&FDIV_ST1[..], &FLD1, &[0xF4]].concat());
    m.cpu.rip = 0;
    m.cpu.halted = false;
    m.cpu.ram_written(0, RAM as u64);
    assert_eq!(m.cpu.run(&m.ram, &mut m.bus, 1000), Stop::Halted);
    assert_eq!(m.cpu.rip, 2, "interrupts are disabled: it waits at the instruction");

    // IRQ 13, whose handler (a HLT here) asserts IGNNE# and returns: the instruction then ignores the error.
    m.cpu.set_eflags(m.cpu.eflags.bits() | 0x200);
    assert_eq!(m.go(), Some(0x75));
    m.bus.ignne = true;
    m.cpu.rip = 2;
    m.cpu.seg[SegReg::Cs as usize] = Segment::real(0x800, 0xFFFF, Segment::RESET_DATA);
    m.cpu.halted = false;
    m.cpu.state_changed();
    assert_eq!(m.go(), None);
    assert_eq!((m.cpu.rip, m.cpu.x87.st(0), m.cpu.x87.top), (5, F80::ONE, 5));
    assert!(m.cpu.x87.error_pending(), "ignored, not cleared");
}

#[test]
fn fldcw_that_unmasks_a_set_flag_makes_it_pending() {
    let mut m = Machine::new();
    m.load(0, &0x37Bu16.to_le_bytes());
    let code = [&FNINIT[..], &FLDZ, &FLD1, &FDIV_ST1, &FLDCW_0, &FNOP].concat();
    assert_eq!(m.try_run(&code), Some(vector::MF as usize));
    assert_eq!(
        m.cpu.x87.st(0),
        F80 { significand: 1 << 63, sign_exponent: 0x7FFF },
        "delivered under the mask"
    );
}

/// SDM Vol. 3A, "Interrupt 7—Device Not Available Exception (#NM)".
#[test]
fn device_not_available() {
    const NM: Option<usize> = Some(vector::NM as usize);
    for (bits, escape, wait) in [
        (0, None, None),
        (cr0::EM, NM, None),
        (cr0::TS, NM, None),
        (cr0::MP, None, None),
        (cr0::TS | cr0::MP, NM, NM),
        (cr0::EM | cr0::MP, NM, None),
    ] {
        let run = |code: &[u8]| {
            let mut m = Machine::new();
            m.cpu.cr0 |= bits;
            m.try_run(code)
        };
        assert_eq!(run(&WAIT), wait, "WAIT, {bits:x}");
        for code in [&FNINIT[..], &FLD1, &FNCLEX, &FNSTSW_AX, &[0xD9, 0x3E, 0, 0], &[0x0F, 0xAE, 0x06, 0, 0]]
        {
            assert_eq!(run(code), escape, "{code:02x?}, {bits:x}");
        }
    }
}

#[test]
fn undefined_escape_opcodes_raise_nm_before_ud() {
    for code in [[0xD9, 0xD1], [0xD9, 0x0E], [0xDB, 0x26], [0xDF, 0xFF]] {
        let mut m = Machine::new();
        assert_eq!(m.try_run(&code), Some(vector::UD as usize));
        m = Machine::new();
        m.cpu.cr0 |= cr0::TS;
        assert_eq!(m.try_run(&code), Some(vector::NM as usize));
        assert_eq!(m.try_run(&[0xF0, code[0], code[1]]), Some(vector::UD as usize), "LOCK");
    }
}

#[test]
fn stack_overflow_and_underflow() {
    let indefinite = F80 { significand: 3 << 62, sign_exponent: 0xFFFF };
    let mut m = Machine::new();
    m.run(&[&FNINIT[..], &FADD_ST1].concat());
    assert_eq!((m.cpu.x87.status_word(), m.cpu.x87.st(0)), (0x0041, indefinite), "underflow: C1 clear");

    m = Machine::new();
    m.run(&[&FNINIT[..], &FLD1.repeat(8), &FLDPI].concat());
    assert_eq!((m.cpu.x87.status_word(), m.cpu.x87.st(0)), (0x3A41, indefinite), "overflow: C1 set");
    assert_eq!(m.cpu.x87.st(1), F80::ONE);

    m = Machine::new();
    m.load(0, &0x37Eu16.to_le_bytes());
    m.run(&[&FNINIT[..], &FLDCW_0, &FLD1.repeat(8), &FLDPI].concat());
    assert_eq!((m.cpu.x87.status_word(), m.cpu.x87.st(0)), (0x82C1, F80::ONE), "unmasked: nothing moves");
}

/// The unit after a division in 32-bit operand size of a number in memory, at known addresses.
fn after_a_division(m: &mut Machine) {
    m.load(0x10, &3f32.to_le_bytes());
    // FNINIT; FLDZ; FLD1; ES FDIV dword [10h]
    m.run(&[&FNINIT[..], &FLDZ, &FLD1, &[0x26, 0xD8, 0x36, 0x10, 0x00]].concat());
}

/// SDM Vol. 1, "Real Mode x87 FPU State Image in Memory", 16-bit and 32-bit formats.
#[test]
fn real_mode_environment_images() {
    let mut m = Machine::new();
    after_a_division(&mut m);
    // The prefix belongs to the instruction: it is at 0800:0006, linear 8006h; its operand at 2000:0010.
    m.run(&[0xD9, 0x36, 0, 1]);
    assert_eq!(m.words(0x100), [0x37F, 0x3220, 0x4FFF, 0x8006, 0x0036, 0x0010, 0x2000]);
    m.run(&[0x66, 0xD9, 0x36, 0, 1]);
    let image = m.doublewords::<7>(0x100);
    assert_eq!(image.map(|d| d as u16), [0x37F, 0x3220, 0x4FFF, 0x8006, 0x0036, 0x0010, 0x2000]);

    // A pointer beyond 64 KiB, and the opcode beside it.
    m.cpu.x87.last_ip = (0xFFFF, 0x1234);
    m.cpu.x87.last_opcode = 0x7FF;
    m.run(&[0x66, 0xD9, 0x36, 0, 1]);
    assert_eq!(m.doublewords::<7>(0x100)[3..5], [0xFFFF_1224, 0x0001_07FF]);
    m.run(&[0xD9, 0x36, 0, 2]);
    assert_eq!(m.words::<7>(0x200)[3..5], [0x1224, 0x07FF], "bits 19:16 of the address");
    m.run(&[0x66, 0xD9, 0x26, 0, 1]);
    assert_eq!((m.cpu.x87.last_ip, m.cpu.x87.last_opcode), ((0, 0x0010_1224), 0x7FF));
}

/// SDM Vol. 1, "Protected Mode x87 FPU State Image in Memory".
#[test]
fn protected_mode_environment_images() {
    let mut m = Machine::new();
    after_a_division(&mut m);
    m.cpu.cr0 |= cr0::PE;
    let code = Segment::new(0x08, CODE as u64, 0xFFFF, AccessRights(0x9B));
    m.cpu.seg[SegReg::Cs as usize] = code;
    m.cpu.seg[SegReg::Ds as usize] = Segment::new(0x10, DATA, 0xFFFF, AccessRights(0x93));
    m.cpu.state_changed();
    m.run(&[0xD9, 0x36, 0, 1]);
    assert_eq!(m.words(0x100), [0x37F, 0x3220, 0x4FFF, 0x0006, 0x0800, 0x0010, 0x2000]);
    m.run(&[0x66, 0xD9, 0x36, 0, 1]);
    let expected =
        [0xFFFF_037F, 0xFFFF_3220, 0xFFFF_4FFF, 0x0000_0006, 0x0036_0800, 0x0000_0010, 0xFFFF_2000];
    assert_eq!(m.doublewords(0x100), expected);
    let before = m.cpu.x87;
    m.cpu.x87.initialize();
    m.run(&[0x66, 0xD9, 0x26, 0, 1]);
    assert_eq!(m.cpu.x87, before);
}

#[test]
fn fnstenv_masks_all_exceptions_and_fnsave_initializes() {
    let mut m = Machine::new();
    m.load(0, &0x340u16.to_le_bytes());
    m.run(&[&FNINIT[..], &FLDCW_0, &[0xD9, 0x36, 0, 1]].concat());
    assert_eq!((m.words::<1>(0x100), m.cpu.x87.control), ([0x340], 0x37F));

    m.run(&[&FLDPI[..], &FLD1, &FNOP].concat());
    let before = m.cpu.x87;
    m.run(&[0xDD, 0x36, 0, 1]);
    assert_eq!((m.cpu.x87.control, m.cpu.x87.tag_word(), m.cpu.x87.top), (0x37F, 0xFFFF, 0));
    assert_eq!(m.bytes(0x100 + 14), F80::ONE.to_bytes(), "ST(0) comes first");
    m.run(&[0xDD, 0x26, 0, 1]);
    let saved = |x: &crate::state::x87::X87| (x.control, x.status_word(), x.tag_word(), x.st(0), x.st(1));
    assert_eq!(saved(&m.cpu.x87), saved(&before));
}

#[test]
fn faults_of_a_store_leave_the_unit_alone() {
    let mut m = Machine::new();
    m.run(&[&FNINIT[..], &FLDPI].concat());
    m.cpu.seg[SegReg::Ds as usize].limit = 0xFF;
    m.cpu.state_changed();
    let before = m.cpu.x87;
    for code in [
        [0xD9, 0x1E, 0xFD, 0x00], // FSTP dword, inexact
        [0xDB, 0x3E, 0xF7, 0x00], // FSTP tbyte
        [0xDF, 0x36, 0xF8, 0x00], // FBSTP
        [0xDD, 0x36, 0xF0, 0x00], // FNSAVE
        [0xD9, 0x36, 0xF4, 0x00], // FNSTENV
        [0xDD, 0x26, 0xF0, 0x00], // FRSTOR
        [0xD8, 0x0E, 0xFD, 0x00], // FMUL dword
    ] {
        assert_eq!(m.try_run(&code), Some(vector::GP as usize), "{code:02x?}");
        assert_eq!(m.cpu.x87, before, "{code:02x?}");
        m.cpu.seg[SegReg::Cs as usize] = Segment::real(0x800, 0xFFFF, Segment::RESET_DATA);
        m.cpu.state_changed();
    }
}

#[test]
fn fxsave_and_fxrstor() {
    const FXSAVE: [u8; 5] = [0x0F, 0xAE, 0x06, 0x00, 0x04];
    const FXRSTOR: [u8; 5] = [0x0F, 0xAE, 0x0E, 0x00, 0x04];
    let mut m = Machine::new();
    after_a_division(&mut m);
    m.cpu.simd.xmm[7] = 0x0123_4567_89AB_CDEF_0011_2233_4455_6677u128.to_le_bytes();
    m.cpu.simd.mxcsr = 0x1FA5;
    m.run(&FXSAVE);
    assert_eq!(m.words(0x400), [0x37F, 0x3220, 0x00C0, 0x0036, 0x0006, 0, 0x0800, 0]);
    assert_eq!(m.doublewords(0x410), [0x10, 0x2000, 0x1FA5, 0xFFFF]);
    assert_eq!(m.bytes(0x420), m.cpu.x87.st(0).to_bytes());
    assert_eq!(m.bytes(0x400 + 160 + 7 * 16), m.cpu.simd.xmm[7]);

    let (x87, simd) = (m.cpu.x87, m.cpu.simd);
    m.cpu.x87 = Default::default();
    m.cpu.simd = Default::default();
    m.run(&FXRSTOR);
    assert_eq!((m.cpu.x87, m.cpu.simd), (x87, simd));

    // Without OSFXSR, SSE state stays out of it.
    m.cpu.cr4 = 0;
    m.load(0x400, &[0xEE; 512]);
    m.run(&FXSAVE);
    assert_eq!((m.doublewords(0x418), m.bytes(0x4A0)), ([0xEEEE_EEEE; 2], [0xEE; 16]));
    m.cpu.simd = Default::default();
    m.run(&FXRSTOR);
    assert_eq!((m.cpu.x87, m.cpu.simd), (x87, Default::default()));

    // A reserved bit of MXCSR, and a misaligned image.
    m.cpu.cr4 = cr4::OSFXSR;
    m.load(0x418, &0x0001_1F80u32.to_le_bytes());
    assert_eq!(m.try_run(&FXRSTOR), Some(vector::GP as usize));
    assert_eq!(m.cpu.x87, x87);
    let mut m = Machine::new();
    assert_eq!(m.try_run(&[0x0F, 0xAE, 0x06, 0x08, 0x04]), Some(vector::GP as usize));
}

#[test]
fn images_may_span_pages() {
    let mut m = Machine::new();
    after_a_division(&mut m);
    let before = m.cpu.x87;
    // FNSAVE and FRSTOR at an address whose image crosses a page, byte by byte.
    for offset in 0xF9Fu16..=0x1000 {
        let [low, high] = offset.to_le_bytes();
        m.run(&[0x66, 0xDD, 0x36, low, high]);
        assert_eq!(m.cpu.x87.tag_word(), 0xFFFF);
        m.run(&[0x66, 0xDD, 0x26, low, high]);
        let linear = |(selector, offset): (u16, u32)| ((selector as u32) << 4) + offset;
        assert_eq!(m.cpu.x87.last_data, (0, linear(before.last_data)));
        m.cpu.x87.last_ip = before.last_ip;
        m.cpu.x87.last_data = before.last_data;
        assert_eq!(m.cpu.x87, before, "{offset:x}");
    }
}

#[test]
fn conditional_moves_and_flag_comparisons_use_eflags() {
    let mut m = Machine::new();
    // FLD1; FLDZ; FCOMI ST, ST(1): less; FCMOVB ST, ST(1); FUCOMIP ST, ST(1): equal, pops
    m.run(&[&FNINIT[..], &FLD1, &FLDZ, &[0xDB, 0xF1, 0xDA, 0xC1]].concat());
    assert_eq!((m.cpu.x87.st(0), m.cpu.eflags.arithmetic()), (F80::ONE, 0x01));
    m.run(&[0xDF, 0xE9]);
    assert_eq!((m.cpu.x87.top, m.cpu.eflags.arithmetic()), (7, 0x40));
}

#[test]
fn opcode_and_pointers_skip_control_instructions() {
    let mut m = Machine::new();
    after_a_division(&mut m);
    let pointers = |m: &Machine| (m.cpu.x87.last_ip, m.cpu.x87.last_opcode, m.cpu.x87.last_data);
    let expected = ((0x800, 6), 0x036, (0x2000, 0x10));
    assert_eq!(pointers(&m), expected);
    m.load(0, &0x37Fu16.to_le_bytes());
    m.run(&[&FLDCW_0[..], &FNSTSW_AX, &FNCLEX, &WAIT].concat());
    assert_eq!(pointers(&m), expected);
    m.run(&[&WAIT[..], &FLD1].concat());
    assert_eq!(pointers(&m), ((0x800, 1), 0x1E8, (0x2000, 0x10)));
}
