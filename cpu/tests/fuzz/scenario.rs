//! A processor in some mode with some registers, tables and code, all of which a stream of bytes decides, and what
//! must hold whatever it decides.

use super::entropy::Entropy;
use super::world::{LOW_RAM, World, ram};
use crate::engine::{Engine, Memory};
use idem86_cpu::bus::Work;
use idem86_cpu::cpu::Cpu;
use idem86_cpu::decode::{self, MAX_LENGTH, Undecodable};
use idem86_cpu::event::exception::Fault;
use idem86_cpu::processor::Processor;
use idem86_cpu::run::Stop;
use idem86_cpu::state::control::{cr0, cr4, dr7, efer};
use idem86_cpu::state::eflags::bit;
use idem86_cpu::state::save::{CpuState, SegmentState};
use idem86_cpu::state::segment::{AccessRights, TableRegister};

/// Where things are.
mod place {
    pub const GDT: u32 = 0x1000;
    pub const IDT: u32 = 0x1800;
    pub const LDT: u32 = 0x2000;
    pub const TSS32: u32 = 0x3000;
    pub const TSS16: u32 = 0x4000;
    pub const PAGING: u32 = 0x8000;
    /// Four pages of paging structures.
    pub const PAGING_PAGES: u32 = 4;
    pub const CODE: u32 = 0x1_0000;
    pub const CODE_BYTES: u32 = 0x400;
}

/// Selectors of descriptors that are as they should be.
mod select {
    pub const LDT: u16 = 0x08;
    pub const TSS: u16 = 0x10;
    /// 16-bit code with its base at the code.
    pub const CODE16: u16 = 0x18;
    /// Flat code of a privilege level.
    pub fn code(level: u8) -> u16 {
        (0x20 + 0x10 * level as u16) | level as u16
    }
    /// Flat data of a privilege level.
    pub fn data(level: u8) -> u16 {
        code(level) + 8
    }
}

/// The mode that a scenario starts in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Real,
    Protected16,
    Protected32,
    Virtual8086,
    Paged32,
    PagedPae,
}

/// A machine about to run.
pub struct Scenario {
    pub cpu: Cpu,
    pub ram: Memory,
    pub world: World,
    pub engine: Engine,
    /// What translations depended on at the beginning, if the guest cannot reach its paging structures.
    closed: Option<Translations>,
}

/// What translations depend on: CR3, CR4, IA32_EFER, and the paging structures without accessed and dirty bits.
type Translations = (u64, u32, u64, Vec<u8>);

impl Clone for Scenario {
    /// The processor is built anew from its saved state: with cold caches, and the engine under test.
    fn clone(&self) -> Self {
        let mut cpu = Cpu::new();
        let state = self.cpu.save();
        cpu.restore(&state).unwrap_or_else(|error| panic!("{error}: {state:x?}"));
        let (ram, world, closed) = (self.ram.clone(), self.world.clone(), self.closed.clone());
        Scenario { cpu, ram, world, engine: Engine::under_test(), closed }
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The work was done.
    Done,
    /// It stood still, or was asked to stop.
    Stopped(Stop),
}

/// How much work may be done beyond a budget: one event leads to a few others at most.
const SLACK: Work = 16;

impl Scenario {
    /// The scenario that `entropy` describes, in `mode`.
    pub fn new(mode: Mode, entropy: &mut Entropy) -> Scenario {
        let world = World::new(entropy.u64(), if entropy.one_in(2) { entropy.u8() / 2 } else { 0 });
        let mut s =
            Scenario { cpu: Cpu::new(), ram: ram(), world, engine: Engine::under_test(), closed: None };
        s.put_tables(entropy);
        let closed = entropy.one_in(2);
        s.put_paging(mode == Mode::PagedPae, closed, entropy);
        s.closed = closed.then(|| s.translations());
        s.start(mode, entropy);
        s.put_code(entropy);
        s
    }

    /// Gives the processor new registers.
    fn start(&mut self, mode: Mode, entropy: &mut Entropy) {
        let mut state = self.state(mode, entropy);
        if self.closed.is_some() {
            state.pdpte = [place::PAGING as u64 | 1; 4];
        }
        let before = self.cpu.save();
        // What is impossible is refused; then it goes on as it was.
        if self.cpu.restore(&state).is_err() {
            assert_eq!(self.cpu.save(), before, "a refused state changes nothing");
        }
        if let Some((.., paging)) = &self.closed {
            let now = self.translations();
            self.closed = (now.3 == *paging).then_some(now);
        }
    }

