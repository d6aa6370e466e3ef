//! The commands of a disk.

use super::*;
use crate::backend::MediumError;
use crate::ide::spec::error;

const ERROR: u8 = IDLE | status::ERR;

fn expected(sectors: std::ops::Range<u32>) -> Vec<u8> {
    sectors.flat_map(sector_content).collect()
}

#[test]
fn identify_device_describes_capacity_geometry_and_capabilities() {
    // 20,000,000 sectors: more than CHS can reach, less than 28 bits. The medium need not exist to be told.
    #[derive(Debug)]
    struct Size(u64);
    impl Medium for Size {
        fn size(&self) -> u64 {
            self.0
        }
        fn is_read_only(&self) -> bool {
            true
        }
        fn read(&mut self, _: u64, _: &mut [u8]) -> Result<(), MediumError> {
            Err(MediumError::Failed)
        }
        fn write(&mut self, _: u64, _: &[u8]) -> Result<(), MediumError> {
            Err(MediumError::ReadOnly)
        }
        fn flush(&mut self) -> Result<(), MediumError> {
            Ok(())
        }
    }
    let mut host = Host::new();
    let large = 0x1_2345_6789u64;
    for (slot, sectors) in [(Slot::ALL[0], 20_000_000), (Slot::ALL[1], large)] {
        host.ide.attach_disk(slot, Box::new(Size(sectors * 512)), identity(), None).unwrap();
    }
    let words = host.identify();
    assert_eq!(words[0] & 0x8000, 0, "an ATA device");
    assert_eq!((words[1], words[3], words[6]), (16_383, 16, 63));
    assert_eq!(&words[10..12], [0x534E, 0x2D31], "SN-1, first character in the high byte");
    assert_eq!(words[12], 0x2020);
    assert_eq!(words[27], 0x5465, "Te");
    assert_eq!(words[47], 0x8010, "16 sectors in a block of READ MULTIPLE");
    assert_eq!(words[49] & 0x300, 0x300, "LBA and DMA");
    assert_eq!(words[53] & 7, 7);
    assert_eq!((words[54], words[55], words[56]), (16_383, 16, 63));
    assert_eq!(u32::from(words[57]) | u32::from(words[58]) << 16, 16_514_064);
    assert_eq!(u32::from(words[60]) | u32::from(words[61]) << 16, 20_000_000);
    assert_eq!(words[83] & 0xC000, 0x4000, "the word is valid");
    assert_ne!(words[83] & 1 << 10, 0, "48-bit addresses");
    let lba48 = |w: &[u16; 256]| (0..4).map(|i| u64::from(w[100 + i]) << (16 * i)).sum::<u64>();
    assert_eq!(lba48(&words), 20_000_000);
    assert_eq!(words[93] & 0xFF, 0x3B, "device 0 saw device 1");
    let sum = words.iter().flat_map(|w| w.to_le_bytes()).fold(0u8, u8::wrapping_add);
    assert_eq!((words[255] & 0xFF, sum), (0xA5, 0), "the integrity word");

    host.write(register::DEVICE, 0x10);
    let words = host.identify();
    assert_eq!(u32::from(words[60]) | u32::from(words[61]) << 16, 0x0FFF_FFFF);
    assert_eq!(lba48(&words), large);
    assert_eq!(words[93] & 0x1F00, 0x0B00, "device 1 by jumper, passed");
}

#[test]
fn geometries_cover_no_more_than_the_disk() {
    for capacity in (1..3000).chain([504 * 16 * 63, 16_514_063, 16_514_064, 16_514_065, u64::MAX]) {
        let g = Geometry::for_capacity(capacity);
        assert!(g.is_addressable(), "{capacity}");
        assert!(u64::from(g.capacity()) <= capacity, "{capacity}");
        let last = g.capacity() - 1;
        let chs = g.chs(u64::from(last));
        assert_eq!(chs, (g.cylinders - 1, g.heads - 1, g.sectors), "{capacity}");
        assert_eq!(g.lba(chs), Some(last));
    }
    // The 504 MiB limit of an unextended BIOS, a number known from practice.
    assert_eq!(Geometry::for_capacity(1024 * 16 * 63).cylinders, 1024);
}

#[test]
fn read_sectors_gives_an_interrupt_and_a_block_for_each_sector() {
    let mut host = Host::with_disk(Shared::numbered(300));
    host.command(0x20, 5, 3);
    assert_eq!(host.alternate_status() & status::BSY, status::BSY);
    assert_eq!(host.collect(3 * SECTOR, SECTOR), expected(5..8));
    host.pass(GuestDuration::from_millis(1));
    assert!(!host.irq(), "the end of a read is no event");
    assert_eq!(host.status(), IDLE);
    assert_eq!(host.read(register::COUNT), 0);
    assert_eq!(host.read(register::LBA_LOW), 7, "the last sector that was read");
}

