//! Tests of the bus, each named after the behaviour that the specifications document.

use super::*;
use crate::irq::{IrqBank, IrqInputs};
use crate::state::Snapshot;

const NOW: GuestTime = GuestTime::ZERO;
const VGA: FunctionId = FunctionId { device: 2, function: 0 };

struct Host {
    pci: Pci,
    irqs: IrqInputs,
}

fn board(bank: &IrqBank) -> Pci {
    let mut pci = Pci::new(std::array::from_fn(|irq| bank.line(irq as u8)));
    pci.add(VGA, standard_vga(16 << 20, Some(4096), Some(64 << 10))).unwrap();
    pci
}

impl Host {
    fn new() -> Self {
        let bank = IrqBank::new();
        Host { pci: board(&bank), irqs: bank.inputs(0) }
    }

    fn select(&mut self, id: FunctionId, register: u8) {
        let address =
            1 << 31 | u32::from(id.device) << 11 | u32::from(id.function) << 8 | u32::from(register & 0xFC);
        self.pci.write_port(0, AccessSize::Dword, address, NOW).unwrap();
    }

    fn read(&mut self, id: FunctionId, register: u8, size: AccessSize) -> u32 {
        self.select(id, register);
        self.pci.read_port(4 + u16::from(register & 3), size, NOW).unwrap()
    }

    fn write(&mut self, id: FunctionId, register: u8, size: AccessSize, value: u32) {
        self.select(id, register);
        self.pci.write_port(4 + u16::from(register & 3), size, value, NOW).unwrap();
    }

    fn read8(&mut self, id: FunctionId, register: u8) -> u8 {
        self.read(id, register, AccessSize::Byte) as u8
    }
    fn write8(&mut self, id: FunctionId, register: u8, value: u8) {
        self.write(id, register, AccessSize::Byte, value.into());
    }
    fn read32(&mut self, id: FunctionId, register: u8) -> u32 {
        self.read(id, register, AccessSize::Dword)
    }
    fn write32(&mut self, id: FunctionId, register: u8, value: u32) {
        self.write(id, register, AccessSize::Dword, value);
    }
    fn command(&mut self, id: FunctionId, value: u16) {
        self.write(id, 4, AccessSize::Word, value.into());
    }
}

#[test]
fn scanning_the_bus_finds_the_functions_of_the_board() {
    let mut host = Host::new();
    let mut found = Vec::new();
    for device in 0..32 {
        let functions = match host.read8(FunctionId { device, function: 0 }, 0x0E) {
            0xFF => continue,
            header if header & 0x80 != 0 => 8,
            _ => 1,
        };
        for function in 0..functions {
            let id = FunctionId { device, function };
            let identity = host.read32(id, 0);
            if identity != u32::MAX {
                found.push((device, function, identity, host.read32(id, 8) >> 8));
            }
        }
    }
    let expected = [
        (0, 0, 0x1237_8086, 0x06_0000),
        (1, 0, 0x7000_8086, 0x06_0100),
        (1, 1, 0x7010_8086, 0x01_0180),
        (1, 3, 0x7113_8086, 0x06_8000),
        (2, 0, 0x1111_1234, 0x03_0000),
    ];
    assert_eq!(found, expected);
}

#[test]
fn config_address_takes_doublewords_only_and_keeps_what_it_has() {
    let mut host = Host::new();
    host.pci.write_port(0, AccessSize::Dword, u32::MAX, NOW).unwrap();
    assert_eq!(host.pci.read_port(0, AccessSize::Dword, NOW), Ok(0x80FF_FFFC));
    // What a system looking for mechanism 2 does.
    assert_eq!(host.pci.write_port(3, AccessSize::Byte, 1, NOW), Err(IoError::NoSuchRegister));
    assert_eq!(host.pci.write_port(0, AccessSize::Byte, 0, NOW), Err(IoError::NoSuchRegister));
    assert_eq!(host.pci.write_port(0, AccessSize::Word, 0, NOW), Err(IoError::WrongSize));
    assert_eq!(host.pci.read_port(0, AccessSize::Dword, NOW), Ok(0x80FF_FFFC));
}

