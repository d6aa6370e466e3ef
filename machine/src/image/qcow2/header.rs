//! The header of an image and its extensions. QEMU, "Qcow2 Image File Format", "Header" and "Header extensions".

use super::storage::Storage;
use std::io;

/// What an image begins with.
pub const MAGIC: [u8; 4] = *b"QFI\xFB";

/// Bytes of a header of version 2, and offset of the extensions behind it.
const V2_LENGTH: usize = 72;
/// Bytes of the header of version 3 that must be there.
const V3_LENGTH: usize = 104;
/// Where a header of version 3 holds the autoclear features.
pub(super) const AUTOCLEAR: u64 = 88;
/// Where the offset of the refcount table is, and behind it the number of its clusters.
pub(super) const REFCOUNT_TABLE: u64 = 48;
/// "backing_file_size": must not be longer.
const BACKING_NAME_MAX: u32 = 1023;
/// Bytes of an L1 table and of a refcount table. The format knows no limit; QEMU has these two, which suffice for
/// petabytes.
const L1_MAX: u64 = 32 << 20;
/// See [`L1_MAX`].
pub(super) const REFCOUNT_TABLE_MAX: u64 = 8 << 20;

/// Incompatible features.
const DIRTY: u64 = 1 << 0;
const CORRUPT: u64 = 1 << 1;
const EXTERNAL_DATA: u64 = 1 << 2;
const COMPRESSION_TYPE: u64 = 1 << 3;
const EXTENDED_L2: u64 = 1 << 4;

/// Header extensions.
const EXTENSION_END: u32 = 0;
const BACKING_FORMAT: u32 = 0xE279_2ACA;
const FEATURE_NAMES: u32 = 0x6803_F857;
/// Bytes of an entry of the feature name table: kind, bit, name.
const FEATURE_NAME: usize = 48;

/// Why an image cannot be used. The message is one line, whatever the image contains.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The file cannot be read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It does not begin as an image does.
    #[error("not a qcow2 image")]
    Foreign,
    /// Another version of the format.
    #[error("qcow2 version {0}; versions 2 and 3 are supported")]
    Version(u32),
    /// Clusters are 512 bytes to 2 MiB.
    #[error("qcow2 clusters of 2^{0} bytes; 2^9 to 2^21 are supported")]
    ClusterSize(u32),
    /// The content is encrypted.
    #[error("encrypted qcow2 images are not supported (qemu-img convert decrypts it)")]
    Encrypted,
    /// The content lies in another file.
    #[error(
        "qcow2 images with an external data file are not supported (qemu-img convert makes one file of both)"
    )]
    ExternalData,
    /// Subclusters.
    #[error("qcow2 images with extended L2 entries are not supported (qemu-img convert makes one without)")]
    ExtendedL2,
    /// Compressed in another way than with deflate.
    #[error("clusters compressed by {0} are not supported (qemu-img convert decompresses them)")]
    Compression(&'static str),
    /// An incompatible feature that is newer than this program.
    #[error("needs the qcow2 feature {0}, which is not supported")]
    Feature(String),
    /// Its refcounts may be wrong, so it cannot be written.
    #[error(
        "was not closed properly, or has lazy refcounts that are not written (qemu-img check -r all repairs it; snapshot=on or readonly=on can do without)"
    )]
    Dirty,
    /// Another program has found it to be damaged.
    #[error("marked as corrupt (qemu-img check -r all tries to repair it)")]
    Corrupt,
    /// A field of the header, or a table, has a value that no image has.
    #[error("damaged qcow2 image: {0}")]
    Damaged(String),
}

/// Damage in words.
pub(super) fn damaged<T>(what: impl Into<String>) -> Result<T, Problem> {
    Err(Problem::Damaged(what.into()))
}

/// Where the content comes from that an image does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackingName {
    /// The file's name, as the image says it.
    pub name: String,
    /// The name of its format, if the image says it.
    pub format: Option<String>,
}

