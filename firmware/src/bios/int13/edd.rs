//! INT 13h AH=41h to 49h: disks and CDs by sector number. Phoenix "Enhanced Disk Drive Specification" 3.0.

use super::cdrom;
use super::chs::{Operation, Sectors, transfer};
use super::drives::{Drive, Geometry, Kind};
use super::{Answer, Done, ata, status};
use crate::bios::call::{Call, far};
use crate::bios::hardware::pci;
use crate::platform::Platform;

/// Version 3.0.
const VERSION: u8 = 0x30;

/// INT 13h with AH from 41h to 49h.
pub(super) fn service(call: &mut Call, drive: &Drive) -> Answer {
    let is_cdrom = drive.kind == Kind::Cdrom;
    match call.regs.ah() {
        0x41 => present(call, is_cdrom),
        0x42 => access(call, drive, Operation::Read),
        0x43 if is_cdrom => Err(status::WRITE_PROTECTED),
        0x43 => write(call, drive),
        0x44 => access(call, drive, Operation::Verify),
        0x45 => lock(call, drive),
        0x46 if is_cdrom => {
            cdrom::eject(call.io, drive)?;
            Ok(Done::Ok)
        }
        0x46 => Err(status::NOT_REMOVABLE),
        0x47 => Ok(Done::Ok),
        0x48 => parameters(call, drive),
        // No change is noticed before an access fails.
        0x49 => Ok(Done::Ok),
        _ => Err(status::BAD_COMMAND),
    }
}

fn present(call: &mut Call, is_cdrom: bool) -> Answer {
    /// Access by packets; lock and eject; device parameters.
    const ACCESS: u16 = 1;
    const LOCK_AND_EJECT: u16 = 2;
    const PARAMETERS: u16 = 4;
    if call.regs.bx() != 0x55AA {
        return Err(status::BAD_COMMAND);
    }
    call.regs.set_bx(0xAA55);
    call.regs.set_ah(VERSION);
    call.regs.set_cx(ACCESS | PARAMETERS | if is_cdrom { LOCK_AND_EJECT } else { 0 });
    Ok(Done::AhIsSet)
}

/// The disk address packet at DS:SI.
struct Packet {
    at: u32,
    count: u16,
    buffer: u32,
    lba: u64,
}

impl Packet {
    fn read(call: &mut Call) -> Result<Packet, u8> {
        const LENGTH: u8 = 16;
        const LENGTH_WITH_FLAT_ADDRESS: u8 = 24;
        let at = call.ds_at(call.regs.si());
        let length: u8 = call.get(at);
        if length < LENGTH {
            return Err(status::BAD_COMMAND);
        }
        let count = call.get(at.wrapping_add(2));
        let pointer: u32 = call.get(at.wrapping_add(4));
        let lba = call.get(at.wrapping_add(8));
        let buffer = if pointer == u32::MAX && length >= LENGTH_WITH_FLAT_ADDRESS {
            let flat: u64 = call.get(at.wrapping_add(16));
            u32::try_from(flat).map_err(|_| status::BAD_COMMAND)?
        } else {
            far(pointer)
        };
        Ok(Packet { at, count, buffer, lba })
    }

    /// Tells how many sectors were moved.
    fn set_count(&self, io: &mut dyn Platform, count: u16) {
        io.put(self.at.wrapping_add(2), count);
    }
}

/// A CD as a row of sectors of 2048 bytes.
fn access_cdrom(call: &mut Call, drive: &Drive, packet: &Packet, operation: Operation) -> Answer {
    if !cdrom::is_ready(call.io, drive) {
        packet.set_count(call.io, 0);
        return Err(status::NO_MEDIUM);
    }
    let mut buffer = vec![0; cdrom::SECTOR * cdrom::MOST_SECTORS];
    let mut done = 0;
    while done < packet.count {
        let count = usize::from(packet.count - done).min(cdrom::MOST_SECTORS);
        let piece = &mut buffer[..count * cdrom::SECTOR];
        let result = u32::try_from(packet.lba.saturating_add(done.into()))
            .map_err(|_| status::SECTOR_NOT_FOUND)
            .and_then(|lba| cdrom::read(call.io, drive, lba, piece));
        if let Err(code) = result {
            packet.set_count(call.io, done);
            return Err(code);
        }
        if operation == Operation::Read {
            let to = packet.buffer.wrapping_add(u32::from(done) * cdrom::SECTOR as u32);
            call.io.write(to, piece);
        }
        done += count as u16;
    }
    Ok(Done::Ok)
}

