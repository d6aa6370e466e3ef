//! Multiboot kernels: ELF executables, and flat ones that say where they belong. Multiboot Specification 0.6.96,
//! "OS image format" and "Boot information format".

use super::{Entry, LoadError, Loaded, check_room, elf, u32_at};

/// The header lies within the first 8 KiB, aligned to 4 bytes.
const SEARCH: usize = 8192;
/// What the header begins with.
const HEADER_MAGIC: u32 = 0x1BAD_B002;
/// What EAX holds at the kernel's entry.
const LOADER_MAGIC: u32 = 0x2BAD_B002;

/// Flags in the header.
mod wanted {
    /// Information about memory must be there.
    pub const MEMORY: u32 = 1 << 1;
    /// A video mode should be set; without, the kernel finds text mode.
    pub const VIDEO: u32 = 1 << 2;
    /// Addresses in the header are to be used.
    pub const ADDRESSES: u32 = 1 << 16;
    /// Modules are aligned to pages, which they are.
    pub const ALIGNED: u32 = 1 << 0;
    /// Requirements: a loader that does not know one must refuse.
    pub const REQUIRED: u32 = 0xFFFF;
}

/// Flags in the information structure.
mod given {
    pub const MEMORY: u32 = 1 << 0;
    pub const COMMAND_LINE: u32 = 1 << 2;
    pub const MODULES: u32 = 1 << 3;
    pub const MEMORY_MAP: u32 = 1 << 6;
    pub const LOADER_NAME: u32 = 1 << 9;
}

/// Where the information structure and what it refers to lie.
const INFORMATION: u32 = 0x9_0000;
/// The room for them, up to the EBDA.
const INFORMATION_MOST: usize = 0x8000;
/// Size of the structure up to the loader's name.
const STRUCTURE: usize = 68;

/// A range of physical memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryRange {
    /// First byte.
    pub base: u64,
    /// Bytes.
    pub length: u64,
    /// 1: RAM; 2: reserved.
    pub kind: u32,
}

/// Makes `kernel` ready to be started with a command line and perhaps one module, in `memory` bytes of RAM.
pub fn load(
    kernel: &[u8],
    module: Option<&[u8]>,
    command_line: &str,
    memory: u64,
) -> Result<Loaded, LoadError> {
    let head = &kernel[..kernel.len().min(SEARCH)];
    let (at, flags) = find_header(head).ok_or(LoadError::NotOne("multiboot kernel"))?;
    let unknown = flags & wanted::REQUIRED & !(wanted::ALIGNED | wanted::MEMORY | wanted::VIDEO);
    if unknown != 0 {
        return Err(LoadError::Unsupported(format!("multiboot feature {unknown:#x}")));
    }
    let (mut pieces, eip, end) =
        if flags & wanted::ADDRESSES != 0 { flat(kernel, at, memory)? } else { executable(kernel, memory)? };
    let mut module_place = None;
    if let Some(module) = module {
        let start = end.next_multiple_of(4096);
        check_room("module", start, module.len() as u64, memory)?;
        module_place = Some((start as u32, start as u32 + module.len() as u32));
        pieces.push((start as u32, module.to_vec()));
    }
    pieces.push((INFORMATION, information(command_line, module_place, memory)?));
    Ok(Loaded { pieces, entry: Entry::Protected { eip, eax: LOADER_MAGIC, ebx: INFORMATION } })
}

/// The offset of the header and its flags.
fn find_header(head: &[u8]) -> Option<(usize, u32)> {
    (0..head.len()).step_by(4).find_map(|at| {
        let (magic, flags, sum) = (u32_at(head, at)?, u32_at(head, at + 4)?, u32_at(head, at + 8)?);
        let valid = magic == HEADER_MAGIC && magic.wrapping_add(flags).wrapping_add(sum) == 0;
        valid.then_some((at, flags))
    })
}

/// Pieces, entry point and the first free address behind them.
type Parts = (Vec<(u32, Vec<u8>)>, u32, u64);

