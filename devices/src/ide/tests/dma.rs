//! Bus master IDE.

use super::*;
use crate::ide::spec::error;

/// Offsets of the primary channel's registers.
const COMMAND: u16 = BUS_MASTER;
const STATUS: u16 = BUS_MASTER + 2;
const TABLE: u16 = BUS_MASTER + 4;

const START: u8 = 1;
const TO_MEMORY: u8 = 8;
const ACTIVE: u8 = 1;
const INTERRUPT: u8 = 4;

/// Where tests put the descriptor table.
const TABLE_AT: u32 = 0x1000;
const LAST: u32 = 0x8000_0000;

/// A program with memory: a megabyte of it, full of AAh.
struct DmaHost {
    host: Host,
    memory: Vec<u8>,
}

impl DmaHost {
    fn new(host: Host) -> Self {
        DmaHost { host, memory: vec![0xAA; 1 << 20] }
    }

    fn read8(&mut self, offset: u16) -> u8 {
        self.host.ide.read_port(offset, AccessSize::Byte, self.host.now).unwrap() as u8
    }

    fn write8(&mut self, offset: u16, value: u8) {
        self.host.ide.write_port(offset, AccessSize::Byte, value.into(), self.host.now).unwrap();
        self.host.ide.run_bus_master(&mut self.memory, self.host.now);
    }

    /// Writes the descriptor table and points the channel at it.
    fn describe(&mut self, descriptors: &[(u32, u32)]) {
        for (i, (base, control)) in descriptors.iter().enumerate() {
            let at = TABLE_AT as usize + 8 * i;
            self.memory[at..at + 4].copy_from_slice(&base.to_le_bytes());
            self.memory[at + 4..at + 8].copy_from_slice(&control.to_le_bytes());
        }
        self.host.ide.write_port(TABLE, AccessSize::Dword, TABLE_AT, self.host.now).unwrap();
        self.write8(STATUS, 6);
    }

    /// Lets time pass, event by event, with the bus master at work, until nothing happens by itself any more.
    fn run(&mut self) {
        self.host.ide.run_bus_master(&mut self.memory, self.host.now);
        for _ in 0..100_000 {
            let Some(event) = self.host.ide.next_event() else { return };
            self.host.now = event.max(self.host.now);
            self.host.ide.advance(self.host.now);
            self.host.ide.run_bus_master(&mut self.memory, self.host.now);
        }
        panic!("it never ends");
    }

    /// What a driver finds at the end: interrupt, bus master status, drive status and error.
    fn outcome(&mut self) -> (bool, u8, u8, u8) {
        let irq = self.host.irq();
        (irq, self.read8(STATUS), self.host.status(), self.host.read(register::ERROR))
    }
}

fn content(sectors: std::ops::Range<u32>) -> Vec<u8> {
    sectors.flat_map(sector_content).collect()
}

fn with_disk(sectors: u32) -> (DmaHost, Shared) {
    let disk = Shared::numbered(sectors);
    (DmaHost::new(Host::with_disk(disk.clone())), disk)
}

#[test]
fn read_dma_scatters_sectors_over_the_regions_of_the_table() {
    let (mut host, _) = with_disk(100);
    host.describe(&[(0x2_0000, 512), (0x3_0000, 1000), (0x4_0000, LAST | 24)]);
    host.host.command(0xC8, 7, 3);
    host.write8(COMMAND, START | TO_MEMORY);
    assert_eq!(host.read8(STATUS), ACTIVE);
    host.run();
    assert_eq!(host.outcome(), (true, INTERRUPT, IDLE, 0));
    let expected = content(7..10);
    assert_eq!(host.memory[0x2_0000..0x2_0200], expected[..512]);
    assert_eq!(host.memory[0x3_0000..0x3_03E8], expected[512..1512]);
    assert_eq!(host.memory[0x4_0000..0x4_0018], expected[1512..]);
    assert_eq!(host.memory[0x4_0018], 0xAA);
    // The interrupt bit is software's to clear; starting again does not.
    host.write8(STATUS, 0x62);
    assert_eq!(host.read8(STATUS), 0x60 | INTERRUPT);
    host.write8(STATUS, INTERRUPT);
    assert_eq!(host.read8(STATUS), 0);
}

