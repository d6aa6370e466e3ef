//! VBE modes: a surface in video memory becomes colours.

use super::super::Vga;
use super::super::dispi::{Depth, Surface};
use super::super::frame::Frame;
use super::dots::planar_pels;
use std::ops::Range;

/// The low `bits` (4 to 8) of `value`, spread over the brightness of a gun.
fn gun(value: u32, bits: u32) -> u32 {
    let value = value & ((1 << bits) - 1);
    value << (8 - bits) | value >> (2 * bits - 8)
}

fn rgb_15(pel: u32) -> u32 {
    gun(pel >> 10, 5) << 16 | gun(pel >> 5, 5) << 8 | gun(pel, 5)
}

fn rgb_16(pel: u32) -> u32 {
    gun(pel >> 11, 5) << 16 | gun(pel >> 5, 6) << 8 | gun(pel, 5)
}

impl Vga {
    pub(super) fn render_surface(&self, surface: &Surface, frame: &mut Frame, lines: Range<u32>) {
        match surface.depth {
            Depth::Planar4 => {
                let colors = self.colors_4();
                for y in lines {
                    let first = (surface.start + y * surface.pitch) / 4;
                    let pels = (first..).flat_map(|cell| planar_pels(self.vram.cell(cell)));
                    let shown = pels.skip(surface.skip as usize);
                    for (target, pel) in frame.line_mut(y).iter_mut().zip(shown) {
                        *target = colors[usize::from(pel)];
                    }
                }
            }
            Depth::Indexed8 => {
                let colors = self.colors_8();
                self.render_pels(surface, frame, lines, |[pel]| colors[usize::from(pel)]);
            }
            Depth::Rgb15 => {
                self.render_pels(surface, frame, lines, |pel| rgb_15(u16::from_le_bytes(pel).into()));
            }
            Depth::Rgb16 => {
                self.render_pels(surface, frame, lines, |pel| rgb_16(u16::from_le_bytes(pel).into()));
            }
            Depth::Rgb24 => {
                self.render_pels(surface, frame, lines, |[b, g, r]| u32::from_le_bytes([b, g, r, 0]));
            }
            Depth::Rgb32 => {
                self.render_pels(surface, frame, lines, |[b, g, r, _]| u32::from_le_bytes([b, g, r, 0]));
            }
        }
    }

    fn render_pels<const BYTES: usize>(
        &self,
        surface: &Surface,
        frame: &mut Frame,
        lines: Range<u32>,
        color: impl Fn([u8; BYTES]) -> u32,
    ) {
        for y in lines {
            let start = (surface.start + y * surface.pitch) as usize;
            let (pels, _) = self.vram.bytes()[start..].as_chunks::<BYTES>();
            for (target, pel) in frame.line_mut(y).iter_mut().zip(pels) {
                *target = color(*pel);
            }
        }
    }
}
