//! The CD-ROM drive: the protocol of packet commands, and the commands.

use super::*;
use crate::backend::MediumError;
use crate::ide::spec::error;

const CD: usize = 2048;
/// Interrupt Reason at the end of a command.
const COMPLETE: u8 = 3;

/// A disc of `sectors` sectors, numbered like disks: four disk sectors make one of it.
fn disc(sectors: u32) -> Box<dyn Medium> {
    Box::new(Shared::numbered(sectors * 4))
}

fn content(sectors: std::ops::Range<u32>) -> Vec<u8> {
    (sectors.start * 4..sectors.end * 4).flat_map(sector_content).collect()
}

fn drive(medium: Option<Box<dyn Medium>>) -> Host {
    let mut host = Host::new();
    let identity = Identity { model: "Vendor  A product".into(), ..identity() };
    host.ide.attach_cdrom(Slot::ALL[0], medium, identity).unwrap();
    host
}

/// A drive whose unit attention after power-on has been heard.
fn ready_drive(sectors: u32) -> Host {
    let mut host = drive(Some(disc(sectors)));
    assert_eq!(host.packet([0; 12], 0), Err((6, 0x29, 0)));
    assert_eq!(host.packet([0; 12], 0), Ok(vec![]));
    host
}

fn packet(bytes: &[u8]) -> [u8; 12] {
    let mut packet = [0; 12];
    packet[..bytes.len()].copy_from_slice(bytes);
    packet
}

fn read_10(sector: u32, count: u16) -> [u8; 12] {
    let [a, b, c, d] = sector.to_be_bytes();
    let [e, f] = count.to_be_bytes();
    packet(&[0x28, 0, a, b, c, d, 0, e, f])
}

impl Host {
    /// Issues PACKET and the packet; afterwards the drive is busy with it.
    fn send_packet(&mut self, packet: [u8; 12], limit: u16) {
        let [high, low] = limit.to_be_bytes();
        self.write(register::ERROR, 0);
        self.write(register::LBA_MID, low);
        self.write(register::LBA_HIGH, high);
        self.write(register::STATUS, 0xA0);
        self.wait();
        assert!(!self.irq(), "the request for the packet is no event");
        assert_eq!(self.status(), IDLE | status::DRQ);
        assert_eq!(self.read(register::COUNT), 1, "a command, to the drive");
        for word in packet.chunks(2) {
            let word = u32::from(u16::from_le_bytes([word[0], word[1]]));
            self.ide.write_port(self.base(), AccessSize::Word, word, self.now).unwrap();
        }
        assert_eq!(self.alternate_status(), status::BSY);
    }

    /// Collects the data blocks of a packet command until it ends; each block, then status and error.
    fn packet_blocks(&mut self) -> (Vec<Vec<u8>>, u8, u8) {
        let mut blocks = Vec::new();
        loop {
            self.wait();
            assert!(self.irq(), "every block and the end are events");
            let status = self.status();
            if status & status::DRQ == 0 {
                assert_eq!(self.read(register::COUNT), COMPLETE);
                return (blocks, status, self.read(register::ERROR));
            }
            assert_eq!(self.read(register::COUNT), 2, "data, to the host");
            let length = [register::LBA_HIGH, register::LBA_MID].map(|r| self.read(r));
            let length = usize::from(u16::from_be_bytes(length));
            let mut block = self.read_words(length.div_ceil(2));
            block.truncate(length);
            blocks.push(block);
        }
    }

    /// A packet command by PIO with this byte count limit; for an error, the sense that REQUEST SENSE gives.
    fn packet_limited(&mut self, command: [u8; 12], limit: u16) -> Result<Vec<Vec<u8>>, (u8, u8, u8)> {
        self.send_packet(command, limit);
        let (blocks, status, error) = self.packet_blocks();
        if status & status::ERR == 0 {
            assert_eq!((status, error), (IDLE, 0));
            return Ok(blocks);
        }
        self.send_packet(packet(&[0x03, 0, 0, 0, 18]), 18);
        let (sense, status, _) = self.packet_blocks();
        assert_eq!(status, IDLE);
        let sense = &sense[0];
        assert_eq!(sense[2], error >> 4, "the Error register tells the sense key");
        assert_eq!((sense[0] & 0x7F, sense[7]), (0x70, 10));
        Err((sense[2], sense[12], sense[13]))
    }