#[test]
fn a_sector_count_of_zero_means_256() {
    let mut host = Host::with_disk(Shared::numbered(300));
    host.command(0x20, 40, 0);
    assert_eq!(host.collect(256 * SECTOR, SECTOR), expected(40..296));
    assert_eq!(host.status(), IDLE);
}

#[test]
fn doubleword_and_block_accesses_move_the_same_data() {
    let mut host = Host::with_disk(Shared::numbered(8));
    host.command(0x20, 3, 2);
    host.wait();
    let data: Vec<u8> = (0..SECTOR / 4)
        .flat_map(|_| host.ide.read_port(0, AccessSize::Dword, host.now).unwrap().to_le_bytes())
        .collect();
    assert_eq!(data, sector_content(3));
    host.wait();
    let mut block = vec![0; 2 * SECTOR];
    let now = host.now;
    assert_eq!(host.ide.read_data_block(ChannelId::Primary, AccessSize::Word, &mut block[..100], now), 100);
    assert_eq!(
        host.ide.read_data_block(ChannelId::Primary, AccessSize::Word, &mut block[100..], now),
        SECTOR - 100
    );
    assert_eq!(block[..SECTOR], sector_content(4));
    assert_eq!(
        host.ide.read_data_block(ChannelId::Primary, AccessSize::Word, &mut block, now),
        0,
        "no more data"
    );
    assert_eq!(host.status(), IDLE);
}

#[test]
fn cylinder_head_and_sector_address_by_the_current_translation() {
    let mut host = Host::with_disk(Shared::numbered(2 * 16 * 63 + 10));
    // Default translation 2/16/63: cylinder 1, head 2, sector 3.
    let lba = (16 + 2) * 63 + 2;
    host.command_chs(0x20, (1, 2, 3), 1);
    assert_eq!(host.collect(SECTOR, SECTOR), expected(lba..lba + 1));
    // INITIALIZE DEVICE PARAMETERS: 4 heads, 17 sectors.
    host.command_chs(0x91, (0, 3, 0), 17);
    host.wait();
    assert_eq!(host.status(), IDLE);
    let words = host.identify();
    assert_eq!((words[1], words[3], words[6]), (2, 16, 63), "the default stays");
    let capacity = 2 * 16 * 63 + 10;
    assert_eq!((words[54], words[55], words[56]), (capacity / (4 * 17), 4, 17));
    // The second sector of this read is on the next cylinder.
    host.command_chs(0x20, (5, 3, 17), 2);
    assert_eq!(host.collect(2 * SECTOR, SECTOR), expected(6 * 68 - 1..6 * 68 + 1));
    assert_eq!((host.read(register::LBA_MID), host.read(register::LBA_LOW)), (6, 1));
    assert_eq!(host.read(register::DEVICE) & 0x0F, 0);
    for chs in [(0, 0, 0), (0, 0, 18), (0, 4, 1), (30, 0, 1)] {
        host.command_chs(0x20, chs, 1);
        host.wait();
        assert_eq!((host.status(), host.read(register::ERROR)), (ERROR, error::IDNF), "{chs:?}");
    }
    // No sectors in a track: refused.
    host.command_chs(0x91, (0, 3, 0), 0);
    host.wait();
    assert_eq!((host.status(), host.read(register::ERROR)), (ERROR, error::ABRT));
}

#[test]
fn write_sectors_stores_and_interrupts_after_every_sector() {
    let disk = Shared::numbered(32);
    let mut host = Host::with_disk(disk.clone());
    let data: Vec<u8> = expected(100..103);
    host.command(0x30, 9, 3);
    assert_eq!(host.provide(&data, SECTOR), (IDLE, 0));
    let content = disk.content();
    assert_eq!(content[9 * SECTOR..12 * SECTOR], data);
    assert_eq!(content[..9 * SECTOR], expected(0..9));
    assert_eq!(content[12 * SECTOR..], expected(12..32));
}

