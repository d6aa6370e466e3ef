//! What boot tests share: engines, firmware, guests and images, and a machine that follows steps.

use idem86::devices::backend::Medium;
use idem86::devices::time::GuestDuration;
use idem86::machine::config::{Config, Firmware};
use idem86::machine::engine::{Engine, EngineKind};
use idem86::machine::image::detect::ImageKind;
use idem86::machine::image::{self, ImageOptions};
use idem86::machine::machine::{Machine, Outcome};
use idem86::machine::script::{Script, ScriptState};
use std::path::Path;
use std::time::Instant;

#[path = "../support/guests.rs"]
mod guests;

pub use guests::{guest, say};

/// Guest time between two looks at steps and output.
const SLICE: GuestDuration = GuestDuration::from_millis(5);

/// The engines to boot with: all that this host can run but for `trap`, which takes many times as long, or those that
/// `IDEM86_ENGINES` names, with commas between them.
///
/// # Panics
/// If it names an engine that there is not.
pub fn engines() -> Vec<EngineKind> {
    let Ok(wanted) = std::env::var("IDEM86_ENGINES") else {
        let usual = EngineKind::all().into_iter().filter(|kind| !matches!(kind, EngineKind::Trap(_)));
        let (runs, cannot): (Vec<_>, Vec<_>) = usual.partition(|kind| Engine::new(*kind).is_ok());
        cannot.iter().for_each(|kind| say(&kind.name(), &"skipped, this host cannot run it"));
        return runs;
    };
    wanted
        .split(',')
        .map(|name| EngineKind::named(name).unwrap_or_else(|| panic!("no engine {name:?}")))
        .collect()
}

/// The bytes of a guest.
pub fn guest_bytes(test: &str, name: &str) -> Option<Vec<u8>> {
    guest(test, name).map(|path| std::fs::read(path).expect("the guest's file can be read"))
}

/// A machine of `megabytes` that starts with our BIOS.
pub fn builtin(megabytes: u64) -> Config {
    Config::new(megabytes << 20, Firmware::Builtin)
}

/// The same with a BIOS from a file and the ROM for the display that goes with it.
pub fn with_bios(test: &str, megabytes: u64, bios: &str, vga_bios: &str) -> Option<Config> {
    let mut config = Config::new(megabytes << 20, Firmware::Image(guest_bytes(test, bios)?));
    config.vga_bios = Some(guest_bytes(test, vga_bios)?);
    Some(config)
}

/// The same with SeaBIOS.
pub fn seabios(test: &str, megabytes: u64) -> Option<Config> {
    with_bios(test, megabytes, "seabios/bios-256k.bin", "seabios/vgabios-stdvga.bin")
}

/// A way to get a machine of so many megabytes.
pub type Maker = fn(&str, u64) -> Option<Config>;

/// The BIOSes that everything is booted with.
pub const BIOSES: [(&str, Maker); 2] =
    [("built-in BIOS", |_, size| Some(builtin(size))), ("SeaBIOS", seabios)];

/// Opens an image whose file stays as it is: what is written is dropped at the end.
pub fn snapshot(path: &Path, kind: ImageKind) -> Box<dyn Medium> {
    let options = ImageOptions { snapshot: true, ..ImageOptions::new(path) };
    image::open(&options, kind).expect("the image can be opened")
}

/// Opens an image to be written in place.
pub fn writable(path: &Path, kind: ImageKind) -> Box<dyn Medium> {
    image::open(&ImageOptions::new(path), kind).expect("the image can be opened")
}

/// A machine that is used as its owner would use it. Says at the end how long it took.
pub struct Session {
    test: String,
    start: Instant,
    /// The machine.
    pub machine: Machine,
    serial: Vec<u8>,
}

impl Session {
    /// Switches a machine on.
    pub fn new(test: &str, engine: EngineKind, config: Config) -> Self {
        let start = Instant::now();
        let machine = Machine::new(Config { engine, ..config }).expect("the configuration is sound");
        Session { test: format!("{test} [{}]", engine.name()), start, machine, serial: Vec::new() }
    }

    /// Does `steps`, as the command's `--do`, within `seconds` of guest time.
    ///
    /// # Panics
    /// If they are not done by then, or the machine stops, with what it shows.
    pub fn steps<S: AsRef<str>>(&mut self, steps: &[S], seconds: u64) {
        let mut script = Script::new(steps.iter().map(|s| s.as_ref().parse().expect("a step")).collect());
        let end = self.machine.now() + GuestDuration::from_millis(seconds * 1000);
        loop {
            match script.advance(&mut self.machine).expect("the step can be done") {
                ScriptState::Done | ScriptState::Quit => return,
                ScriptState::Waiting => {}
            }
            assert!(self.machine.now() < end, "{:?} does not happen; {}", script.current(), self.shows());
            let outcome = self.slice(|output| script.serial_output(output));
            assert_eq!(outcome, Outcome::Ran, "at {:?}; {}", script.current(), self.shows());
        }
    }

    /// Runs until the machine stops by itself.
    ///
    /// # Panics
    /// If it does not within `seconds` of guest time.
    pub fn end(&mut self, seconds: u64) -> Outcome {
        let end = self.machine.now() + GuestDuration::from_millis(seconds * 1000);
        loop {
            let outcome = self.slice(|_| ());
            if outcome != Outcome::Ran {
                return outcome;
            }
            assert!(self.machine.now() < end, "the machine goes on; {}", self.shows());
        }
    }

    /// Gives a command to the shell at the first serial port, and what it printed, with lines that end in `\n`.
    ///
    /// # Panics
    /// If it fails, or takes more than `seconds` of guest time.
    pub fn shell(&mut self, command: &str, seconds: u64) -> String {
        let from = self.serial.len();
        // What the terminal echoes of this does not match what the shell makes of it.
        self.steps(&[&format!("send-serial {command}; echo =$?=\\n"), r"wait-serial =\d+=\r\n"], seconds);
        let text = String::from_utf8_lossy(&self.serial[from..]).replace('\r', "");
        let (_echo, output) = text.split_once("=$?=\n").expect("the command is echoed");
        let marked = output.rsplit_once("=\n").and_then(|(output, _prompt)| output.rsplit_once('='));
        let (output, code) = marked.expect("the mark was waited for");
        assert_eq!(code, "0", "{command} fails; {}", self.shows());
        output.into()
    }

    /// The text screen, or nothing in a graphics mode.
    pub fn screen(&self) -> String {
        self.machine.board.vga.text_screen().map(|screen| screen.to_string()).unwrap_or_default()
    }

    /// All that the first serial port has printed.
    pub fn serial(&self) -> String {
        String::from_utf8_lossy(&self.serial).into()
    }

    /// Runs a slice of time; serial output is also given to `watch`.
    fn slice(&mut self, watch: impl FnOnce(&[u8])) -> Outcome {
        let outcome = self.machine.run_to(self.machine.now() + SLICE);
        let output = self.machine.serial_output(0);
        watch(&output);
        self.serial.extend(output);
        outcome
    }

    fn shows(&self) -> String {
        let serial = self.serial();
        let lines: Vec<&str> = serial.lines().collect();
        let last = lines[lines.len().saturating_sub(40)..].join("\n");
        format!(
            "{}: the screen shows\n{}\nand the serial port printed last\n{last}",
            self.test,
            self.screen()
        )
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let guest = self.machine.now().as_nanos() as f64 / 1e9;
            let wall = self.start.elapsed().as_secs_f64();
            say(&self.test, &format_args!("{guest:.1} s of guest time in {wall:.1} s"));
        }
    }
}
