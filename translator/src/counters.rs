//! What the translator did, in numbers.

use crate::cache::CacheCounters;
use idem86_cpu::event::exception::vector;
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
    /// Exceptions of the host.
    pub traps: Traps,
    /// Times that a view got a window.
    pub promotions: u64,
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
            ("traps", self.traps.all()),
            ("  #GP faults", self.traps.protection),
            ("  breakpoints", self.traps.breakpoint),
            ("  page faults", self.traps.page),
            ("promotions", self.promotions),
        ];
        rows.iter().try_for_each(|(name, value)| writeln!(f, "{name:16} {value:14}"))
    }
}
