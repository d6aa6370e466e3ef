//! Runs a native case in one of our engines: a protected-mode machine with the same segments and pages.

use idem86::cpu::bus::Work;
use idem86::cpu::cpu::Cpu;
use idem86::cpu::flat::{self, FlatBus};
use idem86::cpu::softfloat::F80;
use idem86::cpu::state::control::{cr0, cr4};
use idem86::cpu::state::gpr::{AX, SP};
use idem86::cpu::state::segment::{AccessRights, Segment, TableRegister};
use idem86::cpu::state::x87::X87;
use idem86_translator::Translator;
use idem86_translator::host::native::layout::{
    CODE_LINEAR, OfferedSegment, PAGE_BYTES, PAGES, Storage, WINDOW_BYTES,
};
use idem86_translator::host::native::{
    EFLAGS_FIXED, EFLAGS_IN, EFLAGS_OUT, Ending, FxImage, NativeCase, NativeOutcome, NativeProcessor, State,
    gpr, sreg,
};
use std::cell::Cell;

/// Physical pages. Linear addresses of the guest's region are mapped as [`PAGES`] says; everything of the
/// system's is mapped, for the supervisor only, at [`SYSTEM`] plus its physical address.
mod place {
    pub const PAGE_DIRECTORY: usize = 0x0000;
    pub const GUEST_TABLE: usize = 0x1000;
    pub const SYSTEM_TABLE: usize = 0x2000;
    pub const GDT: usize = 0x3000;
    pub const IDT: usize = 0x3400;
    pub const TSS: usize = 0x3C00;
    pub const STACK_TOP: usize = 0x5000;
    pub const HANDLERS: usize = 0x5000;
    pub const CODE: usize = 0x6000;
    pub const WINDOW: usize = 0x7000;
    pub const LDT: usize = 0x1_0000;
    pub const END: usize = 0x2_0000;
}

/// Linear address of physical address 0.
const SYSTEM: usize = 0x40_0000;

/// Bytes between the handlers of two vectors; each is filled with HLT.
const HANDLER_BYTES: usize = 16;

/// Limit of Linux's global descriptor table, which selectors in error codes depend on.
const GDT_LIMIT: u16 = 127;
/// The TI bit of a selector.
const LOCAL: u16 = 4;
const KERNEL_CS: u16 = 0x08;
const KERNEL_SS: u16 = 0x10;
const TSS_SELECTOR: u16 = 0x18;

/// The interpreter or the translator, and the machine around it.
pub struct Interpreter {
    cpu: Cpu,
    translator: Option<Translator>,
    bus: FlatBus,
    ram: Vec<Cell<u8>>,
    segments: Vec<OfferedSegment>,
}

impl Interpreter {
    /// A machine with the segments of `processor`; it interprets if it has no translator.
    pub fn new(processor: &NativeProcessor, translator: Option<Translator>) -> Self {
        let ram = flat::ram(place::END);
        let put = |at: usize, bytes: &[u8]| flat::load(&ram, at, bytes);
        let put32 = |at: usize, value: usize| put(at, &(value as u32).to_le_bytes());
        const PRESENT: usize = 1;
        const WRITABLE: usize = 2;
        const USER: usize = 4;
        const ACCESSED_DIRTY: usize = 0x60;

        put32(place::PAGE_DIRECTORY, place::GUEST_TABLE | PRESENT | WRITABLE | USER);
        put32(place::PAGE_DIRECTORY + 4, place::SYSTEM_TABLE | PRESENT | WRITABLE);
        for page in PAGES {
            let physical = match page.storage {
                Storage::Code => place::CODE,
                Storage::WindowLower => place::WINDOW,
                Storage::WindowUpper => place::WINDOW + PAGE_BYTES as usize,
            };
            let rights = PRESENT | USER | ACCESSED_DIRTY | if page.writable { WRITABLE } else { 0 };
            put32(place::GUEST_TABLE + page.linear as usize / 0x1000 * 4, physical | rights);
        }
        for page in 0..place::END / 0x1000 {
            let entry = (page * 0x1000) | PRESENT | WRITABLE | ACCESSED_DIRTY;
            put32(place::SYSTEM_TABLE + page * 4, entry);
        }
        put(place::GDT + usize::from(KERNEL_CS), &[0xFF, 0xFF, 0, 0, 0, 0x9B, 0xCF, 0]);
        put(place::GDT + usize::from(KERNEL_SS), &[0xFF, 0xFF, 0, 0, 0, 0x93, 0xCF, 0]);
        for vector in 0..256 {
            let [a, b, c, d] = ((SYSTEM + place::HANDLERS + vector * HANDLER_BYTES) as u32).to_le_bytes();
            // 32-bit interrupt gates; INT3 and INTO may be used by all, as Linux has it.
            let dpl = if matches!(vector, 3 | 4 | 0x80) { 3 } else { 0 };
            put(place::IDT + vector * 8, &[a, b, KERNEL_CS as u8, 0, 0, 0x8E | dpl << 5, c, d]);
        }
        put32(place::TSS + 4, SYSTEM + place::STACK_TOP);
        put32(place::TSS + 8, KERNEL_SS.into());
        // The I/O permission bitmap lies behind the limit: there is none.
        put32(place::TSS + 0x64, 0xFFFF_0000);
        put(place::HANDLERS, &[0xF4; 256 * HANDLER_BYTES]);

        let segments = processor.segments().to_vec();
        for OfferedSegment { selector, descriptor, .. } in &segments {
            let table = if selector & LOCAL != 0 { place::LDT } else { place::GDT };
            put(table + usize::from(selector & !7), &descriptor.encode(descriptor.base));
        }
        let bus = FlatBus::new(place::END);
        Self { cpu: Cpu::new(), translator, bus, ram, segments }
    }

