//! The test kit: a processor in flat RAM with descriptor tables, task states and a handler for every vector, put
//! into any mode and run for one instruction.

use crate::engine::{Engine, Memory};
use iced_x86::IcedError;
use iced_x86::code_asm::CodeAssembler;
use idem86_cpu::bus::Work;
use idem86_cpu::cpu::Cpu;
use idem86_cpu::flat::FlatBus;
use idem86_cpu::processor::Processor;
use idem86_cpu::run::Stop;
use idem86_cpu::state::control::{cr0, cr4};
use idem86_cpu::state::descriptor::Descriptor;
use idem86_cpu::state::eflags::bit;
use idem86_cpu::state::gpr;
use idem86_cpu::state::segment::{AccessRights, SegReg, Segment, TableRegister};

/// Bytes of RAM.
pub const RAM: usize = 4 << 20;
/// Where things are. The first page is left to the real-mode vector table.
pub mod place {
    pub const GDT: u32 = 0x1000;
    pub const IDT: u32 = 0x2000;
    pub const LDT: u32 = 0x3000;
    /// The current task's TSS, 32-bit, with redirection and I/O permission bit maps behind.
    pub const TSS: u32 = 0x4000;
    /// A 32-bit TSS to switch to.
    pub const TSS32: u32 = 0x7000;
    /// A 16-bit TSS to switch to.
    pub const TSS16: u32 = 0x7800;
    /// Tops of the stacks of levels 0 to 3.
    pub const STACKS: [u32; 4] = [0x9000, 0xA000, 0xB000, 0xC000];
    /// Handler of vector n: HLT, 16 bytes each.
    pub const HANDLERS: u32 = 0xD000;
    pub const CODE: u32 = 0x1_0000;
    pub const DATA: u32 = 0x2_0000;
    /// Page directory (or page-directory pointers), then tables.
    pub const PAGING: u32 = 0x10_0000;
}

/// Selectors of the descriptors that are always there. RPL is that of the segment.
pub mod sel {
    pub const CODE0: u16 = 0x08;
    pub const DATA0: u16 = 0x10;
    pub const CODE3: u16 = 0x1B;
    pub const DATA3: u16 = 0x23;
    pub const CODE1: u16 = 0x29;
    pub const DATA1: u16 = 0x31;
    /// 16-bit code and data at level 0.
    pub const CODE16: u16 = 0x38;
    pub const DATA16: u16 = 0x40;
    pub const TSS: u16 = 0x48;
    pub const LDT: u16 = 0x50;
    pub const TSS32: u16 = 0x58;
    pub const TSS16: u16 = 0x60;
    /// For the test to fill.
    pub const FREE: u16 = 0x68;
    pub const FREE2: u16 = 0x70;
    pub const FREE3: u16 = 0x78;
    /// A conforming code segment at level 0.
    pub const CONFORMING0: u16 = 0x80;
    /// A conforming code segment at level 3.
    pub const CONFORMING3: u16 = 0x8B;
    /// First selector behind the GDT.
    pub const OUTSIDE: u16 = 0x100;
    /// First descriptor of the LDT: data at level 3; the second is for the test.
    pub const LOCAL: u16 = 0x07;
    pub const LOCAL_FREE: u16 = 0x0C;
    pub const LOCAL_OUTSIDE: u16 = 0x44;
}

/// Access rights as [`AccessRights`] has them.
pub mod rights {
    pub const CODE32: u16 = 0xC09B;
    pub const DATA32: u16 = 0xC093;
    pub const DPL3: u16 = 0x60;
    pub const DPL1: u16 = 0x20;
    pub const CONFORMING: u16 = 0x04;
    pub const PRESENT: u16 = 0x80;
    pub const ACCESSED: u16 = 0x01;
    pub const EXECUTE_ONLY: u16 = 0xC099;
    pub const READ_ONLY: u16 = 0xC091;
    pub const LDT: u16 = 0x82;
    pub const TSS16: u16 = 0x81;
    pub const TSS32: u16 = 0x89;
    pub const BUSY: u16 = 0x02;
    pub const CALL16: u16 = 0x84;
    pub const TASK_GATE: u16 = 0x85;
    pub const INTERRUPT16: u16 = 0x86;
    pub const TRAP16: u16 = 0x87;
    pub const CALL32: u16 = 0x8C;
    pub const INTERRUPT32: u16 = 0x8E;
    pub const TRAP32: u16 = 0x8F;
}

