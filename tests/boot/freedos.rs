//! FreeDOS from diskettes: prompt, directory, and what is written.

use crate::support::{BIOSES, Maker, Session, builtin, engines, guest, snapshot, writable};
use idem86::Model;
use idem86::machine::image::detect::ImageKind;

/// The diskette with FreeDOS and small programs on it.
const DISKETTE: &str = "freedos722.img";

#[test]
fn freedos_reaches_its_prompt_and_takes_commands() {
    takes_commands(&BIOSES[..1]);
}

#[test]
#[ignore = "takes half a minute"]
fn freedos_reaches_its_prompt_and_takes_commands_on_other_bioses() {
    takes_commands(&BIOSES[1..]);
}

fn takes_commands(bioses: &[(&str, Maker)]) {
    for engine in engines() {
        for (bios, machine) in bioses {
            let test = format!("FreeDOS, {bios}");
            let (Some(path), Some(mut config)) = (guest(&test, DISKETTE), machine(&test, 16)) else {
                continue;
            };
            config.floppies[0] = Some(snapshot(&path, ImageKind::Floppy));
            let mut session = Session::new(&test, engine, config);
            let steps = [
                "wait-screen ^A:.>$",
                "type ver\\n",
                "wait-screen (?s)>ver.*FreeCom version 0.82 pl 3",
                "type cls\\ndir *.com\\n",
                "wait-screen (?s)COMMAND  COM.*bytes free",
                // Shifted keys reach programs; the diskette is read and written.
                "type echo Hello There>x.txt\\n",
                "type type x.txt\\n",
                "wait-screen ^Hello There$",
                "type del x.txt\\ntype x.txt\\n",
                "wait-screen not found",
            ];
            session.steps(&steps, 30);
        }
    }
}

#[test]
fn freedos_runs_on_processors_of_its_time() {
    for engine in engines() {
        for model in [Model::I486, Model::Pentium] {
            let test = format!("FreeDOS, {}", model.name());
            let Some(path) = guest(&test, DISKETTE) else { continue };
            let mut config = builtin(16);
            config.cpu = model.into();
            config.floppies[0] = Some(snapshot(&path, ImageKind::Floppy));
            let mut session = Session::new(&test, engine, config);
            session.steps(&["wait-screen ^A:.>$", "type ver\\n", "wait-screen FreeCom"], 30);
        }
    }
}

#[test]
fn what_is_written_is_kept_but_for_snapshots() {
    keeps_files(&BIOSES[..1]);
}

#[test]
#[ignore = "takes half a minute"]
fn what_is_written_is_kept_but_for_snapshots_on_other_bioses() {
    keeps_files(&BIOSES[1..]);
}

fn keeps_files(bioses: &[(&str, Maker)]) {
    for engine in engines() {
        for (bios, machine) in bioses {
            let test = format!("FreeDOS writes, {bios}");
            let Some(original) = guest(&test, DISKETTE) else { continue };
            let before = std::fs::read(original).unwrap();
            let folder = tempfile::tempdir().unwrap();
            let copy = folder.path().join("dos.img");
            std::fs::write(&copy, &before).unwrap();

            let run = |kept: bool, steps: &[&str]| {
                let mut config = machine(&test, 16)?;
                let open = if kept { writable } else { snapshot };
                config.floppies[0] = Some(open(&copy, ImageKind::Floppy));
                let mut session = Session::new(&test, engine, config);
                session.steps(&["wait-screen ^A:.>$"], 30);
                session.steps(steps, 30);
                Some(())
            };
            let write = [
                "type echo kept > NEW.TXT\\n",
                "type dir *.txt\\n",
                "wait-screen (?s)NEW      TXT.*bytes free.*>$",
            ];
            if run(false, &write).is_none() {
                continue;
            }
            assert!(std::fs::read(&copy).unwrap() == before, "a snapshot leaves the file as it was");
            run(true, &write);
            run(true, &["type type new.txt\\n", "wait-screen ^kept"]);
        }
    }
}

#[test]
fn every_floppy_format_boots() {
    for engine in engines() {
        for size in ["160K", "180K", "320K", "360K", "640K", "720K", "1200K", "1.4MB"] {
            let test = format!("FreeDOS from {size}");
            let Some(path) = guest(&test, &format!("freedos-boot/freedos.boot.disk.{size}.img")) else {
                continue;
            };
            let mut config = builtin(4);
            config.floppies[0] = Some(snapshot(&path, ImageKind::Floppy));
            Session::new(&test, engine, config).steps(&["wait-screen ^A:.>"], 30);
        }
    }
}
