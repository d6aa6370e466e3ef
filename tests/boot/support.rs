//! Machines for boot tests, and where their guests are.

use idem86::devices::access::DmaMemory;
use idem86::devices::backend::Medium;
use idem86::devices::time::GuestDuration;
use idem86::machine::config::{Config, Firmware};
use idem86::machine::image::detect::ImageKind;
use idem86::machine::image::{self, ImageOptions};
use idem86::machine::machine::{Machine, Outcome};
use idem86::machine::script::{Script, ScriptState, Step};
use std::path::PathBuf;

/// A guest's file, if it is there. Says which is not.
pub fn guest(name: &str) -> Option<PathBuf> {
    let directory = match std::env::var_os("IDEM86_GUESTS") {
        Some(directory) => PathBuf::from(directory),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/guests"),
    };
    let path = directory.join(name);
    if !path.exists() {
        eprintln!("skipped: no {}", path.display());
        return None;
    }
    Some(path)
}

/// The image in a guest's file. What the test writes is dropped.
pub fn medium(name: &str, kind: ImageKind) -> Option<Box<dyn Medium>> {
    let mut options = ImageOptions::new(guest(name)?);
    options.snapshot = kind != ImageKind::Cdrom;
    Some(image::open(&options, kind).expect("the guest's image can be opened"))
}

/// A machine with our firmware.
pub fn config(megabytes: u64) -> Config {
    Config::new(megabytes << 20, Firmware::Builtin)
}

/// A machine under test.
pub struct Pc {
    machine: Machine,
    /// What the first serial port has printed.
    pub serial: String,
}

impl Pc {
    pub fn new(config: Config) -> Self {
        let machine = Machine::new(config).expect("the configuration is good");
        Pc { machine, serial: String::new() }
    }

    /// The text screen.
    pub fn screen(&self) -> String {
        self.machine.board.vga.text_screen().map(|screen| screen.to_string()).unwrap_or_default()
    }

    /// Physical memory.
    pub fn read<const N: usize>(&mut self, at: u64) -> [u8; N] {
        let mut bytes = [0; N];
        self.machine.memory().read(at, &mut bytes);
        bytes
    }

    pub fn write(&mut self, at: u64, bytes: &[u8]) {
        self.machine.memory().write(at, bytes);
    }

    /// Does `steps`, as written for the command line, within `seconds` of guest time.
    pub fn run(&mut self, seconds: u64, steps: &[&str]) {
        let steps = steps.iter().map(|step| step.parse::<Step>().expect("a good step")).collect();
        let mut script = Script::new(steps);
        let end = self.machine.now() + GuestDuration::from_millis(seconds * 1000);
        loop {
            let outcome = self.machine.run_until(self.machine.now() + GuestDuration::from_millis(5));
            let output = self.machine.board.com[0].take_output();
            script.serial_output(&output);
            self.serial.push_str(&String::from_utf8_lossy(&output));
            let state = script.advance(&mut self.machine).expect("the step can be done");
            if state != ScriptState::Waiting {
                return;
            }
            assert_eq!(outcome, Outcome::Ran, "{}", self.describe(&script));
            assert!(self.machine.now() < end, "the time is up: {}", self.describe(&script));
        }
    }

    fn describe(&self, script: &Script) -> String {
        let step = script.current().map(|(_, step)| step).unwrap_or_default();
        let tail: Vec<&str> = self.serial.lines().rev().take(20).collect();
        let tail: Vec<&str> = tail.into_iter().rev().collect();
        format!("at step {step}\nscreen:\n{}\nserial:\n{}", self.screen(), tail.join("\n"))
    }
}
