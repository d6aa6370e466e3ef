//! gdb on a Linux guest: the kernel's entry for system calls, and a process behind the kernel's page tables.

use crate::gdb::{anywhere, debug, holds};
use crate::guest_files::guest;
use iced_x86::code_asm::*;
use idem86::machine::engine::EngineKind;
use idem86::{Ended, Machine, Until};

/// Where the process is: its code, and behind it the number that it counts in.
const CODE: u32 = 0x2000_0000;
const COUNTER: u32 = CODE + 0x1000;
/// Offsets in the code: of INT 80h, and behind it.
const CALL: u32 = 11;
const CALLED: u32 = 13;
/// Number of the system call getpid. Linux, `arch/x86/entry/syscalls/syscall_32.tbl`.
const GETPID: u32 = 20;

/// A process that counts and asks for its number, for ever; as an executable. System V ABI, Intel386 Supplement,
/// "Program Loading".
fn executable() -> Vec<u8> {
    let assemble = || {
        let mut a = CodeAssembler::new(32)?;
        let mut again = a.create_label();
        a.set_label(&mut again)?;
        a.inc(dword_ptr(COUNTER))?;
        a.mov(eax, GETPID)?;
        a.int(0x80)?;
        a.jmp(again)?;
        a.assemble(CODE.into())
    };
    let code = assemble().expect("it assembles");
    assert_eq!(code[CALL as usize..CALLED as usize], [0xCD, 0x80]);
    let header: [&[u32]; 2] = [
        // ET_EXEC, EM_386; version; entry; program headers at 52; one of 32 bytes.
        &[0x0003_0002, 1, CODE, 52, 0, 0, 0x0020_0034, 1, 0],
        // PT_LOAD: offset, address, sizes in the file and in memory, all rights, alignment.
        &[1, 0x1000, CODE, CODE, code.len() as u32, 0x2000, 7, 0x1000],
    ];
    let mut file = b"\x7FELF\x01\x01\x01".to_vec();
    file.resize(16, 0);
    file.extend(header.concat().iter().flat_map(|word| word.to_le_bytes()));
    file.resize(0x1000, 0);
    file.extend(code);
    file
}

/// An archive with `content` as `/init`. Linux, "initramfs buffer format".
fn archive(content: &[u8]) -> Vec<u8> {
    let mut archive = Vec::new();
    for (number, (name, mode, content)) in
        [("init", 0o100_755, content), ("TRAILER!!!", 0, &[])].iter().enumerate()
    {
        let (size, name_size) = (content.len(), name.len() + 1);
        let fields = [number + 1, *mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name_size, 0];
        archive.extend(b"070701");
        fields.iter().for_each(|field| archive.extend(format!("{field:08X}").bytes()));
        archive.extend(name.bytes());
        archive.push(0);
        archive.resize(archive.len().next_multiple_of(4), 0);
        archive.extend(*content);
        archive.resize(archive.len().next_multiple_of(4), 0);
    }
    archive
}

/// The number that follows `name` in `text`.
fn number(text: &str, name: &str) -> i64 {
    let (_, rest) = text.split_once(name).unwrap_or_else(|| panic!("no {name:?} in\n{text}"));
    let line = rest.lines().next().unwrap_or_default();
    line.trim().parse().unwrap_or_else(|_| panic!("{line:?} behind {name:?} in\n{text}"))
}

#[test]
#[ignore = "takes a minute"]
fn the_kernel_and_a_process_of_linux() {
    let Some(kernel) = guest("gdb on Linux", "linux/vmlinuz") else { return };
    for engine in [EngineKind::Interpreter, EngineKind::fastest()] {
        let builder = Machine::builder().memory(128 << 20).engine(engine).kernel(kernel.clone());
        let mut machine = builder
            .initrd(archive(&executable()))
            .append("quiet")
            .build()
            .expect("a kernel, and memory for it");
        let ended = machine.run_until(Until::breakpoint(CODE).or(Until::millis(120_000))).expect("no sinks");
        assert_eq!(ended, Ended::Breakpoint, "{}", machine.screen_text().unwrap_or_default());
        let (called, call) = (CODE + CALLED, CODE + CALL);
        let commands = [
            "p/x $eip",
            "p $cpl",
            "set $gate = (unsigned int)$idtr_base + 8 * 0x80",
            "set $handler = (unsigned int)(*(unsigned short *)$gate | *(unsigned short *)($gate + 6) << 16)",
            "p $handler >= 0xc0000000",
            // The kernel, where it is entered.
            "hbreak *$handler",
            "continue",
            "p $eip == $handler",
            "p $cpl",
            "p $eax",
            "p $cr0",
            "p/x *(unsigned int *)$esp",
            "stepi",
            "p $eip > $handler",
            // What the process has, by the page tables.
            &format!("x/2xb {CODE:#x}"),
            "delete",
            // The process.
            &format!("tbreak *{called:#x}"),
            "continue",
            "p $cpl",
            "p $eax",
            &format!("watch *(int *){COUNTER:#x}"),
            "continue",
            "p/x $eip",
            &format!("set var *(int *){COUNTER:#x} = 1000000"),
            "continue",
            "delete",
            &format!("break *{call:#x}"),
            "continue",
            "stepi",
            "p $eip == $handler",
            "delete",
            "detach",
        ];
        let Some(text) = debug(&mut machine, &anywhere(), &commands) else { return };
        holds(
            &text,
            &[
                "= 0x20000000",
                "= 3",
                "= 1",
                "Hardware assisted breakpoint 1",
                "Breakpoint 1, 0x",
                "= 1",
                "= 0",
                "= 20",
                "PG",
                "= 0x2000000d",
                "= 1",
                "0x20000000:\t0xff\t0x05",
                "Temporary breakpoint 2, 0x2000000d",
                "= 3",
                "= 1",
                "Hardware watchpoint 3",
                "Old value = ",
                "New value = ",
                "= 0x20000006",
                "Old value = 1000000",
                "New value = 1000001",
                "Breakpoint 4, 0x2000000b",
                "= 1",
            ],
        );
        assert_eq!(number(&text, "Old value = ") + 1, number(&text, "New value = "), "{text}");
        // The debugger has left, and the process goes on.
        let mut count = [0; 4];
        machine.read_linear(COUNTER, &mut count).expect("it is mapped");
        let before = u32::from_le_bytes(count);
        assert!(before >= 1_000_001, "{before}");
        machine.run_until(Until::work(1_000_000)).expect("no sinks");
        machine.read_linear(COUNTER, &mut count).expect("it is mapped");
        assert!(u32::from_le_bytes(count) > before, "after {before}");
    }
}