    fn translations(&self) -> Translations {
        let entry_size = if self.cpu.cr4 & cr4::PAE != 0 { 8 } else { 4 };
        let structures = place::PAGING as usize..(place::PAGING + place::PAGING_PAGES * 0x1000) as usize;
        let without_history = |(n, byte): (usize, &u8)| {
            if n % entry_size == 0 { byte & !0x60 } else { *byte }
        };
        let bytes = self.ram[structures].iter().enumerate().map(without_history).collect();
        (self.cpu.cr3, self.cpu.cr4, self.cpu.efer, bytes)
    }

    fn put(&mut self, at: u32, bytes: &[u8]) {
        for (byte, b) in self.ram[at as usize..].iter_mut().zip(bytes) {
            *byte = *b;
        }
    }

    fn put_tables(&mut self, e: &mut Entropy) {
        for vector in 0..256 {
            let (segment, offset) = (place::CODE >> 4, e.u16() as u32 % place::CODE_BYTES);
            self.put(vector * 4, &(segment << 16 | offset).to_le_bytes());
        }
        for n in 0..64 {
            let descriptor = descriptor(e);
            self.put(place::GDT + n * 8, &descriptor.to_le_bytes());
        }
        // What is needed for handlers to be entered, more often than not.
        for (selector, descriptor) in [
            (select::LDT, system_segment(0x82, place::LDT, 0x7F)),
            (select::TSS, system_segment(0x8B, place::TSS32, 0xFF)),
            (select::CODE16, 0x0000_9B01_0000_FFFF),
        ] {
            self.put(place::GDT + selector as u32, &descriptor.to_le_bytes());
        }
        for level in 0..4 {
            let flat = 0x00CF_9300_0000_FFFF | (level as u64) << 45;
            let at = place::GDT + (select::code(level) & !7) as u32;
            self.put(at, &(flat | 8 << 40).to_le_bytes());
            self.put(at + 8, &flat.to_le_bytes());
        }
        for n in 0..64 {
            // Exceptions are mostly handled.
            let gate = match e.below(if n < 20 { 32 } else { 8 }) {
                0 => descriptor(e),
                1 => gate(e),
                _ => handler(e),
            };
            self.put(place::IDT + n * 8, &gate.to_le_bytes());
        }
        for n in 0..16 {
            let descriptor = descriptor(e);
            self.put(place::LDT + n * 8, &descriptor.to_le_bytes());
        }
        for at in [place::TSS32, place::TSS16] {
            for n in 0..40 {
                let v = if e.one_in(4) { e.u32() } else { address(e) };
                self.put(at + n * 4, &v.to_le_bytes());
            }
        }
        for level in 0..3 {
            let (stack, selector) = (LOW_RAM as u32 - 0x1000 * (1 + level as u32), select::data(level));
            self.put(place::TSS32 + 4 + 8 * level as u32, &stack.to_le_bytes());
            self.put(place::TSS32 + 8 + 8 * level as u32, &selector.to_le_bytes());
            self.put(place::TSS16 + 2 + 4 * level as u32, &0xF000u16.to_le_bytes());
            self.put(place::TSS16 + 4 + 4 * level as u32, &selector.to_le_bytes());
        }
    }

    /// Four pages of paging structures. If they are to be closed, the first is the directory and the others are
    /// tables that lead to low memory except there; else everything leads anywhere.
    fn put_paging(&mut self, pae: bool, closed: bool, e: &mut Entropy) {
        let entry_size = if pae { 8 } else { 4 };
        for page in 0..place::PAGING_PAGES {
            // Most entries of a table are alike; a pattern of sixteen is repeated.
            let pattern: Vec<u64> = (0..16).map(|_| page_entry(e)).collect();
            for n in 0..0x1000 / entry_size {
                let own = place::PAGING >> 12..(place::PAGING >> 12) + place::PAGING_PAGES;
                let entry = match (pattern[n as usize % 16], closed) {
                    (v, true) if page == 0 => {
                        v & 7 | if n == 0 { 7 } else { 0 } | (place::PAGING + 0x1000 * (1 + n % 3)) as u64
                    }
                    (_, true) if own.contains(&n) => 0,
                    // System tables, code and stacks are there.
                    (v, true) if matches!(n, 0..5 | 0x10..0x12 | 0x3C..0x40) => {
                        v & 0x164 | 3 | (n as u64) << 12
                    }
                    (v, true) => v & 0x167 | (n as u64) << 12,
                    (v, false) if v & IDENTITY != 0 => v & 0xFFF | (n as u64) << 12,
                    (v, false) => v,
                };
                let at = place::PAGING + page * 0x1000 + n * entry_size;
                self.put(at, &entry.to_le_bytes()[..entry_size as usize]);
            }
        }
    }

