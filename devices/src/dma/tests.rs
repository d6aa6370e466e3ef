use super::*;
use AccessSize::Byte;

const NOW: GuestTime = GuestTime::ZERO;

/// Requests while it has bytes to give or room to take; records what it saw.
#[derive(Default)]
struct Peripheral {
    wants: usize,
    gives: u16,
    taken: Vec<u16>,
    verified: usize,
    ends: usize,
    drops_request_at_tc: bool,
}

impl DmaPeripheral for Peripheral {
    fn dma_request(&self) -> bool {
        self.wants > 0
    }
    fn dma_read(&mut self, _: GuestTime) -> u16 {
        self.wants = self.wants.saturating_sub(1);
        self.gives = self.gives.wrapping_add(1);
        self.gives
    }
    fn dma_write(&mut self, unit: u16, _: GuestTime) {
        self.wants = self.wants.saturating_sub(1);
        self.taken.push(unit);
    }
    fn dma_verify(&mut self, _: GuestTime) {
        self.wants = self.wants.saturating_sub(1);
        self.verified += 1;
    }
    fn dma_terminal_count(&mut self, _: GuestTime) {
        self.ends += 1;
        if self.drops_request_at_tc {
            self.wants = 0;
        }
    }
}

fn wanting(units: usize) -> Peripheral {
    Peripheral { wants: units, drops_request_at_tc: true, ..Peripheral::default() }
}

struct Board {
    dma: Dma,
    memory: Vec<u8>,
}

const SINGLE_WRITE: u8 = 0x44;
const SINGLE_READ: u8 = 0x48;
const DEMAND_WRITE: u8 = 0x04;
const BLOCK_WRITE: u8 = 0x84;
const AUTOINITIALIZE: u8 = 0x10;
const DECREMENT: u8 = 0x20;

impl Board {
    /// Both controllers cleared and channel 4 cascading, as a BIOS leaves them.
    fn new() -> Self {
        let mut board = Board { dma: Dma::new(), memory: vec![0; 0x10_0000] };
        board.out(0xD6, 0xC0);
        board.out(0xD4, 0x00);
        board
    }

    fn out(&mut self, port: u16, value: u8) {
        let offset = Dma::PORTS.iter().find_map(|r| r.offset_of(port)).expect("a DMA port");
        self.dma.write_port(offset, Byte, u32::from(value), NOW).expect("a writable register");
    }

    fn inp(&mut self, port: u16) -> u8 {
        let offset = Dma::PORTS.iter().find_map(|r| r.offset_of(port)).expect("a DMA port");
        self.dma.read_port(offset, Byte, NOW).expect("a readable register") as u8
    }

    /// Programs and unmasks `channel` as drivers do.
    fn program(&mut self, channel: u8, mode: u8, page: u8, address: u16, count: u16) {
        let (base, step) = if channel < 4 { (0x00, 1) } else { (0xC0, 2) };
        let inner = channel & 3;
        let port = |register: u8| base + u16::from(register) * step;
        self.out(port(0xC), 0);
        for (register, value) in [(inner * 2, address), (inner * 2 + 1, count)] {
            self.out(port(register), value as u8);
            self.out(port(register), (value >> 8) as u8);
        }
        self.out(port(0xB), mode | inner);
        self.out([0x87, 0x83, 0x81, 0x82, 0x8F, 0x8B, 0x89, 0x8A][usize::from(channel)], page);
        self.out(port(0xA), inner);
    }

    fn service(&mut self, channel: u8, peripheral: &mut Peripheral) -> Serviced {
        self.dma.service(channel, peripheral, &mut self.memory, NOW)
    }
}

#[test]
fn count_register_holds_one_less_than_the_transfers() {
    let mut board = Board::new();
    board.program(2, SINGLE_WRITE, 0x01, 0x2000, 511);
    let mut floppy = wanting(1000);
    assert_eq!(board.service(2, &mut floppy), Serviced { units: 512, terminal_count: true });
    assert_eq!((floppy.ends, board.memory[0x1_2000], board.memory[0x1_21FF]), (1, 1, 0));
    assert_eq!(board.memory[0x1_21FE], 0xFF);
    assert_eq!(board.memory[0x1_2200], 0);
}

#[test]
fn terminal_count_masks_the_channel_and_sets_its_status_bit_until_read() {
    let mut board = Board::new();
    board.program(2, SINGLE_WRITE, 0, 0x1000, 0);
    assert_eq!(board.service(2, &mut wanting(1)).units, 1);
    assert_eq!(board.inp(0x08), 0x04);
    assert_eq!(board.inp(0x08), 0x00);
    let mut more = wanting(1);
    assert_eq!(board.service(2, &mut more), Serviced::default());
    assert_eq!(board.inp(0x08), 0x40, "the request stays pending");
}

#[test]
fn demand_mode_stops_and_resumes_with_dreq() {
    let mut board = Board::new();
    board.program(1, DEMAND_WRITE, 0, 0x1000, 9);
    let mut device = wanting(4);
    assert_eq!(board.service(1, &mut device), Serviced { units: 4, terminal_count: false });
    device.wants = 100;
    assert_eq!(board.service(1, &mut device), Serviced { units: 6, terminal_count: true });
    assert_eq!(board.memory[0x1000..0x100B], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0]);
}