fn access(call: &mut Call, drive: &Drive, operation: Operation) -> Answer {
    let packet = Packet::read(call)?;
    if drive.kind == Kind::Cdrom {
        return access_cdrom(call, drive, &packet, operation);
    }
    let count = packet.count.into();
    let (done, result) = transfer(call.io, drive, operation, packet.lba, count, packet.buffer);
    packet.set_count(call.io, done as u16);
    result.map(|()| Done::Ok)
}

/// AH=43h; bits 0 and 1 of AL ask for verification.
fn write(call: &mut Call, drive: &Drive) -> Answer {
    let verify = match call.regs.al() {
        0 | 1 => false,
        2 => true,
        _ => return Err(status::BAD_COMMAND),
    };
    let packet = Packet::read(call)?;
    let written = access(call, drive, Operation::Write)?;
    if verify {
        drive.verify_all(call.io, packet.lba, packet.count.into())?;
        ata::flush(call.io, drive.slot)?;
    }
    Ok(written)
}

impl Drive {
    fn verify_all(&self, io: &mut dyn Platform, lba: u64, count: u32) -> Result<(), u8> {
        transfer(io, self as &dyn Sectors, Operation::Verify, lba, count, 0).1
    }
}

/// AH=45h: AL 0 locks, 1 unlocks, 2 asks.
fn lock(call: &mut Call, drive: &Drive) -> Answer {
    if drive.kind == Kind::Disk {
        return Err(status::NOT_REMOVABLE);
    }
    match call.regs.al() {
        action @ (0 | 1) => {
            cdrom::lock(call.io, drive, action == 0)?;
            call.regs.set_al(u8::from(action == 0));
            Ok(Done::Ok)
        }
        _ => Err(status::BAD_COMMAND),
    }
}

/// AH=48h: the buffer at DS:SI.
fn parameters(call: &mut Call, drive: &Drive) -> Answer {
    /// Bits of the information flags.
    const GEOMETRY_VALID: u16 = 1 << 1;
    const REMOVABLE: u16 = 1 << 2;
    const LOCKABLE: u16 = 1 << 5;
    const LENGTH: u16 = 0x1A;
    const LENGTH_WITH_TABLE: u16 = 0x1E;
    const LENGTH_WITH_PATH: u16 = 0x42;
    let at = call.ds_at(call.regs.si());
    let room: u16 = call.get(at);
    if room < LENGTH {
        return Err(status::BAD_COMMAND);
    }
    let (flags, geometry, sectors, sector): (_, Geometry, u64, u16) = match drive.kind {
        Kind::Disk => (GEOMETRY_VALID, drive.physical, drive.sectors, ata::SECTOR as u16),
        Kind::Cdrom => {
            let sectors = cdrom::capacity(call.io, drive).map_or(u64::MAX, u64::from);
            (REMOVABLE | LOCKABLE, Geometry::default(), sectors, cdrom::SECTOR as u16)
        }
    };
    let length = [LENGTH_WITH_PATH, LENGTH_WITH_TABLE, LENGTH].into_iter().find(|l| room >= *l);
    let length = usize::from(length.unwrap_or(LENGTH));
    let mut buffer = [0; LENGTH_WITH_PATH as usize];
    buffer[0..2].copy_from_slice(&(length as u16).to_le_bytes());
    buffer[2..4].copy_from_slice(&flags.to_le_bytes());
    for (place, number) in
        [(4, u32::from(geometry.cylinders)), (8, geometry.heads.into()), (12, geometry.sectors.into())]
    {
        buffer[place..place + 4].copy_from_slice(&number.to_le_bytes());
    }
    buffer[16..24].copy_from_slice(&sectors.to_le_bytes());
    buffer[24..26].copy_from_slice(&sector.to_le_bytes());
    // There is no device parameter table extension.
    buffer[26..30].copy_from_slice(&u32::MAX.to_le_bytes());
    buffer[30..].copy_from_slice(&device_path(drive));
    call.io.write(at, &buffer[..length]);
    Ok(Done::Ok)
}

/// "Device path information": which drive on which bus it is.
fn device_path(drive: &Drive) -> [u8; 36] {
    let mut path = [0; 36];
    path[0..2].copy_from_slice(&0xBEDDu16.to_le_bytes());
    path[2] = path.len() as u8;
    path[6..10].copy_from_slice(b"PCI ");
    path[10..18].copy_from_slice(if drive.kind == Kind::Disk { b"ATA     " } else { b"ATAPI   " });
    // Bus, device, function, channel.
    path[19] = pci::IDE.device();
    path[20] = 1;
    path[21] = drive.slot.is_secondary().into();
    path[26] = drive.slot.is_slave().into();
    path[35] = 0u8.wrapping_sub(path.iter().fold(0, |sum: u8, byte| sum.wrapping_add(*byte)));
    path
}
