use super::*;
use crate::irq::IrqBank;
use crate::state::Snapshot;
use AccessSize::Byte;
use offset::*;

const NOW: GuestTime = GuestTime::ZERO;

struct Board {
    bank: IrqBank,
    pic: Pic,
}

impl Board {
    /// Initialized as a PC BIOS does, vectors 08h and 70h, then all unmasked.
    fn new() -> Self {
        Self::with_icw4(0x01, 0x01)
    }

    fn with_icw4(master: u8, slave: u8) -> Self {
        let mut board = Self::uninitialized();
        board.write(MASTER_COMMAND, &[0x11]);
        board.write(MASTER_DATA, &[0x08, 0x04, master]);
        board.write(SLAVE_COMMAND, &[0x11]);
        board.write(SLAVE_DATA, &[0x70, 0x02, slave]);
        board
    }

    fn uninitialized() -> Self {
        let bank = IrqBank::new();
        Board { pic: Pic::new(bank.inputs(0)), bank }
    }

    fn write(&mut self, offset: u16, values: &[u8]) {
        for value in values {
            self.pic.write_port(offset, Byte, u32::from(*value), NOW).expect("a PIC register");
        }
    }

    fn read(&mut self, offset: u16) -> u8 {
        self.pic.read_port(offset, Byte, NOW).expect("a PIC register") as u8
    }

    fn raise(&self, irq: u8) {
        self.bank.line(irq).set(true);
    }

    fn lower(&self, irq: u8) {
        self.bank.line(irq).set(false);
    }

    fn pulse(&self, irq: u8) {
        self.lower(irq);
        self.raise(irq);
    }

    /// Acknowledges what INT announces.
    fn take(&mut self) -> Option<u8> {
        self.pic.interrupt_output().then(|| self.pic.acknowledge())
    }

    fn irr(&mut self, command: u16) -> u8 {
        self.write(command, &[0x0A]);
        self.read(command)
    }

    fn isr(&mut self, command: u16) -> u8 {
        self.write(command, &[0x0B]);
        self.read(command)
    }
}

const NON_SPECIFIC_EOI: u8 = 0x20;

#[test]
fn fully_nested_mode_serves_ir0_first_and_lets_only_higher_levels_interrupt() {
    let mut board = Board::new();
    for irq in [5, 3, 4] {
        board.raise(irq);
    }
    assert_eq!(board.take(), Some(0x0B));
    assert_eq!(board.take(), None, "IR4 and IR5 wait for IR3");
    board.raise(1);
    assert_eq!(board.take(), Some(0x09));
    assert_eq!(board.isr(MASTER_COMMAND), 0x0A);
    board.write(MASTER_COMMAND, &[NON_SPECIFIC_EOI]);
    assert_eq!((board.isr(MASTER_COMMAND), board.take()), (0x08, None));
    board.write(MASTER_COMMAND, &[NON_SPECIFIC_EOI]);
    assert_eq!(board.take(), Some(0x0C));
}

#[test]
fn an_edge_triggered_input_interrupts_once_per_rise() {
    let mut board = Board::new();
    board.raise(4);
    assert_eq!(board.take(), Some(0x0C));
    board.write(MASTER_COMMAND, &[NON_SPECIFIC_EOI]);
    assert_eq!(board.take(), None, "still high, no new edge");
    board.pulse(4);
    assert_eq!(board.take(), Some(0x0C));
}

#[test]
fn a_fall_and_rise_between_two_looks_is_an_edge() {
    let mut board = Board::new();
    board.raise(0);
    assert_eq!(board.take(), Some(0x08));
    board.write(MASTER_COMMAND, &[NON_SPECIFIC_EOI]);
    board.pulse(0);
    board.pulse(0);
    assert_eq!(board.take(), Some(0x08));
    board.write(MASTER_COMMAND, &[NON_SPECIFIC_EOI]);
    assert_eq!(board.take(), None, "requests coalesce");
}

