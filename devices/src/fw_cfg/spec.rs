//! The firmware configuration interface: ports, items and formats, as its public description (fw_cfg) and SeaBIOS
//! define them.

/// Register offsets, counted from port 510h.
pub mod offset {
    /// Selector, a little-endian word. It overlaps the data register.
    pub const SELECTOR: u16 = 0;
    /// Data, a byte at a time.
    pub const DATA: u16 = 1;
    /// DMA address, high half, big-endian.
    pub const DMA_HIGH: u16 = 4;
    /// DMA address, low half, big-endian; writing it starts the transfer.
    pub const DMA_LOW: u16 = 8;
    /// Beyond the last register.
    pub const END: u16 = 12;
}

/// The key of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub(super) u16);

impl Key {
    /// "QEMU": the interface exists.
    pub(super) const SIGNATURE: Key = Key(0x00);
    /// Features, a 32-bit set.
    pub(super) const ID: Key = Key(0x01);
    /// The directory of the named items.
    pub(super) const FILE_DIRECTORY: Key = Key(0x19);
    /// The first named item.
    pub(super) const FIRST_FILE: Key = Key(0x20);

    /// Bytes of memory, 64 bits.
    pub const RAM_SIZE: Key = Key(0x03);
    /// Whether graphics are off, 16 bits.
    pub const NO_GRAPHIC: Key = Key(0x04);
    /// Processors present, 16 bits.
    pub const PROCESSORS: Key = Key(0x05);
    /// Load address of the kernel, 32 bits.
    pub const KERNEL_ADDRESS: Key = Key(0x07);
    /// Bytes of the kernel, 32 bits.
    pub const KERNEL_SIZE: Key = Key(0x08);
    /// Load address of the initial RAM disk, 32 bits.
    pub const INITRD_ADDRESS: Key = Key(0x0A);
    /// Bytes of the initial RAM disk, 32 bits.
    pub const INITRD_SIZE: Key = Key(0x0B);
    /// Nodes, then per processor its node, then per node its bytes, 64 bits each.
    pub const NUMA: Key = Key(0x0D);
    /// Whether the BIOS offers a boot menu, 16 bits.
    pub const BOOT_MENU: Key = Key(0x0E);
    /// Processors possible, 16 bits.
    pub const MAXIMUM_PROCESSORS: Key = Key(0x0F);
    /// Entry point of the kernel, 32 bits.
    pub const KERNEL_ENTRY: Key = Key(0x10);
    /// The kernel.
    pub const KERNEL_DATA: Key = Key(0x11);
    /// The initial RAM disk.
    pub const INITRD_DATA: Key = Key(0x12);
    /// Load address of the command line, 32 bits.
    pub const COMMAND_LINE_ADDRESS: Key = Key(0x13);
    /// Bytes of the command line with its final zero, 32 bits.
    pub const COMMAND_LINE_SIZE: Key = Key(0x14);
    /// The command line, zero-terminated.
    pub const COMMAND_LINE_DATA: Key = Key(0x15);
    /// Load address of the real-mode setup code, 32 bits.
    pub const SETUP_ADDRESS: Key = Key(0x16);
    /// Bytes of the setup code, 32 bits.
    pub const SETUP_SIZE: Key = Key(0x17);
    /// The setup code.
    pub const SETUP_DATA: Key = Key(0x18);
    /// ACPI tables to install, each with its length before it.
    pub const ACPI_TABLES: Key = Key(0x8000);
    /// SMBIOS structures to install.
    pub const SMBIOS: Key = Key(0x8001);
    /// Whether IRQ 0 reaches the I/O APIC's input 2, a byte.
    pub const IRQ0_OVERRIDE: Key = Key(0x8002);
}

/// The signature item, and what the first half of the DMA address reads as.
pub const SIGNATURE: &[u8; 4] = b"QEMU";
/// What the DMA address register reads as.
pub const DMA_SIGNATURE: &[u8; 8] = b"QEMU CFG";
/// Features: the selector and data registers, and the DMA interface.
pub const FEATURES: u32 = 0b11;

/// Bits of the control field of a DMA access.
pub mod dma {
    /// Set by the device: the access failed.
    pub const ERROR: u32 = 1 << 0;
    /// Copy from the item to memory.
    pub const READ: u32 = 1 << 1;
    /// Pass over bytes of the item.
    pub const SKIP: u32 = 1 << 2;
    /// First select the item named in bits 31 to 16.
    pub const SELECT: u32 = 1 << 3;
    /// Copy from memory to the item.
    pub const WRITE: u32 = 1 << 4;
    /// Bytes of the access structure: control, length (32 bits each) and address (64 bits), big-endian.
    pub const ACCESS_LENGTH: usize = 16;
}

/// Bytes of a name in the file directory, its final zero included.
pub const NAME_LENGTH: usize = 56;
