//! The slow paths of memory access: translation, page crossing, devices, traced pages.

use super::Access;
use super::tlb::{Entry, SLOW, View};
use crate::bus::{Biu, PageKind};
use crate::cpu::Cpu;
use crate::event::exception::{Fault, Outcome, vector};
use crate::state::segment::SegReg;
use crate::state::simd::Row;

impl View {
    fn is_user(self) -> bool {
        self != View::Supervisor
    }
}

impl Cpu {
    /// Translates `linear` for `access` and gives the physical address. Fills the TLB.
    pub fn translate(&mut self, biu: &mut Biu, linear: u64, access: Access, view: View) -> Outcome<u64> {
        let page = linear & !0xFFF;
        let e = self.tlb.entry(view, linear);
        let hit = match access {
            Access::Read => e.read & !SLOW == page,
            Access::Write => e.write & !SLOW == page,
            Access::Execute => e.read & !SLOW == page && e.executable(),
        };
        if hit {
            let physical = e.frame() | linear & 0xFFF;
            if access == Access::Write {
                self.begin_writing(view, linear);
            }
            return Ok(physical);
        }
        let t = self.walk(biu, linear, access, view.is_user())?;
        let frame = t.frame & self.a20_mask;
        let watched = view == View::UserAligned || self.watches(page) || self.intercepts.meet(frame, 0x1000);
        let (ram, slow_read, slow_write, plain) = match biu.bus.page(frame) {
            PageKind::Ram(at) => {
                if access == Access::Write {
                    self.writes.note(at);
                }
                let traced = self.code.traces(at) || self.writes.is_awaited(at);
                (at, watched, watched || traced, !watched)
            }
            PageKind::Rom(at) => (at, watched, true, false),
            PageKind::Device => (u64::MAX, true, true, false),
        };
        let read = page | (slow_read as u64 * SLOW);
        let write = t.writable.then_some(page | (slow_write as u64 * SLOW));
        self.tlb.insert(
            view,
            linear,
            Entry::new(Some(read), write, frame, ram, t.executable, t.global, plain),
        );
        Ok(frame | linear & 0xFFF)
    }

    /// The page of `linear`, which the TLB has, is about to be written: from the first time on there is no need to
    /// know, unless it holds code.
    fn begin_writing(&mut self, view: View, linear: u64) {
        let e = self.tlb.entry(view, linear);
        if e.plain() && e.write & SLOW != 0 {
            let ram = e.ram;
            self.writes.note(ram);
            if !self.code.traces(ram) {
                self.tlb.allow_writes(view, linear);
            }
        }
    }

    /// Reads `size` bytes (1, 2, 4 or 8) at `linear`, which may cross a page and need not be RAM.
    #[cold]
    pub(crate) fn read_slow(&mut self, biu: &mut Biu, linear: u64, size: usize, view: View) -> Outcome<u64> {
        self.access_slow(biu, linear, size, view, Access::Read)
    }

    /// As [`Cpu::read_slow`], but with the checks of a write: the first half of a read-modify-write.
    #[cold]
    pub(crate) fn read_for_write_slow(
        &mut self,
        biu: &mut Biu,
        linear: u64,
        size: usize,
        view: View,
    ) -> Outcome<u64> {
        self.access_slow(biu, linear, size, view, Access::Write)
    }

    fn access_slow(
        &mut self,
        biu: &mut Biu,
        linear: u64,
        size: usize,
        view: View,
        access: Access,
    ) -> Outcome<u64> {
        self.check_alignment(linear, size, view)?;
        let first = self.translate(biu, linear, access, view)?;
        let head = head_size(linear, size);
        if head == size {
            let value = self.read_data(biu, first, size);
            self.watch_read(linear, size, access);
            return Ok(value);
        }
        let second = self.translate(biu, (linear + head as u64) & self.linear_mask, access, view)?;
        let mut value = 0;
        for i in 0..size {
            let at = if i < head { first + i as u64 } else { second + (i - head) as u64 };
            value |= self.read_data(biu, at, 1) << (8 * i);
        }
        self.watch_read(linear, size, access);
        Ok(value)
    }

    /// Data was read, perhaps as the first half of a read-modify-write.
    fn watch_read(&mut self, linear: u64, size: usize, access: Access) {
        if access == Access::Write {
            self.note_watch(linear, size, false);
        }
        self.watch(linear, size, access == Access::Write);
    }

