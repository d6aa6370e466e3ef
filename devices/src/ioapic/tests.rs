use super::*;
use crate::apic::Destination;
use crate::irq::IrqBank;
use crate::state::Snapshot;
use AccessSize::{Byte, Dword};

const NOW: GuestTime = GuestTime::ZERO;
const MASKED: u32 = 0x1_0000;
const LEVEL: u32 = 0x8000;

struct Board {
    bank: IrqBank,
    apic: IoApic,
}

impl Board {
    fn new() -> Self {
        let bank = IrqBank::new();
        Board { apic: IoApic::new(bank.inputs(1)), bank }
    }

    fn write(&mut self, register: u8, value: u32) {
        self.apic.write_memory(0x00, Dword, u32::from(register), NOW).expect("select");
        self.apic.write_memory(0x10, Dword, value, NOW).expect("window");
    }

    fn read(&mut self, register: u8) -> u32 {
        self.apic.write_memory(0x00, Dword, u32::from(register), NOW).expect("select");
        self.apic.read_memory(0x10, Dword, NOW).expect("window")
    }

    /// Programs a redirection entry for physical destination 0.
    fn redirect(&mut self, pin: u8, low: u32) {
        self.write(0x11 + 2 * pin, 0);
        self.write(0x10 + 2 * pin, low);
    }

    fn low(&mut self, pin: u8) -> u32 {
        self.read(0x10 + 2 * pin)
    }

    /// The vectors of what is delivered to local APICs that accept everything.
    fn delivered(&mut self) -> Vec<u8> {
        let mut vectors = Vec::new();
        self.apic.deliver(|message| {
            vectors.push(message.vector);
            true
        });
        vectors
    }

    fn set(&self, line: u8, high: bool) {
        self.bank.line(line).set(high);
    }
}

#[test]
fn after_reset_all_entries_are_masked() {
    let mut board = Board::new();
    for pin in 0..24 {
        assert_eq!((board.low(pin), board.read(0x11 + 2 * pin)), (MASKED, 0));
    }
    board.set(5, true);
    assert_eq!(board.delivered(), []);
}

#[test]
fn reset_masks_the_table_and_forgets_edges() {
    let mut board = Board::new();
    board.redirect(5, 0x55);
    board.write(0, 0x0700_0000);
    board.set(5, true);
    board.apic.reset();
    assert_eq!((board.read(0), board.low(5)), (0, MASKED));
    board.redirect(5, 0x55);
    assert_eq!(board.delivered(), [], "asserted before the reset");
}

#[test]
fn version_11h_has_24_entries() {
    let mut board = Board::new();
    assert_eq!(board.read(1), 0x0017_0011);
    board.write(1, 0);
    assert_eq!(board.read(1), 0x0017_0011);
}

#[test]
fn the_id_has_four_bits_and_is_the_arbitration_id() {
    let mut board = Board::new();
    board.write(0, 0xFFFF_FFFF);
    assert_eq!([board.read(0), board.read(2)], [0x0F00_0000, 0x0F00_0000]);
}

#[test]
fn registers_beyond_the_table_read_as_zero() {
    let mut board = Board::new();
    for register in [0x03, 0x0F, 0x40, 0xFF] {
        board.write(register, 0xFFFF_FFFF);
        assert_eq!(board.read(register), 0);
    }
}

#[test]
fn an_edge_is_delivered_once_per_rise() {
    let mut board = Board::new();
    board.redirect(4, 0x34);
    board.set(4, true);
    assert_eq!((board.delivered(), board.delivered()), (vec![0x34], vec![]));
    board.set(4, false);
    board.set(4, true);
    board.set(4, false);
    assert_eq!(board.delivered(), [0x34], "even if the line is low again");
}

#[test]
fn an_edge_at_a_masked_input_is_not_held() {
    let mut board = Board::new();
    board.redirect(4, MASKED | 0x34);
    board.set(4, true);
    board.redirect(4, 0x34);
    assert_eq!(board.delivered(), []);
}

#[test]
fn a_level_is_delivered_again_after_eoi_while_it_lasts() {
    let mut board = Board::new();
    board.redirect(16, LEVEL | 0x61);
    board.set(16, true);
    assert_eq!((board.delivered(), board.delivered(), board.low(16)), (vec![0x61], vec![], 0xC061));
    board.apic.end_of_interrupt(0x62);
    assert_eq!(board.delivered(), []);
    board.apic.end_of_interrupt(0x61);
    assert_eq!(board.low(16), 0x8061);
    assert_eq!(board.delivered(), [0x61]);
    board.set(16, false);
    board.apic.end_of_interrupt(0x61);
    assert_eq!(board.delivered(), []);
}

#[test]
fn a_level_asserted_while_masked_is_delivered_when_unmasked() {
    let mut board = Board::new();
    board.redirect(16, MASKED | LEVEL | 0x61);
    board.set(16, true);
    assert_eq!(board.delivered(), []);
    board.redirect(16, LEVEL | 0x61);
    assert_eq!(board.delivered(), [0x61]);
}

#[test]
fn remote_irr_cannot_be_written_and_clears_when_the_entry_becomes_edge_triggered() {
    let mut board = Board::new();
    board.redirect(16, LEVEL | 0x4061);
    assert_eq!(board.low(16), 0x8061);
    board.set(16, true);
    board.delivered();
    board.redirect(16, MASKED | LEVEL | 0x61);
    assert_eq!(board.low(16), 0x1_C061);
    board.redirect(16, MASKED | 0x61);
    board.redirect(16, LEVEL | 0x61);
    assert_eq!(board.delivered(), [0x61]);
}