#[test]
fn write_dma_gathers_sectors_from_the_regions_of_the_table() {
    let (mut host, disk) = with_disk(100);
    let data = content(1000..1003);
    host.memory[0x2_0000..0x2_0400].copy_from_slice(&data[..1024]);
    host.memory[0x5_0000..0x5_0200].copy_from_slice(&data[1024..]);
    host.describe(&[(0x2_0000, 1024), (0x5_0000, LAST | 512)]);
    host.write8(COMMAND, START);
    host.host.command(0xCA, 40, 3);
    host.run();
    assert_eq!(host.outcome(), (true, INTERRUPT, IDLE, 0));
    assert_eq!(disk.content()[40 * SECTOR..43 * SECTOR], data);
    assert_eq!(disk.content()[43 * SECTOR..44 * SECTOR], content(43..44));
}

#[test]
fn a_long_transfer_goes_in_slices_and_ends_with_one_interrupt() {
    let (mut host, disk) = with_disk(1000);
    // 300 sectors: 150 KiB, in regions of 64 KiB.
    host.describe(&[(0x2_0000, 0), (0x3_0000, 0), (0x4_0000, LAST)]);
    host.host.command_ext(0x25, 600, 300);
    host.write8(COMMAND, START | TO_MEMORY);
    host.host.wait();
    host.host.ide.run_bus_master(&mut host.memory, host.host.now);
    assert!(!host.host.irq());
    assert_eq!(host.read8(STATUS), ACTIVE);
    assert_eq!(host.memory[0x2_0000..0x2_0200], content(600..601));
    assert_eq!(host.memory[0x3_0000], 0xAA, "the rest takes its time");
    host.run();
    // The table is longer than the transfer: the bus master stays active until it is stopped.
    assert_eq!(host.outcome(), (true, INTERRUPT | ACTIVE, IDLE, 0));
    assert_eq!(host.memory[0x2_0000..0x2_0000 + 300 * SECTOR], content(600..900));
    host.write8(COMMAND, 0);
    assert_eq!(host.read8(STATUS), INTERRUPT);
    // And back to another place, all of 300 sectors in the opposite direction.
    host.describe(&[(0x2_0000, 0), (0x3_0000, 0), (0x4_0000, LAST | (300 * 512 - 0x2_0000))]);
    host.host.command_ext(0x35, 0, 300);
    host.write8(COMMAND, START);
    host.run();
    assert_eq!(host.outcome(), (true, INTERRUPT, IDLE, 0));
    assert_eq!(disk.content()[..300 * SECTOR], content(600..900));
}

#[test]
fn an_exhausted_table_leaves_the_drive_waiting_without_an_interrupt() {
    let (mut host, _) = with_disk(100);
    host.describe(&[(0x2_0000, LAST | 512)]);
    host.host.command(0xC8, 0, 2);
    host.write8(COMMAND, START | TO_MEMORY);
    host.run();
    assert_eq!(host.read8(STATUS), 0, "neither active nor interrupted");
    assert!(!host.host.irq());
    assert_eq!(host.host.alternate_status() & (status::BSY | status::DRQ), status::DRQ);
    // A driver that gives the rest of the memory gets the rest of the data.
    host.write8(COMMAND, 0);
    host.describe(&[(0x2_0200, LAST | 512)]);
    host.write8(COMMAND, START | TO_MEMORY);
    host.run();
    assert_eq!(host.outcome(), (true, INTERRUPT, IDLE, 0));
    assert_eq!(host.memory[0x2_0000..0x2_0400], content(0..2));
}

#[test]
fn nothing_moves_until_the_bus_master_is_started_in_the_drives_direction() {
    let (mut host, _) = with_disk(100);
    host.describe(&[(0x2_0000, LAST | 512)]);
    host.host.command(0xC8, 0, 1);
    host.run();
    assert!(!host.host.ide.wants_bus_master());
    // Wrong direction: the drive never sees an acknowledge that it could use.
    host.write8(COMMAND, START);
    host.run();
    assert_eq!(host.read8(STATUS), ACTIVE);
    assert_eq!(host.memory[0x2_0000], 0xAA);
    // The direction cannot be changed in flight.
    host.write8(COMMAND, START | TO_MEMORY);
    assert_eq!(host.read8(COMMAND), START);
    host.write8(COMMAND, 0);
    assert_eq!(host.read8(STATUS), 0);
    host.host.ide.write_port(COMMAND, AccessSize::Byte, 9, host.host.now).unwrap();
    assert!(host.host.ide.wants_bus_master());
    host.run();
    assert_eq!(host.outcome(), (true, INTERRUPT, IDLE, 0));
    assert_eq!(host.memory[0x2_0000..0x2_0200], content(0..1));
}