#[test]
fn a_level_triggered_input_interrupts_again_after_eoi_while_high() {
    let mut board = Board::new();
    board.write(SLAVE_ELCR, &[0x08]);
    board.raise(11);
    for _ in 0..3 {
        assert_eq!((board.take(), board.take()), (Some(0x73), None));
        board.write(SLAVE_COMMAND, &[NON_SPECIFIC_EOI]);
        board.write(MASTER_COMMAND, &[NON_SPECIFIC_EOI]);
    }
    board.lower(11);
    assert_eq!(board.take(), None);
}

#[test]
fn ltim_makes_all_inputs_level_triggered() {
    let mut board = Board::uninitialized();
    board.raise(6);
    board.write(MASTER_COMMAND, &[0x19]);
    board.write(MASTER_DATA, &[0x08, 0x04, 0x01]);
    assert_eq!(board.take(), Some(0x0E));
    board.write(MASTER_COMMAND, &[NON_SPECIFIC_EOI]);
    assert_eq!(board.take(), Some(0x0E));
}

#[test]
fn icw1_clears_the_mask_and_the_edge_sense_and_selects_the_request_register() {
    let mut board = Board::new();
    board.write(MASTER_DATA, &[0xFF]);
    board.write(MASTER_COMMAND, &[0x0B]);
    board.raise(4);
    board.write(MASTER_COMMAND, &[0x11]);
    board.write(MASTER_DATA, &[0x40, 0x04, 0x01]);
    assert_eq!((board.read(MASTER_DATA), board.read(MASTER_COMMAND), board.take()), (0, 0, None));
    board.pulse(4);
    assert_eq!((board.read(MASTER_COMMAND), board.take()), (0x10, Some(0x44)));
}

#[test]
fn int_stays_low_until_initialization_is_complete() {
    let mut board = Board::new();
    board.write(MASTER_COMMAND, &[0x11]);
    board.raise(4);
    for icw in [0x08, 0x04, 0x01] {
        assert!(!board.pic.interrupt_output());
        board.write(MASTER_DATA, &[icw]);
    }
    assert_eq!(board.take(), Some(0x0C));
}

#[test]
fn single_mode_expects_no_icw3_and_ignores_cascading() {
    let mut board = Board::new();
    board.write(MASTER_COMMAND, &[0x13]);
    board.write(MASTER_DATA, &[0x20, 0x01, 0xFB]);
    assert_eq!(board.read(MASTER_DATA), 0xFB);
    board.raise(14);
    assert_eq!(board.take(), Some(0x22), "the slave's INT is an input like any other");
}

#[test]
fn without_icw4_an_acknowledge_gives_the_low_byte_of_the_mcs80_call_address() {
    let mut board = Board::new();
    board.write(MASTER_COMMAND, &[0xB6]);
    board.write(MASTER_DATA, &[0x12]);
    board.raise(3);
    assert_eq!(board.take(), Some(0xA0 | 3 << 2));
    board.write(MASTER_COMMAND, &[0x92]);
    board.write(MASTER_DATA, &[0x12]);
    board.pulse(3);
    assert_eq!(board.take(), Some(0x80 | 3 << 3));
}

#[test]
fn buffered_mode_changes_nothing_for_software() {
    let mut board = Board::with_icw4(0x0D, 0x09);
    board.raise(8);
    assert_eq!(board.take(), Some(0x70));
}

#[test]
fn the_imr_blocks_a_request_without_losing_it() {
    let mut board = Board::new();
    board.write(MASTER_DATA, &[0x10]);
    board.raise(4);
    assert_eq!((board.take(), board.irr(MASTER_COMMAND)), (None, 0x10));
    board.write(MASTER_DATA, &[0x00]);
    assert_eq!((board.take(), board.irr(MASTER_COMMAND)), (Some(0x0C), 0));
}

#[test]
fn a_request_that_goes_before_inta_becomes_ir7_without_entering_service() {
    let mut board = Board::new();
    board.raise(4);
    assert!(board.pic.interrupt_output());
    board.lower(4);
    assert!(!board.pic.interrupt_output());
    assert_eq!((board.pic.acknowledge(), board.isr(MASTER_COMMAND)), (0x0F, 0));
}

