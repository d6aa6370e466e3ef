//! INT 13h for disks by cylinder, head and sector. IBM PS/2 and PC BIOS Interface Technical Reference, "Interrupt 13h
//! - Fixed Disk".

use super::drives::{Drive, Geometry};
use super::el_torito::Emulation;
use super::{Answer, Done, FIRST_DISK, ata, disk_count, floppy, status};
use crate::bios::bda;
use crate::bios::call::Call;
use crate::platform::Platform;

/// Where sectors come from and go to.
pub(super) trait Sectors {
    fn geometry(&self) -> Geometry;
    fn read(&self, io: &mut dyn Platform, lba: u64, buffer: &mut [u8]) -> Result<(), u8>;
    fn write(&self, io: &mut dyn Platform, lba: u64, bytes: &[u8]) -> Result<(), u8>;
    fn verify(&self, io: &mut dyn Platform, lba: u64, count: u32) -> Result<(), u8>;
}

impl Sectors for Drive {
    fn geometry(&self) -> Geometry {
        self.logical
    }

    fn read(&self, io: &mut dyn Platform, lba: u64, buffer: &mut [u8]) -> Result<(), u8> {
        let address = self.reaching(lba, buffer.len() / ata::SECTOR)?;
        ata::read(io, self.slot, address, buffer)
    }

    fn write(&self, io: &mut dyn Platform, lba: u64, bytes: &[u8]) -> Result<(), u8> {
        let address = self.reaching(lba, bytes.len() / ata::SECTOR)?;
        ata::write(io, self.slot, address, bytes)
    }

    fn verify(&self, io: &mut dyn Platform, lba: u64, count: u32) -> Result<(), u8> {
        let address = self.reaching(lba, count as usize)?;
        ata::verify(io, self.slot, address, count)
    }
}

impl Drive {
    /// The address of `count` sectors from `lba` on, if they are on the disk.
    fn reaching(&self, lba: u64, count: usize) -> Result<ata::Address, u8> {
        let fits = lba.checked_add(count as u64).is_some_and(|end| end <= self.sectors);
        self.address(lba).filter(|_| fits).ok_or(status::SECTOR_NOT_FOUND)
    }
}

/// What is done with sectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Read,
    Write,
    Verify,
}

/// Moves `count` sectors between `source` and memory at `to`. Gives how many were moved, and why no more.
pub(super) fn transfer(
    io: &mut dyn Platform,
    source: &dyn Sectors,
    operation: Operation,
    lba: u64,
    count: u32,
    to: u32,
) -> (u32, Result<(), u8>) {
    let mut done = 0;
    let mut buffer = Vec::new();
    while done < count {
        let piece = (count - done).min(ata::MOST_SECTORS);
        buffer.resize(piece as usize * ata::SECTOR, 0);
        let at = to.wrapping_add(done.wrapping_mul(ata::SECTOR as u32));
        let from = lba.saturating_add(done.into());
        let result = match operation {
            Operation::Read => source.read(io, from, &mut buffer).map(|()| io.write(at, &buffer)),
            Operation::Write => {
                io.read(at, &mut buffer);
                source.write(io, from, &buffer)
            }
            Operation::Verify => source.verify(io, from, piece),
        };
        if result.is_err() {
            return (done, result);
        }
        done += piece;
    }
    (done, Ok(()))
}

/// INT 13h for a disk.
pub(super) fn disk(call: &mut Call, drive: &Drive) -> Answer {
    match call.regs.ah() {
        // Reset; disks alone; recalibrate; initialise with the parameter table.
        0x00 | 0x0D => {
            if call.regs.ah() == 0x00 {
                // Floppies too.
                let _ = floppy_reset(call);
            }
            ata::reset_channel(call.io, drive.slot);
            Ok(Done::Ok)
        }
        0x10 => Ok(Done::Ok),
        0x05..=0x07 => Err(status::BAD_COMMAND),
        _ => common(call, drive),
    }
}

