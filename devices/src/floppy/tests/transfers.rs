//! The execution phases.

use super::*;

/// Read Data, MFM, drive 0: cylinder, head, first and last sector.
fn read_command(c: u8, h: u8, r: u8, last: u8) -> [u8; 9] {
    [0x46, h << 2, c, h, r, 2, last, 0x1B, 0xFF]
}

/// The same with another first byte.
fn command(first: u8, c: u8, h: u8, r: u8, last: u8) -> [u8; 9] {
    let mut bytes = read_command(c, h, r, last);
    bytes[0] = first;
    bytes
}

/// The sectors of a diskette of 18 sectors and two sides.
fn lba(c: usize, h: usize, r: usize) -> usize {
    (c * 2 + h) * 18 + r - 1
}

#[test]
fn a_sector_is_read_by_dma_and_tc_ends_the_command() {
    let mut b = Bench::new();
    b.seek(&[0x0F, 0, 7]);
    b.dma_to_memory(512);
    assert_eq!(b.run(&read_command(7, 1, 5, 18)), [0x04, 0, 0, 7, 1, 6, 2]);
    assert_eq!(b.memory[..512], sector_content(lba(7, 1, 5)));
    assert_eq!(b.memory[512], 0xEE);
    assert!(!b.irq(), "reading the result ends the interrupt");
}

#[test]
fn the_result_tells_which_sector_would_be_next() {
    // "Result Phase Table": multitrack, head, last sector read; cylinder, head, sector.
    for (multitrack, h, r, next) in [
        (false, 0, 17, [3, 0, 18]),
        (false, 0, 18, [4, 0, 1]),
        (false, 1, 18, [4, 1, 1]),
        (true, 0, 17, [3, 0, 18]),
        (true, 0, 18, [3, 1, 1]),
        (true, 1, 17, [3, 1, 18]),
        (true, 1, 18, [4, 0, 1]),
    ] {
        let mut b = Bench::new();
        b.seek(&[0x0F, 0, 3]);
        b.dma_to_memory(512);
        let first = if multitrack { 0xC6 } else { 0x46 };
        let result = b.run(&command(first, 3, h, r, 18));
        assert_eq!((result[0] & 0xC0, &result[3..6]), (0, &next[..]), "{multitrack} {h} {r}");
    }
}

#[test]
fn multitrack_goes_on_with_the_second_side() {
    let mut b = Bench::new();
    b.dma_to_memory(36 * 512);
    assert_eq!(b.run(&command(0xE6, 0, 0, 1, 18)), [0x04, 0, 0, 1, 0, 1, 2]);
    let expected: Vec<u8> = (0..36).flat_map(sector_content).collect();
    assert_eq!(b.memory[..36 * 512], expected);
}

#[test]
fn without_tc_the_end_of_the_cylinder_is_an_error() {
    let mut b = Bench::new();
    b.dma_to_memory(4 * 512);
    assert_eq!(b.run(&read_command(0, 0, 17, 18)), [0x40, 0x80, 0, 1, 0, 1, 2]);
    assert_eq!(b.memory[512..1024], sector_content(17));
    assert_eq!(b.memory[1024], 0xEE);
}

#[test]
fn tc_within_a_sector_cuts_it_off() {
    let mut b = Bench::new();
    b.dma_to_memory(100);
    assert_eq!(b.run(&read_command(0, 0, 1, 18)), [0, 0, 0, 0, 0, 2, 2]);
    assert_eq!((&b.memory[..100], b.memory[100]), (&sector_content(0)[..100], 0xEE));

    b.dma_from_memory(&[0xAB; 600]);
    assert_eq!(b.run(&command(0x45, 0, 0, 4, 18)), [0, 0, 0, 0, 0, 6, 2]);
    let expected = [vec![0xAB; 600], vec![0; 424], sector_content(5)].concat();
    assert_eq!(b.diskette_bytes(3 * 512, 1536), expected, "the rest of a written sector is zeros");
}