    /// A packet command whose reply fits one block; `limit` 0 stands for the largest limit.
    fn packet(&mut self, command: [u8; 12], limit: u16) -> Result<Vec<u8>, (u8, u8, u8)> {
        let limit = if limit == 0 { 0xFFFE } else { limit };
        self.packet_limited(command, limit).map(|blocks| blocks.concat())
    }
}

#[test]
fn the_signature_of_a_packet_device_shows_after_reset_and_after_disk_commands() {
    let mut host = drive(None);
    let signature = |host: &mut Host| {
        [register::COUNT, register::LBA_LOW, register::LBA_MID, register::LBA_HIGH].map(|r| host.read(r))
    };
    assert_eq!(host.status(), 0, "not ready before its first command");
    assert_eq!(signature(&mut host), [1, 1, 0x14, 0xEB]);
    for code in [0xEC, 0x20, 0x24, 0xC4] {
        host.command(code, 0x123456, 7);
        host.wait();
        assert!(host.irq());
        assert_eq!((host.status(), host.read(register::ERROR)), (IDLE | status::ERR, error::ABRT));
        assert_eq!(signature(&mut host), [1, 1, 0x14, 0xEB], "{code:02X}");
    }
    host.command(0xE7, 0, 0);
    host.write_control(4);
    host.write_control(0);
    host.wait();
    assert_eq!(host.status(), 0);
    assert_eq!(signature(&mut host), [1, 1, 0x14, 0xEB]);
}

#[test]
fn device_reset_reaches_even_a_busy_drive_and_is_silent() {
    let mut host = ready_drive(8);
    host.send_packet(read_10(0, 4), 2048);
    host.write(register::STATUS, 0x08);
    assert_eq!(host.status(), 0);
    assert!(!host.irq());
    assert_eq!(
        [register::ERROR, register::LBA_MID, register::LBA_HIGH].map(|r| host.read(r)),
        [1, 0x14, 0xEB]
    );
    host.pass(GuestDuration::from_millis(10));
    assert!(!host.irq(), "the command is gone");
    assert_eq!(host.packet(read_10(0, 1), 0), Ok(content(0..1)));
}

#[test]
fn identify_packet_device_describes_a_removable_cd_rom_with_12_byte_packets() {
    let mut host = drive(None);
    host.write(register::STATUS, 0xA1);
    let data = host.collect(SECTOR, SECTOR);
    let word = |i: usize| u16::from_le_bytes([data[2 * i], data[2 * i + 1]]);
    assert_eq!(word(0) >> 14, 2, "a packet device");
    assert_eq!(word(0) >> 8 & 0x1F, 5, "CD-ROM");
    assert_eq!(word(0) & 0x83, 0x80, "removable, 12-byte packets");
    assert_eq!(word(27), u16::from_be_bytes(*b"Ve"));
    assert_eq!(word(49) & 0x300, 0x300, "LBA and DMA");
    assert_eq!(word(82) & 0x210, 0x210, "PACKET and DEVICE RESET");
    assert_eq!(data.iter().fold(0u8, |sum, b| sum.wrapping_add(*b)), 0);
    assert_eq!(host.set_feature(0x03, 0x21), IDLE);
    assert_eq!(host.set_feature(0x03, 0x77), IDLE | status::ERR);
    assert_eq!(host.simple(0xE5, 0, 0), (IDLE, 0));
    assert_eq!(host.read(register::COUNT), 0xFF);
}