#[test]
fn read_and_write_multiple_use_blocks_of_the_size_that_was_set() {
    let disk = Shared::numbered(64);
    let mut host = Host::with_disk(disk.clone());
    for code in [0xC4, 0xC5] {
        assert_eq!(host.simple(code, 0, 8), (ERROR, error::ABRT), "not enabled yet");
    }
    assert_eq!(host.simple(0xC6, 0, 3), (ERROR, error::ABRT), "not a power of two");
    assert_eq!(host.simple(0xC6, 0, 32), (ERROR, error::ABRT), "more than the disk can");
    assert_eq!(host.simple(0xC6, 0, 8), (IDLE, 0));
    assert_eq!(host.identify()[59], 0x108);
    host.command(0xC4, 2, 19);
    assert_eq!(host.collect(19 * SECTOR, 8 * SECTOR), expected(2..21), "8, 8 and a rest of 3");
    host.command(0xC5, 30, 11);
    assert_eq!(host.provide(&expected(200..211), 8 * SECTOR), (IDLE, 0));
    assert_eq!(disk.content()[30 * SECTOR..41 * SECTOR], expected(200..211));
}

#[test]
fn extended_commands_count_and_address_by_two_bytes_deep_registers() {
    // A sparse disk of more than 2^28 sectors; what was written reads back, the rest reads as zero.
    #[derive(Clone, Debug, Default)]
    struct Sparse(Arc<Mutex<std::collections::BTreeMap<u64, Vec<u8>>>>);
    impl Medium for Sparse {
        fn size(&self) -> u64 {
            512 << 33
        }
        fn is_read_only(&self) -> bool {
            false
        }
        fn read(&mut self, offset: u64, buffer: &mut [u8]) -> Result<(), MediumError> {
            for (i, sector) in buffer.chunks_mut(SECTOR).enumerate() {
                let found = self.0.lock().unwrap().get(&(offset / 512 + i as u64)).cloned();
                sector.copy_from_slice(&found.unwrap_or(vec![0; SECTOR]));
            }
            Ok(())
        }
        fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<(), MediumError> {
            for (i, sector) in bytes.chunks(SECTOR).enumerate() {
                self.0.lock().unwrap().insert(offset / 512 + i as u64, sector.to_vec());
            }
            Ok(())
        }
        fn flush(&mut self) -> Result<(), MediumError> {
            Ok(())
        }
    }
    let disk = Sparse::default();
    let mut host = Host::new();
    host.ide.attach_disk(Slot::ALL[0], Box::new(disk.clone()), identity(), None).unwrap();
    let at = 0x1_2345_6789;
    host.command_ext(0x34, at, 2);
    assert_eq!(host.provide(&expected(7..9), SECTOR), (IDLE, 0));
    assert_eq!(disk.0.lock().unwrap().keys().copied().collect::<Vec<_>>(), [at, at + 1]);
    host.command_ext(0x24, at + 1, 0x101);
    let data = host.collect(0x101 * SECTOR, SECTOR);
    assert_eq!(data[..SECTOR], expected(8..9));
    assert!(data[SECTOR..].iter().all(|b| *b == 0));
    // HOB shows the older byte of each register, until the next write to the command block.
    let last = at + 0x101;
    assert_eq!(host.read(register::LBA_LOW), last as u8);
    host.write_control(control_hob());
    let high = [register::LBA_LOW, register::LBA_MID, register::LBA_HIGH].map(|r| host.read(r));
    assert_eq!(high, [(last >> 24) as u8, (last >> 32) as u8, (last >> 40) as u8]);
    host.write(register::COUNT, 5);
    assert_eq!(host.read(register::LBA_LOW), last as u8);
    // READ VERIFY SECTORS EXT with a count of zero: 65536 sectors.
    host.command_ext(0x42, 0, 0);
    host.wait();
    assert_eq!(host.status(), IDLE);
    assert_eq!([register::LBA_LOW, register::LBA_MID].map(|r| host.read(r)), [0xFF, 0xFF]);
    // READ NATIVE MAX ADDRESS, both forms.
    host.command_ext(0x27, 0, 0);
    host.wait();
    host.write_control(control_hob());
    assert_eq!([register::LBA_LOW, register::LBA_MID].map(|r| host.read(r)), [0xFF, 0x01]);
    assert_eq!(host.simple(0xF8, 0, 0), (IDLE, 0));
    assert_eq!(host.read(register::DEVICE) & 0x0F, 0x0F);
}

fn control_hob() -> u8 {
    crate::ide::spec::control::HOB
}

