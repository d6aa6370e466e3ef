//! Snapshots as a stream of parts; see [`super::format`].
//!
//! | tag | content |
//! |---|---|
//! | `CONF` | `machine.toml` |
//! | `VROM` | the ROM of the display adapter |
//! | `KERN` | the kernel to start, if there is one |
//! | `STAT` | the state of processor and devices |
//! | `DISK` | a medium: its place, size and base |
//! | `QCOW` | the same; the base is a qcow2 image |
//! | `DATA` | an offset, and bytes of the last medium that differ from its base |
//! | `PAGE` | the number of a page of memory, and whole pages from there on |
//! | `RAMF` | in a directory, instead of `PAGE`: size and checksum of the file `ram` |

use super::description::Description;
use super::format::{FormatError, Reader, Tag, Writer};
use super::memory::PAGE;
use super::{Memory, Snapshot};
use crate::attached::DevicePlan;
use crate::image::blank::Blank;
use crate::image::overlay::Overlay;
use crate::image::qcow2::chain;
use crate::image::source::WriteProtected;
use crate::image::{BackingFiles, Format, ImageError};
use crate::memmap::MemoryMap;
use crate::plan::{Media, Plan};
use idem86_devices::backend::{Content, Medium, MediumError};
use idem86_firmware::loader::Loaded;
use idem86_translator::{Base, Ram};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use xxhash_rust::xxh3::Xxh3;

const CONF: Tag = *b"CONF";
const VROM: Tag = *b"VROM";
const KERN: Tag = *b"KERN";
const STAT: Tag = *b"STAT";
const DISK: Tag = *b"DISK";
const QCOW: Tag = *b"QCOW";
const DATA: Tag = *b"DATA";
const PAGES: Tag = *b"PAGE";
const RAMF: Tag = *b"RAMF";

/// Pages in one part, at most.
const PAGES_MAX: usize = 256;

/// Why a snapshot cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The bytes are no saved machine, or a damaged one.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The image below a disk cannot be used.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The image below a disk is somewhere where none is looked for.
    #[error("{}: an image outside of the directory of the machine", .0.display())]
    Outside(PathBuf),
    /// The image below a disk has another size than when the machine was saved.
    #[error("{}: the image has changed since the machine was saved", .0.display())]
    Changed(PathBuf),
    /// The host does not give the memory, or a temporary file.
    #[error("the host does not give the memory: {0}")]
    Host(#[from] io::Error),
}

/// Where the images may be that a saved machine names. A saved machine that comes from somebody else could name any
/// file, and its guest would read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bases<'a> {
    /// Anywhere.
    Anywhere,
    /// In this directory; relative paths begin there.
    Within(&'a Path),
    /// Nowhere: only machines whose disks need no image are loaded.
    Nowhere,
}

/// A medium as it is saved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct DiskPart {
    /// Index of its place.
    place: u8,
    size: u64,
    read_only: bool,
    base: Option<String>,
}

/// Size and checksum of the file with memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RamFile {
    pub size: u64,
    pub checksum: u128,
}

/// Where memory is.
pub(super) enum RamPart<'a> {
    /// In the stream.
    Here,
    /// In a file that was written before.
    File(&'a RamFile),
}

/// Names of the raw copies of images, by their paths and what [`Medium::base_format`] says.
pub(super) type Copies = HashMap<(PathBuf, Option<&'static str>), String>;

/// How the images below media are named.
#[derive(Clone, Copy)]
pub(super) enum Naming<'a> {
    /// By their paths.
    Paths,
    /// By their copies.
    Copies(&'a Copies),
}

/// Progress of long work: bytes done, and bytes in all.
pub(super) type Progress<'a> = dyn FnMut(u64, u64) + 'a;

/// The checksum of memory: that of its pages that are not all zeros, with their numbers.
pub(super) fn memory_checksum<'a>(pages: impl Iterator<Item = (usize, &'a [u8])>) -> u128 {
    let mut hash = Xxh3::new();
    for (number, page) in pages.filter(|(_, page)| page.iter().any(|byte| *byte != 0)) {
        hash.update(&(number as u64).to_le_bytes());
        hash.update(page);
    }
    hash.digest128()
}

fn encode(value: &impl Serialize) -> Vec<u8> {
    postcard::to_stdvec(value).expect("plain data is always serialised")
}

fn decode<T: DeserializeOwned>(bytes: &[u8], what: &'static str) -> Result<T, FormatError> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        _ => Err(FormatError::Damaged(what)),
    }
}

/// A number, and what follows.
fn numbered(content: &[u8]) -> Result<(u64, &[u8]), FormatError> {
    let (number, rest) = content.split_first_chunk().ok_or(FormatError::Damaged("a part is too short"))?;
    Ok((u64::from_le_bytes(*number), rest))
}