    fn put_code(&mut self, e: &mut Entropy) {
        let state = self.cpu.save();
        let start = (state.seg[1].base as u32).wrapping_add(state.rip as u32) % LOW_RAM as u32;
        for at in [place::CODE, start] {
            let code = code(e, place::CODE_BYTES as usize);
            self.put(at, &code);
        }
    }

    /// The registers.
    fn state(&self, mode: Mode, e: &mut Entropy) -> CpuState {
        let mut s = self.cpu.save();
        for r in &mut s.gpr[..8] {
            *r = address(e) as u64;
        }
        if !e.one_in(4) {
            s.gpr[4] = LOW_RAM - 0x100;
        }
        let paged = matches!(mode, Mode::Paged32 | Mode::PagedPae) || mode != Mode::Real && e.one_in(4);
        let pae = mode == Mode::PagedPae;
        s.eflags = e.u32() & bit::DEFINED & !(bit::VM | bit::TF | bit::RF) | bit::ONE;
        if e.one_in(8) {
            s.eflags |= e.u32() & (bit::TF | bit::RF);
        }
        s.cpl = 0;
        s.cr0 = cr0::ET | e.pick(&[0, cr0::NE, cr0::WP, cr0::AM | cr0::WP, cr0::EM, cr0::TS | cr0::MP]);
        s.cr4 = e.pick(&[0, cr4::VME | cr4::PVI, cr4::DE | cr4::PGE | cr4::OSFXSR, cr4::WRITABLE]);
        s.cr4 = s.cr4 & !(cr4::PSE | cr4::PAE) | if pae { cr4::PAE } else { e.u32() & cr4::PSE };
        s.efer = if e.one_in(2) { efer::NXE } else { 0 };
        s.cr3 = place::PAGING as u64;
        s.pdpte = [1, 1, 1, 1].map(|p| (place::PAGING + 0x1000 * e.below(4)) as u64 | p);
        let table = |base: u32, limit| TableRegister { base: base as u64, limit };
        let mut limit = || if e.one_in(16) { 0x0F } else { 0x1FF };
        s.gdtr = table(place::GDT, limit());
        s.idtr = table(place::IDT, limit());
        if e.one_in(32) {
            s.gdtr.base = e.u32() as u64;
        }
        s.ldtr = SegmentState {
            access: AccessRights(0x82),
            base: place::LDT as u64,
            limit: 0x7F,
            selector: select::LDT,
        };
        let tss = if e.one_in(8) { (0x83, place::TSS16) } else { (0x8B, place::TSS32) };
        s.tr = SegmentState {
            access: AccessRights(tss.0),
            base: tss.1 as u64,
            limit: if e.one_in(16) { 0x2B } else { e.pick(&[0x67, 0xFF, 0xFFFF]) },
            selector: select::TSS,
        };
        if e.one_in(4) {
            s.dr = [0; 4].map(|_| address(e) as u64);
            s.dr7 = e.u32() & dr7::WRITABLE | dr7::FIXED;
        }
        s.msr.sysenter = [e.u16() as u64, address(e) as u64, address(e) as u64];
        s.x87.control = e.u16() & 0x1F3F | 0x40;
        s.simd.mxcsr = e.pick(&[0x1F80, 0, 0x9FC0, 0x3F]);
        s.rip = e.pick(&[0u32, 0xFFF, 0x1000 - 3, place::CODE]) as u64;
        s.halted = e.one_in(32);
        s.nmi_pending = e.one_in(16);
        s.interrupt_shadow = e.one_in(8);

        let real = |selector: u16| SegmentState {
            selector,
            access: AccessRights(0x93),
            limit: 0xFFFF,
            base: (selector as u64) << 4,
        };
        let code_selector = (place::CODE >> 4) as u16;
        let mut selector = |n: usize| if n == 1 { code_selector } else { e.u16() & 0x4FFF };
        match mode {
            Mode::Real => {
                s.seg = std::array::from_fn(|n| real(selector(n)));
                s.idtr = table(0, 0x3FF);
                s.rip &= 0xFFFF;
                if e.one_in(4) {
                    // Limits left over from protected mode.
                    s.seg.iter_mut().for_each(|s| s.limit = 0xFFFF_FFFF);
                }
                s.eflags &= !(bit::VIF | bit::VIP);
            }
            Mode::Virtual8086 => {
                let v86 = |n| SegmentState { access: AccessRights(0xF3), ..real(n) };
                s.seg = std::array::from_fn(|n| v86(selector(n)));
                s.rip &= 0xFFFF;
                s.eflags |= bit::VM;
                s.cpl = 3;
            }
            _ => {
                s.cpl = e.below(4) as u8;
                let dpl = (s.cpl as u16) << 5;
                let wide = if mode == Mode::Protected16 { 0 } else { 0x4000 };
                let limit = if wide == 0 { 0xFFFF } else { e.pick(&[0xFFFF_FFFF, 0xFFFF_FFFF, 0xF_FFFF]) };
                let base = if wide == 0 { place::CODE as u64 } else { 0 };
                s.seg = std::array::from_fn(|n| SegmentState {
                    selector: if n == 1 { select::code(s.cpl) } else { select::data(s.cpl) },
                    access: AccessRights(if n == 1 { 0x9B } else { 0x93 } | dpl | wide),
                    limit,
                    base,
                });
                if e.one_in(8) {
                    let n = e.below(6) as usize;
                    s.seg[n].access = AccessRights(e.u16() & 0xF0FF);
                    s.seg[n].limit = e.u32();
                }
            }
        }
        if mode != Mode::Real {
            s.cr0 |= cr0::PE | if paged { cr0::PG } else { 0 };
        }
        s
    }

