//! 82077AA register and command definitions. Intel 82077AA data sheet, "Description of Registers", "Command
//! Set/Descriptions" and "Status Register Encoding".

/// Digital output register.
pub const DOR: u16 = 2;
/// Tape drive register.
pub const TDR: u16 = 3;
/// Main status register (read), data rate select register (write).
pub const MSR_DSR: u16 = 4;
/// Data register.
pub const DATA: u16 = 5;
/// Digital input register (read), configuration control register (write).
pub const DIR_CCR: u16 = 7;

/// Bits of the digital output register.
pub mod dor {
    /// The selected drive.
    pub const DRIVE: u8 = 0b11;
    /// Low holds the controller in reset.
    pub const NOT_RESET: u8 = 1 << 2;
    /// Lets the interrupt and DMA requests out.
    pub const DMA_GATE: u8 = 1 << 3;
    /// The motor of drive 0; those of the others follow.
    pub const MOTOR_0: u8 = 1 << 4;
}

/// Bits of the main status register.
pub mod msr {
    /// A command is being taken, executed or answered.
    pub const BUSY: u8 = 1 << 4;
    /// The execution phase goes without DMA.
    pub const NON_DMA: u8 = 1 << 5;
    /// The data register is to be read.
    pub const DATA_OUT: u8 = 1 << 6;
    /// The data register is ready.
    pub const REQUEST: u8 = 1 << 7;
}

/// Data rate select register: a reset that ends itself.
pub const DSR_RESET: u8 = 1 << 7;
/// Data rate select and configuration control registers: the data rate.
pub const RATE: u8 = 0b11;
/// The data rate after a hardware reset: 250 kbit/s.
pub const RATE_AT_RESET: u8 = 2;
/// Digital input register: the disk change line.
pub const DIR_CHANGED: u8 = 1 << 7;

/// The data rate of a rate selection, in kbit/s.
pub const fn data_rate(selection: u8) -> u16 {
    match selection & RATE {
        0 => 500,
        1 => 300,
        2 => 250,
        _ => 1000,
    }
}

/// Status register 0.
pub mod st0 {
    /// Interrupt code: abnormal termination.
    pub const ABNORMAL: u8 = 0b01 << 6;
    /// Interrupt code: invalid command.
    pub const INVALID: u8 = 0b10 << 6;
    /// Interrupt code: polling found the drive changed, as after every reset.
    pub const POLLING: u8 = 0b11 << 6;
    /// A seek has ended.
    pub const SEEK_END: u8 = 1 << 5;
    /// The drive failed, or a recalibration did not find track 0.
    pub const EQUIPMENT_CHECK: u8 = 1 << 4;
}

/// Status register 1.
pub mod st1 {
    /// The host wanted more sectors than the cylinder has.
    pub const END_OF_CYLINDER: u8 = 1 << 7;
    /// A CRC was wrong.
    pub const DATA_ERROR: u8 = 1 << 5;
    /// The host was late.
    pub const OVERRUN: u8 = 1 << 4;
    /// The sector was not found.
    pub const NO_DATA: u8 = 1 << 2;
    /// The diskette is write-protected.
    pub const NOT_WRITABLE: u8 = 1 << 1;
    /// No sector was found at all.
    pub const MISSING_ADDRESS_MARK: u8 = 1 << 0;
}

/// Status register 2.
pub mod st2 {
    /// A sector had the other data address mark.
    pub const CONTROL_MARK: u8 = 1 << 6;
    /// The wrong CRC was that of the data.
    pub const DATA_ERROR_IN_DATA: u8 = 1 << 5;
    /// The track is of another cylinder.
    pub const WRONG_CYLINDER: u8 = 1 << 4;
    /// The scanned sector is equal.
    pub const SCAN_EQUAL: u8 = 1 << 3;
    /// The scanned sector does not satisfy the condition.
    pub const SCAN_NOT_SATISFIED: u8 = 1 << 2;
}

/// Status register 3.
pub mod st3 {
    /// Write-protected.
    pub const WRITE_PROTECTED: u8 = 1 << 6;
    /// The head is at track 0.
    pub const TRACK_0: u8 = 1 << 4;
    /// Two bits that are always set.
    pub const ALWAYS: u8 = 1 << 5 | 1 << 3;
}

/// What the version command answers.
pub const VERSION_82077: u8 = 0x90;

/// The longest result.
pub const RESULT_CAPACITY: usize = 10;
/// Depth of the data FIFO.
pub const FIFO_DEPTH: u8 = 16;

/// How many step pulses a recalibration gives at most.
pub const RECALIBRATE_STEPS: u8 = 79;

/// Modifiers in the first byte of a command.
pub mod modifier {
    /// Go on with the second side.
    pub const MULTITRACK: u8 = 1 << 7;
    /// Double density.
    pub const MFM: u8 = 1 << 6;
    /// Skip sectors with the other data address mark.
    pub const SKIP: u8 = 1 << 5;
    /// Relative seek: towards the spindle.
    pub const INWARD: u8 = 1 << 6;
    /// Lock, not unlock.
    pub const LOCK: u8 = 1 << 7;
}

/// The commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    ReadData,
    ReadDeletedData,
    WriteData,
    WriteDeletedData,
    ReadTrack,
    Verify,
    Version,
    FormatTrack,
    ScanEqual,
    ScanLowOrEqual,
    ScanHighOrEqual,
    Recalibrate,
    SenseInterrupt,
    Specify,
    SenseDrive,
    DumpRegisters,
    ReadId,
    Seek,
    RelativeSeek,
    Configure,
    Lock,
    Perpendicular,
}

impl Command {
    /// The command that begins with `byte`, and how many bytes follow.
    pub fn decode(byte: u8) -> Option<(Command, usize)> {
        use Command::*;
        const ALL: u8 = 0xFF;
        // Commands on sectors heed those modifiers that mean something to them; drivers set others too.
        const MODIFIED: u8 = !(modifier::MULTITRACK | modifier::MFM | modifier::SKIP);
        // The bits that tell commands apart, their values, the command, the number of parameters.
        const COMMANDS: [(u8, u8, Command, usize); 22] = [
            (MODIFIED, 0x02, ReadTrack, 8),
            (ALL, 0x03, Specify, 2),
            (ALL, 0x04, SenseDrive, 1),
            (MODIFIED, 0x05, WriteData, 8),
            (MODIFIED, 0x06, ReadData, 8),
            (ALL, 0x07, Recalibrate, 1),
            (ALL, 0x08, SenseInterrupt, 0),
            (MODIFIED, 0x09, WriteDeletedData, 8),
            (MODIFIED, 0x0A, ReadId, 1),
            (MODIFIED, 0x0C, ReadDeletedData, 8),
            (MODIFIED, 0x0D, FormatTrack, 5),
            (ALL, 0x0E, DumpRegisters, 0),
            (ALL, 0x0F, Seek, 2),
            (ALL, 0x10, Version, 0),
            (MODIFIED, 0x11, ScanEqual, 8),
            (ALL, 0x12, Perpendicular, 1),
            (ALL, 0x13, Configure, 3),
            (!modifier::LOCK, 0x14, Lock, 0),
            (MODIFIED, 0x16, Verify, 8),
            (MODIFIED, 0x19, ScanLowOrEqual, 8),
            (MODIFIED, 0x1D, ScanHighOrEqual, 8),
            (!modifier::INWARD, 0x8F, RelativeSeek, 2),
        ];
        COMMANDS
            .into_iter()
            .find(|(mask, value, ..)| byte & mask == *value)
            .map(|(_, _, command, parameters)| (command, parameters))
    }
}
