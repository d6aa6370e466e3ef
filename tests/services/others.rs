//! Services that answer in registers: what they must answer on this machine. IBM PS/2 and PC BIOS Interface Technical
//! Reference; PCI BIOS Specification 2.1; APM BIOS Interface Specification 1.2; VESA VBE Core Functions 3.0.

use super::harness::{BUFFER, Registers, Request, ask, bioses, bootable, disk, run};
use idem86::machine::cmos::BootDevice;
use idem86::machine::machine::Outcome;

/// AX, BX, CX and DX that an answer must have, as far as they matter.
type Expected = [Option<u16>; 4];

const ANY: Option<u16> = None;

fn is(value: u16) -> Option<u16> {
    Some(value)
}

/// A service, what its caller has in EAX, EBX, ECX and EDX, the answer, and its carry or (INT 16h) zero flag.
type Row = (u8, [u32; 4], Expected, bool);

fn request(row: &Row) -> Request {
    let (interrupt, [eax, ebx, ecx, edx], ..) = *row;
    (interrupt, Registers { eax, ebx, ecx, edx, edi: BUFFER.into(), ..Registers::default() })
}

fn check(test: &str, rows: &[Row]) {
    let requests: Vec<Request> = rows.iter().map(request).collect();
    for bios in bioses(test) {
        let mut answers = ask(&bios, &requests, &[]);
        for (n, (interrupt, asked, expected, flag)) in (0..).zip(rows) {
            let answer = answers.get(n);
            let found = [answer.ax(), answer.bx(), answer.cx(), answer.dx()];
            let good =
                expected.iter().zip(found).all(|(expected, found)| expected.is_none_or(|e| e == found));
            let what = if *interrupt == 0x16 { answer.zero } else { answer.carry };
            assert!(
                good && what == *flag,
                "{}: INT {interrupt:X}h with {asked:X?} answers {answer:X?}",
                bios.name
            );
        }
    }
}

#[test]
fn equipment_address_line_20_and_power_management() {
    check(
        "system services",
        &[
            // A floppy drive, a coprocessor, a mouse, a colour display, four serial ports.
            (0x11, [0, 0, 0, 0], [is(0x0827), ANY, ANY, ANY], false),
            (0x15, [0x2400, 0, 0, 0], [is(0), ANY, ANY, ANY], false),
            (0x15, [0x2402, 0, 0, 0], [is(0), ANY, ANY, ANY], false),
            (0x15, [0x2401, 0, 0, 0], [ANY; 4], false),
            (0x15, [0x2402, 0, 0, 0], [is(1), ANY, ANY, ANY], false),
            (0x15, [0x2403, 0, 0, 0], [ANY, is(3), ANY, ANY], false),
            // APM 1.2 is there, on line, without a battery and without an event.
            (0x15, [0x5300, 0, 0, 0], [is(0x0102), is(0x504D), is(3), ANY], false),
            (0x15, [0x530A, 1, 0, 0], [ANY, is(0x01FF), is(0x80FF), is(0xFFFF)], false),
            (0x15, [0x530B, 0, 0, 0], [is(0x800B), ANY, ANY, ANY], true),
            // No Micro Channel, no EISA.
            (0x15, [0xC400, 0, 0, 0], [is(0x8600), ANY, ANY, ANY], true),
            (0x15, [0xD800, 0, 0, 0], [is(0x8600), ANY, ANY, ANY], true),
            (0x15, [0xC200, 0, 0, 0], [is(0), ANY, ANY, ANY], false),
            (0x15, [0xC205, 0x0300, 0, 0], [is(5), is(0x00AA), ANY, ANY], false),
        ],
    );
}

#[test]
fn power_management_switches_the_machine_off() {
    // Connect, tell the version, all devices off.
    let rows = [(0x5301, 0, 0), (0x530E, 0, 0x0102), (0x5307, 1, 3)];
    let requests = rows.map(|(ax, bx, cx)| request(&(0x15, [ax, bx, cx, 0], [ANY; 4], false)));
    for bios in bioses("power management") {
        let image = bootable(&requests, &[], 20 * 16 * 63);
        let (outcome, _) = run(&bios, BootDevice::Disk, [disk(image), None, None, None]);
        assert_eq!(outcome, Outcome::PoweredOff, "{}", bios.name);
    }
}