#[test]
fn a_slave_request_that_goes_between_the_pulses_becomes_irq15_with_the_master_in_service() {
    let mut board = Board::new();
    board.raise(12);
    assert!(board.pic.interrupt_output());
    // The master has latched its IR2; the slave's request vanishes unseen by the master.
    board.lower(12);
    board.pic.slave.look(0, 0);
    let level = board.pic.master.accept(true);
    assert_eq!((level, board.pic.slave.accept(false)), (Some(2), None));
    assert_eq!(board.pic.slave.vector(7), 0x77);
    assert_eq!((board.isr(MASTER_COMMAND), board.isr(SLAVE_COMMAND)), (0x04, 0));
}

#[test]
fn masking_at_the_slave_after_the_master_saw_the_request_withdraws_it() {
    let mut board = Board::new();
    board.raise(12);
    assert!(board.pic.interrupt_output());
    board.write(SLAVE_DATA, &[0x10]);
    assert_eq!((board.pic.acknowledge(), board.isr(MASTER_COMMAND)), (0x0F, 0));
}

#[test]
fn slave_interrupts_rank_between_irq1_and_irq3_and_enter_service_in_both_chips() {
    let mut board = Board::new();
    for irq in [3, 15, 8] {
        board.raise(irq);
    }
    assert_eq!(board.take(), Some(0x70));
    assert_eq!((board.isr(MASTER_COMMAND), board.isr(SLAVE_COMMAND)), (0x04, 0x01));
    board.write(SLAVE_COMMAND, &[NON_SPECIFIC_EOI]);
    board.write(MASTER_COMMAND, &[NON_SPECIFIC_EOI]);
    assert_eq!(board.take(), Some(0x77));
    board.write(SLAVE_COMMAND, &[NON_SPECIFIC_EOI]);
    board.write(MASTER_COMMAND, &[NON_SPECIFIC_EOI]);
    assert_eq!(board.take(), Some(0x0B));
}

#[test]
fn a_master_eoi_before_the_slave_eoi_loses_nothing() {
    let mut board = Board::new();
    board.raise(14);
    board.raise(9);
    assert_eq!(board.take(), Some(0x71));
    board.write(MASTER_COMMAND, &[NON_SPECIFIC_EOI]);
    assert_eq!(board.take(), None);
    board.write(SLAVE_COMMAND, &[NON_SPECIFIC_EOI]);
    assert_eq!(board.take(), Some(0x76));
}

#[test]
fn a_cascade_input_without_that_slave_leaves_the_bus_floating() {
    let mut board = Board::new();
    board.write(MASTER_COMMAND, &[0x11]);
    board.write(MASTER_DATA, &[0x08, 0x08, 0x01]);
    board.raise(3);
    assert_eq!(board.take(), Some(0xFF));
}

#[test]
fn a_higher_slave_request_waits_in_fully_nested_mode() {
    let mut board = Board::new();
    board.raise(12);
    assert_eq!(board.take(), Some(0x74));
    board.raise(8);
    assert_eq!(board.take(), None);
}

#[test]
fn special_fully_nested_mode_lets_a_higher_request_of_the_same_slave_interrupt() {
    let mut board = Board::with_icw4(0x11, 0x01);
    board.raise(12);
    assert_eq!(board.take(), Some(0x74));
    board.raise(13);
    assert_eq!(board.take(), None, "lower within the slave");
    board.raise(8);
    assert_eq!(board.take(), Some(0x70));
    // Software ends the slave's first, and the master's only when the slave has none left in service.
    board.write(SLAVE_COMMAND, &[NON_SPECIFIC_EOI]);
    assert_eq!(board.isr(SLAVE_COMMAND), 0x10);
    board.write(SLAVE_COMMAND, &[NON_SPECIFIC_EOI]);
    assert_eq!(board.take(), Some(0x75));
    board.raise(3);
    assert_eq!(board.take(), None);
}

#[test]
fn specific_eoi_ends_the_named_level() {
    let mut board = Board::new();
    board.raise(5);
    board.take();
    board.raise(3);
    board.take();
    board.write(MASTER_COMMAND, &[0x65]);
    assert_eq!(board.isr(MASTER_COMMAND), 0x08);
}

