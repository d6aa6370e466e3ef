//! What the guest of [`super::guest`] must find: memory, a walk of page tables that remembers nothing, and the script
//! that grows with each command.

use super::guest::{Command, Op};
use std::collections::BTreeSet;

pub const PRESENT: u64 = 1;
pub const WRITABLE: u64 = 2;
pub const USER: u64 = 4;
pub const ACCESSED: u64 = 0x20;
pub const DIRTY: u64 = 0x40;
pub const LARGE: u64 = 0x80;
pub const GLOBAL: u64 = 0x100;
pub const EXECUTE_DISABLE: u64 = 1 << 63;
/// Address bits of an entry, as far as there is RAM.
pub const FRAME: u64 = 0xFFFF_F000;

/// From here on all address spaces are the same: a global page is one everywhere.
pub const SHARED: u32 = 0xC000_0000;

/// What an access does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Read,
    Write(u32),
    Modify(u32),
    Execute,
}

/// A page fault: CR2 and the error code.
#[derive(Clone, Copy, Debug)]
pub struct PageFault {
    pub linear: u32,
    pub code: u32,
}

impl PageFault {
    pub fn is_of_write(self) -> bool {
        self.code & 2 != 0
    }
    pub fn is_of_user(self) -> bool {
        self.code & 4 != 0
    }
    pub fn is_of_fetch(self) -> bool {
        self.code & 16 != 0
    }
}

/// See the module's description.
pub struct Model {
    pub ram: Vec<u8>,
    pub script: Vec<Command>,
    /// What is found, and by which command.
    pub log: Vec<(u32, usize)>,
    pub cr3: u32,
    /// The page-directory-pointer entries as they were loaded.
    pub pdpte: [u64; 4],
    pub pae: bool,
    pub pse: bool,
    pub pge: bool,
    pub write_protect: bool,
    /// Interrupts and faults that were not returned from.
    depth: u32,
    /// Pages below [`SHARED`] whose translation may have been kept as a global one.
    globals: BTreeSet<u32>,
}

impl Model {
    pub fn new(ram: &[u8]) -> Self {
        Model {
            ram: ram.to_vec(),
            script: Vec::new(),
            log: Vec::new(),
            cr3: 0,
            pdpte: [0; 4],
            pae: false,
            pse: true,
            pge: true,
            write_protect: true,
            depth: 0,
            globals: BTreeSet::new(),
        }
    }

    /// Bytes of a paging-structure entry.
    pub fn entry_size(&self) -> u32 {
        if self.pae { 8 } else { 4 }
    }

    /// log2 of what an entry of a page directory is for.
    pub fn shift(&self) -> u32 {
        if self.pae { 21 } else { 22 }
    }

    /// The entry at physical address `at`.
    pub fn entry(&self, at: u32) -> u64 {
        let low = self.get(at).into();
        if self.pae { low | u64::from(self.get(at + 4)) << 32 } else { low }
    }

    fn set_entry(&mut self, at: u32, value: u64) {
        let size = self.entry_size() as usize;
        self.ram[at as usize..][..size].copy_from_slice(&value.to_le_bytes()[..size]);
    }

    /// The doubleword at physical address `at`.
    pub fn get(&self, at: u32) -> u32 {
        u32::from_le_bytes(self.ram[at as usize..][..4].try_into().expect("four bytes"))
    }

    fn set(&mut self, at: u32, value: u32) {
        self.ram[at as usize..][..4].copy_from_slice(&value.to_le_bytes());
    }

    fn command(&mut self, op: Op, a: u32, b: u32) {
        self.script.push((op, a, b));
    }

    /// A command of the kernel's, which is asked for it if need be.
    fn kernel(&mut self, op: Op, a: u32, b: u32) {
        self.depth = self.depth.max(1);
        self.command(op, a, b);
    }

    fn log(&mut self, value: u32) {
        self.log.push((value, self.script.len() - 1));
    }

    /// The kernel writes to its own view of physical memory.
    pub fn put(&mut self, at: u32, value: u32) {
        self.kernel(Op::KernelWrite, at, value);
        self.set(at, value);
    }

