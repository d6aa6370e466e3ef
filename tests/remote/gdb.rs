//! gdb itself.

use crate::guest_files::say;
use crate::guests::*;
use crate::host::{engines, run};
use idem86::machine::machine::Machine;
use idem86::machine::remote::gdb::GdbServer;
use idem86::machine::remote::{Desk, Endpoint};
use std::process::{Command, Stdio};

/// Has gdb do `commands` to the machine, and gives what it printed; `None` where it is not installed. Checks that
/// the machine runs again when gdb has left.
pub fn debug(machine: &mut Machine, endpoint: &Endpoint, commands: &[&str]) -> Option<String> {
    let mut desk = Desk::new(true);
    let server = GdbServer::start(endpoint, desk.link()).expect("a place to listen");
    let target = match server.endpoint() {
        Endpoint::Unix(path) => path.display().to_string(),
        Endpoint::Tcp(address) => address.to_string(),
    };
    let mut gdb = Command::new("gdb");
    gdb.args(["-nx", "-batch", "-ex", "set pagination off", "-ex", "set remotetimeout 600"]);
    gdb.args(["-ex", &format!("target remote {target}")]);
    commands.iter().for_each(|command| _ = gdb.args(["-ex", command]));
    // Standard error is small: it does not fill a pipe that nobody empties.
    gdb.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut child) = gdb.spawn() else {
        say(&"gdb tests", &"skipped, gdb is not installed");
        return None;
    };
    run(machine, &mut desk, |_| child.try_wait().expect("a child").is_some());
    let output = child.wait_with_output().expect("what it printed");
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let before = machine.cpu.work();
    run(machine, &mut desk, |machine| machine.cpu.work() > before + 1000);
    Some(text)
}

/// A port that is free.
pub fn anywhere() -> Endpoint {
    "tcp:127.0.0.1:0".parse().expect("an endpoint")
}

/// Asserts that `text` holds `wanted`, one behind the other.
pub fn holds(text: &str, wanted: &[&str]) {
    let mut rest = text;
    for part in wanted {
        let at = rest.find(part).unwrap_or_else(|| panic!("no {part:?} where it should be in:\n{text}"));
        rest = &rest[at + part.len()..];
    }
}

#[test]
fn a_boot_sector_in_real_mode() {
    for engine in engines() {
        let mut machine = boot_sector(engine);
        let commands = [
            "info registers eip cs",
            "break *0x7c00",
            "continue",
            "info registers esp",
            "x/3i 0x7c00",
            "stepi",
            "stepi",
            "stepi",
            "info registers eip ecx",
            "watch *(short*)0x500",
            "continue",
            "info registers eip",
            "continue",
            "delete",
            "rwatch *(short*)0x500",
            "continue",
            "info registers eip",
            "delete",
            "hbreak *0x7c0e",
            "continue",
            "set var *(short*)0x500 = 0x4567",
            "continue",
            "p/x $eax",
            "set $cx = 0",
            "set $ecx = 0x55aa",
            "p/x $ecx",
            "set $ds = 0x123",
            "p/x $ds_base",
            "p $cr0",
            "p $eflags",
            "set $xmm3.v4_int32 = {1, 2, 3, 4}",
            "p $xmm3.uint128",
            "set $ds = 0",
        ];
        let Some(text) = debug(&mut machine, &anywhere(), &commands) else { return };
        holds(
            &text,
            &[
                "eip            0xfff0",
                "cs             0xf000",
                "Breakpoint 1, 0x00007c00",
                "esp            0x7c00",
                "=> 0x7c00:\txor    %ax,%ax",
                "0x7c02:\tmov    %ax,%ds",
                "0x7c04:\tmov    $0x1234,%cx",
                "eip            0x7c07",
                "ecx            0x1234",
                "Hardware watchpoint 2",
                "Old value = 0",
                "New value = 1",
                "eip            0x7c0b",
                "Old value = 1",
                "New value = 2",
                "Hardware read watchpoint 3",
                "Value = 2",
                "eip            0x7c0e",
                "Hardware assisted breakpoint 4 at 0x7c0e",
                "Breakpoint 4, 0x00007c0e",
                "Breakpoint 4, 0x00007c0e",
                "= 0x4568",
                "= 0x55aa",
                "= 0x1230",
                "[ ET ]",
                "[ IF ]",
                "= 316912650112397582603894390785",
            ],
        );
        assert!(!text.contains("warning: A handler"), "{text}");
    }
}

