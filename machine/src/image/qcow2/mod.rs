//! qcow2 images: a file holds the clusters of a disk that were written, and tables that say where they are. QEMU,
//! "Qcow2 Image File Format".
//!
//! Images come from anywhere: no value in one is believed before it was checked, tables are read up to fixed sizes, and
//! a file that an image names is opened only under the rules of [`chain`].
//!
//! What a write changes goes to the file at once, in this order: a cluster is counted, it gets its content, and then an
//! entry names it; an entry that named another is replaced before that one is given back. So a process that is killed
//! between any two of these leaves clusters that are counted and not used, at worst. Against a host that stops, a flush
//! helps: all that was written before it is durable then.

pub mod chain;
pub mod header;
mod map;
mod refcount;
pub mod storage;
mod tables;
#[cfg(test)]
pub(crate) mod tests;

use flate2::{Decompress, FlushDecompress, Status};
use header::{AUTOCLEAR, Header, Problem};
use idem86_devices::backend::{Medium, MediumError};
use map::{Cluster, Map, Place};
use refcount::Refcounts;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use storage::Storage;

/// The name of the format.
pub const NAME: &str = "qcow2";

/// A disk in a qcow2 image.
#[derive(Debug)]
pub struct Qcow2 {
    storage: Arc<dyn Storage>,
    path: PathBuf,
    cluster_bits: u32,
    size: u64,
    map: Map,
    /// `None`: it is not written.
    writer: Option<Writer>,
    /// What is below; it may be smaller or larger.
    backing: Option<Box<dyn Medium>>,
    /// The compressed cluster that was read last, by its place.
    inflated: Option<(u64, Vec<u8>)>,
}

/// What only writing needs.
#[derive(Debug)]
struct Writer {
    refcounts: Refcounts,
    /// Features of the image are not known here and must be marked as outdated before it changes.
    autoclear: bool,
}

/// What medium errors come from: the guest learns no more.
fn failed(_: io::Error) -> MediumError {
    MediumError::Failed
}

impl Qcow2 {
    /// The image in `storage` with this header, above `backing`. `path` is the file that [`Medium::base`] names.
    pub fn new(
        storage: Arc<dyn Storage>,
        header: &Header,
        path: &Path,
        read_only: bool,
        backing: Option<Box<dyn Medium>>,
    ) -> Result<Self, Problem> {
        let map = Map::read(storage.as_ref(), header)?;
        let writer = match read_only {
            true => None,
            false if header.dirty => return Err(Problem::Dirty),
            false => Some(Writer::new(storage.as_ref(), header, &map)?),
        };
        let Header { cluster_bits, size, .. } = *header;
        Ok(Qcow2 { storage, path: path.into(), cluster_bits, size, map, writer, backing, inflated: None })
    }

    /// The image in `storage`, which must not have a backing file.
    pub fn open(storage: Arc<dyn Storage>, path: &Path, read_only: bool) -> Result<Self, Problem> {
        let header = Header::read(storage.as_ref())?;
        match &header.backing {
            Some(backing) => header::damaged(format!("a backing file, {}, where none can be", backing.name)),
            None => Qcow2::new(storage, &header, path, read_only, None),
        }
    }

    fn cluster_size(&self) -> u64 {
        1 << self.cluster_bits
    }

    fn check(&self, offset: u64, length: usize) -> Result<(), MediumError> {
        match offset.checked_add(length as u64) {
            Some(end) if end <= self.size => Ok(()),
            _ => Err(MediumError::OutOfRange),
        }
    }

    /// How much of `length` bytes from `offset` on is in the cluster of `offset`, and where in it that begins.
    fn piece(&self, offset: u64, length: usize) -> (u64, usize) {
        let within = offset % self.cluster_size();
        (within, length.min((self.cluster_size() - within) as usize))
    }

