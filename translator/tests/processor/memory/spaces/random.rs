//! Random stories of spaces that share tables.

use super::*;
use crate::programs::{Random, setting};

/// Pages of each that are used.
const PAGES: u32 = 3;
/// Regions whose tables change.
const REGIONS: u32 = 3;

/// Directories and tables as a random story left them: for each space the table of each region, if any.
struct Model {
    tables: [[Option<u32>; REGIONS as usize]; 4],
    present: usize,
    spaces: usize,
}

impl Model {
    fn page(r: &mut Random) -> (u32, u32) {
        (r.below(REGIONS), r.below(PAGES))
    }

    fn linear(region: u32, page: u32) -> u32 {
        (region + 1) * REGION + page * 0x1000
    }

    /// What makes the present space see a change of `page` in `table`, whatever it is.
    fn settle(&mut self, r: &mut Random, table: u32, page: u32, steps: &mut Vec<(Step, Then)>) {
        let regions = (0..REGIONS).filter(|n| self.tables[self.present][*n as usize] == Some(table));
        let used: Vec<u32> = regions.map(|region| Model::linear(region, page)).collect();
        if used.is_empty() {
            return;
        }
        if r.one_in(2) {
            steps.extend(used.into_iter().map(|linear| (Invalidate(linear), Goes)));
        } else {
            self.load(r, steps);
        }
    }

    fn load(&mut self, r: &mut Random, steps: &mut Vec<(Step, Then)>) {
        self.present = r.below(self.spaces as u32) as usize;
        steps.push(load(SPACES[self.present]));
    }

    fn step(&mut self, r: &mut Random, steps: &mut Vec<(Step, Then)>) {
        let rights = [7, 7, 7, 7, 5, 3, 0, 7 | ACCESSED, 7 | ACCESSED | DIRTY, 5 | ACCESSED];
        match r.below(16) {
            0..8 => {
                let (region, page) = Model::page(r);
                let linear = Model::linear(region, page) + r.pick(&[0, 4, 0x80, 0x800, 0xFFC]);
                let access = r.below(6);
                steps.push((
                    match access {
                        0 => Read(linear),
                        1 => Write(linear),
                        2 => Modify(linear),
                        3 => KernelRead(linear),
                        4 => KernelWrite(linear),
                        _ => Visit(Model::linear(region, page) + CODE),
                    },
                    Goes,
                ));
            }
            8..12 => self.load(r, steps),
            12..15 => {
                // A page's entry, in a table that is used or not.
                let (table, page) = (r.below(TABLE_COUNT), r.below(PAGES));
                let at = TABLES + table * 0x1000 + page * 4;
                let value = (FRAME + r.below(FRAMES) * 0x1000) | r.pick(&rights);
                match r.below(6) {
                    0..3 => steps.push((Put(at, value), Goes)),
                    3 => steps.push((PutByte(at, r.pick(&rights) as u8), Goes)),
                    4 => steps.push((PutWord(at, value as u16), Goes)),
                    _ => {
                        steps.push((Fill(at, value, 2), Goes));
                        self.settle(r, table, page, steps);
                        // The load may have been of another space, for which this one's tables hold.
                        if let Some((Invalidate(_), _)) = steps.last() {
                            steps.push(load(SPACES[self.present]));
                        }
                        return;
                    }
                }
                self.settle(r, table, page, steps);
            }
            _ => {
                let (space, region) = (r.below(self.spaces as u32) as usize, r.below(REGIONS));
                let table = (!r.one_in(4)).then(|| r.below(TABLE_COUNT));
                self.tables[space][region as usize] = table;
                let value =
                    table.map_or(0, |n| (TABLES + n * 0x1000) | r.pick(&[7, 7, 7, 5, 3, 7 | ACCESSED]));
                steps.push((Put(SPACES[space] + 4 * (region + 1), value), Goes));
                if space == self.present {
                    self.load(r, steps);
                }
            }
        }
    }
}

/// Every entry is absent, and would lead to a frame.
fn shared_tables(k: &mut Kit) {
    spaces(k);
    (0..TABLE_COUNT * 1024).for_each(|n| k.put32(TABLES + n * 4, FRAME));
}

/// Stories of spaces that share tables, with changes that are made known as the architecture demands, no more.
fn random(cpl: u8) {
    const STEPS: usize = 900;
    let (first, count) = (setting("IDEM86_PROGRAM_SEED", 1), setting("IDEM86_PROGRAMS", 60) / 6);
    let mut total = [0; 5];
    for seed in first..first + count {
        let r = &mut Random::new(seed);
        let mut model = Model { tables: [[None; 3]; 4], present: 0, spaces: 2 + r.below(3) as usize };
        let mut steps = Vec::new();
        while steps.len() < STEPS {
            model.step(r, &mut steps);
        }
        let sums = std::cell::Cell::new(total);
        everywhere(
            &format!("seed {seed}"),
            || machine(cpl, shared_tables, &steps),
            |k| {
                to_halt(k);
                if let Some(c) = k.engine.counters().map(|c| c.spaces) {
                    let [entered, begun, dropped, walks, compared] = sums.get();
                    sums.set([
                        entered + c.entered,
                        begun + c.begun,
                        dropped + c.dropped,
                        walks + c.dropped_by_walks,
                        compared + c.compared,
                    ]);
                }
            },
        );
        total = sums.get();
    }
    println!("entered, begun, dropped by comparisons and walks, compared: {total:?}");
    assert!(count < 5 || total.into_iter().min() > Some(50), "the stories do what they are for: {total:?}");
}

#[test]
fn random_stories_of_the_kernel() {
    random(0);
}

#[test]
fn random_stories_of_users() {
    random(3);
}