#[test]
fn block_mode_goes_on_to_terminal_count_without_dreq() {
    let mut board = Board::new();
    board.program(1, BLOCK_WRITE, 0, 0x1000, 9);
    assert_eq!(board.service(1, &mut wanting(1)), Serviced { units: 10, terminal_count: true });
    board.program(1, BLOCK_WRITE, 0, 0x1000, 0xFFFF);
    assert_eq!(board.service(1, &mut wanting(1)), Serviced { units: 0x1_0000, terminal_count: true });
}

#[test]
fn autoinitialize_reloads_the_base_registers_and_leaves_the_channel_unmasked() {
    let mut board = Board::new();
    board.program(1, SINGLE_READ | AUTOINITIALIZE, 0, 0x1000, 2);
    board.memory[0x1000..0x1003].copy_from_slice(&[7, 8, 9]);
    let mut sound = Peripheral { wants: 7, ..Peripheral::default() };
    assert_eq!(board.service(1, &mut sound), Serviced { units: 7, terminal_count: true });
    assert_eq!((&sound.taken[..], sound.ends), (&[7, 8, 9, 7, 8, 9, 7][..], 2));
    board.out(0x0C, 0);
    assert_eq!([board.inp(2), board.inp(2), board.inp(3), board.inp(3)], [0x01, 0x10, 0x01, 0x00]);
}

#[test]
fn a_request_that_never_drops_is_served_a_full_count_at_a_time() {
    let mut board = Board::new();
    board.program(1, SINGLE_WRITE | AUTOINITIALIZE, 0, 0, 0);
    let mut device = Peripheral { wants: usize::MAX, ..Peripheral::default() };
    assert_eq!(board.service(1, &mut device).units, 0x1_0000);
}

#[test]
fn address_decrement_fills_memory_downwards() {
    let mut board = Board::new();
    board.program(3, SINGLE_WRITE | DECREMENT, 0, 0x1002, 2);
    board.service(3, &mut wanting(3));
    assert_eq!(board.memory[0x0FFF..0x1004], [0, 3, 2, 1, 0]);
}

#[test]
fn the_address_counter_wraps_within_its_64_kib_page() {
    let mut board = Board::new();
    board.program(2, SINGLE_WRITE, 0x02, 0xFFFF, 1);
    board.service(2, &mut wanting(2));
    assert_eq!((board.memory[0x2_FFFF], board.memory[0x2_0000], board.memory[0x3_0000]), (1, 2, 0));
}

#[test]
fn word_channels_shift_the_address_and_ignore_page_bit_0() {
    let mut board = Board::new();
    board.program(5, SINGLE_WRITE, 0x03, 0x8800, 1);
    let mut device = Peripheral { wants: 2, gives: 0x1233, ..Peripheral::default() };
    assert_eq!(board.service(5, &mut device), Serviced { units: 2, terminal_count: true });
    assert_eq!(board.memory[0x3_1000..0x3_1004], [0x34, 0x12, 0x35, 0x12]);
    assert_eq!(board.inp(0xD0), 0x02);
}

#[test]
fn word_channels_read_memory_as_little_endian_words() {
    let mut board = Board::new();
    board.program(6, SINGLE_READ, 0x00, 0x0800, 0);
    board.memory[0x1000..0x1002].copy_from_slice(&[0xCD, 0xAB]);
    let mut device = wanting(1);
    board.service(6, &mut device);
    assert_eq!(device.taken, [0xABCD]);
}

#[test]
fn verify_counts_and_ends_without_touching_memory() {
    let mut board = Board::new();
    board.program(2, 0x40, 0, 0x1000, 3);
    let mut floppy = wanting(10);
    assert_eq!(board.service(2, &mut floppy), Serviced { units: 4, terminal_count: true });
    assert_eq!((floppy.verified, floppy.ends), (4, 1));
    assert!(board.memory.iter().all(|byte| *byte == 0));
}

#[test]
fn the_flip_flop_orders_bytes_and_software_clears_it() {
    let mut board = Board::new();
    board.out(0x0C, 0);
    board.out(0x04, 0x34);
    board.out(0x04, 0x12);
    assert_eq!([board.inp(0x04), board.inp(0x04)], [0x34, 0x12]);
    assert_eq!(board.inp(0x04), 0x34);
    board.out(0x0C, 0);
    assert_eq!(board.inp(0x04), 0x34);
}

#[test]
fn master_clear_masks_everything_and_clears_command_status_and_flip_flop() {
    let mut board = Board::new();
    board.program(2, SINGLE_WRITE, 0, 0x1000, 0);
    board.service(2, &mut wanting(1));
    board.out(0x08, 0x04);
    board.out(0x04, 0);
    board.out(0x0D, 0);
    assert_eq!(board.inp(0x08), 0);
    board.out(0x0E, 0);
    board.out(0x04, 0x78);
    board.out(0x04, 0x56);
    assert_eq!([board.inp(0x04), board.inp(0x04)], [0x78, 0x56]);
    assert_eq!(board.service(2, &mut wanting(1)).units, 1, "the command register enables again");
}

