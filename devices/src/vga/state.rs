//! Saving and restoring the VGA.

use super::attribute::AttributeController;
use super::crtc::Crtc;
use super::dac::{Dac, DacState};
use super::dispi::Dispi;
use super::graphics::GraphicsController;
use super::render::Shown;
use super::sequencer::Sequencer;
use super::vram::Stretch;
use super::{Vga, misc_output};
use crate::state::{RestoreError, Snapshot};
use crate::time::GuestTime;
use serde::{Deserialize, Serialize};

/// The state of a [`Vga`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VgaState {
    pub(super) misc_output: u8,
    pub(super) feature_control: u8,
    pub(super) subsystem_enable: u8,
    pub(super) sequencer: Sequencer,
    pub(super) crtc: Crtc,
    pub(super) graphics: GraphicsController,
    pub(super) attribute: AttributeController,
    pub(super) dac: DacState,
    pub(super) dispi: Dispi,
    pub(super) latches: u32,
    pub(super) vram: Vec<Stretch>,
    pub(super) raster_start: GuestTime,
    pub(super) retraces_seen: u64,
    pub(super) interrupt: bool,
}

impl Snapshot for Vga {
    type State = VgaState;

    fn save(&self) -> VgaState {
        let Vga {
            irq: _,
            misc_output,
            feature_control,
            subsystem_enable,
            sequencer,
            crtc,
            graphics,
            attribute,
            dac,
            dispi,
            latches,
            vram,
            raster_start,
            retraces_seen,
            interrupt,
            // Follow from the registers.
            raster: _,
            routes: _,
            // A matter between device and display, not of the guest.
            shown: _,
        } = self;
        VgaState {
            misc_output: *misc_output,
            feature_control: *feature_control,
            subsystem_enable: *subsystem_enable,
            sequencer: sequencer.clone(),
            crtc: crtc.clone(),
            graphics: graphics.clone(),
            attribute: attribute.clone(),
            dac: dac.save(),
            dispi: dispi.clone(),
            latches: *latches,
            vram: vram.save(),
            raster_start: *raster_start,
            retraces_seen: *retraces_seen,
            interrupt: *interrupt,
        }
    }

    fn restore(&mut self, state: VgaState) -> Result<(), RestoreError> {
        let refuse = |what| Err(RestoreError::new("vga", what));
        let VgaState {
            misc_output,
            feature_control,
            subsystem_enable,
            sequencer,
            crtc,
            graphics,
            attribute,
            dac,
            dispi,
            latches,
            vram,
            raster_start,
            retraces_seen,
            interrupt,
        } = state;
        if misc_output & !misc_output::IMPLEMENTED != 0 || feature_control > 3 || subsystem_enable > 1 {
            return refuse("a general register has bits that do not exist");
        }
        if !(sequencer.is_valid() && crtc.is_valid() && graphics.is_valid() && attribute.is_valid()) {
            return refuse("an indexed register has bits that do not exist");
        }
        let Some(dac) = Dac::from_state(dac) else {
            return refuse("the DAC does not have 256 colours of three components");
        };
        if !dispi.is_valid() {
            return refuse("the DISPI mode is impossible");
        }
        if !vram.iter().all(Stretch::is_valid) {
            return refuse("contents beyond the end of video memory");
        }
        self.misc_output = misc_output;
        self.feature_control = feature_control;
        self.subsystem_enable = subsystem_enable;
        self.sequencer = sequencer;
        self.crtc = crtc;
        self.graphics = graphics;
        self.attribute = attribute;
        self.dac = dac;
        self.dispi = dispi;
        self.latches = latches;
        self.vram.restore(&vram);
        self.raster_start = raster_start;
        self.retraces_seen = retraces_seen;
        self.interrupt = interrupt;
        self.raster = self.current_raster();
        self.sync_routes();
        self.shown = Shown::default();
        Ok(())
    }
}
