//! The translation cache: where code goes, how it is found, linked and dropped.
//!
//! The arena is filled region by region. When the last one is full, the oldest is emptied and filled anew; so nothing
//! is ever moved, and what is evicted is what was translated longest ago.

use crate::discover::{GuestInsn, discover};
use crate::emit::stubs::{self, Stubs};
use crate::host::arena::CodeArena;
use crate::host::take_faults;
use crate::key::ModeKey;
use crate::lower::{Frame, Link, Lowered, Site, UNIT_SHIFT, lower};
use crate::options::{Options, Sensitive, UNIT_MAX};
use crate::space::Space;
use idem86_cpu::bus::Biu;
use idem86_cpu::cpu::Cpu;
use idem86_cpu::decode::insn::Insn;
use idem86_cpu::icache::KeyHasher;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::BuildHasherDefault;
use std::io;

/// Regions of the arena.
const REGIONS: usize = 16;
/// Code of a unit, at most: 64 instructions of up to 200 bytes, and their ways out.
const UNIT_BYTES: usize = 24 * 1024;
/// Bytes of an arena, at least: so each region takes a unit, the first one behind the stubs.
const ARENA_MIN: usize = REGIONS * (UNIT_BYTES + 1024);
/// Bytes of an arena, at most.
const ARENA_MAX: usize = 1 << 30;
/// Links to a unit that are noted before those that are there twice are looked for.
const INCOMING_MIN: usize = 256;
/// Pages of the host that the tables of all spaces may take: 64 MiB. Code that is executed at very many addresses
/// begins anew.
const TABLE_PAGES_MAX: usize = 16 << 10;
/// Bytes that a host which sets memory aside even for what is only read may set aside for all tables; up to twice as
/// many while some keep to their share.
const COMMITTED_MAX: usize = 256 << 20;
/// Units of a page that are known again with the first one, at most.
const AGAIN_MAX: usize = 128;
/// What counts as often, in rewrites of a page.
const DEFERRED: u32 = 16;
/// Spaces that are kept; a program that uses more begins anew.
const SPACES_MAX: usize = 64;

/// A translation unit.
#[derive(Debug)]
pub struct Unit {
    /// Where its bytes are in RAM.
    pub ram: u64,
    /// EIP of its first instruction.
    pub eip: u32,
    /// Number of its space.
    pub space: u32,
    /// Its instructions as the interpreter executes them, each with its end as its offset.
    pub insns: Box<[Insn]>,
    /// Offset in the arena where it is entered.
    pub entry: u32,
    /// Offset in the arena of its code.
    pub at: u32,
    /// Bytes of its code.
    pub size: u32,
    /// Bytes of guest code.
    pub length: u32,
    /// Its callouts.
    pub sites: Box<[Site]>,
    links: Box<[Link]>,
    /// Links that lead here.
    incoming: Vec<u32>,
    alive: bool,
}

impl Unit {
    /// Whether it may be entered.
    pub fn is_alive(&self) -> bool {
        self.alive
    }

    fn lines(&self) -> u64 {
        idem86_cpu::codemap::mask(self.ram, u64::from(self.length))
    }
}

/// What the cache did.
#[derive(Clone, Copy, Debug, Default)]
pub struct CacheCounters {
    /// Units translated.
    pub units: u64,
    /// Guest instructions in them.
    pub instructions: u64,
    /// Host bytes of them.
    pub bytes: u64,
    /// Branches linked.
    pub links: u64,
    /// Units dropped because their guest code was overwritten.
    pub invalidated: u64,
    /// Units dropped to make room.
    pub evicted: u64,
}

/// See the module's description.
#[derive(Debug)]
pub struct Cache {
    /// The code.
    pub arena: CodeArena,
    /// Its first bytes.
    pub stubs: Stubs,
    /// What it did.
    pub counters: CacheCounters,
    /// Exceptions of the host come back.
    traps: bool,
    /// What becomes of sensitive instructions.
    sensitive: Sensitive,
    /// Instructions in a unit, at most.
    unit_max: usize,
    /// The units, by number; dead ones stay until their region is emptied.
    pub units: Vec<Unit>,
    /// The modes with their code, by number.
    pub spaces: Vec<Space>,
    /// Tables of spaces lie elsewhere than before, or are gone.
    pub renewed: bool,
    /// Numbers of units that can be given again.
    free: Vec<u32>,
    by_entry: HashMap<u32, u32>,
    /// Units by where their code begins, dead ones included.
    pub by_code: BTreeMap<u32, u32>,
    index: HashMap<(u64, u32, u32), u32, BuildHasherDefault<KeyHasher>>,
    by_page: HashMap<u64, Vec<u32>, BuildHasherDefault<KeyHasher>>,
    /// How often code of a page was overwritten.
    rewrites: HashMap<u64, u32, BuildHasherDefault<KeyHasher>>,
    regions: [Vec<u32>; REGIONS],
    region: usize,
    /// Where the next unit goes.
    cursor: usize,
}

