//! IBM VGA with the Bochs display interface (VBE modes).
//!
//! Sources: IBM Personal System/2 Hardware Interface Technical Reference, "Video Subsystem"; Inmos IMS G171
//! data sheet; the VBE display interface as Bochs documents it for its VGA BIOS.
//!
//! | file | what |
//! |---|---|
//! | `sequencer`, `crtc`, `graphics`, `attribute`, `dac`, `dispi` | the register files |
//! | `vram` | video memory as bytes and as four maps; what changed |
//! | `window` | the processor's accesses to A0000h-BFFFFh |
//! | `raster` | where the beam is at a moment of guest time |
//! | `scanout` | which address shows on which line of the screen |
//! | `render`, `frame` | the picture in colours |
//! | `text`, `cp437` | the picture as characters |
//!
//! Quirks:
//! - A picture is rendered from the registers of one moment; changes while the beam runs down the screen do not
//!   show.
//! - Blanking (CR2, CR3, CR15h, CR16h), shift load (SR1 bits 2 and 4) and memory size (SR4 bit 1) have no effect.
//! - Nine-dot characters are for text; graphics modes are eight dots wide.
//! - The palette does not apply to eight-bit PELs.
//! - With blinking on in a graphics mode, PELs lose bit 3 for half of the time.
//! - Switch sense finds a colour display whatever the DAC puts out.
//! - A VBE mode has 60 frames a second, whatever the CRTC says.

mod attribute;
mod cp437;
mod crtc;
mod dac;
mod dispi;
mod frame;
mod graphics;
mod raster;
mod render;
mod scanout;
mod sequencer;
mod state;
mod text;
mod vram;
mod window;

#[cfg(test)]
mod tests;

pub use cp437::cp437_to_char;
pub use dispi::{MAX_HEIGHT, MAX_WIDTH};
pub use frame::Frame;
pub use render::{Damage, Look};
pub use state::VgaState;
pub use text::{TextCell, TextScreen};
pub use vram::{DIRTY_PAGE_SIZE, VRAM_SIZE};
pub use window::{DirectWindow, LinearFrameBuffer, WINDOW_SIZE};

use crate::access::{AccessSize, IoError, PortIo, PortRange};
use crate::irq::IrqLine;
use crate::reset::Reset;
use crate::time::{GuestDuration, GuestTime, Timed};
use attribute::AttributeController;
use crtc::Crtc;
use dac::Dac;
use dispi::{Consequence, Dispi};
use graphics::GraphicsController;
use raster::Raster;
use render::Shown;
use sequencer::Sequencer;
use vram::Vram;
use window::Routes;

/// The port at register offset 0.
const FIRST_PORT: u16 = 0x3B0;
/// The register offset of the first port that is not the VGA's.
const VGA_END: u16 = 0x30;

/// The register offsets of the Bochs display interface.
mod dispi_offset {
    pub const INDEX: u16 = super::VGA_END;
    pub const DATA: u16 = INDEX + 1;
}

/// Miscellaneous output, written at 3C2h and read at 3CCh.
mod misc_output {
    /// Clear, the CRTC is at 3B4h and input status 1 at 3BAh; set, at 3D4h and 3DAh.
    pub const COLOR_ADDRESSES: u8 = 0x01;
    /// Memory answers the processor.
    pub const MEMORY_ENABLE: u8 = 0x02;
    /// Set for the lower page of odd/even modes.
    pub const ODD_EVEN_PAGE: u8 = 0x20;
    /// Bit 4 does not exist.
    pub const IMPLEMENTED: u8 = 0xEF;
}

