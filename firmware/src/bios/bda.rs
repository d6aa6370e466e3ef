//! The BIOS data area in segment 40h, and the extended one whose segment it names.
//!
//! IBM PC/AT and PS/2 and PC BIOS Interface Technical References, "BIOS Data Area"; IBM VGA: "Video BIOS data".

use crate::platform::{Number, Platform};
use std::marker::PhantomData;

/// Where the BIOS data area begins.
pub(crate) const BASE: u32 = 0x400;
/// Bytes that POST clears.
pub(crate) const SIZE: u32 = 0x100;

/// A number at a fixed place of the data area.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field<T> {
    offset: u16,
    of: PhantomData<T>,
}

impl<T: Number> Field<T> {
    const fn at(offset: u16) -> Self {
        Field { offset, of: PhantomData }
    }

    /// Offset in segment 40h.
    pub fn offset(self) -> u32 {
        self.offset.into()
    }

    pub fn get(self, io: &mut dyn Platform) -> T {
        io.get(BASE + self.offset())
    }

    pub fn set(self, io: &mut dyn Platform, value: T) {
        io.put(BASE + self.offset(), value);
    }

    /// Element `n` of an array of such numbers. The caller knows its length.
    pub const fn nth(self, n: u16) -> Self {
        Field { offset: self.offset + n * size_of::<T>() as u16, of: PhantomData }
    }
}

impl Field<u8> {
    /// Clears the bits of `clear`, then sets those of `set`.
    pub fn change(self, io: &mut dyn Platform, clear: u8, set: u8) {
        let value = self.get(io) & !clear | set;
        self.set(io, value);
    }
}

/// Port of the first of four serial ports, or zero.
pub(crate) const SERIAL_PORTS: Field<u16> = Field::at(0x00);
/// Segment of the extended data area.
pub(crate) const EBDA_SEGMENT: Field<u16> = Field::at(0x0E);
pub(crate) const EQUIPMENT: Field<u16> = Field::at(0x10);
/// Conventional memory in KiB.
pub(crate) const MEMORY_SIZE: Field<u16> = Field::at(0x13);

/// Shift keys that are down, and locks that are on: what INT 16h AH=02h gives.
pub(crate) const KEYBOARD_FLAGS: Field<u8> = Field::at(0x17);
pub(crate) const KEYBOARD_FLAGS_2: Field<u8> = Field::at(0x18);
/// In [`KEYBOARD_FLAGS_2`]: the Pause key was pressed.
pub(crate) const PAUSED: u8 = 1 << 3;
/// The code that is typed with Alt on the keypad.
pub(crate) const ALT_CODE: Field<u8> = Field::at(0x19);
/// Offsets in segment 40h of the next key to be read, and of the next place for one.
pub(crate) const KEY_HEAD: Field<u16> = Field::at(0x1A);
pub(crate) const KEY_TAIL: Field<u16> = Field::at(0x1C);
/// The keys' ring, as long as nobody has moved it.
pub(crate) const KEY_BUFFER: Field<u16> = Field::at(0x1E);

/// Bits 0 to 3: the drive is calibrated. Bit 7: the controller has interrupted.
pub(crate) const FLOPPY_CALIBRATED: Field<u8> = Field::at(0x3E);
pub(crate) const FLOPPY_INTERRUPTED: u8 = 1 << 7;
/// Bits 0 to 3: motors that are on.
pub(crate) const FLOPPY_MOTORS: Field<u8> = Field::at(0x3F);
/// Timer ticks until motors go off.
pub(crate) const FLOPPY_MOTOR_TICKS: Field<u8> = Field::at(0x40);
pub(crate) const FLOPPY_STATUS: Field<u8> = Field::at(0x41);
/// The seven bytes of the controller's last answer.
pub(crate) const FLOPPY_RESULT: Field<u8> = Field::at(0x42);

