use super::*;
use crate::state::Snapshot;
use crate::time::GuestDuration;
use AccessSize::{Byte, Dword};
use offset::*;

const TIMER: u64 = LVT_FIRST;
const LINT0: u64 = 0x350;
const LINT1: u64 = 0x360;
const LVT_ERROR: u64 = 0x370;

struct Board {
    apic: Lapic,
    now: GuestTime,
}

impl Board {
    /// As after power-on.
    fn disabled() -> Self {
        Board { apic: Lapic::new(0, Frequency::ratio(100_000_000, 1)), now: GuestTime::ZERO }
    }

    /// Enabled by software, spurious vector FFh.
    fn new() -> Self {
        let mut board = Self::disabled();
        board.write(SPURIOUS_VECTOR, 0x1FF);
        board
    }

    fn write(&mut self, register: u64, value: u32) {
        self.apic.write_memory(register, Dword, value, self.now).expect("a register");
    }

    fn read(&mut self, register: u64) -> u32 {
        self.apic.read_memory(register, Dword, self.now).expect("a register")
    }

    fn wait(&mut self, nanos: u64) {
        self.now = self.now + GuestDuration::from_nanos(nanos);
        self.apic.advance(self.now);
    }

    fn fixed(&mut self, vector: u8) -> bool {
        self.message(DeliveryMode::Fixed, vector, Destination::Physical(0), false)
    }

    fn message(
        &mut self,
        delivery: DeliveryMode,
        vector: u8,
        destination: Destination,
        level_triggered: bool,
    ) -> bool {
        self.apic.receive(InterruptMessage { destination, delivery, vector, level_triggered })
    }

    fn take(&mut self) -> Option<Acknowledged> {
        self.apic.interrupt_output().then(|| self.apic.acknowledge())
    }

    fn take_vector(&mut self) -> Option<u8> {
        match self.take() {
            Some(Acknowledged::Vector(vector)) => Some(vector),
            _ => None,
        }
    }

    fn end(&mut self) {
        self.write(EOI, 0);
    }

    /// The error status register after the write that latches it.
    fn errors(&mut self) -> u32 {
        self.write(ERROR_STATUS, 0);
        self.read(ERROR_STATUS)
    }
}

#[test]
fn state_after_power_up() {
    // SDM Vol. 3A, "Local APIC State After Power-Up or Reset".
    let mut board = Board::disabled();
    for register in
        [IN_SERVICE, TRIGGER_MODE, REQUEST, COMMAND_LOW, COMMAND_HIGH, LOGICAL_DESTINATION, TASK_PRIORITY]
    {
        assert_eq!(board.read(register), 0, "{register:#x}");
    }
    for entry in (LVT_FIRST..=LVT_LAST).step_by(0x10) {
        assert_eq!(board.read(entry), 0x1_0000);
    }
    assert_eq!([board.read(DESTINATION_FORMAT), board.read(SPURIOUS_VECTOR)], [0xFFFF_FFFF, 0xFF]);
    assert_eq!([board.read(offset::VERSION) & 0xFF, board.read(offset::VERSION) >> 16], [0x14, 5]);
    assert_eq!(board.apic.apic_base(), 0xFEE0_0900);
}

#[test]
fn the_highest_vector_is_delivered_first_and_blocks_its_class_and_below() {
    let mut board = Board::new();
    for vector in [0x31, 0x45, 0x41] {
        board.fixed(vector);
    }
    assert_eq!(board.take_vector(), Some(0x45));
    assert_eq!(board.read(PROCESSOR_PRIORITY), 0x40);
    assert_eq!(board.take_vector(), None, "41h is of the same class");
    board.fixed(0x50);
    assert_eq!(board.take_vector(), Some(0x50));
    board.end();
    assert_eq!(board.take_vector(), None);
    board.end();
    assert_eq!(board.take_vector(), Some(0x41));
    board.end();
    assert_eq!(board.take_vector(), Some(0x31));
}

#[test]
fn task_priority_inhibits_its_class_and_below() {
    let mut board = Board::new();
    board.write(TASK_PRIORITY, 0x45);
    board.fixed(0x4F);
    assert_eq!((board.take(), board.read(PROCESSOR_PRIORITY)), (None, 0x45));
    board.write(TASK_PRIORITY, 0x3F);
    assert_eq!(board.take_vector(), Some(0x4F));
    assert_eq!(board.read(PROCESSOR_PRIORITY), 0x40);
}

