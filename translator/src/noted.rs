//! Pages that are noted to be looked at later, again and again the same ones.

/// Notes before those that are there twice are looked for.
const MIN: usize = 4096;

/// Numbers of pages; some may be there twice.
#[derive(Debug)]
pub struct NotedPages {
    pages: Vec<u32>,
    /// How many there must be before those that are there twice are looked for.
    look_at: usize,
}

impl Default for NotedPages {
    fn default() -> Self {
        NotedPages { pages: Vec::new(), look_at: MIN }
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
    }

    /// How many notes there are.
    pub fn len(&self) -> usize {
        self.pages.len()
    }

    /// The pages.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        self.pages.iter().copied()
    }

    /// Forgets the pages, and tells `each` of them, those noted last first.
    pub fn drain(&mut self, each: impl FnMut(u32)) {
        self.pages.drain(..).rev().for_each(each);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
