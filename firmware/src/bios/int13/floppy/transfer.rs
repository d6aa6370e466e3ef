//! Reading, writing, verifying and formatting floppies, in steps between which the guest runs.
//!
//! The caller's registers say what is wanted and stay as they are until the end; how far it is, the extended BIOS
//! data area says.

use super::controller::{self, Answer, Dma};
use super::media::{self, DriveType};
use super::{drive_type, parameter, release_motor};
use crate::bios::bda::{self, ebda};
use crate::bios::call::Call;
use crate::bios::hardware::MILLISECOND;
use crate::bios::int13::status;
use crate::platform::Platform;

/// Longer than any step takes: two turns, or all tracks at the slowest rate.
const TIMEOUT: u64 = 2000 * MILLISECOND;
/// The longest that the guest stands still in a step.
const SLICE: u64 = MILLISECOND / 2;
const POLL: u64 = MILLISECOND / 50;

const SECTOR: u32 = 512;

/// What the controller is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Step {
    /// The head is on its way to track 0, because the diskette was changed.
    ChangedHome = 1,
    /// The head makes a step, so that the change line tells whether there is a diskette now.
    ChangedProbe = 2,
    /// The head is on its way to track 0.
    Home = 3,
    /// The head is on its way to the cylinder.
    Seek = 4,
    /// Sectors are under the head.
    Transfer = 5,
}

/// With a step in [`ebda::FLOPPY_STEP`]: the controller was seen to be done, but has not interrupted.
const NO_INTERRUPT: u8 = 0x80;

impl Step {
    fn from_number(number: u8) -> Option<Step> {
        use Step::*;
        [ChangedHome, ChangedProbe, Home, Seek, Transfer].into_iter().find(|s| *s as u8 == number)
    }
}

/// The operation as the caller's registers describe it.
#[derive(Clone, Copy, Debug)]
struct Request {
    function: u8,
    count: u8,
    cylinder: u8,
    sector: u8,
    head: u8,
    drive: u8,
    kind: DriveType,
    /// Linear address of the caller's data.
    data: u32,
}

const FORMAT: u8 = 0x05;

impl Request {
    fn of(call: &mut Call) -> Option<Request> {
        let regs = call.regs;
        let drive = super::super::floppy_number(call.io, regs.dl());
        Some(Request {
            function: regs.ah(),
            count: regs.al(),
            cylinder: regs.ch(),
            sector: regs.cl() & 0x3F,
            head: regs.dh(),
            drive,
            kind: drive_type(call.io, drive)?,
            data: call.es_at(regs.bx()),
        })
    }

    fn dma(self) -> Dma {
        match self.function {
            0x02 => Dma::ToMemory,
            0x04 => Dma::Verify,
            _ => Dma::FromMemory,
        }
    }
}

/// What is to be done now.
enum Next {
    Wait(Step),
    Finished(u8),
}

/// Begins an operation; carry if it takes time.
pub(super) fn begin(call: &mut Call, drive: u8) {
    let Some(request) = Request::of(call) else { return super::finish(call, status::TIMEOUT) };
    debug_assert_eq!(request.drive, drive);
    let sectors_named = request.function == FORMAT || request.count != 0 && request.sector != 0;
    if request.head > 1 || !sectors_named {
        return super::finish(call, status::BAD_COMMAND);
    }
    ebda::FLOPPY_DONE.set(call.io, 0);
    ebda::FLOPPY_RATE_TRIED.set(call.io, 0);
    controller::select(call.io, request.drive);
    let next = if request.kind.has_change_line() && controller::is_changed(call.io) {
        media::forget(call.io, request.drive);
        let begun = controller::begin_recalibration(call.io, request.drive);
        waiting(begun, Step::ChangedHome)
    } else {
        approach(call.io, &request)
    };
    follow(call, &request, next);
}

