//! What boot tests share: finding firmware and guests, and a machine that follows a script.

use idem86::devices::time::GuestDuration;
use idem86::machine::config::{Config, Firmware};
use idem86::machine::machine::{Machine, Outcome};
use idem86::machine::script::{Script, ScriptState};
use std::path::PathBuf;
use std::time::Instant;

/// Guest time between two looks at the script.
const SLICE: GuestDuration = GuestDuration::from_millis(5);

/// The file `name` among the guests: in the folder that `IDEM86_GUESTS` names, or in `shared/guests` beside the project.
pub fn guest(name: &str) -> Option<PathBuf> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/guests");
    let folder = std::env::var_os("IDEM86_GUESTS").map_or_else(beside, PathBuf::from);
    Some(folder.join(name)).filter(|p| p.exists())
}

/// A firmware image: from the folder that `IDEM86_FIRMWARE` names, or where Debian's package seabios puts it.
pub fn firmware(name: &str) -> Option<Vec<u8>> {
    let folder =
        std::env::var_os("IDEM86_FIRMWARE").map_or_else(|| "/usr/share/seabios".into(), PathBuf::from);
    std::fs::read(folder.join(name)).ok()
}

/// A machine of 16 MiB with SeaBIOS, or `None`, having said so, where SeaBIOS is not there.
pub fn seabios(test: &str, bios: &str) -> Option<Config> {
    let (Some(image), Some(vga)) = (firmware(bios), firmware("vgabios-stdvga.bin")) else {
        println!("{test}: skipped, no {bios} (Debian package seabios, or IDEM86_FIRMWARE)");
        return None;
    };
    let mut config = Config::new(16 << 20, Firmware::Image(image));
    config.vga_bios = Some(vga);
    Some(config)
}

/// Runs a machine by a script and gives the text screen at the end.
///
/// # Panics
/// If the script is not done after `seconds` of guest time, with the screen as it is then.
pub fn run(test: &str, config: Config, steps: &[&str], seconds: u64) -> String {
    let start = Instant::now();
    let mut machine = Machine::new(config).expect("the configuration is sound");
    let mut script = Script::new(steps.iter().map(|s| s.parse().expect("a step")).collect());
    let end = machine.now() + GuestDuration::from_millis(seconds * 1000);
    loop {
        let until = machine.now() + SLICE;
        let outcome = machine.run_until(until);
        let screen = machine.board.vga.text_screen().map(|s| s.to_string()).unwrap_or_default();
        assert_eq!(outcome, Outcome::Ran, "{test}: the screen shows\n{screen}");
        match script.advance(&mut machine).expect("the step can be done") {
            ScriptState::Done | ScriptState::Quit => {
                let guest = machine.now().as_nanos() as f64 / 1e9;
                println!("{test}: {guest:.1} s of guest time in {:.1} s", start.elapsed().as_secs_f64());
                return screen;
            }
            ScriptState::Waiting => {}
        }
        assert!(
            machine.now() < end,
            "{test}: {:?} does not happen; the screen shows\n{screen}",
            script.current()
        );
    }
}
