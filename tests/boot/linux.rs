//! Debian's installer for i386, kernel and initial RAM disk, started without a boot loader.

use crate::support::{BIOSES, Session, builtin, engines, guest_bytes};
use idem86::devices::backend::MemoryMedium;
use idem86::firmware::loader::linux;
use idem86::machine::config::{Config, IdeDrive};

/// As much as the installer asks for.
const MEGABYTES: u64 = 512;

/// Makes `config` start the installer's kernel.
fn load(test: &str, config: &mut Config, more_files: Option<&[u8]>, command_line: &str) -> Option<()> {
    let kernel = guest_bytes(test, "installer/linux")?;
    let mut initrd = guest_bytes(test, "installer/initrd.gz")?;
    if let Some(archive) = more_files {
        // Archives lie behind each other, aligned. Linux, "initramfs buffer format".
        initrd.resize(initrd.len().next_multiple_of(4), 0);
        initrd.extend(archive);
    }
    config.kernel =
        Some(linux::load(&kernel, Some(&initrd), command_line, config.memory).expect("it is a kernel"));
    Some(())
}

/// Of the rows in `/proc/interrupts` that name `what`, the largest count.
fn interrupts(table: &str, what: &str) -> u64 {
    let rows = table.lines().filter(|row| row.contains(what));
    rows.filter_map(|row| row.split_whitespace().nth(1)?.parse().ok()).max().unwrap_or(0)
}

#[test]
#[ignore = "takes half a minute"]
fn the_installers_kernel_reaches_a_shell_with_interrupts_at_work() {
    for engine in engines() {
        let test = "Linux to a shell";
        // The installer takes drivers for disks from the network; these are of the same kernel.
        let Some(modules) = guest_bytes(test, "linux/modules") else { return };
        let mut config = builtin(MEGABYTES);
        config.ide[0] = Some(IdeDrive::Disk(Box::new(MemoryMedium::new(vec![0; 8 << 20]))));
        if load(test, &mut config, Some(&modules), "console=ttyS0 rdinit=/bin/sh").is_none() {
            return;
        }
        let mut session = Session::new(test, engine, config);
        session.steps(&["wait-serial ~ # "], 120);
        let version = session.shell("uname -a", 5);
        assert!(version.starts_with("Linux (none) 6.1.") && version.contains("i686"), "{version}");

        session.shell("mount -t proc proc /proc; mount -t devtmpfs devtmpfs /dev", 5);
        let processor = session.shell("cat /proc/cpuinfo", 5);
        for line in ["processor\t: 0", "fpu\t\t: yes", " sse2 "] {
            assert!(processor.contains(line), "no {line:?} in\n{processor}");
        }
        assert!(!processor.contains("processor\t: 1"), "{processor}");

        session.shell("while read m; do insmod /modules/$m; done </modules/order", 30);
        session.shell("until test -b /dev/sda; do sleep 1; done", 30);
        let before = session.shell("cat /proc/interrupts", 5);
        session.shell("dd if=/dev/sda of=/dev/null bs=1M; sleep 1", 30);
        let after = session.shell("cat /proc/interrupts", 5);
        for (what, at_least) in [("timer", 50), ("ttyS0", 50), ("ata_piix", 8)] {
            let count = interrupts(&after, what).saturating_sub(interrupts(&before, what));
            assert!(count >= at_least, "{what}: {count} interrupts between\n{before}\nand\n{after}");
        }
    }
}

#[test]
#[ignore = "takes minutes"]
fn the_installer_shows_its_first_screen() {
    for engine in engines() {
        for (bios, machine) in BIOSES {
            let test = format!("Debian installer, {bios}");
            let Some(mut config) = machine(&test, MEGABYTES) else { continue };
            if load(&test, &mut config, None, "console=ttyS0 DEBIAN_FRONTEND=text").is_none() {
                continue;
            }
            let mut session = Session::new(&test, engine, config);
            session.steps(&["wait-serial (?s)Select a language.*Prompt: '\\?' for help, default="], 400);
        }
    }
}
