//! What every device must stand, whatever it is: a suite that each device's tests join with one line.
//!
//! ```text
//! crate::conformance::suite!(Subject::new(|bank| Uart::new(bank.line(4))).ports(8).timed());
//! ```
//!
//! A [`Subject`] says how to build the device on an interrupt bank and what can be done to it: accesses to its
//! ports or memory, the passing of time, and any further `action` that matters (acknowledging an interrupt,
//! a host connection delivering a byte). The suite then does these things at random, with fixed seeds, and
//! checks what [`Snapshot`], [`Timed`] and the hostility of guests and saved states demand.

mod random;
mod tests;
mod tree;

pub(crate) use random::Random;

use crate::access::{AccessSize, Mmio, PortIo};
use crate::irq::{IrqBank, IrqBankState};
use crate::reset::Reset;
use crate::state::Snapshot;
use crate::time::{GuestDuration, GuestTime, Timed};
use std::fmt::Write;
use std::time::{Duration, Instant};
use tree::Tree;

/// No single access or step of time may work longer. Three orders of magnitude above what is sensible, so that a
/// slow host does not trip it and a loop over guest-controlled distances does.
const LONGEST_CALL: Duration = Duration::from_secs(1);
const SEEDS: std::ops::Range<u64> = 0..24;
const ACTIONS_BEFORE: usize = 400;
const ACTIONS_AFTER: usize = 200;

type Action<D> = Box<dyn Fn(&mut D, &mut Random, GuestTime) -> u64>;

/// A device under test. Actions return what they observed, so that two devices can be compared.
pub(crate) struct Subject<D> {
    make: Box<dyn Fn(&IrqBank) -> D>,
    actions: Vec<Action<D>>,
    timing: Option<Timing<D>>,
    watches_lines: bool,
}

struct Timing<D> {
    next_event: fn(&D) -> Option<GuestTime>,
    advance: fn(&mut D, GuestTime),
}

