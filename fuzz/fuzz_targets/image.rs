//! Any bytes as what a machine is started from: `cargo fuzz run image`. The first says as what: an image that is
//! recognised by its content, a diskette, a hard disk, a disc, a kernel, a RAM disk, a BIOS or a display adapter's ROM, or
//! a qcow2 image, which is read and written.
#![no_main]

use idem86_devices::backend::Medium;
use idem86_devices::time::GuestDuration;
use idem86_machine::image::qcow2::Qcow2;
use idem86_machine::image::qcow2::storage::MemoryStorage;
use idem86_machine::machine::Machine;
use std::path::Path;
use std::sync::Arc;

/// A BIOS is as long as its address space allows.
const ROM: usize = 0x1_0000;

/// What a file may grow to.
const FILE: usize = 16 << 20;

/// Reads and writes where `places`, 64-bit numbers, say.
fn use_qcow2(image: Vec<u8>, places: &[u8]) {
    for read_only in [true, false] {
        let storage = Arc::new(MemoryStorage::new(image.clone(), FILE));
        let Ok(mut disk) = Qcow2::open(storage, Path::new("image"), read_only) else { continue };
        for place in places.chunks_exact(8) {
            let offset = u64::from_be_bytes(place.try_into().expect("eight bytes")) % disk.size().max(1);
            let _ = disk.read(offset, &mut [0; 1000]);
            let _ = disk.write(offset, &[0x5A; 1000]);
        }
    }
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((kind, rest)) = bytes.split_first() else { return };
    let image = rest.to_vec();
    let whole = |unit: usize| {
        let mut image = image.clone();
        image.resize(image.len().next_multiple_of(unit), 0);
        image
    };
    let builder = Machine::builder().memory(4 << 20);
    let builder = match kind % 9 {
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
        7 => builder.vga_bios(image),
        _ => {
            // The last bytes say where.
            let (image, places) = image.split_at(image.len() - image.len().min(64));
            return use_qcow2(image.to_vec(), places);
        }
    };
    if let Ok(mut machine) = builder.build() {
        machine.run_to(machine.now() + GuestDuration::from_millis(1));
    }
});
