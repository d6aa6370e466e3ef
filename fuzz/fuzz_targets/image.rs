//! Any bytes as what a machine is started from: `cargo fuzz run image`. The first says as what: an image that is
//! recognised by its content, a diskette, a hard disk, a disc, a kernel, a RAM disk, a BIOS or a display adapter's ROM.
#![no_main]

use idem86_devices::time::GuestDuration;
use idem86_machine::machine::Machine;

/// A BIOS is as long as its address space allows.
const ROM: usize = 0x1_0000;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((kind, rest)) = bytes.split_first() else { return };
    let image = rest.to_vec();
    let whole = |unit: usize| {
        let mut image = image.clone();
        image.resize(image.len().next_multiple_of(unit), 0);
        image
    };
    let builder = Machine::builder().memory(4 << 20);
    let builder = match kind % 8 {
        0 => builder.image(image),
        1 => {
            let mut image = image;
            image.resize(368_640, 0);
            builder.floppy(image)
        }
        2 => builder.disk(whole(512)),
        3 => builder.cdrom(whole(2048)),
        4 => builder.kernel(image),
        5 => builder.kernel(image.clone()).initrd(image).append("quiet"),
        6 => builder.firmware(whole(ROM)),
        _ => builder.vga_bios(image),
    };
    if let Ok(mut machine) = builder.build() {
        machine.run_to(machine.now() + GuestDuration::from_millis(1));
    }
});