#[test]
fn a_unit_attention_is_reported_once_and_spares_inquiry_and_request_sense() {
    let mut host = drive(Some(disc(10)));
    let inquiry = packet(&[0x12, 0, 0, 0, 36]);
    let data = host.packet(inquiry, 0).unwrap();
    assert_eq!(&data[..5], [5, 0x80, 0, 0x21, 31]);
    assert_eq!(&data[8..36], b"Vendor  A product       1.0 ");
    assert_eq!(host.packet(packet(&[0x25]), 0), Err((6, 0x29, 0)));
    assert_eq!(host.packet(packet(&[0x25]), 0).unwrap(), [0, 0, 0, 9, 0, 0, 8, 0]);
    // REQUEST SENSE itself fetches an attention that is still due.
    host.ide.reset();
    let sense = host.packet(packet(&[0x03, 0, 0, 0, 18]), 0).unwrap();
    assert_eq!((sense[2], sense[12]), (6, 0x29));
    assert_eq!(host.packet([0; 12], 0), Ok(vec![]));
    let sense = host.packet(packet(&[0x03, 0, 0, 0, 18]), 0).unwrap();
    assert_eq!((sense[2], sense[12]), (0, 0));
}

#[test]
fn data_comes_in_blocks_that_respect_the_byte_count() {
    let mut host = ready_drive(40);
    let mut lengths = |limit, count| {
        let blocks = host.packet_limited(read_10(3, count), limit).unwrap();
        assert_eq!(blocks.concat(), content(3..3 + u32::from(count)), "limit {limit}");
        blocks.iter().map(Vec::len).collect::<Vec<_>>()
    };
    assert_eq!(lengths(2048, 3), [2048, 2048, 2048]);
    assert_eq!(lengths(0xFFFE, 33), [31 * 2048, 2 * 2048], "whole sectors where they fit");
    assert_eq!(lengths(0xFFFF, 1), [2048]);
    assert_eq!(lengths(1000, 2), [1000, 1000, 48, 1000, 1000, 48]);
    assert_eq!(lengths(2047, 1), [2046, 2], "all but the last block are even");
    assert_eq!(lengths(3000, 2), [2048, 2048]);
    assert_eq!(lengths(2, 1).len(), 1024);
    // A reply of an odd number of bytes, in one block and in several.
    for (limit, expected) in [(100, vec![7]), (7, vec![7]), (4, vec![4, 3]), (5, vec![4, 3])] {
        let blocks = host.packet_limited(packet(&[0x12, 0, 0, 0, 7]), limit).unwrap();
        assert_eq!(blocks.iter().map(Vec::len).collect::<Vec<_>>(), expected);
    }
    // No byte count, but data: the host's error. Without data there is nothing to complain about.
    for limit in [0, 1] {
        host.send_packet(read_10(0, 1), limit);
        host.wait();
        assert!(host.irq());
        assert_eq!((host.status(), host.read(register::ERROR)), (IDLE | status::ERR, error::ABRT));
    }
    assert_eq!(host.packet_limited([0; 12], 0), Ok(vec![]));
}

#[test]
fn overlapped_operation_is_refused() {
    let mut host = ready_drive(4);
    host.write(register::ERROR, 2);
    host.write(register::STATUS, 0xA0);
    host.wait();
    assert!(host.irq());
    assert_eq!((host.status(), host.read(register::ERROR)), (IDLE | status::ERR, error::ABRT));
}