    /// A copy that the interpreter runs.
    pub fn interpreted(&self) -> Scenario {
        Scenario { engine: Engine::interpreter(), ..self.clone() }
    }

    /// The instruction that is there after `work`, in words.
    fn at_work(&self, work: Work) -> String {
        let mut s = self.interpreted();
        s.run(work, 1);
        let state = s.cpu.save();
        let linear = state.seg[1].base.wrapping_add(state.rip) as u32;
        let bytes: Vec<u8> =
            (0..MAX_LENGTH).filter_map(|n| s.ram.get(linear as usize + n)).copied().collect();
        let size = s.cpu.code_size();
        match decode::decode(&bytes, size) {
            Ok(i) => format!("{i} in {size}-bit code at {linear:x} (if not mapped elsewhere)"),
            Err(_) => format!("{bytes:02x?} in {size}-bit code at {linear:x}"),
        }
    }

    /// Does `work`, in runs of at most `slice`.
    pub fn run(&mut self, work: Work, slice: Work) -> End {
        let end = self.cpu.work() + work;
        while self.cpu.work() < end {
            let (before, accesses) = (self.cpu.work(), self.world.accesses);
            let budget = slice.min(end - before);
            let stop = self.engine.run(&mut self.cpu, &mut self.ram, &mut self.world, budget);
            let done = self.cpu.work() - before;
            assert!(done <= budget + SLACK, "{done} units of work for a budget of {budget}");
            assert!(stop != Stop::Budget || done >= budget, "{done} units of work, {budget} were asked for");
            let accesses = self.world.accesses - accesses;
            assert!(accesses <= (done + 1) * 4096, "{accesses} accesses for {done} units of work");
            match stop {
                Stop::Budget | Stop::Pause => {}
                stop => return End::Stopped(stop),
            }
        }
        End::Done
    }

    /// Everything that a guest can see.
    pub fn picture(&self) -> (CpuState, Vec<u8>) {
        (self.cpu.save(), self.ram.to_vec())
    }

    /// Whether what the guest sees may depend on what is cached: with paging, a translation that was changed and not
    /// invalidated may be used or not.
    fn can_see_caches(&self) -> bool {
        self.cpu.cr0 & cr0::PG != 0
            && self.closed.as_ref().is_none_or(|closed| *closed != self.translations())
    }