#[test]
fn rotate_on_non_specific_eoi_gives_the_served_level_the_lowest_priority() {
    // Data sheet figures "Before Rotate" and "After Rotate": IR4 and IR6 requested, IR4 served.
    let mut board = Board::new();
    board.raise(4);
    board.raise(6);
    assert_eq!(board.take(), Some(0x0C));
    board.write(MASTER_COMMAND, &[0xA0]);
    board.pulse(4);
    board.raise(5);
    let order: Vec<_> = (0..3)
        .map(|_| {
            let vector = board.take();
            board.write(MASTER_COMMAND, &[NON_SPECIFIC_EOI]);
            vector
        })
        .collect();
    assert_eq!(order, [Some(0x0D), Some(0x0E), Some(0x0C)]);
}

#[test]
fn rotate_on_specific_eoi_ends_and_demotes_the_named_level() {
    let mut board = Board::new();
    board.raise(1);
    assert_eq!(board.take(), Some(0x09));
    board.write(MASTER_COMMAND, &[0xE1]);
    assert_eq!(board.isr(MASTER_COMMAND), 0);
    board.pulse(1);
    board.raise(7);
    assert_eq!(board.take(), Some(0x0F));
}

#[test]
fn set_priority_makes_the_next_level_the_highest() {
    // Data sheet, "Specific Rotation": if IR5 is the bottom priority device, IR6 has the highest.
    let mut board = Board::new();
    board.write(MASTER_COMMAND, &[0xC5]);
    for irq in [0, 5, 6] {
        board.raise(irq);
    }
    assert_eq!(board.take(), Some(0x0E));
    board.write(MASTER_COMMAND, &[NON_SPECIFIC_EOI]);
    assert_eq!(board.take(), Some(0x08));
}

#[test]
fn automatic_eoi_keeps_nothing_in_service() {
    let mut board = Board::with_icw4(0x03, 0x03);
    board.raise(3);
    board.raise(12);
    assert_eq!((board.take(), board.take(), board.take()), (Some(0x74), Some(0x0B), None));
    assert_eq!((board.isr(MASTER_COMMAND), board.isr(SLAVE_COMMAND)), (0, 0));
}

#[test]
fn automatic_eoi_announces_the_slaves_next_request_at_once() {
    let mut board = Board::with_icw4(0x03, 0x03);
    board.raise(12);
    board.raise(9);
    assert_eq!((board.take(), board.take(), board.take()), (Some(0x71), Some(0x74), None));
}

#[test]
fn rotate_in_automatic_eoi_serves_in_turn_until_cleared() {
    let mut board = Board::with_icw4(0x03, 0x01);
    board.write(MASTER_COMMAND, &[0x80]);
    board.raise(3);
    assert_eq!(board.take(), Some(0x0B));
    board.pulse(3);
    board.raise(4);
    assert_eq!((board.take(), board.take()), (Some(0x0C), Some(0x0B)));
    board.write(MASTER_COMMAND, &[0x00, 0xC7]);
    board.pulse(0);
    board.take();
    board.pulse(0);
    board.pulse(1);
    assert_eq!(board.take(), Some(0x08), "no rotation any more");
}

#[test]
fn special_mask_mode_lets_lower_levels_interrupt_a_masked_level_in_service() {
    let mut board = Board::new();
    board.raise(3);
    assert_eq!(board.take(), Some(0x0B));
    board.raise(6);
    board.write(MASTER_DATA, &[0x08]);
    assert_eq!(board.take(), None);
    board.write(MASTER_COMMAND, &[0x68]);
    assert_eq!(board.take(), Some(0x0E));
    board.pulse(3);
    assert_eq!(board.take(), None, "the masked level itself stays inhibited");
    board.write(MASTER_COMMAND, &[NON_SPECIFIC_EOI]);
    assert_eq!(board.isr(MASTER_COMMAND), 0x08);
    board.write(MASTER_COMMAND, &[NON_SPECIFIC_EOI]);
    assert_eq!(board.isr(MASTER_COMMAND), 0x08, "a masked bit is not cleared by a non-specific EOI");
    board.write(MASTER_COMMAND, &[0x48, NON_SPECIFIC_EOI]);
    assert_eq!(board.isr(MASTER_COMMAND), 0);
}

