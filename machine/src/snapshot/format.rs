//! The container of saved machines: a header, then parts that each carry their length and their checksum.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `idem86VM` |
//! | 4 | version of the format, 2 |
//! | each part: 4 | its tag |
//! | 8 | its length |
//! | length | its content |
//! | 16 | XXH3-128 of tag, length and content |
//!
//! Numbers are little-endian. The last part has the tag `END.` and holds the number of parts before it.

use std::io::{self, Read, Write};
use xxhash_rust::xxh3::Xxh3;

const MAGIC: [u8; 8] = *b"idem86VM";
/// The version that is written, and the only one that is understood.
pub(super) const VERSION: u32 = 2;

/// What a part is.
pub(super) type Tag = [u8; 4];

/// The last part.
const END: Tag = *b"END.";

/// Why bytes are not a saved machine that this program can read.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// The bytes cannot be read, or not be written.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// They begin with something else.
    #[error("not a saved machine")]
    Foreign,
    /// They were written by another version of this program.
    #[error("saved in version {0} of the format; this program knows version {VERSION}")]
    Version(u32),
    /// They end amid a machine.
    #[error("it ends too early")]
    Truncated,
    /// A checksum is wrong, or something has a value that nobody writes.
    #[error("damaged: {0}")]
    Damaged(&'static str),
}

impl FormatError {
    /// What an error of a read means.
    fn reading(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => FormatError::Truncated,
            _ => FormatError::Io(error),
        }
    }
}

fn checksum(tag: Tag, content: &[u8]) -> [u8; 16] {
    let mut hash = Xxh3::new();
    hash.update(&tag);
    hash.update(&(content.len() as u64).to_le_bytes());
    hash.update(content);
    hash.digest128().to_le_bytes()
}

/// Writes parts.
pub(super) struct Writer<W> {
    to: W,
    parts: u64,
}

impl<W: Write> Writer<W> {
    /// Writes the header.
    pub fn new(mut to: W) -> io::Result<Self> {
        to.write_all(&MAGIC)?;
        to.write_all(&VERSION.to_le_bytes())?;
        Ok(Writer { to, parts: 0 })
    }

    /// Writes a part.
    pub fn part(&mut self, tag: Tag, content: &[u8]) -> io::Result<()> {
        self.to.write_all(&tag)?;
        self.to.write_all(&(content.len() as u64).to_le_bytes())?;
        self.to.write_all(content)?;
        self.to.write_all(&checksum(tag, content))?;
        self.parts += 1;
        Ok(())
    }

    /// Writes the end, and gives back what was written to.
    pub fn end(mut self) -> io::Result<W> {
        let parts = self.parts;
        self.part(END, &parts.to_le_bytes())?;
        self.to.flush()?;
        Ok(self.to)
    }
}

/// Reads parts.
pub(super) struct Reader<R> {
    from: R,
    parts: u64,
}

impl<R: Read> Reader<R> {
    /// Reads the header.
    pub fn new(mut from: R) -> Result<Self, FormatError> {
        let (mut magic, mut version) = ([0; 8], [0; 4]);
        from.read_exact(&mut magic).map_err(|e| match FormatError::reading(e) {
            FormatError::Truncated => FormatError::Foreign,
            other => other,
        })?;
        if magic != MAGIC {
            return Err(FormatError::Foreign);
        }
        from.read_exact(&mut version).map_err(FormatError::reading)?;
        match u32::from_le_bytes(version) {
            VERSION => Ok(Reader { from, parts: 0 }),
            0 => Err(FormatError::Damaged("version 0")),
            other => Err(FormatError::Version(other)),
        }
    }

    /// Reads the next part; `None` behind the last.
    pub fn part(&mut self) -> Result<Option<(Tag, Vec<u8>)>, FormatError> {
        let (mut tag, mut length, mut sum) = ([0; 4], [0; 8], [0; 16]);
        self.from.read_exact(&mut tag).map_err(FormatError::reading)?;
        self.from.read_exact(&mut length).map_err(FormatError::reading)?;
        let length = u64::from_le_bytes(length);
        // Grows with what is there, whatever the length pretends.
        let mut content = Vec::new();
        self.from.by_ref().take(length).read_to_end(&mut content)?;
        if content.len() as u64 != length {
            return Err(FormatError::Truncated);
        }
        self.from.read_exact(&mut sum).map_err(FormatError::reading)?;
        if sum != checksum(tag, &content) {
            return Err(FormatError::Damaged("a checksum is wrong"));
        }
        if tag != END {
            self.parts += 1;
            return Ok(Some((tag, content)));
        }
        match content == self.parts.to_le_bytes() {
            true => Ok(None),
            false => Err(FormatError::Damaged("parts are missing")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written() -> Vec<u8> {
        let mut writer = Writer::new(Vec::new()).unwrap();
        writer.part(*b"ONE.", b"first").unwrap();
        writer.part(*b"TWO.", b"").unwrap();
        writer.end().unwrap()
    }

    fn read(bytes: &[u8]) -> Result<Vec<(Tag, Vec<u8>)>, FormatError> {
        let mut reader = Reader::new(bytes)?;
        std::iter::from_fn(|| reader.part().transpose()).collect()
    }

    #[test]
    fn what_is_written_is_read() {
        let parts = read(&written()).unwrap();
        assert_eq!(parts, [(*b"ONE.", b"first".to_vec()), (*b"TWO.", Vec::new())]);
    }

    #[test]
    fn every_single_damage_is_noticed() {
        let good = written();
        for n in 0..good.len() {
            assert!(read(&good[..n]).is_err(), "{n} bytes");
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[n] ^= 1 << bit;
                assert!(read(&bad).is_err(), "bit {bit} of byte {n}");
            }
        }
        let mut newer = good.clone();
        newer[8] = 3;
        assert!(matches!(read(&newer), Err(FormatError::Version(3))));
        assert!(matches!(read(b"#!/bin/sh"), Err(FormatError::Foreign)));
        assert!(matches!(read(&good[..good.len() - 1]), Err(FormatError::Truncated)));
        // A part that is missing as a whole.
        let (second, end) = (12 + 4 + 8 + 5 + 16, 12 + 4 + 8 + 5 + 16 + 4 + 8 + 16);
        let without = [&good[..second], &good[end..]].concat();
        assert!(matches!(read(&without), Err(FormatError::Damaged(_))));
    }
}