/// A segment descriptor. `limit` counts as the G bit of `access` says.
pub fn segment(base: u32, limit: u32, access: u16) -> u64 {
    let (base, limit, access) = (base as u64, limit as u64, access as u64);
    limit & 0xFFFF
        | (base & 0xFF_FFFF) << 16
        | (access & 0xFF) << 40
        | (limit & 0xF_0000) << 32
        | (access & 0xF000) << 40
        | (base & 0xFF00_0000) << 32
}

/// A gate descriptor.
pub fn gate(selector: u16, offset: u32, access: u16, parameters: u8) -> u64 {
    offset as u64 & 0xFFFF
        | (selector as u64) << 16
        | (parameters as u64) << 32
        | (access as u64 & 0xFF) << 40
        | (offset as u64 & 0xFFFF_0000) << 32
}

/// Assembles for 16- or 32-bit code.
pub fn asm(bits: u32, write: impl FnOnce(&mut CodeAssembler) -> Result<(), IcedError>) -> Vec<u8> {
    let mut a = CodeAssembler::new(bits).expect("bitness");
    write(&mut a).expect("operands");
    a.assemble(0).expect("encodable")
}

/// What one instruction led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Led {
    /// It was executed.
    Through,
    /// To the handler of this vector, with this error code.
    To(u8, Option<u32>),
    /// To shutdown.
    Shutdown,
}

/// The machine under test.
pub struct Kit {
    pub cpu: Cpu,
    pub ram: Memory,
    pub bus: FlatBus,
    pub engine: Engine,
}

/// Vectors that push an error code.
pub fn has_error_code(vector: u8) -> bool {
    matches!(vector, 8 | 10..=14 | 17)
}

impl Kit {
    fn empty(processor: Processor) -> Kit {
        let cpu = Cpu::with(processor);
        Kit { cpu, ram: Memory::new(RAM), bus: FlatBus::new(RAM), engine: Engine::under_test() }
    }

    /// Real mode, CS:IP at `place::CODE`, data segments 0, stack below `place::STACKS[0]`. Every vector leads to its
    /// handler.
    pub fn real() -> Kit {
        Kit::real_on(Processor::default())
    }

    /// The same with a processor of this kind.
    pub fn real_on(processor: Processor) -> Kit {
        let mut k = Kit::empty(processor);
        for n in 0..=255 {
            k.put32(n * 4, place::HANDLERS + n * 16);
            k.put8(place::HANDLERS + n * 16, 0xF4);
        }
        let cs = &mut k.cpu.seg[SegReg::Cs as usize];
        cs.selector = (place::CODE >> 4) as u16;
        cs.base = place::CODE as u64;
        k.cpu.rip = 0;
        k.cpu.gpr.set(gpr::SP, place::STACKS[0]);
        k.cpu.idtr = TableRegister { base: 0, limit: 0x3FF };
        k.cpu.state_changed();
        k
    }

    /// Protected mode at privilege level `cpl` (0, 1 or 3), flat 32-bit segments.
    pub fn protected(cpl: u8) -> Kit {
        Kit::protected_on(Processor::default(), cpl)
    }

    /// The same with a processor of this kind.
    pub fn protected_on(processor: Processor, cpl: u8) -> Kit {
        let mut k = Kit::real_on(processor);
        k.put_tables();
        k.cpu.gdtr = TableRegister { base: place::GDT as u64, limit: sel::OUTSIDE - 1 };
        k.cpu.idtr = TableRegister { base: place::IDT as u64, limit: 0x7FF };
        k.cpu.cr0 |= cr0::PE;
        k.cpu.ldtr = k.descriptor(sel::LDT).segment(sel::LDT);
        k.cpu.tr = k.descriptor(sel::TSS).segment(sel::TSS);
        let (code, data) = match cpl {
            0 => (sel::CODE0, sel::DATA0),
            1 => (sel::CODE1, sel::DATA1),
            _ => (sel::CODE3, sel::DATA3),
        };
        for r in SegReg::ALL {
            let s = if r == SegReg::Cs { code } else { data };
            k.cpu.seg[r as usize] = k.descriptor(s).segment(s);
        }
        k.cpu.set_cpl(cpl);
        k.cpu.gpr.set(gpr::SP, place::STACKS[cpl as usize]);
        k.cpu.rip = place::CODE as u64;
        k.cpu.state_changed();
        k
    }