#[test]
fn a_request_withdrawn_by_task_priority_gives_the_spurious_vector_without_service() {
    let mut board = Board::new();
    board.fixed(0x40);
    assert!(board.apic.interrupt_output());
    board.write(TASK_PRIORITY, 0xF0);
    assert_eq!(board.apic.acknowledge(), Acknowledged::Vector(0xFF));
    assert_eq!(board.read(IN_SERVICE + 0x20), 0);
    board.write(TASK_PRIORITY, 0);
    assert_eq!(board.take_vector(), Some(0x40));
}

#[test]
fn requests_of_one_vector_merge_and_one_can_wait_behind_the_one_in_service() {
    let mut board = Board::new();
    board.fixed(0x61);
    board.fixed(0x61);
    assert_eq!(board.read(REQUEST + 0x30), 2);
    assert_eq!(board.take_vector(), Some(0x61));
    board.fixed(0x61);
    board.end();
    assert_eq!((board.take_vector(), board.read(IN_SERVICE + 0x30)), (Some(0x61), 2));
    board.end();
    assert_eq!(board.take_vector(), None);
}

#[test]
fn eoi_of_a_level_triggered_interrupt_is_broadcast_and_of_an_edge_is_not() {
    let mut board = Board::new();
    board.message(DeliveryMode::Fixed, 0x71, Destination::Physical(0), true);
    assert_eq!(board.read(TRIGGER_MODE + 0x30), 1 << 17);
    board.take();
    board.end();
    assert_eq!([board.apic.take_end_of_interrupt(), board.apic.take_end_of_interrupt()], [Some(0x71), None]);
    board.fixed(0x71);
    board.take();
    board.end();
    assert_eq!(board.apic.take_end_of_interrupt(), None);
}

#[test]
fn an_eoi_with_nothing_in_service_does_nothing() {
    let mut board = Board::new();
    board.end();
    assert_eq!((board.take(), board.apic.take_end_of_interrupt()), (None, None));
}

#[test]
fn software_disabled_it_masks_local_vectors_and_accepts_no_fixed_interrupts() {
    let mut board = Board::new();
    board.write(LINT0, 0x700);
    board.write(SPURIOUS_VECTOR, 0xFF);
    assert_eq!(board.read(LINT0), 0x1_0700);
    board.write(LINT0, 0x700);
    assert_eq!(board.read(LINT0), 0x1_0700, "the mask cannot be cleared");
    assert!(!board.fixed(0x40));
    for delivery in [DeliveryMode::Nmi, DeliveryMode::Smi, DeliveryMode::Init] {
        assert!(board.message(delivery, 0, Destination::Physical(0), false));
    }
    assert!(board.message(DeliveryMode::StartUp, 0x9A, Destination::Physical(0), false));
    let events: Vec<_> = std::iter::from_fn(|| board.apic.take_event()).collect();
    use ProcessorEvent::{Init, Nmi, Smi, StartUp};
    assert_eq!(events, [Smi, Init, StartUp(0x9A), Nmi]);
}

#[test]
fn virtual_wire_mode_passes_the_8259a_through_lint0() {
    let mut board = Board::new();
    board.write(LINT0, 0x700);
    board.apic.set_lint0(true);
    assert_eq!(board.take(), Some(Acknowledged::External));
    assert!(board.apic.interrupt_output(), "as long as the 8259A asserts INT");
    board.apic.set_lint0(false);
    assert!(!board.apic.interrupt_output());
    board.write(LINT0, 0x1_0700);
    board.apic.set_lint0(true);
    assert!(!board.apic.interrupt_output());
}

#[test]
fn the_8259a_passes_until_software_says_what_lint0_is_for() {
    let mut board = Board::new();
    board.apic.set_lint0(true);
    assert_eq!(board.take(), Some(Acknowledged::External));
    board.write(LINT0, 0x1_0000);
    assert!(!board.apic.interrupt_output());
}

#[test]
fn ext_int_is_not_held_back_by_task_priority() {
    let mut board = Board::new();
    board.write(LINT0, 0x700);
    board.write(TASK_PRIORITY, 0xFF);
    board.apic.set_lint0(true);
    assert_eq!(board.take(), Some(Acknowledged::External));
}