#[test]
fn a_disabled_controller_or_a_masked_channel_serves_nobody() {
    let mut board = Board::new();
    board.program(1, SINGLE_WRITE, 0, 0x1000, 10);
    board.out(0x08, 0x04);
    assert_eq!(board.service(1, &mut wanting(1)).units, 0);
    board.out(0x08, 0x00);
    board.out(0x0A, 0x05);
    assert_eq!(board.service(1, &mut wanting(1)).units, 0);
    board.out(0x0F, 0x0D);
    assert_eq!(board.service(1, &mut wanting(1)).units, 1);
}

#[test]
fn byte_channels_need_channel_4_to_cascade() {
    let mut board = Board::new();
    board.program(1, SINGLE_WRITE, 0, 0x1000, 10);
    board.out(0xD4, 0x04);
    assert_eq!(board.service(1, &mut wanting(1)).units, 0, "channel 4 is masked");
    board.out(0xD4, 0x00);
    board.out(0xD6, 0x40);
    assert_eq!(board.service(1, &mut wanting(1)).units, 0, "channel 4 does not cascade");
    board.out(0xD6, 0xC0);
    assert_eq!(board.service(4, &mut wanting(1)).units, 0, "a cascade channel transfers nothing");
    assert_eq!(board.service(1, &mut wanting(1)).units, 1);
}

#[test]
fn a_software_request_is_not_maskable_and_ends_with_terminal_count() {
    let mut board = Board::new();
    board.program(3, BLOCK_WRITE, 0, 0x1000, 3);
    board.out(0x0A, 0x07);
    board.out(0x09, 0x07);
    assert_eq!(board.dma.software_requests(), 0x08);
    let served = board.dma.service(3, &mut NoPeripheral, &mut board.memory, NOW);
    assert_eq!(served, Serviced { units: 4, terminal_count: true });
    assert_eq!(board.memory[0x1000..0x1005], [0xFF, 0xFF, 0xFF, 0xFF, 0]);
    assert_eq!(board.dma.software_requests(), 0);
}

#[test]
fn memory_to_memory_copies_through_the_temporary_register() {
    let mut board = Board::new();
    board.memory[0x2_1000..0x2_1004].copy_from_slice(&[1, 2, 3, 4]);
    board.program(0, 0x88, 0x02, 0x1000, 3);
    board.program(1, 0x84, 0x03, 0x5000, 3);
    board.out(0x08, 0x01);
    assert!(!board.dma.memory_to_memory_requested());
    board.out(0x09, 0x04);
    assert_eq!(board.dma.software_requests(), 0);
    assert!(board.dma.memory_to_memory_requested());
    board.dma.copy_memory_to_memory(&mut board.memory);
    assert_eq!(board.memory[0x3_5000..0x3_5005], [1, 2, 3, 4, 0]);
    assert_eq!(board.inp(0x0D), 4);
    assert_eq!(board.inp(0x08), 0x02);
    assert!(!board.dma.memory_to_memory_requested());
}

#[test]
fn channel_0_address_hold_fills_a_block() {
    let mut board = Board::new();
    board.memory[0x1000] = 0xA5;
    board.program(0, 0x88, 0, 0x1000, 3);
    board.program(1, 0x84, 0, 0x5000, 3);
    board.out(0x08, 0x03);
    board.out(0x09, 0x04);
    board.dma.copy_memory_to_memory(&mut board.memory);
    assert_eq!(board.memory[0x5000..0x5005], [0xA5, 0xA5, 0xA5, 0xA5, 0]);
}

#[test]
fn page_registers_read_back_and_survive_reset() {
    let mut board = Board::new();
    for port in 0x81..=0x8F {
        board.out(port, port as u8 ^ 0x55);
    }
    board.dma.reset();
    for port in 0x81..=0x8F {
        assert_eq!(board.inp(port), port as u8 ^ 0x55);
    }
}

#[test]
fn a_channel_number_above_7_is_connected_to_nothing() {
    assert_eq!(Board::new().service(8, &mut wanting(1)), Serviced::default());
}

crate::conformance::suite!(
    Subject::new(|_| {
        let mut board = Board::new();
        board.out(0x0E, 0);
        board.dma
    })
    .ports(0x40)
    .action(|dma, random, now| {
        let mut device = Peripheral { wants: random.below(1000) as usize, ..Peripheral::default() };
        let mut memory = vec![0x5A; 0x1000];
        let served = dma.service(random.below(9) as u8, &mut device, &mut memory, now);
        device.taken.iter().fold(u64::from(served.units), |sum, unit| sum.rotate_left(5) ^ u64::from(*unit))
    })
    .action(|dma, _, _| {
        let mut memory = vec![0x5A; 0x1000];
        dma.copy_memory_to_memory(&mut memory);
        u64::from(dma.software_requests())
    })
);