#[test]
fn every_form_of_read_gives_the_same_sectors() {
    let mut host = ready_drive(500);
    let read_12 = packet(&[0xA8, 0, 0, 0, 1, 0, 0, 0, 0, 2]);
    assert_eq!(host.packet(read_12, 0), Ok(content(256..258)));
    let read_cd = packet(&[0xBE, 0, 0, 0, 1, 0, 0, 0, 2, 0x10]);
    assert_eq!(host.packet(read_cd, 0), Ok(content(256..258)));
    // 00:05:31 is sector 5 * 75 + 31 - 150.
    let read_cd_msf = packet(&[0xB9, 0, 0, 0, 5, 31, 0, 5, 33, 0x10]);
    assert_eq!(host.packet(read_cd_msf, 0), Ok(content(256..258)));
    assert_eq!(host.packet(packet(&[0x2B, 0, 0, 0, 1, 0]), 0), Ok(vec![]));
    let past = Err((5, 0x21, 0));
    assert_eq!(host.packet(read_10(500, 0), 0), past);
    assert_eq!(host.packet(read_10(499, 2), 0), past);
    assert_eq!(host.packet(read_10(u32::MAX, u16::MAX), 0), past);
    assert_eq!(host.packet(packet(&[0xA8, 0, 0, 0, 0, 1, 0xFF, 0xFF, 0xFF, 0xFF]), 0), past);
    assert_eq!(host.packet(read_10(499, 1), 0), Ok(content(499..500)));
    // Audio sectors, raw sectors, subchannels, and times that are none.
    assert_eq!(host.packet(packet(&[0xBE, 4, 0, 0, 0, 0, 0, 0, 1, 0x10]), 0), Err((5, 0x64, 0)));
    assert_eq!(host.packet(packet(&[0xBE, 0, 0, 0, 0, 0, 0, 0, 1, 0xF8]), 0), Err((5, 0x24, 0)));
    assert_eq!(host.packet(packet(&[0xBE, 0, 0, 0, 0, 0, 0, 0, 1, 0x10, 1]), 0), Err((5, 0x24, 0)));
    assert_eq!(host.packet(packet(&[0xB9, 0, 0, 0, 0, 75, 0, 5, 33, 0x10]), 0), Err((5, 0x24, 0)));
    assert_eq!(host.packet(packet(&[0xB9, 0, 0, 0, 5, 33, 0, 5, 31, 0x10]), 0), Err((5, 0x24, 0)));
}

#[test]
fn an_unreadable_sector_is_a_medium_error_that_names_it() {
    let mut medium = MemoryMedium::new(content(0..8));
    medium = medium.with_bad_range(5 * 2048..5 * 2048 + 1);
    let mut host = drive(Some(Box::new(medium)));
    host.packet([0; 12], 0).unwrap_err();
    host.send_packet(read_10(3, 4), 0xFFFE);
    let (blocks, status, error) = host.packet_blocks();
    assert_eq!((blocks.len(), status, error), (0, IDLE | status::ERR, 0x30));
    let sense = host.packet(packet(&[0x03, 0, 0, 0, 18]), 0).unwrap();
    assert_eq!((sense[0], sense[2], sense[12]), (0xF0, 3, 0x11));
    assert_eq!(sense[3..7], 5u32.to_be_bytes());
    assert_eq!(
        host.ide.take_reports()[0].to_string(),
        "primary IDE device 0: reading sector 5: the medium failed"
    );
    // Sector by sector, what comes before the bad one arrives.
    host.send_packet(read_10(3, 4), 2048);
    let (blocks, status, _) = host.packet_blocks();
    assert_eq!((blocks.concat(), status), (content(3..5), IDLE | status::ERR));
}

#[test]
fn unknown_packet_commands_are_illegal_requests() {
    let mut host = ready_drive(4);
    for code in [0x01, 0x2A, 0x04, 0xA1, 0xFF] {
        assert_eq!(host.packet(packet(&[code]), 0), Err((5, 0x20, 0)), "{code:02X}");
    }
    assert_eq!(host.packet(packet(&[0x12, 1]), 0), Err((5, 0x24, 0)), "vital product data");
}