#[test]
fn keys_that_a_program_stores_are_read_in_order() {
    const A: u32 = 0x1E61;
    const B: u32 = 0x3062;
    /// The grey cursor key up, which only the services for enhanced keyboards tell from the old one.
    const GREY_UP: u32 = 0x48E0;
    check(
        "keyboard services",
        &[
            (0x16, [0x0100, 0, 0, 0], [ANY; 4], true),
            (0x16, [0x0500, 0, A, 0], [is(0x0500), ANY, ANY, ANY], false),
            (0x16, [0x0500, 0, B, 0], [is(0x0500), ANY, ANY, ANY], false),
            (0x16, [0x0500, 0, GREY_UP, 0], [is(0x0500), ANY, ANY, ANY], false),
            (0x16, [0x0500, 0, GREY_UP, 0], [is(0x0500), ANY, ANY, ANY], false),
            (0x16, [0x0100, 0, 0, 0], [is(0x1E61), ANY, ANY, ANY], false),
            (0x16, [0x0000, 0, 0, 0], [is(0x1E61), ANY, ANY, ANY], false),
            (0x16, [0x1100, 0, 0, 0], [is(0x3062), ANY, ANY, ANY], false),
            (0x16, [0x1000, 0, 0, 0], [is(0x3062), ANY, ANY, ANY], false),
            (0x16, [0x1000, 0, 0, 0], [is(0x48E0), ANY, ANY, ANY], false),
            (0x16, [0x0000, 0, 0, 0], [is(0x4800), ANY, ANY, ANY], false),
            (0x16, [0x1100, 0, 0, 0], [ANY; 4], true),
            (0x16, [0x0A00, 0, 0, 0], [ANY, is(0x41AB), ANY, ANY], false),
            (0x16, [0x9200, 0, 0, 0], [is(0x8000), ANY, ANY, ANY], false),
        ],
    );
}

#[test]
fn pci_functions_are_found() {
    check(
        "PCI BIOS",
        &[
            // Mechanism 1, version 2.1, one bus; "PCI " in EDX.
            (0x1A, [0xB101, 0, 0, 0], [is(0x0001), is(0x0210), is(0), is(0x4350)], false),
            // The 82371SB is function 0 of device 1, its IDE interface function 1.
            (0x1A, [0xB102, 0, 0x7000, 0x8086], [is(0x0002), is(1 << 3), ANY, ANY], false),
            (0x1A, [0xB103, 0, 0x01_0180, 0], [is(0x0003), is(1 << 3 | 1), ANY, ANY], false),
            (0x1A, [0xB102, 0, 0x1234, 0x8086], [is(0x8602), ANY, ANY, ANY], true),
            (0x1A, [0xB103, 0, 0x02_0000, 0], [is(0x8603), ANY, ANY, ANY], true),
        ],
    );
}

#[test]
fn display_modes_and_cursor() {
    check(
        "display services",
        &[
            (0x10, [0x0F00, 0, 0, 0], [is(0x5003), is(0), ANY, ANY], false),
            (0x10, [0x0200, 0, 0, 0x0505], [ANY; 4], false),
            (0x10, [0x0941, 0x1F, 3, 0], [ANY; 4], false),
            (0x10, [0x0800, 0, 0, 0], [is(0x1F41), ANY, ANY, ANY], false),
            (0x10, [0x0E42, 0, 0, 0], [ANY; 4], false),
            (0x10, [0x0300, 0, 0, 0], [ANY, ANY, is(0x0607), is(0x0506)], false),
            // A colour VGA, 16 lines a character, 25 rows.
            (0x10, [0x1A00, 0, 0, 0], [is(0x1A1A), is(0x0008), ANY, ANY], false),
            (0x10, [0x1130, 0, 0, 0], [ANY, ANY, is(16), is(24)], false),
            (0x10, [0x0013, 0, 0, 0], [ANY; 4], false),
            (0x10, [0x0F00, 0, 0, 0], [is(0x2813), ANY, ANY, ANY], false),
            (0x10, [0x0C05, 0, 10, 20], [ANY; 4], false),
            (0x10, [0x0D00, 0, 10, 20], [is(0x0D05), ANY, ANY, ANY], false),
            (0x10, [0x4F00, 0, 0, 0], [is(0x004F), ANY, ANY, ANY], false),
            (0x10, [0x4F02, 0x0101, 0, 0], [is(0x004F), ANY, ANY, ANY], false),
            (0x10, [0x4F03, 0, 0, 0], [is(0x004F), is(0x0101), ANY, ANY], false),
            (0x10, [0x4F02, 0xC103, 0, 0], [is(0x004F), ANY, ANY, ANY], false),
            (0x10, [0x4F03, 0, 0, 0], [is(0x004F), is(0xC103), ANY, ANY], false),
            (0x10, [0x0083, 0, 0, 0], [ANY; 4], false),
            (0x10, [0x0F00, 0, 0, 0], [is(0x5083), ANY, ANY, ANY], false),
            (0x10, [0x4F03, 0, 0, 0], [is(0x004F), is(0x8003), ANY, ANY], false),
        ],
    );
}
