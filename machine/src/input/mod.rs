//! Everything that reaches a machine from outside while it runs: one way in, which can be recorded and repeated.

pub(crate) mod queue;
pub mod recording;

use crate::image::ImageError;
use crate::image::detect::ImageKind;
use crate::image::source::Disk;
use crate::keyboard::parse_chord;
use crate::machine::Machine;
use crate::plan::IDE_SLOTS;
use crate::registers::{Register, RegisterError};
use idem86_cpu::state::save::CpuState;
use idem86_devices::access::DmaMemory;
use idem86_devices::ps2::{KeyCode, Keystroke, MouseButtons};
use serde::{Deserialize, Serialize};

/// Something that reaches the machine from outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Input {
    /// Keys pressed (`true`) and released in turn. They reach the guest one keystroke after the other, as fast as it
    /// reads them.
    Keys(Vec<(KeyCode, bool)>),
    /// The mouse moves by counts to the right and down, its wheel by notches towards the user.
    MoveMouse {
        /// To the right.
        right: i32,
        /// Down.
        down: i32,
        /// The wheel.
        wheel: i32,
    },
    /// Exactly these mouse buttons are held down.
    Buttons(MouseButtons),
    /// Characters arrive at a serial port, as fast as the guest takes them.
    Serial {
        /// 0 for COM1, up to 3.
        port: u8,
        /// The characters.
        bytes: Vec<u8>,
    },
    /// The reset button.
    Reset,
    /// The power button, which an operating system is told of.
    PowerButton,
    /// A drive gets another medium; the one in it is taken out.
    Medium {
        /// Where.
        drive: DriveName,
        /// The medium's name for a recording; `None`: the drive is left empty.
        name: Option<String>,
    },
    /// Physical memory is written, as [`Machine::write_physical`] does.
    Memory {
        /// The first byte.
        address: u64,
        /// What is written.
        bytes: Vec<u8>,
    },
    /// A register is set, as [`Machine::set_register`] does.
    Register {
        /// Which one.
        register: Register,
        /// To what.
        value: u64,
    },
    /// The processor is put into another state, as [`Machine::set_processor`] does.
    Processor(Box<CpuState>),
}

/// A drive whose medium can be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DriveName {
    /// Floppy drive A.
    A,
    /// Floppy drive B.
    B,
    /// The CD-ROM drive at this IDE place, 0 (primary master) to 3 (secondary slave).
    Cdrom(u8),
}

/// Input that the machine cannot take. It is as it was.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// No key of an American keyboard types this.
    #[error("no key types {0:?}")]
    NoKey(char),
    /// No key has this name.
    #[error("{0:?} names no key or chord; try ctrl-alt-del, f1, enter or a")]
    NoChord(String),
    /// A PC has four serial ports.
    #[error("there is no serial port {0}, only 0 to 3")]
    NoPort(u8),
    /// The medium cannot be opened.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The drive does not take the medium, or there is no such drive.
    #[error("drive {0:?}: {1}")]
    Drive(DriveName, String),
    /// The processor cannot be in this state.
    #[error(transparent)]
    Register(#[from] RegisterError),
    /// A medium goes in by [`Machine::insert`], which has it.
    #[error("there is no medium with an input")]
    NoMedium,
}

impl Machine {
    /// Gives the machine `input`, at the guest time that it is now. Media go in by [`Machine::insert`].
    pub fn input(&mut self, input: Input) -> Result<(), InputError> {
        match input {
            Input::Medium { name: Some(_), .. } => Err(InputError::NoMedium),
            input => self.apply(input, None),
        }
    }

