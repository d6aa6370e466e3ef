//! Saved states, and guests that do what no driver does.

use super::*;
use crate::backend::MediumError;
use crate::conformance::Random;
use crate::state::Snapshot;

/// A medium that holds what it always held: sectors by number, some of them bad. Writes leave no trace, so
/// that two controllers with the same history find the same.
#[derive(Debug)]
struct Unchanging {
    sectors: u32,
}

impl Medium for Unchanging {
    fn size(&self) -> u64 {
        u64::from(self.sectors) * SECTOR as u64
    }
    fn is_read_only(&self) -> bool {
        false
    }
    fn read(&mut self, offset: u64, buffer: &mut [u8]) -> Result<(), MediumError> {
        self.write(offset, buffer)?;
        for (i, sector) in (0..).zip(buffer.chunks_mut(SECTOR)) {
            let content = sector_content((offset / SECTOR as u64) as u32 + i);
            sector.copy_from_slice(&content[..sector.len()]);
        }
        Ok(())
    }
    fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<(), MediumError> {
        let sectors = offset / SECTOR as u64..offset.saturating_add(bytes.len() as u64) / SECTOR as u64;
        match sectors.end {
            end if end > u64::from(self.sectors) => Err(MediumError::OutOfRange),
            _ if sectors.contains(&13) => Err(MediumError::Failed),
            _ => Ok(()),
        }
    }
    fn flush(&mut self) -> Result<(), MediumError> {
        Ok(())
    }
}

fn full_house(bank: &IrqBank) -> Ide {
    let mut ide = Ide::new([bank.line(14), bank.line(15)]);
    for (slot, sectors) in [(Slot::ALL[0], 500), (Slot::ALL[1], 40)] {
        ide.attach_disk(slot, Box::new(Unchanging { sectors }), identity(), None).unwrap();
    }
    ide.attach_cdrom(Slot::ALL[3], Some(Box::new(Unchanging { sectors: 400 })), identity()).unwrap();
    ide
}

/// A command with small numbers in its registers, so that most addresses lie on the disk, after the end of
/// any reset that is held.
fn issue(ide: &mut Ide, random: &mut Random, now: GuestTime) -> u64 {
    const CODES: [u8; 24] = [
        0x20, 0x20, 0x20, 0x24, 0x25, 0x29, 0x29, 0x30, 0x30, 0x34, 0x35, 0x39, 0x42, 0x90, 0x91, 0xC4, 0xC5,
        0xC6, 0xC6, 0xC8, 0xCA, 0xE7, 0xEC, 0xEF,
    ];
    let base = random.below(2) as u16 * CHANNEL_STRIDE;
    let code = CODES[random.below(CODES.len() as u64) as usize];
    let registers = [
        (register::DEVICE, 0xA0 | (random.below(8) as u8) << 4),
        (register::COUNT, 1 << random.below(6)),
        (register::LBA_LOW, random.below(32) as u8),
        (register::LBA_MID, 0),
        (register::LBA_HIGH, 0),
        (register::STATUS, code),
    ];
    ide.write_port(base + CONTROL, AccessSize::Byte, 0, now).unwrap();
    for (register, value) in registers {
        ide.write_port(base + u16::from(register), AccessSize::Byte, value.into(), now).unwrap();
    }
    0
}

/// A packet command for the CD-ROM drive, or as much of it as the drive takes now.
fn send_packet(ide: &mut Ide, random: &mut Random, now: GuestTime) -> u64 {
    const CODES: [u8; 26] = [
        0x00, 0x03, 0x12, 0x1A, 0x1B, 0x1E, 0x25, 0x28, 0x28, 0x28, 0x28, 0x2B, 0x42, 0x43, 0x46, 0x4A, 0x51,
        0x52, 0x5A, 0xA8, 0xAD, 0xB9, 0xBB, 0xBD, 0xBE, 0xFF,
    ];
    let base = CHANNEL_STRIDE;
    let mut packet = [0; 12];
    packet[0] = CODES[random.below(CODES.len() as u64) as usize];
    packet[5] = random.below(32) as u8;
    packet[8] = random.below(32) as u8;
    for _ in 0..random.below(3) {
        packet[1 + random.below(11) as usize] = random.next() as u8;
    }
    let limit = if random.one_in(2) { 2048 } else { random.value() as u16 };
    let registers = [
        (register::DEVICE, 0x10),
        (register::ERROR, 0),
        (register::LBA_MID, limit as u8),
        (register::LBA_HIGH, (limit >> 8) as u8),
        (register::STATUS, 0xA0),
    ];
    ide.write_port(base + CONTROL, AccessSize::Byte, 0, now).unwrap();
    for (register, value) in registers {
        ide.write_port(base + u16::from(register), AccessSize::Byte, value.into(), now).unwrap();
    }
    ide.write_data_block(
        ChannelId::Secondary,
        AccessSize::Word,
        &packet,
        now + GuestDuration::from_micros(10),
    ) as u64
}

