//! The beam: where on the screen a moment of guest time falls, by dot clock and CRTC timing.

use super::crtc::Crtc;
use super::dispi::Surface;
use super::sequencer::Sequencer;
use crate::time::GuestDuration;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// The two crystals of an IBM VGA, in hertz. Clock selects 2 and 3 lead to the feature connector; they run as 0
/// and 1 do, so that a guest which waits for retrace is not left waiting.
const CRYSTALS: [u32; 2] = [25_175_000, 28_322_000];

/// Frames a second of a VBE mode.
const VBE_FRAME_RATE: u32 = 60;

/// The timing of one frame. A frame starts with its first displayed line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Raster {
    /// Dots a second.
    clock: u32,
    dots_per_line: u32,
    displayed_dots: u32,
    lines: u32,
    displayed_lines: u32,
    /// First line and length of vertical retrace; `None` where it never comes.
    retrace: Option<(u32, u32)>,
}

/// Where the beam is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Beam {
    /// Frames completed.
    pub frame: u64,
    /// Inside the displayed part of a displayed line.
    pub displaying: bool,
    pub vertical_retrace: bool,
}

impl Raster {
    /// The timing that the VGA registers give; `clock_select` is bits 3-2 of miscellaneous output.
    pub fn new(clock_select: u8, sequencer: &Sequencer, crtc: &Crtc) -> Raster {
        let crystal = CRYSTALS[usize::from(clock_select & 1)];
        let character = if sequencer.nine_dots() { 9 } else { 8 };
        let step = crtc.line_step();
        let lines = crtc.vertical_total() * step;
        let (start, length) = crtc.vertical_retrace();
        let (start, length) = (start * step, length * step);
        Raster {
            clock: if sequencer.half_clock() { crystal / 2 } else { crystal },
            dots_per_line: crtc.horizontal_total() * character,
            displayed_dots: crtc.horizontal_display().min(crtc.horizontal_total()) * character,
            lines,
            displayed_lines: (crtc.vertical_display() * step).min(lines),
            retrace: (crtc.retrace_enabled() && start < lines && length < lines).then_some((start, length)),
        }
    }

    /// The timing of a VBE mode: DISPI has no timing registers, so it gets blanking in usual proportions.
    pub fn of_surface(surface: &Surface) -> Raster {
        let (width, height) = (surface.width, surface.height);
        let (dots_per_line, lines) = (width + width / 4 + 8, height + height / 20 + 8);
        Raster {
            clock: dots_per_line * lines * VBE_FRAME_RATE,
            dots_per_line,
            displayed_dots: width,
            lines,
            displayed_lines: height,
            retrace: Some((height + 2, 3)),
        }
    }

    /// Lines that a frame shows.
    pub fn displayed_lines(&self) -> u32 {
        self.displayed_lines
    }

    fn dots_per_frame(&self) -> u64 {
        u64::from(self.dots_per_line) * u64::from(self.lines)
    }

    /// Dots completed in the given time.
    fn dots(&self, elapsed: GuestDuration) -> u64 {
        match elapsed.as_nanos().checked_mul(self.clock.into()) {
            Some(product) => product / NANOS_PER_SECOND,
            None => {
                let dots =
                    u128::from(elapsed.as_nanos()) * u128::from(self.clock) / u128::from(NANOS_PER_SECOND);
                // 2^64 ns at less than 10^9 Hz make less than 2^64 dots.
                dots as u64
            }
        }
    }

    /// Where the beam is, `elapsed` after the start of a frame.
    pub fn beam(&self, elapsed: GuestDuration) -> Beam {
        let dots = self.dots(elapsed);
        let in_frame = (dots % self.dots_per_frame()) as u32;
        let (line, dot) = (in_frame / self.dots_per_line, in_frame % self.dots_per_line);
        Beam {
            frame: dots / self.dots_per_frame(),
            displaying: line < self.displayed_lines && dot < self.displayed_dots,
            vertical_retrace: self.retrace.is_some_and(|(start, length)| {
                let since_start = if line >= start { line - start } else { line + self.lines - start };
                since_start < length
            }),
        }
    }

    /// How many vertical retraces have started.
    pub fn retraces(&self, elapsed: GuestDuration) -> u64 {
        let Some((start, _)) = self.retrace else { return 0 };
        let first = u64::from(start) * u64::from(self.dots_per_line);
        (self.dots(elapsed) + (self.dots_per_frame() - first)) / self.dots_per_frame()
    }

    /// When vertical retrace number `n` (from 0) starts; `None` if never.
    pub fn retrace_start(&self, n: u64) -> Option<GuestDuration> {
        let (start, _) = self.retrace?;
        let dot = u128::from(start) * u128::from(self.dots_per_line)
            + u128::from(n) * u128::from(self.dots_per_frame());
        let nanos = (dot * u128::from(NANOS_PER_SECOND)).div_ceil(u128::from(self.clock));
        u64::try_from(nanos).ok().map(GuestDuration::from_nanos)
    }
}
