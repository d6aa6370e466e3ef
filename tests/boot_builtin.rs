//! Our own BIOS from the reset vector on: what it says, what it boots, how it starts again.

#[allow(dead_code, reason = "other tests use the rest")]
mod boot;

use idem86::devices::access::DmaMemory;
use idem86::devices::backend::Medium;
use idem86::devices::time::GuestDuration;
use idem86::machine::config::{Config, Firmware};
use idem86::machine::image::detect::ImageKind;
use idem86::machine::image::{self, ImageOptions};
use idem86::machine::machine::{Machine, Outcome};

/// A machine of `megabytes` with our firmware.
fn builtin(megabytes: u64) -> Config {
    Config::new(megabytes << 20, Firmware::Builtin)
}

/// The floppy image of a guest, or `None`, having said so, where it is not there. What is written is dropped.
fn floppy(test: &str, name: &str) -> Option<Box<dyn Medium>> {
    let Some(path) = boot::guest(name) else {
        println!("{test}: skipped, no {name} (IDEM86_GUESTS)");
        return None;
    };
    let options = ImageOptions { snapshot: true, ..ImageOptions::new(path) };
    Some(image::open(&options, ImageKind::Floppy).expect("the guest's image can be opened"))
}

#[test]
fn an_empty_machine_says_what_it_is_and_that_there_is_nothing_to_boot() {
    let screen = boot::run("empty machine", builtin(16), &["wait-screen No bootable device"], 5);
    assert!(screen.contains("639 KB base, 15360 KB extended"), "{screen}");
    assert!(screen.contains("no diskette"), "{screen}");
}

#[test]
fn freedos_reaches_its_prompt_and_takes_commands() {
    let test = "FreeDOS, built-in BIOS";
    let Some(medium) = floppy(test, "freedos722.img") else { return };
    let mut config = builtin(16);
    config.floppies[0] = Some(medium);
    let steps = [
        "wait-screen ^A:.>$",
        "type ver\\n",
        "wait-screen (?s)>ver.*FreeCom version 0.82 pl 3",
        // Shifted keys reach programs; the diskette is read and written.
        "type echo Hello There>x.txt\\n",
        "type type x.txt\\n",
        "wait-screen ^Hello There$",
        "type del x.txt\\ntype x.txt\\n",
        "wait-screen not found",
    ];
    boot::run(test, config, &steps, 20);
}

#[test]
fn every_floppy_format_boots() {
    for size in ["160K", "180K", "320K", "360K", "640K", "720K", "1200K", "1.4MB"] {
        let test = format!("FreeDOS from {size}, built-in BIOS");
        let Some(medium) = floppy(&test, &format!("freedos-boot/freedos.boot.disk.{size}.img")) else {
            continue;
        };
        let mut config = builtin(4);
        config.floppies[0] = Some(medium);
        boot::run(&test, config, &["wait-screen ^A:.>"], 30);
    }
}

/// Runs for `milliseconds` of guest time.
fn run_for(machine: &mut Machine, milliseconds: u64) {
    let until = machine.now() + GuestDuration::from_millis(milliseconds);
    assert_eq!(machine.run_until(until), Outcome::Ran);
}

fn screen(machine: &Machine) -> String {
    machine.board.vga.text_screen().map(|screen| screen.to_string()).unwrap_or_default()
}

#[test]
fn control_alt_delete_starts_again() {
    /// A byte of the BIOS data area that belongs to nobody: only power-on work clears it.
    const NOBODYS: u64 = 0x4F0;
    let mut machine = Machine::new(builtin(1)).expect("the configuration is sound");
    run_for(&mut machine, 500);
    assert!(screen(&machine).contains("No bootable device"), "{}", screen(&machine));
    machine.memory().write(NOBODYS, &[0x5A]);
    machine.keyboard.chord(idem86::machine::keyboard::parse_chord("ctrl-alt-del").expect("names of keys"));
    run_for(&mut machine, 500);
    let mut byte = [0xFF];
    machine.memory().read(NOBODYS, &mut byte);
    assert_eq!(byte, [0]);
    assert!(screen(&machine).contains("No bootable device"), "{}", screen(&machine));
}