fn flat(kernel: &[u8], header_at: usize, memory: u64) -> Result<Parts, LoadError> {
    const CUT: LoadError = LoadError::Truncated("multiboot kernel");
    let field = |n: usize| u32_at(kernel, header_at + n).ok_or(CUT);
    let (header, load, load_end, bss_end, eip) = (field(12)?, field(16)?, field(20)?, field(24)?, field(28)?);
    // The header's own address says which byte of the file belongs to the load address.
    let before = header.checked_sub(load).map(|n| n as usize).ok_or(CUT)?;
    let start = header_at.checked_sub(before).ok_or(CUT)?;
    let length = match load_end {
        0 => kernel.len() - start,
        end => end.checked_sub(load).ok_or(CUT)? as usize,
    };
    let bytes = start.checked_add(length).and_then(|end| kernel.get(start..end)).ok_or(CUT)?;
    let size = u64::from(bss_end).saturating_sub(u64::from(load)).max(length as u64);
    check_room("kernel", load.into(), size, memory)?;
    let mut image = bytes.to_vec();
    image.resize(size as usize, 0);
    Ok((vec![(load, image)], eip, u64::from(load) + size))
}

fn executable(kernel: &[u8], memory: u64) -> Result<Parts, LoadError> {
    let (segments, eip) = elf::segments(kernel)?;
    let mut pieces = Vec::new();
    let mut end = 0;
    for segment in segments.iter().filter(|s| s.size > 0) {
        check_room("kernel", segment.address.into(), segment.size.into(), memory)?;
        let mut bytes = segment.bytes.to_vec();
        bytes.resize(segment.size as usize, 0);
        end = end.max(u64::from(segment.address) + u64::from(segment.size));
        pieces.push((segment.address, bytes));
    }
    if pieces.is_empty() {
        return Err(LoadError::NotOne("kernel with anything to load"));
    }
    Ok((pieces, eip, end))
}

/// The memory that a kernel may use.
fn memory_map(memory: u64) -> [MemoryRange; 3] {
    [
        MemoryRange { base: 0, length: 0x9_FC00, kind: 1 },
        MemoryRange { base: 0x9_FC00, length: 0x6_0400, kind: 2 },
        MemoryRange { base: 0x10_0000, length: memory.saturating_sub(0x10_0000), kind: 1 },
    ]
}

