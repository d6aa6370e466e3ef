//! What the translator did, in numbers.

use crate::cache::CacheCounters;
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
    /// Faults in windows.
    pub faults: u64,
    /// Times that a view got a window.
    pub promotions: u64,
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
            ("window faults", self.faults),
            ("promotions", self.promotions),
        ];
        rows.iter().try_for_each(|(name, value)| writeln!(f, "{name:16} {value:14}"))
    }
}