#[test]
fn a_poll_takes_the_request_into_service_and_names_it() {
    let mut board = Board::new();
    board.raise(5);
    board.write(MASTER_COMMAND, &[0x0C]);
    assert_eq!(board.read(MASTER_COMMAND), 0x85);
    assert_eq!((board.isr(MASTER_COMMAND), board.take()), (0x20, None));
    board.write(MASTER_COMMAND, &[0x0C]);
    assert_eq!(board.read(MASTER_COMMAND) & 0x80, 0);
    assert_eq!(board.read(MASTER_COMMAND), 0x20, "one poll, one read");
}

#[test]
fn a_slave_is_polled_by_itself() {
    let mut board = Board::new();
    board.raise(14);
    for (command, level) in [(MASTER_COMMAND, 0x82), (SLAVE_COMMAND, 0x86)] {
        board.write(command, &[0x0C]);
        assert_eq!(board.read(command), level);
    }
    board.write(SLAVE_COMMAND, &[NON_SPECIFIC_EOI]);
    board.write(MASTER_COMMAND, &[NON_SPECIFIC_EOI]);
    assert_eq!(board.take(), None);
    board.raise(15);
    assert_eq!(board.take(), Some(0x77));
}

#[test]
fn ocw3_selects_the_register_that_reads_see_until_changed() {
    let mut board = Board::new();
    board.raise(4);
    board.take();
    board.raise(6);
    board.write(MASTER_COMMAND, &[0x0B]);
    assert_eq!([board.read(MASTER_COMMAND), board.read(MASTER_COMMAND)], [0x10, 0x10]);
    board.write(MASTER_COMMAND, &[0x08]);
    assert_eq!(board.read(MASTER_COMMAND), 0x10);
    board.write(MASTER_COMMAND, &[0x0A]);
    assert_eq!(board.read(MASTER_COMMAND), 0x40);
}

#[test]
fn elcr_cannot_make_the_timer_keyboard_cascade_clock_or_coprocessor_level_triggered() {
    let mut board = Board::new();
    board.write(MASTER_ELCR, &[0xFF]);
    board.write(SLAVE_ELCR, &[0xFF]);
    assert_eq!((board.read(MASTER_ELCR), board.read(SLAVE_ELCR)), (0xF8, 0xDE));
    board.write(MASTER_ELCR, &[0x20]);
    assert_eq!(board.read(MASTER_ELCR), 0x20);
}

#[test]
fn reset_masks_everything_and_forgets_what_was_in_service() {
    let mut board = Board::new();
    board.raise(4);
    board.take();
    board.raise(3);
    board.pic.reset();
    assert_eq!((board.take(), board.read(MASTER_DATA), board.isr(MASTER_COMMAND)), (None, 0xFF, 0));
    board.write(MASTER_DATA, &[0]);
    assert_eq!(board.take(), None, "lines that are high have not risen");
}

#[test]
fn restore_refuses_impossible_priorities_and_triggers() {
    let mut board = Board::new();
    let sound = board.pic.save();
    let mut no_such_level = sound.clone();
    no_such_level.master.lowest = 8;
    let mut level_triggered_timer = sound;
    level_triggered_timer.master.elcr = 0x01;
    for state in [no_such_level, level_triggered_timer] {
        assert!(board.pic.restore(state).is_err());
    }
}

crate::conformance::suite!(
    Subject::new(|bank| Pic::new(bank.inputs(0)))
        .watches_lines()
        .ports(6)
        .action(|pic, _, _| u64::from(pic.interrupt_output()))
        .action(|pic, _, _| u64::from(pic.acknowledge()))
        .action(|pic, random, now| {
            // A whole initialization, which single random writes would rarely complete.
            let icw4 = random.next() & 0x1F | 1;
            for (offset, value) in
                [(0, 0x11), (1, 0x20), (1, 0x04), (1, icw4), (2, 0x11), (3, 0x28), (3, 2), (3, icw4)]
            {
                pic.write_port(offset, Byte, value as u32, now).expect("a PIC register");
            }
            icw4
        })
);
