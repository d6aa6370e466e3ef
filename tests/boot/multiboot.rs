//! Multiboot kernels: one of our own that reports what it was given, and Debian's.

use crate::support::{BIOSES, Session, builtin, engines, guest_bytes};
use iced_x86::code_asm::*;
use idem86::firmware::loader::multiboot;
use idem86::machine::machine::Outcome;

/// Where the kernel is loaded.
const BASE: u32 = 0x10_0000;
/// Port that ends the run.
const EXIT: u16 = 0xF4;
/// "Multiboot header": magic number, and flags that ask for memory information and give addresses.
const HEADER: [u32; 2] = [0x1BAD_B002, 1 << 16 | 1 << 1];
/// "Machine state": what EAX holds.
const LOADED: u32 = 0x2BAD_B002;
/// A byte of the text screen is followed by its attribute.
const WHITE: u16 = 0x0700;

/// A flat kernel. It copies its command line and its first module to the first two lines of the screen and writes the
/// kilobytes of memory above 1 MiB to the debug-exit port; or FFh if EAX is not what the specification says, or
/// protection and paging are not as it says.
fn kernel() -> Vec<u8> {
    let mut a = CodeAssembler::new(32).expect("32 bits are supported");
    assemble(&mut a).expect("these are instructions");
    let code = a.assemble((BASE + 32).into()).expect("and they fit together");
    let end = BASE + 32 + code.len() as u32;
    let checksum = 0u32.wrapping_sub(HEADER[0].wrapping_add(HEADER[1]));
    let words = [HEADER[0], HEADER[1], checksum, BASE, BASE, end, end, BASE + 32];
    words.into_iter().flat_map(u32::to_le_bytes).chain(code).collect()
}

fn assemble(a: &mut CodeAssembler) -> Result<(), IcedError> {
    let (mut wrong, mut finish, mut copy, mut copied) =
        (a.create_label(), a.create_label(), a.create_label(), a.create_label());
    let mut begin = a.create_label();
    a.jmp(begin)?;

    // Characters from ESI to the screen at EDI, up to the first zero or EDX.
    a.set_label(&mut copy)?;
    a.cmp(esi, edx)?;
    a.je(copied)?;
    a.lodsb()?;
    a.test(al, al)?;
    a.je(copied)?;
    a.mov(ah, i32::from(WHITE >> 8))?;
    a.stosw()?;
    a.jmp(copy)?;
    a.set_label(&mut copied)?;
    a.ret()?;

    a.set_label(&mut begin)?;
    a.cmp(eax, LOADED)?;
    a.jne(wrong)?;
    a.mov(ecx, cr0)?;
    a.and(ecx, 0x8000_0001u32 as i32)?;
    a.cmp(ecx, 1)?;
    a.jne(wrong)?;
    a.mov(esp, 0x8_0000)?;
    a.cld()?;
    // "Boot information format": the command line.
    a.mov(esi, dword_ptr(ebx + 16))?;
    a.mov(edx, -1)?;
    a.mov(edi, 0xB_8000)?;
    a.call(copy)?;
    // The first module, from its start to its end.
    a.mov(ecx, dword_ptr(ebx + 24))?;
    a.mov(esi, dword_ptr(ecx))?;
    a.mov(edx, dword_ptr(ecx + 4))?;
    a.mov(edi, 0xB_8000 + 160)?;
    a.call(copy)?;
    a.mov(eax, dword_ptr(ebx + 8))?;
    a.jmp(finish)?;
    a.set_label(&mut wrong)?;
    a.mov(eax, 0xFF)?;
    a.set_label(&mut finish)?;
    a.out(i32::from(EXIT), eax)?;
    a.hlt()
}

#[test]
fn a_kernel_of_ours_gets_what_the_specification_promises() {
    for engine in engines() {
        for (bios, machine) in BIOSES {
            let test = format!("multiboot kernel of ours, {bios}");
            let Some(mut config) = machine(&test, 16) else { continue };
            let module = "a module".as_bytes();
            let loaded = multiboot::load(&kernel(), Some(module), "a command line", config.memory);
            config.kernel = Some(loaded.expect("it is a kernel"));
            let mut session = Session::new(&test, engine, config);
            session.machine.board.enable_debug_exit(EXIT);
            // "mem_upper", in kilobytes.
            assert_eq!(session.end(10), Outcome::Exit((15 * 1024) << 1 | 1));
            let screen = session.screen();
            let lines: Vec<&str> = screen.lines().collect();
            assert!(lines[0].contains("a command line") && lines[1].contains("a module"), "{screen}");
        }
    }
}

#[test]
fn debians_example_kernel_prints_what_it_was_given() {
    for engine in engines() {
        let test = "Debian's multiboot kernel";
        let Some(kernel) = guest_bytes(test, "multiboot/kernel") else { return };
        let mut config = builtin(16);
        let loaded = multiboot::load(&kernel, None, "some words", config.memory);
        config.kernel = Some(loaded.expect("it is a kernel"));
        let mut session = Session::new(test, engine, config);
        // It halts with interrupts off.
        assert_eq!(session.end(10), Outcome::Stuck);
        let screen = session.screen();
        for part in ["mem_lower = 639KB, mem_upper = 15360KB", "cmdline = some words", "Halted."] {
            assert!(screen.contains(part), "{screen}");
        }
    }
}