impl Cache {
    /// An empty cache, as large and for such units as `options` say.
    pub fn new(options: &Options) -> io::Result<Self> {
        let size = options.arena;
        let mut arena = CodeArena::new(size.clamp(ARENA_MIN, ARENA_MAX).next_multiple_of(REGIONS * 4096))?;
        let (code, stubs) = stubs::assemble();
        arena.write(0, &code);
        Ok(Cache {
            arena,
            stubs,
            counters: CacheCounters::default(),
            traps: take_faults().is_ok(),
            sensitive: options.sensitive,
            unit_max: options.unit.clamp(1, UNIT_MAX),
            units: Vec::new(),
            spaces: Vec::new(),
            renewed: false,
            free: Vec::new(),
            by_entry: HashMap::new(),
            by_code: BTreeMap::new(),
            index: HashMap::default(),
            by_page: HashMap::default(),
            rewrites: HashMap::default(),
            regions: Default::default(),
            region: 0,
            cursor: stubs.end as usize,
        })
    }

    /// The space of a mode; the present address space is `present`, if it is kept.
    pub fn space_of(&mut self, key: ModeKey, present: Option<u8>) -> io::Result<u32> {
        if let Some(id) = self.spaces.iter().position(|s| s.key == key) {
            return Ok(id as u32);
        }
        if self.spaces.len() == SPACES_MAX {
            self.drop_all();
            self.spaces.clear();
            self.renewed = true;
        }
        self.spaces.push(Space::new(key, present)?);
        Ok(self.spaces.len() as u32 - 1)
    }

    /// The unit for the code at `ram` and `eip`.
    pub fn find(&self, ram: u64, eip: u32, space: u32) -> Option<u32> {
        self.index.get(&(ram, eip, space)).copied()
    }

    /// Translates the code at `ram` and `eip`; `None` where there is nothing to translate.
    /// `avoid` holds the instructions, by their offset in RAM, that must not fault.
    pub fn translate(
        &mut self,
        cpu: &Cpu,
        biu: &Biu,
        ram: u64,
        eip: u32,
        space: u32,
        avoid: &HashSet<u64>,
    ) -> Option<u32> {
        let avoids_faults = &|offset: u32| avoid.contains(&(ram + u64::from(offset)));
        let key = self.spaces[space as usize].key;
        if let Some(rewrites) = self.rewrites.get_mut(&(ram >> 12)) {
            *rewrites /= 2;
        }
        self.make_room();
        let id = self.free.pop().unwrap_or(self.units.len() as u32);
        let at = self.cursor as u32;
        let frame = Frame {
            unit: id,
            at,
            eip,
            key,
            stubs: self.stubs,
            traps: self.traps,
            sensitive: self.sensitive,
            avoids_faults,
        };
        // Nearly always the first: what becomes too long is made shorter.
        let sizes =
            std::iter::successors(Some(self.unit_max), |most| Some(most / 2).filter(|most| *most > 0));
        let mut units =
            sizes.map(|most| discover(cpu, biu, ram, eip, key, most)).take_while(|guest| !guest.is_empty());
        let made = units.find_map(|guest| {
            let lowered = lower(&guest, frame).filter(|lowered| lowered.code.len() <= UNIT_BYTES)?;
            Some((guest, lowered))
        });
        let Some((guest, Lowered { code, entry, links, sites })) = made else {
            if let Some(guest) = discover(cpu, biu, ram, eip, key, 1).first() {
                debug_assert!(false, "every instruction by itself can be translated: {}", guest.instruction);
            }
            self.free.push(id);
            return None;
        };
        self.arena.write(at, &code);
        self.cursor = (self.cursor + code.len()).next_multiple_of(16);
        self.counters.units += 1;
        self.counters.instructions += guest.len() as u64;
        self.counters.bytes += code.len() as u64;
        let unit = Unit {
            ram,
            eip,
            space,
            insns: guest.iter().map(|g| Insn { offset: g.end() as u16, ..g.insn }).collect(),
            entry: at + entry,
            at,
            size: code.len() as u32,
            length: guest.iter().map(GuestInsn::end).max().unwrap_or(0),
            sites: sites.into(),
            links: links.into(),
            incoming: Vec::new(),
            alive: true,
        };
        let stubs: Vec<(u32, u32)> = unit.links.iter().map(|l| (at + l.patch, at + l.stub)).collect();
        match self.units.get_mut(id as usize) {
            Some(slot) => *slot = unit,
            None => self.units.push(unit),
        }
        for (patch, stub) in stubs {
            self.patch(patch, stub);
        }
        self.by_entry.insert(at + entry, id);
        self.by_code.insert(at, id);
        self.index.insert((ram, eip, space), id);
        self.by_page.entry(ram >> 12).or_default().push(id);
        self.regions[self.region].push(id);
        Some(id)
    }