#[test]
fn addresses_wrap_within_64_kib_and_counts_are_even() {
    let (mut host, _) = with_disk(100);
    // The counter of the address has 16 bits; bit 0 of address and count is not there.
    host.describe(&[(0x2_FF01, LAST | 0x201)]);
    host.host.command(0xC8, 5, 1);
    host.write8(COMMAND, START | TO_MEMORY);
    host.run();
    assert_eq!(host.outcome(), (true, INTERRUPT, IDLE, 0));
    let expected = content(5..6);
    assert_eq!(host.memory[0x2_FF00..0x3_0000], expected[..256]);
    assert_eq!(host.memory[0x2_0000..0x2_0100], expected[256..]);
    assert_eq!(host.memory[0x3_0000], 0xAA);
}

#[test]
fn a_table_without_an_end_ends_with_the_data() {
    let (mut host, _) = with_disk(300);
    // Two bytes in each region, more of them than there is data for, and no last one.
    for at in (TABLE_AT as usize..0x8_8000).step_by(8) {
        host.memory[at..at + 8].copy_from_slice(&[0, 0, 9, 0, 2, 0, 0, 0]);
    }
    host.describe(&[]);
    host.host.command(0xC8, 0, 0);
    host.write8(COMMAND, START | TO_MEMORY);
    host.run();
    assert_eq!(host.outcome(), (true, INTERRUPT | ACTIVE, IDLE, 0));
    assert_eq!(host.memory[0x9_0000..0x9_0002], content(255..256)[510..]);
}

#[test]
fn a_table_outside_memory_and_regions_outside_memory_do_no_harm() {
    let (mut host, disk) = with_disk(300);
    for pointer in [0xFFFF_FFFC, 0x00FF_FFF8] {
        host.host.ide.write_port(TABLE, AccessSize::Dword, pointer, host.host.now).unwrap();
        host.host.command(0xC8, 0, 0);
        host.write8(COMMAND, START | TO_MEMORY);
        host.run();
        // All ones: a region of 65534 bytes at the top of memory, the last one.
        assert_eq!(host.read8(STATUS) & ACTIVE, 0);
        host.write8(COMMAND, 0);
        host.host.write_control(4);
        host.host.write_control(0);
        host.run();
    }
    host.describe(&[(0xFFFF_0000, LAST | 512)]);
    host.host.command(0xCA, 3, 1);
    host.write8(COMMAND, START);
    host.run();
    assert_eq!(host.outcome().2, IDLE);
    assert_eq!(disk.content()[3 * SECTOR..4 * SECTOR], [0xFF; SECTOR], "ones, where there is no memory");
}

#[test]
fn a_bad_sector_ends_a_dma_command_with_its_error() {
    let medium = MemoryMedium::new(content(0..8)).with_bad_range(512..513);
    let mut host = DmaHost::new(Host::with_disk(Shared::new(medium)));
    host.describe(&[(0x2_0000, LAST | 2048)]);
    host.host.command(0xC8, 0, 4);
    host.write8(COMMAND, START | TO_MEMORY);
    host.run();
    assert_eq!(host.outcome(), (true, INTERRUPT | ACTIVE, IDLE | status::ERR, error::UNC));
    assert_eq!(host.host.read(register::LBA_LOW), 1);
    host.describe(&[(0x2_0000, LAST | 512)]);
    host.write8(COMMAND, 0);
    host.host.command(0xCA, 1, 1);
    host.write8(COMMAND, START);
    host.run();
    let fault = IDLE | status::ERR | status::DF;
    assert_eq!(host.outcome(), (true, INTERRUPT, fault, error::ABRT));
}

