//! The two privilege views of memory: which of them has a window, and whether that is worth its faults.

use crate::key::ModeKey;
use crate::options::{Options, Sensitive, Windows};
use crate::window::{Run, WindowView};
use idem86_cpu::bus::Work;
use idem86_cpu::cpu::Cpu;
use idem86_cpu::mmu::tlb::Change;
use std::collections::{HashMap, HashSet};

/// Work after which a view that lost no translations gets a window: some ten milliseconds.
pub const STABLE: Work = 30_000_000;
/// Faults of an instruction in a window, after which it goes without; one that shows no page counts as a quarter of
/// them. A working set is shown once, what faults for ever is found soon.
const FAULTS_MAX: u32 = 4096;
/// What a fault counts that shows the supervisor a page of the present address space only, where kernels have global
/// pages for their own: the next load of CR3 hides it, and the instruction will fault again.
const PASSING: u32 = 32;
/// Work for which a fault is forgiven: the time of some faults.
const FORGIVING: Work = 20_000;
/// Faults that a window may take after it was opened, to show a working set.
const FAULTS_FREE: u64 = 2048;
/// Work that must be done for each fault, on average, for a window to be worth it: about ten times what a fault costs.
const FAULT_WORTH: u64 = 40_000;
/// Such callouts of a unit after which it is left to the interpreter.
const SLOW_CALLS: u32 = 64;
/// Work for which one is forgiven: what the interpreter does in its time.
const CALL_WORTH: u64 = 40;
/// Doublings of the time that a view must be stable.
const IMPATIENCE_MAX: u32 = 8;
/// Instructions whose faults are counted, and that do without a window, at most; more begin anew.
const FAULTS_KEPT: usize = 1 << 16;

/// How often something happened lately at places in RAM, and when the last time.
#[derive(Debug, Default)]
struct Lately(HashMap<u64, (u32, Work)>);

impl Lately {
    /// It happened at `ram`, and counts `weight`; one is forgiven for each `forgiving` units of work since the last
    /// time. Gives the count.
    fn add(&mut self, ram: u64, now: Work, weight: u32, forgiving: Work) -> &mut u32 {
        if self.0.len() >= FAULTS_KEPT {
            self.0.clear();
        }
        let (level, at) = self.0.entry(ram).or_insert((0, now));
        let forgiven = now.wrapping_sub(*at) / forgiving;
        *level = (u64::from(*level).saturating_sub(forgiven) as u32).saturating_add(weight);
        *at = now;
        level
    }
}

/// How long a window will show a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lasts {
    /// As long as nobody says otherwise.
    Long,
    /// Until the next load of CR3.
    Passing,
}

/// Windows, and what was learnt of them.
#[derive(Debug, Default)]
pub struct Views {
    /// A window that lost its translations stays open, and is filled again by its faults.
    stays_open: bool,
    /// Windows, and instructions in them, that fault too often do without.
    adapts: bool,
    /// Supervisor and user.
    pub windows: [Option<WindowView>; 2],
    /// How often one was opened or closed.
    pub switched: u64,
    /// The work at which each view last lost its translations.
    pub stable_since: [Work; 2],
    /// What each open window has cost: the work at which it was opened, and faults since.
    pub cost: [(Work, u64); 2],
    /// How often windows were closed because they cost too much; each time they must wait twice as long.
    pub impatience: [u32; 2],
    /// Instructions, by their offset in RAM, that faulted too often.
    pub avoid: HashSet<u64>,
    /// How often units, by their offset in RAM, lately wrote to lines with code.
    slow: Lately,
    /// How often instructions, by their offset in RAM, faulted lately.
    faults: Lately,
}

impl Views {
    /// No windows yet, to be kept as `options` say.
    pub fn new(options: &Options) -> Self {
        Views {
            stays_open: options.windows == Windows::AtOnce,
            adapts: options.sensitive == Sensitive::Adaptive,
            ..Views::default()
        }
    }

    /// The mode of `cpu`, with a window if its view has one.
    pub fn mode(&self, cpu: &Cpu) -> Option<ModeKey> {
        let key = ModeKey::of(cpu)?;
        let window = self.windows[usize::from(key.user())].as_ref().is_some_and(|w| w.open);
        Some(key.with_window(window))
    }

