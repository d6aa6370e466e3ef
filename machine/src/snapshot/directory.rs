//! A saved machine as a directory.
//!
//! | file | what |
//! |---|---|
//! | `machine.toml` | the configuration, to be read by people |
//! | `images/` | the images below the disks, as they were first saved; never written |
//! | `snapshot/state` | processor, devices, changes of disks; see [`super::stream`] |
//! | `snapshot/ram` | memory and ROMs as the processor finds them; pages of zeros are holes |
//! | `checked` | which files were found whole, so that they need not be read again |
//! | `lock` | held by whoever uses the directory |
//!
//! Everything is in the directory: a copy of it runs elsewhere. Saving writes a new `snapshot` beside the old one and
//! puts it in its place when it is whole and on the disk, so that a crash or a full disk leaves the old one.

use super::format::FormatError;
use super::memory::PAGE;
use super::stream::{Bases, Copies, LoadError, Naming, Progress, RamFile, RamPart, memory_checksum};
use super::{Memory, Snapshot, SnapshotError};
use crate::machine::Machine;
use idem86_devices::backend::Medium;
use idem86_translator::Base;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DESCRIPTION: &str = "machine.toml";
const IMAGES: &str = "images";
const SNAPSHOT: &str = "snapshot";
const NEW: &str = "snapshot.new";
const OLD: &str = "snapshot.old";
const STATE: &str = "state";
const RAM: &str = "ram";
const CHECKED: &str = "checked";
const LOCK: &str = "lock";

/// A file that was changed so shortly ago may change again without looking newer: clocks of file systems are coarse.
const SETTLED: Duration = Duration::from_secs(2);

/// Why a directory cannot be used. Names what is wrong in one line.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The host refuses.
    #[error("{}: {error}", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What the host says.
        error: io::Error,
    },
    /// Somebody else uses it.
    #[error("{}: in use by another program", .0.display())]
    InUse(PathBuf),
    /// There is no saved machine.
    #[error("{}: no saved machine", .0.display())]
    Empty(PathBuf),
    /// What is there cannot be loaded.
    #[error("{}: {error}", path.display())]
    Load {
        /// The file.
        path: PathBuf,
        /// Why.
        error: LoadError,
    },
    /// The machine cannot be saved.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> StorageError {
    move |error| StorageError::Io { path: path.into(), error }
}

/// A directory with a saved machine, locked as long as this lives.
#[derive(Debug)]
pub struct VmDirectory {
    path: PathBuf,
    /// Images elsewhere, and the names of their copies.
    adopted: Copies,
    _lock: File,
}

impl VmDirectory {
    /// The directory at `path`, which is made if it is not there.
    pub fn create(path: impl Into<PathBuf>) -> Result<Self, StorageError> {
        let path = path.into();
        fs::create_dir_all(&path).map_err(at(&path))?;
        VmDirectory::lock(path, File::try_lock)
    }