    pub fn put_byte(&mut self, at: u32, value: u8) {
        self.kernel(Op::PutByte, at, value.into());
        self.ram[at as usize] = value;
    }

    /// The kernel writes an entry, such that it is never present half written.
    pub fn put_entry(&mut self, at: u32, value: u64) {
        if !self.pae {
            return self.put(at, value as u32);
        }
        if self.entry(at) & PRESENT != 0 && self.entry(at) >> 32 != value >> 32 {
            self.put(at, 0);
        }
        if self.entry(at) >> 32 != value >> 32 {
            self.put(at + 4, (value >> 32) as u32);
        }
        self.put(at, value as u32);
    }

    pub fn zero(&mut self, page: u32) {
        self.kernel(Op::Zero, page, 0);
        self.ram[page as usize..][..4096].fill(0);
    }

    pub fn copy(&mut self, from: u32, to: u32) {
        self.kernel(Op::Copy, from, to);
        self.ram.copy_within(from as usize..from as usize + 4096, to as usize);
    }

    /// The kernel looks at an entry.
    pub fn look(&mut self, at: u32) {
        self.kernel(Op::KernelRead, at, 0);
        self.log(self.get(at));
    }

    fn load_pointers(&mut self) {
        self.pdpte = std::array::from_fn(|n| self.entry(self.cr3 + 8 * n as u32));
    }

    /// Loads CR3, and invalidates what global pages left that may be other ones now.
    pub fn load(&mut self, cr3: u32) {
        self.kernel(Op::Load, cr3, 0);
        self.cr3 = cr3;
        if self.pae {
            self.load_pointers();
        }
        for page in std::mem::take(&mut self.globals) {
            self.kernel(Op::Invalidate, page, 0);
        }
    }

    pub fn invalidate(&mut self, linear: u32) {
        self.kernel(Op::Invalidate, linear, 0);
        self.globals.remove(&(linear & !0xFFF));
    }

    pub fn toggle_write_protect(&mut self) {
        self.kernel(Op::Cr0, idem86_cpu::state::control::cr0::WP, 0);
        self.write_protect = !self.write_protect;
    }

    /// Inverts CR4.PGE or CR4.PSE.
    fn toggle(&mut self, bit: u32) {
        self.kernel(Op::Cr4, bit, 0);
        if self.pae {
            self.load_pointers();
        }
        self.globals.clear();
    }

    pub fn toggle_global_pages(&mut self) {
        self.pge = !self.pge;
        self.toggle(idem86_cpu::state::control::cr4::PGE);
    }

    pub fn toggle_large_pages(&mut self) {
        self.pse = !self.pse;
        self.toggle(idem86_cpu::state::control::cr4::PSE);
    }

    /// From one format of page tables to the other, with those at `cr3`.
    pub fn change_paging(&mut self, cr3: u32) {
        self.kernel(Op::Paging, cr3, 0);
        self.pae = !self.pae;
        self.cr3 = cr3;
        if self.pae {
            self.load_pointers();
        }
        self.globals.clear();
    }

    pub fn halt(&mut self) {
        self.kernel(Op::Halt, 0, 0);
    }

    /// Back to the user.
    pub fn leave(&mut self) {
        while self.depth > 0 {
            self.command(Op::Return, 0, 0);
            self.depth -= 1;
        }
    }

    /// Begins an access of the user or of the kernel; [`Model::attempt`] says what becomes of it.
    pub fn begin(&mut self, user: bool, access: Access, linear: u32) {
        let (op, value) = match access {
            Access::Read => (if user { Op::Read } else { Op::KernelRead }, 0),
            Access::Write(value) => (if user { Op::Write } else { Op::KernelWrite }, value),
            Access::Modify(value) => (if user { Op::Modify } else { Op::KernelModify }, value),
            Access::Execute => (if user { Op::Execute } else { Op::KernelExecute }, 0),
        };
        if user {
            self.leave();
            self.command(op, linear, value);
        } else {
            self.kernel(op, linear, value);
        }
    }

    /// Does the access, or is led to the kernel's handler, which logs what it finds.
    pub fn attempt(&mut self, user: bool, access: Access, linear: u32) -> Result<(), PageFault> {
        let done = self.access(user, access, linear);
        if let Err(fault) = done {
            self.depth += 1;
            self.log(fault.code);
            self.log(fault.linear);
        }
        done
    }