pub(crate) const VIDEO_MODE: Field<u8> = Field::at(0x49);
pub(crate) const VIDEO_COLUMNS: Field<u16> = Field::at(0x4A);
/// Bytes of a page.
pub(crate) const VIDEO_PAGE_SIZE: Field<u16> = Field::at(0x4C);
/// Where in display memory the active page begins.
pub(crate) const VIDEO_PAGE_OFFSET: Field<u16> = Field::at(0x4E);
/// Column and row of the cursors of eight pages.
pub(crate) const CURSOR_POSITIONS: Field<u16> = Field::at(0x50);
/// End and start line of the cursor.
pub(crate) const CURSOR_SHAPE: Field<u16> = Field::at(0x60);
pub(crate) const VIDEO_PAGE: Field<u8> = Field::at(0x62);
/// Port of the CRT controller.
pub(crate) const CRTC_PORT: Field<u16> = Field::at(0x63);
/// What the CGA's mode and palette registers would hold.
pub(crate) const CGA_MODE: Field<u8> = Field::at(0x65);
pub(crate) const CGA_PALETTE: Field<u8> = Field::at(0x66);

/// Where POST goes on after a reset that a program wanted: a far pointer.
pub(crate) const RESUME: Field<u32> = Field::at(0x67);
/// The line of the last interrupt that nobody served.
pub(crate) const LAST_IRQ: Field<u8> = Field::at(0x6B);
/// Timer ticks since midnight.
pub(crate) const TICKS: Field<u32> = Field::at(0x6C);
pub(crate) const MIDNIGHT: Field<u8> = Field::at(0x70);
/// Bit 7: Ctrl-Break was pressed.
pub(crate) const BREAK: Field<u8> = Field::at(0x71);
/// 1234h: a warm start, which does not test memory.
pub(crate) const RESET_FLAG: Field<u16> = Field::at(0x72);
pub(crate) const WARM_START: u16 = 0x1234;
pub(crate) const DISK_STATUS: Field<u8> = Field::at(0x74);
pub(crate) const DISK_COUNT: Field<u8> = Field::at(0x75);
/// Timeouts of three printer and four serial ports.
pub(crate) const PRINTER_TIMEOUTS: Field<u8> = Field::at(0x78);
pub(crate) const SERIAL_TIMEOUTS: Field<u8> = Field::at(0x7C);
/// Offsets in segment 40h where the keys' ring begins and ends.
pub(crate) const KEY_BUFFER_START: Field<u16> = Field::at(0x80);
pub(crate) const KEY_BUFFER_END: Field<u16> = Field::at(0x82);

/// Rows on the screen, less one.
pub(crate) const VIDEO_ROWS: Field<u8> = Field::at(0x84);
/// Scan lines of a character.
pub(crate) const CHARACTER_HEIGHT: Field<u16> = Field::at(0x85);
/// Bit 7: the mode was set without clearing memory. Bit 0: no cursor emulation.
pub(crate) const VIDEO_CONTROL: Field<u8> = Field::at(0x87);
/// The EGA's switches.
pub(crate) const VIDEO_SWITCHES: Field<u8> = Field::at(0x88);
/// Bits 7 and 4: scan lines of text modes. Bit 3: palettes are not loaded. Bit 1: grey. Bit 0: VGA is active.
pub(crate) const VIDEO_MODE_CONTROL: Field<u8> = Field::at(0x89);
/// Index of the display combination code.
pub(crate) const DISPLAY_COMBINATION: Field<u8> = Field::at(0x8A);

/// The data rate of the last floppy access, in bits 7 and 6.
pub(crate) const FLOPPY_RATE: Field<u8> = Field::at(0x8B);
/// FFh when the disk has interrupted.
pub(crate) const DISK_INTERRUPTED: Field<u8> = Field::at(0x8E);
/// Media types of two floppy drives: rate in bits 7 and 6, bit 4 when it is known.
pub(crate) const FLOPPY_MEDIA: Field<u8> = Field::at(0x90);
/// Cylinders under the heads of two floppy drives.
pub(crate) const FLOPPY_CYLINDER: Field<u8> = Field::at(0x94);
/// Prefixes of key codes, and what kind of keyboard there is.
pub(crate) const KEYBOARD_FLAGS_3: Field<u8> = Field::at(0x96);
pub(crate) const KEYBOARD_LEDS: Field<u8> = Field::at(0x97);
/// Where INT 15h AX=8300h leaves its mark: a far pointer.
pub(crate) const WAIT_FLAG_POINTER: Field<u32> = Field::at(0x98);
/// Microseconds until then.
pub(crate) const WAIT_MICROSECONDS: Field<u32> = Field::at(0x9C);
/// Bit 0: a wait is in progress. Bit 7: it has ended.
pub(crate) const WAIT_ACTIVE: Field<u8> = Field::at(0xA0);
/// Where the table of the display's saved parameters is: a far pointer.
pub(crate) const VIDEO_SAVE_POINTER: Field<u32> = Field::at(0xA8);

