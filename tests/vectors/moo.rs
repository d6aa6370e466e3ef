//! MOO files: single-instruction tests captured from a processor, as chunks of tag, length and body.

use flate2::read::GzDecoder;
use std::io::Read;
use std::path::Path;

/// Number of registers in a state.
pub const REGISTERS: usize = 14;
/// Their names, in the order of the file.
pub const NAMES: [&str; REGISTERS] =
    ["ax", "bx", "cx", "dx", "cs", "ss", "ds", "es", "sp", "bp", "si", "di", "ip", "flags"];

/// Registers and memory, before or after.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// The registers that are given, in the order of [`NAMES`].
    pub registers: [Option<u16>; REGISTERS],
    /// Physical addresses and what is there.
    pub ram: Vec<(u32, u8)>,
}

/// One test.
#[derive(Clone, Debug, Default)]
pub struct Test {
    pub name: String,
    /// The instruction and the HLT behind it.
    pub bytes: Vec<u8>,
    pub before: State,
    /// What changed.
    pub after: State,
    /// The vector of the exception that it raised.
    pub exception: Option<u8>,
    /// Names the original test.
    pub hash: String,
}

impl Test {
    /// Register `n` of [`NAMES`] before the test.
    pub fn register(&self, n: usize) -> u16 {
        self.before.registers[n].expect("INIT gives every register")
    }

    /// Whether it ends in this exception.
    pub fn raises(&self, vector: u8) -> bool {
        self.exception == Some(vector)
    }

    /// The instruction's prefixes.
    pub fn prefixes(&self) -> &[u8] {
        let is_prefix = |b: &u8| matches!(b, 0x26 | 0x2E | 0x36 | 0x3E | 0xF0 | 0xF2 | 0xF3);
        &self.bytes[..self.bytes.iter().take_while(|b| is_prefix(b)).count()]
    }
}

/// A cursor over little-endian bytes. The files are ours: a short one is a panic.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> &'a [u8] {
        let (head, rest) = self.0.split_at(n);
        self.0 = rest;
        head
    }
    fn u8(&mut self) -> u8 {
        self.take(1)[0]
    }
    fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.take(2).try_into().expect("two bytes"))
    }
    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take(4).try_into().expect("four bytes"))
    }
    /// The next chunk's tag and body.
    fn chunk(&mut self) -> Option<(&'a [u8], Reader<'a>)> {
        if self.0.is_empty() {
            return None;
        }
        let tag = self.take(4);
        let length = self.u32() as usize;
        Some((tag, Reader(self.take(length))))
    }
}

/// Reads the tests of a gzip-compressed file.
pub fn read(path: &Path) -> std::io::Result<Vec<Test>> {
    let mut bytes = Vec::new();
    GzDecoder::new(std::fs::File::open(path)?).read_to_end(&mut bytes)?;
    let mut reader = Reader(&bytes);
    let mut tests = Vec::new();
    while let Some((tag, body)) = reader.chunk() {
        if tag == b"TEST" {
            tests.push(test(body));
        }
    }
    Ok(tests)
}

fn test(mut body: Reader) -> Test {
    let mut t = Test::default();
    body.u32();
    while let Some((tag, mut r)) = body.chunk() {
        match tag {
            b"NAME" => {
                let length = r.u32() as usize;
                t.name = String::from_utf8_lossy(r.take(length)).into_owned();
            }
            b"BYTS" => {
                let length = r.u32() as usize;
                t.bytes = r.take(length).to_vec();
            }
            b"INIT" => t.before = state(r),
            b"FINA" => t.after = state(r),
            b"EXCP" => t.exception = Some(r.u8()),
            b"HASH" => t.hash = r.0.iter().map(|b| format!("{b:02x}")).collect(),
            _ => {}
        }
    }
    t
}

fn state(mut body: Reader) -> State {
    let mut s = State::default();
    while let Some((tag, mut r)) = body.chunk() {
        match tag {
            b"REGS" => {
                let given = r.u16();
                for (n, register) in s.registers.iter_mut().enumerate() {
                    if given & 1 << n != 0 {
                        *register = Some(r.u16());
                    }
                }
            }
            b"RAM " => {
                let count = r.u32();
                s.ram = (0..count).map(|_| (r.u32(), r.u8())).collect();
            }
            _ => {}
        }
    }
    s
}