    /// Does what `input` says, and notes it if a recording is made.
    fn apply(&mut self, input: Input, medium: Option<Disk>) -> Result<(), InputError> {
        let now = self.now();
        if self.recorder.is_some() {
            // Hooks may give inputs too; a replay gives them when what was due has been done.
            self.service(now);
        }
        match &input {
            Input::Keys(events) => self.keyboard.chord(events.iter().copied()),
            Input::MoveMouse { right, down, wheel } => {
                self.board.ps2.move_mouse(*right, down.saturating_neg(), *wheel, now);
            }
            Input::Buttons(buttons) => self.inputs.press(*buttons),
            Input::Serial { port, bytes } if *port < 4 => self.inputs.send(usize::from(*port), bytes),
            Input::Serial { port, .. } => return Err(InputError::NoPort(*port)),
            Input::Reset => self.restart(),
            Input::PowerButton => self.board.power.press_power_button(),
            Input::Medium { drive, .. } => self.change_medium(*drive, medium)?,
            Input::Memory { address, bytes } => self.memory().write(*address, bytes),
            Input::Register { register, value } => self.change_register(*register, *value)?,
            Input::Processor(state) => self.change_processor(state)?,
        }
        self.inputs.given = self.inputs.given.wrapping_add(1);
        if let Some(recorder) = &mut self.recorder {
            recorder.note(now, self.cpu.work(), input);
        }
        Ok(())
    }

    fn change_medium(&mut self, drive: DriveName, medium: Option<Disk>) -> Result<(), InputError> {
        let refused = |what: &dyn std::fmt::Display| InputError::Drive(drive, what.to_string());
        match drive {
            DriveName::A | DriveName::B => {
                let number = u8::from(drive == DriveName::B);
                let medium = medium.map(|disk| disk.open(ImageKind::Floppy)).transpose()?;
                let before = self.board.floppy.eject(number);
                let Some(medium) = medium else { return Ok(()) };
                if let Err(error) = self.board.floppy.insert(number, medium) {
                    // What was there goes back, as if nobody had touched the drive.
                    before.map(|medium| self.board.floppy.insert(number, medium));
                    return Err(refused(&error));
                }
            }
            DriveName::Cdrom(place) => {
                let slot = IDE_SLOTS.get(usize::from(place)).map(|(_, slot)| *slot);
                let slot = slot.ok_or_else(|| refused(&"there are places 0 to 3"))?;
                let medium = medium.map(|disc| disc.open(ImageKind::Cdrom)).transpose()?;
                self.board.ide.eject_disc(slot, true).map_err(|e| refused(&e))?;
                if let Some(medium) = medium {
                    self.board.ide.insert_disc(slot, medium).map_err(|e| refused(&e))?;
                }
            }
        }
        Ok(())
    }

    /// Puts a medium into a drive, whose own is taken out. A recording knows it as `name`.
    pub fn insert(
        &mut self,
        drive: DriveName,
        name: impl Into<String>,
        medium: impl Into<Disk>,
    ) -> Result<(), InputError> {
        self.apply(Input::Medium { drive, name: Some(name.into()) }, Some(medium.into()))
    }

    /// Takes the medium out of a drive, locked or not.
    pub fn eject(&mut self, drive: DriveName) -> Result<(), InputError> {
        self.apply(Input::Medium { drive, name: None }, None)
    }

    /// Types `text` on the keyboard, after what is still to be typed. No character is lost, however slow the guest is.
    /// Nothing is typed if a character cannot be.
    pub fn type_text(&mut self, text: &str) -> Result<(), InputError> {
        let stroke = |c| Keystroke::typing(c).ok_or(InputError::NoKey(c));
        let strokes: Vec<Keystroke> = text.chars().map(stroke).collect::<Result<_, _>>()?;
        strokes.into_iter().try_for_each(|stroke| self.input(Input::Keys(stroke.events().collect())))
    }

    /// Presses keys together, like `ctrl-alt-del`, `f1` or `up`, and releases them.
    pub fn press(&mut self, chord: &str) -> Result<(), InputError> {
        let events = parse_chord(chord).ok_or_else(|| InputError::NoChord(chord.into()))?;
        self.input(Input::Keys(events))
    }

    /// Sends characters to serial port `port`, 0 for COM1, after what was sent before.
    pub fn send_serial(&mut self, port: u8, bytes: &[u8]) -> Result<(), InputError> {
        self.input(Input::Serial { port, bytes: bytes.into() })
    }

    /// Whether the guest has taken everything that was typed, pressed or sent.
    pub fn has_taken_input(&self) -> bool {
        self.keyboard.is_empty() && self.inputs.is_empty()
    }
}