    /// The handler returns, and the access is tried again.
    pub fn again(&mut self, access: Access, linear: u32) {
        let value = if let Access::Write(value) | Access::Modify(value) = access { value } else { 0 };
        self.command(Op::Return, linear, value);
        self.depth -= 1;
    }

    /// The handler does not return to the access.
    pub fn abandon(&mut self, user: bool, access: Access) {
        // What a call has pushed goes too.
        let pushed = if !user && access == Access::Execute { 4 } else { 0 };
        self.command(Op::Abandon, pushed, 0);
        self.depth -= 1;
    }

    fn access(&mut self, user: bool, access: Access, linear: u32) -> Result<(), PageFault> {
        match access {
            Access::Read => {
                let at = self.walk(user, access, linear)?;
                self.log(self.get(at));
            }
            Access::Write(value) => {
                let at = self.walk(user, access, linear)?;
                self.set(at, value);
            }
            Access::Modify(value) => {
                let at = self.walk(user, access, linear)?;
                self.set(at, self.get(at).wrapping_add(value));
            }
            Access::Execute => {
                let mut code = [0; 6];
                let mut at = self.walk(user, access, linear)?;
                for (n, byte) in (0..).zip(&mut code) {
                    if n > 0 && (linear + n) & 0xFFF == 0 {
                        at = self.walk(user, access, linear + n)?.wrapping_sub(n);
                    }
                    *byte = self.ram[at.wrapping_add(n) as usize];
                }
                assert_eq!((code[0], code[5]), (0xBA, 0xC3), "there is code at {linear:x}");
                self.log(u32::from_le_bytes(code[1..5].try_into().expect("four bytes")));
            }
        }
        Ok(())
    }

    /// The physical address of `linear`. SDM Vol. 3A, "32-Bit Paging", "PAE Paging", "Access Rights", "Accessed and Dirty
    /// Flags".
    fn walk(&mut self, user: bool, access: Access, linear: u32) -> Result<u32, PageFault> {
        let write = matches!(access, Access::Write(_) | Access::Modify(_));
        let fetch = access == Access::Execute;
        let fault = |code: u32| PageFault {
            linear,
            code: code | u32::from(write) << 1 | u32::from(user) << 2 | u32::from(fetch && self.pae) << 4,
        };
        let (absent, denied) = (fault(0), fault(1));
        let directory = match self.pae {
            false => self.cr3,
            true if self.pdpte[linear as usize >> 30] & PRESENT == 0 => return Err(absent),
            true => (self.pdpte[linear as usize >> 30] & FRAME) as u32,
        };
        let place = |table: u32, shift: u32| {
            table + (linear >> shift) % (4096 / self.entry_size()) * self.entry_size()
        };
        let mut at = place(directory, self.shift());
        let mut entry = self.entry(at);
        let mut rights = entry;
        let (mut frame, mut disabled) = ((entry & FRAME) as u32, entry & EXECUTE_DISABLE);
        if entry & PRESENT == 0 {
            return Err(absent);
        }
        if entry & LARGE != 0 && (self.pae || self.pse) {
            let inner = (1 << self.shift()) - 1;
            frame = frame & !inner | linear & inner & !0xFFF;
        } else {
            let table = place(frame, 12);
            self.set_entry(at, entry | ACCESSED);
            (at, entry) = (table, self.entry(table));
            if entry & PRESENT == 0 {
                return Err(absent);
            }
            rights &= entry;
            disabled |= entry & EXECUTE_DISABLE;
            frame = (entry & FRAME) as u32;
        }
        let visible = rights & USER != 0 || !user;
        let writable = rights & WRITABLE != 0 || !user && !self.write_protect;
        if !visible || write && !writable || fetch && disabled != 0 {
            return Err(denied);
        }
        self.set_entry(at, entry | ACCESSED | if write { DIRTY } else { 0 });
        if entry & GLOBAL != 0 && self.pge && linear < SHARED {
            self.globals.insert(linear & !0xFFF);
        }
        Ok(frame | linear & 0xFFF)
    }
}