/// Goes on with an operation; carry if it takes more time.
pub(in crate::bios) fn go_on(call: &mut Call) {
    let number = ebda::FLOPPY_STEP.get(call.io);
    let (Some(request), Some(step)) = (Request::of(call), Step::from_number(number & !NO_INTERRUPT)) else {
        call.answer(false);
        return super::finish(call, status::BAD_COMMAND);
    };
    let done = if step == Step::Transfer { controller::transfer_ended } else { controller::seek_ended };
    let interrupted = |io: &mut dyn Platform| bda::FLOPPY_CALIBRATED.get(io) & bda::FLOPPY_INTERRUPTED != 0;
    if !call.io.wait_until(SLICE, POLL, |io| done(io)) {
        let next = if call.io.now() >= ebda::FLOPPY_DEADLINE.get(call.io) {
            Next::Finished(status::TIMEOUT)
        } else {
            return call.answer(true);
        };
        return follow(call, &request, next);
    }
    // Its interrupt comes through before it is acted upon, unless it is masked.
    if !interrupted(call.io) && number & NO_INTERRUPT == 0 {
        ebda::FLOPPY_STEP.set(call.io, number | NO_INTERRUPT);
        return call.answer(true);
    }
    let next = after(call.io, &request, step);
    follow(call, &request, next);
}

/// Acts upon what is to be done now.
fn follow(call: &mut Call, request: &Request, next: Next) {
    match next {
        Next::Wait(step) => {
            ebda::FLOPPY_STEP.set(call.io, step as u8);
            let deadline = call.io.now().saturating_add(TIMEOUT);
            ebda::FLOPPY_DEADLINE.set(call.io, deadline);
            call.answer(true);
        }
        Next::Finished(result) => {
            if matches!(result, status::TIMEOUT | status::CONTROLLER_FAILED) {
                // Whatever it waits for, it will not come.
                super::reset_controller(call.io);
                controller::select(call.io, request.drive);
            }
            ebda::FLOPPY_STEP.set(call.io, 0);
            release_motor(call.io);
            if request.function != FORMAT {
                let done = ebda::FLOPPY_DONE.get(call.io);
                call.regs.set_al(done);
            }
            super::finish(call, result);
            call.answer(false);
        }
    }
}

fn waiting(begun: bool, step: Step) -> Next {
    if begun { Next::Wait(step) } else { Next::Finished(status::CONTROLLER_FAILED) }
}

/// The step has ended: what comes next?
fn after(io: &mut dyn Platform, request: &Request, step: Step) -> Next {
    let drive = request.drive;
    if step == Step::Transfer {
        return match controller::take_answer(io) {
            Some(answer) => after_transfer(io, request, answer),
            None => Next::Finished(status::CONTROLLER_FAILED),
        };
    }
    let Some((st0, cylinder)) = controller::sense_interrupt(io) else {
        return Next::Finished(status::CONTROLLER_FAILED);
    };
    let calibrated = 1 << drive;
    if st0 & 0xC0 != 0 {
        bda::FLOPPY_CALIBRATED.change(io, calibrated, 0);
        return Next::Finished(status::SEEK_FAILED);
    }
    bda::FLOPPY_CYLINDER.nth((drive & 1).into()).set(io, cylinder);
    match step {
        Step::ChangedHome => waiting(controller::begin_seek(io, drive, 0, 1), Step::ChangedProbe),
        Step::ChangedProbe => {
            bda::FLOPPY_CALIBRATED.change(io, 0, calibrated);
            let empty = controller::is_changed(io);
            Next::Finished(if empty { status::TIMEOUT } else { status::CHANGED })
        }
        Step::Home => {
            bda::FLOPPY_CALIBRATED.change(io, 0, calibrated);
            approach(io, request)
        }
        Step::Seek | Step::Transfer => transfer(io, request),
    }
}

/// The rate that is used now: the diskette's if it is known, else the next that it may have.
fn rate(io: &mut dyn Platform, request: &Request) -> Option<u8> {
    let tried = ebda::FLOPPY_RATE_TRIED.get(io);
    let known = media::known_rate(io, request.drive).filter(|rate| request.kind.rates().contains(rate));
    known.or_else(|| request.kind.rates().get(usize::from(tried)).copied())
}

