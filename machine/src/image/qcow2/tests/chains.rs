//! Backing files: what is read of them, and which are opened at all.

use super::support::{Shape, blank, content, put};
use crate::image::detect::ImageKind;
use crate::image::{BackingFiles, Format, ImageError, ImageOptions, open};
use idem86_devices::backend::{Medium, MediumError};
use std::fs;
use std::path::{Path, PathBuf};

const SHAPE: Shape = Shape { version: 3, cluster_bits: 12, order: 4, size: 1 << 20 };

/// Writes an image that names `backing`, of `format` if it is not empty.
fn image(path: &Path, size: u64, backing: &str, format: &str) -> PathBuf {
    let mut image = blank(Shape { size, ..SHAPE });
    if !format.is_empty() {
        put(&mut image, 104, &0xE279_2ACAu32.to_be_bytes());
        put(&mut image, 108, &(format.len() as u32).to_be_bytes());
        put(&mut image, 112, format.as_bytes());
    }
    put(&mut image, 8, &1024u64.to_be_bytes());
    put(&mut image, 16, &(backing.len() as u32).to_be_bytes());
    put(&mut image, 1024, backing.as_bytes());
    fs::write(path, image).expect("a file");
    path.into()
}

fn disk(path: &Path) -> Result<Box<dyn Medium>, ImageError> {
    open(&ImageOptions::new(path), ImageKind::Disk)
}

fn refusal(path: &Path) -> String {
    let refused = disk(path).expect_err("it is refused").to_string();
    assert_eq!(refused.lines().count(), 1);
    refused
}

#[test]
fn what_an_image_does_not_have_is_read_from_below_and_stays_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("base")).expect("a folder");
    // A larger image above a smaller one above one that is smaller still.
    let lowest: Vec<u8> = (0..300_544u32).map(|n| (n / 7) as u8).collect();
    fs::write(at("base/lowest.img"), &lowest).expect("a file");
    image(&at("base/middle.qcow2"), 400 << 10, "lowest.img", "raw");
    let top = image(&at("top.qcow2"), 1 << 20, "base/middle.qcow2", "qcow2");
    let mut expected = lowest.clone();
    expected.resize(1 << 20, 0);
    let mut first = disk(&top).expect("all are below one folder");
    assert!(content(first.as_mut()) == Ok(expected.clone()));
    let before = fs::read(at("base/middle.qcow2")).expect("a file");
    for (offset, length) in [(100, 1), (299_000, 5_000), (401_000, 10_000), ((1 << 20) - 512, 512)] {
        first.write(offset as u64, &vec![0xEE; length]).expect("there is room");
        expected[offset..offset + length].fill(0xEE);
    }
    assert!(matches!(disk(&top), Err(ImageError::InUse { .. })), "one writer");
    assert!(
        matches!(disk(&at("base/middle.qcow2")), Err(ImageError::InUse { .. })),
        "nobody may change what is below"
    );
    drop(first);
    let mut again = disk(&top).expect("it is not in use any longer");
    assert!(content(again.as_mut()) == Ok(expected));
    assert!(fs::read(at("base/middle.qcow2")).expect("a file") == before);
    assert!(fs::read(at("base/lowest.img")).expect("a file") == lowest);
}

#[test]
fn only_files_in_the_folder_are_opened_unless_the_user_allows_all() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("images")).expect("a folder");
    fs::write(at("secret"), [0x5E; 4096]).expect("a file");
    let secret = at("secret").display().to_string();
    for name in [secret.as_str(), "../secret"] {
        let top = image(&at("images/top.qcow2"), 4096, name, "raw");
        assert!(refusal(&top).contains("backing=anywhere"), "{name}");
        let options = ImageOptions { backing: BackingFiles::Anywhere, ..ImageOptions::new(&top) };
        let mut allowed = open(&options, ImageKind::Disk).expect("the user allows it");
        assert!(content(allowed.as_mut()) == Ok(vec![0x5E; 4096]));
    }
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(at("secret"), at("images/link")).expect("a link");
        let top = image(&at("images/top.qcow2"), 4096, "link", "raw");
        assert!(refusal(&top).contains("outside"));
    }
    // The folder is that of the image that the user named, not of each that names another.
    fs::create_dir(at("images/deep")).expect("a folder");
    image(&at("images/middle.qcow2"), 4096, "../secret", "raw");
    let top = image(&at("images/deep/top.qcow2"), 4096, "../middle.qcow2", "qcow2");
    assert!(refusal(&top).contains("outside"));
}

