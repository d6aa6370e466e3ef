//! Commands that move sectors: addresses, data blocks, and what a failing medium makes of them.

use super::{Disk, Operation, block_of};
use crate::backend::MediumError;
use crate::ide::drive::{Direction, Interface, Next, Protocol};
use crate::ide::modes::Power;
use crate::ide::report::{Failure, MediumOperation};
use crate::ide::spec::{Access, Blocking, DMA_SLICE, SECTOR, error, media_time, status};
use serde::{Deserialize, Serialize};

/// How the host addresses sectors, and finds the address of the last one in the registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Form {
    Chs,
    Lba28,
    Lba48,
}

/// A command on its way through its sectors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::ide) struct Transfer {
    access: Access,
    protocol: Protocol,
    form: Form,
    /// Sectors in one data block.
    block: u32,
    /// The first sector that is not done.
    next: u64,
    /// Sectors that are not done, at least 1.
    left: u32,
    /// For writes: the buffer holds a block for the medium.
    filled: bool,
}

impl Transfer {
    /// Whether the command's numbers are of the size that commands have.
    pub fn is_valid(&self) -> bool {
        (1..=DMA_SLICE).contains(&self.block) && (1..=0x1_0000).contains(&self.left) && self.next < 1 << 48
    }

    /// Sectors in the next block.
    fn count(&self) -> u32 {
        self.block.min(self.left)
    }

    fn offset(&self) -> u64 {
        self.next * SECTOR as u64
    }

    /// Notes that `count` sectors are done; the registers tell the last of them and how many are left.
    fn done(&mut self, count: u32, disk: &Disk, io: &mut Interface) {
        self.next += u64::from(count);
        self.left -= count;
        self.show(disk, self.next - 1, io);
    }

    fn show(&self, disk: &Disk, sector: u64, io: &mut Interface) {
        let registers = &mut io.registers;
        match self.form {
            Form::Chs => registers.set_chs(disk.settings.geometry.chs(sector)),
            Form::Lba28 => registers.set_lba28(sector as u32),
            Form::Lba48 => registers.set_lba48(sector),
        }
        match self.form {
            Form::Lba48 => registers.count.set_wide(self.left as u16),
            _ => registers.count.current = self.left as u8,
        }
    }
}

impl Disk {
    /// The sector that the registers address; `None` if they address none.
    pub(super) fn first_sector(&self, extended: bool, io: &Interface) -> Option<u64> {
        if extended {
            Some(io.registers.lba48())
        } else if io.registers.is_lba() {
            Some(u64::from(io.registers.lba28()))
        } else {
            self.settings.geometry.lba(io.registers.chs()).map(u64::from)
        }
    }

    /// A command for sectors: takes the address and count from the registers.
    pub(super) fn begin_sectors(
        &mut self,
        access: Access,
        blocking: Blocking,
        extended: bool,
        io: &mut Interface,
    ) -> Next {
        let block = block_of(blocking, self.settings.multiple);
        // READ and WRITE MULTIPLE are refused until SET MULTIPLE MODE has enabled them.
        if block == 0 {
            return io.abort();
        }
        let Some(next) = self.first_sector(extended, io) else {
            return io.fail(error::IDNF, status::ERR);
        };
        // A count of zero asks for the most that its registers can count to.
        let left = match extended {
            true => u32::from(io.registers.count.wide().wrapping_sub(1)) + 1,
            false => u32::from(io.registers.count.current.wrapping_sub(1)) + 1,
        };
        self.settings.power = Power::Active;
        let transfer = Transfer {
            access,
            protocol: if blocking == Blocking::Dma { Protocol::Dma } else { Protocol::Pio },
            form: match (extended, io.registers.is_lba()) {
                (true, _) => Form::Lba48,
                (false, true) => Form::Lba28,
                (false, false) => Form::Chs,
            },
            block,
            next,
            left,
            filled: false,
        };
        self.next_block(transfer, false, io)
    }

