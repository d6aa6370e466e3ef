//! The guests: programs small enough to know every address.

use iced_x86::IcedError;
use iced_x86::code_asm::*;
use idem86::devices::access::DmaMemory;
use idem86::machine::builder::Builder;
use idem86::machine::clock::ClockKind;
use idem86::machine::engine::EngineKind;
use idem86::machine::machine::Machine;

fn asm(bits: u32, at: u64, write: impl FnOnce(&mut CodeAssembler) -> Result<(), IcedError>) -> Vec<u8> {
    let mut a = CodeAssembler::new(bits).expect("bitness");
    write(&mut a).expect("operands");
    a.assemble(at).expect("encodable")
}

fn small(engine: EngineKind) -> Builder {
    Machine::builder().memory(16 << 20).clock(ClockKind::Virtual).engine(engine)
}

/// Where the boot sector counts.
pub const COUNTER: u64 = 0x500;

/// A machine that will boot a diskette whose boot sector counts in memory for ever. Under the virtual clock.
pub fn boot_sector(engine: EngineKind) -> Machine {
    let code = asm(16, 0x7C00, |a| {
        let mut again = a.create_label();
        a.xor(ax, ax)?; // 7C00
        a.mov(ds, ax)?; // 7C02
        a.mov(cx, 0x1234)?; // 7C04
        a.set_label(&mut again)?;
        a.inc(word_ptr(COUNTER))?; // 7C07
        a.mov(ax, word_ptr(COUNTER))?; // 7C0B
        a.jmp(again) // 7C0E
    });
    let mut image = vec![0; 1_474_560];
    image[..code.len()].copy_from_slice(&code);
    image[510..512].copy_from_slice(&[0x55, 0xAA]);
    small(engine).floppy(image).build().expect("a machine")
}

/// The 32-bit program's linear addresses: its code is mapped here and at its physical address.
pub const KERNEL: u32 = 0xC000_0000;
/// Physical address of its code.
pub const KERNEL_AT: u32 = 0x2_0000;
/// Its variable, which lies behind its code.
pub const VARIABLE: u32 = KERNEL + 0x1000;
/// A page that is mapped and never touched by the program.
pub const UNTOUCHED: u32 = KERNEL + 0x2000;
/// Physical address of the page table that maps [`KERNEL`].
pub const HIGH_TABLE: u64 = 0x1_2000;

/// A machine whose firmware switches to protected mode with paging and runs a 32-bit program at [`KERNEL`], which
/// counts in [`VARIABLE`] by calls of a function at KERNEL + 100h.
pub fn paged_program(engine: EngineKind) -> Machine {
    let mut bios = vec![0xF4; 0x1_0000];
    let at = |offset: usize, code: &[u8], bios: &mut Vec<u8>| {
        bios[offset..offset + code.len()].copy_from_slice(code);
    };
    // Real mode: the tables were put into memory by the test.
    let start = asm(16, 0, |a| {
        a.cli()?;
        a.xor(ax, ax)?;
        a.mov(ds, ax)?;
        a.lgdt(ptr(0x900))?;
        a.mov(eax, cr0)?;
        a.or(eax, 1)?;
        a.mov(cr0, eax)?;
        a.db(&[0x66, 0xEA, 0x00, 0x02, 0x02, 0x00, 0x08, 0x00]) // jmp far 8:20200h
    });
    at(0, &start, &mut bios);
    at(0xFFF0, &[0xEA, 0x00, 0x00, 0x00, 0xF0], &mut bios);
    let protected = asm(32, u64::from(KERNEL_AT) + 0x200, |a| {
        a.mov(eax, 0x10)?;
        a.mov(ds, eax)?;
        a.mov(es, eax)?;
        a.mov(ss, eax)?;
        a.mov(esp, VARIABLE + 0x800)?;
        a.mov(eax, 0x1_0000)?;
        a.mov(cr3, eax)?;
        a.mov(eax, cr0)?;
        a.or(eax, 0x8000_0000u32 as i32)?;
        a.mov(cr0, eax)?;
        a.mov(eax, KERNEL)?;
        a.jmp(eax)
    });
    let kernel = asm(32, KERNEL.into(), |a| {
        let mut again = a.create_label();
        a.set_label(&mut again)?;
        a.call(u64::from(KERNEL) + 0x100)?;
        a.jmp(again)
    });
    let function = asm(32, u64::from(KERNEL) + 0x100, |a| {
        a.mov(eax, dword_ptr(VARIABLE))?;
        a.inc(eax)?;
        a.mov(dword_ptr(VARIABLE), eax)?;
        a.ret()
    });
    let mut machine = small(engine).firmware(bios).build().expect("a machine");
    let mut memory = machine.memory();
    memory.write(KERNEL_AT.into(), &kernel);
    memory.write(u64::from(KERNEL_AT) + 0x100, &function);
    memory.write(u64::from(KERNEL_AT) + 0x200, &protected);
    // Flat code and data descriptors, and the table register's image.
    for (n, descriptor) in [0, 0x00CF_9B00_0000_FFFF_u64, 0x00CF_9300_0000_FFFF].into_iter().enumerate() {
        memory.write(0x800 + 8 * n as u64, &descriptor.to_le_bytes());
    }
    memory.write(0x900, &[0x17, 0, 0x00, 0x08, 0, 0]);
    // The first 4 MiB lie where they are; KERNEL shows three pages from KERNEL_AT on.
    memory.write(0x1_0000, &0x1_1003u32.to_le_bytes());
    memory.write(0x1_0000 + u64::from(KERNEL >> 22) * 4, &(HIGH_TABLE as u32 | 3).to_le_bytes());
    for n in 0..1024u32 {
        memory.write(0x1_1000 + 4 * u64::from(n), &(n << 12 | 3).to_le_bytes());
    }
    for n in 0..3 {
        memory.write(HIGH_TABLE + 4 * u64::from(n), &((KERNEL_AT + (n << 12)) | 3).to_le_bytes());
    }
    machine
}

/// The dword at a physical address.
pub fn dword(machine: &mut Machine, at: u64) -> u32 {
    let mut bytes = [0; 4];
    machine.memory().read(at, &mut bytes);
    u32::from_le_bytes(bytes)
}