#[test]
fn chains_that_go_round_or_are_not_named_properly_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    image(&at("a"), 4096, "b", "qcow2");
    image(&at("b"), 4096, "a", "qcow2");
    assert!(refusal(&at("a")).contains("is above it already"));
    image(&at("a"), 4096, "a", "qcow2");
    assert!(refusal(&at("a")).contains("is above it already"));
    for n in 0..70 {
        image(&at(&format!("n{n}")), 4096, &format!("n{}", n + 1), "qcow2");
    }
    assert!(refusal(&at("n0")).contains("below too many others"));
    fs::write(at("raw"), [0; 4096]).expect("a file");
    for (name, format, message) in [
        ("raw", "", "a format that the image does not name"),
        ("raw", "vmdk", "neither raw nor qcow2"),
        ("raw", "qcow2", "not a qcow2 image"),
        ("nbd://host/raw", "raw", "not the name of a file"),
        ("json:{\"file.filename\":\"raw\"}", "raw", "not the name of a file"),
        ("absent", "raw", "absent"),
        (".", "raw", "not a regular file"),
        ("r\na", "raw", "no text"),
    ] {
        let top = image(&at("top"), 4096, name, format);
        assert!(refusal(&top).contains(message), "{name}, {format}: {}", refusal(&top));
    }
}

#[test]
fn an_image_is_what_it_is_by_its_content_whatever_its_format() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("image");
    let kind = |options: &ImageOptions| ImageKind::of_image(options);
    fs::write(&path, blank(Shape { size: 1_474_560, ..SHAPE })).expect("a file");
    assert_eq!(kind(&ImageOptions::new(&path)).expect("a size of floppies"), ImageKind::Floppy);
    let raw = ImageOptions { format: Some(Format::Raw), ..ImageOptions::new(&path) };
    assert!(matches!(kind(&raw), Err(ImageError::Unknown { .. })), "the file's own bytes are nothing");
    fs::write(&path, blank(Shape { size: 1 << 20, ..SHAPE })).expect("a file");
    assert!(matches!(kind(&ImageOptions::new(&path)), Err(ImageError::Unknown { .. })));
    let mut sector = [0; 512];
    sector[510..].copy_from_slice(&[0x55, 0xAA]);
    disk(&path).expect("a disk").write(0, &sector).expect("there is room");
    assert_eq!(kind(&ImageOptions::new(&path)).expect("it has a boot sector"), ImageKind::Disk);
    let mut sector = [0; 1024];
    sector[0x202..0x206].copy_from_slice(b"HdrS");
    disk(&path).expect("a disk").write(0, &sector).expect("there is room");
    assert!(
        matches!(kind(&ImageOptions::new(&path)), Err(ImageError::Unknown { .. })),
        "no kernel is loaded from it"
    );
}

#[test]
fn a_guest_cannot_make_its_raw_image_name_other_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("disk.img");
    fs::write(&path, [0; 4096]).expect("a file");
    let mut raw = disk(&path).expect("an image");
    assert_eq!(raw.write(0, b"QFI\xFB\0\0\0\x03"), Err(MediumError::Failed));
    raw.write(0, b"QF").expect("that is no image yet");
    assert_eq!(raw.write(2, b"I\xFB"), Err(MediumError::Failed));
    raw.write(4, b"QFI\xFB").expect("that is not the start");
    drop(raw);
    let said = ImageOptions { format: Some(Format::Raw), ..ImageOptions::new(&path) };
    open(&said, ImageKind::Disk)
        .expect("an image")
        .write(0, b"QFI\xFB")
        .expect("it remains raw for this user");
    assert_eq!(fs::read(&path).expect("a file")[..8], *b"QFI\xFBQFI\xFB");
}
