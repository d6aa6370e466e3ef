//! The picture in colours, and which of it changed.

mod characters;
mod dots;
mod surface;

use super::Vga;
use super::dispi::{Depth, Surface};
use super::frame::Frame;
use super::scanout::Scanout;
use super::vram::{DIRTY_PAGE_SIZE, PLANAR_PAGES, Pages};
use crate::time::GuestTime;
use std::ops::Range;

/// The picture of a monitor without a signal: black, of this size.
const NO_SIGNAL: (u32, u32) = (640, 480);

/// A cursor is shown and hidden for this many frames each.
const CURSOR_BLINK_FRAMES: u64 = 8;
/// Blinking characters likewise.
const ATTRIBUTE_BLINK_FRAMES: u64 = 16;

/// What has changed on the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Damage {
    /// Nothing.
    None,
    /// These lines; the size is the same.
    Lines(Range<u32>),
    /// Possibly everything, the size included.
    Frame,
}

/// What a picture shows apart from the registers: mostly the phase of blinking that a moment falls into. Pictures
/// that are to be compared take one that is always the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// The cursor is shown, if it is on.
    pub cursor_shown: bool,
    /// Blinking characters are shown.
    pub attribute_shown: bool,
    /// Characters have this attribute instead of their own.
    pub attribute: Option<u8>,
}

impl Look {
    /// No cursor, and blinking characters shown.
    pub const STEADY: Look = Look { cursor_shown: false, attribute_shown: true, attribute: None };
}

/// What the last look at the damage saw.
pub(super) struct Shown {
    registers_changed: bool,
    look: Look,
}

impl Default for Shown {
    fn default() -> Self {
        let look = Look { cursor_shown: true, ..Look::STEADY };
        Shown { registers_changed: true, look }
    }
}

impl Shown {
    /// A register that the picture may depend on was written.
    pub fn registers_changed(&mut self) {
        self.registers_changed = true;
    }
}

/// Where the picture comes from.
enum Source<'a> {
    NoSignal,
    /// The display is off: all of the picture has one colour.
    Off(u32, u32, u32),
    Surface(Surface),
    Text(Scanout<'a>),
    Graphics(Scanout<'a>),
}

impl Source<'_> {
    fn size(&self) -> (u32, u32) {
        match self {
            Source::NoSignal => NO_SIGNAL,
            Source::Off(width, height, _) => (*width, *height),
            Source::Surface(surface) => (surface.width, surface.height),
            Source::Text(scanout) | Source::Graphics(scanout) => (scanout.width(), scanout.height),
        }
    }
}

impl Vga {
    fn source(&self) -> Source<'_> {
        let source = match self.dispi.surface() {
            Some(surface) => Source::Surface(surface),
            None if !self.sequencer.running() => return Source::NoSignal,
            None if self.shows_text() => Source::Text(Scanout::new(self)),
            None => Source::Graphics(Scanout::new(self)),
        };
        let (width, height) = source.size();
        if self.sequencer.screen_off() {
            Source::Off(width, height, 0)
        } else if !self.attribute.display_enabled() {
            Source::Off(width, height, self.dac.rgb(self.attribute.overscan()))
        } else {
            source
        }
    }

    /// The phase of blinking at `now`.
    pub fn look(&self, now: GuestTime) -> Look {
        let frame = self.raster.beam(self.elapsed(now)).frame;
        Look {
            cursor_shown: (frame / CURSOR_BLINK_FRAMES).is_multiple_of(2),
            attribute_shown: (frame / ATTRIBUTE_BLINK_FRAMES).is_multiple_of(2),
            attribute: None,
        }
    }

    /// The size of the picture, width and height, in PELs. Scan lines that only repeat others are left out:
    /// mode 13h is 320 by 200.
    pub fn resolution(&self) -> (u32, u32) {
        self.source().size()
    }

    /// Draws the picture of the moment `now`. `frame` takes its size, at most 2560 by 2048.
    pub fn render(&self, now: GuestTime, frame: &mut Frame) {
        self.render_lines(now, frame, 0..u32::MAX);
    }

    /// Draws the picture with `look`, whatever the time. Otherwise as [`Vga::render`].
    pub fn render_with(&self, look: Look, frame: &mut Frame) {
        self.draw(look, frame, 0..u32::MAX);
    }

    /// Draws some lines of the picture; all of them if `frame` had another size.
    pub fn render_lines(&self, now: GuestTime, frame: &mut Frame, lines: Range<u32>) {
        self.draw(self.look(now), frame, lines);
    }

    fn draw(&self, look: Look, frame: &mut Frame, lines: Range<u32>) {
        let source = self.source();
        let (width, height) = source.size();
        let lines = if frame.resize(width, height) { 0..height } else { lines.start..lines.end.min(height) };
        match &source {
            Source::NoSignal => lines.for_each(|y| frame.line_mut(y).fill(0)),
            Source::Off(_, _, color) => lines.for_each(|y| frame.line_mut(y).fill(*color)),
            Source::Surface(surface) => self.render_surface(surface, frame, lines),
            Source::Text(scanout) => self.render_text(scanout, look, frame, lines),
            Source::Graphics(scanout) => self.render_graphics(scanout, look, frame, lines),
        }
    }

    /// What has changed on the screen since the last call.
    pub fn take_damage(&mut self, now: GuestTime) -> Damage {
        let dirty = self.vram.take_dirty();
        let look = self.look(now);
        let source = self.source();
        let blinks = match source {
            Source::Text(_) => true,
            Source::Graphics(_) => self.attribute.blink(),
            Source::NoSignal | Source::Off(..) | Source::Surface(_) => false,
        };
        let memory =
            match &source {
                Source::NoSignal | Source::Off(..) => Damage::None,
                Source::Surface(surface) if surface.depth == Depth::Planar4 => {
                    if dirty.iter().next().is_some() { Damage::Frame } else { Damage::None }
                }
                Source::Surface(surface) => surface_damage(surface, &dirty),
                Source::Text(_) | Source::Graphics(_) => {
                    if dirty.iter().next().is_some_and(|page| page < PLANAR_PAGES) {
                        Damage::Frame
                    } else {
                        Damage::None
                    }
                }
            };
        let changed = self.shown.registers_changed || blinks && look != self.shown.look;
        self.shown = Shown { registers_changed: false, look };
        if changed { Damage::Frame } else { memory }
    }

    /// The colours of four-bit PELs.
    fn colors_4(&self) -> [u32; 16] {
        std::array::from_fn(|pel| self.dac.rgb(self.attribute.dac_address(pel as u8)))
    }

    /// The colours of eight-bit PELs.
    fn colors_8(&self) -> [u32; 256] {
        std::array::from_fn(|pel| self.dac.rgb(pel as u8))
    }
}

/// From the first to the last line that has a changed page.
fn surface_damage(surface: &Surface, dirty: &Pages) -> Damage {
    let start = surface.start as usize;
    let pitch = surface.pitch as usize;
    let (mut first, mut after) = (surface.height, 0);
    for page in dirty.iter() {
        let bytes = page * DIRTY_PAGE_SIZE..(page + 1) * DIRTY_PAGE_SIZE;
        if bytes.end > start {
            first = first.min((bytes.start.saturating_sub(start) / pitch) as u32);
            after = after.max(((bytes.end - 1 - start) / pitch) as u32 + 1);
        }
    }
    let lines = first..after.min(surface.height);
    if lines.is_empty() { Damage::None } else { Damage::Lines(lines) }
}