#[test]
fn the_interrupt_bit_follows_the_line_also_without_dma() {
    let (mut host, _) = with_disk(4);
    host.host.command(0xE7, 0, 0);
    host.run();
    assert_eq!(host.read8(STATUS), INTERRUPT);
    // While the line stays high, clearing the bit is final.
    host.write8(STATUS, INTERRUPT);
    assert_eq!(host.read8(STATUS), 0);
    assert!(host.host.irq());
    // With nIEN there is no edge on the line.
    host.host.write_control(2);
    host.host.command(0xE7, 0, 0);
    host.run();
    assert_eq!(host.read8(STATUS), 0);
    host.host.write_control(0);
    assert_eq!(host.read8(STATUS), INTERRUPT);
}

#[test]
fn registers_take_every_width() {
    let (mut host, _) = with_disk(4);
    let now = host.host.now;
    let ide = &mut host.host.ide;
    ide.write_port(TABLE, AccessSize::Dword, 0x1234_5677, now).unwrap();
    assert_eq!(ide.read_port(TABLE, AccessSize::Dword, now), Ok(0x1234_5674));
    ide.write_port(TABLE + 2, AccessSize::Word, 0xABCD, now).unwrap();
    assert_eq!(ide.read_port(TABLE + 1, AccessSize::Byte, now), Ok(0x56));
    assert_eq!(ide.read_port(TABLE + 2, AccessSize::Word, now), Ok(0xABCD));
    ide.write_port(COMMAND, AccessSize::Dword, 0x0060_0008, now).unwrap();
    assert_eq!(ide.read_port(COMMAND, AccessSize::Dword, now), Ok(0x0060_0008));
    assert_eq!(ide.read_port(END - 2, AccessSize::Dword, now), Err(IoError::WrongSize));
    assert_eq!(ide.write_port(END - 1, AccessSize::Word, 0, now), Err(IoError::WrongSize));
    // The secondary channel has its own.
    ide.write_port(TABLE + 8, AccessSize::Dword, 0x1000, now).unwrap();
    assert_eq!(ide.read_port(TABLE, AccessSize::Dword, now), Ok(0xABCD_5674));
    ide.reset();
    assert_eq!(ide.read_port(TABLE, AccessSize::Dword, now), Ok(0));
}

#[test]
fn packet_commands_transfer_by_dma_too() {
    let mut host = DmaHost::new(Host::new());
    let disc = Box::new(Shared::numbered(200 * 4));
    host.host.ide.attach_cdrom(Slot::ALL[0], Some(disc), identity()).unwrap();
    let packet = |host: &mut DmaHost, packet: [u8; 12], table: &[(u32, u32)]| {
        host.describe(table);
        host.host.write(register::ERROR, 1);
        host.host.write(register::STATUS, 0xA0);
        host.host.wait();
        let now = host.host.now;
        assert_eq!(host.host.ide.write_data_block(ChannelId::Primary, AccessSize::Word, &packet, now), 12);
        host.write8(COMMAND, START | TO_MEMORY);
        host.run();
        let outcome = host.outcome();
        host.write8(COMMAND, 0);
        outcome
    };
    let mut read = [0; 12];
    (read[0], read[5], read[8]) = (0x28, 100, 40);
    let unit_attention = packet(&mut host, read, &[(0x2_0000, LAST)]);
    assert_eq!(unit_attention, (true, INTERRUPT | ACTIVE, IDLE | status::ERR, 0x60));
    let done = packet(&mut host, read, &[(0x2_0000, 0), (0x3_0000, LAST | (40 * 2048 - 0x1_0000))]);
    assert_eq!(done, (true, INTERRUPT, IDLE, 0));
    assert_eq!(host.memory[0x2_0000..0x2_0000 + 40 * 2048], content(400..560));
    assert_eq!(host.host.read(register::COUNT), 3);
    // A reply shorter than the memory for it, and of an odd length.
    let mut inquiry = [0; 12];
    (inquiry[0], inquiry[4]) = (0x12, 7);
    let done = packet(&mut host, inquiry, &[(0x6_0000, 4), (0x7_0000, LAST | 4)]);
    assert_eq!(done, (true, INTERRUPT, IDLE, 0), "an odd byte takes a word of the region");
    assert_eq!(host.memory[0x6_0000..0x6_0005], [5, 0x80, 0, 0x21, 0xAA]);
    assert_eq!(host.memory[0x7_0000..0x7_0004], [31, 0, 0, 0xAA]);
}
