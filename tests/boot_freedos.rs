//! SeaBIOS and FreeDOS on the interpreter: POST, prompt, directory, and what is written to a diskette.

mod boot;

use idem86::machine::image::detect::ImageKind;
use idem86::machine::image::{self, ImageOptions};
use std::path::Path;

#[test]
fn seabios_of_128_and_256_kib_complete_their_post() {
    for bios in ["bios.bin", "bios-256k.bin"] {
        let test = format!("POST of {bios}");
        let Some(config) = boot::seabios(&test, bios) else { continue };
        let screen = boot::run(&test, config, &["wait-screen Booting from Floppy"], 10);
        assert!(screen.contains("SeaBIOS (version"), "{screen}");
    }
}

/// Boots the diskette at `path` to FreeDOS's prompt, types `commands`, and gives the screen after them.
fn freedos(test: &str, path: &Path, snapshot: bool, commands: &[&str]) -> Option<String> {
    let mut config = boot::seabios(test, "bios-256k.bin")?;
    let options = ImageOptions { snapshot, ..ImageOptions::new(path) };
    config.floppies[0] = Some(image::open(&options, ImageKind::Floppy).expect("the image can be opened"));
    let typed: Vec<String> = commands.iter().map(|c| format!("type {c}\\n")).collect();
    let mut steps = vec!["wait-screen ^A:.>$"];
    for step in &typed {
        steps.extend([step.as_str(), "sleep 1", "wait-screen ^A:.>$"]);
    }
    Some(boot::run(test, config, &steps, 120))
}

#[test]
fn freedos_shows_its_files_and_keeps_what_is_written_but_for_snapshots() {
    let test = "FreeDOS from a floppy";
    let Some(original) = boot::guest("freedos722.img") else {
        println!("{test}: skipped, no freedos722.img (IDEM86_GUESTS)");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("dos.img");
    std::fs::write(&copy, std::fs::read(original).unwrap()).unwrap();
    let before = std::fs::read(&copy).unwrap();

    let write = ["echo kept > NEW.TXT", "dir *.txt"];
    let Some(screen) = freedos("FreeDOS, snapshot=on", &copy, true, &write) else { return };
    assert!(screen.contains("NEW      TXT"), "{screen}");
    assert!(std::fs::read(&copy).unwrap() == before, "a snapshot leaves the file as it was");

    freedos("FreeDOS, first run", &copy, false, &write[..1]);
    let screen = freedos("FreeDOS, second run", &copy, false, &["cls", "type new.txt", "dir *.com"]).unwrap();
    assert!(screen.contains("kept") && screen.contains("COMMAND  COM"), "{screen}");
}