#[test]
fn config_data_takes_every_width_within_the_doubleword() {
    let mut host = Host::new();
    assert_eq!(host.read(FunctionId::IDE, 2, AccessSize::Word), 0x7010);
    assert_eq!(host.read8(FunctionId::IDE, 0x0B), 0x01);
    host.write32(VGA, 0x10, 0xE000_0000);
    host.write(VGA, 0x12, AccessSize::Word, 0xD100);
    assert_eq!(host.read32(VGA, 0x10), 0xD100_0008);
    host.write8(VGA, 0x13, 0xC0);
    assert_eq!(host.read32(VGA, 0x10), 0xC000_0008);
    for (offset, size) in [(5, AccessSize::Dword), (7, AccessSize::Word)] {
        assert_eq!(host.pci.read_port(offset, size, NOW), Err(IoError::WrongSize));
        assert_eq!(host.pci.write_port(offset, size, 0, NOW), Err(IoError::WrongSize));
    }
    assert_eq!(host.pci.read_port(5, AccessSize::Word, NOW), Ok(0xC000 << 8 & 0xFFFF));
}

#[test]
fn no_one_answers_elsewhere() {
    let mut host = Host::new();
    let absent = FunctionId { device: 9, function: 0 };
    host.write32(absent, 0x10, 0);
    assert_eq!(host.read32(absent, 0), u32::MAX);
    assert_eq!(host.read8(absent, 1), 0xFF);
    // Bus 1.
    host.pci.write_port(0, AccessSize::Dword, 0x8001_0000, NOW).unwrap();
    assert_eq!(host.pci.read_port(4, AccessSize::Dword, NOW), Ok(u32::MAX));
    // Configuration disabled: the ports are those of no one.
    host.pci.write_port(0, AccessSize::Dword, 0, NOW).unwrap();
    assert_eq!(host.pci.read_port(4, AccessSize::Dword, NOW), Err(IoError::NoSuchRegister));
    assert_eq!(host.pci.write_port(4, AccessSize::Dword, 0, NOW), Err(IoError::NoSuchRegister));
    assert_eq!(host.pci.read_port(8, AccessSize::Byte, NOW), Err(IoError::NoSuchRegister));
}

#[test]
fn identity_registers_cannot_be_written() {
    let mut host = Host::new();
    for id in [FunctionId::HOST_BRIDGE, FunctionId::ISA_BRIDGE, FunctionId::IDE, VGA] {
        for register in [0x00, 0x08] {
            let before = host.read32(id, register);
            host.write32(id, register, !before);
            assert_eq!(host.read32(id, register), before);
        }
        host.write8(id, 0x3C, 0x5A);
        assert_eq!(host.read8(id, 0x3C), 0x5A, "the interrupt line is scratch");
    }
}

/// The algorithm of the specification: write ones, read back, clear the kind, invert, add one.
fn size_of(host: &mut Host, id: FunctionId, register: u8, kind: u32) -> u64 {
    let before = host.read32(id, register);
    host.write32(id, register, u32::MAX);
    let told = host.read32(id, register);
    host.write32(id, register, before);
    u64::from(!(told & !kind)) + 1
}

#[test]
fn base_address_registers_tell_their_size() {
    let mut host = Host::new();
    assert_eq!(size_of(&mut host, VGA, 0x10, 0xF), 16 << 20);
    assert_eq!(size_of(&mut host, VGA, 0x14, 0xF), 1 << 32, "there is no register 1");
    assert_eq!(size_of(&mut host, VGA, 0x18, 0xF), 4096);
    assert_eq!(size_of(&mut host, VGA, 0x30, 0x7FF), 64 << 10);
    assert_eq!(size_of(&mut host, FunctionId::IDE, 0x20, 3) & 0xFFFF, 16);
    assert_eq!(host.read32(VGA, 0x10) & 0xF, 8, "prefetchable memory in 32 bits");
    assert_eq!(host.read32(FunctionId::IDE, 0x20) & 3, 1, "I/O");
}

