//! VGA DAC, ports 3C6h to 3C9h: 256 colours behind an address register and a three-byte colour register,
//! as in the Inmos IMS G171; eight bits a gun where DISPI asks for it.

use serde::{Deserialize, Serialize};

/// Which of the two address ports was written last: what 3C7h reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Mode {
    #[default]
    Write,
    Read,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Dac {
    colors: [[u8; 3]; 256],
    mask: u8,
    access: Access,
    eight_bit: bool,
}

/// The processor's side: where the next byte goes or comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Access {
    pub(super) address: u8,
    pub(super) color: [u8; 3],
    pub(super) component: u8,
    pub(super) mode: Mode,
}

/// The DAC as plain data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DacState {
    pub(super) colors: Vec<[u8; 3]>,
    pub(super) mask: u8,
    pub(super) access: Access,
    pub(super) eight_bit: bool,
}

impl Default for Dac {
    fn default() -> Self {
        Dac { colors: [[0; 3]; 256], mask: 0xFF, access: Access::default(), eight_bit: false }
    }
}

impl Dac {
    pub fn mask(&self) -> u8 {
        self.mask
    }

    pub fn set_mask(&mut self, mask: u8) {
        self.mask = mask;
    }

    /// 3C7h as read: 3 after a read address, 0 after a write address.
    pub fn state(&self) -> u8 {
        match self.access.mode {
            Mode::Write => 0,
            Mode::Read => 3,
        }
    }

    pub fn address(&self) -> u8 {
        self.access.address
    }

    pub fn set_read_address(&mut self, address: u8) {
        self.access = Access { address, mode: Mode::Read, ..Access::default() };
        self.fetch();
    }

    pub fn set_write_address(&mut self, address: u8) {
        self.access = Access { address, mode: Mode::Write, ..Access::default() };
    }

    pub fn read(&mut self) -> u8 {
        let value = self.access.color[usize::from(self.access.component)];
        if self.next_component() {
            self.fetch();
        }
        value
    }

    pub fn write(&mut self, value: u8) {
        let value = if self.eight_bit { value } else { value & 0x3F };
        self.access.color[usize::from(self.access.component)] = value;
        if self.next_component() {
            self.colors[usize::from(self.access.address)] = self.access.color;
            self.access.address = self.access.address.wrapping_add(1);
        }
    }

    /// Moves to the next gun; true after blue.
    fn next_component(&mut self) -> bool {
        self.access.component = (self.access.component + 1) % 3;
        self.access.component == 0
    }

    /// Fills the colour register from the addressed colour and moves the address on.
    fn fetch(&mut self) {
        self.access.color = self.colors[usize::from(self.access.address)];
        self.access.address = self.access.address.wrapping_add(1);
    }

    /// Chooses eight bits a gun or six. The stored values stay: the same byte means another brightness.
    pub fn set_eight_bit(&mut self, eight_bit: bool) {
        self.eight_bit = eight_bit;
    }

    /// The colour shown for an eight-bit PEL, after the PEL mask, as 0x00RRGGBB.
    pub fn rgb(&self, pel: u8) -> u32 {
        let gun = |v: u8| if self.eight_bit { v } else { v << 2 | v >> 4 & 3 };
        let [r, g, b] = self.colors[usize::from(pel & self.mask)].map(gun);
        u32::from_be_bytes([0, r, g, b])
    }

    pub fn save(&self) -> DacState {
        let Dac { colors, mask, access, eight_bit } = self;
        DacState { colors: colors.to_vec(), mask: *mask, access: access.clone(), eight_bit: *eight_bit }
    }

    pub fn from_state(state: DacState) -> Option<Dac> {
        let DacState { colors, mask, access, eight_bit } = state;
        let colors = <[[u8; 3]; 256]>::try_from(colors).ok()?;
        (access.component < 3).then_some(Dac { colors, mask, access, eight_bit })
    }
}
