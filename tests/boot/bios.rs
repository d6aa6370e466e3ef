//! Firmware from the reset vector on: POST of ours and of others', what ours says, and how it starts again.

use crate::support::{Session, builtin, engines, with_bios};
use idem86::devices::access::DmaMemory;

#[test]
fn seabios_completes_its_post() {
    for engine in engines() {
        for bios in ["seabios/bios.bin", "seabios/bios-256k.bin"] {
            let test = format!("POST of {bios}");
            let Some(config) = with_bios(&test, 16, bios, "seabios/vgabios-stdvga.bin") else { continue };
            let mut session = Session::new(&test, engine, config);
            session.steps(&["wait-screen Booting from Floppy"], 10);
            assert!(session.screen().contains("SeaBIOS (version"), "{}", session.screen());
        }
    }
}

#[test]
fn the_bochs_bios_completes_its_post() {
    for engine in engines() {
        let (test, bios) = ("POST of the Bochs BIOS", "bochs/BIOS-bochs-latest");
        let Some(config) = with_bios(test, 16, bios, "bochs/vgabios.bin") else { return };
        let mut session = Session::new(test, engine, config);
        session.steps(&["wait-screen Booting from Floppy"], 30);
        let screen = session.screen();
        assert!(screen.contains("Bochs VBE Display Adapter enabled"), "{screen}");
        assert!(screen.contains(" BIOS - build: "), "{screen}");
    }
}

#[test]
fn an_empty_machine_says_what_it_is_and_that_there_is_nothing_to_boot() {
    for engine in engines() {
        let mut session = Session::new("POST of the built-in BIOS", engine, builtin(16));
        session.steps(&["wait-screen No bootable device"], 5);
        let screen = session.screen();
        assert!(screen.contains("639 KB base, 15360 KB extended"), "{screen}");
        assert!(screen.contains("no diskette"), "{screen}");
    }
}

#[test]
fn control_alt_delete_starts_again() {
    /// A byte of the BIOS data area that belongs to nobody: only power-on work clears it.
    const NOBODYS: u64 = 0x4F0;
    for engine in engines() {
        let mut session = Session::new("restart of the built-in BIOS", engine, builtin(1));
        session.steps(&["wait-screen No bootable device"], 5);
        session.machine.memory().write(NOBODYS, &[0x5A]);
        session.steps(&["key ctrl-alt-del", "sleep 0.5", "wait-screen No bootable device"], 5);
        let mut byte = [0xFF];
        session.machine.memory().read(NOBODYS, &mut byte);
        assert_eq!(byte, [0]);
    }
}
