//! What an embedding program puts into drives and ROMs: files, bytes, streams, media of its own.

use super::detect::ImageKind;
use super::overlay::Overlay;
use super::stream::StreamMedium;
use super::{BackingFiles, Format, ImageError, ImageOptions, open};
use idem86_devices::backend::{EachChange, Medium, MediumError, MemoryMedium};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

/// What messages call an image that has no file.
const NO_FILE: &str = "(image without a file)";

/// A floppy, hard disk or CD-ROM image.
///
/// Paths and bytes convert into one; a file is opened when the machine is built.
///
/// ```
/// use idem86_machine::image::source::Disk;
/// let file = Disk::file("dos.img").snapshot();
/// let bytes = Disk::from(vec![0; 1_474_560]);
/// let stream = Disk::stream(std::io::Cursor::new(vec![0; 1_474_560]))?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Disk(Source);

#[derive(Debug)]
enum Source {
    File(ImageOptions),
    Medium { medium: Box<dyn Medium>, snapshot: bool, read_only: bool },
}

impl Disk {
    /// The image in the file at `path`, written in place and locked while the machine has it. It may be raw or qcow2.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Disk(Source::File(ImageOptions::new(path)))
    }

    /// The raw image with these bytes. What the guest writes goes with the machine.
    pub fn bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Disk::medium(MemoryMedium::new(bytes.into()))
    }

    /// The raw image in `stream`, written in place. Fails if the stream does not say how long it is.
    pub fn stream(stream: impl Read + Write + Seek + Send + 'static) -> io::Result<Self> {
        Ok(Disk::medium(StreamMedium::new(stream)?))
    }

    /// A medium of the embedding program's own.
    pub fn medium(medium: impl Medium + 'static) -> Self {
        Disk::from(Box::new(medium) as Box<dyn Medium>)
    }

    /// The same image; what the guest writes is seen by it alone and goes with the machine.
    pub fn snapshot(mut self) -> Self {
        match &mut self.0 {
            Source::File(ImageOptions { snapshot, .. }) | Source::Medium { snapshot, .. } => *snapshot = true,
        }
        self
    }

    /// The same image on a medium that is write-protected.
    pub fn read_only(mut self) -> Self {
        match &mut self.0 {
            Source::File(ImageOptions { read_only, .. }) | Source::Medium { read_only, .. } => {
                *read_only = true
            }
        }
        self
    }

    /// The same image, its file in this format whatever is in it. Nothing else has one.
    pub fn format(mut self, is: Format) -> Self {
        if let Source::File(options) = &mut self.0 {
            options.format = Some(is);
        }
        self
    }

    /// The same image; its file may name backing files that are anywhere, and they are read.
    pub fn backing_anywhere(mut self) -> Self {
        if let Source::File(options) = &mut self.0 {
            options.backing = BackingFiles::Anywhere;
        }
        self
    }

    /// What it is by its content.
    pub fn kind(&mut self) -> Result<ImageKind, ImageError> {
        match &mut self.0 {
            Source::File(options) => ImageKind::of_image(options),
            Source::Medium { medium, .. } => ImageKind::of_medium(medium.as_mut(), Path::new(NO_FILE)),
        }
    }

    /// The file, if it is one.
    pub fn path(&self) -> Option<&Path> {
        match &self.0 {
            Source::File(options) => Some(&options.path),
            Source::Medium { .. } => None,
        }
    }

    /// What messages call it.
    pub(crate) fn name(&self) -> PathBuf {
        self.path().unwrap_or(Path::new(NO_FILE)).into()
    }

    /// Opens it to be used as `kind`.
    pub fn open(self, kind: ImageKind) -> Result<Box<dyn Medium>, ImageError> {
        let (medium, snapshot, read_only) = match self.0 {
            Source::File(options) => return open(&options, kind),
            Source::Medium { medium, snapshot, read_only } => (medium, snapshot, read_only),
        };
        let name = Path::new(NO_FILE);
        kind.check_size(name, medium.size())?;
        Ok(if read_only {
            Box::new(WriteProtected(medium))
        } else if snapshot {
            Box::new(Overlay::new(medium, name)?)
        } else {
            medium
        })
    }
}

impl From<ImageOptions> for Disk {
    fn from(options: ImageOptions) -> Self {
        Disk(Source::File(options))
    }
}

impl From<&Path> for Disk {
    fn from(path: &Path) -> Self {
        Disk::file(path)
    }
}

impl From<PathBuf> for Disk {
    fn from(path: PathBuf) -> Self {
        Disk::file(path)
    }
}

impl From<&PathBuf> for Disk {
    fn from(path: &PathBuf) -> Self {
        Disk::file(path)
    }
}

/// The file of this name.
impl From<&str> for Disk {
    fn from(path: &str) -> Self {
        Disk::file(path)
    }
}

impl From<Vec<u8>> for Disk {
    fn from(bytes: Vec<u8>) -> Self {
        Disk::bytes(bytes)
    }
}

impl From<&'static [u8]> for Disk {
    fn from(bytes: &'static [u8]) -> Self {
        Disk::bytes(bytes)
    }
}

impl<const N: usize> From<&'static [u8; N]> for Disk {
    fn from(bytes: &'static [u8; N]) -> Self {
        Disk::bytes(bytes.as_slice())
    }
}

impl From<Box<dyn Medium>> for Disk {
    fn from(medium: Box<dyn Medium>) -> Self {
        Disk(Source::Medium { medium, snapshot: false, read_only: false })
    }
}

/// A medium that refuses to be written.
#[derive(Debug)]
pub(crate) struct WriteProtected(Box<dyn Medium>);

