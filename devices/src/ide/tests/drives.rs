//! The cable: selection, absent drives, resets, interrupts.

use super::*;
use crate::ide::spec::{RESET_TIME, control};

fn two_disks() -> Host {
    let mut host = Host::new();
    for (slot, first) in [(0, 0u8), (1, 100)] {
        let content = (first..first + 4).flat_map(|b| [b; SECTOR]).collect();
        let medium = Box::new(MemoryMedium::new(content));
        host.ide.attach_disk(Slot::ALL[slot], medium, identity(), None).unwrap();
    }
    host
}

fn registers(host: &mut Host) -> [u8; 6] {
    [
        register::ERROR,
        register::COUNT,
        register::LBA_LOW,
        register::LBA_MID,
        register::LBA_HIGH,
        register::DEVICE,
    ]
    .map(|r| host.read(r))
}

#[test]
fn attaching_refuses_what_does_not_fit() {
    let mut host = Host::new();
    let mut attach = |bytes, geometry| {
        let medium = Box::new(MemoryMedium::new(vec![0; bytes]));
        host.ide.attach_disk(Slot::ALL[2], medium, identity(), geometry)
    };
    assert_eq!(attach(511, None), Err(AttachError::TooSmall));
    let geometry = |cylinders, heads, sectors| Some(Geometry { cylinders, heads, sectors });
    for bad in
        [geometry(0, 1, 1), geometry(1, 0, 1), geometry(1, 17, 1), geometry(1, 1, 0), geometry(2, 2, 2)]
    {
        assert_eq!(attach(7 * SECTOR, bad), Err(AttachError::Geometry), "{bad:?}");
    }
    assert_eq!(attach(8 * SECTOR, geometry(2, 2, 2)), Ok(()));
    assert_eq!(attach(SECTOR, None), Err(AttachError::Occupied));
}

#[test]
fn a_channel_without_drives_floats_but_is_not_busy() {
    let mut host = Host::new();
    for device in [0, 0x10] {
        host.write(register::DEVICE, device);
        assert_eq!(host.status(), 0x7F);
        assert_eq!(host.alternate_status(), 0x7F);
        host.write(register::COUNT, 0x55);
        assert_ne!(host.read(register::COUNT), 0x55);
        host.command(0xEC, 0, 0);
        assert_eq!(host.ide.next_event(), None);
    }
}

#[test]
fn device_0_answers_for_an_absent_device_1_with_a_status_of_zero() {
    let mut host = Host::with_disk(Shared::numbered(4));
    host.write(register::DEVICE, 0x10);
    assert_eq!((host.status(), host.alternate_status()), (0, 0));
    host.write(register::COUNT, 0x55);
    assert_eq!(host.read(register::COUNT), 0x55);
    host.write(register::STATUS, 0xEC);
    host.pass(GuestDuration::from_millis(10));
    assert_eq!(host.status(), 0, "no one executes the command");
    assert!(!host.irq());
    host.write(register::DEVICE, 0);
    assert_eq!(host.status(), IDLE);
}

#[test]
fn device_1_alone_leaves_the_cable_floating_while_device_0_is_selected() {
    let mut host = Host::new();
    host.ide.attach_disk(Slot::ALL[1], Box::new(Shared::numbered(4)), identity(), None).unwrap();
    assert_eq!(host.status(), 0x7F);
    host.write(register::DEVICE, 0x10);
    assert_eq!(host.status(), IDLE);
}

#[test]
fn only_the_selected_drive_executes_and_interrupts() {
    let mut host = two_disks();
    host.write(register::DEVICE, 0x10);
    host.command(0x20, 2, 1);
    host.wait();
    assert!(host.irq());
    host.write(register::DEVICE, 0xE0);
    assert!(!host.irq(), "the other drive has no interrupt pending");
    assert_eq!(host.status(), IDLE);
    host.write(register::DEVICE, 0xF0);
    assert!(host.irq(), "and reading its Status acknowledged nothing of this one");
    assert_eq!(host.collect(SECTOR, SECTOR), [102; SECTOR]);
    host.write(register::DEVICE, 0xE0);
    host.command(0x20, 2, 1);
    assert_eq!(host.collect(SECTOR, SECTOR), [2; SECTOR]);
}

#[test]
fn the_channels_are_independent() {
    let mut host = two_disks();
    host.ide.attach_disk(Slot::ALL[2], Box::new(Shared::numbered(4)), identity(), None).unwrap();
    host.command(0x20, 1, 1);
    host.channel = 1;
    host.command(0x20, 3, 1);
    assert_eq!(host.collect(SECTOR, SECTOR), sector_content(3));
    host.channel = 0;
    assert!(host.irq());
    assert_eq!(host.collect(SECTOR, SECTOR), [1; SECTOR]);
}

