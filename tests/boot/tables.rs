//! Linux as a reader of the built-in BIOS's tables: ACPI and SMBIOS, or the MP table.

use crate::support::{Session, builtin, engines, guest_bytes};
use idem86::firmware::loader::linux;
use idem86::machine::engine::EngineKind;
use idem86::machine::machine::Outcome;

const MEGABYTES: u64 = 128;
const UP: &str = "wait-serial idem86 test system is up";

/// Starts Linux with further words on its command line, up to the shell.
fn start(test: &str, engine: EngineKind, words: &str) -> Option<Session> {
    let mut config = builtin(MEGABYTES);
    let kernel = guest_bytes(test, "linux/vmlinuz")?;
    let initramfs = guest_bytes(test, "linux/initramfs")?;
    let line = format!("console=ttyS0 {words}");
    config.kernel =
        Some(linux::load(&kernel, Some(&initramfs), &line, config.memory).expect("it is a kernel"));
    let mut session = Session::new(test, engine, config);
    session.steps(&[UP], 120);
    Some(session)
}

fn assert_contains(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(text.contains(line), "no {line:?} in\n{text}");
    }
}

#[test]
#[ignore = "takes half a minute"]
fn linux_takes_acpi_and_switches_the_machine_off_by_it() {
    for engine in engines() {
        let Some(mut session) = start("Linux with ACPI", engine, "") else { return };
        let log = session.shell("dmesg", 10);
        assert_contains(
            &log,
            &[
                "DMI: idem86 idem86 PC",
                "ACPI: Interpreter enabled",
                "ACPI: Using IOAPIC for interrupt routing",
                "ACPI: PCI Root Bridge [PCI0]",
                "ACPI: PCI: Interrupt link LNKA configured for IRQ 10",
                "i8042: PNP: PS/2 Controller [PNP0303:KBD,PNP0f13:MOUS] at 0x60,0x64 irq 1,12",
            ],
        );
        for complaint in
            ["ACPI Error", "ACPI BIOS Error", "ACPI Warning", "ACPI BIOS Warning", "[Firmware Bug]"]
        {
            assert!(!log.contains(complaint), "{complaint} in\n{log}");
        }
        let interrupts = session.shell("cat /proc/interrupts", 5);
        assert_contains(&interrupts, &["IO-APIC   2-edge      timer", "IO-APIC   9-fasteoi   acpi"]);
        session.steps(&["send-serial poweroff -f\\n"], 5);
        assert_eq!(session.end(30), Outcome::PoweredOff);
    }
}

#[test]
#[ignore = "takes half a minute"]
fn linux_without_acpi_takes_the_mp_table() {
    for engine in engines() {
        let Some(mut session) = start("Linux with the MP table", engine, "acpi=off") else { return };
        assert_contains(
            &session.shell("dmesg", 10),
            &[
                "MPTABLE: Product ID: IDEM86 PC",
                "IOAPIC[0]: apic_id 1, version 17, address 0xfec00000, GSI 0-23",
            ],
        );
        assert_contains(&session.shell("cat /proc/interrupts", 5), &["IO-APIC   2-edge      timer"]);
    }
}