/// A VGA with 16 MiB of video memory.
///
/// Its registers are reached by [`PortIo`], the window A0000h-BFFFFh by [`Mmio`](crate::access::Mmio), and all
/// of video memory by that of [`Vga::linear_frame_buffer`]. Register offsets: 0 to 2Fh ports 3B0h to 3DFh, 30h
/// and 31h ports 1CEh and 1CFh, which are 16 bits wide.
///
/// ```
/// use idem86_devices::access::{AccessSize::{Byte, Word}, PortIo};
/// use idem86_devices::{irq::IrqLine, time::GuestTime, vga::{Frame, Vga}};
///
/// let mut vga = Vga::new(IrqLine::unconnected());
/// let now = GuestTime::ZERO;
/// for (register, value) in [(1, 320), (2, 200), (3, 32), (4, 0x41)] {
///     vga.write_port(0x30, Word, register, now)?;
///     vga.write_port(0x31, Word, value, now)?;
/// }
/// vga.write_port(0x10, Byte, 0x20, now)?; // 3C0h, palette address source: the display
/// vga.vram_mut(0, 4).copy_from_slice(&0x00FF_8000_u32.to_le_bytes());
/// let mut frame = Frame::new();
/// vga.render(now, &mut frame);
/// assert_eq!((frame.width(), frame.height(), frame.rgb(0, 0)), (320, 200, Some([255, 128, 0])));
/// # Ok::<(), idem86_devices::access::IoError>(())
/// ```
pub struct Vga {
    // Runtime glue
    irq: IrqLine,

    // Volatile state
    misc_output: u8,
    feature_control: u8,
    subsystem_enable: u8,
    sequencer: Sequencer,
    crtc: Crtc,
    graphics: GraphicsController,
    attribute: AttributeController,
    dac: Dac,
    dispi: Dispi,
    /// One byte for each map, map 0 lowest.
    latches: u32,
    vram: Vram,
    /// When the present timing started its first frame.
    raster_start: GuestTime,
    /// Vertical retraces since then that the interrupt latch has seen.
    retraces_seen: u64,
    /// The vertical interrupt latch.
    interrupt: bool,

    // Derived
    raster: Raster,
    routes: Routes,

    // Book-keeping
    shown: Shown,
}

impl Vga {
    /// The ports of the PC. 3BCh-3BFh are the printer's.
    pub const PORTS: &[PortRange] = &[
        PortRange::new(FIRST_PORT, 12, 0),
        PortRange::new(0x3C0, 32, 0x10),
        PortRange::new(0x1CE, 2, dispi_offset::INDEX),
    ];

    /// A VGA after power-on whose vertical interrupt is `irq` (IRQ 2 on the boards that have it).
    pub fn new(irq: IrqLine) -> Self {
        let (sequencer, crtc) = (Sequencer::default(), Crtc::default());
        let raster = Raster::new(0, &sequencer, &crtc);
        Vga {
            irq,
            misc_output: 0,
            feature_control: 0,
            subsystem_enable: 1,
            sequencer,
            crtc,
            graphics: GraphicsController::default(),
            attribute: AttributeController::default(),
            dac: Dac::default(),
            dispi: Dispi::default(),
            latches: 0,
            vram: Vram::new(),
            raster_start: GuestTime::ZERO,
            retraces_seen: 0,
            interrupt: false,
            raster,
            routes: Routes::CLOSED,
            shown: Shown::default(),
        }
    }

