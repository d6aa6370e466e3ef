//! What the built-in BIOS leaves to operating systems: tables, found in memory as those look for them, and the state of
//! the processor.
//!
//! The oracle of ACPI's tables is `iasl` (Debian package acpica-tools): where it is on the path, it disassembles them
//! and compiles what it has read without an error.

use idem86::cpu::state::control::cr0;
use idem86::devices::access::DmaMemory;
use idem86::devices::time::GuestDuration;
use idem86::machine::config::{Config, Firmware};
use idem86::machine::machine::{Machine, Outcome};
use std::process::Command;

/// A machine of `megabytes` that has found nothing to boot.
fn started(megabytes: u64) -> Machine {
    let mut machine = Machine::new(Config::new(megabytes << 20, Firmware::Builtin)).expect("it is sound");
    assert_eq!(machine.run_to(machine.now() + GuestDuration::from_millis(1000)), Outcome::Ran);
    let screen = machine.board.vga.text_screen().map(|screen| screen.to_string()).unwrap_or_default();
    assert!(screen.contains("No bootable device"), "{screen}");
    machine
}

fn bytes(machine: &mut Machine, at: u32, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    machine.memory().read(at.into(), &mut bytes);
    bytes
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u16_at(bytes: &[u8], at: usize) -> usize {
    u16::from_le_bytes(bytes[at..at + 2].try_into().expect("two bytes")).into()
}

fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
}

/// The only paragraph of F0000h to FFFFFh that begins with `signature`, and what follows.
fn find(machine: &mut Machine, signature: &[u8]) -> Option<Vec<u8>> {
    let segment = bytes(machine, 0xF_0000, 0x1_0000);
    let mut places = (0..segment.len()).step_by(16).filter(|at| segment[*at..].starts_with(signature));
    let place = places.next()?;
    assert_eq!(places.next(), None, "{signature:?} is there twice");
    Some(segment[place..].to_vec())
}

/// The ACPI table at `at`, whose checksum is right.
fn acpi_table(machine: &mut Machine, at: u32) -> Vec<u8> {
    let header = bytes(machine, at, 8);
    let table = bytes(machine, at, u32_at(&header, 4) as usize);
    assert_eq!(sum(&table), 0, "{at:#x}");
    table
}

/// The tables that the root pointer leads to: those of the RSDT, then the DSDT and the FACS.
fn acpi_tables(machine: &mut Machine) -> Option<Vec<Vec<u8>>> {
    let root = find(machine, b"RSD PTR ")?;
    assert_eq!((sum(&root[..20]), sum(&root[..36])), (0, 0));
    let rsdt = acpi_table(machine, u32_at(&root, 16));
    let mut tables: Vec<Vec<u8>> =
        rsdt[36..].chunks(4).map(|entry| acpi_table(machine, u32_at(entry, 0))).collect();
    let fadt = tables.iter().find(|table| table.starts_with(b"FACP")).expect("a FADT").clone();
    tables.push(acpi_table(machine, u32_at(&fadt, 40)));
    tables.push(bytes(machine, u32_at(&fadt, 36), 64));
    Some(tables)
}

#[test]
fn tables_are_where_operating_systems_look_for_them() {
    let mut machine = started(64);
    let tables = acpi_tables(&mut machine).expect("a root pointer");
    let signatures: Vec<&[u8]> = tables.iter().map(|table| &table[..4]).collect();
    assert_eq!(signatures, [b"FACP", b"APIC", b"DSDT", b"FACS"]);

    let pointer = find(&mut machine, b"_MP_").expect("an MP floating pointer");
    assert_eq!(sum(&pointer[..16]), 0);
    let header = bytes(&mut machine, u32_at(&pointer, 4), 44);
    let configuration = bytes(&mut machine, u32_at(&pointer, 4), u16_at(&header, 4));
    assert_eq!((&configuration[..4], sum(&configuration)), (&b"PCMP"[..], 0));

    let routing = find(&mut machine, b"$PIR").expect("an interrupt routing table");
    assert_eq!(sum(&routing[..u16_at(&routing, 6)]), 0);

    let entry = find(&mut machine, b"_SM_").expect("an SMBIOS entry point");
    assert_eq!((sum(&entry[..0x1F]), sum(&entry[0x10..0x1F])), (0, 0));
    let structures = bytes(&mut machine, u32_at(&entry, 0x18), u16_at(&entry, 0x16));
    assert_eq!(structures[structures.len() - 6..], [127, 4, 0, 0x7F, 0, 0], "the last is the end");
}

/// Nothing of 1 MiB is set aside for tables; what lies in the ROM's segment is there all the same.
#[test]
fn the_smallest_machine_has_no_acpi() {
    let mut machine = started(1);
    assert!(acpi_tables(&mut machine).is_none());
    assert!(find(&mut machine, b"_MP_").is_some() && find(&mut machine, b"_SM_").is_some());
}

#[test]
fn acpi_tables_can_be_disassembled_and_compiled() {
    let folder = tempfile::tempdir().expect("a folder");
    let iasl = |arguments: &[&str]| Command::new("iasl").args(arguments).current_dir(folder.path()).output();
    if iasl(&["-v"]).is_err() {
        println!("ACPI tables by an oracle: skipped, no iasl (Debian package acpica-tools)");
        return;
    }
    for table in acpi_tables(&mut started(64)).expect("a root pointer") {
        let name = String::from_utf8_lossy(&table[..4]).to_lowercase();
        let [binary, source, again] = ["dat", "dsl", "again"].map(|extension| format!("{name}.{extension}"));
        std::fs::write(folder.path().join(&binary), &table).expect("a file");
        for (arguments, good) in
            [(vec!["-d", &binary], "utput: "), (vec!["-p", &again, &source], " 0 Errors")]
        {
            let output = iasl(&arguments).expect("it was there before");
            let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
            assert!(output.status.success() && said.contains(good), "{name}: {said}");
        }
    }
}

/// As every BIOS leaves it: caches on, MTRRs on, write-back memory but for the devices' part.
#[test]
fn the_processor_is_ready_for_use() {
    let machine = started(16);
    assert_eq!(machine.cpu.cr0 & (cr0::CD | cr0::NW | cr0::PE), 0);
    let msr = &machine.cpu.msr;
    assert_eq!(msr.mtrr_def_type, 0xC06);
    assert_eq!(msr.mtrr_variable[..2], [0xE000_0000, 0xF_E000_0800]);
}