    /// Starts the next block, if the command is not over. For a write, `interrupt` says that the host waits
    /// for the disk to ask for it.
    fn next_block(&mut self, transfer: Transfer, interrupt: bool, io: &mut Interface) -> Next {
        let count = transfer.count();
        if transfer.next.checked_add(u64::from(count)).is_none_or(|end| end > self.capacity()) {
            let sector = transfer.next.max(self.capacity());
            transfer.show(self, sector, io);
            return io.fail(error::IDNF, status::ERR);
        }
        let next = match transfer.access {
            Access::Read | Access::Verify => Next::Busy(media_time(count)),
            Access::Write => {
                io.buffer.start(count as usize * SECTOR);
                Next::Transfer { direction: Direction::Out, protocol: transfer.protocol, interrupt }
            }
        };
        self.operation = Operation::Sectors(transfer);
        next
    }

    /// The time that a block takes on the medium has passed.
    pub(super) fn resume_sectors(&mut self, mut transfer: Transfer, io: &mut Interface) -> Next {
        let count = transfer.count();
        match transfer.access {
            Access::Read | Access::Verify => {
                let data = io.buffer.start(count as usize * SECTOR);
                if let Err(reason) = self.medium.read(transfer.offset(), data) {
                    return self.medium_failed(&transfer, reason, io);
                }
                if transfer.access == Access::Verify {
                    transfer.done(count, self, io);
                    return self.after_block(transfer, io);
                }
                let (protocol, interrupt) = (transfer.protocol, transfer.protocol == Protocol::Pio);
                self.operation = Operation::Sectors(transfer);
                Next::Transfer { direction: Direction::In, protocol, interrupt }
            }
            Access::Write => {
                let data = io.buffer.taken();
                if !transfer.filled || data.len() != count as usize * SECTOR {
                    return io.abort();
                }
                transfer.filled = false;
                if let Err(reason) = self.medium.write(transfer.offset(), data) {
                    return self.medium_failed(&transfer, reason, io);
                }
                transfer.done(count, self, io);
                self.after_block(transfer, io)
            }
        }
    }

    /// The host or the bus master has moved a block.
    pub(super) fn block_moved(&mut self, mut transfer: Transfer, io: &mut Interface) -> Next {
        let count = transfer.count();
        match transfer.access {
            Access::Read | Access::Verify => {
                transfer.done(count, self, io);
                self.after_block(transfer, io)
            }
            Access::Write => {
                transfer.filled = true;
                self.operation = Operation::Sectors(transfer);
                Next::Busy(media_time(count))
            }
        }
    }

    /// A block is done: the next one, or the end. The end of a PIO read is no event: its last interrupt
    /// announced the last block.
    fn after_block(&mut self, transfer: Transfer, io: &mut Interface) -> Next {
        let is_pio = transfer.protocol == Protocol::Pio;
        if transfer.left > 0 {
            return self.next_block(transfer, is_pio, io);
        }
        match transfer.access {
            Access::Read => Next::End { interrupt: !is_pio },
            Access::Write if !self.settings.write_cache => self.flush(io),
            Access::Write | Access::Verify => Next::End { interrupt: true },
        }
    }

    /// Ends the command with the error that the medium's `reason` looks like from the host, at the sector
    /// that cannot be read or, where that cannot be found out, at the first of the block.
    fn medium_failed(&mut self, transfer: &Transfer, reason: MediumError, io: &mut Interface) -> Next {
        let is_write = transfer.access == Access::Write;
        let mut sector = transfer.next;
        if !is_write {
            let mut data = [0; SECTOR];
            let end = transfer.next + u64::from(transfer.count());
            let is_bad = |s: &u64| self.medium.read(s * SECTOR as u64, &mut data).is_err();
            sector = (transfer.next..end).find(is_bad).unwrap_or(sector);
        }
        let operation = if is_write { MediumOperation::Write } else { MediumOperation::Read };
        Failure { operation, sector, error: reason }.note(&mut io.failures);
        let mut left = transfer.clone();
        left.left -= (sector - transfer.next) as u32;
        left.show(self, sector, io);
        match (reason, is_write) {
            (MediumError::OutOfRange, _) => io.fail(error::IDNF, status::ERR),
            (MediumError::ReadOnly, _) => io.abort(),
            (MediumError::Failed, true) => io.fail(error::ABRT, status::ERR | status::DF),
            (MediumError::Failed, false) => io.fail(error::UNC, status::ERR),
        }
    }
}
