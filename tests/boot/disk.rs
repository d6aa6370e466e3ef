//! Linux from a hard disk and from a disc, through the BIOS, GRUB and ISOLINUX; what it does with a disk.

use crate::support::{BIOSES, Session, builtin, engines, guest, snapshot, writable};
use idem86::machine::config::IdeDrive;
use idem86::machine::engine::EngineKind;
use idem86::machine::image::detect::ImageKind;
use std::path::Path;
use std::process::Command;

/// Enough for the kernel and its initial RAM disk.
const MEGABYTES: u64 = 128;
/// The prompt of the test system's shell, once it is there.
const UP: &str = "wait-serial (?s)idem86 test system is up.*# ";

/// Checks that disk transfers are DMA: that Linux has set a mode for it, and that reading a large file takes far
/// fewer interrupts than the one in 16 sectors that PIO would need at best.
fn assert_dma(session: &mut Session) {
    let mode = session.shell("cat /sys/class/ata_device/dev1.0/xfer_mode", 5);
    assert!(mode.contains("DMA"), "{mode}");
    let count = |session: &mut Session| -> u64 {
        let row = session.shell("grep ata_piix /proc/interrupts | head -n 1", 5);
        row.split_whitespace()
            .nth(1)
            .and_then(|n| n.parse().ok())
            .unwrap_or_else(|| panic!("no count in {row:?}"))
    };
    let before = count(session);
    session.shell("dd if=/dev/sda of=/dev/null bs=1M count=32", 60);
    let interrupts = count(session) - before;
    let sectors = 32 * 2048;
    assert!((1..sectors / 64).contains(&interrupts), "{interrupts} interrupts for {sectors} sectors");
}

/// Boots from the disk in `image`, writes a file there, and finds it after a reboot.
fn keeps_what_it_writes(test: &str, engine: EngineKind, image: &Path) {
    let mut config = builtin(MEGABYTES);
    config.ide[0] = Some(IdeDrive::Disk(writable(image, ImageKind::Disk)));
    let mut session = Session::new(test, engine, config);
    session.steps(&[UP], 240);
    session.shell("mount -t ext4 -o rw /dev/sda1 /mnt", 10);
    assert_dma(&mut session);
    session.shell("dd if=/dev/urandom of=/mnt/large bs=1M count=24", 60);
    let written = session.shell("sha256sum /mnt/large", 60);
    assert_eq!(written.split_whitespace().map(str::len).next(), Some(64), "{written}");
    session.shell("umount /mnt", 60);
    // The same machine starts again, and finds the file with nothing of it in memory.
    session.steps(&["send-serial reboot -f\\n", UP], 240);
    session.shell("mount -t ext4 -o rw /dev/sda1 /mnt", 10);
    assert_eq!(session.shell("sha256sum /mnt/large", 60), written);
    session.shell("umount /mnt", 10);
}

#[test]
#[ignore = "takes a minute"]
fn linux_boots_from_a_hard_disk_and_keeps_what_it_writes() {
    for engine in engines() {
        let test = "Linux from a hard disk";
        let Some(original) = guest(test, "disk.img") else { return };
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join("disk.img");
        std::fs::copy(original, &copy).unwrap();
        keeps_what_it_writes(test, engine, &copy);
    }
}

#[test]
#[ignore = "takes a minute"]
fn linux_boots_from_a_compressed_qcow2_image_and_leaves_it_sound() {
    for engine in engines() {
        let test = "Linux from a qcow2 image";
        let Some(original) = guest(test, "disk.img") else { return };
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join("disk.qcow2");
        let qemu_img = |words: &[&str], files: &[&Path]| {
            Command::new("qemu-img").args(words).args(files).output().map(|out| out.status.code())
        };
        let Ok(made) = qemu_img(&["convert", "-f", "raw", "-O", "qcow2", "-c"], &[&original, &copy]) else {
            eprintln!("{test}: skipped, no qemu-img");
            return;
        };
        assert_eq!(made, Some(0));
        keeps_what_it_writes(test, engine, &copy);
        assert_eq!(qemu_img(&["check", "-f", "qcow2"], &[&copy]).unwrap(), Some(0), "no error and no leak");
    }
}

#[test]
#[ignore = "takes a minute"]
fn linux_boots_from_a_disc_and_finds_a_disk_and_the_disc() {
    for engine in engines() {
        for (bios, machine) in BIOSES {
            let test = format!("Linux from a disc, {bios}");
            let (Some(disc), Some(disk)) = (guest(&test, "boot.iso"), guest(&test, "disk.img")) else {
                continue;
            };
            let Some(mut config) = machine(&test, MEGABYTES) else { continue };
            config.boot = vec![idem86::machine::cmos::BootDevice::Cdrom];
            config.ide[0] = Some(IdeDrive::Disk(snapshot(&disk, ImageKind::Disk)));
            config.ide[2] = Some(IdeDrive::Cdrom(Some(snapshot(&disc, ImageKind::Cdrom))));
            let mut session = Session::new(&test, engine, config);
            session.steps(&["wait-screen boot:", "type linux\\n", UP], 240);
            assert_dma(&mut session);
            session.shell("mount -t iso9660 -o ro /dev/sr0 /mnt", 10);
            let listed = session.shell("ls /mnt", 10);
            assert!(listed.contains("isolinux") && listed.contains("vmlinuz"), "{listed}");
            // What the disc gives is what the disk gives.
            session.shell("mkdir /disk; mount -t ext4 -o rw /dev/sda1 /disk", 10);
            session.shell("cmp /mnt/vmlinuz /disk/boot/vmlinuz", 60);
        }
    }
}