    /// Writes the low `size` bytes (1, 2, 4 or 8) of `value` at `linear`. Where the access crosses a page, both
    /// are translated before anything is written.
    #[cold]
    pub(crate) fn write_slow(
        &mut self,
        biu: &mut Biu,
        linear: u64,
        size: usize,
        value: u64,
        view: View,
    ) -> Outcome {
        let head = head_size(linear, size);
        let e = *self.tlb.entry(view, linear);
        // Data beside code, as every small program has it.
        if e.plain() && e.write & !SLOW == linear & !0xFFF && head == size {
            self.begin_writing(view, linear);
            self.write_ram(biu, e.ram + (linear & 0xFFF), size, value);
            return Ok(());
        }
        self.check_alignment(linear, size, view)?;
        let first = self.translate(biu, linear, Access::Write, view)?;
        if head == size {
            self.write_data(biu, first, size, value);
        } else {
            let second =
                self.translate(biu, (linear + head as u64) & self.linear_mask, Access::Write, view)?;
            for i in 0..size {
                let at = if i < head { first + i as u64 } else { second + (i - head) as u64 };
                self.write_data(biu, at, 1, value >> (8 * i) & 0xFF);
            }
        }
        self.watch(linear, size, true);
        Ok(())
    }

    /// Reads `out.len()` bytes (at most 4096) at `segment:offset`.
    pub fn read_block(&mut self, biu: &mut Biu, segment: SegReg, offset: u64, out: &mut [u8]) -> Outcome {
        let linear = self.linear_read(segment, offset, out.len())?;
        self.read_block_linear(biu, linear, out)
    }

    fn read_block_linear(&mut self, biu: &mut Biu, linear: u64, out: &mut [u8]) -> Outcome {
        let parts = self.translate_block(biu, linear, out.len(), Access::Read)?;
        let (head, tail) = out.split_at_mut(parts.head);
        for (part, address) in [(head, parts.first), (tail, parts.second)] {
            let (quads, rest) = part.as_chunks_mut::<8>();
            let rest_at = address + 8 * quads.len() as u64;
            for (i, quad) in quads.iter_mut().enumerate() {
                *quad = self.read_data(biu, address + 8 * i as u64, 8).to_le_bytes();
            }
            for (i, byte) in rest.iter_mut().enumerate() {
                *byte = self.read_data(biu, rest_at + i as u64, 1) as u8;
            }
        }
        self.watch(linear, out.len(), false);
        Ok(())
    }

    /// Writes `data` (at most 4096 bytes) at `segment:offset`, all of it or, on a fault, nothing.
    pub fn write_block(&mut self, biu: &mut Biu, segment: SegReg, offset: u64, data: &[u8]) -> Outcome {
        let linear = self.linear_write(segment, offset, data.len())?;
        self.write_block_linear(biu, linear, data)
    }

    fn write_block_linear(&mut self, biu: &mut Biu, linear: u64, data: &[u8]) -> Outcome {
        let parts = self.translate_block(biu, linear, data.len(), Access::Write)?;
        let (head, tail) = data.split_at(parts.head);
        for (part, address) in [(head, parts.first), (tail, parts.second)] {
            let (quads, rest) = part.as_chunks::<8>();
            let rest_at = address + 8 * quads.len() as u64;
            for (i, quad) in quads.iter().enumerate() {
                self.write_data(biu, address + 8 * i as u64, 8, u64::from_le_bytes(*quad));
            }
            for (i, byte) in rest.iter().enumerate() {
                self.write_data(biu, rest_at + i as u64, 1, u64::from(*byte));
            }
        }
        self.watch(linear, data.len(), true);
        Ok(())
    }

    /// Reads sixteen bytes at `linear`, which may cross a page and need not be RAM.
    #[cold]
    pub(crate) fn read_128_slow(&mut self, biu: &mut Biu, linear: u64) -> Outcome<Row<16>> {
        let mut bytes = [0; 16];
        self.check_alignment(linear, 16, self.view)?;
        self.read_block_linear(biu, linear, &mut bytes)?;
        Ok(Row(bytes))
    }

    /// As [`Cpu::read_128_slow`]; on a fault nothing is written.
    #[cold]
    pub(crate) fn write_128_slow(&mut self, biu: &mut Biu, linear: u64, value: &[u8; 16]) -> Outcome {
        self.check_alignment(linear, 16, self.view)?;
        self.write_block_linear(biu, linear, value)
    }

    fn translate_block(&mut self, biu: &mut Biu, linear: u64, size: usize, access: Access) -> Outcome<Parts> {
        let first = self.translate(biu, linear, access, self.view)?;
        let head = head_size(linear, size);
        let second = if head == size {
            first
        } else {
            self.translate(biu, (linear + head as u64) & self.linear_mask, access, self.view)?
        };
        Ok(Parts { first, second, head })
    }

