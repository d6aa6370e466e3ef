//! What loads of segment registers gave, for translated code to give it again.

/// What a load of a selector into DS, ES, FS or GS at CPL 0 gave. It gives the same again as long as the descriptor in
/// memory is the same.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Known {
    /// The selector, and [`Known::FLAT`].
    pub tag: u64,
    /// Where the table for reads has the entry of the descriptor's page, in bytes.
    pub index: u64,
    /// Linear address of the descriptor, a multiple of eight.
    pub linear: u64,
    /// The descriptor.
    pub descriptor: u64,
    /// The segment's base.
    pub base: u64,
    /// What may be read; see [`Context::limit`](super::context::Context::limit).
    pub read: u64,
    /// What may be written.
    pub write: u64,
    /// 1 if a return to CPL 3 takes the segment away, else 0.
    pub private: u64,
}

impl Known {
    /// In the tag: all 4 GiB can be read and written, and the base is 0.
    pub const FLAT: u64 = 1 << 16;
    /// log2 of the size.
    pub const SHIFT: u32 = size_of::<Known>().trailing_zeros();
}

/// What is known, by the low byte of the selector.
#[repr(C)]
#[derive(Debug)]
pub struct KnownDescriptors([Known; 256]);

impl Default for KnownDescriptors {
    /// Nothing: the tag of each has another low byte than its place.
    fn default() -> Self {
        KnownDescriptors(std::array::from_fn(|n| Known { tag: !n as u64 & 0xFF, ..Known::default() }))
    }
}

impl KnownDescriptors {
    /// What is known of `selector`, or of another one in its place.
    pub fn place(&mut self, selector: u16) -> &mut Known {
        &mut self.0[usize::from(selector & 0xFF)]
    }
}
