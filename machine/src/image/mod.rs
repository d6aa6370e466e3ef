//! Disk images, raw and qcow2: opening, locking, and what they are by their content.

pub mod blank;
pub mod detect;
pub mod file;
pub mod overlay;
mod positional;
pub mod qcow2;
pub mod source;
pub mod stream;

use detect::ImageKind;
use idem86_devices::backend::Medium;
use overlay::Overlay;
use qcow2::chain;
use qcow2::header::{MAGIC, Problem};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// How an image is to be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageOptions {
    /// The file.
    pub path: PathBuf,
    /// Guest writes go to a temporary overlay; the file stays as it is.
    pub snapshot: bool,
    /// Guest writes are refused as on a write-protected medium.
    pub read_only: bool,
    /// How the file holds the content; `None`: it is looked at.
    pub format: Option<Format>,
    /// Which backing files are read that an image names.
    pub backing: BackingFiles,
}

impl ImageOptions {
    /// The image at `path`, written in place.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let (snapshot, read_only, format, backing) = (false, false, None, BackingFiles::InFolder);
        ImageOptions { path: path.into(), snapshot, read_only, format, backing }
    }
}

/// How a file holds the content of a medium.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Byte for byte.
    Raw,
    /// In clusters that tables name.
    Qcow2,
}

impl Format {
    /// The format that is called so.
    pub fn named(name: &str) -> Option<Format> {
        match name {
            "raw" => Some(Format::Raw),
            qcow2::NAME => Some(Format::Qcow2),
            _ => None,
        }
    }

    /// By how the file begins.
    fn of_file(file: &File) -> io::Result<Format> {
        let mut start = [0; MAGIC.len()];
        positional::read_padded_at(file, &mut start, 0)?;
        Ok(if start == MAGIC { Format::Qcow2 } else { Format::Raw })
    }
}

/// Which backing files are read. An image that comes from somebody else could name any file, and its guest would read
/// it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BackingFiles {
    /// Those in the folder of the image that the user named, or below it.
    #[default]
    InFolder,
    /// All.
    Anywhere,
}

/// Why an image cannot be used. The message names the file and the reason.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// It cannot be opened or read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the host says.
        source: std::io::Error,
    },
    /// It holds nothing.
    #[error("{}: the image is empty", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A disk consists of whole sectors.
    #[error("{}: {size} bytes are not a whole number of {sector}-byte sectors", path.display())]
    OddSize {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        size: u64,
        /// The sector size in bytes.
        sector: u64,
    },
    /// A floppy image must have the size of a format that drives know.
    #[error("{}: {size} bytes are no floppy format (160K, 180K, 320K, 360K, 640K, 720K, 1200K, 1440K, 1680K or 2880K)", path.display())]
    NoFloppyFormat {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        size: u64,
    },
    /// Somebody else writes to it.
    #[error("{}: in use by another program (run with snapshot=on or readonly=on to share it)", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// It is a directory, a socket or the like.
    #[error("{}: not a regular file", path.display())]
    NotAFile {
        /// The file.
        path: PathBuf,
    },
    /// It is a qcow2 image that cannot be used.
    #[error("{}: {problem}", path.display())]
    Qcow2 {
        /// The file.
        path: PathBuf,
        /// What is in the way.
        problem: Problem,
    },
    /// It names a backing file that is not read.
    #[error("{}: its backing file {backing} {problem}", path.display())]
    Backing {
        /// The image.
        path: PathBuf,
        /// What it says.
        backing: String,
        /// What is in the way.
        problem: &'static str,
    },
    /// Nothing known is in it.
    #[error("{}: neither a floppy, a hard disk, an ISO 9660 CD, a Linux kernel nor a multiboot kernel", path.display())]
    Unknown {
        /// The file.
        path: PathBuf,
    },
}

impl ImageError {
    /// `problem`, with the file it concerns.
    pub(crate) fn qcow2(path: &Path, problem: Problem) -> Self {
        ImageError::Qcow2 { path: path.into(), problem }
    }

    /// `source`, with the file it concerns.
    pub(crate) fn io(path: &Path, source: std::io::Error) -> Self {
        ImageError::Io { path: path.into(), source }
    }
}

/// Opens a disk, floppy or CD image as a medium.
///
/// A writable image is locked against other writers for as long as the medium lives; a read-only or snapshot one
/// against being opened for writing.
pub fn open(options: &ImageOptions, kind: ImageKind) -> Result<Box<dyn Medium>, ImageError> {
    let read_only = options.read_only || kind == ImageKind::Cdrom;
    let medium = chain::open(&options.path, read_only || options.snapshot, options.format, options.backing)?;
    kind.check_size(&options.path, medium.size())?;
    if options.snapshot && !read_only {
        return Ok(Box::new(Overlay::new(medium, &options.path)?));
    }
    Ok(medium)
}