    /// Video memory at the address of the linear frame buffer.
    pub fn linear_frame_buffer(&mut self) -> LinearFrameBuffer<'_> {
        LinearFrameBuffer(self)
    }

    /// Video memory, [`VRAM_SIZE`] bytes, as the linear frame buffer shows it.
    pub fn vram(&self) -> &[u8] {
        self.vram.bytes()
    }

    /// The `length` bytes of video memory from `start`, which count as changed from now on.
    ///
    /// # Panics
    /// If the range does not lie within [`VRAM_SIZE`].
    pub fn vram_mut(&mut self, start: usize, length: usize) -> &mut [u8] {
        self.vram.bytes_mut(start, length)
    }

    /// 3C3h bit 0: ports and memory answer.
    fn subsystem_enabled(&self) -> bool {
        self.subsystem_enable & 1 != 0
    }

    fn memory_enabled(&self) -> bool {
        self.misc_output & misc_output::MEMORY_ENABLE != 0
    }

    /// What takes the place of address bit 0 in odd/even modes.
    fn odd_even_page(&self) -> u32 {
        u32::from(self.misc_output & misc_output::ODD_EVEN_PAGE == 0)
    }

    /// Time since the present timing started.
    fn elapsed(&self, now: GuestTime) -> GuestDuration {
        now.since(self.raster_start)
    }

    /// Works out anew how accesses reach memory.
    fn sync_routes(&mut self) {
        self.routes = Routes::new(self);
    }

    fn current_raster(&self) -> Raster {
        match self.dispi.surface() {
            Some(surface) => Raster::of_surface(&surface),
            None => Raster::new(self.misc_output >> 2 & 3, &self.sequencer, &self.crtc),
        }
    }

    /// Works out the timing anew. Other timing starts with a new frame.
    fn sync_raster(&mut self, now: GuestTime) {
        let raster = self.current_raster();
        if raster != self.raster {
            self.sync_interrupt(now);
            self.raster = raster;
            self.raster_start = now;
            self.retraces_seen = raster.retraces(GuestDuration::default());
        }
    }

    /// Latches a vertical interrupt if a retrace has started, and drives the interrupt line.
    fn sync_interrupt(&mut self, now: GuestTime) {
        let retraces = self.raster.retraces(self.elapsed(now));
        if self.crtc.interrupt_cleared() {
            self.interrupt = false;
        } else if retraces > self.retraces_seen {
            self.interrupt = true;
        }
        self.retraces_seen = self.retraces_seen.max(retraces);
        self.irq.set(self.interrupt && self.crtc.interrupt_enabled());
    }

    /// 3C2h. Bit 7: vertical interrupt latched. Bit 4: the switch sense comparator, which finds the load of a
    /// colour display whatever the DAC shows.
    fn input_status_0(&mut self, now: GuestTime) -> u8 {
        self.sync_interrupt(now);
        u8::from(self.interrupt) << 7 | 0x10
    }

    /// 3xAh. Bit 0: nothing is being displayed. Bit 3: vertical retrace.
    fn input_status_1(&mut self, now: GuestTime) -> u8 {
        self.attribute.expect_index();
        let beam = self.raster.beam(self.elapsed(now));
        u8::from(!beam.displaying) | u8::from(beam.vertical_retrace) << 3
    }

    /// A port of the CRTC's block as if the block were at 3D0h; `None` for the block that is switched off.
    fn color_port(&self, port: u16) -> Option<u16> {
        let color = self.misc_output & misc_output::COLOR_ADDRESSES != 0;
        match port & 0xFFF0 {
            0x3B0 if !color => Some(port + 0x20),
            0x3D0 if color => Some(port),
            0x3C0 => Some(port),
            _ => None,
        }
    }

    /// The port that is meant by `offset`, colour addresses standing for monochrome ones.
    fn port(&self, offset: u16) -> Result<u16, IoError> {
        Some(offset)
            .filter(|&offset| offset < VGA_END)
            .and_then(|offset| self.color_port(FIRST_PORT + offset))
            .filter(|&port| self.subsystem_enabled() || port == 0x3C3)
            .ok_or(IoError::NoSuchRegister)
    }

    fn read_register(&mut self, offset: u16, now: GuestTime) -> Result<u8, IoError> {
        Ok(match self.port(offset)? {
            0x3C0 => self.attribute.index(),
            0x3C1 => self.attribute.read(),
            0x3C2 => self.input_status_0(now),
            0x3C3 => self.subsystem_enable,
            0x3C4 => self.sequencer.index(),
            0x3C5 => self.sequencer.read(),
            0x3C6 => self.dac.mask(),
            0x3C7 => self.dac.state(),
            0x3C8 => self.dac.address(),
            0x3C9 => self.dac.read(),
            0x3CA => self.feature_control,
            0x3CC => self.misc_output,
            0x3CE => self.graphics.index(),
            0x3CF => self.graphics.read(),
            0x3D4 => self.crtc.index(),
            0x3D5 => match self.crtc.index() {
                crtc::LATCH => self.latch_byte(self.graphics.read_map()),
                crtc::ATTRIBUTE_TOGGLE => u8::from(self.attribute.data_next()) << 7 | self.attribute.index(),
                _ => self.crtc.read(),
            },
            0x3DA => self.input_status_1(now),
            _ => return Err(IoError::NoSuchRegister),
        })
    }

    fn write_register(&mut self, offset: u16, value: u8, now: GuestTime) -> Result<(), IoError> {
        match self.port(offset)? {
            0x3C0 => {
                self.attribute.write(value);
                self.shown.registers_changed();
            }
            0x3C2 => {
                self.misc_output = value & misc_output::IMPLEMENTED;
                self.sync_routes();
                self.sync_raster(now);
            }
            0x3C3 => {
                self.subsystem_enable = value & 1;
                self.sync_routes();
            }
            0x3C4 => self.sequencer.set_index(value),
            0x3C5 => {
                self.sequencer.write(value);
                self.sync_routes();
                if self.sequencer.index() == sequencer::CLOCKING_MODE {
                    self.sync_raster(now);
                }
                if self.sequencer.index() != sequencer::MAP_MASK {
                    self.shown.registers_changed();
                }
            }
            0x3C6 => {
                self.dac.set_mask(value);
                self.shown.registers_changed();
            }
            0x3C7 => self.dac.set_read_address(value),
            0x3C8 => self.dac.set_write_address(value),
            0x3C9 => {
                self.dac.write(value);
                self.shown.registers_changed();
            }
            0x3CE => self.graphics.set_index(value),
            0x3CF => {
                self.graphics.write(value);
                self.sync_routes();
                if matches!(self.graphics.index(), graphics::GRAPHICS_MODE | graphics::MISCELLANEOUS) {
                    self.shown.registers_changed();
                }
            }
            0x3D4 => self.crtc.set_index(value),
            0x3D5 => {
                if self.crtc.times() {
                    self.sync_interrupt(now);
                    self.crtc.write(value);
                    self.sync_raster(now);
                    self.sync_interrupt(now);
                } else {
                    self.crtc.write(value);
                }
                self.shown.registers_changed();
            }
            // Bits 1-0 go to the feature connector.
            0x3DA => self.feature_control = value & 0x03,
            _ => return Err(IoError::NoSuchRegister),
        }
        Ok(())
    }

    fn write_dispi(&mut self, value: u16, now: GuestTime) {
        match self.dispi.write(value) {
            Consequence::Nothing => return,
            Consequence::Changed => {}
            Consequence::Clear(length) => self.vram.bytes_mut(0, length as usize).fill(0),
        }
        self.dac.set_eight_bit(self.dispi.eight_bit_dac());
        self.sync_routes();
        self.sync_raster(now);
        self.shown.registers_changed();
    }
}