fn floppy_reset(call: &mut Call) -> Answer {
    floppy::service(call, 0);
    Ok(Done::Ok)
}

/// INT 13h for the image that a CD was booted as.
pub(super) fn emulated(call: &mut Call, emulation: &Emulation) -> Answer {
    match call.regs.ah() {
        0x00 | 0x0D | 0x10 => Ok(Done::Ok),
        0x03 | 0x05 => Err(status::WRITE_PROTECTED),
        0x08 if emulation.number < FIRST_DISK => {
            let drives = floppy::count(call.io) + 1;
            parameters(call, emulation.geometry, drives);
            call.regs.set_bl(emulation.floppy_type());
            Ok(Done::AhIsSet)
        }
        0x15 if emulation.number < FIRST_DISK => {
            call.regs.set_ah(1);
            Ok(Done::AhIsSet)
        }
        _ => common(call, emulation),
    }
}

/// INT 13h for a disk that is not there.
pub(super) fn absent(call: &mut Call) -> Answer {
    match call.regs.ah() {
        0x15 => {
            call.regs.set_ah(0);
            Ok(Done::AhIsSet)
        }
        0x08 => {
            // The number of drives is told all the same.
            let drives = disk_count(call.io);
            call.regs.set_cx(0);
            call.regs.set_dx(drives.into());
            Err(status::BAD_COMMAND)
        }
        _ => Err(status::BAD_COMMAND),
    }
}

fn common(call: &mut Call, source: &dyn Sectors) -> Answer {
    match call.regs.ah() {
        0x01 => {
            let last = bda::DISK_STATUS.get(call.io);
            bda::DISK_STATUS.set(call.io, status::OK);
            if last == status::OK { Ok(Done::Ok) } else { Err(last) }
        }
        0x02 => move_sectors(call, source, Operation::Read),
        0x03 => move_sectors(call, source, Operation::Write),
        0x04 => move_sectors(call, source, Operation::Verify),
        0x08 => {
            let drives = disk_count(call.io);
            parameters(call, source.geometry(), drives);
            Ok(Done::AhIsSet)
        }
        // Initialise, seek, recalibrate, diagnose.
        0x09 | 0x0C | 0x11 | 0x14 => Ok(Done::Ok),
        0x15 => {
            let geometry = source.geometry();
            let per_cylinder = u32::from(geometry.heads) * u32::from(geometry.sectors);
            let sectors = u32::from(geometry.cylinders) * per_cylinder;
            call.regs.set_ah(3);
            call.regs.set_cx((sectors >> 16) as u16);
            call.regs.set_dx(sectors as u16);
            Ok(Done::AhIsSet)
        }
        _ => Err(status::BAD_COMMAND),
    }
}

/// AH=08h: the last cylinder, head and sector, and how many drives there are.
fn parameters(call: &mut Call, geometry: Geometry, drives: u8) {
    let cylinder = geometry.cylinders.saturating_sub(1).min(0x3FF);
    let [low, high] = cylinder.to_le_bytes();
    call.regs.set_ax(0);
    call.regs.set_cx(u16::from_be_bytes([low, geometry.sectors & 0x3F | high << 6]));
    call.regs.set_dx(u16::from_be_bytes([geometry.heads.saturating_sub(1), drives]));
}

fn move_sectors(call: &mut Call, source: &dyn Sectors, operation: Operation) -> Answer {
    let regs = call.regs;
    let (count, sector) = (regs.al(), regs.cl() & 0x3F);
    let cylinder = u16::from(regs.ch()) | u16::from(regs.cl() & 0xC0) << 2;
    if count == 0 || count > 128 {
        return Err(status::BAD_COMMAND);
    }
    let lba = source.geometry().lba(cylinder, regs.dh(), sector).ok_or(status::BAD_COMMAND)?;
    let to = call.es_at(regs.bx());
    let (done, result) = transfer(call.io, source, operation, lba, count.into(), to);
    call.regs.set_al(done as u8);
    result.map(|()| Done::Ok)
}
