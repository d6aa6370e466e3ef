//! Pictures of the guest's screen.

use crate::machine::Machine;
use idem86_devices::vga::Frame;
use std::io::Write;

impl Machine {
    /// Writes the screen as a PNG picture.
    pub fn write_screenshot(&mut self, out: impl Write) -> Result<(), png::EncodingError> {
        let now = self.now();
        let mut frame = Frame::new();
        self.board.vga.render(now, &mut frame);
        // A display that shows nothing is a black picture, not an error.
        let (width, height) = (frame.width().max(1), frame.height().max(1));
        let mut rgb = Vec::with_capacity((width * height * 3) as usize);
        for y in 0..height {
            for x in 0..width {
                rgb.extend(frame.rgb(x, y).unwrap_or_default());
            }
        }
        let mut encoder = png::Encoder::new(out, width, height);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.write_header()?.write_image_data(&rgb)
    }
}
