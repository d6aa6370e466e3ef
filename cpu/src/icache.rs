//! The decoded-instruction cache: straight runs of instructions, decoded once.
//!
//! A block is keyed by where its bytes lie in RAM and by the code size, so it survives changes of mapping, mode
//! and task. A second, small table leads from the current linear address straight to a block; it is forgotten
//! whenever a translation may have changed. An instruction that spans two pages is a block of its own which
//! keeps its bytes and is compared with memory before each use.

use crate::codemap;
use crate::decode::insn::Insn;
use crate::decode::{MAX_LENGTH, Undecodable, attrs, decode_insn};
use crate::processor::Processor;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Instructions kept before everything is forgotten: about 12 MiB.
const CAPACITY: usize = 256 * 1024;
/// Entries of the table of linear addresses.
const LINKS: usize = 8192;
/// Instructions that are kept with their bytes, by where they lie.
const DECODED: usize = 2048;
/// The longest block, in instructions.
pub const BLOCK_MAX: usize = 32;

/// A straight run of decoded instructions.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    /// Its instructions; all on one page unless `spans` is set.
    pub run: Straight,
    /// Where it lies in RAM.
    ram: u64,
    code_size: u32,
    alive: bool,
    /// Index into the bytes of page-spanning instructions.
    pub spans: Option<u32>,
}

/// A run of instructions that can be executed without looking anything up.
#[derive(Clone, Copy, Debug)]
pub struct Straight {
    /// First instruction in the arena.
    pub start: u32,
    /// Number of instructions.
    pub count: u32,
    /// Their length in bytes.
    pub bytes: u32,
}

#[derive(Clone, Copy, Debug)]
struct Link {
    key: u64,
    epoch: u64,
    to: Straight,
}

/// Matches no key.
const NO_LINK: Link = Link { key: u64::MAX, epoch: 0, to: Straight { start: 0, count: 0, bytes: 0 } };

/// Mixes numbers; for tables whose keys a guest gains nothing by choosing.
#[derive(Debug, Default)]
pub struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for b in bytes {
            self.write_u64(*b as u64);
        }
    }
    fn write_u32(&mut self, v: u32) {
        self.write_u64(v.into());
    }
    fn write_u64(&mut self, v: u64) {
        let x = (self.0 ^ v).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = x ^ x >> 29;
    }
}

/// See the module's description.
#[derive(Debug)]
pub struct BlockCache {
    arena: Vec<Insn>,
    blocks: Vec<Block>,
    by_ram: HashMap<u64, u32, BuildHasherDefault<KeyHasher>>,
    by_page: HashMap<u64, Vec<u32>, BuildHasherDefault<KeyHasher>>,
    spanning: Vec<[u8; MAX_LENGTH]>,
    links: Box<[Link]>,
    decoded: Box<[Option<Decoded>]>,
}

/// An instruction, with the bytes that it and perhaps others behind it were decoded from.
#[derive(Clone, Copy, Debug)]
struct Decoded {
    bytes: [u8; MAX_LENGTH],
    code_size: u32,
    insn: Insn,
    flow: attrs::Flow,
}

impl Default for BlockCache {
    fn default() -> Self {
        BlockCache {
            arena: Vec::new(),
            blocks: Vec::new(),
            by_ram: HashMap::default(),
            by_page: HashMap::default(),
            spanning: Vec::new(),
            links: vec![NO_LINK; LINKS].into_boxed_slice(),
            decoded: vec![None; DECODED].into_boxed_slice(),
        }
    }
}

fn ram_key(ram: u64, code_size: u32) -> u64 {
    ram << 2 | (code_size / 32) as u64
}

impl BlockCache {
    /// What `key` (linear address, code size and privilege) led to last, if no translation and no decoded code
    /// changed since: `epoch` counts such changes.
    #[inline(always)]
    pub fn linked(&self, key: u64, epoch: u64) -> Option<Straight> {
        let link = &self.links[link_slot(key)];
        (link.key == key && link.epoch == epoch).then_some(link.to)
    }

    /// Remembers what `key` leads to as long as `epoch` lasts.
    pub fn link(&mut self, key: u64, epoch: u64, to: Straight) {
        self.links[link_slot(key)] = Link { key, epoch, to };
    }

    /// The block at `ram` for `code_size`.
    pub fn find(&self, ram: u64, code_size: u32) -> Option<u32> {
        self.by_ram.get(&ram_key(ram, code_size)).copied()
    }

    /// A block by its number.
    #[inline(always)]
    pub fn block(&self, id: u32) -> &Block {
        &self.blocks[id as usize]
    }

    /// The instructions of a run.
    #[inline(always)]
    pub fn insns(&self, run: Straight) -> &[Insn] {
        &self.arena[run.start as usize..][..run.count as usize]
    }

