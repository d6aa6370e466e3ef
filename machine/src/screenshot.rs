//! Pictures of the guest's screen.

use crate::machine::Machine;
use idem86_devices::vga::{Frame, Look};
use std::io::Write;

/// A picture of the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Screenshot {
    width: u32,
    height: u32,
    rgb: Vec<u8>,
}

impl Screenshot {
    /// PELs in a line, at least 1.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Lines, at least 1.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// The PELs line by line from the top left: red, green and blue, one byte each.
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }

    /// Red, green and blue of the PEL at `x`, `y`; `None` outside the picture.
    pub fn pixel(&self, x: u32, y: u32) -> Option<[u8; 3]> {
        let at = (y as usize * self.width as usize + x as usize) * 3;
        let pel = (x < self.width).then(|| self.rgb.get(at..at + 3)).flatten()?;
        pel.try_into().ok()
    }

    /// Writes it as a PNG picture.
    pub fn write_png(&self, out: impl Write) -> Result<(), png::EncodingError> {
        let mut encoder = png::Encoder::new(out, self.width, self.height);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.write_header()?.write_image_data(&self.rgb)
    }
}

impl From<Frame> for Screenshot {
    fn from(frame: Frame) -> Self {
        // A display that shows nothing is a black picture, not an error.
        let (width, height) = (frame.width().max(1), frame.height().max(1));
        let mut rgb = Vec::with_capacity(frame.pixels().len().max(1) * 3);
        for pel in frame.pixels() {
            let [_, r, g, b] = pel.to_be_bytes();
            rgb.extend([r, g, b]);
        }
        rgb.resize((width * height * 3) as usize, 0);
        Screenshot { width, height, rgb }
    }
}

impl Machine {
    /// The screen as it is now.
    pub fn screenshot(&self) -> Screenshot {
        self.screenshot_with(self.board.vga.look(self.now()))
    }

    /// The screen as it would look at a moment chosen by `look`. Pictures with [`Look::STEADY`] of the same screen are
    /// the same whenever they are taken; with an attribute, whatever the colours of the text.
    pub fn screenshot_with(&self, look: Look) -> Screenshot {
        let mut frame = Frame::new();
        self.board.vga.render_with(look, &mut frame);
        frame.into()
    }

    /// Writes the screen as a PNG picture.
    pub fn write_screenshot(&mut self, out: impl Write) -> Result<(), png::EncodingError> {
        self.screenshot().write_png(out)
    }
}