/// A header whose values are possible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// 2 or 3.
    pub version: u32,
    /// The logarithm of the cluster size, 9 to 21.
    pub cluster_bits: u32,
    /// Bytes of the disk.
    pub size: u64,
    /// Where the L1 table is; a multiple of the cluster size.
    pub l1_offset: u64,
    /// Entries of the L1 table that the disk's size needs. There may be more.
    pub l1_entries: usize,
    /// Where the refcount table is; a multiple of the cluster size.
    pub refcount_offset: u64,
    /// Its clusters.
    pub refcount_clusters: u64,
    /// The logarithm of the bits of a refcount, 0 to 6.
    pub refcount_order: u32,
    /// Features to be cleared by a writer that does not know them.
    pub autoclear: u64,
    /// Whether refcounts may be wrong.
    pub dirty: bool,
    /// The backing file.
    pub backing: Option<BackingName>,
}

fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn be64(bytes: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

/// What an image says in words, as part of a line.
fn words(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

impl Header {
    /// Reads and checks the header.
    pub fn read(storage: &dyn Storage) -> Result<Self, Problem> {
        let mut fixed = [0; V3_LENGTH + 1];
        storage.read_at(0, &mut fixed)?;
        if fixed[..4] != MAGIC {
            return Err(Problem::Foreign);
        }
        let version = be32(&fixed, 4);
        if !matches!(version, 2 | 3) {
            return Err(Problem::Version(version));
        }
        let file = storage.size()?;
        let length = if version == 2 { V2_LENGTH } else { be32(&fixed, 100) as usize };
        if file < length.max(if version == 2 { V2_LENGTH } else { V3_LENGTH }) as u64 {
            return damaged("the header is cut off");
        }
        let cluster_bits = be32(&fixed, 20);
        if !(9..=21).contains(&cluster_bits) {
            return Err(Problem::ClusterSize(cluster_bits));
        }
        let cluster = 1u64 << cluster_bits;
        if version == 3 && !(V3_LENGTH..=cluster as usize).contains(&length) || !length.is_multiple_of(8) {
            return damaged(format!("a header of {length} bytes"));
        }
        let mut first = vec![0; cluster as usize];
        storage.read_at(0, &mut first)?;
        let header = &first[..length];
        if be32(header, 32) != 0 {
            return Err(Problem::Encrypted);
        }
        // Extensions lie between the header and the name of the backing file.
        let (name_offset, name_size) = (be64(header, 8), be32(header, 16));
        let names_end = if name_offset == 0 { cluster } else { name_offset.min(cluster) };
        let extensions = Extensions::read(&first[..names_end as usize], length)?;
        let (incompatible, autoclear) =
            if version == 2 { (0, 0) } else { (be64(header, 72), be64(header, AUTOCLEAR as usize)) };
        let compression = if length > V3_LENGTH { header[V3_LENGTH] } else { 0 };
        check_features(incompatible, compression, &extensions)?;
        let refcount_order = if version == 2 { 4 } else { be32(header, 96) };
        if refcount_order > 6 {
            return damaged(format!("refcounts of 2^{refcount_order} bits"));
        }
        let size = be64(header, 24);
        let (l1_entries, l1_offset) = (u64::from(be32(header, 36)), be64(header, 40));
        // Entries of an L2 table have 8 bytes.
        let needed = size.div_ceil(cluster << (cluster_bits - 3));
        if needed > L1_MAX / 8 || l1_entries < needed {
            return damaged(format!("an L1 table of {l1_entries} entries for {size} bytes"));
        }
        check_table("the L1 table", l1_offset, needed * 8, cluster, file)?;
        let (refcount_offset, refcount_clusters) =
            (be64(header, REFCOUNT_TABLE as usize), u64::from(be32(header, 56)));
        if refcount_clusters << cluster_bits > REFCOUNT_TABLE_MAX {
            return damaged(format!("a refcount table of {refcount_clusters} clusters"));
        }
        check_table("the refcount table", refcount_offset, 1, cluster, file)?;
        let backing = match name_offset {
            0 => None,
            _ if name_size == 0 => None,
            _ => {
                let end = name_offset.checked_add(u64::from(name_size)).filter(|end| *end <= cluster);
                let (Some(end), true) = (end, name_size <= BACKING_NAME_MAX) else {
                    return damaged("the name of the backing file is not in the first cluster");
                };
                let name = &first[name_offset as usize..end as usize];
                match str::from_utf8(name) {
                    Ok(name) if !name.contains(char::is_control) => {
                        Some(BackingName { name: name.into(), format: extensions.backing_format })
                    }
                    _ => return damaged("the name of the backing file is no text"),
                }
            }
        };
        Ok(Header {
            version,
            cluster_bits,
            size,
            l1_offset,
            l1_entries: needed as usize,
            refcount_offset,
            refcount_clusters,
            refcount_order,
            autoclear,
            dirty: incompatible & DIRTY != 0,
            backing,
        })
    }
}

/// A table must begin with a cluster, not the first, and in the file.
fn check_table(what: &str, offset: u64, length: u64, cluster: u64, file: u64) -> Result<(), Problem> {
    if offset == 0 || !offset.is_multiple_of(cluster) {
        return damaged(format!("{what} is at {offset:#x}"));
    }
    if offset.checked_add(length).is_none_or(|end| end > file) {
        return damaged(format!("{what} is behind the end of the file"));
    }
    Ok(())
}

fn check_features(incompatible: u64, compression: u8, extensions: &Extensions) -> Result<(), Problem> {
    if incompatible & CORRUPT != 0 {
        return Err(Problem::Corrupt);
    }
    if incompatible & EXTERNAL_DATA != 0 {
        return Err(Problem::ExternalData);
    }
    if incompatible & EXTENDED_L2 != 0 {
        return Err(Problem::ExtendedL2);
    }
    let known = DIRTY | CORRUPT | EXTERNAL_DATA | COMPRESSION_TYPE | EXTENDED_L2;
    let unknown = incompatible & !known;
    if unknown != 0 {
        let bit = unknown.trailing_zeros() as u8;
        let named = extensions.incompatible.iter().find(|(of, _)| *of == bit);
        return Err(Problem::Feature(match named {
            Some((_, name)) => format!("\"{name}\" (incompatible bit {bit})"),
            None => format!("of incompatible bit {bit}"),
        }));
    }
    // "compression_type": the bit says that the field must be understood.
    match (incompatible & COMPRESSION_TYPE != 0, compression) {
        (_, 0) => Ok(()),
        (_, 1) => Err(Problem::Compression("zstd")),
        _ => Err(Problem::Compression("an unknown method")),
    }
}

/// What of the extensions matters.
#[derive(Debug, Default)]
struct Extensions {
    backing_format: Option<String>,
    /// Bits of incompatible features, and their names.
    incompatible: Vec<(u8, String)>,
}

impl Extensions {
    /// Those in `bytes` from `at` on.
    fn read(bytes: &[u8], mut at: usize) -> Result<Self, Problem> {
        let mut found = Extensions::default();
        while at + 8 <= bytes.len() {
            let (kind, length) = (be32(bytes, at), be32(bytes, at + 4) as usize);
            if kind == EXTENSION_END {
                break;
            }
            let Some(content) = bytes[at + 8..].get(..length) else {
                return damaged("a header extension is cut off");
            };
            match kind {
                BACKING_FORMAT => found.backing_format = Some(words(content)),
                FEATURE_NAMES => {
                    let incompatible = content.chunks_exact(FEATURE_NAME).filter(|entry| entry[0] == 0);
                    let name =
                        |entry: &[u8]| words(entry[2..].split(|byte| *byte == 0).next().unwrap_or(&[]));
                    found.incompatible.extend(incompatible.map(|entry| (entry[1], name(entry))));
                }
                _ => {}
            }
            // Padded to a multiple of 8.
            at += 8 + length.next_multiple_of(8);
        }
        Ok(found)
    }
}
