//! For tests of software that a PC runs: boot it, say what is expected, and see what the guest showed if it is not.
//!
//! ```
//! use idem86::testing::{boot_floppy, demo_disk};
//!
//! let mut pc = boot_floppy(demo_disk());
//! pc.expect_screen("Timer interrupts").expect_power_off();
//! ```
//!
//! What a [`Session`] expects must happen within some guest time, ten seconds unless said otherwise: a test fails at
//! the same place on every host, however busy it is. A session is a [`Machine`] with these methods on top.

mod demo_disk;
mod paging;

pub use paging::enable_paging;

use crate::{Builder, Disk, Ended, Machine, Until};
use std::fmt::Display;
use std::ops::{Deref, DerefMut};

/// What a session expects must happen within so many seconds of guest time.
const LIMIT: u64 = 10;
/// Lines of serial output that a failure shows.
const SHOWN: usize = 40;

/// The built-in demonstration's disk: it goes from real mode to protected mode with paging, shows what the machine is,
/// and switches it off.
pub fn demo_disk() -> Vec<u8> {
    demo_disk::image().expect("it is assembled in the same way each time")
}

/// A floppy image (1.44 MB) with `code` in its boot sector, which a BIOS loads to 0000:7C00h and enters in real mode.
///
/// # Panics
/// If it is longer than the 510 bytes that are there.
///
/// ```
/// // mov al, 3; out F4h, al
/// let floppy = idem86::testing::boot_sector(&[0xB0, 0x03, 0xE6, 0xF4]);
/// let pc = idem86::Machine::builder().floppy(floppy).debug_exit(0xF4);
/// idem86::testing::boot(pc).expect_exit(3);
/// ```
pub fn boot_sector(code: &[u8]) -> Vec<u8> {
    assert!(code.len() <= 510, "a boot sector has 510 bytes of code, not {}", code.len());
    let mut image = code.to_vec();
    image.resize(510, 0);
    image.extend([0x55, 0xAA]);
    image.resize(1_474_560, 0);
    image
}

/// Switches on a PC of 64 MiB with this floppy.
#[track_caller]
pub fn boot_floppy(image: impl Into<Disk>) -> Session {
    boot(Machine::builder().floppy(image))
}

/// Switches on a PC of 64 MiB with this hard disk.
#[track_caller]
pub fn boot_disk(image: impl Into<Disk>) -> Session {
    boot(Machine::builder().disk(image))
}

/// Switches on the PC that `builder` describes.
///
/// # Panics
/// If it cannot be built.
#[track_caller]
pub fn boot(builder: Builder) -> Session {
    match builder.build() {
        Ok(machine) => Session { machine, limit: LIMIT, matched: String::new() },
        Err(error) => panic!("no machine: {error}"),
    }
}

/// A machine whose user has expectations. What does not come as expected is a panic, with what the guest shows.
pub struct Session {
    machine: Machine,
    limit: u64,
    matched: String,
}

impl Deref for Session {
    type Target = Machine;

    fn deref(&self) -> &Machine {
        &self.machine
    }
}

impl DerefMut for Session {
    fn deref_mut(&mut self) -> &mut Machine {
        &mut self.machine
    }
}

impl Session {
    /// From now on what is expected must happen within so many seconds of guest time.
    pub fn within(&mut self, seconds: u64) -> &mut Self {
        self.limit = seconds;
        self
    }

    /// Runs until COM1 has printed a match of the regular expression; see [`Until::serial`].
    #[track_caller]
    pub fn expect_serial(&mut self, pattern: &str) -> &mut Self {
        let Ended::Serial { matched, .. } =
            self.wait(Until::serial(pattern), &format_args!("{pattern:?} at COM1"))
        else {
            unreachable!("the wait was for this")
        };
        self.matched = String::from_utf8_lossy(&matched).into();
        self
    }

    /// Runs until the text screen shows a match of the regular expression; see [`Until::screen`].
    #[track_caller]
    pub fn expect_screen(&mut self, pattern: &str) -> &mut Self {
        let what = format_args!("{pattern:?} on the screen");
        let Ended::Screen { matched, .. } = self.wait(Until::screen(pattern), &what) else {
            unreachable!("the wait was for this")
        };
        self.matched = matched;
        self
    }

    /// Runs until the guest switches the machine off.
    #[track_caller]
    pub fn expect_power_off(&mut self) -> &mut Self {
        self.end(&Ended::PoweredOff, "the machine to be switched off")
    }

    /// Runs until the guest writes `value` to the debug-exit port.
    #[track_caller]
    pub fn expect_exit(&mut self, value: u32) -> &mut Self {
        self.end(&Ended::Exit(value << 1 | 1), &format!("{value} at the debug-exit port"))
    }

    /// Types `text`; see [`Machine::type_text`].
    #[track_caller]
    pub fn types(&mut self, text: &str) -> &mut Self {
        if let Err(error) = self.machine.type_text(text) {
            panic!("{error}");
        }
        self
    }

    /// Sends `text` to COM1.
    pub fn sends(&mut self, text: &str) -> &mut Self {
        self.machine.send_serial(0, text.as_bytes()).expect("every PC has a COM1");
        self
    }

    /// What the last expectation matched.
    pub fn matched(&self) -> &str {
        &self.matched
    }

    /// Runs until one of the conditions of `until`.
    #[track_caller]
    fn wait(&mut self, until: Until, what: &dyn Display) -> Ended {
        match self.run(until) {
            ended @ (Ended::Serial { .. } | Ended::Screen { .. }) => ended,
            other => panic!("expected {what}, but {}", self.instead(&other)),
        }
    }

    #[track_caller]
    fn end(&mut self, expected: &Ended, what: &str) -> &mut Self {
        match self.run(Until::power_off()) {
            ended if ended == *expected => self,
            other => panic!("expected {what}, but {}", self.instead(&other)),
        }
    }

    #[track_caller]
    fn run(&mut self, until: Until) -> Ended {
        match self.machine.run_until(until.or(Until::millis(self.limit.saturating_mul(1000)))) {
            Ok(ended) => ended,
            Err(error) => panic!("{error}"),
        }
    }

    fn instead(&mut self, ended: &Ended) -> String {
        let ended = match ended {
            Ended::Time => format!("{} seconds of guest time passed", self.limit),
            other => format!("the run ended by {other:?}"),
        };
        let screen = self.machine.screen_text().unwrap_or_else(|| "(no text)\n".into());
        let serial = String::from_utf8_lossy(self.machine.peek_serial(0)).into_owned();
        let lines: Vec<&str> = serial.lines().collect();
        let last = lines[lines.len().saturating_sub(SHOWN)..].join("\n");
        format!("{ended}; the screen shows\n{screen}and COM1 printed last\n{last}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_expected_is_found() {
        let mut pc = boot_floppy(demo_disk());
        pc.expect_power_off();
        assert!(pc.screen_text().is_some_and(|screen| screen.contains("idem86")));
    }

    #[test]
    #[should_panic(
        expected = "expected \"never\" at COM1, but 1 seconds of guest time passed; the screen shows"
    )]
    fn what_does_not_come_is_told_with_the_screen() {
        // sti; hlt; jmp
        boot_floppy(boot_sector(&[0xFB, 0xF4, 0xEB, 0xFC])).within(1).expect_serial("never");
    }

    #[test]
    #[should_panic(expected = "the run ended by Stuck")]
    fn a_guest_that_dies_is_told_at_once() {
        boot_floppy(boot_sector(&[0xFA, 0xF4])).expect_screen("never");
    }
}