    /// An EIP was looked up in `space` in vain, which may have made its table grow: if the tables take too much, they
    /// begin anew.
    pub fn looked_up(&mut self, space: u32) {
        // Those that keep to their share do not take more than the bound together.
        if self.spaces[space as usize].committed() > COMMITTED_MAX / SPACES_MAX
            && self.spaces.iter().map(Space::committed).sum::<usize>() > COMMITTED_MAX
        {
            self.renew_tables();
        }
    }

    fn renew_tables(&mut self) {
        // Who cannot get a new table keeps the old one.
        self.spaces.iter_mut().for_each(|space| _ = space.renew());
        self.renewed = true;
    }

    /// In the present address space the EIP of unit `id` leads to it. If nothing was known of its page, the others there
    /// are known again too: whoever comes back to code comes back to more of it.
    pub fn install(&mut self, id: u32, global: bool) {
        if self.spaces.iter().map(Space::pages).sum::<usize>() >= TABLE_PAGES_MAX {
            self.renew_tables();
        }
        let unit = &self.units[id as usize];
        let space = &mut self.spaces[unit.space as usize];
        let before = space.table_address();
        if !space.knows_of_page(unit.eip) {
            let others = self.by_page.get(&(unit.ram >> 12)).map_or(&[][..], Vec::as_slice);
            let others = others.iter().rev().map(|id| &self.units[*id as usize]);
            // The same page of RAM may be elsewhere in linear memory too.
            let here = |other: &&Unit| {
                other.space == unit.space
                    && other.eip.wrapping_sub(unit.eip) == (other.ram as u32).wrapping_sub(unit.ram as u32)
            };
            others
                .filter(here)
                .take(AGAIN_MAX)
                .for_each(|other| space.install(other.eip, other.entry, global));
        }
        space.install(unit.eip, unit.entry, global);
        self.renewed |= space.table_address() != before;
    }

    /// Lets `link` lead to the unit that is entered at `entry`, if it still is what it was when it was left through.
    pub fn link(&mut self, link: u32, entry: u32) {
        let (from, n) = parts(link);
        let Some(to) = self.by_entry.get(&entry).copied() else { return };
        let target = &self.units[to as usize];
        let (eip, space) = (target.eip, target.space);
        let Some(unit) = self.units.get(from).filter(|u| u.alive && u.space == space) else { return };
        let Some(site) = unit.links.get(n).filter(|l| l.target == eip) else { return };
        let patch = unit.at + site.patch;
        self.patch(patch, entry);
        let incoming = &mut self.units[to as usize].incoming;
        incoming.push(link);
        // Units that come and go leave their links behind.
        if incoming.len() >= INCOMING_MIN && incoming.len().is_power_of_two() {
            incoming.sort_unstable();
            incoming.dedup();
        }
        self.counters.links += 1;
    }

    /// Writes the displacement at `patch` so that the branch leads to `target`.
    fn patch(&mut self, patch: u32, target: u32) {
        let displacement = target.wrapping_sub(patch + 4);
        self.arena.write(patch, &displacement.to_le_bytes());
    }

    /// Begins the next region if the present one cannot take another unit.
    fn make_room(&mut self) {
        let size = self.arena.size() / REGIONS;
        if self.cursor + UNIT_BYTES <= (self.region + 1) * size {
            return;
        }
        self.region = (self.region + 1) % REGIONS;
        self.cursor = if self.region == 0 { self.stubs.end as usize } else { self.region * size };
        for id in std::mem::take(&mut self.regions[self.region]) {
            if self.units[id as usize].alive {
                self.counters.evicted += 1;
                self.drop_unit(id);
            }
            // Its code is gone: nobody may patch it any longer.
            self.by_code.remove(&self.units[id as usize].at);
            self.units[id as usize].links = Box::default();
            self.free.push(id);
        }
    }

