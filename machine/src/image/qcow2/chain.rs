//! Images above their backing files. What an image names is opened only where the user allows it, only to be read, and
//! only in the format that the image says: a guest could have made a raw image look like any other.

use super::Qcow2;
use super::header::{BackingName, Header};
use crate::image::file::{FileMedium, open_locked};
use crate::image::{BackingFiles, Format, ImageError};
use idem86_devices::backend::Medium;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Images in a chain, at most. Each is an open file.
const DEPTH: usize = 64;

/// Opens the image at `path` with all that is below it, and locks them. `format`: `None` if it is to be recognised.
pub(crate) fn open(
    path: &Path,
    read_only: bool,
    format: Option<Format>,
    backing: BackingFiles,
) -> Result<Box<dyn Medium>, ImageError> {
    let file = open_locked(path, read_only)?;
    let recognised = format.is_none();
    let io = |e| ImageError::io(path, e);
    match format.map_or_else(|| Format::of_file(&file).map_err(io), Ok)? {
        Format::Raw => Ok(Box::new(FileMedium::of_file(file, path, read_only, recognised)?)),
        Format::Qcow2 => {
            let mut chain = Chain { first: path, allowed: backing, folder: None, above: Vec::new() };
            chain.open(file, path, read_only)
        }
    }
}

/// The images that were opened for one.
struct Chain<'a> {
    /// The one that the user named.
    first: &'a Path,
    allowed: BackingFiles,
    /// Where its folder really is, once that is asked.
    folder: Option<PathBuf>,
    /// Where they really are, from the first to the one that is opened.
    above: Vec<PathBuf>,
}

impl Chain<'_> {
    /// The qcow2 image in `file`, which is locked.
    fn open(
        &mut self,
        file: std::fs::File,
        path: &Path,
        read_only: bool,
    ) -> Result<Box<dyn Medium>, ImageError> {
        let problem = |problem| ImageError::qcow2(path, problem);
        let header = Header::read(&file).map_err(problem)?;
        let backing = match &header.backing {
            None => None,
            Some(named) => Some(self.open_backing(path, named)?),
        };
        let storage = Arc::new(file);
        Ok(Box::new(Qcow2::new(storage, &header, path, read_only, backing).map_err(problem)?))
    }

    /// What the image at `above` names.
    fn open_backing(&mut self, above: &Path, named: &BackingName) -> Result<Box<dyn Medium>, ImageError> {
        let BackingName { name, format } = named;
        let refused = |problem| ImageError::Backing { path: above.into(), backing: name.clone(), problem };
        let Some(format) = format else {
            return Err(refused(
                "is of a format that the image does not name (qemu-img rebase -u -F raw or qcow2 does)",
            ));
        };
        let format =
            Format::named(format).ok_or_else(|| refused("is of a format that is neither raw nor qcow2"))?;
        let protocol = name.split(['/', '\\']).next().and_then(|start| start.split_once(':'));
        // A letter is a drive of Windows.
        if protocol.is_some_and(|(protocol, _)| protocol.len() > 1) {
            return Err(refused("is not the name of a file"));
        }
        let path = above.parent().unwrap_or(Path::new("")).join(name);
        let real = path.canonicalize().map_err(|e| ImageError::io(&path, e))?;
        if self.above.is_empty() {
            self.above.push(real_path(self.first)?);
        }
        if self.allowed == BackingFiles::InFolder && !real.starts_with(self.folder()?) {
            return Err(refused("is outside of the image's folder (backing=anywhere allows it)"));
        }
        if self.above.contains(&real) {
            return Err(refused("is above it already"));
        }
        if self.above.len() >= DEPTH {
            return Err(refused("is below too many others"));
        }
        self.above.push(real);
        let file = open_locked(&path, true)?;
        match format {
            Format::Raw => Ok(Box::new(FileMedium::of_file(file, &path, true, false)?)),
            Format::Qcow2 => self.open(file, &path, true),
        }
    }

    fn folder(&mut self) -> Result<&Path, ImageError> {
        if self.folder.is_none() {
            let parent = self.first.parent().filter(|parent| *parent != Path::new(""));
            self.folder = Some(real_path(parent.unwrap_or(Path::new(".")))?);
        }
        Ok(self.folder.as_deref().expect("it was put there"))
    }
}

fn real_path(path: &Path) -> Result<PathBuf, ImageError> {
    path.canonicalize().map_err(|e| ImageError::io(path, e))
}