impl<D: Snapshot + Reset + 'static> Subject<D> {
    /// A device built by `make`, each time the same.
    pub(crate) fn new(make: impl Fn(&IrqBank) -> D + 'static) -> Self {
        Subject { make: Box::new(make), actions: Vec::new(), timing: None, watches_lines: false }
    }

    /// Something that can be done to the device, and what was observed.
    pub(crate) fn action(mut self, act: impl Fn(&mut D, &mut Random, GuestTime) -> u64 + 'static) -> Self {
        self.actions.push(Box::new(act));
        self
    }

    /// Accesses to register offsets `0 .. count` in I/O space, and rarely beyond.
    pub(crate) fn ports(self, count: u16) -> Self
    where
        D: PortIo,
    {
        let at = move |random: &mut Random| {
            if random.one_in(50) { random.next() as u16 } else { random.below(u64::from(count)) as u16 }
        };
        self.action(move |device, random, now| {
            let (offset, size) = (at(random), size(random));
            digest(device.read_port(offset, size, now))
        })
        .action(move |device, random, now| {
            let (offset, size) = (at(random), size(random));
            let value = random.value() & size.ones();
            digest(device.write_port(offset, size, value, now).map(|()| 0))
        })
    }

    /// Accesses to memory offsets `0 .. length`, and rarely beyond.
    pub(crate) fn memory(self, length: u64) -> Self
    where
        D: Mmio,
    {
        let at = move |random: &mut Random| {
            if random.one_in(50) { random.next() } else { random.below(length) & !(random.next() & 3) }
        };
        self.action(move |device, random, now| {
            let (offset, size) = (at(random), size(random));
            digest(device.read_memory(offset, size, now))
        })
        .action(move |device, random, now| {
            let (offset, size) = (at(random), size(random));
            let value = random.value() & size.ones();
            digest(device.write_memory(offset, size, value, now).map(|()| 0))
        })
    }

    /// The device acts by itself: `advance` follows time, and the suite checks `next_event`.
    pub(crate) fn timed(mut self) -> Self
    where
        D: Timed,
    {
        self.timing = Some(Timing { next_event: D::next_event, advance: D::advance });
        self
    }

    /// The device is an interrupt controller: lines 0 to 23 of its bank rise and fall between the actions.
    pub(crate) fn watches_lines(mut self) -> Self {
        self.watches_lines = true;
        self
    }

    fn rig(&self) -> Rig<'_, D> {
        let bank = IrqBank::new();
        let device = (self.make)(&bank);
        let worked = processor_time();
        Rig { device, subject: self, bank, now: GuestTime::ZERO, acts: 0, seed: None, worked }
    }

    /// A rig after a long random history. Each seed gives time a scale of its own, from dense accesses to
    /// accesses years apart.
    fn used_rig(&self, seed: u64) -> (Rig<'_, D>, Random) {
        let mut random = Random::new(seed);
        let mut rig = self.rig();
        rig.repeat(ACTIONS_BEFORE, &mut random);
        (rig, random)
    }

    pub(crate) fn restores_exactly_what_it_saved(&self) {
        let mut changed = false;
        for seed in SEEDS {
            let (used, _) = self.used_rig(seed);
            let mut fresh = self.rig();
            let saved = used.device.save();
            changed |= saved != fresh.device.save();
            let through_a_format: D::State = Tree::of(&saved).read().expect("a saved state reads back");
            assert_eq!(through_a_format, saved, "seed {seed}: the state changed on its way through a format");
            fresh.device.restore(through_a_format).expect("a saved state is accepted");
            assert_eq!(fresh.device.save(), saved, "seed {seed}");
        }
        assert!(changed, "no access ever changed the state: nothing was tested");
    }

    pub(crate) fn continues_as_the_saved_device_would(&self) {
        for seed in SEEDS {
            let (mut used, random) = self.used_rig(seed);
            let mut copy = used.duplicate();
            let (mut one, mut other) = (random.clone(), random);
            for step in 0..ACTIONS_AFTER {
                assert_eq!(used.act(&mut one), copy.act(&mut other), "seed {seed}, step {step}");
            }
            assert_eq!(used.device.save(), copy.device.save(), "seed {seed}");
        }
    }

    pub(crate) fn a_second_reset_changes_nothing(&self) {
        for seed in SEEDS {
            let (mut used, _) = self.used_rig(seed);
            used.device.reset();
            let after = used.device.save();
            used.device.reset();
            assert_eq!(used.device.save(), after, "seed {seed}");
        }
    }

    /// Changes saved states at random. What `restore` refuses must leave the device unchanged; what it
    /// accepts must serve any access.
    pub(crate) fn survives_hostile_states(&self) {
        for seed in SEEDS {
            let (used, mut random) = self.used_rig(seed);
            let saved = used.device.save();
            for _ in 0..40 {
                let mut tree = Tree::of(&saved);
                for _ in 0..=random.below(3) {
                    tree.corrupt(&mut random);
                }
                let Ok(hostile) = tree.read::<D::State>() else { continue };
                let mut rig = self.rig();
                rig.now = used.now;
                let before = rig.device.save();
                match rig.device.restore(hostile) {
                    Ok(()) => rig.repeat(ACTIONS_AFTER / 2, &mut random),
                    Err(_) => assert_eq!(rig.device.save(), before, "a refused restore changed the device"),
                }
            }
        }
    }

    /// Between `now` and its next event a device keeps its interrupt lines still.
    pub(crate) fn changes_its_lines_only_at_its_events(&self) {
        let Some(timing) = &self.timing else { return };
        for seed in SEEDS {
            let (mut used, mut random) = self.used_rig(seed);
            for step in 0..ACTIONS_AFTER {
                used.act(&mut random);
                (timing.advance)(&mut used.device, used.now);
                let event = (timing.next_event)(&used.device);
                assert!(event.is_none_or(|e| e > used.now), "seed {seed}, step {step}: stuck at {event:?}");
                let distance = event.map_or(1 << 50, |e| e.since(used.now).as_nanos() - 1);
                let distance = if random.one_in(2) { distance } else { random.below(distance.max(1)) };
                let before = used.bank.save();
                used.now = used.now + GuestDuration::from_nanos(distance);
                (timing.advance)(&mut used.device, used.now);
                assert_eq!(used.bank.save(), before, "seed {seed}, step {step}: early change");
            }
        }
    }

    /// From event to event, or in one jump: the same state.
    pub(crate) fn arrives_by_steps_where_a_jump_leads(&self) {
        let Some(timing) = &self.timing else { return };
        for seed in SEEDS {
            let (mut stepped, mut random) = self.used_rig(seed);
            let mut jumped = stepped.duplicate();
            for _ in 0..random.below(400) {
                let event = (timing.next_event)(&stepped.device);
                let pause = stepped.now + random.step();
                stepped.now = event.unwrap_or(pause).min(pause);
                (timing.advance)(&mut stepped.device, stepped.now);
            }
            (timing.advance)(&mut jumped.device, stepped.now);
            (timing.advance)(&mut stepped.device, stepped.now);
            assert_eq!(jumped.device.save(), stepped.device.save(), "seed {seed}");
            assert_eq!(jumped.bank.save(), stepped.bank.save(), "seed {seed}");
        }
    }
}