    /// Follows `change`, which happens in the space `present`, if that is kept. Gives whether a window was lost on the
    /// way: the host did not do as it must.
    pub fn change(&mut self, change: Change, present: Option<u8>, now: Work) -> bool {
        let elsewhere = match change {
            Change::All => true,
            Change::Space(space) => space.is_none() || space != present,
            Change::Gone(space) => present == Some(space),
            Change::Page(_) | Change::Dropped { .. } | Change::Traced(_) => false,
        };
        let mut lost = false;
        let open = self.open();
        for (user, slot) in self.windows.iter_mut().enumerate() {
            // Of a user's pages few are global.
            let empties = elsewhere && (user == 1 || change == Change::All);
            if empties {
                self.stable_since[user] = now;
            }
            let Some(window) = slot.as_mut().filter(|w| w.open) else { continue };
            let done = match change {
                _ if empties => window.empty(self.stays_open),
                _ if elsewhere => window.hide_local(),
                Change::Page(linear) => window.hide(linear as u32),
                Change::Dropped { space, first, last } if present == Some(space) => {
                    window.hide_range(first, last)
                }
                Change::Traced(ram) => window.protect(ram),
                _ => true,
            };
            if !done {
                *slot = None;
                lost = true;
            }
        }
        self.switched += u64::from(self.open() != open);
        lost
    }

    /// Which views have windows.
    fn open(&self) -> [bool; 2] {
        self.windows.each_ref().map(|window| window.as_ref().is_some_and(|w| w.open))
    }

    /// Shows a page in the window of a view. Gives whether that is new: the window is open, did not show it yet, and
    /// the host did as it must.
    pub fn show(&mut self, user: usize, run: Run) -> bool {
        let Some(window) = self.windows[user].as_mut().filter(|w| w.open) else { return false };
        if window.shows(run) {
            return false;
        }
        // What cannot grow any longer begins anew if it is to stay.
        window.show(run) || self.stays_open && window.empty(true) && window.show(run)
    }

    /// The window of a view faulted at `now`: closes it if that happens too often. Gives whether it did.
    pub fn charge(&mut self, user: usize, now: Work) -> bool {
        if !self.adapts {
            return false;
        }
        let (since, faults) = &mut self.cost[user];
        *faults += 1;
        let worth = *faults <= FAULTS_FREE || *faults * FAULT_WORTH <= now.wrapping_sub(*since);
        if worth {
            return false;
        }
        self.impatience[user] = (self.impatience[user] + 1).min(IMPATIENCE_MAX);
        self.stable_since[user] = now;
        self.switched += 1;
        if !self.windows[user].as_mut().is_none_or(|window| window.empty(false)) {
            self.windows[user] = None;
        }
        true
    }

    /// The unit at offset `ram` had to call out at `now`, and will have to again. Gives whether it does so more often than
    /// the interpreter would take for all of it.
    pub fn is_slow(&mut self, ram: u64, now: Work) -> bool {
        if !self.adapts {
            return false;
        }
        let level = self.slow.add(ram, now, 1, CALL_WORTH);
        let slow = *level >= SLOW_CALLS;
        if slow {
            *level = 0;
        }
        slow
    }

    /// The instruction at offset `ram` faulted at `now`, and `shown` says for how long that showed a page, if it did.
    /// Gives whether it shall not fault any longer: it goes without a window, and a division is left to the interpreter.
    /// `traced` says that it wrote where code is: that is nobody's concern but ours, and no reason to fault for ever.
    pub fn faulted(&mut self, ram: u64, now: Work, shown: Option<Lasts>, traced: bool) -> bool {
        if !self.adapts && !traced {
            return false;
        }
        let weight = match shown {
            Some(Lasts::Long) => 1,
            Some(Lasts::Passing) => PASSING,
            None => FAULTS_MAX / 4,
        };
        let too_often = *self.faults.add(ram, now, weight, FORGIVING) > FAULTS_MAX;
        if too_often {
            if self.avoid.len() >= FAULTS_KEPT {
                self.avoid.clear();
            }
            self.avoid.insert(ram);
        }
        // Other units with the instruction may not know it yet.
        too_often || self.avoid.contains(&ram)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After how many faults an instruction goes without a window; `every` is the work between two.
    fn patience(shown: Option<Lasts>, every: Work) -> Option<u64> {
        let mut views = Views { adapts: true, ..Views::default() };
        (1..100_000).find(|n| views.faulted(0x1000, n * every, shown, false))
    }

    #[test]
    fn the_shorter_a_page_is_shown_the_sooner_its_instruction_goes_without_a_window() {
        assert_eq!(patience(Some(Lasts::Long), 0), Some(u64::from(FAULTS_MAX) + 1));
        assert_eq!(patience(Some(Lasts::Passing), 0), Some(u64::from(FAULTS_MAX / PASSING) + 1));
        assert_eq!(patience(None, 0), Some(5));
    }

    #[test]
    fn faults_that_are_rare_are_forgiven() {
        assert_eq!(patience(Some(Lasts::Long), FORGIVING), None);
        assert_eq!(patience(Some(Lasts::Passing), FORGIVING * u64::from(PASSING)), None);
        assert!(patience(Some(Lasts::Passing), FORGIVING).is_some());
    }
}