#[test]
fn what_no_local_apic_accepts_stays_pending() {
    let mut board = Board::new();
    board.redirect(4, 0x34);
    board.redirect(16, LEVEL | 0x61);
    board.set(4, true);
    board.set(16, true);
    let mut offered = 0;
    board.apic.deliver(|_| {
        offered += 1;
        false
    });
    assert_eq!((offered, board.low(4), board.low(16)), (2, 0x1034, 0x8061), "delivery status: send pending");
    assert_eq!(board.delivered(), [0x34, 0x61]);
    assert_eq!(board.low(4), 0x34);
}

#[test]
fn the_timer_drives_input_2_and_the_8259a_input_0() {
    let mut board = Board::new();
    board.redirect(2, 0x30);
    board.redirect(0, 0x31);
    board.set(0, true);
    assert_eq!(board.delivered(), [0x30]);
    board.apic.set_pic_output(true);
    assert_eq!(board.delivered(), [0x31]);
}

#[test]
fn an_ext_int_input_asks_as_long_as_the_8259a_does() {
    let mut board = Board::new();
    board.redirect(0, 0x700);
    board.apic.set_pic_output(true);
    let mut modes = Vec::new();
    for _ in 0..2 {
        board.apic.deliver(|message| {
            modes.push(message.delivery);
            true
        });
    }
    board.apic.set_pic_output(false);
    board.apic.deliver(|_| panic!("nothing to deliver"));
    assert_eq!(modes, [DeliveryMode::ExtInt, DeliveryMode::ExtInt]);
}

#[test]
fn an_nmi_is_an_edge_whatever_the_trigger_mode_says() {
    let mut board = Board::new();
    board.redirect(5, LEVEL | 0x400);
    board.set(5, true);
    assert_eq!((board.delivered().len(), board.delivered().len(), board.low(5)), (1, 0, 0x8400));
}

#[test]
fn reserved_delivery_modes_send_nothing() {
    let mut board = Board::new();
    for mode in [3, 6] {
        board.redirect(5, mode << 8 | 0x55);
        board.set(5, true);
        assert_eq!(board.delivered(), []);
        board.set(5, false);
    }
}

#[test]
fn the_destination_is_physical_or_logical() {
    let mut board = Board::new();
    for (low, destination) in [(0x55, Destination::Physical(0xA5)), (0x855, Destination::Logical(0xA5))] {
        board.write(0x1A, low);
        board.write(0x1B, 0xA500_0000);
        board.set(5, true);
        let mut seen = None;
        board.apic.deliver(|message| {
            seen = Some(message.destination);
            true
        });
        assert_eq!(seen, Some(destination));
        board.set(5, false);
    }
}

#[test]
fn the_window_takes_double_words_only() {
    let mut board = Board::new();
    assert_eq!(board.apic.write_memory(0x10, Byte, 0, NOW), Err(IoError::WrongSize));
    assert_eq!(board.apic.read_memory(0x14, Dword, NOW), Err(IoError::WrongSize));
    assert_eq!(board.apic.read_memory(0x20, Dword, NOW), Err(IoError::NoSuchRegister));
    assert_eq!(board.apic.write_memory(0x00, Byte, 1, NOW), Ok(()));
    assert_eq!(board.apic.read_memory(0x10, Dword, NOW), Ok(0x0017_0011));
}

#[test]
fn a_message_goes_to_the_local_apic_and_its_end_comes_back() {
    use crate::lapic::{Acknowledged, Lapic};
    use crate::time::Frequency;
    let mut board = Board::new();
    let mut local = Lapic::new(0, Frequency::ratio(100_000_000, 1));
    local.write_memory(0xF0, Dword, 0x1FF, NOW).expect("enable");
    board.redirect(16, LEVEL | 0x61);
    board.set(16, true);
    for _ in 0..2 {
        board.apic.deliver(|message| local.receive(message));
        assert_eq!(local.acknowledge(), Acknowledged::Vector(0x61));
        local.write_memory(0xB0, Dword, 0, NOW).expect("end of interrupt");
        assert!(!local.interrupt_output());
        let ended = local.take_end_of_interrupt().expect("a level triggered interrupt");
        board.apic.end_of_interrupt(ended);
    }
}

#[test]
fn restore_refuses_impossible_entries() {
    let mut board = Board::new();
    let state = board.apic.save();
    board.apic.table[3] = Redirection(1 << 40);
    let hostile = board.apic.save();
    assert!(board.apic.restore(hostile).is_err());
    assert!(board.apic.restore(state).is_ok());
}

crate::conformance::suite!(
    Subject::new(|bank| IoApic::new(bank.inputs(1)))
        .watches_lines()
        .memory(0x20)
        .action(|apic, random, now| {
            let (register, value) = (0x10 + random.below(48) as u32, random.next() as u32 & !MASKED);
            apic.write_memory(0x00, Dword, register, now).expect("select");
            apic.write_memory(0x10, Dword, value, now).expect("window");
            u64::from(apic.read_memory(0x10, Dword, now).expect("window"))
        })
        .action(|apic, random, _| {
            let mut seen = 0;
            apic.deliver(|message| {
                seen = (seen * 3 + u64::from(message.vector)) & 0xFFFF_FFFF;
                random.one_in(2)
            });
            seen
        })
        .action(|apic, random, _| {
            apic.set_pic_output(random.one_in(2));
            apic.end_of_interrupt(random.next() as u8);
            0
        })
);