#[test]
fn read_toc_lists_one_data_track_and_the_lead_out() {
    let mut host = ready_drive(1000);
    let toc = |bytes: &[u8]| packet(&[&[0x43], bytes].concat());
    assert_eq!(
        host.packet(toc(&[0, 0, 0, 0, 0, 0, 0, 100]), 0).unwrap(),
        [0, 18, 1, 1, 0, 0x14, 1, 0, 0, 0, 0, 0, 0, 0x14, 0xAA, 0, 0, 0, 0x03, 0xE8]
    );
    // By time: the track begins at 00:02:00, the lead-out at 1150 frames, which are 00:15:25.
    assert_eq!(
        host.packet(toc(&[2, 0, 0, 0, 0, 0, 0, 100]), 0).unwrap(),
        [0, 18, 1, 1, 0, 0x14, 1, 0, 0, 0, 2, 0, 0, 0x14, 0xAA, 0, 0, 0, 15, 25]
    );
    let lead_out = host.packet(toc(&[0, 0, 0, 0, 0, 0xAA, 0, 100]), 0).unwrap();
    assert_eq!(lead_out, [0, 10, 1, 1, 0, 0x14, 0xAA, 0, 0, 0, 0x03, 0xE8]);
    assert_eq!(host.packet(toc(&[0, 0, 0, 0, 0, 2, 0, 100]), 0), Err((5, 0x24, 0)), "no second track");
    assert_eq!(
        host.packet(toc(&[0, 0, 0, 0, 0, 0, 0, 4]), 0).unwrap(),
        [0, 18, 1, 1],
        "cut to the allocation"
    );
    let sessions = [0, 10, 1, 1, 0, 0x14, 1, 0, 0, 0, 0, 0];
    assert_eq!(host.packet(toc(&[0, 1, 0, 0, 0, 0, 0, 100]), 0).unwrap(), sessions);
    // The same format, where SFF-8020i has it.
    assert_eq!(host.packet(toc(&[0, 0, 0, 0, 0, 0, 0, 100, 0x40]), 0).unwrap(), sessions);
    let full = host.packet(toc(&[2, 2, 0, 0, 0, 0, 0, 100]), 0).unwrap();
    assert_eq!((full.len(), full[1]), (4 + 4 * 11, 46));
    assert_eq!(full[4 + 22..4 + 33], [1, 0x14, 0, 0xA2, 0, 0, 0, 0, 0, 15, 25]);
    assert_eq!(host.packet(toc(&[0, 5, 0, 0, 0, 0, 0, 100]), 0), Err((5, 0x24, 0)));
}

#[test]
fn disc_track_and_position_are_told() {
    let mut host = ready_drive(1000);
    let information = host.packet(packet(&[0x51, 0, 0, 0, 0, 0, 0, 0, 100]), 0).unwrap();
    assert_eq!((information.len(), information[1], information[2] & 3), (34, 32, 2), "complete");
    assert_eq!(information[3..7], [1, 1, 1, 1]);
    for (kind, number, exists) in
        [(0, 999, true), (0, 1000, false), (1, 1, true), (1, 2, false), (2, 1, true)]
    {
        let number = (number as u32).to_be_bytes();
        let command = [&[0x52, kind], &number[..], &[0, 0, 100]].concat();
        let track = host.packet(packet(&command), 0);
        match exists {
            true => {
                let track = track.unwrap();
                assert_eq!((track.len(), track[1], track[5], track[6]), (36, 34, 4, 1));
                assert_eq!(track[24..28], 1000u32.to_be_bytes());
            }
            false => assert_eq!(track, Err((5, 0x24, 0))),
        }
    }
    let position = packet(&[0x42, 2, 0x40, 1, 0, 0, 0, 0, 16]);
    assert_eq!(host.packet(position, 0).unwrap(), [0, 0, 0, 12, 1, 0x14, 1, 1, 0, 0, 2, 0, 0, 0, 0, 0]);
    let header = packet(&[0x42, 0, 0, 0, 0, 0, 0, 0, 16]);
    assert_eq!(host.packet(header, 0).unwrap(), [0, 0, 0, 0]);
    let catalogue = host.packet(packet(&[0x42, 0, 0x40, 2, 0, 0, 0, 0, 100]), 0).unwrap();
    assert_eq!((catalogue.len(), catalogue[8]), (24, 0), "there is no media catalogue number");
    let mechanism = packet(&[0xBD, 0, 0, 0, 0, 0, 0, 0, 0, 8]);
    assert_eq!(host.packet(mechanism, 0).unwrap(), [0, 0, 0, 0, 0, 1, 0, 0]);
    assert_eq!(host.packet(packet(&[0xBB, 0, 0xFF, 0xFF]), 0), Ok(vec![]), "SET CD SPEED");
}