    /// Fills `buffer` with what is at `place` from byte `within` on, or below from byte `offset` on.
    fn read_place(&mut self, place: Place, offset: u64, buffer: &mut [u8]) -> Result<(), MediumError> {
        let within = offset % self.cluster_size();
        match place {
            Place::Zero(_) => buffer.fill(0),
            Place::Data(cluster) => {
                self.storage.read_at(cluster.offset + within, buffer).map_err(failed)?;
            }
            Place::Compressed { offset, length } => {
                let bytes = self.inflate(offset, length).map_err(failed)?;
                buffer.copy_from_slice(&bytes[within as usize..][..buffer.len()]);
            }
            Place::Below => match &mut self.backing {
                None => buffer.fill(0),
                Some(backing) => {
                    let there = backing.size().saturating_sub(offset).min(buffer.len() as u64) as usize;
                    let (from_backing, behind) = buffer.split_at_mut(there);
                    if !from_backing.is_empty() {
                        backing.read(offset, from_backing)?;
                    }
                    behind.fill(0);
                }
            },
        }
        Ok(())
    }

    /// The content of the compressed cluster at `offset`.
    fn inflate(&mut self, offset: u64, length: usize) -> io::Result<&[u8]> {
        if self.inflated.as_ref().is_none_or(|(of, _)| *of != offset) {
            self.inflated = None;
            let mut deflated = vec![0; length];
            self.storage.read_at(offset, &mut deflated)?;
            let mut bytes = vec![0; self.cluster_size() as usize];
            let mut stream = Decompress::new(false);
            let status = stream.decompress(&deflated, &mut bytes, FlushDecompress::Finish);
            // What follows a cluster in its last sector is not its own.
            let whole = stream.total_out() == self.cluster_size();
            match status {
                Ok(Status::StreamEnd | Status::Ok | Status::BufError) if whole => {}
                _ => return Err(io::ErrorKind::InvalidData.into()),
            }
            self.inflated = Some((offset, bytes));
        }
        Ok(&self.inflated.as_ref().expect("it was put there").1)
    }

    /// Writes `bytes` at `offset`, which are in one cluster.
    fn write_piece(&mut self, offset: u64, bytes: &[u8]) -> Result<(), MediumError> {
        let (number, within) = (offset >> self.cluster_bits, offset % self.cluster_size());
        let place = self.map.find(self.storage.as_ref(), number).map_err(failed)?;
        let storage = self.storage.clone();
        let storage = storage.as_ref();
        let cluster_size = self.cluster_size();
        let writer = self.writer.as_mut().ok_or(MediumError::ReadOnly)?;
        writer.clear_features(storage).map_err(failed)?;
        match place {
            Place::Data(Cluster { offset, own: true }) => {
                // Neither into the tables of a damaged image, nor far behind the end of its file.
                if writer.refcounts.is_reserved(offset) || offset >= storage.size().map_err(failed)? {
                    return Err(MediumError::Failed);
                }
                return storage.write_at(offset + within, bytes).map_err(failed);
            }
            Place::Zero(Some(Cluster { offset, own: true })) => {
                if writer.refcounts.is_reserved(offset) || offset >= storage.size().map_err(failed)? {
                    return Err(MediumError::Failed);
                }
                let mut whole = vec![0; cluster_size as usize];
                whole[within as usize..][..bytes.len()].copy_from_slice(bytes);
                storage.write_at(offset, &whole).map_err(failed)?;
                writer.own_table(storage, &mut self.map, number).map_err(failed)?;
                return self.map.set_data(storage, number, offset).map_err(failed);
            }
            _ => {}
        }
        // All of it, unless what is not written is zeros in the file already.
        let zeros = match place {
            Place::Zero(_) => true,
            Place::Below => self.backing.is_none(),
            _ => false,
        };
        let mut whole = Vec::new();
        if !zeros && bytes.len() as u64 != cluster_size {
            whole.resize(cluster_size as usize, 0);
            self.read_place(place, offset - within, &mut whole)?;
        }
        let writer = self.writer.as_mut().ok_or(MediumError::ReadOnly)?;
        writer.own_table(storage, &mut self.map, number).map_err(failed)?;
        let new = writer.refcounts.allocate(storage).map_err(failed)?;
        let written = if zeros && new >= storage.size().map_err(failed)? {
            storage.write_at(new + within, bytes)
        } else {
            whole.resize(cluster_size as usize, 0);
            whole[within as usize..][..bytes.len()].copy_from_slice(bytes);
            storage.write_at(new, &whole)
        };
        if let Err(error) = written {
            // As well as it goes: what the host does not do leaves a cluster that nobody uses.
            let _ = writer.refcounts.release(storage, new);
            return Err(failed(error));
        }
        self.map.set_data(storage, number, new).map_err(failed)?;
        let old = match place {
            Place::Below | Place::Zero(None) => 0..0,
            Place::Data(cluster) | Place::Zero(Some(cluster)) => cluster.offset..cluster.offset + 1,
            Place::Compressed { offset, length } => offset..offset + length as u64,
        };
        // What was compressed at this place may be something else soon.
        self.inflated = None;
        for cluster in old.start >> self.cluster_bits..old.end.div_ceil(cluster_size) {
            writer.refcounts.release(storage, cluster << self.cluster_bits).map_err(failed)?;
        }
        Ok(())
    }
}