#[test]
fn addresses_beyond_the_disk_are_not_found() {
    let mut host = Host::with_disk(Shared::numbered(10));
    assert_eq!(host.simple(0x20, 10, 1), (ERROR, error::IDNF));
    assert_eq!(host.simple(0x40, 0x0FFF_FFFF, 0), (ERROR, error::IDNF));
    assert_eq!(host.simple(0x70, 10, 0), (ERROR, error::IDNF), "SEEK");
    assert_eq!(host.simple(0x70, 9, 0), (IDLE, 0));
    host.command(0x30, 10, 1);
    host.wait();
    assert_eq!((host.status(), host.read(register::ERROR)), (ERROR, error::IDNF));
    // A read that runs over the end gives what there is, then the address that is not there.
    host.command(0x20, 8, 4);
    assert_eq!(host.collect(2 * SECTOR, SECTOR), expected(8..10));
    host.wait();
    assert!(host.irq());
    assert_eq!((host.status(), host.read(register::ERROR)), (ERROR, error::IDNF));
    assert_eq!((host.read(register::LBA_LOW), host.read(register::COUNT)), (10, 2));
    host.command_ext(0x24, (1 << 48) - 1, 0);
    host.wait();
    assert_eq!((host.status(), host.read(register::ERROR)), (ERROR, error::IDNF));
}

#[test]
fn a_bad_sector_is_uncorrectable_and_named_in_the_registers() {
    let bad = 6 * SECTOR as u64 + 100;
    let disk = MemoryMedium::new(expected(0..16)).with_bad_range(bad..bad + 1);
    let mut host = Host::with_disk(Shared::new(disk));
    host.simple(0xC6, 0, 16);
    host.command(0xC4, 4, 5);
    host.wait();
    assert!(host.irq());
    assert_eq!((host.status(), host.read(register::ERROR)), (ERROR, error::UNC));
    assert_eq!((host.read(register::LBA_LOW), host.read(register::COUNT)), (6, 3));
    let report = host.ide.take_reports();
    assert_eq!(report.len(), 1);
    assert_eq!(report[0].to_string(), "primary IDE device 0: reading sector 6: the medium failed");
    assert!(host.ide.take_reports().is_empty(), "each failure is told once");
    // Verifying meets the same, writing is a device fault.
    assert_eq!(host.simple(0x40, 6, 1), (ERROR, error::UNC));
    host.command(0x30, 6, 1);
    let (status, error) = host.provide(&[0; SECTOR], SECTOR);
    assert_eq!((status, error), (ERROR | status::DF, error::ABRT));
    // The fault is the command's, not the drive's.
    assert_eq!(host.simple(0x40, 7, 1), (IDLE, 0));
}

#[test]
fn failures_kept_for_the_user_are_bounded() {
    let mut host = Host::with_disk(Shared::new(MemoryMedium::new(vec![0; SECTOR]).with_bad_range(0..1)));
    for _ in 0..100 {
        host.simple(0x40, 0, 1);
    }
    assert_eq!(host.ide.take_reports().len(), 16);
}

#[test]
fn a_write_protected_disk_aborts_writes() {
    let disk = Shared::new(MemoryMedium::new(expected(0..4)).write_protected());
    let mut host = Host::with_disk(disk.clone());
    host.command(0x30, 1, 1);
    assert_eq!(host.provide(&[0; SECTOR], SECTOR), (ERROR, error::ABRT));
    assert_eq!(disk.content(), expected(0..4));
}

#[test]
fn writes_reach_the_medium_durably_only_when_flushed_or_uncached() {
    #[derive(Debug)]
    struct Flushes(MemoryMedium, Arc<Mutex<(u32, bool)>>);
    impl Medium for Flushes {
        fn size(&self) -> u64 {
            self.0.size()
        }
        fn is_read_only(&self) -> bool {
            false
        }
        fn read(&mut self, offset: u64, buffer: &mut [u8]) -> Result<(), MediumError> {
            self.0.read(offset, buffer)
        }
        fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<(), MediumError> {
            self.0.write(offset, bytes)
        }
        fn flush(&mut self) -> Result<(), MediumError> {
            let mut state = self.1.lock().unwrap();
            state.0 += 1;
            if state.1 { Err(MediumError::Failed) } else { Ok(()) }
        }
    }
    let flushes = Arc::new(Mutex::new((0, false)));
    let mut host = Host::new();
    let medium = Flushes(MemoryMedium::new(vec![0; 4 * SECTOR]), flushes.clone());
    host.ide.attach_disk(Slot::ALL[0], Box::new(medium), identity(), None).unwrap();
    let count = || flushes.lock().unwrap().0;
    let write = |host: &mut Host| {
        host.command(0x30, 0, 1);
        host.provide(&[1; SECTOR], SECTOR)
    };
    assert_eq!(write(&mut host), (IDLE, 0));
    assert_eq!(count(), 0, "the cache is on");
    assert_eq!(host.simple(0xE7, 0, 0), (IDLE, 0));
    assert_eq!(host.simple(0xEA, 0, 0), (IDLE, 0));
    assert_eq!(count(), 2);
    assert_eq!(host.set_feature(0x82, 0), IDLE);
    assert_eq!(count(), 3, "what the cache held is flushed when it goes off");
    assert_eq!(host.identify()[85] & 1 << 5, 0);
    assert_eq!(write(&mut host), (IDLE, 0));
    assert_eq!(count(), 4, "the cache is off");
    flushes.lock().unwrap().1 = true;
    let fault = (ERROR | status::DF, error::ABRT);
    assert_eq!(write(&mut host), fault);
    assert_eq!(host.simple(0xE7, 0, 0), fault);
    assert_eq!(host.ide.take_reports()[0].to_string(), "primary IDE device 0: flushing: the medium failed");
}

