//! The benchmark guest: a multiboot kernel that sets up a flat protected mode with paging, then runs one loop between
//! two marks, over and over.

use super::address::*;
use super::{EMPTY, Emitted, Nano, PageFault, Ring};
use iced_x86::IcedError;
use iced_x86::code_asm::*;

/// The loop begins.
pub const MARK_BEGIN: u8 = b'B';
/// The loop has ended.
pub const MARK_END: u8 = b'E';
/// Something happened that should not: an exception that the benchmark does not raise.
pub const MARK_SURPRISE: u8 = b'!';
/// RAM that the guest needs, in bytes.
pub const MEMORY: u64 = 16 << 20;
/// Physical address of the number of rounds, read at each beginning.
pub const ROUNDS: u64 = VARIABLES as u64;

/// Vectors that are used.
const VECTOR_TIMER: usize = 0x20;
const VECTOR_SYSTEM_CALL: usize = 0x80;
const VECTOR_MARK: usize = 0x81;

/// Selectors, in the order that SYSENTER and SYSEXIT want. SDM Vol. 2B, "SYSENTER—Fast System Call".
const KERNEL_CODE: u16 = 0x08;
const KERNEL_DATA: u16 = 0x10;
const USER_CODE: u16 = 0x1B;
const USER_DATA: u16 = 0x23;
const TASK: u16 = 0x28;

/// Present, writable, for all privilege levels.
const MAPPED: u32 = 7;
/// Page-level cache disable, for devices.
const UNCACHED: u32 = 1 << 4;

/// The guest as a multiboot image that does `rounds` rounds at a time and writes marks to `port`.
pub fn image(nano: &Nano, port: u16, rounds: u32) -> Result<Vec<u8>, IcedError> {
    let mut image = vec![0; (IMAGE_END - ORIGIN) as usize];
    put(&mut image, ORIGIN, LOOP, start(nano)?);
    put(&mut image, LOOP, SLOTS, benchmark_loop(nano, port)?);
    slots(&mut image, nano, port)?;
    put(&mut image, GDT, TSS, descriptors());
    put(&mut image, TSS, GDT_REGISTER, task_state());
    put(&mut image, GDT_REGISTER, IDT_REGISTER, table_register(0x30, GDT));
    put(&mut image, IDT_REGISTER, IDT, table_register(256 * 8, IDT));
    put(&mut image, IDT, VARIABLES, gates());
    put(&mut image, VARIABLES, PATCHED, rounds.to_le_bytes().to_vec());
    put(&mut image, PATCHED, PATCHED + 0x1000, patched()?);
    page_tables(&mut image);
    Ok(image)
}

/// Puts `bytes` at address `at`, where there is room up to `end`.
fn put(image: &mut [u8], at: u32, end: u32, bytes: Vec<u8>) {
    assert!(bytes.len() <= (end - at) as usize, "what lies at {at:#x} has {:#x} bytes", bytes.len());
    image[(at - ORIGIN) as usize..][..bytes.len()].copy_from_slice(&bytes);
}

