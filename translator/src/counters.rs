//! What the translator did, in numbers.

use crate::cache::CacheCounters;
use iced_x86::Mnemonic;
use idem86_cpu::event::exception::vector;
use idem86_cpu::mmu::spaces::SpaceCounters;
use std::fmt;

/// What the translator did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counters {
    /// Of the cache.
    pub cache: CacheCounters,
    /// Entries into translated code.
    pub entries: u64,
    /// Callouts that went on elsewhere without leaving.
    pub redirects: u64,
    /// Callouts of instructions that always take that way.
    pub callouts: u64,
    /// Accesses that took the slow path.
    pub slow: u64,
    /// Entries made in shadow tables.
    pub fills: u64,
    /// Changes of translations that were followed.
    pub changes: u64,
    /// Address spaces that are kept.
    pub spaces: SpaceCounters,
    /// Exceptions of the host.
    pub traps: Traps,
    /// Times that a view got a window.
    pub promotions: u64,
    /// The mnemonics whose callouts were the most, the most first, with their number; 0 where there are fewer.
    pub most: [(Mnemonic, u64); MOST],
}

/// Mnemonics that are told.
const MOST: usize = 12;

/// Callouts by mnemonic.
#[derive(Debug)]
pub(crate) struct Tally(Box<[u64]>);

impl Default for Tally {
    fn default() -> Self {
        Tally(vec![0; Mnemonic::values().len()].into())
    }
}

impl Tally {
    /// Counts one of `mnemonic`.
    #[inline]
    pub(crate) fn count(&mut self, mnemonic: Mnemonic) {
        self.0[mnemonic as usize] += 1;
    }

    /// For [`Counters::most`].
    pub(crate) fn most(&self) -> [(Mnemonic, u64); MOST] {
        let mut all: Vec<_> = Mnemonic::values().zip(self.0.iter().copied()).collect();
        all.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        std::array::from_fn(|n| all[n])
    }
}

/// Exceptions that translated code raised on the host, by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traps {
    /// #GP: of privileged instructions, and operands that are not aligned.
    pub protection: u64,
    /// #BP: of breakpoints that stand for instructions.
    pub breakpoint: u64,
    /// #PF: of accesses in windows.
    pub page: u64,
    /// Others: #DE.
    pub other: u64,
}

impl Traps {
    /// Of any cause.
    pub fn all(self) -> u64 {
        let Traps { protection, breakpoint, page, other } = self;
        protection + breakpoint + page + other
    }

    /// Counts an exception by its vector.
    pub(crate) fn count(&mut self, exception: u64) {
        let counter = match u8::try_from(exception) {
            Ok(vector::GP) => &mut self.protection,
            Ok(vector::BP) => &mut self.breakpoint,
            Ok(vector::PF) => &mut self.page,
            _ => &mut self.other,
        };
        *counter += 1;
    }
}

impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CacheCounters { units, instructions, bytes, links, invalidated, evicted } = self.cache;
        let SpaceCounters {
            entered,
            begun,
            passed,
            compared,
            dropped,
            dropped_by_walks,
            replaced,
            given_up,
            flushed,
        } = self.spaces;
        let rows = [
            ("units", units),
            ("  instructions", instructions),
            ("  host bytes", bytes),
            ("  links", links),
            ("  invalidated", invalidated),
            ("  evicted", evicted),
            ("entries", self.entries),
            ("callouts", self.callouts),
            ("redirects", self.redirects),
            ("slow accesses", self.slow),
            ("shadow fills", self.fills),
            ("mapping changes", self.changes),
            ("spaces entered", entered + begun + passed),
            ("  kept", entered),
            ("  kept from then", begun),
            ("  not kept", passed),
            ("  compared pages", compared),
            ("  drops at loads", dropped),
            ("  drops in walks", dropped_by_walks),
            ("  replaced", replaced),
            ("  given up", given_up),
            ("  flushed", flushed),
            ("traps", self.traps.all()),
            ("  #GP faults", self.traps.protection),
            ("  breakpoints", self.traps.breakpoint),
            ("  page faults", self.traps.page),
            ("promotions", self.promotions),
        ];
        for (name, value) in rows {
            writeln!(f, "{name:16} {value:14}")?;
            if name == "callouts" {
                for (mnemonic, count) in self.most.iter().filter(|(_, count)| *count > 0) {
                    writeln!(f, "  {:14} {count:14}", format!("{mnemonic:?}").to_lowercase())?;
                }
            }
        }
        Ok(())
    }
}