#[test]
fn set_features_chooses_transfer_modes_and_refuses_what_there_is_not() {
    let mut host = Host::with_disk(Shared::numbered(4));
    assert_eq!(host.set_feature(0x03, 0x20), IDLE);
    assert_eq!((host.identify()[63], host.identify()[88]), (0x0107, 0x003F));
    assert_eq!(host.set_feature(0x03, 0x44), IDLE);
    assert_eq!((host.identify()[63], host.identify()[88]), (0x0007, 0x103F));
    assert_eq!(host.set_feature(0x03, 0x0C), IDLE, "PIO mode 4");
    for mode in [0x0D, 0x10, 0x23, 0x46, 0xFF] {
        assert_eq!(host.set_feature(0x03, mode), ERROR, "{mode:02X}");
        assert_eq!(host.read(register::ERROR), error::ABRT);
    }
    assert_eq!(host.set_feature(0x99, 0), ERROR);
    assert_eq!(host.set_feature(0x55, 0), IDLE);
    assert_eq!(host.identify()[85] & 1 << 6, 0, "look-ahead is off");
}

#[test]
fn commands_that_a_disk_does_not_have_are_aborted() {
    let mut host = Host::with_disk(Shared::numbered(4));
    // NOP always; SMART, PACKET, IDENTIFY PACKET DEVICE, DEVICE RESET, security and vendor commands.
    for code in [0x00, 0xB0, 0xA0, 0xA1, 0x08, 0xF1, 0x80, 0xFF] {
        assert_eq!(host.simple(code, 0, 0), (ERROR, error::ABRT), "{code:02X}");
    }
    assert_eq!(host.simple(0x10, 0, 0), (IDLE, 0), "RECALIBRATE");
}

#[test]
fn power_modes_are_told_and_sleep_ends_with_a_reset_only() {
    let mut host = Host::with_disk(Shared::numbered(4));
    let mode = |host: &mut Host| {
        assert_eq!(host.simple(0xE5, 0, 0x55).0, IDLE);
        host.read(register::COUNT)
    };
    assert_eq!(mode(&mut host), 0xFF);
    for (code, told) in [(0xE1, 0x80), (0xE0, 0x00), (0xE3, 0x80), (0xE2, 0x00), (0x94, 0x00)] {
        assert_eq!(host.simple(code, 0, 0).0, IDLE);
        assert_eq!(mode(&mut host), told, "{code:02X}");
    }
    host.command(0x20, 0, 1);
    host.collect(SECTOR, SECTOR);
    assert_eq!(mode(&mut host), 0xFF, "access to the medium ends standby");
    assert_eq!(host.simple(0xE6, 0, 0).0, IDLE);
    assert_eq!(host.simple(0xEC, 0, 0), (ERROR, error::ABRT), "asleep");
    host.write_control(4);
    host.write_control(0);
    host.wait();
    assert_eq!(mode(&mut host), 0xFF);
}

#[test]
fn settings_outlive_a_software_reset_unless_reverting_is_enabled() {
    let mut host = Host::with_disk(Shared::numbered(2000));
    let reset = |host: &mut Host| {
        host.write_control(4);
        host.write_control(0);
        host.wait();
        host.identify()
    };
    host.simple(0xC6, 0, 4);
    assert_eq!(reset(&mut host)[59], 0x104);
    host.set_feature(0xCC, 0);
    assert_eq!(reset(&mut host)[59], 0);
    host.simple(0xC6, 0, 4);
    host.ide.reset();
    assert_eq!(host.identify()[59], 0, "a hardware reset always restores defaults");
}