    /// Virtual-8086 mode with the given IOPL; CS:IP at `place::CODE`.
    pub fn v86(iopl: u8) -> Kit {
        Kit::v86_on(Processor::default(), iopl)
    }

    /// The same with a processor of this kind.
    pub fn v86_on(processor: Processor, iopl: u8) -> Kit {
        let mut k = Kit::protected_on(processor, 3);
        k.cpu.seg = SegReg::ALL.map(|r| Segment::v86(if r == SegReg::Cs { 0x1000 } else { 0 }));
        k.cpu.rip = 0;
        k.cpu.set_eflags(bit::VM | (iopl as u32) << 12 | bit::IF);
        k.cpu.state_changed();
        k
    }

    fn put_tables(&mut self) {
        use rights::*;
        let flat = |access| segment(0, 0xF_FFFF, access);
        for (selector, d) in [
            (sel::CODE0, flat(CODE32)),
            (sel::DATA0, flat(DATA32)),
            (sel::CODE3, flat(CODE32 | DPL3)),
            (sel::DATA3, flat(DATA32 | DPL3)),
            (sel::CODE1, flat(CODE32 | DPL1)),
            (sel::DATA1, flat(DATA32 | DPL1)),
            (sel::CODE16, segment(0, 0xFFFF, 0x9B)),
            (sel::DATA16, segment(0, 0xFFFF, 0x93)),
            (sel::TSS, segment(place::TSS, 0x2FFF, TSS32 | BUSY)),
            (sel::LDT, segment(place::LDT, 0x3F, LDT)),
            (sel::TSS32, segment(place::TSS32, 0x67, TSS32)),
            (sel::TSS16, segment(place::TSS16, 0x2B, TSS16)),
            (sel::CONFORMING0, flat(CODE32 | CONFORMING)),
            (sel::CONFORMING3, flat(CODE32 | CONFORMING | DPL3)),
        ] {
            self.set_descriptor(selector, d);
        }
        self.put64(place::LDT, segment(0, 0xF_FFFF, DATA32 | DPL3));
        for n in 0..=255 {
            self.set_gate(n, gate(sel::CODE0, place::HANDLERS + n as u32 * 16, INTERRUPT32, 0));
        }
        for level in 0..3u32 {
            self.put32(place::TSS + 4 + level * 8, place::STACKS[level as usize]);
        }
        self.put32(place::TSS + 8, sel::DATA0 as u32);
        self.put32(place::TSS + 16, sel::DATA1 as u32);
        // Redirection bit map at 68h: all to the protected-mode handlers; I/O permission bit map behind: all denied.
        self.put16(place::TSS + 0x66, 0x88);
        for at in 0x68..0x2088 {
            self.put8(place::TSS + at, 0xFF);
        }
    }

    /// Turns 32-bit paging on, with the first 4 MiB mapped to themselves, for all and writable.
    pub fn page(&mut self) {
        self.put32(place::PAGING, (place::PAGING + 0x1000) | 7);
        for n in 0..1024 {
            self.put32(place::PAGING + 0x1000 + n * 4, n << 12 | 7);
        }
        self.cpu.cr3 = place::PAGING as u64;
        self.cpu.cr0 |= cr0::PG;
        self.cpu.state_changed();
    }

    /// Turns PAE paging on, with the first 4 MiB mapped to themselves, for all and writable.
    pub fn page_pae(&mut self) {
        let at = place::PAGING;
        self.put64(at, (at as u64 + 0x1000) | 1);
        for n in 0..2 {
            self.put64(at + 0x1000 + n * 8, (at + 0x2000 + n * 0x1000) as u64 | 7);
        }
        for n in 0..1024 {
            self.put64(at + 0x2000 + n * 8, (n << 12) as u64 | 7);
        }
        self.cpu.cr3 = at as u64;
        self.cpu.pdpte = [self.get64(at), 0, 0, 0];
        self.cpu.cr4 |= cr4::PAE;
        self.cpu.cr0 |= cr0::PG;
        self.cpu.state_changed();
    }

