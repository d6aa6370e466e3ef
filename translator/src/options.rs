//! Settings of the translator.

/// Guest instructions in a translation unit, at most.
pub const UNIT_MAX: usize = 64;

/// Settings of the translator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How often code is executed by the interpreter before it is translated.
    pub threshold: u8,
    /// How one unit leads to the next.
    pub chaining: Chaining,
    /// Bytes of the code arena; it has at least some 272 KiB and at most 1 GiB.
    pub arena: usize,
    /// Instructions in a translation unit, at most; no more than 64 in any case.
    pub unit: usize,
    /// When memory is accessed through windows.
    pub windows: Windows,
    /// What becomes of sensitive instructions.
    pub sensitive: Sensitive,
}

/// How one unit leads to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chaining {
    /// Direct branches within a page are linked, all others go by a table from EIP to code.
    Linked,
    /// Only the table leads on; direct branches within a page are left by.
    Unlinked,
    /// Nothing does: a run ends behind each unit, with [`Stop::Unit`](idem86_cpu::run::Stop::Unit).
    Stop,
}

/// What becomes of sensitive instructions: those that read or write what the monitor owns. Where they are emulated, it
/// is by the interpreter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sensitive {
    /// Each is a trap of the host: privileged ones are left to raise #GP, for the others a breakpoint stands. So is
    /// each access that a window does not allow, however often it happens, but for stores beside code: that code is
    /// watched is a matter of translation. Trap-and-emulate.
    Trap,
    /// Each is a callout.
    Callout,
    /// Translated where that is possible, else a callout.
    InCache,
    /// The same, and translated anew where memory accesses fault too often; windows that fault too often are closed.
    Adaptive,
}

/// When a view of memory gets a window, where the host has such.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Windows {
    /// Never: all accesses go through shadow tables.
    Never,
    /// When it has run for a while without losing its translations.
    WhenHot,
    /// At once; the host must have them.
    AtOnce,
}

impl Options {
    /// Trap-and-emulate: shadow page tables are the host's own, and everything that the monitor must see is a trap.
    pub const TRAP: Options =
        Options { windows: Windows::AtOnce, sensitive: Sensitive::Trap, ..Options::ADAPTIVE };

    const ADAPTIVE: Options = Options {
        threshold: 2,
        chaining: Chaining::Linked,
        arena: 32 << 20,
        unit: UNIT_MAX,
        windows: Windows::WhenHot,
        sensitive: Sensitive::Adaptive,
    };
}

impl Default for Options {
    fn default() -> Self {
        Options::ADAPTIVE
    }
}
