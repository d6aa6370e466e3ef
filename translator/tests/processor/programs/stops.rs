//! Random programs with stops and watches: every engine reports the same ones at the same moments, and the guest ends
//! as without them.

use super::{Random, World, advance, differs, place, setting, slices, table_is_intact};
use crate::engine::{Engine, ways};
use crate::kit::Kit;
use idem86_cpu::run::Stop;
use idem86_cpu::stops::{Watch, WatchKind};

/// Stops that are set at the same time.
const STOPS: usize = 6;
/// Units of work of which the addresses are known.
const KNOWN: usize = 3000;
/// Slices between two changes of the stops.
const CHANGE_EVERY: usize = 5;

/// What a run reported: why, after how much work, where.
type Reports = Vec<(Stop, u64, u32)>;

/// What is stopped at and watched.
struct Points {
    /// One after the other takes the place of one that was set before.
    stops: Vec<u32>,
    watches: Vec<Watch>,
}

impl Points {
    /// Addresses that the program of `seed` comes by, and some that it accesses.
    fn new(world: World, seed: u64) -> Points {
        let r = &mut Random::new(seed.wrapping_mul(31));
        let mut k = world.machine(seed);
        k.engine = Engine::interpreter();
        let mut known = Vec::new();
        while known.len() < KNOWN && k.run(1) == Stop::Budget {
            known.push(k.here());
        }
        known.push(k.here());
        let stops = (0..64).map(|_| known[r.below(known.len() as u32) as usize]).collect();
        let watches = (0..3).map(|_| {
            let area = r.pick(&[place::DATA, place::STACK, place::SMALL_DATA, place::SMALL_STACK]);
            let start = area - 0x400 + r.below(0xC00);
            let kind = r.pick(&[WatchKind::Read, WatchKind::Write, WatchKind::Access]);
            Watch { start, last: start + r.below(0x200), kind }
        });
        Points { stops, watches: watches.collect() }
    }
}

/// Runs the program of `seed` and gives what was reported; `None` if it broke its page table.
fn drive(world: World, seed: u64, engine: Engine, points: Option<&Points>) -> Option<(Reports, Kit)> {
    let mut k = world.machine(seed);
    k.engine = engine;
    let mut reports = Vec::new();
    if let Some(points) = points {
        points.stops[..STOPS].iter().for_each(|at| k.cpu.add_execution_stop(*at));
        points.watches.iter().for_each(|watch| k.cpu.add_watch(*watch));
    }
    for (n, slice) in slices(seed, world).into_iter().enumerate() {
        if let Some(points) = points.filter(|_| n % CHANGE_EVERY == 0) {
            let nth = |n: usize| points.stops[n / CHANGE_EVERY % points.stops.len()];
            assert!(k.cpu.remove_execution_stop(nth(n)));
            k.cpu.add_execution_stop(nth(n + STOPS * CHANGE_EVERY));
        }
        let end = k.cpu.work() + slice.work;
        let mut stop = advance(&mut k, slice);
        while matches!(stop, Stop::Breakpoint | Stop::Watchpoint { .. }) {
            reports.push((stop, k.cpu.work(), k.here()));
            stop = if k.cpu.work() < end { k.run(end - k.cpu.work()) } else { Stop::Budget };
        }
        while stop == Stop::Budget && k.cpu.work() < end {
            stop = k.run(end - k.cpu.work());
            if matches!(stop, Stop::Breakpoint | Stop::Watchpoint { .. }) {
                reports.push((stop, k.cpu.work(), k.here()));
                stop = Stop::Budget;
            }
        }
        if !table_is_intact(&k, world) {
            return None;
        }
        if stop != Stop::Budget {
            break;
        }
    }
    Some((reports, k))
}

fn check(world: World) {
    let (first, programs) = (setting("IDEM86_PROGRAM_SEED", 1), setting("IDEM86_PROGRAMS", 60).div_ceil(4));
    let (mut breakpoints, mut watchpoints) = (0, 0);
    for seed in first..first + programs {
        let points = Points::new(world, seed);
        let Some((_, free)) = drive(world, seed, Engine::interpreter(), None) else { continue };
        let Some((expected, reference)) = drive(world, seed, Engine::interpreter(), Some(&points)) else {
            panic!("{world:?}, seed {seed}: stops change what the guest does");
        };
        assert!(!differs(&reference, &free), "{world:?}, seed {seed}: the guest sees stops");
        let (way, options) = ways()[seed as usize % ways().len()];
        let subject = drive(world, seed, Engine::translator(options), Some(&points));
        let Some((reports, subject)) = subject else { panic!("{world:?}, seed {seed}, {way}") };
        let same = reports.iter().zip(&expected).take_while(|(a, b)| a == b).count();
        assert!(
            same == reports.len() && same == expected.len(),
            "{world:?}, seed {seed}, {way}: report {same} is {:x?}, and must be {:x?}",
            reports.get(same),
            expected.get(same)
        );
        assert!(!differs(&subject, &reference), "{world:?}, seed {seed}, {way}");
        let broken = expected.iter().filter(|report| report.0 == Stop::Breakpoint).count();
        (breakpoints, watchpoints) = (breakpoints + broken, watchpoints + expected.len() - broken);
    }
    println!("{world:?}: {breakpoints} breakpoints, {watchpoints} watchpoints");
    assert!(programs < 5 || breakpoints.min(watchpoints) > 0, "the programs do what they are for");
}

#[test]
fn stops_in_real_mode() {
    check(World::Real);
}

#[test]
fn stops_in_protected_mode() {
    check(World::Flat(0));
    check(World::Protected16);
}

#[test]
fn stops_under_paging() {
    check(World::Paged(0));
    check(World::Paged(3));
}