impl Snapshot {
    /// Writes the snapshot to `to`. Disks are written as what differs from their images, which are named.
    pub fn write_to(&mut self, to: impl Write) -> io::Result<()> {
        self.write_parts(to, RamPart::Here, Naming::Paths).map(drop)
    }

    /// As [`Snapshot::write_to`]; `naming` says how images are named. Gives back what was written to.
    pub(super) fn write_parts<W: Write>(
        &mut self,
        to: W,
        ram: RamPart<'_>,
        naming: Naming<'_>,
    ) -> io::Result<W> {
        let mut writer = Writer::new(to)?;
        writer.part(CONF, Description::of(&self.plan, self.debug_exit).to_toml().as_bytes())?;
        writer.part(VROM, &self.plan.vga_bios)?;
        if let Some(kernel) = &self.plan.kernel {
            writer.part(KERN, &encode(kernel))?;
        }
        writer.part(STAT, &encode(&self.state))?;
        let media = self.media.floppies.iter_mut().chain(&mut self.media.ide);
        for (place, medium) in (0..).zip(media) {
            let Some(medium) = medium else { continue };
            let (size, read_only) = (medium.size(), medium.is_read_only());
            let format = medium.base_format();
            let (base, raw) = match naming {
                Naming::Paths => (medium.base().map(|path| path.display().to_string()), format.is_none()),
                Naming::Copies(copies) => {
                    let copy = |path: &Path| copies.get(&(path.into(), format)).cloned().unwrap_or_default();
                    (medium.base().map(copy), true)
                }
            };
            let tag = if raw { DISK } else { QCOW };
            writer.part(tag, &encode(&DiskPart { place, size, read_only, base }))?;
            let mut failed = None;
            let done = medium.changes(&mut |offset, bytes| {
                let content = [&offset.to_le_bytes(), bytes].concat();
                writer.part(DATA, &content).map_err(|error| {
                    failed = Some(error);
                    MediumError::Failed
                })
            });
            if let Some(error) = failed {
                return Err(error);
            }
            done.map_err(io::Error::other)?;
        }
        match ram {
            RamPart::File(file) => writer.part(RAMF, &encode(file))?,
            RamPart::Here => write_pages(&mut writer, &self.memory)?,
        }
        writer.end()
    }

    /// Reads a snapshot that [`Snapshot::write_to`] wrote. Whether its state is possible shows when a machine is
    /// spawned.
    pub fn read_from(from: impl Read, bases: Bases<'_>) -> Result<Snapshot, LoadError> {
        Snapshot::read_parts(from, bases, |_| Err(FormatError::Damaged("memory is missing").into()))
    }

    /// As [`Snapshot::read_from`]; `ram` opens the file with memory.
    pub(super) fn read_parts(
        from: impl Read,
        bases: Bases<'_>,
        ram: impl FnOnce(&RamFile) -> Result<File, LoadError>,
    ) -> Result<Snapshot, LoadError> {
        let mut reader = Reader::new(from)?;
        let mut conf = None;
        let mut vga_bios = Vec::new();
        let mut kernel: Option<Loaded> = None;
        let mut state = None;
        let mut disks: [Content; 6] = [const { None }; 6];
        let mut protected = [false; 6];
        let mut current: Option<usize> = None;
        let mut memory: Option<Ram> = None;
        let mut ram_file = None;
        while let Some((tag, content)) = reader.part()? {
            match tag {
                CONF => conf = Some(Description::from_toml(&content)?),
                VROM => vga_bios = content,
                KERN => kernel = Some(decode(&content, "the kernel")?),
                STAT => state = Some(decode(&content, "the state")?),
                DISK | QCOW => {
                    let part: DiskPart = decode(&content, "a disk")?;
                    let place = usize::from(part.place);
                    let disk = disks.get_mut(place).ok_or(FormatError::Damaged("a disk in no place"))?;
                    *disk = Some(part.open(bases, if tag == DISK { Format::Raw } else { Format::Qcow2 })?);
                    protected[place] = part.read_only;
                    current = Some(place);
                }
                DATA => {
                    let (offset, bytes) = numbered(&content)?;
                    let disk = current.and_then(|place| disks[place].as_mut());
                    let disk = disk.ok_or(FormatError::Damaged("data of no disk"))?;
                    disk.write(offset, bytes).map_err(|_| FormatError::Damaged("data beyond a disk"))?;
                }
                PAGES => {
                    let conf = conf.as_ref().ok_or(FormatError::Damaged("memory without a machine"))?;
                    let ram = match &mut memory {
                        Some(ram) => ram,
                        none => none.insert(Ram::new(slab_size(&conf.plan(vga_bios.clone(), None)?))?),
                    };
                    let (number, bytes) = numbered(&content)?;
                    let start = number.checked_mul(PAGE as u64).and_then(|start| usize::try_from(start).ok());
                    let place = start.and_then(|start| ram.get_mut(start..)?.get_mut(..bytes.len()));
                    let whole = bytes.len().is_multiple_of(PAGE);
                    let place =
                        place.filter(|_| whole).ok_or(FormatError::Damaged("a page beyond memory"))?;
                    place.copy_from_slice(bytes);
                }
                RAMF => ram_file = Some(decode::<RamFile>(&content, "the file of memory")?),
                _ => return Err(FormatError::Damaged("an unknown part").into()),
            }
        }
        // Not before their data was written.
        for disk in disks.iter_mut().zip(protected).filter(|(_, protected)| *protected).map(|(disk, _)| disk)
        {
            *disk = disk.take().map(|disk| Box::new(WriteProtected::new(disk)) as Box<dyn Medium>);
        }
        let missing = || FormatError::Damaged("a part is missing");
        let conf = conf.ok_or_else(missing)?;
        let plan = conf.plan(vga_bios, kernel)?;
        let size = slab_size(&plan);
        let base = match (memory, ram_file) {
            (Some(mut memory), None) => memory.freeze()?,
            (None, Some(file)) if file.size == size as u64 => match Base::of_file(ram(&file)?, size) {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Err(FormatError::Truncated.into());
                }
                base => base?,
            },
            _ => return Err(missing().into()),
        };
        Ok(Snapshot {
            // They are code, which no stream holds; a state that has some is refused by a machine without.
            devices: DevicePlan::default(),
            plan: Arc::new(plan),
            debug_exit: conf.debug_exit(),
            state: state.ok_or_else(missing)?,
            memory: Memory::new(base),
            media: Media::new(disks),
        })
    }
}