#[test]
fn ranges_are_mapped_while_their_space_is_enabled() {
    let mut host = Host::new();
    let vga = |host: &Host| host.pci.function(VGA).unwrap().mappings().collect::<Vec<_>>();
    host.write32(VGA, 0x10, 0xE000_0000);
    host.write32(VGA, 0x18, 0xFEB0_0000);
    assert_eq!(vga(&host), []);
    host.command(VGA, 1);
    assert_eq!(vga(&host), [], "I/O space is not memory space");
    host.command(VGA, 2);
    let memory = |bar, base, size| Mapping { bar, space: Space::Memory, base, size };
    let (frame_buffer, registers) = (memory(0, 0xE000_0000, 16 << 20), memory(2, 0xFEB0_0000, 4096));
    assert_eq!(vga(&host), [frame_buffer, registers]);
    host.write32(VGA, 0x30, 0xFEA0_0000);
    assert_eq!(vga(&host).len(), 2, "the ROM has an enable bit of its own");
    host.write32(VGA, 0x30, 0xFEA0_0001);
    assert_eq!(vga(&host), [frame_buffer, registers, memory(Mapping::ROM, 0xFEA0_0000, 64 << 10)]);
    // A register whose size is being found out maps nothing, nor does one at zero.
    for value in [u32::MAX, 0] {
        host.write32(VGA, 0x10, value);
        assert_eq!(vga(&host)[0], registers);
    }
}

#[test]
fn the_generation_changes_with_every_change_and_with_no_other_write() {
    let mut host = Host::new();
    let mut last = host.pci.generation();
    let mut changed = |host: &Host| std::mem::replace(&mut last, host.pci.generation()) != last;
    host.read32(VGA, 0x10);
    host.write32(VGA, 0x10, 0);
    host.write32(VGA, 0x00, 0);
    assert!(!changed(&host));
    host.write32(VGA, 0x10, 0xE000_0000);
    assert!(changed(&host));
    host.write32(VGA, 0x10, 0xE000_0000);
    assert!(!changed(&host));
    host.command(VGA, 3);
    assert!(changed(&host));
    host.write8(FunctionId::HOST_BRIDGE, 0x5A, 0x33);
    assert!(changed(&host));
    host.pci.reset();
    assert!(changed(&host));
}

#[test]
fn attribute_registers_steer_the_memory_from_640_kib_on() {
    let mut host = Host::new();
    let all = host.pci.shadow_regions();
    assert!(all.iter().all(|region| !region.is_read_from_ram && !region.is_written_to_ram));
    assert_eq!(all[0].base, 0xC_0000);
    assert!(all.windows(2).all(|pair| pair[0].base + pair[0].size == pair[1].base));
    assert_eq!(all[12].base + all[12].size, 0x10_0000);
    // From the data sheet's table: register, field, first byte.
    let table = [
        (0x59, 4, 0xF_0000),
        (0x5A, 0, 0xC_0000),
        (0x5A, 4, 0xC_4000),
        (0x5B, 0, 0xC_8000),
        (0x5B, 4, 0xC_C000),
        (0x5C, 0, 0xD_0000),
        (0x5C, 4, 0xD_4000),
        (0x5D, 0, 0xD_8000),
        (0x5D, 4, 0xD_C000),
        (0x5E, 0, 0xE_0000),
        (0x5E, 4, 0xE_4000),
        (0x5F, 0, 0xE_8000),
        (0x5F, 4, 0xE_C000),
    ];
    for (register, shift, base) in table {
        for (attributes, reads, writes) in [(1, true, false), (2, false, true), (3, true, true)] {
            host.write8(FunctionId::HOST_BRIDGE, register, attributes << shift);
            for region in host.pci.shadow_regions() {
                let expected = if region.base == base { (reads, writes) } else { (false, false) };
                let got = (region.is_read_from_ram, region.is_written_to_ram);
                assert_eq!(got, expected, "{register:X} {shift}: {region:X?}");
            }
        }
        host.write8(FunctionId::HOST_BRIDGE, register, 0);
    }
    host.write8(FunctionId::HOST_BRIDGE, 0x59, 0xFF);
    assert_eq!(host.read8(FunctionId::HOST_BRIDGE, 0x59), 0x30, "reserved bits stay zero");
}

