//! What system calls, interrupts and returns gave, for translated code to give it again.
//!
//! A crossing is an instruction that changes privilege or goes through a gate: SYSENTER, SYSEXIT, INT n, IRET. What it
//! does follows from the mode it is executed in, from a few registers, and from what it reads in memory. The first two
//! stay the same for a long time ([`Inputs`], and the mode in the tag); the last is read and compared each time.

use crate::shadow::read_entry;
use idem86_cpu::state::segment::TableRegister;

/// Eight bytes of a descriptor table or task state, and where translated code finds them.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Where the table for reads has the entry of their page, in bytes.
    pub index: u64,
    /// Their linear address.
    pub linear: u64,
    /// What they were; of a task state, nothing.
    pub value: u64,
}

impl Found {
    /// `value` at `linear`.
    pub fn new(linear: u32, value: u64) -> Self {
        Found { index: read_entry(linear), linear: linear.into(), value }
    }
}

/// A crossing. CS before SS is the order of the context.
#[repr(C, align(256))]
#[derive(Clone, Copy, Debug, Default)]
pub struct Crossing {
    /// [`Context::tables`](super::context::Context::tables) behind it.
    pub tables: u64,
    /// [`Context::memory`](super::context::Context::memory) behind it.
    pub memory: u64,
    /// [`Context::eip_table`](super::context::Context::eip_table) behind it.
    pub eip_table: u64,
    /// What may be read through CS.
    pub code_read: u64,
    /// Selectors in CS and SS.
    pub selectors: [u64; 2],
    /// Their descriptors.
    pub descriptors: [u64; 2],
    /// [`Crossing::tag_of`] what it is, or 0.
    pub tag: u32,
    /// The privilege stays, and with it the stack.
    pub same_level: u32,
    /// The system flags that must be `flags`: of EFLAGS, or of the image that IRET pops.
    pub flags_mask: u32,
    /// Those flags, moved together.
    pub flags: u32,
    /// EIP and ESP behind SYSENTER; EIP behind INT n.
    pub eip: u32,
    /// See [`Crossing::eip`].
    pub esp: u32,
    /// System flags without IF behind IRET.
    pub system: u64,
    /// 1 if INT n leaves IF as it is, else 0.
    pub keeps_interrupts: u64,
    /// The gate.
    pub gate: Found,
    /// Where the descriptor of CS is.
    pub code: Found,
    /// Where that of SS is.
    pub stack: Found,
    /// The stack pointer for CPL 0 in the task state; the selector follows it.
    pub task: Found,
}

impl Crossing {
    /// log2 of the size.
    pub const SHIFT: u32 = size_of::<Crossing>().trailing_zeros();

    /// What a crossing is known by: the mode in which the instruction is executed, as at most 15 bits, and `what` tells
    /// it from others in the same place of [`Crossings`].
    pub const fn tag_of(mode: u32, what: u16) -> u32 {
        const KNOWN: u32 = 1 << 15;
        debug_assert!(mode < KNOWN);
        (what as u32) << 16 | KNOWN | mode
    }
}

const _: () = assert!(size_of::<Crossing>().is_power_of_two());

/// What crossings depend on besides the mode and memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inputs {
    /// GDTR and IDTR.
    pub table_registers: [TableRegister; 2],
    /// Base, limit and access rights of the task state.
    pub task: (u64, u32, u16),
    /// IA32_SYSENTER_CS, _ESP, _EIP.
    pub sysenter: [u64; 3],
    /// Nothing is to be known: somebody wants to hear of events, or the time-stamp counter depends on CPL.
    pub refused: bool,
    /// Counts the changes of what views of memory have windows.
    pub windows: u64,
}

/// What is known of crossings.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Crossings {
    known: [Crossing; Crossings::PLACES],
    inputs: Inputs,
    /// What counts the changes of the users' tables.
    users: u64,
}

impl Crossings {
    /// Where SYSENTER is.
    pub const SYSENTER: usize = 0;
    /// Where SYSEXIT is.
    pub const SYSEXIT: usize = 1;
    /// Where IRET to code segment 0 is.
    const IRET: usize = 2;
    /// Where INT 0 is.
    const INT: usize = Self::IRET + 8;
    const PLACES: usize = Self::INT + 8;
    /// The bits of the popped selector that name the place of an IRET.
    pub const IRET_BITS: u16 = 7 << 3;

    /// Where INT `vector` is.
    pub const fn int(vector: u8) -> usize {
        Self::INT + (vector & 7) as usize
    }

    /// Where IRET to the code segment `selector` is.
    pub const fn iret(selector: u16) -> usize {
        Self::IRET + ((selector & Self::IRET_BITS) >> 3) as usize
    }

    /// Makes `crossing` known at `place`.
    pub fn learn(&mut self, place: usize, crossing: Crossing) {
        self.known[place] = crossing;
    }

    /// Forgets everything: tables of EIPs or of pages lie elsewhere.
    pub fn forget(&mut self) {
        self.known.iter_mut().for_each(|crossing| crossing.tag = 0);
    }

    /// From now on `inputs` hold, and users' tables that were changed `users` times: what depends on others is
    /// forgotten.
    pub fn follow(&mut self, inputs: Inputs, users: u64) {
        if self.inputs != inputs {
            self.forget();
        } else if self.users != users {
            let to_users = self.known.iter_mut().filter(|crossing| crossing.selectors[0] & 3 == 3);
            to_users.for_each(|crossing| crossing.tag = 0);
        }
        (self.inputs, self.users) = (inputs, users);
    }

    /// Whether nothing is to be learnt.
    pub fn refused(&self) -> bool {
        self.inputs.refused
    }
}
