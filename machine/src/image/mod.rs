//! Disk images: opening, locking, and what they are by their content.

pub mod blank;
pub mod detect;
pub mod file;
pub mod overlay;
mod positional;
pub mod source;
pub mod stream;

use detect::ImageKind;
use file::FileMedium;
use idem86_devices::backend::Medium;
use overlay::Overlay;
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
}

impl ImageOptions {
    /// The image at `path`, written in place.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        ImageOptions { path: path.into(), snapshot: false, read_only: false }
    }
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
    /// Nothing known is in it.
    #[error("{}: neither a floppy, a hard disk, an ISO 9660 CD, a Linux kernel nor a multiboot kernel", path.display())]
    Unknown {
        /// The file.
        path: PathBuf,
    },
}

impl ImageError {
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
    let file = FileMedium::open(&options.path, read_only || options.snapshot)?;
    let size = file.size();
    kind.check_size(&options.path, size)?;
    if options.snapshot && !read_only {
        return Ok(Box::new(Overlay::new(Box::new(file), &options.path)?));
    }
    Ok(Box::new(file))
}