#[test]
fn mode_sense_gives_pages_with_the_header_of_either_form() {
    let mut host = ready_drive(4);
    let ten = host.packet(packet(&[0x5A, 0, 0x2A, 0, 0, 0, 0, 0, 100]), 0).unwrap();
    assert_eq!((ten.len(), ten[1], ten[2]), (28, 26, 1));
    assert_eq!(ten[8..10], [0x2A, 18]);
    assert_eq!(ten[14] >> 5, 1, "a tray");
    let six = host.packet(packet(&[0x1A, 0, 0x2A, 0, 100]), 0).unwrap();
    assert_eq!((six.len(), six[0], six[1]), (24, 23, 1));
    assert_eq!(six[4..], ten[8..]);
    // The lock state is in the page.
    host.packet(packet(&[0x1E, 0, 0, 0, 1]), 0).unwrap();
    assert_eq!(host.packet(packet(&[0x1A, 0, 0x2A, 0, 100]), 0).unwrap()[10] & 2, 2);
    let all = host.packet(packet(&[0x5A, 0, 0x3F, 0, 0, 0, 0, 0, 100]), 0).unwrap();
    assert_eq!(all.len(), 8 + 8 + 8 + 20);
    let changeable = host.packet(packet(&[0x5A, 0, 0x7F, 0, 0, 0, 0, 0, 100]), 0).unwrap();
    assert_eq!(changeable[8..24], [1, 6, 0, 0, 0, 0, 0, 0, 0x0D, 6, 0, 0, 0, 0, 0, 0]);
    assert_eq!(host.packet(packet(&[0x5A, 0, 0xEA, 0, 0, 0, 0, 0, 100]), 0), Err((5, 0x39, 0)), "saved");
    assert_eq!(host.packet(packet(&[0x5A, 0, 0x05, 0, 0, 0, 0, 0, 100]), 0), Err((5, 0x24, 0)));
}

#[test]
fn get_configuration_tells_profile_and_features() {
    let mut host = ready_drive(4);
    let get = |kind, start: u8, allocated| packet(&[0x46, kind, 0, start, 0, 0, 0, 0, allocated]);
    let all = host.packet(get(0, 0, 200), 0).unwrap();
    assert_eq!(u32::from_be_bytes([all[0], all[1], all[2], all[3]]) as usize, all.len() - 4);
    assert_eq!(all[6..8], [0, 8], "CD-ROM");
    // Features in ascending order, each with its own length.
    let mut at = 8;
    let mut numbers = Vec::new();
    while at < all.len() {
        numbers.push(u16::from_be_bytes([all[at], all[at + 1]]));
        at += 4 + usize::from(all[at + 3]);
    }
    assert_eq!(at, all.len());
    assert!(numbers.is_sorted());
    for mandatory in [0x0000, 0x0001, 0x0002, 0x0003, 0x0010, 0x001E, 0x0100, 0x0105] {
        assert!(numbers.contains(&mandatory), "{mandatory:04X}");
    }
    let one = host.packet(get(2, 0x10, 200), 0).unwrap();
    assert_eq!(one[8..], [0, 0x10, 1, 8, 0, 0, 8, 0, 0, 1, 1, 0]);
    assert_eq!(host.packet(get(2, 0x11, 200), 0).unwrap().len(), 8, "no such feature");
    let mut empty = drive(None);
    let none = empty.packet(get(1, 0, 200), 0).unwrap();
    assert_eq!(none[6..8], [0, 0], "no profile without a disc, and no attention in the way");
    assert!(none.len() < all.len());
}