/// Brings the head to where the sectors are.
fn approach(io: &mut dyn Platform, request: &Request) -> Next {
    let drive = request.drive;
    if bda::FLOPPY_CALIBRATED.get(io) & 1 << drive == 0 {
        return waiting(controller::begin_recalibration(io, drive), Step::Home);
    }
    let Some(rate) = rate(io, request) else { return Next::Finished(status::TIMEOUT) };
    controller::set_rate(io, rate);
    let track = media::track_of(request.kind, rate, request.cylinder);
    if bda::FLOPPY_CYLINDER.nth((drive & 1).into()).get(io) != track {
        return waiting(controller::begin_seek(io, drive, request.head, track), Step::Seek);
    }
    transfer(io, request)
}

/// A run of sectors that one command transfers.
struct Run {
    head: u8,
    sector: u8,
    count: u8,
}

/// The sectors to be transferred next. Behind the last sector of the track that the parameter table names, the
/// other side goes on.
fn next_run(request: &Request, done: u8, track: u8) -> Option<Run> {
    let left = request.count.checked_sub(done).filter(|left| *left != 0)?;
    let place = u16::from(request.sector) - 1 + u16::from(done);
    let track = u16::from(track);
    let crosses = u16::from(request.sector) <= track && track != 0;
    if !crosses {
        return Some(Run { head: request.head, sector: u8::try_from(place + 1).ok()?, count: left });
    }
    let head = u16::from(request.head) + place / track;
    let on_this = (track - place % track).min(left.into());
    (head <= 1).then_some(Run { head: head as u8, sector: (place % track) as u8 + 1, count: on_this as u8 })
}

/// Where DMA finds `length` bytes at linear address `at`, if they lie together, within 16 MiB, and cross no 64-KiB
/// boundary.
fn dma_address(io: &mut dyn Platform, at: u32, length: u32) -> Option<u32> {
    let start = io.physical(at)?;
    let last = start + u64::from(length) - 1;
    if last >= 1 << 24 || start >> 16 != last >> 16 {
        return None;
    }
    let mut page = (at | 0xFFF).wrapping_add(1);
    while page.wrapping_sub(at) < length {
        if io.physical(page)? != start + u64::from(page.wrapping_sub(at)) {
            return None;
        }
        page = page.wrapping_add(0x1000);
    }
    Some(start as u32)
}

/// Starts the next transfer.
fn transfer(io: &mut dyn Platform, request: &Request) -> Next {
    if request.function == FORMAT {
        return format(io, request);
    }
    let done = ebda::FLOPPY_DONE.get(io);
    let last_of_track = parameter(io, super::parameter::LAST_SECTOR);
    let Some(run) = next_run(request, done, last_of_track) else {
        return Next::Finished(if done == request.count { status::OK } else { status::SECTOR_NOT_FOUND });
    };
    let data = request.data.wrapping_add(u32::from(done) * SECTOR);
    let (count, address) = match largest_piece(io, data, run.count) {
        Some(piece) => piece,
        None => {
            let sector = ebda::SECTOR.address(io);
            if request.dma() == Dma::FromMemory {
                let bytes = io.bytes(data, SECTOR as usize);
                io.write(sector, &bytes);
            }
            match dma_address(io, sector, SECTOR) {
                Some(address) => (1, address),
                None => return Next::Finished(status::DMA_BOUNDARY),
            }
        }
    };
    controller::prepare_dma(io, request.dma(), address, (u32::from(count) * SECTOR) as u16);
    // MFM; reads skip sectors that are marked as deleted.
    const READ: u8 = 0x66;
    const WRITE: u8 = 0x45;
    let command = if request.dma() == Dma::FromMemory { WRITE } else { READ };
    let gap = parameter(io, super::parameter::GAP);
    let begun = controller::send(
        io,
        &[
            command,
            run.head << 2 | request.drive,
            request.cylinder,
            run.head,
            run.sector,
            2,
            run.sector.wrapping_add(count - 1),
            gap,
            0xFF,
        ],
    );
    waiting(begun, Step::Transfer)
}

