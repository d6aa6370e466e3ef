use super::*;
use AccessSize::{Byte, Dword, Word};

const NOW: GuestTime = GuestTime::ZERO;
const STRUCTURE: u64 = 0x100;
const BUFFER: u64 = 0x400;

struct Board {
    config: FwCfg,
    memory: Vec<u8>,
}

impl Board {
    fn new() -> Self {
        let mut config = FwCfg::new();
        config.set(Key::RAM_SIZE, (64_u64 << 20).to_le_bytes());
        config.set_file("bootorder", *b"/pci/ide\n\0").expect("a good name");
        config.set_writable_file("etc/vmgenid", [0; 8]).expect("a good name");
        Board { config, memory: vec![0xCC; 0x1000] }
    }

    fn select(&mut self, key: u16) {
        self.config.write_port(0, Word, u32::from(key), NOW).expect("the selector");
    }

    fn read(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.config.read_port(1, Byte, NOW).expect("the data register") as u8).collect()
    }

    /// Performs a DMA access and returns the control field it leaves.
    fn dma(&mut self, control: u32, length: u32, address: u64) -> u32 {
        let at = STRUCTURE as usize;
        self.memory[at..at + 4].copy_from_slice(&control.to_be_bytes());
        self.memory[at + 4..at + 8].copy_from_slice(&length.to_be_bytes());
        self.memory[at + 8..at + 16].copy_from_slice(&address.to_be_bytes());
        self.config.write_port(4, Dword, 0, NOW).expect("the high half");
        assert!(!self.config.dma_pending());
        self.config.write_port(8, Dword, (STRUCTURE as u32).swap_bytes(), NOW).expect("the low half");
        while self.config.dma_pending() {
            self.config.run_dma(&mut self.memory);
        }
        let [a, b, c, d, ..] = self.memory[at..] else { unreachable!("the memory is longer") };
        u32::from_be_bytes([a, b, c, d])
    }

    fn file_key(&mut self, wanted: &str) -> u16 {
        self.select(0x19);
        let count = u32::from_be_bytes(self.read(4).try_into().expect("four bytes"));
        for _ in 0..count {
            let entry = self.read(64);
            let name = entry[8..].split(|byte| *byte == 0).next().expect("a name");
            if name == wanted.as_bytes() {
                return u16::from_be_bytes([entry[4], entry[5]]);
            }
        }
        panic!("no file {wanted:?}");
    }

    fn buffer(&self, length: usize) -> &[u8] {
        &self.memory[BUFFER as usize..][..length]
    }
}

#[test]
fn the_signature_and_features_tell_that_the_interface_is_there() {
    let mut board = Board::new();
    board.select(0x00);
    assert_eq!(board.read(4), b"QEMU");
    board.select(0x01);
    assert_eq!(board.read(4), [3, 0, 0, 0]);
}

#[test]
fn selecting_rewinds_and_reading_beyond_the_end_gives_zeros() {
    let mut board = Board::new();
    board.select(0x03);
    assert_eq!(board.read(10), [0, 0, 0, 4, 0, 0, 0, 0, 0, 0]);
    board.select(0x03);
    assert_eq!(board.read(4), [0, 0, 0, 4]);
    board.select(0x1234);
    assert_eq!(board.read(2), [0, 0], "no such item");
}

#[test]
fn the_directory_names_files_with_size_and_key_in_big_endian() {
    let mut board = Board::new();
    board.select(0x19);
    assert_eq!(board.read(4), [0, 0, 0, 2]);
    let entry = board.read(64);
    assert_eq!(entry[..8], [0, 0, 0, 10, 0, 0x20, 0, 0]);
    assert_eq!(&entry[8..18], b"bootorder\0");
    let key = board.file_key("bootorder");
    board.select(key);
    assert_eq!(board.read(10), b"/pci/ide\n\0");
}

#[test]
fn replacing_a_file_keeps_its_key_and_updates_the_directory() {
    let mut board = Board::new();
    let before = board.file_key("bootorder");
    board.config.set_file("bootorder", *b"new").expect("a good name");
    assert_eq!(board.file_key("bootorder"), before);
    assert_eq!(board.config.file("bootorder"), Some(&b"new"[..]));
}

#[test]
fn file_names_fit_the_directory() {
    let mut config = FwCfg::new();
    assert!(config.set_file(&"n".repeat(55), []).is_ok());
    for name in ["", "a\0b", &"n".repeat(56)] {
        assert_eq!(config.set_file(name, []), Err(FileError::Name(name.to_owned())));
    }
}

#[test]
fn the_memory_map_is_packed_in_entries_of_20_bytes() {
    let mut config = FwCfg::new();
    let ranges = [
        MemoryRange { address: 0, length: 0xA_0000, kind: 1 },
        MemoryRange { address: 0xFFFC_0000, length: 0x4_0000, kind: 2 },
    ];
    config.set_memory_map(&ranges).expect("a good name");
    let file = config.file("etc/e820").expect("the file");
    assert_eq!(file.len(), 40);
    assert_eq!(file[20..], [0, 0, 0xFC, 0xFF, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 2, 0, 0, 0]);
}