#[test]
fn nien_keeps_the_interrupt_pending_off_the_cable() {
    let mut host = two_disks();
    host.write_control(control::NIEN);
    host.command(0xE7, 0, 0);
    host.wait();
    assert!(!host.irq());
    host.write_control(0);
    assert!(host.irq(), "still pending");
    assert_eq!(host.alternate_status(), IDLE);
    assert!(host.irq(), "Alternate Status acknowledges nothing");
    assert_eq!(host.status(), IDLE);
    assert!(!host.irq());
}

#[test]
fn a_new_command_withdraws_the_interrupt_of_the_last() {
    let mut host = two_disks();
    host.command(0xE7, 0, 0);
    host.wait();
    assert!(host.irq());
    host.command(0xE7, 0, 0);
    assert!(!host.irq());
    host.wait();
    assert!(host.irq());
}

#[test]
fn a_software_reset_holds_both_drives_busy_and_leaves_the_signature() {
    let mut host = two_disks();
    host.write(register::DEVICE, 0x10);
    host.command(0x20, 1, 1);
    host.wait();
    assert!(host.irq());
    host.write_control(control::SRST);
    assert!(!host.irq());
    host.pass(GuestDuration::from_millis(50));
    assert_eq!(host.status(), status::BSY, "for as long as SRST is set");
    host.command(0xEC, 0, 0);
    host.write_control(0);
    assert_eq!(host.status(), status::BSY);
    host.pass(RESET_TIME);
    for device in [0, 0x10] {
        host.write(register::DEVICE, device);
        assert_eq!(host.status(), IDLE);
        assert_eq!(registers(&mut host), [1, 1, 1, 0, 0, device]);
    }
    assert!(!host.irq(), "a reset is no event");
}

#[test]
fn a_software_reset_selects_device_0() {
    let mut host = Host::with_disk(Shared::numbered(4));
    host.write(register::DEVICE, 0x10);
    host.write_control(control::SRST);
    host.write_control(0);
    host.wait();
    assert_eq!(host.status(), IDLE);
}

#[test]
fn execute_device_diagnostic_runs_on_both_drives_and_reports_by_device_0() {
    let mut host = two_disks();
    host.write(register::DEVICE, 0x10);
    host.write(register::STATUS, 0x90);
    assert_eq!(host.status(), status::BSY);
    host.wait();
    assert!(host.irq());
    assert_eq!(registers(&mut host), [1, 1, 1, 0, 0, 0]);
    host.write(register::DEVICE, 0x10);
    assert_eq!(host.status(), IDLE);
    assert_eq!(registers(&mut host)[..5], [1, 1, 1, 0, 0]);
}

#[test]
fn a_busy_drive_takes_neither_registers_nor_commands() {
    let mut host = Host::with_disk(Shared::numbered(8));
    host.command(0x20, 3, 1);
    host.write(register::LBA_LOW, 7);
    host.write(register::STATUS, 0xEC);
    assert_eq!(host.collect(SECTOR, SECTOR), sector_content(3));
}

#[test]
fn both_drives_latch_what_is_written_to_the_command_block() {
    let mut host = two_disks();
    host.write(register::LBA_MID, 0xA5);
    host.write(register::DEVICE, 0x10);
    assert_eq!(host.read(register::LBA_MID), 0xA5);
}

#[test]
fn registers_take_bytes_and_there_are_no_others() {
    let mut host = two_disks();
    let now = host.now;
    for offset in [1, 7, 8] {
        assert_eq!(host.ide.read_port(offset, AccessSize::Word, now), Err(IoError::WrongSize), "{offset}");
    }
    for offset in [9, 15, 0x19, 0x30, 0x1000, 0xFFFF] {
        assert_eq!(
            host.ide.read_port(offset, AccessSize::Byte, now),
            Err(IoError::NoSuchRegister),
            "{offset}"
        );
        assert_eq!(host.ide.write_port(offset, AccessSize::Byte, 0, now), Err(IoError::NoSuchRegister));
    }
}

#[test]
fn the_data_register_without_data_is_not_driven() {
    let mut host = two_disks();
    let now = host.now;
    for size in [AccessSize::Byte, AccessSize::Word, AccessSize::Dword] {
        assert_eq!(host.ide.read_port(0, size, now), Ok(size.ones()));
        assert_eq!(host.ide.write_port(0, size, 0x1234_5678, now), Ok(()));
    }
    assert_eq!(host.status(), IDLE);
}

#[test]
fn a_byte_read_of_the_data_register_consumes_a_word() {
    let mut host = Host::with_disk(Shared::numbered(2));
    host.command(0x20, 1, 1);
    host.wait();
    let now = host.now;
    let content = sector_content(1);
    for i in 0..SECTOR / 2 {
        let byte = host.ide.read_port(0, AccessSize::Byte, now);
        assert_eq!(byte, Ok(u32::from(content[2 * i])));
    }
    assert_eq!(host.status(), IDLE);
}
