//! The segments of a 32-bit ELF executable. System V ABI, "Object Files"; Intel 386 supplement.

use super::{LoadError, u16_at, u32_at};

/// A part of the file that belongs into memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment<'a> {
    /// Physical address.
    pub address: u32,
    /// What the file holds of it.
    pub bytes: &'a [u8],
    /// Its size in memory; what the file does not hold is zero.
    pub size: u32,
}

/// The most program headers that are looked at.
const MOST: u16 = 64;

/// The loadable segments and the entry point of `file`.
pub fn segments(file: &[u8]) -> Result<(Vec<Segment<'_>>, u32), LoadError> {
    const CUT: LoadError = LoadError::Truncated("ELF file");
    if file.get(..4) != Some(b"\x7FELF") {
        return Err(LoadError::NotOne("ELF file"));
    }
    // 32 bits, little-endian, an executable for the 386.
    let kind = (file.get(4).copied(), file.get(5).copied(), u16_at(file, 16), u16_at(file, 18));
    if kind != (Some(1), Some(1), Some(2), Some(3)) {
        return Err(LoadError::NotOne("32-bit x86 ELF executable"));
    }
    let entry = u32_at(file, 24).ok_or(CUT)?;
    let table = u32_at(file, 28).ok_or(CUT)? as usize;
    let (entry_size, count) = (u16_at(file, 42).ok_or(CUT)?, u16_at(file, 44).ok_or(CUT)?);
    if entry_size < 32 || count > MOST {
        return Err(LoadError::Unsupported(format!("{count} program headers of {entry_size} bytes")));
    }
    let mut found = Vec::new();
    for n in 0..usize::from(count) {
        let at = table.checked_add(n * usize::from(entry_size)).ok_or(CUT)?;
        let field = |n: usize| u32_at(file, at.saturating_add(n)).ok_or(CUT);
        const LOAD: u32 = 1;
        if field(0)? != LOAD {
            continue;
        }
        let (offset, held, size) = (field(4)? as usize, field(16)? as usize, field(20)?);
        let end = offset.checked_add(held).ok_or(CUT)?;
        let bytes = file.get(offset..end).ok_or(CUT)?;
        let bytes = &bytes[..held.min(size as usize)];
        found.push(Segment { address: field(12)?, bytes, size });
    }
    Ok((found, entry))
}