/// The boot information structure with everything that it points to behind it.
fn information(command_line: &str, module: Option<(u32, u32)>, memory: u64) -> Result<Vec<u8>, LoadError> {
    let mut block = vec![0; STRUCTURE];
    let append = |block: &mut Vec<u8>, bytes: &[u8]| {
        block.resize(block.len().next_multiple_of(4), 0);
        let at = INFORMATION + block.len() as u32;
        block.extend_from_slice(bytes);
        at
    };
    let mut line = command_line.as_bytes().to_vec();
    line.push(0);
    let line_at = append(&mut block, &line);
    let name_at = append(&mut block, b"idem86\0");
    let mut map = Vec::new();
    for range in memory_map(memory) {
        // Each entry begins with its size, not counting that field.
        map.extend(20u32.to_le_bytes());
        map.extend(range.base.to_le_bytes());
        map.extend(range.length.to_le_bytes());
        map.extend(range.kind.to_le_bytes());
    }
    let map_at = append(&mut block, &map);
    let mut flags = given::MEMORY | given::COMMAND_LINE | given::MEMORY_MAP | given::LOADER_NAME;
    let set =
        |block: &mut Vec<u8>, at: usize, value: u32| block[at..at + 4].copy_from_slice(&value.to_le_bytes());
    if let Some((start, end)) = module {
        let mut entry = Vec::new();
        for value in [start, end, line_at, 0] {
            entry.extend(value.to_le_bytes());
        }
        let modules_at = append(&mut block, &entry);
        flags |= given::MODULES;
        set(&mut block, 20, 1);
        set(&mut block, 24, modules_at);
    }
    set(&mut block, 0, flags);
    set(&mut block, 4, 640 - 1);
    set(&mut block, 8, (memory.saturating_sub(0x10_0000) >> 10) as u32);
    set(&mut block, 16, line_at);
    set(&mut block, 44, map.len() as u32);
    set(&mut block, 48, map_at);
    set(&mut block, 64, name_at);
    if block.len() > INFORMATION_MOST {
        return Err(LoadError::LongCommandLine {
            length: command_line.len(),
            most: INFORMATION_MOST - 0x200,
        });
    }
    Ok(block)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat_kernel() -> Vec<u8> {
        let mut k = vec![0x90; 0x100];
        let flags = wanted::ADDRESSES | wanted::MEMORY;
        let sum = 0u32.wrapping_sub(HEADER_MAGIC).wrapping_sub(flags);
        let fields = [HEADER_MAGIC, flags, sum, 0x10_0020, 0x10_0000, 0x10_0100, 0x10_1000, 0x10_0040];
        for (n, f) in fields.iter().enumerate() {
            k[0x20 + 4 * n..][..4].copy_from_slice(&f.to_le_bytes());
        }
        k
    }

    #[test]
    fn a_flat_kernel_lies_where_its_header_says() {
        let loaded = load(&flat_kernel(), Some(&[1, 2, 3]), "quiet", 16 << 20).unwrap();
        assert_eq!(loaded.pieces[0].0, 0x10_0000);
        assert_eq!(loaded.pieces[0].1.len(), 0x1000, "the bss is zero and part of it");
        assert_eq!(loaded.pieces[1], (0x10_1000, vec![1, 2, 3]));
        assert_eq!(loaded.entry, Entry::Protected { eip: 0x10_0040, eax: LOADER_MAGIC, ebx: INFORMATION });
        let information = &loaded.pieces[2].1;
        assert_eq!(u32_at(information, 8), Some(15 << 10), "upper memory in KiB");
        let line = u32_at(information, 16).unwrap() - INFORMATION;
        assert_eq!(&information[line as usize..][..6], b"quiet\0");
    }

    #[test]
    fn what_cannot_be_started_is_refused_with_a_reason() {
        let error = |k: &[u8]| load(k, None, "", 16 << 20).unwrap_err();
        assert!(matches!(error(&[0; 100]), LoadError::NotOne(_)));
        let change = |at: usize, value: u32| {
            let mut k = flat_kernel();
            k[at..at + 4].copy_from_slice(&value.to_le_bytes());
            k
        };
        assert!(matches!(error(&change(0x30, 0x7C00)), LoadError::LowAddress(_) | LoadError::Truncated(_)));
        assert!(matches!(error(&change(0x34, 0x20_0000)), LoadError::Truncated(_)));
        assert!(matches!(error(&change(0x38, 0xFFFF_0000)), LoadError::NoMemory { .. }));
        let whole = flat_kernel();
        for n in 0..whole.len() {
            let _ = load(&whole[..n], None, "", 16 << 20);
        }
    }

    #[test]
    fn hostile_executables_are_no_panic() {
        let mut elf = vec![0; 200];
        elf[..4].copy_from_slice(b"\x7FELF");
        elf[4..6].copy_from_slice(&[1, 1]);
        elf[16..20].copy_from_slice(&[2, 0, 3, 0]);
        elf[28..32].copy_from_slice(&52u32.to_le_bytes());
        elf[42..46].copy_from_slice(&[32, 0, 1, 0]);
        elf[52] = 1;
        let sum = 0u32.wrapping_sub(HEADER_MAGIC);
        elf[100..104].copy_from_slice(&HEADER_MAGIC.to_le_bytes());
        elf[108..112].copy_from_slice(&sum.to_le_bytes());
        for at in 28..96 {
            for value in [0xFF, 0x7F, 0x80] {
                let mut k = elf.clone();
                k[at] = value;
                assert!(load(&k, None, "", 16 << 20).is_err());
            }
        }
    }
}