#[test]
fn an_ext_int_message_asks_for_one_acknowledge_cycle() {
    let mut board = Board::new();
    assert!(board.message(DeliveryMode::ExtInt, 0, Destination::Physical(0), false));
    assert_eq!((board.take(), board.take()), (Some(Acknowledged::External), None));
}

#[test]
fn disabled_in_apic_base_the_pins_are_intr_and_nmi() {
    let mut board = Board::new();
    board.fixed(0x40);
    board.apic.set_apic_base(0xFEE0_0100);
    assert_eq!(board.apic.base_address(), None);
    assert!(!board.apic.interrupt_output(), "its state is lost");
    board.apic.set_lint0(true);
    assert_eq!((board.take(), board.apic.take_event()), (Some(Acknowledged::External), None));
    board.apic.set_lint1(true);
    board.apic.set_lint1(true);
    assert_eq!([board.apic.take_event(), board.apic.take_event()], [Some(ProcessorEvent::Nmi), None]);
    assert!(!board.fixed(0x40));
    board.apic.set_apic_base(0xFEC0_0900);
    assert_eq!(board.apic.base_address(), Some(0xFEC0_0000));
    assert_eq!(board.read(SPURIOUS_VECTOR), 0xFF);
}

#[test]
fn lint1_as_nmi_reacts_to_edges() {
    let mut board = Board::new();
    board.write(LINT1, 0x400);
    board.apic.set_lint1(true);
    assert_eq!([board.apic.take_event(), board.apic.take_event()], [Some(ProcessorEvent::Nmi), None]);
    board.apic.set_lint1(true);
    assert_eq!(board.apic.take_event(), None);
    board.apic.set_lint1(false);
    board.apic.set_lint1(true);
    assert_eq!(board.apic.take_event(), Some(ProcessorEvent::Nmi));
}

#[test]
fn a_level_triggered_pin_sets_remote_irr_and_interrupts_again_after_eoi() {
    let mut board = Board::new();
    board.write(LINT0, 0x8055);
    board.apic.set_lint0(true);
    assert_eq!((board.read(LINT0), board.take_vector(), board.take_vector()), (0xC055, Some(0x55), None));
    board.end();
    assert_eq!(board.take_vector(), Some(0x55));
    board.apic.set_lint0(false);
    board.end();
    assert_eq!((board.read(LINT0), board.take_vector()), (0x8055, None));
}

#[test]
fn an_edge_triggered_pin_interrupts_once_per_rise() {
    let mut board = Board::new();
    board.write(LINT0, 0x55);
    board.apic.set_lint0(true);
    assert_eq!(board.take_vector(), Some(0x55));
    board.end();
    assert_eq!(board.take_vector(), None);
}

#[test]
fn physical_destinations_match_the_id_or_broadcast() {
    let mut board = Board::new();
    board.write(ID, 0x0300_0000);
    for (id, accepted) in [(3, true), (0, false), (0xFF, true), (0x0F, false)] {
        assert_eq!(
            board.message(DeliveryMode::Fixed, 0x40, Destination::Physical(id), false),
            accepted,
            "{id:#x}"
        );
    }
}

#[test]
fn flat_logical_destinations_match_any_common_bit() {
    let mut board = Board::new();
    board.write(LOGICAL_DESTINATION, 0x0600_0000);
    for (address, accepted) in [(0x02, true), (0x0C, true), (0xF9, false), (0x00, false), (0xFF, true)] {
        let destination = Destination::Logical(address);
        assert_eq!(board.message(DeliveryMode::Fixed, 0x40, destination, false), accepted, "{address:#x}");
    }
}

#[test]
fn cluster_logical_destinations_match_the_cluster_and_a_common_bit() {
    let mut board = Board::new();
    board.write(DESTINATION_FORMAT, 0x0FFF_FFFF);
    board.write(LOGICAL_DESTINATION, 0x2400_0000);
    for (address, accepted) in [(0x24, true), (0x2C, true), (0x23, false), (0x14, false), (0xFF, true)] {
        let destination = Destination::Logical(address);
        assert_eq!(
            board.message(DeliveryMode::LowestPriority, 0x40, destination, false),
            accepted,
            "{address:#x}"
        );
    }
}