#[test]
fn a_real_drive_reads_a_track_in_a_revolution() {
    let mut b = Bench::with_diskette(1_474_560, Pace::Real);
    b.dma_to_memory(18 * 512);
    // Just after the index hole.
    b.now = GuestTime::from_nanos(2_000_000_001);
    b.run(&read_command(0, 0, 1, 18));
    assert_eq!(b.now, GuestTime::from_nanos(2_200_000_000));
    let mut fast = Bench::new();
    fast.dma_to_memory(18 * 512);
    fast.now = GuestTime::from_nanos(2_000_000_001);
    fast.run(&read_command(0, 0, 1, 18));
    assert_eq!(fast.now, GuestTime::from_nanos(2_012_500_000));
}

#[test]
fn dma_verify_reads_sectors_without_storing_them() {
    let mut b = Bench::new();
    b.program_dma(0x42, 1024);
    assert_eq!(b.run(&read_command(0, 0, 1, 18)), [0, 0, 0, 0, 0, 3, 2]);
    assert!(b.memory.iter().all(|&byte| byte == 0xEE));
}

#[test]
fn what_is_not_there_is_not_found() {
    let no_data = |st2| [0x40, 0x04, st2];
    let missing_address_mark = [0x40, 0x01, 0];
    type Case = (&'static str, [u8; 9], u8, [u8; 3]);
    let cases: [Case; 7] = [
        ("sector 19", read_command(0, 0, 19, 30), 0, no_data(0)),
        ("sector 0", read_command(0, 0, 0, 18), 0, no_data(0)),
        ("another cylinder", read_command(1, 0, 1, 18), 0, no_data(0x10)),
        ("another head's name", [0x46, 0, 0, 1, 1, 2, 18, 0x1B, 0xFF], 0, no_data(0)),
        ("another size", [0x46, 0, 0, 0, 1, 3, 18, 0x1B, 0xFF], 0, no_data(0)),
        ("single density", command(0x06, 0, 0, 1, 18), 0, missing_address_mark),
        ("another data rate", read_command(0, 0, 1, 18), 2, missing_address_mark),
    ];
    for (what, bytes, rate, status) in cases {
        let mut b = Bench::with_diskette(1_474_560, Pace::Real);
        b.dma_to_memory(512);
        b.write(DIR_CCR, rate);
        let start = b.now;
        assert_eq!(b.run(&bytes)[..3], status, "{what}");
        assert_eq!(b.now.since(start), GuestDuration::from_millis(400), "{what}: two revolutions");
    }
    let mut single_sided = Bench::with_diskette(184_320, Pace::Fast);
    single_sided.write(DIR_CCR, 2);
    assert_eq!(single_sided.run(&read_command(0, 1, 1, 9))[..3], [0x44, 0x01, 0]);
}

#[test]
fn every_format_is_read_at_its_data_rate_only() {
    for format in Format::ALL {
        let right = match (format.sectors, format.drive_type()) {
            (..=9, _) => 2,
            (36, _) => 3,
            _ => 0,
        };
        for rate in 0..4 {
            let mut b = Bench::with_diskette(format.size(), Pace::Fast);
            b.write(DIR_CCR, rate);
            let (c, h, r) = (format.cylinders - 1, format.heads - 1, format.sectors);
            b.seek(&[0x0F, 0, c]);
            b.dma_to_memory(512);
            let result = b.run(&read_command(c, h, r, r));
            if rate == right {
                assert_eq!(result[..3], [h << 2, 0, 0], "{format:?}");
                assert_eq!(b.memory[..512], sector_content(format.size() as usize / 512 - 1));
            } else {
                assert_eq!(result[..3], [0x40 | h << 2, 1, 0], "{format:?} at rate {rate}");
            }
        }
    }
}

#[test]
fn a_drive_of_80_tracks_steps_twice_for_each_of_40() {
    let mut b = Bench::with_drives([Some(DriveType::Hd525), None, None, None], Pace::Fast);
    b.floppy.insert(0, Box::new(numbered(368_640))).unwrap();
    b.turn_on();
    b.write(DIR_CCR, 1);
    b.seek(&[0x0F, 0, 40]);
    b.dma_to_memory(512);
    assert_eq!(b.run(&read_command(20, 0, 1, 9))[..3], [0, 0, 0], "300 kbit/s at 360 rpm");
    assert_eq!(b.memory[..512], sector_content(20 * 18));
    b.seek(&[0x0F, 0, 41]);
    assert_eq!(b.run(&read_command(20, 0, 1, 9))[..3], [0x40, 0x01, 0], "between two tracks");
}

#[test]
fn a_bad_sector_is_a_data_error() {
    let mut b = Bench::new();
    b.floppy.eject(0);
    b.floppy.insert(0, Box::new(numbered(1_474_560).with_bad_range(1024..1030))).unwrap();
    b.dma_to_memory(4 * 512);
    assert_eq!(b.run(&read_command(0, 0, 1, 18)), [0x40, 0x20, 0x20, 0, 0, 3, 2]);
    assert_eq!(b.memory[512..1024], sector_content(1));
    b.dma_from_memory(&[0; 512]);
    assert_eq!(b.run(&command(0x45, 0, 0, 3, 18))[..3], [0x50, 0, 0], "writing it is a fault of the drive");
    let failure = DisketteFailure { drive: 0, sector: Some(2), error: MediumError::Failed };
    assert_eq!(b.floppy.take_failures(), [failure; 2]);
}

#[test]
fn written_sectors_are_on_the_medium() {
    let mut b = Bench::new();
    b.seek(&[0x0F, 0, 79]);
    let bytes: Vec<u8> = (0..1024).map(|i| (i / 3) as u8).collect();
    b.dma_from_memory(&bytes);
    assert_eq!(b.run(&command(0x45, 79, 1, 17, 18)), [0x04, 0, 0, 80, 1, 1, 2]);
    assert_eq!(b.diskette_bytes(1_474_560 - 1024, 1024), bytes);
}

#[test]
fn a_protected_diskette_is_not_writable() {
    let mut b = Bench::new();
    b.floppy.eject(0);
    b.floppy.insert(0, Box::new(numbered(1_474_560).write_protected())).unwrap();
    b.dma_from_memory(&[0; 512]);
    assert_eq!(b.run(&command(0x45, 0, 0, 1, 18))[..3], [0x40, 0x02, 0]);
    assert_eq!(b.run(&[0x4D, 0, 2, 18, 0x54, 0xF6])[..3], [0x40, 0x02, 0], "nor formatted");
}

#[test]
fn deleted_sectors_are_marked_and_skipped_on_demand() {
    let mut b = Bench::new();
    b.dma_from_memory(&[0xDD; 512]);
    assert_eq!(b.run(&command(0x49, 0, 0, 2, 18)), [0, 0, 0, 0, 0, 3, 2]);

    b.dma_to_memory(3 * 512);
    assert_eq!(b.run(&read_command(0, 0, 1, 18)), [0, 0, 0x40, 0, 0, 2, 2], "read, and then no further");
    assert_eq!((b.memory[512], b.memory[1024]), (0xDD, 0xEE));

    b.dma_to_memory(2 * 512);
    assert_eq!(b.run(&command(0x66, 0, 0, 1, 18)), [0, 0, 0x40, 0, 0, 4, 2], "skipped");
    assert_eq!(b.memory[512..1024], sector_content(2));

    b.dma_to_memory(512);
    assert_eq!(b.run(&command(0x6C, 0, 0, 1, 18)), [0, 0, 0x40, 0, 0, 3, 2], "the deleted one only");
    assert_eq!(b.memory[..512], [0xDD; 512]);

    b.dma_from_memory(&[0; 512]);
    b.run(&command(0x45, 0, 0, 2, 18));
    b.dma_to_memory(2 * 512);
    assert_eq!(b.run(&read_command(0, 0, 1, 18))[..3], [0, 0, 0], "writing data unmarks it");
}

#[test]
fn read_id_shows_the_sectors_as_they_pass() {
    let mut b = Bench::with_diskette(1_474_560, Pace::Real);
    b.seek(&[0x0F, 0, 33]);
    b.now = GuestTime::from_nanos(4_000_000_000);
    for r in (1..=18).chain(1..=3) {
        assert_eq!(b.run(&[0x4A, 0x04]), [0x04, 0, 0, 33, 1, r, 2]);
    }
    assert_eq!(b.now.as_nanos(), 4_200_000_000 + (200_000_000u64 * 3).div_ceil(18));
    assert_eq!(b.run(&[0xEA, 0x04])[3..], [33, 1, 4, 2], "modifiers that mean nothing here");
    b.write(DIR_CCR, 1);
    assert_eq!(b.run(&[0x4A, 0x04])[..3], [0x44, 0x01, 0]);
}

#[test]
fn read_track_starts_at_the_index_hole() {
    let mut b = Bench::new();
    b.dma_to_memory(3 * 512);
    assert_eq!(b.run(&command(0x42, 0, 0, 1, 18))[..3], [0, 0, 0]);
    assert_eq!(b.memory[..1536], [sector_content(0), sector_content(1), sector_content(2)].concat());
    b.dma_to_memory(18 * 512);
    assert_eq!(b.run(&command(0x42, 5, 0, 1, 2))[..3], [0x40, 0x04, 0], "other names, the data all the same");
    assert_eq!(b.memory[..1024], [sector_content(0), sector_content(1)].concat());
}

#[test]
fn verify_moves_no_data() {
    let mut b = Bench::new();
    assert_eq!(b.run(&[0x56, 0x80, 0, 0, 3, 2, 18, 0x1B, 4]), [0, 0, 0, 0, 0, 7, 2], "four sectors");
    assert_eq!(b.run(&[0xD6, 0x00, 0, 0, 3, 2, 18, 0x1B, 0xFF]), [0x04, 0, 0, 1, 0, 1, 2], "to the end");
    assert_eq!(b.run(&[0x56, 0x00, 0, 0, 3, 2, 20, 0x1B, 0xFF])[..3], [0x40, 0x04, 0], "beyond it");
}

#[test]
fn format_fills_the_sectors_that_the_host_names() {
    let mut b = Bench::new();
    b.seek(&[0x0F, 0, 2]);
    let ids: Vec<u8> = (1..=18).flat_map(|r| [2, 1, r, 2]).collect();
    b.dma_from_memory(&ids);
    let result = b.run(&[0x4D, 0x04, 2, 18, 0x54, 0xF6]);
    assert_eq!(result[..3], [0x04, 0, 0]);
    let first = lba(2, 1, 1) as u64 * 512;
    let bytes = b.diskette_bytes(first - 512, 20 * 512);
    assert_eq!(bytes[..512], sector_content(lba(2, 0, 18)));
    assert_eq!(bytes[512..19 * 512], [0xF6; 18 * 512]);
    assert_eq!(bytes[19 * 512..], sector_content(lba(3, 0, 1)));

    b.seek(&[0x07, 0]);
    b.dma_from_memory(&[0, 0, 19, 2]);
    let result = b.run(&[0x4D, 0x00, 2, 19, 0x54, 0xF6]);
    assert_eq!(result[..3], [0x50, 0, 0], "the image has no place for a 19th sector");
}

#[test]
fn scans_compare_sectors_with_the_host() {
    let low = 0x10;
    let scan = |first, host: u8, disk: u8| {
        let mut b = Bench::new();
        b.dma_from_memory(&[disk; 512]);
        b.run(&command(0x45, 0, 0, 18, 18));
        b.dma_from_memory(&[host; 512]);
        let result = b.run(&[first, 0, 0, 0, 18, 2, 18, 0x1B, 1]);
        assert_eq!(result[..2], [0, 0]);
        result[2]
    };
    // "Scan Status Codes": equal, disk lower, disk higher, and FFh which equals everything.
    for (first, outcomes) in
        [(0x51, [0x08, 0x04, 0x04, 0x08]), (0x59, [0x08, 0x00, 0x04, 0x08]), (0x5D, [0x08, 0x04, 0x00, 0x08])]
    {
        let got = [(low, low), (low, low - 1), (low, low + 1), (0xFF, low)].map(|(h, d)| scan(first, h, d));
        assert_eq!(got, outcomes, "{first:#x}");
    }

    let mut b = Bench::new();
    let wanted = [sector_content(2), sector_content(2), sector_content(2)].concat();
    b.dma_from_memory(&wanted);
    assert_eq!(b.run(&[0x51, 0, 0, 0, 1, 2, 18, 0x1B, 1]), [0, 0, 0x08, 0, 0, 3, 2], "the third sector");
    b.dma_from_memory(&wanted);
    assert_eq!(b.run(&[0x51, 0, 0, 0, 1, 2, 17, 0x1B, 2]), [0, 0, 0x08, 0, 0, 3, 2], "every second");
}

#[test]
fn an_implied_seek_goes_to_the_cylinder_of_the_command() {
    let mut b = Bench::new();
    b.command(&[0x13, 0, configuration::IMPLIED_SEEK, 0]);
    b.dma_to_memory(512);
    assert_eq!(b.run(&read_command(50, 0, 1, 18)), [0x20, 0, 0, 50, 0, 2, 2]);
    assert_eq!(b.memory[..512], sector_content(lba(50, 0, 1)));
    assert_eq!((b.floppy.track(0), b.ask(&[0x0E])[0]), (50, 50));
}

#[test]
fn without_dma_every_byte_is_an_interrupt() {
    let mut b = Bench::new();
    b.command(&[0x03, 0xDF, 0x03]);
    b.command(&read_command(0, 0, 18, 18));
    assert_eq!(b.status(), 0x30, "executing without DMA, no byte yet");
    let mut bytes = Vec::new();
    b.wait();
    while bytes.len() < 512 {
        assert_ne!(b.lines.take_rising() & 1 << 6, 0, "byte {}", bytes.len());
        assert_eq!(b.status(), 0xF0);
        bytes.push(b.read(DATA));
    }
    assert_eq!(bytes, sector_content(17));
    b.wait();
    assert_eq!(b.result(), [0x40, 0x80, 0, 1, 0, 1, 2], "there is no TC");

    b.command(&command(0x45, 0, 0, 18, 18));
    b.wait();
    for i in 0..512u16 {
        assert_eq!(b.status(), 0xB0);
        b.write(DATA, i as u8);
    }
    b.wait();
    assert_eq!(b.result()[..2], [0x40, 0x80]);
    let expected: Vec<u8> = (0..512u16).map(|i| i as u8).collect();
    assert_eq!(b.diskette_bytes(17 * 512, 512), expected);
}

#[test]
fn the_fifo_holds_interrupts_back() {
    let mut b = Bench::new();
    b.command(&[0x03, 0xDF, 0x03]);
    b.command(&[0x13, 0, 0x08, 0]);
    b.command(&read_command(0, 0, 18, 18));
    b.wait();
    b.lines.take_rising();
    let edges = (0..512)
        .filter(|_| {
            b.read(DATA);
            b.lines.take_rising() != 0
        })
        .count();
    assert_eq!(edges, 512 / 8 - 1);
}

#[test]
fn a_host_that_takes_nothing_causes_an_overrun() {
    let mut b = Bench::with_diskette(1_474_560, Pace::Real);
    b.dma_port(0x0A, 6);
    b.now = GuestTime::from_nanos(2_000_000_001);
    assert_eq!(b.run(&read_command(0, 0, 1, 18)), [0x40, 0x10, 0, 0, 0, 1, 2]);
    assert_eq!(b.now.as_nanos(), 2_000_000_000 + 11_111_112 + 11_111_111, "as long as the next sector lasts");
}

#[test]
fn without_a_turning_diskette_nothing_happens_until_there_is_one() {
    let mut b = Bench::new();
    let diskette = b.floppy.eject(0).unwrap();
    b.dma_to_memory(512);
    b.command(&read_command(0, 0, 1, 18));
    assert!(!b.step());
    assert_eq!(b.status(), 0x10);
    b.write(DOR, 0x0C);
    b.floppy.insert(0, diskette).unwrap();
    assert!(!b.step(), "the motor is off");
    b.write(DOR, DRIVE_0_ON);
    b.wait();
    assert_eq!(b.result()[..3], [0, 0, 0]);

    b.command(&read_command(0, 0, 1, 18));
    b.write(DOR, 0x0C);
    while b.step() {}
    assert_eq!(b.status(), 0x10);
    b.write(DOR, 0x08);
    b.write(DOR, DRIVE_0_ON);
    assert_eq!(b.ask(&[0x08]), [0xC0, 0], "a reset ends it");
}

#[test]
fn a_diskette_taken_out_in_the_midst_stops_the_transfer() {
    let mut b = Bench::new();
    b.dma_to_memory(18 * 512);
    b.command(&read_command(0, 0, 1, 18));
    for _ in 0..6 {
        assert!(b.step());
    }
    b.floppy.eject(0);
    while b.step() {}
    assert_eq!(b.status(), 0x10);
    assert!(!b.irq());
}
