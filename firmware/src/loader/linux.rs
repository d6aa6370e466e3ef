//! Linux kernels (bzImage), entered in real mode so that the kernel asks the BIOS itself. Linux, "The Linux/x86 Boot
//! Protocol".

use super::{Entry, FIRMWARE_TOP, KERNEL_BASE, LoadError, Loaded, check_room, u16_at, u32_at};

/// Offsets in the first sector and the setup header behind it.
mod header {
    pub const SETUP_SECTORS: usize = 0x1F1;
    pub const VIDEO_MODE: usize = 0x1FA;
    pub const BOOT_FLAG: usize = 0x1FE;
    pub const MAGIC: usize = 0x202;
    pub const VERSION: usize = 0x206;
    pub const LOADER_TYPE: usize = 0x210;
    pub const LOAD_FLAGS: usize = 0x211;
    pub const RAMDISK_IMAGE: usize = 0x218;
    pub const RAMDISK_SIZE: usize = 0x21C;
    pub const HEAP_END: usize = 0x224;
    pub const COMMAND_LINE: usize = 0x228;
    pub const RAMDISK_MAX: usize = 0x22C;
    pub const COMMAND_LINE_SIZE: usize = 0x238;
    pub const INIT_SIZE: usize = 0x260;
    /// The header ends here at the latest.
    pub const END: usize = 0x280;
}

/// Where the real-mode part lies.
const SETUP: u32 = 0x9_0000;
/// Where the heap of the real-mode part ends, as an offset from [`SETUP`]; its stack is on top.
const HEAP_END: u16 = 0x9000 - 0x200;
/// Where the command line lies.
const COMMAND_LINE: u32 = SETUP + 0x9000;
/// The most that fits between command line and EBDA.
const COMMAND_LINE_MOST: usize = 0x800;
/// LOADED_HIGH: the protected-mode part belongs at 1 MiB.
const LOADED_HIGH: u8 = 1;
/// CAN_USE_HEAP: the heap's end was filled in.
const CAN_USE_HEAP: u8 = 0x80;
/// A loader without a number of its own.
const LOADER_UNKNOWN: u8 = 0xFF;
/// "Normal" video mode: leave it as the BIOS set it.
const VIDEO_NORMAL: u16 = 0xFFFF;
/// Where older kernels want the RAM disk to end at the latest.
const RAMDISK_MAX_OLD: u32 = 0x37FF_FFFF;