#[test]
fn a_self_ipi_interrupts_its_sender() {
    let mut board = Board::new();
    for (command, vector) in [(0x0004_0041, Some(0x41)), (0x0008_0042, Some(0x42)), (0x000C_0043, None)] {
        board.write(COMMAND_LOW, command);
        assert_eq!(board.take_vector(), vector, "{command:#x}");
        board.end();
    }
}

#[test]
fn an_ipi_by_destination_reaches_this_processor_only_if_addressed() {
    let mut board = Board::new();
    board.write(COMMAND_HIGH, 0x0100_0000);
    board.write(COMMAND_LOW, 0x41);
    assert_eq!(board.take(), None);
    board.write(COMMAND_HIGH, 0);
    board.write(COMMAND_LOW, 0x41);
    assert_eq!(board.take_vector(), Some(0x41));
    assert_eq!(board.read(COMMAND_LOW) & 0x1000, 0, "delivery status is idle");
    board.write(COMMAND_LOW, 0x400);
    assert_eq!(board.apic.take_event(), Some(ProcessorEvent::Nmi));
}

#[test]
fn init_deassert_does_nothing() {
    let mut board = Board::new();
    board.write(COMMAND_LOW, 0x8500);
    assert_eq!(board.apic.take_event(), None);
    board.write(COMMAND_LOW, 0xC500);
    assert_eq!(board.apic.take_event(), Some(ProcessorEvent::Init));
}

#[test]
fn illegal_vectors_and_registers_are_errors_latched_by_writing_the_status() {
    let mut board = Board::new();
    board.write(LVT_ERROR, 0xFE);
    board.write(COMMAND_LOW, 0x0004_000F);
    assert_eq!(board.read(ERROR_STATUS), 0, "not yet latched");
    assert_eq!(board.take_vector(), Some(0xFE));
    board.end();
    assert_eq!(board.errors(), 0x20);
    assert!(board.fixed(0x0F));
    assert_eq!(board.errors(), 0x40);
    assert_eq!(board.read(0x3A0), 0);
    assert_eq!([board.errors(), board.errors()], [0x80, 0]);
}

#[test]
fn a_one_shot_timer_interrupts_once_after_count_times_divisor_clocks() {
    for (divide, divisor) in [(0, 2), (1, 4), (2, 8), (3, 16), (8, 32), (9, 64), (10, 128), (11, 1)] {
        let mut board = Board::new();
        board.wait(5);
        board.write(TIMER, 0x40);
        board.write(DIVIDE_CONFIGURATION, divide);
        board.write(INITIAL_COUNT, 1000);
        let expected = GuestTime::from_nanos(1000 * divisor * 10);
        assert_eq!(board.apic.next_event(), Some(expected), "divide configuration {divide}");
        board.apic.advance(expected - GuestDuration::from_nanos(1));
        assert_eq!(board.take(), None);
        board.apic.advance(expected);
        assert_eq!((board.take_vector(), board.apic.next_event()), (Some(0x40), None));
        assert_eq!(board.apic.state.timer.count, 0);
    }
}

#[test]
fn a_periodic_timer_reloads_and_its_interrupts_coalesce() {
    let mut board = Board::new();
    board.write(TIMER, 0x2_0040);
    board.write(DIVIDE_CONFIGURATION, 11);
    board.write(INITIAL_COUNT, 100);
    board.wait(1000 * 10 + 250);
    assert_eq!(board.read(CURRENT_COUNT), 75);
    assert_eq!(board.apic.next_event(), None, "a request is pending already");
    assert_eq!((board.take_vector(), board.take_vector()), (Some(0x40), None));
    board.end();
    let next = board.apic.next_event().expect("the next period");
    assert_eq!(next.as_nanos(), 1100 * 10);
    board.apic.advance(next);
    assert_eq!(board.take_vector(), Some(0x40));
}

#[test]
fn a_masked_timer_counts_without_interrupting() {
    let mut board = Board::new();
    board.write(TIMER, 0x1_0040);
    board.write(DIVIDE_CONFIGURATION, 11);
    board.write(INITIAL_COUNT, 0xFFFF_FFFF);
    assert_eq!(board.apic.next_event(), None);
    board.wait(10_000);
    assert_eq!(board.read(CURRENT_COUNT), 0xFFFF_FFFF - 1000);
    board.write(INITIAL_COUNT, 0);
    assert_eq!(board.read(CURRENT_COUNT), 0);
}

