//! FreeDOS from floppies, under our BIOS.

use crate::support::{Pc, config, medium};
use idem86::machine::image::detect::ImageKind;

#[test]
fn freedos_reaches_its_prompt_and_takes_commands() {
    let Some(floppy) = medium("freedos722.img", ImageKind::Floppy) else { return };
    let mut config = config(16);
    config.floppies[0] = Some(floppy);
    let mut pc = Pc::new(config);
    pc.run(20, &["wait-screen ^A:.>", "type ver\\n", "wait-screen (?s)>ver.*FreeCom version 0.82 pl 3"]);
    assert!(pc.screen().contains("XMS 2.00 80386") || pc.screen().contains("Welcome to FreeDOS"));
    // The shift state reaches programs, and the disk is read and written.
    pc.run(20, &["type echo Hello There>x.txt\\ntype x.txt\\n", "wait-screen ^Hello There$"]);
    pc.run(20, &["type del x.txt\\ntype x.txt\\n", "wait-screen not found"]);
}

#[test]
fn every_floppy_format_boots() {
    for size in ["160K", "180K", "320K", "360K", "640K", "720K", "1200K", "1.4MB"] {
        let name = format!("freedos-boot/freedos.boot.disk.{size}.img");
        let Some(floppy) = medium(&name, ImageKind::Floppy) else { continue };
        let mut config = config(4);
        config.floppies[0] = Some(floppy);
        Pc::new(config).run(30, &["wait-screen ^A:.>"]);
    }
}
