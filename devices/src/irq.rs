//! Interrupt request lines: what a device raises, what a controller watches.
//!
//! A bank holds up to 32 lines. A device holds an [`IrqLine`] and never learns its number; a controller holds
//! an [`IrqInputs`], sees the levels and, so that a pulse between two looks is not lost, the rising edges
//! since its last look. Each controller on a bank (8259A, I/O APIC) has edges of its own.
//!
//! The bank is saved as a whole, with levels and unseen edges. Devices therefore do not drive their lines when
//! they are restored, and whoever restores a machine restores the bank last.

use crate::state::{RestoreError, Snapshot};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// How many controllers can watch one bank.
const WATCHERS: usize = 2;

#[derive(Debug, Default)]
struct Shared {
    level: AtomicU32,
    rose: [AtomicU32; WATCHERS],
}

/// Up to 32 interrupt request lines between devices and controllers.
///
/// ```
/// use idem86_devices::irq::IrqBank;
/// let bank = IrqBank::new();
/// let (line, pic) = (bank.line(4), bank.inputs(0));
/// line.set(true);
/// line.set(false);
/// assert_eq!(pic.levels(), 0);
/// assert_eq!(pic.take_rising(), 1 << 4);
/// ```
#[derive(Clone, Debug, Default)]
pub struct IrqBank(Arc<Shared>);

impl IrqBank {
    /// A bank with all lines low.
    pub fn new() -> Self {
        Self::default()
    }

    /// The device's end of line `number` (0 to 31).
    pub fn line(&self, number: u8) -> IrqLine {
        assert!(number < 32, "a bank has 32 lines");
        IrqLine { bank: self.0.clone(), mask: 1 << number }
    }

    /// The controller's end; `watcher` is 0 or 1.
    pub fn inputs(&self, watcher: usize) -> IrqInputs {
        assert!(watcher < WATCHERS, "a bank has {WATCHERS} watchers");
        IrqInputs { bank: self.0.clone(), watcher }
    }
}

/// The device's end of one interrupt request line.
#[derive(Clone, Debug)]
pub struct IrqLine {
    bank: Arc<Shared>,
    mask: u32,
}

impl IrqLine {
    /// A line that leads nowhere, for tests and unconnected outputs.
    pub fn unconnected() -> Self {
        IrqBank::new().line(0)
    }

    /// Drives the line high or low.
    pub fn set(&self, high: bool) {
        if high {
            let before = self.bank.level.fetch_or(self.mask, Relaxed);
            if before & self.mask == 0 {
                for rose in &self.bank.rose {
                    rose.fetch_or(self.mask, Relaxed);
                }
            }
        } else {
            self.bank.level.fetch_and(!self.mask, Relaxed);
        }
    }

    /// Whether the line is high.
    pub fn is_high(&self) -> bool {
        self.bank.level.load(Relaxed) & self.mask != 0
    }
}

/// The controller's end of a bank.
#[derive(Clone, Debug)]
pub struct IrqInputs {
    bank: Arc<Shared>,
    watcher: usize,
}

impl IrqInputs {
    /// The levels of all lines, line 0 in bit 0.
    pub fn levels(&self) -> u32 {
        self.bank.level.load(Relaxed)
    }

    /// The lines that rose since the last call.
    pub fn take_rising(&self) -> u32 {
        let rose = &self.bank.rose[self.watcher];
        // Looking is frequent and edges are rare: a plain load spares most looks the locked exchange.
        if rose.load(Relaxed) == 0 { 0 } else { rose.swap(0, Relaxed) }
    }
}

/// The lines of an [`IrqBank`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IrqBankState {
    /// The levels, line 0 in bit 0.
    pub levels: u32,
    /// What rose since each watcher last looked.
    pub rose: [u32; WATCHERS],
}

impl Snapshot for IrqBank {
    type State = IrqBankState;

    fn save(&self) -> IrqBankState {
        let Shared { level, rose } = &*self.0;
        IrqBankState { levels: level.load(Relaxed), rose: rose.each_ref().map(|r| r.load(Relaxed)) }
    }

    /// Accepts every state: any combination of levels and edges can occur.
    fn restore(&mut self, state: IrqBankState) -> Result<(), RestoreError> {
        let IrqBankState { levels, rose } = state;
        self.0.level.store(levels, Relaxed);
        for (cell, value) in self.0.rose.iter().zip(rose) {
            cell.store(value, Relaxed);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_watcher_sees_each_edge_once() {
        let bank = IrqBank::new();
        let line = bank.line(9);
        line.set(true);
        line.set(true);
        assert_eq!([bank.inputs(0).take_rising(), bank.inputs(0).take_rising()], [1 << 9, 0]);
        assert_eq!(bank.inputs(1).take_rising(), 1 << 9);
    }

    #[test]
    fn a_restored_bank_reaches_devices_and_controllers() {
        let (saved, mut fresh) = (IrqBank::new(), IrqBank::new());
        saved.line(3).set(true);
        let (line, pic) = (fresh.line(3), fresh.inputs(0));
        fresh.restore(saved.save()).expect("every bank state is valid");
        assert!(line.is_high());
        assert_eq!((pic.levels(), pic.take_rising()), (8, 8));
    }
}
