//! Boot loaders and systems beside DOS and Debian: each to what it says when it is up.

use crate::support::{BIOSES, Maker, Session, engines, guest, guest_bytes, snapshot};
use idem86::firmware::loader::linux;
use idem86::machine::cmos::BootDevice;
use idem86::machine::config::{Config, IdeDrive};
use idem86::machine::image::detect::ImageKind;
use std::path::Path;

fn diskette(config: &mut Config, path: &Path) {
    config.floppies[0] = Some(snapshot(path, ImageKind::Floppy));
}

fn disk(config: &mut Config, path: &Path) {
    config.ide[0] = Some(IdeDrive::Disk(snapshot(path, ImageKind::Disk)));
}

fn disc(config: &mut Config, path: &Path) {
    config.boot = vec![BootDevice::Cdrom];
    config.ide[2] = Some(IdeDrive::Cdrom(Some(snapshot(path, ImageKind::Cdrom))));
}

/// Boots the guest in the image `name`, put in by `insert`, on every engine and the `bioses`, and does `steps` within
/// `seconds` of guest time.
fn boots(
    name: &str,
    insert: fn(&mut Config, &Path),
    bioses: &[(&str, Maker)],
    megabytes: u64,
    steps: &[&str],
    seconds: u64,
) {
    for engine in engines() {
        for (bios, machine) in bioses {
            let test = format!("{name}, {bios}");
            let (Some(path), Some(mut config)) = (guest(&test, name), machine(&test, megabytes)) else {
                continue;
            };
            insert(&mut config, &path);
            Session::new(&test, engine, config).steps(steps, seconds);
        }
    }
}

#[test]
#[ignore = "takes seconds"]
fn grub_from_a_diskette() {
    let steps = [
        "wait-screen GNU GRUB  version",
        "key c",
        "wait-screen grub>",
        "type ls\\n",
        "wait-screen \\(fd0\\)",
    ];
    boots("grub-rescue/floppy.img", diskette, &BIOSES, 32, &steps, 60);
}

#[test]
#[ignore = "takes seconds"]
fn grub_from_a_disc() {
    let steps = [
        "wait-screen GNU GRUB  version",
        "key c",
        "wait-screen grub>",
        "type ls\\n",
        "wait-screen \\(cd0?\\)",
    ];
    boots("grub-rescue/cdrom.iso", disc, &BIOSES, 32, &steps, 60);
}

#[test]
#[ignore = "takes seconds"]
fn ipxe_from_a_disc() {
    boots(
        "ipxe/ipxe.iso",
        disc,
        &BIOSES,
        32,
        &["wait-screen iPXE 1\\.", "wait-screen No more network devices"],
        60,
    );
}

#[test]
fn freedos_by_memdisk() {
    for engine in engines() {
        for (bios, machine) in BIOSES {
            let test = format!("FreeDOS in memory, {bios}");
            let memdisk = guest_bytes(&test, "syslinux/memdisk");
            let (Some(memdisk), Some(image)) = (memdisk, guest_bytes(&test, "freedos722.img")) else {
                continue;
            };
            let Some(mut config) = machine(&test, 16) else { continue };
            config.kernel =
                Some(linux::load(&memdisk, Some(&image), "", config.memory).expect("it loads as one"));
            let steps = ["wait-screen ^A:.>$", "type dir\\n", "wait-screen bytes free"];
            Session::new(&test, engine, config).steps(&steps, 30);
        }
    }
}

#[test]
#[ignore = "takes half a minute"]
fn ttylinux_by_lilo_to_its_login() {
    let steps = ["wait-screen login: *$", "type root\\n", "wait-screen Password:"];
    boots("ttylinux/ttylinux.img", disk, &BIOSES[..1], 24, &steps, 240);
}

#[test]
#[ignore = "takes a minute"]
fn buildroot_by_isolinux_to_a_shell() {
    boots(
        "v86-linux.iso",
        disc,
        &BIOSES[..1],
        256,
        &["wait-serial ~ # ", "send-serial uname -m\\n", "wait-serial i[56]86"],
        240,
    );
}