#[test]
fn a_32_bit_program_under_paging() {
    for engine in engines() {
        let mut machine = paged_program(engine);
        let function = format!("{:#x}", KERNEL + 0x100);
        let commands = [
            &format!("break *{function}"),
            "continue",
            "set architecture i386",
            &format!("x/2i {function}"),
            "p/x $cr3",
            "p $cr0",
            "p/x $cs",
            &format!("p *(int*){VARIABLE:#x}"),
            "continue",
            "continue",
            &format!("p *(int*){VARIABLE:#x}"),
            // Not mapped.
            "x/x 0xd0000000",
            &format!("x/x {:#x}", KERNEL + 0x3000 - 4),
            &format!("x/2x {:#x}", KERNEL + 0x3000 - 4),
            // Mapped, but never touched: reading it leaves no trace.
            &format!("x/x {UNTOUCHED:#x}"),
            &format!("set var *(int*){VARIABLE:#x} = 1000"),
            "delete",
            &format!("watch *(int*){VARIABLE:#x}"),
            "continue",
            "info registers eip",
            &format!("monitor x/2i {function}"),
            "monitor xp/1xw 0x21000",
            "monitor info status",
            "monitor nonsense",
            "detach",
        ];
        let Some(text) = debug(&mut machine, &anywhere(), &commands) else { return };
        holds(
            &text,
            &[
                "Breakpoint 1, 0xc0000100",
                "=> 0xc0000100:\tmov    0xc0001000,%eax",
                "0xc0000105:\tinc    %eax",
                "= 0x10000",
                "PE",
                "PG",
                "= 0x8",
                "= 0",
                "Breakpoint 1, 0xc0000100",
                "Breakpoint 1, 0xc0000100",
                "= 2",
                "0xc0002ffc:\t0x00000000",
                "0xc0002ffc:\t0x00000000",
                "0xc0002000:\t0x00000000",
                "Hardware watchpoint 2",
                "Old value = 1000",
                "New value = 1001",
                "eip            0xc000010b",
                "c0000100: mov eax,ds:[0C0001000h]",
                "00021000: 0x000003e9",
                "VM status: paused",
                "unknown command: \"nonsense\"",
            ],
        );
        holds(&text, &["Cannot access memory at address 0xd0000000"]);
        holds(&text, &["Cannot access memory at address 0xc0003000"]);
        let entry = dword(&mut machine, HIGH_TABLE + 8);
        assert_eq!(entry & 0x60, 0, "accessed and dirty bits of a page that only gdb read");
    }
}

#[test]
fn stepping_through_calls_and_interrupts_is_exact() {
    for engine in engines() {
        let mut machine = paged_program(engine);
        let commands = [
            &format!("break *{KERNEL:#x}"),
            "continue",
            "set architecture i386",
            "stepi",
            "p/x $eip",
            "stepi 4",
            "p/x $eip",
            "stepi",
            "p/x $eip",
        ];
        let Some(text) = debug(&mut machine, &anywhere(), &commands) else { return };
        holds(&text, &["= 0xc0000100", "= 0xc0000005", "Breakpoint 1, 0xc0000000"]);
    }
}

#[cfg(unix)]
#[test]
fn over_a_unix_socket_and_killed() {
    let directory = tempfile::tempdir().expect("a directory");
    let endpoint = Endpoint::Unix(directory.path().join("gdb.sock"));
    let mut machine = boot_sector(engines()[0]);
    let Some(text) = debug(&mut machine, &endpoint, &["monitor info version", "stepi"]) else { return };
    holds(&text, &["idem86 "]);
    assert!(std::fs::read_dir(directory.path()).expect("it is there").next().is_none(), "the socket is gone");
}