impl WriteProtected {
    /// `medium`, refusing to be written.
    pub fn new(medium: Box<dyn Medium>) -> Self {
        WriteProtected(medium)
    }
}

impl Medium for WriteProtected {
    fn size(&self) -> u64 {
        self.0.size()
    }

    fn is_read_only(&self) -> bool {
        true
    }

    fn read(&mut self, offset: u64, buffer: &mut [u8]) -> Result<(), MediumError> {
        self.0.read(offset, buffer)
    }

    fn write(&mut self, _offset: u64, _bytes: &[u8]) -> Result<(), MediumError> {
        Err(MediumError::ReadOnly)
    }

    fn flush(&mut self) -> Result<(), MediumError> {
        Ok(())
    }

    fn fork(&self) -> Option<Box<dyn Medium>> {
        Some(Box::new(WriteProtected(self.0.fork()?)))
    }

    fn base(&self) -> Option<&Path> {
        self.0.base()
    }

    fn base_format(&self) -> Option<&'static str> {
        self.0.base_format()
    }

    fn read_base(&mut self, offset: u64, buffer: &mut [u8]) -> Result<(), MediumError> {
        self.0.read_base(offset, buffer)
    }

    fn changes(&mut self, each: &mut EachChange<'_>) -> Result<(), MediumError> {
        self.0.changes(each)
    }
}

/// The content of a ROM, a kernel or an initial RAM disk: bytes, or a file that is read when the machine is built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Blob {
    /// These bytes.
    Bytes(Vec<u8>),
    /// What is in the file.
    File(PathBuf),
}

impl Blob {
    /// The bytes.
    pub fn read(self) -> Result<Vec<u8>, ImageError> {
        match self {
            Blob::Bytes(bytes) => Ok(bytes),
            Blob::File(path) => std::fs::read(&path).map_err(|e| ImageError::io(&path, e)),
        }
    }

    /// What messages call it.
    pub(crate) fn name(&self) -> PathBuf {
        match self {
            Blob::Bytes(_) => NO_FILE.into(),
            Blob::File(path) => path.clone(),
        }
    }
}

impl From<Vec<u8>> for Blob {
    fn from(bytes: Vec<u8>) -> Self {
        Blob::Bytes(bytes)
    }
}

impl From<&[u8]> for Blob {
    fn from(bytes: &[u8]) -> Self {
        Blob::Bytes(bytes.into())
    }
}

impl<const N: usize> From<&[u8; N]> for Blob {
    fn from(bytes: &[u8; N]) -> Self {
        Blob::Bytes(bytes.into())
    }
}

impl From<&Path> for Blob {
    fn from(path: &Path) -> Self {
        Blob::File(path.into())
    }
}

impl From<PathBuf> for Blob {
    fn from(path: PathBuf) -> Self {
        Blob::File(path)
    }
}

impl From<&PathBuf> for Blob {
    fn from(path: &PathBuf) -> Self {
        Blob::File(path.clone())
    }
}

/// The file of this name.
impl From<&str> for Blob {
    fn from(path: &str) -> Self {
        Blob::File(path.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn floppy() -> Vec<u8> {
        vec![0x11; 1_474_560]
    }

    #[test]
    fn whatever_is_put_in_reads_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("floppy.img");
        std::fs::write(&path, floppy()).unwrap();
        let leaked: &'static [u8] = floppy().leak();
        let all = [
            Disk::from(&path),
            Disk::from(floppy()),
            Disk::from(leaked),
            Disk::stream(Cursor::new(floppy())).unwrap(),
            Disk::medium(MemoryMedium::new(floppy())),
        ];
        for mut disk in all {
            assert_eq!(disk.kind().unwrap(), ImageKind::Floppy);
            let mut medium = disk.open(ImageKind::Floppy).unwrap();
            medium.write(512, &[0x22; 512]).unwrap();
            let mut bytes = [0; 1024];
            medium.read(0, &mut bytes).unwrap();
            assert_eq!((bytes[511], bytes[512]), (0x11, 0x22));
        }
        assert_eq!(std::fs::read(&path).unwrap()[512], 0x22, "the file is written in place");
    }

    #[test]
    fn a_snapshot_leaves_a_stream_as_it_was_and_read_only_refuses() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("floppy.img");
        std::fs::write(&path, floppy()).unwrap();
        let file = || std::fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let mut medium = Disk::stream(file()).unwrap().snapshot().open(ImageKind::Floppy).unwrap();
        medium.write(0, &[0x22; 512]).unwrap();
        let mut bytes = [0; 512];
        medium.read(0, &mut bytes).unwrap();
        assert_eq!(bytes, [0x22; 512]);
        drop(medium);
        assert!(std::fs::read(&path).unwrap() == floppy());
        let mut medium = Disk::from(floppy()).read_only().open(ImageKind::Floppy).unwrap();
        assert!(medium.is_read_only());
        assert_eq!(medium.write(0, &[0]), Err(MediumError::ReadOnly));
    }

    #[test]
    fn sizes_that_no_drive_takes_are_refused() {
        let refused = |bytes: usize, kind| Disk::from(vec![0; bytes]).open(kind).unwrap_err();
        assert!(matches!(refused(1000, ImageKind::Floppy), ImageError::NoFloppyFormat { .. }));
        assert!(matches!(refused(1000, ImageKind::Disk), ImageError::OddSize { sector: 512, .. }));
        assert!(matches!(refused(3000, ImageKind::Cdrom), ImageError::OddSize { sector: 2048, .. }));
        assert!(matches!(Disk::from(vec![0; 4096]).kind(), Err(ImageError::Unknown { .. })));
        assert!(matches!(Disk::from("no such file").open(ImageKind::Disk), Err(ImageError::Io { .. })));
    }
}