#[test]
fn smram_once_locked_is_closed_until_reset() {
    let mut host = Host::new();
    let bridge = FunctionId::HOST_BRIDGE;
    assert_eq!(host.read8(bridge, 0x72), 0x02);
    host.write8(bridge, 0x72, 0x4A);
    let smram = host.pci.smram();
    assert!(smram.is_enabled && smram.is_open && !smram.is_closed && !smram.is_locked);
    host.write8(bridge, 0x72, 0x5A);
    let smram = host.pci.smram();
    assert!(smram.is_enabled && !smram.is_open && smram.is_locked);
    host.write8(bridge, 0x72, 0x6A);
    assert_eq!(host.pci.smram(), smram);
    assert_eq!(host.read8(bridge, 0x72), 0x1A);
    host.pci.reset();
    assert_eq!(host.read8(bridge, 0x72), 0x02);
}

#[test]
fn reset_control_asks_for_a_reset_when_its_bit_rises() {
    let mut host = Host::new();
    let mut write = |value| {
        host.pci.write_port(1, AccessSize::Byte, value, NOW).unwrap();
        host.pci.take_reset_request()
    };
    assert_eq!(write(0x02), None);
    assert_eq!(write(0x06), Some(ResetRequest::System));
    assert_eq!(write(0x06), None, "it is already set");
    assert_eq!(write(0x00), None);
    assert_eq!(write(0x04), Some(ResetRequest::Processor));
    assert_eq!(host.pci.read_port(1, AccessSize::Byte, NOW), Ok(0x04));
    // The host bridge has a register of the same kind.
    host.write8(FunctionId::HOST_BRIDGE, 0x93, 0x02);
    assert_eq!(host.pci.take_reset_request(), None);
    host.write8(FunctionId::HOST_BRIDGE, 0x93, 0x06);
    assert_eq!(host.pci.take_reset_request(), Some(ResetRequest::System));
    assert_eq!(host.pci.take_reset_request(), None);
}

#[test]
fn pirqs_are_routed_to_the_irq_that_their_register_names() {
    let mut host = Host::new();
    let bridge = FunctionId::ISA_BRIDGE;
    let line = host.pci.connect_pin(FunctionId { device: 3, function: 0 }, Pin::A);
    line.set(true);
    host.pci.sync_interrupts();
    assert_eq!(host.irqs.levels(), 0, "no PIRQ is routed after a reset");
    // Device 3 has PIRQC on its INTA.
    assert_eq!(host.pci.pirqs(), 0b0100);
    for irq in 0..16u8 {
        host.write8(bridge, 0x62, irq);
        let routable = ![0, 1, 2, 8, 13].contains(&irq);
        assert_eq!(host.irqs.levels(), if routable { 1 << irq } else { 0 }, "IRQ {irq}");
        assert_eq!(host.pci.pirq_route(2), routable.then_some(irq));
    }
    host.write8(bridge, 0x62, 0x8B);
    assert_eq!(host.irqs.levels(), 0);
    assert_eq!(host.read8(bridge, 0x62), 0x8B);
}

#[test]
fn pins_of_neighbouring_devices_are_rotated() {
    for (device, pin, pirq) in
        [(1, Pin::A, 0), (1, Pin::D, 3), (2, Pin::A, 1), (4, Pin::B, 0), (0, Pin::A, 3)]
    {
        let mut host = Host::new();
        host.pci.connect_pin(FunctionId { device, function: 0 }, pin).set(true);
        assert_eq!(host.pci.pirqs(), 1 << pirq, "device {device} {pin:?}");
    }
}