/// Starts the bus master, mostly, with a table that is mostly sensible, and lets it run.
fn run_bus_master(ide: &mut Ide, random: &mut Random, now: GuestTime) -> u64 {
    let mut memory = vec![0; 0x1000];
    for descriptor in memory[..0x100].chunks_exact_mut(8) {
        descriptor[1] = random.below(16) as u8;
        descriptor[5] = random.below(8) as u8;
        descriptor[7] = if random.one_in(8) { 0x80 } else { 0 };
        if random.one_in(20) {
            descriptor[random.below(8) as usize] = random.next() as u8;
        }
    }
    let base = BUS_MASTER + 8 * random.below(2) as u16;
    let mut write = |offset, value| ide.write_port(base + offset, AccessSize::Byte, value, now).unwrap();
    if random.one_in(2) {
        write(0, 0);
        (4..8).for_each(|offset| write(offset, 0));
        write(0, [0x01, 0x09][random.below(2) as usize]);
    }
    ide.run_bus_master(&mut memory, now);
    memory.iter().fold(0, |sum: u64, byte| sum.rotate_left(5) ^ u64::from(*byte))
}

crate::conformance::suite!(
    Subject::new(full_house)
        .ports(0x30)
        .timed()
        .action(issue)
        .action(issue)
        .action(send_packet)
        .action(send_packet)
        .action(|ide, random, now| {
            let mut buffer = vec![0; random.below(9000) as usize];
            let channel = if random.one_in(2) { ChannelId::Primary } else { ChannelId::Secondary };
            let size = if random.one_in(2) { AccessSize::Word } else { AccessSize::Dword };
            let count = ide.read_data_block(channel, size, &mut buffer, now);
            buffer[..count].iter().fold(count as u64, |sum, byte| sum.rotate_left(5) ^ u64::from(*byte))
        })
        .action(|ide, random, now| {
            let bytes = vec![random.next() as u8; random.below(9000) as usize];
            let channel = if random.one_in(2) { ChannelId::Primary } else { ChannelId::Secondary };
            let size = if random.one_in(2) { AccessSize::Word } else { AccessSize::Dword };
            ide.write_data_block(channel, size, &bytes, now) as u64
        })
        .action(|ide, _, _| {
            ide.take_reports();
            0
        })
        .action(run_bus_master)
        .action(run_bus_master)
        .action(|ide, random, _| {
            let disc = Box::new(Unchanging { sectors: 400 });
            match ide.eject_disc(Slot::ALL[3], random.one_in(4)) {
                Ok(_) => ide.insert_disc(Slot::ALL[3], disc).is_ok() as u64,
                Err(_) => 2,
            }
        })
);

#[test]
fn a_state_for_other_drives_is_refused_and_changes_nothing() {
    let mut host = Host::with_disk(Shared::numbered(500));
    host.command(0x20, 1, 1);
    host.wait();
    let before = host.ide.save();
    let mut device_1 = Host::new();
    device_1.ide.attach_disk(Slot::ALL[1], Box::new(Shared::numbered(500)), identity(), None).unwrap();
    for other in [Host::new(), device_1, Host::with_disk(Shared::numbered(499))] {
        assert_eq!(host.ide.restore(other.ide.save()).unwrap_err().device, "IDE");
        assert_eq!(host.ide.save(), before);
    }
}