    /// Code on the page of unit `id` is to be left to the interpreter for as long as if it was rewritten often.
    pub fn defer(&mut self, id: u32) {
        if let Some(unit) = self.units.get(id as usize) {
            let rewrites = self.rewrites.entry(unit.ram >> 12).or_default();
            *rewrites = (*rewrites).max(DEFERRED);
        }
    }

    /// Drops unit `id`, if it was not dropped already, so that it is translated anew.
    pub fn drop_by_number(&mut self, id: u32) {
        if self.units.get(id as usize).is_some_and(|u| u.alive) {
            self.drop_unit(id);
        }
    }

    /// Forgets unit `id`: nothing leads to it any longer. Its code stays until its region is emptied.
    fn drop_unit(&mut self, id: u32) {
        let unit = &mut self.units[id as usize];
        unit.alive = false;
        let (ram, eip, space) = (unit.ram, unit.eip, unit.space);
        let incoming = std::mem::take(&mut unit.incoming);
        let entry = unit.entry;
        self.by_entry.remove(&entry);
        self.index.remove(&(ram, eip, space));
        if let Some(ids) = self.by_page.get_mut(&(ram >> 12)) {
            ids.retain(|other| *other != id);
        }
        self.spaces[space as usize].remove(eip);
        for link in incoming {
            let (from, n) = parts(link);
            let unit = &self.units[from];
            if let Some(site) = unit.links.get(n)
                && site.target == eip
                && unit.space == space
            {
                let (patch, stub) = (unit.at + site.patch, unit.at + site.stub);
                self.patch(patch, stub);
            }
        }
    }

    /// Drops the units on RAM page `page` that touch one of `lines`.
    pub fn drop_lines(&mut self, page: usize, lines: u64) {
        let ids = self.by_page.get(&(page as u64)).cloned().unwrap_or_default();
        let mut hit = false;
        for id in ids {
            if self.units[id as usize].lines() & lines != 0 {
                self.counters.invalidated += 1;
                self.drop_unit(id);
                hit = true;
            }
        }
        if hit {
            let rewrites = self.rewrites.entry(page as u64).or_default();
            *rewrites = rewrites.saturating_add(1);
        }
    }

    /// How often code on the page of RAM at `ram` was overwritten.
    pub fn rewrites(&self, ram: u64) -> u32 {
        self.rewrites.get(&(ram >> 12)).copied().unwrap_or(0)
    }

    /// Drops everything.
    pub fn drop_all(&mut self) {
        self.units.clear();
        self.free.clear();
        self.by_entry.clear();
        self.by_code.clear();
        self.index.clear();
        self.by_page.clear();
        self.rewrites.clear();
        self.regions = Default::default();
        self.region = 0;
        self.cursor = self.stubs.end as usize;
        self.spaces.iter_mut().for_each(Space::forget_all);
    }

    /// Where units lie on RAM page `page`: offsets in RAM, with lengths.
    pub fn code_on(&self, page: usize) -> Vec<(u64, u64)> {
        let ids = self.by_page.get(&(page as u64)).map_or(&[][..], Vec::as_slice);
        ids.iter().map(|id| &self.units[*id as usize]).map(|u| (u.ram, u64::from(u.length))).collect()
    }
}

/// The number of the unit, and that of the link in it.
fn parts(link: u32) -> (usize, usize) {
    ((link >> UNIT_SHIFT) as usize, ((link & ((1 << UNIT_SHIFT) - 1)) as usize).wrapping_sub(1))
}

#[cfg(all(test, windows))]
mod tests {
    use super::*;

    /// Looking up takes memory on Windows.
    #[test]
    fn looking_up_eips_everywhere_takes_a_bounded_amount_of_memory() {
        let mut cache =
            Cache::new(&Options { arena: 0, unit: 1, ..Options::default() }).expect("executable memory");
        let space = cache.space_of(ModeKey::default(), None).expect("address space");
        let mut most = 0;
        for eip in (0..8192).map(|n| n << 19) {
            assert_eq!(cache.spaces[space as usize].code(eip), None);
            most = most.max(cache.spaces[space as usize].committed());
            cache.looked_up(space);
        }
        assert!(most <= COMMITTED_MAX + 0x1_0000, "{most}");
        assert!(most > COMMITTED_MAX, "{most}: the bound was reached");
    }
}