    /// Somebody else writes memory: direct memory access into code.
    pub fn write_from_outside(&mut self, e: &mut Entropy) {
        let at = place::CODE + e.below(place::CODE_BYTES);
        let bytes = code(e, 8);
        self.put(at, &bytes);
        self.cpu.ram_written(at as u64, bytes.len() as u64);
    }
}

/// A number that is likely to be an address, a small count or an extreme.
fn address(e: &mut Entropy) -> u32 {
    match e.below(8) {
        0 => e.u32(),
        1 => e.u8() as u32,
        2 => e.pick(&[0, 1, 0xFFFF, 0x10000, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 0xFFFF_FFFE]),
        3 => place::CODE + e.u16() as u32 % (2 * place::CODE_BYTES),
        4 => (e.u16() as u32) << 12 | e.pick(&[0, 0xFFF, 0xFFE, 0xFFC]),
        5 => e.pick(&[place::GDT, place::IDT, place::TSS32, place::PAGING, 0xC_0000, 0xF_0000, 0x20_0000]),
        _ => e.u32() % LOW_RAM as u32,
    }
}

/// A segment descriptor or gate.
fn descriptor(e: &mut Entropy) -> u64 {
    match e.below(8) {
        0 => e.u64(),
        1 => gate(e),
        2 => {
            // A task-state segment or local descriptor table.
            let (kind, base) = e.pick(&[(0x89, place::TSS32), (0x81, place::TSS16), (0x82, place::LDT)]);
            system_segment(kind, base, e.pick(&[0x67, 0xFF, 0x2B]))
        }
        _ => {
            // A flat segment: code or data of any type, level and size.
            let access = 0x90 | e.u8() as u64 & 0x6F;
            0xFFFF | access << 40 | (0x8F | e.u8() as u64 & 0x40) << 48
        }
    }
}

/// A task-state segment or local descriptor table.
fn system_segment(kind: u8, base: u32, limit: u16) -> u64 {
    limit as u64 | (base as u64) << 16 | (kind as u64) << 40
}

/// A gate to some code.
fn gate(e: &mut Entropy) -> u64 {
    let kind = e.pick(&[0x8E, 0x8F, 0xEE, 0x86, 0x87, 0x8C, 0xEC, 0x84, 0x85]);
    let selector = (e.below(64) as u16 * 8) | e.below(4) as u16;
    gate_to(selector, place::CODE + e.u16() as u32 % place::CODE_BYTES, kind) | (e.below(4) as u64) << 32
}

/// An interrupt or trap gate that can be entered.
fn handler(e: &mut Entropy) -> u64 {
    let offset = e.u16() as u32 % place::CODE_BYTES;
    if e.one_in(4) {
        return gate_to(select::CODE16, offset, e.pick(&[0x86, 0x87, 0xE7]));
    }
    gate_to(select::code(0), place::CODE + offset, e.pick(&[0x8E, 0x8F, 0xEE]))
}

fn gate_to(selector: u16, offset: u32, kind: u8) -> u64 {
    let offset = offset as u64;
    offset & 0xFFFF | (selector as u64) << 16 | (kind as u64) << 40 | (offset >> 16) << 48
}

/// In what [`page_entry`] gives, a bit that software may use: the entry is to lead where the linear address says.
const IDENTITY: u64 = 0x800;

/// An entry of a paging structure: often present, often pointing at one.
fn page_entry(e: &mut Entropy) -> u64 {
    let rights = if e.one_in(4) { e.u16() as u64 & 0x1FF } else { 7 };
    match e.below(8) {
        0 => e.u64(),
        1 => 0,
        2 | 3 => (place::PAGING + e.below(place::PAGING_PAGES) * 0x1000) as u64 | rights & !0x80,
        _ => IDENTITY | rights & !0x80,
    }
}

/// Opcodes worth more than chance gives them.
const FAVOURITES: &[&[u8]] = &[
    &[0x0F, 0x20],
    &[0x0F, 0x22],
    &[0x0F, 0x21],
    &[0x0F, 0x23],
    &[0x0F, 0x01],
    &[0x0F, 0x00],
    &[0x0F, 0x30],
    &[0x0F, 0x32],
    &[0x0F, 0x34],
    &[0x0F, 0x35],
    &[0x0F, 0xC7],
    &[0x0F, 0xAE],
    &[0x0F, 0xA2],
    &[0x0F, 0x31],
    &[0x0F, 0xB2],
    &[0x0F, 0xAB],
    &[0x0F, 0xA1],
    &[0xF3, 0xA4],
    &[0xF3, 0xA5],
    &[0xF3, 0xAB],
    &[0xF2, 0xAE],
    &[0xF3, 0xA7],
    &[0xF3, 0x6C],
    &[0xF3, 0x6F],
    &[0xCF],
    &[0xCB],
    &[0xCA],
    &[0xCD],
    &[0x9A],
    &[0xEA],
    &[0xFF],
    &[0x8E],
    &[0x9C],
    &[0x9D],
    &[0xFA],
    &[0xFB],
    &[0xC8],
    &[0xC9],
    &[0x60],
    &[0x61],
    &[0x07],
    &[0x17],
    &[0x1F],
    &[0xE4],
    &[0xE6],
    &[0xEC],
    &[0xEE],
    &[0xF4],
    &[0xD9],
    &[0xDB],
    &[0xDD],
    &[0xDF],
    &[0xE2],
    &[0x75],
    &[0xEB],
    &[0xE8],
    &[0xC3],
    &[0x89],
    &[0x8B],
    &[0xC6],
    &[0x0F, 0x6F],
    &[0x0F, 0x58],
    &[0xF2, 0x0F],
    &[0xF3, 0x0F],
    &[0x66, 0x0F],
    &[0x66],
    &[0x67],
    &[0xF0],
];

/// About `len` bytes of code.
fn code(e: &mut Entropy, len: usize) -> Vec<u8> {
    let mut code = Vec::with_capacity(len + 8);
    while code.len() < len {
        if e.one_in(2) {
            code.extend(e.pick(FAVOURITES));
        }
        code.extend([e.u8(), e.u8()]);
        if e.one_in(4) {
            code.extend(address(e).to_le_bytes());
        }
    }
    code.truncate(len);
    code
}

/// What the decoder must do with any bytes: no more than it was given, the same for what is cut off behind the
/// instruction, and more bytes never change what fewer decided.
pub fn check_decoder(bytes: &[u8]) {
    let bytes = &bytes[..bytes.len().min(MAX_LENGTH)];
    for code_size in [16, 32] {
        let whole = decode::decode_insn(bytes, code_size, Processor::default())
            .map(|(insn, flow)| (insn.length, insn.code, flow));
        for n in 0..bytes.len() {
            let part = decode::decode_insn(&bytes[..n], code_size, Processor::default())
                .map(|(i, flow)| (i.length, i.code, flow));
            match (part, whole) {
                (Err(Undecodable::Incomplete), Ok((length, ..))) => {
                    assert!(n < length as usize, "{bytes:02x?} in {code_size}-bit code, {n} of them")
                }
                (Err(Undecodable::Incomplete), Err(_)) => {}
                (part, whole) => assert_eq!(part, whole, "{bytes:02x?} in {code_size}-bit code, {n} of them"),
            }
        }
        match whole {
            Ok((length, ..)) => assert!((1..=bytes.len()).contains(&(length as usize))),
            Err(Undecodable::Incomplete) => assert!(bytes.len() < MAX_LENGTH),
            Err(Undecodable::Fault(fault)) => assert!([Fault::UD, Fault::GP0].contains(&fault)),
        }
    }
}

/// After how much work two runs from the same state, the second in the interpreter, first differ, in words.
fn difference(before: Scenario, most: Work, (first, second): (Work, Work)) -> String {
    for work in 1..=most {
        let (mut one, mut other) = (before.clone(), before.interpreted());
        let (a, b) = (one.run(work, first), other.run(work, second));
        let ((state, memory), (other_state, other_memory)) = (one.picture(), other.picture());
        let wrong: Vec<usize> = (0..memory.len()).filter(|n| memory[*n] != other_memory[*n]).collect();
        if a != b || state != other_state || !wrong.is_empty() {
            let at = before.at_work(work - 1);
            return format!(
                "after {work}, {at}: {a:?}, {b:?}, memory {wrong:x?},\n{state:x?}\n{other_state:x?}"
            );
        }
    }
    "with cold caches they are the same".into()
}

/// Runs a scenario and checks that the processor stays possible, can be saved at any point, and does the same after
/// having been restored elsewhere and in the interpreter, however the work is cut into runs.
pub fn check(mode: Mode, bytes: &[u8], work: Work) {
    let mut e = Entropy::new(bytes);
    let mut s = Scenario::new(mode, &mut e);
    for _ in 0..3 {
        let before = s.clone();
        let mut other = s.interpreted();
        assert_eq!(other.cpu.save(), s.cpu.save());
        let slice = e.pick(&[1, 2, 7, 100]);
        let slices = if e.one_in(2) { (slice, work) } else { (work, slice) };
        let ended = s.run(work / 3, slices.0);
        let again = other.run(work / 3, slices.1);
        if !other.can_see_caches()
            && !s.can_see_caches()
            && (ended != again || s.picture() != other.picture())
        {
            panic!(
                "{ended:?}, but {again:?} in runs of {slices:?}; {}",
                difference(before, work / 3, slices)
            );
        }
        if let End::Stopped(_) = ended {
            s.start(mode, &mut e);
        }
        s.write_from_outside(&mut e);
    }
}