    /// Address of the page-table entry of `linear` that [`Kit::page`] made.
    pub fn pte(&self, linear: u32) -> u32 {
        place::PAGING + 0x1000 + (linear >> 12) * 4
    }

    pub fn get8(&self, at: u32) -> u8 {
        self.ram[at as usize]
    }
    pub fn get16(&self, at: u32) -> u16 {
        u16::from_le_bytes([self.get8(at), self.get8(at + 1)])
    }
    pub fn get32(&self, at: u32) -> u32 {
        self.get16(at) as u32 | (self.get16(at + 2) as u32) << 16
    }
    pub fn get64(&self, at: u32) -> u64 {
        self.get32(at) as u64 | (self.get32(at + 4) as u64) << 32
    }
    pub fn put8(&mut self, at: u32, v: u8) {
        self.put(at, &[v]);
    }
    pub fn put16(&mut self, at: u32, v: u16) {
        self.put(at, &v.to_le_bytes());
    }
    pub fn put32(&mut self, at: u32, v: u32) {
        self.put(at, &v.to_le_bytes());
    }
    pub fn put64(&mut self, at: u32, v: u64) {
        self.put(at, &v.to_le_bytes());
    }
    pub fn put(&mut self, at: u32, bytes: &[u8]) {
        self.ram[at as usize..][..bytes.len()].copy_from_slice(bytes);
        self.cpu.ram_written(at as u64, bytes.len() as u64);
    }

    fn descriptor_at(selector: u16) -> u32 {
        (if selector & 4 == 0 { place::GDT } else { place::LDT }) + (selector & 0xFFF8) as u32
    }
    pub fn descriptor(&self, selector: u16) -> Descriptor {
        Descriptor(self.get64(Self::descriptor_at(selector)))
    }
    pub fn set_descriptor(&mut self, selector: u16, d: u64) {
        self.put64(Self::descriptor_at(selector), d);
    }
    /// Makes the descriptor of `selector` a copy with other access rights.
    pub fn set_rights(&mut self, selector: u16, change: impl Fn(u16) -> u16) {
        let d = self.descriptor(selector).0;
        let old = AccessRights((d >> 40) as u16 & 0xF0FF).0;
        let new = change(old) as u64;
        self.set_descriptor(selector, d & !(0xF0FF << 40) | new << 40);
    }
    pub fn set_gate(&mut self, vector: u8, d: u64) {
        self.put64(place::IDT + vector as u32 * 8, d);
    }

    /// Linear address of the next instruction.
    pub fn here(&self) -> u32 {
        (self.cpu.seg[SegReg::Cs as usize].base + self.cpu.rip) as u32
    }

    /// Puts code where the processor stands.
    pub fn code(&mut self, write: impl FnOnce(&mut CodeAssembler) -> Result<(), IcedError>) {
        let bytes = asm(self.cpu.code_size(), write);
        self.put(self.here(), &bytes);
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        self.put(self.here(), bytes);
    }

    /// Runs as [`Cpu::run`] does.
    pub fn run(&mut self, budget: Work) -> Stop {
        self.engine.run(&mut self.cpu, &mut self.ram, &mut self.bus, budget)
    }

    /// Executes one instruction or delivers one event.
    pub fn step(&mut self) -> Led {
        match self.run(1) {
            Stop::Shutdown => return Led::Shutdown,
            Stop::Budget | Stop::Halted => {}
            other => panic!("stopped by {other:?}"),
        }
        self.led()
    }

    /// Where the processor was led.
    pub fn led(&self) -> Led {
        if self.cpu.shutdown {
            return Led::Shutdown;
        }
        match self.in_handler() {
            Some(vector) => Led::To(vector, self.error_code(vector)),
            None => Led::Through,
        }
    }