#[test]
fn a_timer_with_an_illegal_vector_is_an_error() {
    let mut board = Board::new();
    board.write(TIMER, 0x0F);
    board.write(INITIAL_COUNT, 1);
    board.wait(1000);
    assert_eq!((board.take(), board.errors()), (None, 0x40));
}

#[test]
fn registers_are_written_in_aligned_double_words_and_read_in_parts() {
    let mut board = Board::new();
    for (at, size) in [(TASK_PRIORITY, Byte), (TASK_PRIORITY + 4, Dword)] {
        assert_eq!(board.apic.write_memory(at, size, 1, board.now), Err(IoError::WrongSize));
    }
    assert_eq!(board.apic.read_memory(offset::VERSION + 2, Byte, board.now), Ok(5));
    assert_eq!(board.apic.read_memory(0x1000, Dword, board.now), Err(IoError::NoSuchRegister));
}

#[test]
fn init_keeps_the_id_and_reset_restores_it() {
    let mut board = Board::new();
    board.write(ID, 0x0500_0000);
    board.fixed(0x40);
    board.apic.init();
    assert_eq!(
        (board.read(ID), board.read(REQUEST + 0x20), board.read(SPURIOUS_VECTOR)),
        (0x0500_0000, 0, 0xFF)
    );
    board.apic.reset();
    assert_eq!(board.read(ID), 0);
}

#[test]
fn restore_refuses_registers_with_impossible_bits() {
    let mut board = Board::new();
    let sound = board.apic.save();
    let corruptions: [fn(&mut LapicState); 5] = [
        |state| state.lvt[lvt::TIMER] |= lvt::REMOTE_IRR,
        |state| state.request.insert(3),
        |state| state.base |= 1,
        |state| state.timer.counted = state.timer.clock + 1,
        |state| state.destination_format = 0x10,
    ];
    for corrupt in corruptions {
        let mut state = sound.clone();
        corrupt(&mut state);
        assert!(board.apic.restore(state).is_err());
    }
    assert!(board.apic.restore(sound).is_ok());
}

crate::conformance::suite!(
    Subject::new(|_| Lapic::new(1, Frequency::ratio(100_000_000, 1)))
        .memory(0x400)
        .timed()
        .action(|apic, random, now| {
            let registers = [
                TASK_PRIORITY,
                EOI,
                SPURIOUS_VECTOR,
                COMMAND_LOW,
                TIMER,
                LINT0,
                INITIAL_COUNT,
                DIVIDE_CONFIGURATION,
            ];
            let register = registers[random.below(8) as usize];
            apic.write_memory(register, Dword, random.value(), now).expect("a register");
            u64::from(apic.interrupt_output())
        })
        .action(|apic, random, now| {
            // Enabled, with a timer that interrupts: what single random writes would rarely set up.
            let initial = 1 << random.below(24);
            let timer = 0x20 + random.below(0xE0) as u32 + if random.one_in(2) { lvt::PERIODIC } else { 0 };
            for (register, value) in [(SPURIOUS_VECTOR, 0x1FF), (TIMER, timer), (INITIAL_COUNT, initial)] {
                apic.write_memory(register, Dword, value, now).expect("a register");
            }
            u64::from(initial)
        })
        .action(|apic, random, _| {
            apic.set_lint0(random.one_in(2));
            apic.set_lint1(random.one_in(2));
            u64::from(apic.interrupt_output())
        })
        .action(|apic, random, _| {
            let bits = random.next();
            let Some(delivery) = DeliveryMode::from_bits(bits as u32) else { return 2 };
            let to = (bits >> 8) as u8 & 3;
            let destination =
                if bits & 8 != 0 { Destination::Physical(to) } else { Destination::Logical(to) };
            let message = InterruptMessage {
                destination,
                delivery,
                vector: (bits >> 16) as u8,
                level_triggered: bits & 16 != 0,
            };
            u64::from(apic.receive(message))
        })
        .action(|apic, _, _| match apic.acknowledge() {
            Acknowledged::Vector(vector) => u64::from(vector),
            Acknowledged::External => 0x100,
        })
        .action(|apic, _, _| u64::from(apic.take_event().is_some())
            | u64::from(apic.take_end_of_interrupt().unwrap_or(0)) << 8)
        .action(|apic, random, _| {
            apic.set_apic_base(0xFEE0_0000 | random.below(4) << 10);
            apic.apic_base()
        })
);