    /// The directory at `path`, in which a machine was saved.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, StorageError> {
        let path = path.into();
        match VmDirectory::is_one(&path) {
            true => VmDirectory::lock(path, File::try_lock),
            false => Err(StorageError::Empty(path)),
        }
    }

    /// Whether a machine was saved at `path`.
    pub fn is_one(path: &Path) -> bool {
        path.join(SNAPSHOT).is_dir() || path.join(OLD).is_dir()
    }

    fn lock(path: PathBuf, lock: fn(&File) -> Result<(), TryLockError>) -> Result<Self, StorageError> {
        let name = path.join(LOCK);
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&name);
        let file = open.map_err(at(&name))?;
        match lock(&file) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StorageError::InUse(path)),
            Err(TryLockError::Error(e)) if e.kind() == io::ErrorKind::Unsupported => {}
            Err(TryLockError::Error(error)) => return Err(StorageError::Io { path: name, error }),
        }
        Ok(VmDirectory { path, adopted: Copies::new(), _lock: file })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Saves `snapshot`; what was saved before is replaced when the new one is whole. `progress` is told how many bytes
    /// of how many are done.
    pub fn save(&mut self, snapshot: &mut Snapshot, progress: &mut Progress<'_>) -> Result<(), StorageError> {
        self.adopt_images(snapshot)?;
        let new = self.path.join(NEW);
        remove_dir(&new)?;
        fs::create_dir(&new).map_err(at(&new))?;
        let written = self.write(snapshot, &new, progress);
        if let Err(error) = written.and_then(|()| self.put_in_place(&new)) {
            // The error counts, not that what is left of it cannot be removed.
            let _ = fs::remove_dir_all(&new);
            return Err(error);
        }
        Ok(())
    }

    fn write(
        &self,
        snapshot: &mut Snapshot,
        new: &Path,
        progress: &mut Progress<'_>,
    ) -> Result<(), StorageError> {
        let ram = write_ram(&snapshot.memory, &new.join(RAM), progress)?;
        let path = new.join(STATE);
        let file = BufWriter::new(File::create(&path).map_err(at(&path))?);
        let written = snapshot.write_parts(file, RamPart::File(&ram), Naming::Copies(&self.adopted));
        let file = written.and_then(|file| file.into_inner().map_err(io::IntoInnerError::into_error));
        file.and_then(|file| file.sync_all()).map_err(at(&path))?;
        let path = self.path.join(DESCRIPTION);
        replace(&path, snapshot.description().as_bytes()).map_err(at(&path))?;
        sync_dir(new)
    }

    /// Makes the new snapshot the one that counts. Whenever this ends, one of them is whole and in a place where
    /// [`VmDirectory::load`] looks.
    fn put_in_place(&self, new: &Path) -> Result<(), StorageError> {
        let (current, old) = (self.path.join(SNAPSHOT), self.path.join(OLD));
        if current.is_dir() {
            remove_dir(&old)?;
            fs::rename(&current, &old).map_err(at(&current))?;
        }
        fs::rename(new, &current).map_err(at(new))?;
        sync_dir(&self.path)?;
        remove_dir(&old)
    }

    /// Copies the images below the disks into the directory, but for those that are there.
    fn adopt_images(&mut self, snapshot: &mut Snapshot) -> Result<(), StorageError> {
        let home = self.path.canonicalize().map_err(at(&self.path))?;
        let media = snapshot.media.floppies.iter_mut().chain(&mut snapshot.media.ide).flatten();
        for medium in media {
            let Some(base) = medium.base().map(Path::to_path_buf) else { continue };
            let key = (base, medium.base_format());
            if self.adopted.contains_key(&key) {
                continue;
            }
            let (base, format) = &key;
            // What is copied is what is in an image, so in the directory all are raw.
            let real = if format.is_none() { base.canonicalize().ok() } else { None };
            let inside = real.and_then(|real| Some(real.strip_prefix(&home).ok()?.to_owned()));
            let name = match inside {
                Some(inside) => inside.display().to_string(),
                None => self.copy_image(base, medium.as_mut())?,
            };
            self.adopted.insert(key, name);
        }
        Ok(())
    }

    /// Copies the image below a medium into the directory, if it is not there. Gives its name in it. Its file is not
    /// looked for: it may have another name by now.
    fn copy_image(&self, path: &Path, medium: &mut dyn Medium) -> Result<String, StorageError> {
        let directory = self.path.join(IMAGES);
        fs::create_dir_all(&directory).map_err(at(&directory))?;
        let stem = path.file_name().map_or("image".into(), |name| name.to_string_lossy().into_owned());
        for n in 0u64.. {
            let name = if n == 0 { stem.clone() } else { format!("{n}-{stem}") };
            let copy = directory.join(&name);
            if copy.exists() {
                if holds_image(&copy, medium).map_err(at(&copy))? {
                    return Ok(format!("{IMAGES}/{name}"));
                }
                continue;
            }
            let part = directory.join(format!("{name}.part"));
            write_image(&part, medium).map_err(at(&part))?;
            fs::rename(&part, &copy).map_err(at(&copy))?;
            sync_dir(&directory)?;
            return Ok(format!("{IMAGES}/{name}"));
        }
        unreachable!("there are more numbers than files")
    }

    /// Removes what was saved, and the directory, unless it holds something else. Machines that were loaded from it
    /// keep what they have.
    pub fn delete(self) -> Result<(), StorageError> {
        let VmDirectory { path, adopted: _, _lock: lock } = self;
        // First what makes it a saved machine: what is left when the host refuses is none.
        for name in [SNAPSHOT, OLD, NEW, IMAGES] {
            remove_dir(&path.join(name))?;
        }
        // Some hosts do not remove what is open.
        drop(lock);
        for name in [DESCRIPTION, CHECKED, LOCK] {
            let file = path.join(name);
            match fs::remove_file(&file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(&file)(error)),
                _ => {}
            }
        }
        match fs::remove_dir(&path) {
            Err(error) if error.kind() != io::ErrorKind::DirectoryNotEmpty => Err(at(&path)(error)),
            _ => Ok(()),
        }
    }

    /// Loads what was saved. Memory is mapped, not read; but the first time that it is loaded after it was saved or
    /// copied, its checksum is looked at.
    pub fn load(&self) -> Result<Snapshot, StorageError> {
        let current = self.path.join(SNAPSHOT);
        // Saving was cut short between its two renamings.
        let directory = if current.is_dir() { current } else { self.path.join(OLD) };
        let (state, ram) = (directory.join(STATE), directory.join(RAM));
        let file = File::open(&state).map_err(at(&state))?;
        let open = |expected: &RamFile| self.open_ram(&ram, expected);
        let loaded = Snapshot::read_parts(BufReader::new(file), Bases::Within(&self.path), open);
        loaded.map_err(|error| StorageError::Load { path: directory, error })
    }

    /// The file with memory, found to be whole now or before.
    fn open_ram(&self, path: &Path, expected: &RamFile) -> Result<File, LoadError> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if metadata.len() < expected.size {
            return Err(FormatError::Truncated.into());
        }
        if metadata.len() > expected.size {
            return Err(FormatError::Damaged("the file of memory is too long").into());
        }
        let modified = metadata.modified()?;
        let since_epoch = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
        let mark = format!("{:032x} {} {}\n", expected.checksum, expected.size, since_epoch.as_nanos());
        let marks = self.path.join(CHECKED);
        if fs::read_to_string(&marks).is_ok_and(|known| known == mark) {
            return Ok(file);
        }
        let memory = Memory::new(Base::of_file(file.try_clone()?, expected.size as usize)?);
        if memory_checksum(memory.pages()) != expected.checksum {
            return Err(FormatError::Damaged("the checksum of memory is wrong").into());
        }
        let settled = SystemTime::now().duration_since(modified).is_ok_and(|age| age > SETTLED);
        if settled {
            // Only to save time; where it cannot be written, the checksum is looked at again.
            let _ = replace(&marks, mark.as_bytes());
        }
        Ok(file)
    }
}