#[test]
fn a_disc_larger_than_a_cd_is_a_dvd() {
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
            Ok(())
        }
        fn write(&mut self, _: u64, _: &[u8]) -> Result<(), MediumError> {
            Err(MediumError::ReadOnly)
        }
        fn flush(&mut self) -> Result<(), MediumError> {
            Ok(())
        }
    }
    let structure = packet(&[0xAD, 0, 0, 0, 0, 0, 0, 0, 0x10, 0]);
    let profile = packet(&[0x46, 2, 0, 0, 0, 0, 0, 0, 8]);
    // 99:59:74 less two seconds is the last sector that a CD's time can name.
    for (sectors, code) in [(449_850, 0x08), (449_851, 0x10), (2_295_104, 0x10), (u64::MAX / 2048, 0x10)] {
        let mut host = drive(Some(Box::new(Size(sectors * 2048))));
        host.packet([0; 12], 0).unwrap_err();
        assert_eq!(host.packet(profile, 0).unwrap()[7], code, "{sectors}");
        match code {
            0x10 => {
                let data = host.packet(structure, 0).unwrap();
                assert_eq!((data.len(), data[0..2].to_vec()), (2052, vec![0x08, 0x02]));
                let last = u32::from_be_bytes([0, data[13], data[14], data[15]]);
                let clipped = u32::try_from(sectors).unwrap_or(u32::MAX);
                assert_eq!(last, 0x30000u32.saturating_add(clipped - 1) & 0xFF_FFFF);
            }
            _ => assert_eq!(host.packet(structure, 0), Err((5, 0x24, 0))),
        }
        let toc = host.packet(packet(&[0x43, 2, 0, 0, 0, 0, 0xAA, 0, 100]), 0).unwrap();
        assert_eq!(toc[9..12] == [99, 59, 74], sectors > 449_849, "time ends there");
    }
}

#[test]
fn an_empty_drive_is_not_ready() {
    let mut host = drive(None);
    host.packet([0; 12], 0).unwrap_err();
    for command in [[0; 12], packet(&[0x25]), read_10(0, 1), packet(&[0x43, 0, 0, 0, 0, 0, 0, 0, 4])] {
        assert_eq!(host.packet(command, 0), Err((2, 0x3A, 1)));
    }
    assert_eq!(host.packet(packet(&[0x1B, 0, 0, 0, 1]), 0), Err((2, 0x3A, 1)), "nothing to spin up");
    assert_eq!(host.packet(packet(&[0x5A, 0, 0x2A, 0, 0, 0, 0, 0, 8]), 0).unwrap()[2], 0x70);
}

const POLL: [u8; 12] = [0x4A, 1, 0, 0, 0x10, 0, 0, 0, 8, 0, 0, 0];

#[test]
fn a_changed_disc_raises_attention_and_an_event() {
    let mut host = ready_drive(10);
    let slot = Slot::ALL[0];
    assert_eq!(host.packet(POLL, 0).unwrap(), [0, 6, 4, 0x10, 0, 2, 0, 0]);
    let old = host.ide.eject_disc(slot, false).unwrap().unwrap();
    assert_eq!(old.size(), 10 * 2048);
    assert_eq!(host.packet([0; 12], 0), Err((2, 0x3A, 1)));
    assert_eq!(host.packet(POLL, 0).unwrap()[4..6], [3, 0], "medium removal");
    assert_eq!(host.packet(POLL, 0).unwrap()[4..6], [0, 0], "told once");
    assert!(host.ide.eject_disc(slot, false).unwrap().is_none());
    host.ide.insert_disc(slot, disc(20)).unwrap();
    assert!(matches!(host.ide.insert_disc(slot, disc(30)), Err(InsertError::Full(_))));
    assert_eq!(host.packet(POLL, 0).unwrap()[4..6], [2, 2], "new media; polling is not stopped by attention");
    assert_eq!(host.packet(packet(&[0x25]), 0), Err((6, 0x28, 0)));
    assert_eq!(host.packet(packet(&[0x25]), 0).unwrap()[3], 19);
    // Other classes are told not to exist; asynchronous notification is not supported.
    assert_eq!(host.packet(packet(&[0x4A, 1, 0, 0, 2, 0, 0, 0, 8]), 0).unwrap(), [0, 2, 0x80, 0x10]);
    assert_eq!(host.packet(packet(&[0x4A, 0, 0, 0, 0x10, 0, 0, 0, 8]), 0), Err((5, 0x24, 0)));
}

