//! A rendered picture.

/// A picture of `width` by `height` PELs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    width: u32,
    height: u32,
    pixels: Vec<u32>,
}

impl Frame {
    /// An empty picture, to be rendered into.
    pub fn new() -> Self {
        Self::default()
    }

    /// PELs in a line.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Lines.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// The PELs line by line from the top left, each 0x00RRGGBB.
    pub fn pixels(&self) -> &[u32] {
        &self.pixels
    }

    /// Red, green and blue of the PEL at `x`, `y`; `None` outside the picture.
    pub fn rgb(&self, x: u32, y: u32) -> Option<[u8; 3]> {
        if x >= self.width || y >= self.height {
            return None;
        }
        let [_, r, g, b] = self.pixels[(y * self.width + x) as usize].to_be_bytes();
        Some([r, g, b])
    }

    /// Gives the picture a size; true if it had another one, in which case its contents are black.
    pub(super) fn resize(&mut self, width: u32, height: u32) -> bool {
        if (width, height) == (self.width, self.height) {
            return false;
        }
        (self.width, self.height) = (width, height);
        self.pixels.clear();
        self.pixels.resize((width * height) as usize, 0);
        true
    }

    pub(super) fn line_mut(&mut self, y: u32) -> &mut [u32] {
        let start = (y * self.width) as usize;
        &mut self.pixels[start..start + self.width as usize]
    }
}