/// How many of `count` sectors at `data` DMA reaches in one go, and where.
fn largest_piece(io: &mut dyn Platform, data: u32, count: u8) -> Option<(u8, u32)> {
    let most = count.min(127);
    (1..=most).rev().find_map(|n| dma_address(io, data, u32::from(n) * SECTOR).map(|at| (n, at)))
}

fn format(io: &mut dyn Platform, request: &Request) -> Next {
    let sectors =
        if request.count != 0 { request.count } else { parameter(io, super::parameter::LAST_SECTOR) };
    let length = u32::from(sectors.min(128)) * 4;
    let buffer = ebda::SECTOR.address(io);
    let fields = io.bytes(request.data, length as usize);
    io.write(buffer, &fields);
    let Some(address) = dma_address(io, buffer, length) else {
        return Next::Finished(status::DMA_BOUNDARY);
    };
    controller::prepare_dma(io, Dma::FromMemory, address, length as u16);
    let gap = parameter(io, super::parameter::FORMAT_GAP);
    let fill = parameter(io, super::parameter::FORMAT_FILL);
    let begun = controller::send(io, &[0x4D, request.head << 2 | request.drive, 2, sectors, gap, fill]);
    waiting(begun, Step::Transfer)
}

/// The controller has answered.
fn after_transfer(io: &mut dyn Platform, request: &Request, answer: Answer) -> Next {
    let result = status_of(answer);
    if result != status::OK {
        // At another rate there may be something to read.
        let retry = media::known_rate(io, request.drive).is_none()
            && matches!(result, status::NO_ADDRESS_MARK | status::SECTOR_NOT_FOUND);
        if retry {
            let tried = ebda::FLOPPY_RATE_TRIED.get(io).saturating_add(1);
            ebda::FLOPPY_RATE_TRIED.set(io, tried);
            if usize::from(tried) < request.kind.rates().len() {
                return approach(io, request);
            }
        }
        return Next::Finished(result);
    }
    if let Some(rate) = rate(io, request) {
        media::establish(io, request.drive, request.kind, rate);
    }
    if request.function == FORMAT {
        return Next::Finished(status::OK);
    }
    // How many sectors it were is in the answer: the sector behind the last, on this track or the next.
    let done = ebda::FLOPPY_DONE.get(io);
    let data = request.data.wrapping_add(u32::from(done) * SECTOR);
    let last_of_track = parameter(io, super::parameter::LAST_SECTOR);
    let Some(run) = next_run(request, done, last_of_track) else { return Next::Finished(status::OK) };
    let moved = match largest_piece(io, data, run.count) {
        Some((count, _)) => count,
        None => {
            if request.dma() == Dma::ToMemory {
                let at = ebda::SECTOR.address(io);
                let bytes = io.bytes(at, SECTOR as usize);
                io.write(data, &bytes);
            }
            1
        }
    };
    let done = done.saturating_add(moved);
    ebda::FLOPPY_DONE.set(io, done);
    if done >= request.count { Next::Finished(status::OK) } else { transfer(io, request) }
}

/// What the controller's answer means.
fn status_of([st0, st1, st2, ..]: Answer) -> u8 {
    if st0 & 0xC0 == 0 {
        return status::OK;
    }
    if st0 & 0x10 != 0 {
        return status::CONTROLLER_FAILED;
    }
    let meanings = [
        (0x02, status::WRITE_PROTECTED),
        (0x20, status::BAD_CRC),
        (0x10, status::DMA_OVERRUN),
        (0x80, status::SECTOR_NOT_FOUND),
        (0x04, status::SECTOR_NOT_FOUND),
        (0x01, status::NO_ADDRESS_MARK),
    ];
    let found = meanings.into_iter().find(|(bit, _)| st1 & bit != 0);
    match found {
        Some((_, meaning)) => meaning,
        None if st2 & 0x10 != 0 => status::SEEK_FAILED,
        None => status::CONTROLLER_FAILED,
    }
}