struct Rig<'a, D> {
    subject: &'a Subject<D>,
    bank: IrqBank,
    device: D,
    now: GuestTime,
    acts: usize,
    seed: Option<u64>,
    /// The thread's processor time at the beginning.
    worked: Option<Duration>,
}

/// Where a failing run was, so that it can be repeated.
impl<D> Drop for Rig<'_, D> {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Some(seed) = self.seed
        {
            eprintln!("seed {seed}, act {}, at {:?}", self.acts, self.now);
        }
    }
}

impl<D: Snapshot + Reset + 'static> Rig<'_, D> {
    /// One random act after a random time: what it gave, and the interrupt lines afterwards.
    fn act(&mut self, random: &mut Random) -> (u64, IrqBankState) {
        self.seed = Some(random.seed());
        self.acts += 1;
        self.now = self.now + random.step();
        let started = Instant::now();
        let mut seen = 0;
        if let Some(timing) = &self.subject.timing
            && !random.one_in(4)
        {
            (timing.advance)(&mut self.device, self.now);
        }
        if self.subject.watches_lines {
            for _ in 0..random.below(4) {
                self.bank.line(random.below(24) as u8).set(random.one_in(2));
            }
        }
        let choice = random.below(self.subject.actions.len() as u64 * 100 + 1);
        match self.subject.actions.get(choice as usize / 100) {
            Some(act) => {
                // Now and then an access comes with a time already past, which must do no harm.
                let past =
                    GuestDuration::from_nanos(if random.one_in(40) { random.below(1 << 30) } else { 0 });
                seen = act(&mut self.device, random, self.now - past);
            }
            None => self.device.reset(),
        }
        let took = started.elapsed();
        assert!(took < LONGEST_CALL || self.waited(), "one call took {took:?} at {:?}", self.now);
        (seen, self.bank.save())
    }

    /// Whether the host let this thread wait, since all that it did took less than one call may. Unknown is no.
    fn waited(&self) -> bool {
        let worked = processor_time().zip(self.worked).map(|(now, before)| now.saturating_sub(before));
        worked.is_some_and(|worked| worked < LONGEST_CALL)
    }

    fn repeat(&mut self, count: usize, random: &mut Random) {
        for _ in 0..count {
            self.act(random);
        }
    }

    /// A second rig, saved from and restored like this one.
    fn duplicate(&self) -> Self {
        let mut copy = self.subject.rig();
        copy.device.restore(self.device.save()).expect("a saved state is accepted");
        copy.bank.restore(self.bank.save()).expect("every bank state is valid");
        copy.now = self.now;
        copy
    }
}

/// What this thread had of a processor; `None` where the host does not tell. Linux, `proc_pid_stat(5)`: `utime` and
/// `stime`, in hundredths of a second.
fn processor_time() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").ok()?;
    // The name, in parentheses, is the second field; these are the fourteenth and the next.
    let mut times = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut hundredths = || times.next()?.parse::<u64>().ok();
    Some(Duration::from_millis((hundredths()? + hundredths()?) * 10))
}

fn size(random: &mut Random) -> AccessSize {
    [AccessSize::Byte, AccessSize::Byte, AccessSize::Byte, AccessSize::Word, AccessSize::Dword]
        [random.below(5) as usize]
}

/// A result as a number, errors apart from all values.
fn digest<E: std::fmt::Debug>(result: Result<u32, E>) -> u64 {
    match result {
        Ok(value) => u64::from(value),
        Err(error) => {
            let mut text = String::new();
            write!(text, "{error:?}").expect("writing to a string");
            text.bytes().fold(1 << 32, |sum, byte| sum + u64::from(byte))
        }
    }
}

/// The suite for one [`Subject`], as tests of a module named `conformance`.
macro_rules! suite {
    ($subject:expr) => {
        mod conformance {
            #[allow(unused_imports)]
            use super::*;
            #[allow(unused_imports)]
            use crate::conformance::Subject;

            $crate::conformance::suite!(@tests $subject;
                restores_exactly_what_it_saved
                continues_as_the_saved_device_would
                a_second_reset_changes_nothing
                survives_hostile_states
                changes_its_lines_only_at_its_events
                arrives_by_steps_where_a_jump_leads
            );
        }
    };
    (@tests $subject:expr; $($test:ident)*) => {
        $(#[test] fn $test() { $subject.$test() })*
    };
}
pub(crate) use suite;