/// The code before the loop: tables, segments, paging, SYSENTER, interrupt controllers.
fn start(nano: &Nano) -> Result<Vec<u8>, IcedError> {
    let mut a = CodeAssembler::new(32)?;
    // Multiboot Specification 0.6.96, "The layout of Multiboot header": with addresses, no ELF needed.
    const MAGIC: u32 = 0x1BAD_B002;
    const FLAGS: u32 = 1 << 16;
    const HEADER: u32 = 32;
    let checksum = 0u32.wrapping_sub(MAGIC.wrapping_add(FLAGS));
    a.dd(&[MAGIC, FLAGS, checksum, ORIGIN, ORIGIN, IMAGE_END, DATA_END, ORIGIN + HEADER])?;
    a.cli()?;
    a.mov(esp, KERNEL_STACK)?;
    a.lgdt(fword_ptr(GDT_REGISTER))?;
    a.lidt(fword_ptr(IDT_REGISTER))?;
    a.mov(eax, u32::from(KERNEL_DATA))?;
    for segment in [ds, es, fs, gs, ss] {
        a.mov(segment, eax)?;
    }
    // CS by a far return.
    let mut here = a.create_label();
    a.push(i32::from(KERNEL_CODE))?;
    a.call(here)?;
    a.set_label(&mut here)?;
    a.add(dword_ptr(esp), 5)?;
    a.retf()?;
    a.mov(eax, u32::from(TASK))?;
    a.ltr(ax)?;
    a.mov(eax, DIRECTORY)?;
    a.mov(cr3, eax)?;
    a.mov(eax, cr0)?;
    // PG, WP and NE on; EM and TS off.
    a.or(eax, 0x8001_0022u32 as i32)?;
    a.and(eax, !0xCi32)?;
    a.mov(cr0, eax)?;
    for (register, value) in
        [(0x174, u32::from(KERNEL_CODE)), (0x175, KERNEL_STACK), (0x176, Slot::Entered.address())]
    {
        a.mov(ecx, register)?;
        a.mov(eax, value)?;
        a.xor(edx, edx)?;
        a.wrmsr()?;
    }
    // 8259A: edge-triggered, vectors from 20h, all masked.
    for (port, value) in
        [(0x20, 0x11), (0x21, 0x20), (0x21, 4), (0x21, 1), (0xA0, 0x11), (0xA1, 0x28), (0xA1, 2), (0xA1, 1)]
    {
        a.mov(al, value)?;
        a.out(port, al)?;
    }
    a.mov(al, 0xFF)?;
    a.out(0x21, al)?;
    a.out(0xA1, al)?;
    for register in [ebx, ecx, edx, esi, edi, ebp] {
        a.xor(register, register)?;
    }
    (nano.setup)(&mut a, 0)?;
    if nano.ring == Ring::User {
        a.mov(eax, u32::from(USER_DATA))?;
        a.mov(ds, eax)?;
        a.mov(es, eax)?;
        a.push(eax)?;
        a.push(USER_STACK as i32)?;
        a.push(0x202)?;
        a.push(i32::from(USER_CODE))?;
        a.push(LOOP as i32)?;
        a.iretd()?;
    } else {
        a.jmp(u64::from(LOOP))?;
    }
    a.assemble(ORIGIN.into())
}

/// The loop with its marks.
fn benchmark_loop(nano: &Nano, port: u16) -> Result<Vec<u8>, IcedError> {
    let mut a = CodeAssembler::new(32)?;
    let mark = |a: &mut CodeAssembler, what: u8| -> Emitted {
        a.mov(al, u32::from(what))?;
        match nano.ring {
            Ring::Kernel => a.out(u32::from(port), al),
            Ring::User => a.int(VECTOR_MARK as u32),
        }
    };
    mark(&mut a, MARK_BEGIN)?;
    a.mov(ebp, dword_ptr(VARIABLES))?;
    counted(&mut a, nano)?;
    mark(&mut a, MARK_END)?;
    a.jmp(u64::from(LOOP))?;
    a.assemble(LOOP.into())
}

/// The operation as often as EBP says, times its copies. EBP is at least 1.
pub fn counted(a: &mut CodeAssembler, nano: &Nano) -> Emitted {
    let mut again = a.create_label();
    a.set_label(&mut again)?;
    for copy in 0..if nano.name == EMPTY.name { 0 } else { nano.copies } {
        (nano.body)(a, copy)?;
    }
    a.sub(ebp, 1)?;
    a.jne(again)
}

/// Handlers and functions.
fn slots(image: &mut [u8], nano: &Nano, port: u16) -> Result<(), IcedError> {
    let port = u32::from(port);
    let mut slot = |slot: Slot, emit: &dyn Fn(&mut CodeAssembler) -> Emitted| -> Emitted {
        let at = slot.address();
        let mut a = CodeAssembler::new(32)?;
        emit(&mut a)?;
        put(image, at, at + SLOT_BYTES, a.assemble(at.into())?);
        Ok(())
    };
    slot(Slot::Surprise, &|a| {
        let mut stop = a.create_label();
        a.set_label(&mut stop)?;
        a.mov(al, u32::from(MARK_SURPRISE))?;
        a.out(port, al)?;
        a.jmp(stop)
    })?;
    slot(Slot::Skip, &|a| {
        a.add(dword_ptr(esp), 2)?;
        a.iretd()
    })?;
    slot(Slot::PageFault, &|a| {
        match nano.page_fault {
            PageFault::Skip => a.add(dword_ptr(esp + 4), 2)?,
            PageFault::Map => a.or(dword_ptr(entry_of(ABSENT)), 1)?,
        }
        // The error code.
        a.add(esp, 4)?;
        a.iretd()
    })?;
    slot(Slot::SystemCall, &|a| a.iretd())?;
    slot(Slot::Mark, &|a| {
        a.out(port, al)?;
        a.iretd()
    })?;
    slot(Slot::Timer, &|a| {
        a.mov(al, 0x20)?;
        a.out(0x20, al)?;
        a.iretd()
    })?;
    slot(Slot::Enter, &|a| {
        a.pop(edx)?;
        a.mov(ecx, esp)?;
        a.sysenter()
    })?;
    slot(Slot::Entered, &|a| a.sysexit())?;
    for n in 0..4 {
        let at = Slot::Return.address() + n * SLOT_BYTES;
        put(image, at, at + SLOT_BYTES, nothing_function()?);
    }
    Ok(())
}