#[test]
fn a_shared_line_is_high_while_any_source_is() {
    let mut host = Host::new();
    let bridge = FunctionId::ISA_BRIDGE;
    let a = host.pci.connect_pin(FunctionId { device: 3, function: 0 }, Pin::A);
    let b = host.pci.connect_pin(FunctionId { device: 7, function: 0 }, Pin::A);
    let c = host.pci.connect_pin(FunctionId { device: 4, function: 0 }, Pin::A);
    let sci = host.pci.connect_irq(9);
    host.write8(bridge, 0x62, 9);
    host.write8(bridge, 0x63, 9);
    let mut levels = |a_level, b_level, c_level, sci_level| {
        a.set(a_level);
        b.set(b_level);
        c.set(c_level);
        sci.set(sci_level);
        host.pci.sync_interrupts();
        host.irqs.levels()
    };
    for bits in 0..16 {
        let expected = if bits == 0 { 0 } else { 1 << 9 };
        assert_eq!(levels(bits & 1 != 0, bits & 2 != 0, bits & 4 != 0, bits & 8 != 0), expected);
    }
}

#[test]
fn lines_of_isa_devices_are_left_alone() {
    let bank = IrqBank::new();
    let mut pci = board(&bank);
    bank.line(11).set(true);
    let source = pci.connect_irq(9);
    for high in [true, false, true, false] {
        source.set(high);
        pci.sync_interrupts();
        assert_eq!(bank.inputs(0).levels(), 1 << 11 | u32::from(high) << 9);
    }
    pci.reset();
    assert_eq!(bank.inputs(0).levels(), 1 << 11);
}

#[test]
fn the_ide_function_decodes_by_command_timing_and_base_registers() {
    let mut host = Host::new();
    let id = FunctionId::IDE;
    let channels = [ChannelId::Primary, ChannelId::Secondary];
    let enabled = |host: &Host| channels.map(|channel| host.pci.is_ide_channel_enabled(channel));
    host.write32(id, 0x40, 0x0000_8000);
    host.write32(id, 0x20, 0xC001);
    assert_eq!(enabled(&host), [false, false]);
    assert_eq!(host.pci.ide_bus_master_base(), None);
    host.command(id, 5);
    assert_eq!(enabled(&host), [true, false]);
    assert_eq!(host.pci.ide_bus_master_base(), Some(0xC000));
    assert!(host.pci.function(id).unwrap().is_bus_master());
    host.write32(id, 0x40, 0x8000_0000);
    assert_eq!(enabled(&host), [false, true]);
    host.write32(id, 0x20, 0xFFFF_FFFF);
    assert_eq!(host.pci.ide_bus_master_base(), None, "its size is being found out");
}

#[test]
fn power_management_has_base_registers_of_its_own() {
    let mut host = Host::new();
    let id = FunctionId::POWER_MANAGEMENT;
    host.write32(id, 0x40, 0xFFFF_B03F);
    assert_eq!(host.read32(id, 0x40), 0xB001);
    assert_eq!(host.pci.power_management_base(), None);
    host.write8(id, 0x80, 1);
    assert_eq!(host.pci.power_management_base(), Some(0xB000));
    host.write32(id, 0x90, 0xB100);
    assert_eq!(host.pci.smbus_base(), None);
    host.write8(id, 0xD2, 0x09);
    assert_eq!(host.pci.smbus_base(), Some(0xB100));
    assert_eq!(host.read8(id, 0x3D), 1, "INTA#");
}