/// Makes `kernel` ready to be started with a RAM disk and a command line, in `memory` bytes of RAM.
pub fn load(
    kernel: &[u8],
    ramdisk: Option<&[u8]>,
    command_line: &str,
    memory: u64,
) -> Result<Loaded, LoadError> {
    const WHAT: &str = "Linux kernel";
    let is_kernel = kernel.get(header::MAGIC..header::MAGIC + 4) == Some(b"HdrS")
        && u16_at(kernel, header::BOOT_FLAG) == Some(0xAA55);
    if !is_kernel {
        return Err(LoadError::NotOne("Linux kernel"));
    }
    let version = u16_at(kernel, header::VERSION).ok_or(LoadError::Truncated(WHAT))?;
    if version < 0x202 {
        return Err(LoadError::OldProtocol(version));
    }
    // Zero stands for four, for the sake of very old kernels.
    let sectors = match kernel[header::SETUP_SECTORS] {
        0 => 4,
        n => usize::from(n),
    };
    let split = (sectors + 1) * 512;
    let (Some(setup), Some(code)) = (kernel.get(..split), kernel.get(split..).filter(|c| !c.is_empty()))
    else {
        return Err(LoadError::Truncated(WHAT));
    };
    if setup.len() < header::END || setup.len() > usize::from(HEAP_END) - 0x1000 {
        return Err(LoadError::Truncated(WHAT));
    }
    if setup[header::LOAD_FLAGS] & LOADED_HIGH == 0 {
        return Err(LoadError::Unsupported("to be loaded low (a zImage)".into()));
    }
    let most = match version {
        0x206.. => u32_at(setup, header::COMMAND_LINE_SIZE).map_or(255, |n| n as usize),
        _ => 255,
    };
    let most = most.min(COMMAND_LINE_MOST - 1);
    if command_line.len() > most {
        return Err(LoadError::LongCommandLine { length: command_line.len(), most });
    }
    // The kernel unpacks itself in place and says how much room that takes.
    let needed = match version {
        0x20A.. => u32_at(setup, header::INIT_SIZE).map_or(0, u64::from),
        _ => 0,
    };
    check_room("kernel", KERNEL_BASE, needed.max(code.len() as u64), memory)?;

    let mut setup = setup.to_vec();
    let mut set = |at: usize, bytes: &[u8]| setup[at..at + bytes.len()].copy_from_slice(bytes);
    set(header::VIDEO_MODE, &VIDEO_NORMAL.to_le_bytes());
    set(header::LOADER_TYPE, &[LOADER_UNKNOWN]);
    set(header::HEAP_END, &(HEAP_END - 0x200).to_le_bytes());
    set(header::COMMAND_LINE, &COMMAND_LINE.to_le_bytes());
    let mut pieces = Vec::new();
    if let Some(ramdisk) = ramdisk {
        let highest = match version {
            0x203.. => u32_at(kernel, header::RAMDISK_MAX).unwrap_or(RAMDISK_MAX_OLD),
            _ => RAMDISK_MAX_OLD,
        };
        let size = ramdisk.len() as u64;
        let end = (u64::from(highest) + 1).min(memory.saturating_sub(FIRMWARE_TOP));
        let start = end.saturating_sub(size) & !0xFFF;
        let kernel_end = KERNEL_BASE + needed.max(code.len() as u64);
        if start < kernel_end {
            return Err(LoadError::NoMemory {
                what: "RAM disk",
                end: kernel_end + size + FIRMWARE_TOP,
                memory,
            });
        }
        set(header::RAMDISK_IMAGE, &(start as u32).to_le_bytes());
        set(header::RAMDISK_SIZE, &(size as u32).to_le_bytes());
        pieces.push((start as u32, ramdisk.to_vec()));
    }
    setup[header::LOAD_FLAGS] |= CAN_USE_HEAP;
    let mut line = command_line.as_bytes().to_vec();
    line.push(0);
    pieces.push((SETUP, setup));
    pieces.push((COMMAND_LINE, line));
    pieces.push((KERNEL_BASE as u32, code.to_vec()));
    let segment = (SETUP >> 4) as u16;
    Ok(Loaded { pieces, entry: Entry::Real { cs: segment + 0x20, segment, sp: HEAP_END } })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A kernel of protocol 2.10 with 4 setup sectors and 1000 bytes of code.
    fn kernel() -> Vec<u8> {
        let mut k = vec![0; 5 * 512 + 1000];
        k[header::SETUP_SECTORS] = 4;
        k[header::BOOT_FLAG..][..2].copy_from_slice(&[0x55, 0xAA]);
        k[header::MAGIC..][..4].copy_from_slice(b"HdrS");
        k[header::VERSION..][..2].copy_from_slice(&0x20Au16.to_le_bytes());
        k[header::LOAD_FLAGS] = LOADED_HIGH;
        k[header::RAMDISK_MAX..][..4].copy_from_slice(&0x7FFF_FFFFu32.to_le_bytes());
        k[header::COMMAND_LINE_SIZE..][..4].copy_from_slice(&2047u32.to_le_bytes());
        k[header::INIT_SIZE..][..4].copy_from_slice(&0x20_0000u32.to_le_bytes());
        k
    }

    #[test]
    fn parts_go_where_the_protocol_wants_them() {
        let loaded = load(&kernel(), Some(&[7; 5000]), "console=ttyS0", 16 << 20).unwrap();
        let piece = |at: u32| &loaded.pieces.iter().find(|p| p.0 == at).unwrap().1;
        assert_eq!(loaded.entry, Entry::Real { cs: 0x9020, segment: 0x9000, sp: HEAP_END });
        assert_eq!(piece(KERNEL_BASE as u32).len(), 1000);
        assert_eq!(piece(COMMAND_LINE), b"console=ttyS0\0");
        let setup = piece(SETUP);
        let at = u32_at(setup, header::RAMDISK_IMAGE).unwrap();
        assert_eq!((at % 4096, u32_at(setup, header::RAMDISK_SIZE)), (0, Some(5000)));
        assert_eq!(piece(at).len(), 5000);
        assert!(u64::from(at) + 5000 + FIRMWARE_TOP <= 16 << 20);
        assert_eq!(u32_at(setup, header::COMMAND_LINE), Some(COMMAND_LINE));
    }

    #[test]
    fn what_cannot_be_started_is_refused_with_a_reason() {
        let error = |k: &[u8], memory| load(k, None, "", memory).unwrap_err();
        assert!(matches!(error(b"", 16 << 20), LoadError::NotOne(_)));
        assert!(matches!(error(&kernel()[..2000], 16 << 20), LoadError::Truncated(_)));
        assert!(matches!(error(&kernel(), 2 << 20), LoadError::NoMemory { .. }));
        let mut old = kernel();
        old[header::VERSION..][..2].copy_from_slice(&0x201u16.to_le_bytes());
        assert_eq!(error(&old, 16 << 20), LoadError::OldProtocol(0x201));
        let line = "x".repeat(3000);
        assert!(matches!(load(&kernel(), None, &line, 16 << 20), Err(LoadError::LongCommandLine { .. })));
        assert!(matches!(
            load(&kernel(), Some(&[0; 15 << 20]), "", 16 << 20),
            Err(LoadError::NoMemory { .. })
        ));
    }

    #[test]
    fn no_prefix_of_a_kernel_is_a_panic() {
        let whole = kernel();
        for n in 0..whole.len() {
            let _ = load(&whole[..n], Some(&[0; 100]), "a", 16 << 20);
        }
    }
}