/// See [`Vga`] for the offsets. A word written to 3B0h-3DFh is two bytes at neighbouring ports, as on an
/// eight-bit bus.
impl PortIo for Vga {
    fn read_port(&mut self, offset: u16, size: AccessSize, now: GuestTime) -> Result<u32, IoError> {
        match (offset, size) {
            (dispi_offset::INDEX, AccessSize::Word) => Ok(self.dispi.index().into()),
            (dispi_offset::DATA, AccessSize::Word) => Ok(self.dispi.read().into()),
            (0..VGA_END, AccessSize::Byte) => self.read_register(offset, now).map(u32::from),
            (0..=dispi_offset::DATA, _) => Err(IoError::WrongSize),
            _ => Err(IoError::NoSuchRegister),
        }
    }

    fn write_port(
        &mut self,
        offset: u16,
        size: AccessSize,
        value: u32,
        now: GuestTime,
    ) -> Result<(), IoError> {
        let [low, high, ..] = value.to_le_bytes();
        match (offset, size) {
            (dispi_offset::INDEX, AccessSize::Word) => self.dispi.set_index(value as u16),
            (dispi_offset::DATA, AccessSize::Word) => self.write_dispi(value as u16, now),
            (0..VGA_END, AccessSize::Byte) => self.write_register(offset, low, now)?,
            (0..VGA_END, AccessSize::Word) => {
                // One `out dx, ax` for index and data is what most software writes.
                let first = self.write_register(offset, low, now);
                first.or(self.write_register(offset + 1, high, now))?;
            }
            (0..=dispi_offset::DATA, _) => return Err(IoError::WrongSize),
            _ => return Err(IoError::NoSuchRegister),
        }
        Ok(())
    }
}

impl Timed for Vga {
    fn next_event(&self) -> Option<GuestTime> {
        if self.interrupt || self.crtc.interrupt_cleared() || !self.crtc.interrupt_enabled() {
            return None;
        }
        self.raster.retrace_start(self.retraces_seen).map(|after| self.raster_start + after)
    }

    fn advance(&mut self, now: GuestTime) {
        self.sync_interrupt(now);
    }
}

/// Video memory keeps its contents.
impl Reset for Vga {
    fn reset(&mut self) {
        let Vga { irq, vram, shown, .. } = std::mem::replace(self, Vga::new(self.irq.clone()));
        irq.set(false);
        (self.vram, self.shown) = (vram, shown);
        self.shown.registers_changed();
    }
}
