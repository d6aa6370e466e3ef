//! Saved states, and guests that do what no driver does.

use super::*;
use crate::conformance::Random;

/// A diskette that holds what it always held, with a bad sector. Writes leave no trace, so that two controllers
/// with the same history find the same.
#[derive(Debug)]
struct Unchanging {
    size: u64,
}

impl Medium for Unchanging {
    fn size(&self) -> u64 {
        self.size
    }
    fn is_read_only(&self) -> bool {
        false
    }
    fn read(&mut self, offset: u64, buffer: &mut [u8]) -> Result<(), MediumError> {
        self.write(offset, buffer)?;
        buffer.copy_from_slice(&sector_content(offset as usize / SECTOR)[..buffer.len()]);
        Ok(())
    }
    fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<(), MediumError> {
        assert!(bytes.len() == SECTOR && offset + SECTOR as u64 <= self.size, "not a sector of the diskette");
        if offset == 5 * SECTOR as u64 { Err(MediumError::Failed) } else { Ok(()) }
    }
    fn flush(&mut self) -> Result<(), MediumError> {
        Ok(())
    }
}

fn two_drives(bank: &IrqBank) -> Floppy {
    let drives = [Some(DriveType::Hd35), Some(DriveType::Hd525), None, Some(DriveType::Ed35)];
    let mut floppy = Floppy::new(bank.line(6), drives, Pace::Fast);
    floppy.insert(0, Box::new(Unchanging { size: 1_474_560 })).unwrap();
    floppy.insert(1, Box::new(Unchanging { size: 163_840 })).unwrap();
    floppy
}

/// A command with parameters that often make sense, to a controller that is not held in reset and has no result
/// to give.
fn issue(floppy: &mut Floppy, random: &mut Random, now: GuestTime) -> u64 {
    const COMMANDS: [u8; 24] = [
        0x46, 0xC6, 0xE6, 0x4C, 0x45, 0xC5, 0x49, 0x42, 0x56, 0xD6, 0x4D, 0x51, 0x59, 0x5D, 0x4A, 0x07, 0x08,
        0x03, 0x0F, 0x8F, 0xCF, 0x13, 0x94, 0x12,
    ];
    let command = COMMANDS[random.below(COMMANDS.len() as u64) as usize];
    let parameters = Command::decode(command).unwrap().1;
    let mut write =
        |offset, value: u8| floppy.write_port(offset, AccessSize::Byte, value.into(), now).unwrap();
    let drive = random.below(2) as u8;
    write(DOR, 0x3C | drive);
    write(DIR_CCR, drive);
    write(DATA, command);
    let head = random.below(2) as u8;
    let track = random.below(3) as u8;
    let usual =
        [drive | head << 2 | (random.below(2) as u8) << 7, track, head, 1 + random.below(9) as u8, 2, 9];
    for i in 0..parameters {
        write(DATA, usual.get(i).copied().unwrap_or(random.value() as u8));
    }
    u64::from(command)
}

/// What a driver does with a result.
fn read_result(floppy: &mut Floppy, _: &mut Random, now: GuestTime) -> u64 {
    let mut digest = 0u64;
    for _ in 0..16 {
        if floppy.read_port(MSR_DSR, AccessSize::Byte, now).unwrap() & 0xD0 == 0xD0 {
            digest =
                digest.wrapping_mul(31) + u64::from(floppy.read_port(DATA, AccessSize::Byte, now).unwrap());
        }
    }
    digest
}

/// DMA cycles, whichever they are, up to a sector of them and perhaps TC.
fn serve(floppy: &mut Floppy, random: &mut Random, now: GuestTime) -> u64 {
    let mut digest = 0u64;
    let kind = random.below(8);
    for _ in 0..[4, 512, 512, 512, 100][random.below(5) as usize] {
        if !floppy.dma_request() {
            break;
        }
        match kind {
            0 => floppy.dma_verify(now),
            1..4 => floppy.dma_write(0x5A, now),
            _ => digest = digest.wrapping_mul(31) + u64::from(floppy.dma_read(now)),
        }
    }
    if random.one_in(3) {
        floppy.dma_terminal_count(now);
    }
    digest
}

crate::conformance::suite!(
    Subject::new(two_drives)
        .ports(8)
        .timed()
        .action(issue)
        .action(issue)
        .action(read_result)
        .action(serve)
        .action(serve)
        .action(|floppy, random, _| {
            // Diskettes come and go, always the same: what is in the drives is not part of the state.
            let drive = random.below(2) as u8;
            let diskette = floppy.eject(drive).expect("one was put in");
            floppy.insert(drive, diskette).expect("it fitted before");
            floppy.take_failures();
            0
        })
);

#[test]
fn random_histories_reach_transfers_results_and_seeks() {
    let bank = IrqBank::new();
    let mut floppy = two_drives(&bank);
    let mut random = Random::new(7);
    let mut now = GuestTime::ZERO;
    let (mut transfers, mut endings, mut seeks) = (0, std::collections::BTreeSet::new(), 0);
    for _ in 0..20_000 {
        now = now + GuestDuration::from_nanos(random.below(3_000_000));
        floppy.advance(now);
        transfers += usize::from(floppy.state.transfer.as_ref().is_some_and(|t| t.position > 0));
        seeks += usize::from(floppy.state.seeks.iter().any(Option::is_some));
        endings.insert(floppy.state.result.iter().copied().take(3).collect::<Vec<_>>());
        match random.below(3) {
            0 => issue(&mut floppy, &mut random, now),
            1 => read_result(&mut floppy, &mut random, now),
            _ => serve(&mut floppy, &mut random, now),
        };
    }
    assert!(transfers > 50 && seeks > 50 && endings.len() > 20, "{transfers} {seeks} {endings:?}");
}

#[test]
fn saved_states_restore_and_impossible_ones_are_refused() {
    let mut b = Bench::new();
    b.command(&[0x46, 0, 0, 0, 1, 2, 18, 0x1B, 0xFF]);
    b.step();
    let saved = b.floppy.save();
    assert!(saved.transfer.as_ref().is_some_and(Transfer::wants_host));
    type Corruption = fn(&mut FloppyState);
    let corruptions: [Corruption; 7] = [
        |s| s.configuration = 0x80,
        |s| s.reset_senses = 5,
        |s| s.command = vec![0x08],
        |s| s.result = vec![0; 11].into(),
        |s| s.drives[0].track = 84,
        |s| s.drives[1].track = 1,
        |s| s.transfer.as_mut().unwrap().buffer.clear(),
    ];
    for (i, corrupt) in corruptions.into_iter().enumerate() {
        let mut state = saved.clone();
        corrupt(&mut state);
        assert_eq!(b.floppy.restore(state).unwrap_err().device, "floppy controller", "corruption {i}");
        assert_eq!(b.floppy.save(), saved);
    }
    b.floppy.restore(saved).unwrap();
}