    /// How often translated code was entered, if there is a translator.
    pub fn entries(&self) -> Option<u64> {
        self.translator.as_ref().map(|translator| translator.counters().entries)
    }

    /// Runs the case; the outcome is in the terms of a native one.
    pub fn run(&mut self, case: &NativeCase) -> NativeOutcome {
        let NativeCase { code, before } = case;
        self.fill(before);
        let cs = &self.cpu.seg[sreg::CS];
        let at = place::CODE + (cs.base as u32).wrapping_add(before.eip).wrapping_sub(CODE_LINEAR) as usize;
        let room = (place::CODE + PAGE_BYTES as usize - at).min(code.len());
        self.store(at, &code[..room]);
        self.store(place::WINDOW, &before.window[..]);

        // A repeated string instruction takes a unit of work for each iteration.
        const MOST_ITERATIONS: Work = 0x2_0000;
        for _ in 0..MOST_ITERATIONS {
            match &mut self.translator {
                Some(translator) => self.cpu.run_with(translator, &self.ram, &mut self.bus, 1),
                None => self.cpu.step(&self.ram, &mut self.bus),
            };
            let repeats = code.iter().any(|byte| matches!(byte, 0xF2 | 0xF3))
                && self.cpu.rip == u64::from(before.eip)
                && self.cpu.cpl == 3;
            if !repeats {
                break;
            }
        }
        self.store(at, &[0xF4; 16][..room]);
        self.outcome(before)
    }

    fn store(&mut self, at: usize, bytes: &[u8]) {
        flat::load(&self.ram, at, bytes);
        self.cpu.ram_written(at as u64, bytes.len() as u64);
    }

    fn load<const N: usize>(&self, at: usize) -> [u8; N] {
        std::array::from_fn(|i| self.ram[at + i].get())
    }

    fn segment(&self, selector: u16) -> Segment {
        let Some(offered) = self.segments.iter().find(|offered| offered.selector == selector) else {
            return Segment::null(selector);
        };
        let d = offered.descriptor;
        let bytes = d.encode(d.base);
        let access = AccessRights(u16::from_le_bytes([bytes[5], bytes[6] & 0xF0]));
        Segment::new(selector, d.base.into(), d.limit, access)
    }