/// Bytes of RAM and ROMs.
fn slab_size(plan: &Plan) -> usize {
    MemoryMap::new(plan.memory, plan.bios).slab() as usize
}

/// Writes the pages that are not all zeros.
fn write_pages(writer: &mut Writer<impl Write>, memory: &Memory) -> io::Result<()> {
    let mut run: Vec<u8> = Vec::new();
    let mut next = 0;
    for (number, page) in memory.pages().filter(|(_, page)| page.iter().any(|byte| *byte != 0)) {
        if number != next || run.len() >= 8 + PAGES_MAX * PAGE {
            if !run.is_empty() {
                writer.part(PAGES, &run)?;
            }
            run = (number as u64).to_le_bytes().to_vec();
        }
        if run.is_empty() {
            run = (number as u64).to_le_bytes().to_vec();
        }
        run.extend_from_slice(page);
        next = number + 1;
    }
    // Also if there is nothing but zeros, so that memory is there.
    if run.is_empty() { writer.part(PAGES, &[0; 8]) } else { writer.part(PAGES, &run) }
}

impl DiskPart {
    /// The medium, with nothing changed yet.
    fn open(&self, bases: Bases<'_>, format: Format) -> Result<Box<dyn Medium>, LoadError> {
        let base: Box<dyn Medium> = match &self.base {
            None => Box::new(Blank::new(self.size)),
            Some(path) => {
                let path = bases.find(Path::new(path))?;
                let base = chain::open(&path, true, Some(format), bases.backing())?;
                if base.size() != self.size {
                    return Err(LoadError::Changed(path));
                }
                base
            }
        };
        Ok(match self.read_only && self.base.is_some() {
            true => base,
            false => Box::new(Overlay::new(base, Path::new("a temporary file"))?),
        })
    }
}

impl Bases<'_> {
    /// Which files an image may name in turn.
    fn backing(self) -> BackingFiles {
        match self {
            Bases::Anywhere => BackingFiles::Anywhere,
            Bases::Within(_) | Bases::Nowhere => BackingFiles::InFolder,
        }
    }

    /// The image that a saved machine calls `path`.
    fn find(self, path: &Path) -> Result<PathBuf, LoadError> {
        let outside = || LoadError::Outside(path.into());
        let directory = match self {
            Bases::Anywhere => return Ok(path.into()),
            Bases::Nowhere => return Err(outside()),
            Bases::Within(directory) => directory,
        };
        if !path.components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(outside());
        }
        let full = directory.join(path);
        // What looks as if it were inside may be a link to elsewhere.
        let real =
            |path: &Path| path.canonicalize().map_err(|source| ImageError::Io { path: path.into(), source });
        match real(&full)?.starts_with(real(directory)?) {
            true => Ok(full),
            false => Err(outside()),
        }
    }
}