#[test]
fn the_dma_address_register_reads_as_a_signature() {
    let mut board = Board::new();
    let read = |board: &mut Board, offset| board.config.read_port(offset, Dword, NOW).expect("a double word");
    assert_eq!(read(&mut board, 4).to_le_bytes(), *b"QEMU");
    assert_eq!(read(&mut board, 8).to_le_bytes(), *b" CFG");
}

#[test]
fn dma_selects_and_reads_in_one_access() {
    let mut board = Board::new();
    assert_eq!(board.dma(1 << 3 | 1 << 1, 4, BUFFER), 0);
    assert_eq!(board.buffer(5), b"QEMU\xCC");
}

#[test]
fn dma_goes_on_where_the_last_access_ended_and_can_skip() {
    let mut board = Board::new();
    let key = u32::from(board.file_key("bootorder"));
    assert_eq!(board.dma(key << 16 | 1 << 3 | 1 << 2, 1, 0), 0);
    assert_eq!(board.dma(1 << 1, 3, BUFFER), 0);
    assert_eq!(board.buffer(3), b"pci");
    assert_eq!(board.dma(1 << 1, 8, BUFFER), 0);
    assert_eq!(board.buffer(9), b"/ide\n\0\0\0\xCC");
}

#[test]
fn dma_writes_only_writable_files_and_only_within_them() {
    let mut board = Board::new();
    board.memory[BUFFER as usize..][..8].copy_from_slice(b"GENERATE");
    let key = u32::from(board.file_key("etc/vmgenid"));
    assert_eq!(board.dma(key << 16 | 1 << 3 | 1 << 4, 8, BUFFER), 0);
    assert_eq!(board.config.file("etc/vmgenid"), Some(&b"GENERATE"[..]));
    assert_eq!(board.dma(1 << 4, 1, BUFFER), 1, "beyond the end");
    let read_only = u32::from(board.file_key("bootorder"));
    assert_eq!(board.dma(read_only << 16 | 1 << 3 | 1 << 4, 1, BUFFER), 1);
    assert_eq!(board.dma(0x7777 << 16 | 1 << 3 | 1 << 4, 1, BUFFER), 1, "no such item");
}

#[test]
fn a_long_dma_access_is_done_in_bounded_slices() {
    let mut board = Board::new();
    board.memory[STRUCTURE as usize..][..16]
        .copy_from_slice(&[0, 0, 0, 0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0, 0, 0x10, 0, 0]);
    board.config.write_port(8, Dword, (STRUCTURE as u32).swap_bytes(), NOW).expect("the low half");
    board.config.run_dma(&mut board.memory);
    assert!(board.config.dma_pending());
    board.config.reset();
    assert!(!board.config.dma_pending());
}

#[test]
fn accesses_of_other_widths_are_refused() {
    let mut board = Board::new();
    for (offset, size) in [(0, Byte), (0, Dword), (4, Byte), (8, Word)] {
        assert_eq!(board.config.write_port(offset, size, 0, NOW), Err(IoError::WrongSize));
    }
    assert_eq!(board.config.read_port(1, Word, NOW), Err(IoError::WrongSize));
}

#[test]
fn restore_refuses_the_files_of_another_machine() {
    use crate::state::Snapshot;
    let board = Board::new();
    let mut other = FwCfg::new();
    assert!(other.restore(board.config.save()).is_err());
    other.set_writable_file("etc/vmgenid", [0; 4]).expect("a good name");
    assert!(other.restore(board.config.save()).is_err());
    other.set_writable_file("etc/vmgenid", [1; 8]).expect("a good name");
    assert!(other.restore(board.config.save()).is_ok());
    assert_eq!(other.file("etc/vmgenid"), Some(&[0; 8][..]));
}

crate::conformance::suite!(
    Subject::new(|_| Board::new().config)
        .ports(12)
        .action(|config, random, now| {
            let known = [0x00, 0x03, 0x19, 0x20, 0x21];
            let selector = known[random.below(5) as usize];
            config.write_port(0, Word, selector, now).expect("the selector");
            u64::from(selector)
        })
        .action(|config, random, now| {
            // An access structure that mostly makes sense, in a memory of its own.
            let mut memory = vec![0; 0x1000];
            let control = random.below(2) * 0x0021_0000 + random.below(0x20);
            let structure = [control << 32 | random.below(10), random.below(0x1000)].map(u64::to_be_bytes);
            memory[..16].copy_from_slice(structure.as_flattened());
            memory[16..24].copy_from_slice(&random.next().to_be_bytes());
            config.write_port(8, Dword, 0, now).expect("the low half");
            for _ in 0..random.below(3) {
                config.run_dma(&mut memory);
            }
            memory.iter().fold(0, |sum, byte| sum + u64::from(*byte))
        })
);