impl Snapshot {
    /// Loads what was saved in the directory at `path`, which nobody must be about to write; any number of programs can
    /// load it at once. What was loaded does not change when something else is saved there.
    pub fn load(path: &Path) -> Result<Snapshot, StorageError> {
        if !VmDirectory::is_one(path) {
            return Err(StorageError::Empty(path.into()));
        }
        VmDirectory::lock(path.into(), File::try_lock_shared)?.load()
    }
}

impl Machine {
    /// Saves the machine in the directory at `path`, which is made if it is not there; see [`VmDirectory::save`].
    pub fn save(&mut self, path: &Path, progress: &mut Progress<'_>) -> Result<(), StorageError> {
        let mut directory = VmDirectory::create(path)?;
        directory.save(&mut self.snapshot()?, progress)
    }
}

/// Writes memory to a new file at `path`.
fn write_ram(memory: &Memory, path: &Path, progress: &mut Progress<'_>) -> Result<RamFile, StorageError> {
    let used = || memory.pages().filter(|(_, page)| page.iter().any(|byte| *byte != 0));
    let total = (used().count() * PAGE) as u64;
    let mut done = 0;
    let mut write = || {
        let mut file = File::create(path)?;
        file.set_len(memory.len() as u64)?;
        let mut out = BufWriter::with_capacity(1 << 20, &mut file);
        let mut next = 0;
        for (number, page) in used() {
            if number != next {
                out.seek(SeekFrom::Start((number * PAGE) as u64))?;
            }
            out.write_all(page)?;
            next = number + 1;
            done += PAGE as u64;
            if done.is_multiple_of(8 << 20) {
                progress(done, total);
            }
        }
        out.flush()?;
        drop(out);
        file.sync_all()
    };
    write().map_err(at(path))?;
    progress(total, total);
    Ok(RamFile { size: memory.len() as u64, checksum: memory_checksum(memory.pages()) })
}

/// Writes a file so that it is whole or as it was.
fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let part = path.with_extension("part");
    let mut file = File::create(&part)?;
    file.write_all(content)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&part, path)
}

/// Bytes of an image that are copied or compared at once.
const PIECE: usize = 1 << 16;

/// Calls `each` with the pieces of the image below a medium, until it fails.
fn each_piece(medium: &mut dyn Medium, mut each: impl FnMut(u64, &[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    for offset in (0..medium.size()).step_by(PIECE) {
        let piece = &mut piece[..(medium.size() - offset).min(PIECE as u64) as usize];
        medium.read_base(offset, piece).map_err(io::Error::other)?;
        each(offset, piece)?;
    }
    Ok(())
}

/// Writes the image below a medium to a file; pieces of zeros become holes.
fn write_image(path: &Path, medium: &mut dyn Medium) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.set_len(medium.size())?;
    each_piece(medium, |offset, piece| {
        if piece.iter().any(|byte| *byte != 0) {
            file.seek(SeekFrom::Start(offset))?;
            file.write_all(piece)?;
        }
        Ok(())
    })?;
    file.sync_all()
}

/// Whether a file holds the image below a medium.
fn holds_image(path: &Path, medium: &mut dyn Medium) -> io::Result<bool> {
    let mut file = File::open(path)?;
    let mut same = file.metadata()?.len() == medium.size();
    let mut there = vec![0; PIECE];
    each_piece(medium, |_, piece| {
        if same {
            let there = &mut there[..piece.len()];
            file.read_exact(there)?;
            same = there == piece;
        }
        Ok(())
    })?;
    Ok(same)
}

/// Removes a directory that may not be there.
fn remove_dir(path: &Path) -> Result<(), StorageError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(path)(error)),
        _ => Ok(()),
    }
}

/// Makes the names in a directory durable, where the host can.
fn sync_dir(path: &Path) -> Result<(), StorageError> {
    if cfg!(unix) {
        return File::open(path).and_then(|directory| directory.sync_all()).map_err(at(path));
    }
    Ok(())
}