/// A function that does nothing.
pub fn nothing_function() -> Result<Vec<u8>, IcedError> {
    let mut a = CodeAssembler::new(32)?;
    a.ret()?;
    a.assemble(0)
}

/// The function whose immediate is replaced.
pub fn patched() -> Result<Vec<u8>, IcedError> {
    let mut a = CodeAssembler::new(32)?;
    a.mov(eax, 0x1234_5678)?;
    a.ret()?;
    a.assemble(PATCHED.into())
}

/// SDM Vol. 3A, "Segment Descriptors": flat code and data for privilege levels 0 and 3, and the task's.
fn descriptors() -> Vec<u8> {
    let task = 0x0000_8900_0000_0067 | u64::from(TSS & 0xFF_FFFF) << 16;
    let table: [u64; 6] =
        [0, 0x00CF_9A00_0000_FFFF, 0x00CF_9200_0000_FFFF, 0x00CF_FA00_0000_FFFF, 0x00CF_F200_0000_FFFF, task];
    table.iter().flat_map(|descriptor| descriptor.to_le_bytes()).collect()
}

/// SDM Vol. 3A, "Task-State Segment (TSS)": only the stack of privilege level 0 is used.
fn task_state() -> Vec<u8> {
    let mut state = vec![0; 0x68];
    state[4..8].copy_from_slice(&KERNEL_STACK.to_le_bytes());
    state[8..10].copy_from_slice(&KERNEL_DATA.to_le_bytes());
    // No I/O permission bit map.
    state[0x66] = 0x68;
    state
}

/// What LGDT and LIDT load.
fn table_register(bytes: u16, at: u32) -> Vec<u8> {
    [&(bytes - 1).to_le_bytes()[..], &at.to_le_bytes()].concat()
}

/// SDM Vol. 3A, "IDT Descriptors": interrupt gates, the system calls' open to privilege level 3.
fn gates() -> Vec<u8> {
    let gate = |vector: usize| {
        let slot = match vector {
            0 | 6 => Slot::Skip,
            14 => Slot::PageFault,
            VECTOR_TIMER => Slot::Timer,
            VECTOR_SYSTEM_CALL => Slot::SystemCall,
            VECTOR_MARK => Slot::Mark,
            _ => Slot::Surprise,
        };
        let open = matches!(vector, VECTOR_SYSTEM_CALL | VECTOR_MARK);
        let kind: u64 = if open { 0xEE00 } else { 0x8E00 };
        let offset = u64::from(slot.address());
        offset & 0xFFFF | u64::from(KERNEL_CODE) << 16 | kind << 32 | (offset >> 16) << 48
    };
    (0..256).flat_map(|vector| gate(vector).to_le_bytes()).collect()
}

/// The first 16 MiB where they are, the local APIC, and the further address spaces.
fn page_tables(image: &mut [u8]) {
    let mut entry = |table: u32, index: u32, value: u32| {
        put(image, table + index * 4, table + index * 4 + 4, value.to_le_bytes().to_vec());
    };
    for page in 0..(MEMORY >> 12) as u32 {
        let rights = if page == ABSENT >> 12 { MAPPED & !1 } else { MAPPED };
        entry(TABLES, page, page << 12 | rights);
    }
    entry(APIC_TABLE, APIC >> 12 & 0x3FF, APIC | MAPPED | UNCACHED);
    for space in 0..=SPACE_COUNT {
        let directory = if space == SPACE_COUNT { DIRECTORY } else { SPACES + space * SPACE_BYTES };
        for table in 0..4 {
            entry(directory, table, (TABLES + table * 0x1000) | MAPPED);
        }
        entry(directory, APIC >> 22, APIC_TABLE | MAPPED);
        if space < SPACE_COUNT {
            let table = directory + 0x1000;
            entry(directory, PRIVATE >> 22, table | MAPPED);
            for page in 0..PRIVATE_PAGES {
                let frame = FRAMES + (space * PRIVATE_PAGES + page) * 0x1000;
                entry(table, page, frame | MAPPED);
            }
        }
    }
}