    /// Checks that `size` bytes at `linear` can be written, and changes nothing but accessed and dirty bits: for
    /// instructions that must know before they begin. The alignment is checked too if `size` is that of an item.
    pub fn probe_write(&mut self, biu: &mut Biu, linear: u64, size: usize) -> Outcome {
        if size.is_power_of_two() {
            self.check_alignment(linear, size, self.view)?;
        }
        self.probe(biu, linear, size, Access::Write, self.view)
    }

    /// As [`Cpu::probe_write`], for any access, privilege and size up to a page.
    pub(crate) fn probe(
        &mut self,
        biu: &mut Biu,
        linear: u64,
        size: usize,
        access: Access,
        view: View,
    ) -> Outcome {
        let linear = linear & self.linear_mask;
        self.translate(biu, linear, access, view)?;
        if head_size(linear, size) != size {
            let last = (linear + size as u64 - 1) & self.linear_mask;
            self.translate(biu, last & !0xFFF, access, view)?;
        }
        Ok(())
    }

    /// SDM Vol. 3A, "Interrupt 17—Alignment Check Exception (#AC)".
    pub(crate) fn check_alignment(&self, linear: u64, size: usize, view: View) -> Outcome {
        if view == View::UserAligned && linear & (size as u64 - 1) != 0 {
            return Err(Fault::coded(vector::AC, 0));
        }
        Ok(())
    }

    /// Reads physical memory that does not cross a page.
    pub fn read_physical(&mut self, biu: &mut Biu, address: u64, size: usize) -> u64 {
        let address = address & self.a20_mask;
        match biu.bus.page(address & !0xFFF) {
            PageKind::Ram(at) | PageKind::Rom(at) => {
                let at = at + (address & 0xFFF);
                match size {
                    1 => biu.ram_read::<u8>(at) as u64,
                    2 => biu.ram_read::<u16>(at) as u64,
                    4 => biu.ram_read::<u32>(at) as u64,
                    _ => biu.ram_read::<u64>(at),
                }
            }
            PageKind::Device => {
                let value = biu.bus.read(address, size, self.now());
                self.sample_pins(biu);
                value
            }
        }
    }

    /// Writes physical memory that does not cross a page, and tells the code map.
    pub fn write_physical(&mut self, biu: &mut Biu, address: u64, size: usize, value: u64) {
        let address = address & self.a20_mask;
        match biu.bus.page(address & !0xFFF) {
            PageKind::Ram(at) => self.write_ram(biu, at + (address & 0xFFF), size, value),
            PageKind::Rom(_) | PageKind::Device => {
                biu.bus.write(address, size, value, self.now());
                self.sample_pins(biu);
            }
        }
    }

    /// Writes RAM at `at` (an offset in the slice, not crossing a page), and tells the code map and the log.
    #[inline]
    fn write_ram(&mut self, biu: &mut Biu, at: u64, size: usize, value: u64) {
        self.writes.note(at);
        if self.code.lines(at) != 0 && self.ram_holds(biu, at, size, value) {
            // Code stays what it is.
            return;
        }
        match size {
            1 => biu.ram_write(at, value as u8),
            2 => biu.ram_write(at, value as u16),
            4 => biu.ram_write(at, value as u32),
            _ => biu.ram_write(at, value),
        }
        if self.code.written(at, size) {
            self.attend();
        }
    }

    /// As [`Cpu::write_ram`], for accessed and dirty bits of entries that are kept ([`super::spaces`]).
    pub(super) fn write_own(&mut self, biu: &mut Biu, at: u64, size: usize, value: u64) {
        match size {
            4 => biu.ram_write(at, value as u32),
            _ => biu.ram_write(at, value),
        }
        self.writes.note_own(at);
        if self.code.written(at, size) {
            self.attend();
        }
    }

    /// Whether a write would change nothing.
    fn ram_holds(&self, biu: &Biu, at: u64, size: usize, value: u64) -> bool {
        match size {
            1 => biu.ram_read::<u8>(at) == value as u8,
            2 => biu.ram_read::<u16>(at) == value as u16,
            4 => biu.ram_read::<u32>(at) == value as u32,
            _ => biu.ram_read::<u64>(at) == value,
        }
    }
}

/// Where a block that lies on at most two pages is in physical memory: `head` bytes at `first`, the others at
/// `second`.
struct Parts {
    first: u64,
    second: u64,
    head: usize,
}

/// How many of `size` bytes at `linear` lie on its page.
#[inline]
fn head_size(linear: u64, size: usize) -> usize {
    size.min(0x1000 - (linear & 0xFFF) as usize)
}
