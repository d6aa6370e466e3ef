//! What memory held at a moment: a base, and the pages that differ from it.

use crate::machine::Machine;
use idem86_translator::{Base, Ram};
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

/// Bytes of a page.
pub(super) const PAGE: usize = 4096;
/// Bytes of a line, in which decoded code is counted.
const LINE: usize = 64;

type Page = Arc<[u8; PAGE]>;

/// See the module's description. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Memory {
    base: Arc<Base>,
    /// By their numbers.
    changed: Arc<BTreeMap<u32, Page>>,
}

impl Memory {
    /// What `base` holds.
    pub fn new(base: Base) -> Self {
        Memory { base: Arc::new(base), changed: Arc::default() }
    }

    /// Bytes.
    pub fn len(&self) -> usize {
        self.base.len()
    }

    /// Memory of a machine that holds the same.
    pub fn map(&self) -> io::Result<Ram> {
        let mut ram = Ram::of(&self.base)?;
        for (number, page) in self.changed.iter() {
            ram[*number as usize * PAGE..][..PAGE].copy_from_slice(page.as_slice());
        }
        Ok(ram)
    }

    /// What a base holds from `start` on: ROMs, which never change.
    pub fn rest(&self, start: usize) -> &[u8] {
        &self.base[start..]
    }

    /// The pages that may hold something else than zeros, in order.
    pub fn pages(&self) -> impl Iterator<Item = (usize, &[u8])> {
        let mut used = used_pages(self.base.used(), self.len());
        self.changed.keys().for_each(|page| used[*page as usize] = true);
        (0..used.len()).filter(move |page| used[*page]).map(|page| (page, self.page(page)))
    }

    fn page(&self, number: usize) -> &[u8] {
        match self.changed.get(&(number as u32)) {
            Some(page) => page.as_slice(),
            None => &self.base[number * PAGE..][..PAGE],
        }
    }

    pub(super) fn has_same_base(&self, other: &Memory) -> bool {
        Arc::ptr_eq(&self.base, &other.base)
    }
}

/// For each page of `size` bytes whether it is in one of `ranges`.
fn used_pages(ranges: Vec<std::ops::Range<usize>>, size: usize) -> Vec<bool> {
    let mut used = vec![false; size.div_ceil(PAGE)];
    for range in ranges {
        used[range.start / PAGE..range.end.div_ceil(PAGE)].fill(true);
    }
    used
}

impl Machine {
    /// The pages of memory that may hold something else than zeros, in order.
    pub(super) fn used_memory(&self) -> impl Iterator<Item = (usize, &[u8])> {
        let used = match &self.origin {
            None => used_pages(self.slab.used(), self.slab.len()),
            Some(origin) => {
                let mut used = used_pages(origin.base.used(), self.slab.len());
                let others = origin.changed.keys().chain(self.cpu.written_pages());
                others.for_each(|page| used[*page as usize] = true);
                used
            }
        };
        (0..used.len()).filter(move |page| used[*page]).map(|page| (page, &self.slab[page * PAGE..][..PAGE]))
    }

    /// What memory holds now. From then on it is noted which pages are written.
    pub(super) fn freeze_memory(&mut self) -> io::Result<Memory> {
        let memory = match &self.origin {
            None => {
                // It must not be shown in windows any longer.
                self.engine.detach();
                let frozen = self.slab.freeze();
                self.engine.attach(&self.slab);
                let memory = Memory::new(frozen?);
                self.cpu.track_writes(self.slab.len());
                memory
            }
            Some(origin) => {
                let mut memory = origin.clone();
                if !self.cpu.written_pages().is_empty() {
                    let changed = Arc::make_mut(&mut memory.changed);
                    for number in self.cpu.written_pages() {
                        let page = self.slab[*number as usize * PAGE..].first_chunk().expect("whole pages");
                        changed.insert(*number, Arc::new(*page));
                    }
                    self.cpu.forget_writes();
                }
                memory
            }
        };
        self.origin = Some(memory.clone());
        Ok(memory)
    }

    /// `slab` holds what `memory` does: from now on it is noted which of its pages are written.
    pub(super) fn begin_with(&mut self, memory: &Memory) {
        self.cpu.track_writes(self.slab.len());
        self.origin = Some(memory.clone());
    }

    /// Makes memory hold what `memory` does, where it is possible by putting pages back. Gives whether it was.
    pub(super) fn put_back(&mut self, memory: &Memory) -> bool {
        let Some(origin) = self.origin.take_if(|origin| origin.has_same_base(memory)) else { return false };
        let written: Vec<u32> = self.cpu.written_pages().to_vec();
        let differing = match Arc::ptr_eq(&origin.changed, &memory.changed) {
            true => Vec::new(),
            false => origin.changed.keys().chain(memory.changed.keys()).copied().collect(),
        };
        for number in written.into_iter().chain(differing) {
            self.put_page_back(number as usize, memory);
        }
        self.cpu.forget_writes();
        self.origin = Some(memory.clone());
        true
    }

    /// Copies a page of `memory`; code whose bytes do not change stays.
    fn put_page_back(&mut self, number: usize, memory: &Memory) {
        let (start, new) = (number * PAGE, memory.page(number));
        let page = &mut self.slab[start..][..PAGE];
        let code = self.cpu.code_lines(start as u64);
        if code != 0 {
            for (line, (old, new)) in page.chunks(LINE).zip(new.chunks(LINE)).enumerate() {
                if code >> line & 1 != 0 && old != new {
                    self.cpu.ram_written((start + line * LINE) as u64, LINE as u64);
                }
            }
        }
        page.copy_from_slice(new);
    }
}