impl Writer {
    fn new(storage: &dyn Storage, header: &Header, map: &Map) -> Result<Self, Problem> {
        let mut refcounts = Refcounts::read(storage, header)?;
        for offset in map.tables() {
            refcounts.reserve("an L2 table", offset, 1)?;
        }
        Ok(Writer { refcounts, autoclear: header.autoclear != 0 })
    }

    /// "autoclear_features": what this program does not keep up to date is no longer so.
    fn clear_features(&mut self, storage: &dyn Storage) -> io::Result<()> {
        if self.autoclear {
            storage.write_at(AUTOCLEAR, &[0; 8])?;
            self.autoclear = false;
        }
        Ok(())
    }

    /// Sees to it that `cluster` has an L2 table that nobody else uses.
    fn own_table(&mut self, storage: &dyn Storage, map: &mut Map, cluster: u64) -> io::Result<()> {
        let old = match map.table(cluster) {
            Some(Cluster { own: true, .. }) => return Ok(()),
            old => old,
        };
        let new = self.refcounts.allocate(storage)?;
        if let Err(error) = map.write_table(storage, cluster, new) {
            let _ = self.refcounts.release(storage, new);
            return Err(error);
        }
        map.set_table(storage, cluster, new)?;
        self.refcounts.set_reserved(new, true);
        match old {
            None => Ok(()),
            Some(old) => {
                self.refcounts.set_reserved(old.offset, false);
                self.refcounts.release(storage, old.offset)
            }
        }
    }
}

impl Medium for Qcow2 {
    fn size(&self) -> u64 {
        self.size
    }

    fn is_read_only(&self) -> bool {
        self.writer.is_none()
    }

    fn read(&mut self, mut offset: u64, mut buffer: &mut [u8]) -> Result<(), MediumError> {
        self.check(offset, buffer.len())?;
        while !buffer.is_empty() {
            let (_, length) = self.piece(offset, buffer.len());
            let (part, rest) = buffer.split_at_mut(length);
            let place = self.map.find(self.storage.as_ref(), offset >> self.cluster_bits).map_err(failed)?;
            self.read_place(place, offset, part)?;
            (offset, buffer) = (offset + length as u64, rest);
        }
        Ok(())
    }

    fn write(&mut self, mut offset: u64, mut bytes: &[u8]) -> Result<(), MediumError> {
        if self.is_read_only() {
            return Err(MediumError::ReadOnly);
        }
        self.check(offset, bytes.len())?;
        while !bytes.is_empty() {
            let (_, length) = self.piece(offset, bytes.len());
            let (part, rest) = bytes.split_at(length);
            self.write_piece(offset, part)?;
            (offset, bytes) = (offset + length as u64, rest);
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), MediumError> {
        match self.writer {
            Some(_) => self.storage.sync().map_err(failed),
            None => Ok(()),
        }
    }

    fn fork(&self) -> Option<Box<dyn Medium>> {
        let Qcow2 { storage, path, cluster_bits, size, map, writer, backing, inflated: _ } = self;
        if writer.is_some() {
            return None;
        }
        let backing = match backing {
            Some(backing) => Some(backing.fork()?),
            None => None,
        };
        Some(Box::new(Qcow2 {
            storage: storage.clone(),
            path: path.clone(),
            cluster_bits: *cluster_bits,
            size: *size,
            map: map.clone(),
            writer: None,
            backing,
            inflated: None,
        }))
    }

    fn base(&self) -> Option<&Path> {
        Some(&self.path)
    }

    fn base_format(&self) -> Option<&'static str> {
        Some(NAME)
    }
}
