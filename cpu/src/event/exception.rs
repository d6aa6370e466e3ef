//! Exceptions: vectors, error codes, classes.

/// Exception vectors. SDM Vol. 3A, "Exception and Interrupt Vectors".
pub mod vector {
    /// #DE: divide error.
    pub const DE: u8 = 0;
    /// #DB: debug.
    pub const DB: u8 = 1;
    /// Non-maskable interrupt.
    pub const NMI: u8 = 2;
    /// #BP: breakpoint.
    pub const BP: u8 = 3;
    /// #OF: overflow.
    pub const OF: u8 = 4;
    /// #BR: bound range exceeded.
    pub const BR: u8 = 5;
    /// #UD: invalid opcode.
    pub const UD: u8 = 6;
    /// #NM: device not available.
    pub const NM: u8 = 7;
    /// #DF: double fault.
    pub const DF: u8 = 8;
    /// #TS: invalid TSS.
    pub const TS: u8 = 10;
    /// #NP: segment not present.
    pub const NP: u8 = 11;
    /// #SS: stack fault.
    pub const SS: u8 = 12;
    /// #GP: general protection.
    pub const GP: u8 = 13;
    /// #PF: page fault.
    pub const PF: u8 = 14;
    /// #MF: x87 floating-point error.
    pub const MF: u8 = 16;
    /// #AC: alignment check.
    pub const AC: u8 = 17;
    /// #MC: machine check.
    pub const MC: u8 = 18;
    /// #XM: SIMD floating-point exception.
    pub const XM: u8 = 19;
}

/// How two exceptions in a row combine. SDM Vol. 3A, "Interrupt 8—Double Fault Exception (#DF)".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// What follows is handled in turn.
    Benign,
    /// Two of these, or one after a page fault, are a double fault.
    Contributory,
    /// A page fault or contributory exception after it is a double fault.
    PageFault,
    /// Whatever but a benign exception after it shuts the processor down.
    DoubleFault,
}

impl Class {
    /// The class of an exception.
    pub const fn of(vector: u8) -> Class {
        match vector {
            vector::DE | vector::TS | vector::NP | vector::SS | vector::GP => Class::Contributory,
            vector::PF => Class::PageFault,
            vector::DF => Class::DoubleFault,
            _ => Class::Benign,
        }
    }
}

/// An exception that an instruction raises. It is delivered by [`crate::event::deliver`] with the state as it
/// was before the instruction, except #DB traps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The vector.
    pub vector: u8,
    /// The error code, for the vectors that push one. Real mode drops it on delivery.
    pub error: Option<u16>,
}

impl Fault {
    /// A fault without an error code.
    pub const fn plain(vector: u8) -> Self {
        Fault { vector, error: None }
    }
    /// A fault with an error code.
    pub const fn coded(vector: u8, error: u16) -> Self {
        Fault { vector, error: Some(error) }
    }
    /// #UD.
    pub const UD: Fault = Fault::plain(vector::UD);
    /// #NM.
    pub const NM: Fault = Fault::plain(vector::NM);
    /// #DE.
    pub const DE: Fault = Fault::plain(vector::DE);
    /// #GP(0).
    pub const GP0: Fault = Fault::coded(vector::GP, 0);
    /// #SS(0).
    pub const SS0: Fault = Fault::coded(vector::SS, 0);
    /// #DB.
    pub const DB: Fault = Fault::plain(vector::DB);
    /// #DF.
    pub const DF: Fault = Fault::coded(vector::DF, 0);

    /// As it is raised while an event external to the program is delivered: with EXT set in a selector error
    /// code. SDM Vol. 3A, "Error Code".
    pub const fn external(self) -> Fault {
        match (self.vector, self.error) {
            (vector::TS | vector::NP | vector::SS | vector::GP, Some(code)) => {
                Fault::coded(self.vector, code | 1)
            }
            _ => self,
        }
    }
    /// #GP with a selector; RPL is dropped as in every selector error code.
    pub const fn gp(selector: u16) -> Fault {
        Fault::coded(vector::GP, selector & 0xFFFC)
    }
    /// #NP with a selector.
    pub const fn np(selector: u16) -> Fault {
        Fault::coded(vector::NP, selector & 0xFFFC)
    }
    /// #SS with a selector.
    pub const fn ss(selector: u16) -> Fault {
        Fault::coded(vector::SS, selector & 0xFFFC)
    }
    /// #TS with a selector.
    pub const fn ts(selector: u16) -> Fault {
        Fault::coded(vector::TS, selector & 0xFFFC)
    }
}

/// What an instruction returns: done, or the exception it raised.
pub type Outcome<T = ()> = Result<T, Fault>;