    /// The bytes of a page-spanning instruction.
    pub fn spanning_bytes(&self, index: u32) -> &[u8; MAX_LENGTH] {
        &self.spanning[index as usize]
    }

    /// Begins a block.
    pub fn begin(&mut self) -> NewBlock<'_> {
        NewBlock { start: self.arena.len(), cache: self }
    }

    /// Whether there is no room for another block.
    pub fn is_full(&self) -> bool {
        self.arena.len() + BLOCK_MAX > CAPACITY
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.arena.clear();
        self.blocks.clear();
        self.by_ram.clear();
        self.by_page.clear();
        self.spanning.clear();
        self.links.fill(NO_LINK);
    }

    /// Drops a page-spanning block whose bytes are no longer what memory holds.
    pub fn drop_spanning(&mut self, id: u32) {
        let block = &mut self.blocks[id as usize];
        block.alive = false;
        self.by_ram.remove(&ram_key(block.ram, block.code_size));
    }

    /// Drops the blocks on `page` that touch one of `lines`. Gives where on the page blocks are left: offsets in RAM,
    /// with lengths.
    pub fn drop_lines(&mut self, page: usize, lines: u64) -> Vec<(u64, u64)> {
        let Some(ids) = self.by_page.get_mut(&(page as u64)) else { return Vec::new() };
        ids.retain(|id| {
            let block = &mut self.blocks[*id as usize];
            if block.alive && block.lines() & lines != 0 {
                block.alive = false;
                self.by_ram.remove(&ram_key(block.ram, block.code_size));
            }
            block.alive
        });
        ids.iter().map(|id| self.blocks[*id as usize].on_page()).collect()
    }
}

/// A block that grows where the next one will be.
#[derive(Debug)]
pub struct NewBlock<'a> {
    cache: &'a mut BlockCache,
    start: usize,
}

impl NewBlock<'_> {
    /// Instructions so far.
    pub fn count(&self) -> usize {
        self.cache.arena.len() - self.start
    }

    /// Decodes the instruction whose bytes, or as many as are needed, lie at `ram`. On pages that are rewritten most
    /// instructions stay what they were, and are not decoded again.
    pub fn decode(
        &mut self,
        ram: u64,
        bytes: &[u8],
        code_size: u32,
        processor: Processor,
    ) -> Result<(Insn, attrs::Flow), Undecodable> {
        let slot = &mut self.cache.decoded[ram as usize % DECODED];
        if let Some(kept) = slot
            && kept.code_size == code_size
            && bytes.starts_with(&kept.bytes[..kept.insn.length as usize])
        {
            return Ok((kept.insn, kept.flow));
        }
        let (insn, flow) = decode_insn(bytes, code_size, processor)?;
        let mut kept = Decoded { bytes: [0; MAX_LENGTH], code_size, insn, flow };
        kept.bytes[..bytes.len()].copy_from_slice(bytes);
        *slot = Some(kept);
        Ok((insn, flow))
    }

    /// Appends an instruction.
    pub fn push(&mut self, insn: Insn) {
        self.cache.arena.push(insn);
    }

    /// Ends the block, which lies at `ram`, and gives its number. `spanning` holds the bytes of an instruction that
    /// continues on another page.
    pub fn finish(self, ram: u64, code_size: u32, spanning: Option<[u8; MAX_LENGTH]>) -> u32 {
        let (cache, start) = (&mut *self.cache, self.start);
        let insns = &cache.arena[start..];
        let bytes = insns.last().map_or(0, |i| i.offset as u32);
        let run = Straight { start: start as u32, count: insns.len() as u32, bytes };
        let id = cache.blocks.len() as u32;
        let spans = spanning.map(|bytes| {
            cache.spanning.push(bytes);
            cache.spanning.len() as u32 - 1
        });
        if let Some(old) = cache.by_ram.insert(ram_key(ram, code_size), id) {
            cache.blocks[old as usize].alive = false;
        }
        cache.blocks.push(Block { run, ram, code_size, alive: true, spans });
        cache.by_page.entry(ram >> 12).or_default().push(id);
        id
    }
}

impl Block {
    /// Where it lies in RAM, with the bytes that it has on its (first) page.
    fn on_page(&self) -> (u64, u64) {
        (self.ram, u64::from(self.run.bytes).min(0x1000 - self.ram % 0x1000))
    }

    /// The lines of its (first) page that it lies on.
    pub fn lines(&self) -> u64 {
        let (at, len) = self.on_page();
        codemap::mask(at, len)
    }
}

fn link_slot(key: u64) -> usize {
    (key ^ key >> 13) as usize % LINKS
}
