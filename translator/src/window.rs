//! Shadow page tables, tier M1: windows.
//!
//! A window is 4 GiB of host address space in which the pages of one privilege view lie where the guest has them, so
//! that an access is one instruction. Making one costs the host's page tables some microseconds a page, so a view gets
//! one only after it has run for a while without losing its translations. What is not shown faults; the fault takes
//! the slow path, which shows the page.

use crate::host::{Window, shared_memory, take_faults};
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::sync::Arc;

/// Below the first byte: what small negative displacements reach.
const BELOW: usize = 0x1_0000;
/// The reservation: all that a 32-bit register plus a displacement of 31 bits reaches, and the widest operand.
const SIZE: usize = BELOW + (1 << 32) + (1 << 31) + 0x1_0000;
/// Pieces that may lie apart; hosts have a limit of some ten thousands for the whole process.
const PIECES_MAX: usize = 20_000;

/// A page in a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shown {
    ram: u64,
    writable: bool,
    global: bool,
}

/// Consecutive pages that lie in RAM one behind the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Number of the first page.
    pub page: u32,
    /// Number of pages.
    pub pages: u32,
    /// Offset in RAM of the first.
    pub ram: u64,
    /// They can be written.
    pub writable: bool,
    /// Their translations survive a load of CR3.
    pub global: bool,
}

/// The window of a view.
#[derive(Debug)]
pub struct WindowView {
    window: Window,
    shown: HashMap<u32, Shown>,
    by_ram: HashMap<u64, Vec<u32>>,
    /// Whether code uses it.
    pub open: bool,
}

impl WindowView {
    /// A closed window to `object`, the guest's RAM.
    pub fn new(object: Arc<File>) -> io::Result<Self> {
        take_faults()?;
        let window = Window::new(object, SIZE)?;
        Ok(WindowView { window, shown: HashMap::new(), by_ram: HashMap::new(), open: false })
    }

    /// The host's address of the guest's linear address 0.
    pub fn base(&self) -> u64 {
        self.window.address() + BELOW as u64
    }

    /// Whether the first page of `run` is shown as it says.
    pub fn shows(&self, run: Run) -> bool {
        let Run { page, ram, writable, global, .. } = run;
        self.shown.get(&page) == Some(&Shown { ram, writable, global })
    }

    /// Shows a run of pages. `false` if the host refuses; then some of it may be shown.
    pub fn show(&mut self, run: Run) -> bool {
        let Run { page, pages, ram, writable, global } = run;
        if self.shown.len() >= PIECES_MAX && !self.shown.contains_key(&page) {
            return false;
        }
        if self.window.show(at(page), (pages as usize) << 12, ram, writable).is_err() {
            return false;
        }
        for n in 0..pages {
            let ram = ram + (u64::from(n) << 12);
            if let Some(old) = self.shown.insert(page + n, Shown { ram, writable, global }) {
                self.forget_place(old.ram, page + n);
            }
            self.by_ram.entry(ram).or_default().push(page + n);
        }
        true
    }

    fn forget_place(&mut self, ram: u64, page: u32) {
        if let Some(pages) = self.by_ram.get_mut(&ram) {
            pages.retain(|other| *other != page);
        }
    }

    /// The page of RAM at `ram` can no longer be written through the window. `false` if the host refuses.
    pub fn protect(&mut self, ram: u64) -> bool {
        let pages = self.by_ram.get(&ram).cloned().unwrap_or_default();
        pages.into_iter().all(|page| match self.shown.get(&page) {
            Some(&Shown { writable: true, global, .. }) => {
                self.show(Run { page, pages: 1, ram, writable: false, global })
            }
            _ => true,
        })
    }

    /// Shows the page of `linear` no longer. `false` if the host refuses.
    pub fn hide(&mut self, linear: u32) -> bool {
        let page = linear >> 12;
        match self.shown.remove(&page) {
            Some(old) => {
                self.forget_place(old.ram, page);
                self.window.hide(at(page), 0x1000).is_ok()
            }
            None => true,
        }
    }

    /// Hides the pages from number `first` to `last`; `false` if the host refuses.
    pub fn hide_range(&mut self, first: u32, last: u32) -> bool {
        let shown: Vec<u32> =
            self.shown.keys().copied().filter(|page| (first..=last).contains(page)).collect();
        shown.into_iter().all(|page| self.hide(page << 12))
    }

    /// Hides what is not global; `false` if the host refuses.
    pub fn hide_local(&mut self) -> bool {
        let local: Vec<u32> = self.shown.iter().filter(|(_, s)| !s.global).map(|(page, _)| *page).collect();
        local.into_iter().all(|page| self.hide(page << 12))
    }

    /// Hides everything; the window is open afterwards if `open` says so. `false` if the host refuses.
    pub fn empty(&mut self, open: bool) -> bool {
        self.open = open;
        if self.shown.is_empty() {
            return true;
        }
        self.shown.clear();
        self.by_ram.clear();
        self.window.hide(0, SIZE).is_ok()
    }
}

/// Whether the host has what a window takes.
pub fn available() -> io::Result<()> {
    let object = shared_memory(c"idem86-probe", 0x1000)?;
    let mut window = WindowView::new(Arc::new(object))?;
    window.window.show(at(0), 0x1000, 0, true)
}

fn at(page: u32) -> usize {
    BELOW + ((page as usize) << 12)
}

/// Joins pages (number, distance to RAM, writable, global) that lie one behind the other. One that is there as global and
/// as not global is not: it may have been global once.
pub fn runs(mut pages: Vec<(u32, u64, bool, bool)>) -> Vec<Run> {
    pages.sort_unstable_by_key(|p| (p.0, p.3));
    pages.dedup_by_key(|p| p.0);
    let mut runs: Vec<Run> = Vec::new();
    for (page, ram, writable, global) in pages {
        match runs.last_mut() {
            Some(run)
                if run.page + run.pages == page
                    && run.ram + (u64::from(run.pages) << 12) == ram
                    && (run.writable, run.global) == (writable, global) =>
            {
                run.pages += 1;
            }
            _ => runs.push(Run { page, pages: 1, ram, writable, global }),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_global_only_if_it_is_noted_as_nothing_else() {
        let pages = |global: bool| (0..1000).rev().map(move |n| (2 * n, 0x1000 * u64::from(n), true, global));
        let more = (0..1000).map(|n| (2 * n + 1, 0, false, true));
        let runs = runs(pages(false).chain(pages(true)).chain(more).collect());
        let wrong = runs.iter().find(|run| run.pages != 1 || run.global != (run.page % 2 == 1));
        assert_eq!((runs.len(), wrong), (2000, None));
    }
}