/// The extended BIOS data area.
pub(crate) mod ebda {
    use super::{EBDA_SEGMENT, Number, PhantomData, Platform};

    /// Bytes, a multiple of 1024.
    pub const SIZE: u32 = 1024;

    /// A number at a fixed place of the extended data area.
    #[derive(Clone, Copy, Debug)]
    pub struct Field<T> {
        offset: u16,
        of: PhantomData<T>,
    }

    impl<T> Field<T> {
        const fn at(offset: u16) -> Self {
            Field { offset, of: PhantomData }
        }

        /// Offset in the area.
        pub fn offset(self) -> u32 {
            self.offset.into()
        }

        /// Linear address.
        pub fn address(self, io: &mut dyn Platform) -> u32 {
            (u32::from(EBDA_SEGMENT.get(io)) << 4) + self.offset()
        }
    }

    impl<T: Number> Field<T> {
        pub fn get(self, io: &mut dyn Platform) -> T {
            let at = self.address(io);
            io.get(at)
        }

        pub fn set(self, io: &mut dyn Platform, value: T) {
            let at = self.address(io);
            io.put(at, value);
        }
    }

    /// A block of bytes.
    #[derive(Clone, Copy, Debug)]
    pub struct Block;

    /// Size of the area in KiB.
    pub const SIZE_KIB: Field<u8> = Field::at(0x00);
    /// The mouse's handler (a far pointer), and the flags and bytes of its interface. IBM PS/2 and PC BIOS
    /// Interface Technical Reference, "Extended BIOS Data Area".
    pub const MOUSE_HANDLER: Field<u32> = Field::at(0x22);
    pub const MOUSE_FLAGS: Field<u8> = Field::at(0x26);
    pub const MOUSE_FLAGS_2: Field<u8> = Field::at(0x27);
    pub const MOUSE_BYTES: Field<Block> = Field::at(0x28);
    /// The parameter tables of the first two disks, 16 bytes each.
    pub const DISK_PARAMETERS: Field<Block> = Field::at(0x3D);

    /// The text that is being printed: the linear address of its next character; zero ends it.
    pub const TEXT: Field<u32> = Field::at(0x80);
    /// Where short texts are put, [`MESSAGE_SIZE`] bytes.
    pub const MESSAGE: Field<Block> = Field::at(0x84);
    pub const MESSAGE_SIZE: usize = 0x9C;
    /// Where the next option ROM is looked for, in units of 2048 bytes from C0000h on.
    pub const NEXT_ROM: Field<u8> = Field::at(0x130);
    /// How many entries of the boot order were tried.
    pub const BOOT_TRIED: Field<u8> = Field::at(0x131);
    /// How far the floppy operation in progress is, and how many of its sectors are done.
    pub const FLOPPY_STEP: Field<u8> = Field::at(0x132);
    pub const FLOPPY_DONE: Field<u8> = Field::at(0x133);
    /// The media's candidate rate that is tried.
    pub const FLOPPY_RATE_TRIED: Field<u8> = Field::at(0x1C7);
    /// When it has failed: guest time in nanoseconds.
    pub const FLOPPY_DEADLINE: Field<u64> = Field::at(0x134);
    /// When a caller of INT 15h AH=86h goes on: guest time in nanoseconds.
    pub const WAIT_END: Field<u64> = Field::at(0x13C);
    /// How often the boot sector of the present device was asked for.
    pub const BOOT_RETRIES: Field<u8> = Field::at(0x1C6);
    /// When INT 16h AH=01h was last asked in vain: guest time in nanoseconds; and how often in quick succession.
    pub const KEY_ASKED: Field<u64> = Field::at(0x120);
    pub const KEY_ASKED_COUNT: Field<u8> = Field::at(0x128);
    /// What the disk services know of four IDE drives, 32 bytes each.
    pub const DRIVES: Field<Block> = Field::at(0x144);
    /// The emulated drive that a CD was booted as.
    pub const EL_TORITO: Field<Block> = Field::at(0x1C8);
    /// A sector on its way between a floppy and memory that DMA does not reach.
    pub const SECTOR: Field<Block> = Field::at(0x200);
}