    fn fill(&mut self, before: &State) {
        let State { gpr, eip, eflags, selectors, fx, window: _ } = before;
        for (register, &value) in (AX..).zip(gpr) {
            self.cpu.gpr.set(register, value);
        }
        self.cpu.rip = u64::from(*eip);
        self.cpu.set_eflags(eflags & EFLAGS_IN | EFLAGS_FIXED);
        self.cpu.seg = selectors.map(|selector| self.segment(selector));
        let system = |at: usize| (SYSTEM + at) as u64;
        let local = self.segments.iter().filter(|offered| offered.selector & LOCAL != 0);
        let ldt_limit = local.map(|offered| offered.selector | 7).max().unwrap_or(0);
        self.cpu.ldtr = Segment::new(0x20, system(place::LDT), ldt_limit.into(), AccessRights(0x82));
        self.cpu.tr = Segment::new(TSS_SELECTOR, system(place::TSS), 0x67, AccessRights(0x8B));
        self.cpu.gdtr = TableRegister { base: system(place::GDT), limit: GDT_LIMIT };
        self.cpu.idtr = TableRegister { base: system(place::IDT), limit: 0x7FF };
        self.cpu.cpl = 3;
        self.cpu.cr0 = cr0::PE | cr0::PG | cr0::ET | cr0::NE | cr0::MP | cr0::AM | cr0::WP;
        self.cpu.cr2 = 0;
        self.cpu.cr3 = place::PAGE_DIRECTORY as u64;
        self.cpu.cr4 = cr4::OSFXSR | cr4::OSXMMEXCPT;
        self.cpu.halted = false;
        self.cpu.interrupt_shadow = false;
        self.cpu.debug_shadow = false;
        self.cpu.pending_debug = 0;
        self.cpu.x87 = x87_from(fx);
        self.cpu.simd.mxcsr = fx.mxcsr();
        for (i, register) in self.cpu.simd.xmm.iter_mut().enumerate().take(8) {
            *register = fx.xmm(i);
        }
        self.cpu.state_changed();
    }

    fn outcome(&self, before: &State) -> NativeOutcome {
        let mut after = before.clone();
        after.gpr = std::array::from_fn(|i| self.cpu.gpr.get(AX + i as u8));
        after.eip = self.cpu.rip as u32;
        after.eflags = self.cpu.eflags.bits();
        after.selectors = self.cpu.seg.map(|segment| segment.selector);
        fx_from(&self.cpu, &mut after.fx);
        after.window = Box::new(self.load::<WINDOW_BYTES>(place::WINDOW));
        let ending = if self.cpu.cpl == 0 { self.exception(&mut after) } else { Ending::Completed };
        after.eflags &= EFLAGS_OUT;
        for selector in after.selectors.iter_mut().filter(|selector| **selector <= 3) {
            *selector = 0;
        }
        NativeOutcome { after, ending }
    }

    /// Reads the exception from the frame on the supervisor's stack.
    fn exception(&self, after: &mut State) -> Ending {
        const PAGE_FAULT: u8 = 14;
        let handler = (self.cpu.rip as usize).wrapping_sub(SYSTEM + place::HANDLERS);
        let vector = (handler / HANDLER_BYTES) as u8;
        let sp = self.cpu.gpr.get::<u32>(SP) as usize - SYSTEM;
        let frame = |n: usize| u32::from_le_bytes(self.load(sp + 4 * n));
        let has_error_code = place::STACK_TOP - sp == 24;
        let at = usize::from(has_error_code);
        after.eip = frame(at);
        after.selectors[sreg::CS] = frame(at + 1) as u16;
        after.eflags = frame(at + 2);
        after.gpr[gpr::ESP] = frame(at + 3);
        after.selectors[sreg::SS] = frame(at + 4) as u16;
        Ending::Exception {
            vector,
            error_code: has_error_code.then(|| frame(0)),
            address: (vector == PAGE_FAULT).then_some(self.cpu.cr2 as u32),
        }
    }
}

fn x87_from(fx: &FxImage) -> X87 {
    let mut x87 = X87 {
        valid: fx.u16_at(4) as u8,
        last_opcode: fx.u16_at(6),
        last_ip: (0, fx.u32_at(8)),
        last_data: (0, fx.u32_at(16)),
        ..X87::default()
    };
    x87.set_control(fx.fcw());
    x87.set_status_word(fx.fsw());
    for i in 0..8 {
        x87.set_contents(i as u8, F80::from_bytes(fx.st(i)));
    }
    x87
}

fn fx_from(cpu: &Cpu, fx: &mut FxImage) {
    let x87 = &cpu.x87;
    let high = |value: u32| (value >> 16) as u16;
    for (offset, value) in [
        (0, x87.control),
        (2, x87.status_word()),
        (4, x87.valid.into()),
        (6, x87.last_opcode),
        (8, x87.last_ip.1 as u16),
        (10, high(x87.last_ip.1)),
        (16, x87.last_data.1 as u16),
        (18, high(x87.last_data.1)),
    ] {
        fx.set_u16(offset, value);
    }
    for i in 0..8 {
        fx.set_st(i, x87.st(i as u8).to_bytes());
        fx.set_xmm(i, cpu.simd.xmm[i]);
    }
    fx.set_mxcsr(cpu.simd.mxcsr);
    fx.normalize();
}