#[test]
fn a_locked_tray_keeps_the_disc_and_tells_the_guest_of_the_wish() {
    let mut host = ready_drive(10);
    let slot = Slot::ALL[0];
    host.packet(packet(&[0x1E, 0, 0, 0, 1]), 0).unwrap();
    assert_eq!(host.ide.eject_disc(slot, false).unwrap_err(), EjectError::Locked);
    assert_eq!(host.packet(POLL, 0).unwrap()[4..6], [1, 2], "eject request");
    assert_eq!(host.packet(packet(&[0x1B, 0, 0, 0, 2]), 0), Err((5, 0x53, 2)));
    assert!(host.ide.eject_disc(slot, true).unwrap().is_some(), "the emergency hole");
    host.ide.insert_disc(slot, disc(10)).unwrap();
    host.packet([0; 12], 0).unwrap_err();
    host.packet(packet(&[0x1E]), 0).unwrap();
    // The guest may open the tray now; the disc stays in it and comes back when it closes.
    assert_eq!(host.packet(packet(&[0x1B, 0, 0, 0, 2]), 0), Ok(vec![]));
    assert_eq!(host.packet([0; 12], 0), Err((2, 0x3A, 2)));
    assert_eq!(host.packet(POLL, 0).unwrap()[4..6], [3, 1], "removal, tray open");
    let status = DriveStatus::Cdrom { has_disc: true, is_open: true, is_locked: false };
    assert_eq!(host.ide.drive_status(slot), status);
    assert_eq!(host.packet(packet(&[0x1B, 0, 0, 0, 3]), 0), Ok(vec![]));
    assert_eq!(host.packet([0; 12], 0), Err((6, 0x28, 0)));
    assert_eq!(host.packet(read_10(2, 1), 0), Ok(content(2..3)));
}

#[test]
fn a_hardware_reset_unlocks_the_tray_and_a_software_reset_does_not() {
    let mut host = ready_drive(10);
    host.packet(packet(&[0x1E, 0, 0, 0, 1]), 0).unwrap();
    host.write_control(4);
    host.write_control(0);
    host.wait();
    assert_eq!(host.ide.eject_disc(Slot::ALL[0], false).unwrap_err(), EjectError::Locked);
    host.ide.reset();
    assert!(host.ide.eject_disc(Slot::ALL[0], false).unwrap().is_some());
}

#[test]
fn a_disc_taken_out_during_a_read_ends_it() {
    let mut host = ready_drive(10);
    host.send_packet(read_10(0, 4), 2048);
    host.wait();
    host.status();
    host.ide.eject_disc(Slot::ALL[0], false).unwrap();
    assert_eq!(host.read_words(1024), content(0..1), "what was in the buffer");
    let (blocks, status, error) = host.packet_blocks();
    assert_eq!((blocks.len(), status, error), (0, IDLE | status::ERR, 0x20));
}

#[test]
fn discs_go_into_cd_rom_drives_only() {
    let mut host = Host::with_disk(Shared::numbered(8));
    let slot = Slot::ALL[0];
    assert!(matches!(host.ide.insert_disc(slot, disc(1)), Err(InsertError::NotCdrom(_))));
    assert_eq!(host.ide.eject_disc(slot, true).unwrap_err(), EjectError::NotCdrom);
    let small: Box<dyn Medium> = Box::new(MemoryMedium::new(vec![0; CD - 1]));
    assert_eq!(host.ide.attach_cdrom(Slot::ALL[1], Some(small), identity()), Err(AttachError::TooSmall));
    assert_eq!(host.ide.drive_status(Slot::ALL[1]), DriveStatus::Absent);
    assert_eq!(host.ide.drive_status(slot), DriveStatus::Disk);
}