#[test]
fn functions_have_places_of_their_own() {
    let mut host = Host::new();
    let vga = || standard_vga(16 << 20, None, None);
    assert_eq!(host.pci.add(VGA, vga()), Err(AddError::Occupied));
    for place in [FunctionId { device: 32, function: 0 }, FunctionId { device: 3, function: 8 }] {
        assert_eq!(host.pci.add(place, vga()), Err(AddError::NoSuchPlace));
    }
    let last = FunctionId { device: 31, function: 7 };
    assert_eq!(host.pci.add(last, vga()), Ok(()));
    assert_eq!(host.read32(last, 0), 0x1111_1234);
    assert_eq!(size_of(&mut host, last, 0x30, 0x7FF), 1 << 32, "no ROM");
}

#[test]
fn a_state_for_other_functions_is_refused() {
    let mut host = Host::new();
    let bank = IrqBank::new();
    let bare = Pci::new(std::array::from_fn(|irq| bank.line(irq as u8)));
    let before = host.pci.save();
    assert_eq!(host.pci.restore(bare.save()).unwrap_err().device, "PCI");
    assert_eq!(host.pci.save(), before);
}

/// Connected sources, so that the suite can play with them.
fn wired(bank: &IrqBank) -> (Pci, Vec<IrqLine>) {
    let mut pci = board(bank);
    let mut lines: Vec<_> = [Pin::A, Pin::B, Pin::C, Pin::D]
        .map(|pin| pci.connect_pin(FunctionId { device: 3, function: 0 }, pin))
        .into();
    lines.push(pci.connect_irq(9));
    (pci, lines)
}

/// The bus and the sources on it, as one device.
struct Wired(Pci, Vec<IrqLine>);

impl Snapshot for Wired {
    type State = PciState;
    fn save(&self) -> PciState {
        self.0.save()
    }
    fn restore(&mut self, state: PciState) -> Result<(), crate::state::RestoreError> {
        self.0.restore(state)
    }
}

impl Reset for Wired {
    fn reset(&mut self) {
        self.0.reset();
    }
}

impl PortIo for Wired {
    fn read_port(&mut self, offset: u16, size: AccessSize, now: GuestTime) -> Result<u32, IoError> {
        self.0.read_port(offset, size, now)
    }
    fn write_port(
        &mut self,
        offset: u16,
        size: AccessSize,
        value: u32,
        now: GuestTime,
    ) -> Result<(), IoError> {
        self.0.write_port(offset, size, value, now)
    }
}

crate::conformance::suite!(
    Subject::new(|bank| {
        let (pci, lines) = wired(bank);
        Wired(pci, lines)
    })
    .ports(8)
    .action(|wired, random, now| {
        // A write somewhere on the bus.
        let functions: Vec<_> = wired.0.functions().map(|(id, _)| id).collect();
        let id = functions[random.below(functions.len() as u64) as usize];
        let address =
            1 << 31 | u32::from(id.device) << 11 | u32::from(id.function) << 8 | (random.value() & 0xFC);
        wired.0.write_port(0, AccessSize::Dword, address, now).unwrap();
        wired.0.write_port(4, AccessSize::Dword, random.value(), now).unwrap();
        u64::from(wired.0.read_port(4, AccessSize::Dword, now).unwrap())
    })
    .action(|wired, random, _| {
        wired.1[random.below(5) as usize].set(random.one_in(2));
        wired.0.sync_interrupts();
        u64::from(wired.0.pirqs())
    })
    .action(|wired, _, _| {
        // Every question can be answered at any time.
        let pci = &mut wired.0;
        let mappings: u64 = pci
            .functions()
            .flat_map(|(_, f)| f.mappings().collect::<Vec<_>>())
            .map(|m| u64::from(m.base))
            .sum();
        let bases = [pci.ide_bus_master_base(), pci.power_management_base(), pci.smbus_base()];
        let reset = pci.take_reset_request().map_or(0, |request| 1 + request as u64);
        let shadow = pci.shadow_regions().iter().filter(|region| region.is_read_from_ram).count() as u64;
        mappings ^ bases.iter().flatten().fold(shadow, |sum, base| sum << 16 | u64::from(*base)) ^ reset
    })
);