    /// Assembles one instruction and executes it.
    pub fn one(&mut self, write: impl FnOnce(&mut CodeAssembler) -> Result<(), IcedError>) -> Led {
        self.code(write);
        self.step()
    }

    /// Assembles one instruction, executes it, and checks what it leads to. A fault must push the instruction's own
    /// address and find all registers but those of the handler as they were.
    pub fn check(
        &mut self,
        name: &str,
        expected: Led,
        write: impl FnOnce(&mut CodeAssembler) -> Result<(), IcedError>,
    ) {
        self.code(write);
        self.check_bytes_here(name, expected);
    }

    /// As [`Kit::check`], with the instruction's bytes.
    pub fn check_bytes(&mut self, name: &str, expected: Led, bytes: &[u8]) {
        self.bytes(bytes);
        self.check_bytes_here(name, expected);
    }

    fn check_bytes_here(&mut self, name: &str, expected: Led) {
        let (gpr, seg, flags, cr0, rip) = self.registers();
        let led = self.step();
        assert_eq!(led, expected, "{name}");
        let Led::To(..) = led else { return };
        let after = self.registers();
        let cs = seg[SegReg::Cs as usize].selector as u32;
        let (frame, image_mask) = (self.frame(led), if self.cpu.protected() { !bit::RF } else { 0xFFFF });
        assert_eq!(frame[..2], [rip as u32, cs], "{name}: address that is pushed");
        assert_eq!(frame[2] & image_mask, flags & image_mask, "{name}: flags that are pushed");
        for (r, (new, old)) in after.0.iter().zip(gpr).enumerate() {
            if r != gpr::SP as usize {
                assert_eq!(*new, old, "{name}: register {r}");
            }
        }
        assert_eq!(after.3, cr0, "{name}: CR0");
        if flags & bit::VM == 0 {
            for r in [SegReg::Es, SegReg::Ds, SegReg::Fs, SegReg::Gs] {
                assert_eq!(after.1[r as usize], seg[r as usize], "{name}: {r:?}");
            }
        }
    }

    fn in_handler(&self) -> Option<u8> {
        let offset = self.here().checked_sub(place::HANDLERS)?;
        (offset < 0x1000 && offset % 16 == 0).then_some((offset / 16) as u8)
    }

    fn error_code(&self, vector: u8) -> Option<u32> {
        (self.cpu.protected() && has_error_code(vector)).then(|| self.stack(0))
    }

    /// The nth item on the current stack: 32-bit in 32-bit code, else 16-bit.
    pub fn stack(&self, n: u32) -> u32 {
        let ss = self.cpu.seg[SegReg::Ss as usize];
        let size = self.cpu.code_size() / 8;
        let at = (self.cpu.gpr.full(gpr::SP) + (n * size) as u64) & ss.stack_mask();
        let at = (ss.base + at) as u32;
        if size == 4 { self.get32(at) } else { self.get16(at) as u32 }
    }

    /// What is left on the stack, above the error code of `led`.
    pub fn frame(&self, led: Led) -> Vec<u32> {
        let skip = matches!(led, Led::To(_, Some(_))) as u32;
        (skip..skip + 9).map(|n| self.stack(n)).collect()
    }

    pub fn selector(&self, r: SegReg) -> u16 {
        self.cpu.seg[r as usize].selector
    }

    /// Everything that a fault must leave alone.
    pub fn registers(&self) -> ([u64; 8], [Segment; 6], u32, u32, u64) {
        let gpr = std::array::from_fn(|r| self.cpu.gpr.full(r as u8));
        (gpr, self.cpu.seg, self.cpu.eflags.bits(), self.cpu.cr0, self.cpu.rip)
    }
}

/// #GP with an error code.
pub fn gp(code: u16) -> Led {
    Led::To(13, Some(code as u32))
}
/// #NP with an error code.
pub fn np(code: u16) -> Led {
    Led::To(11, Some(code as u32))
}
/// #SS with an error code.
pub fn stack_fault(code: u16) -> Led {
    Led::To(12, Some(code as u32))
}
/// #TS with an error code.
pub fn ts(code: u16) -> Led {
    Led::To(10, Some(code as u32))
}
/// #UD.
pub const UD: Led = Led::To(6, None);
