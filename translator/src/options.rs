//! Settings of the translator.

/// Guest instructions in a translation unit, at most.
pub const UNIT_MAX: usize = 64;

/// Settings of the translator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How often code is executed by the interpreter before it is translated.
    pub threshold: u8,
    /// Whether direct branches are linked.
    pub chaining: bool,
    /// Bytes of the code arena; it has at least some 272 KiB and at most 1 GiB.
    pub arena: usize,
    /// Instructions in a translation unit, at most; no more than 64 in any case.
    pub unit: usize,
    /// When memory is accessed through windows.
    pub windows: Windows,
}

/// When a view of memory gets a window, where the host has such.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Windows {
    /// Never: all accesses go through shadow tables.
    Never,
    /// When it has run for a while without losing its translations.
    WhenHot,
    /// At once.
    AtOnce,
}

impl Default for Options {
    fn default() -> Self {
        Options { threshold: 2, chaining: true, arena: 32 << 20, unit: UNIT_MAX, windows: Windows::WhenHot }
    }
}
