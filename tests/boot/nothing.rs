//! The BIOS alone: what it says when there is nothing to boot, and how it starts again.

use crate::support::{Pc, config};

#[test]
fn an_empty_machine_says_so() {
    let mut pc = Pc::new(config(16));
    pc.run(5, &["wait-screen No bootable device"]);
    let screen = pc.screen();
    assert!(screen.contains("639 KB base, 15360 KB extended"), "{screen}");
    assert!(screen.contains("no diskette"), "{screen}");
}

#[test]
fn control_alt_delete_starts_again() {
    /// A byte of the BIOS data area that belongs to nobody: only power-on work clears it.
    const NOBODYS: u64 = 0x4F0;
    let mut pc = Pc::new(config(1));
    pc.run(5, &["wait-screen No bootable device"]);
    pc.write(NOBODYS, &[0x5A]);
    pc.run(5, &["key ctrl-alt-del", "sleep 0.1", "wait-screen No bootable device"]);
    assert_eq!(pc.read::<1>(NOBODYS), [0]);
}
