//! Pages that are noted to be looked at later, again and again the same ones: their numbers, and ranges of these.

use std::collections::HashMap;

/// Notes before those that are there twice are looked for.
const MIN: usize = 4096;

/// Between which numbers pages lie.
#[derive(Clone, Copy, Debug)]
pub struct Reach {
    first: u32,
    last: u32,
}

impl Reach {
    /// Of no page.
    pub const NONE: Reach = Reach { first: u32::MAX, last: 0 };

    /// Page `number` lies there too.
    pub fn include(&mut self, number: u32) {
        (self.first, self.last) = (self.first.min(number), self.last.max(number));
    }

    /// Whether one of them may be one from `first` to `last`.
    pub fn meets(self, first: u32, last: u32) -> bool {
        self.first <= last && first <= self.last
    }
}

/// Forgets what `of` holds for the pages from number `first` to `last`. Most often it holds nothing, and keeps room.
pub fn forget_range<T, S>(of: &mut HashMap<u32, T, S>, first: u32, last: u32) {
    if !of.is_empty() {
        of.retain(|number, _| !(first..=last).contains(number));
    }
}

/// Numbers of pages; some may be there twice.
#[derive(Debug)]
pub struct NotedPages {
    pages: Vec<u32>,
    reach: Reach,
    /// How many there must be before those that are there twice are looked for.
    look_at: usize,
}

impl Default for NotedPages {
    fn default() -> Self {
        NotedPages { pages: Vec::new(), reach: Reach::NONE, look_at: MIN }
    }
}

impl NotedPages {
    /// Notes a page.
    pub fn note(&mut self, number: u32) {
        if self.pages.len() >= self.look_at {
            self.pages.sort_unstable();
            self.pages.dedup();
            self.look_at = (2 * self.pages.len()).max(MIN);
        }
        self.pages.push(number);
        self.reach.include(number);
    }

    /// How many notes there are that may be about pages from `first` to `last`.
    pub fn len_among(&self, first: u32, last: u32) -> usize {
        if self.reach.meets(first, last) { self.pages.len() } else { 0 }
    }

    /// The pages.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        self.pages.iter().copied()
    }

    /// Forgets the pages, and tells `each` of them, those noted last first.
    pub fn drain(&mut self, each: impl FnMut(u32)) {
        self.reach = Reach::NONE;
        self.pages.drain(..).rev().for_each(each);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_notes_between_which_a_page_may_lie_count() {
        let mut noted = NotedPages::default();
        assert_eq!(noted.len_among(0, u32::MAX), 0);
        [0x300, 0x100].into_iter().for_each(|n| noted.note(n));
        let among = [(0, 0xFF), (0, 0x100), (0x180, 0x200), (0x300, 0x300), (0x301, 0x400)];
        assert_eq!(among.map(|(first, last)| noted.len_among(first, last)), [0, 2, 2, 2, 0]);
        noted.drain(|_| ());
        assert_eq!(noted.len_among(0, u32::MAX), 0);
    }

    #[test]
    fn pages_noted_again_and_again_do_not_add_up() {
        let mut noted = NotedPages::default();
        (0..100_000).for_each(|n| noted.note(n % 3));
        assert!(noted.pages.len() <= MIN);
        let mut seen = noted.iter().collect::<Vec<_>>();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen, [0, 1, 2]);
        noted.drain(|_| ());
        assert_eq!(noted.iter().count(), 0);
    }
}
