//! The differentiated system description: PCI with its interrupt links, the devices of the ISA bus, and soft off. ACPI
//! Specification 2.0, "ACPI Namespace" and "Configuration"; Intel 82371SB, "PIRQx Route Control Registers".

use super::aml::*;
use super::resource::{self, Space, template};
use crate::bios::pci_layout::{self, PIRQ_LINES, SCI, pirq};

/// The links, and the fields that hold where they are routed to.
const LINKS: [(&str, &str); 4] = [("LNKA", "PRQA"), ("LNKB", "PRQB"), ("LNKC", "PRQC"), ("LNKD", "PRQD")];

/// The register of a link: routed to nothing.
const UNROUTED: u32 = 0x80;

/// The table's content.
pub(super) fn dsdt() -> Term {
    let mut system = vec![pci()];
    system.extend((0..).zip(LINKS).map(|(n, (link, field))| interrupt_link(n, link, field)));
    [
        scope("\\_PR", &[processor("CPU0", 0)]),
        scope("\\_SB", &system),
        // Soft off: suspend type 0 for both halves of the control register.
        name("\\_S5", package(&[integer(0), integer(0), integer(0), integer(0)])),
    ]
    .concat()
}

fn hardware_id(id: &str) -> Term {
    name("_HID", eisa_id(id))
}

fn resources(descriptors: &[Vec<u8>]) -> Term {
    name("_CRS", template(descriptors))
}

/// The root of PCI, and what is on its bus.
fn pci() -> Term {
    device(
        "PCI0",
        &[
            hardware_id("PNP0A03"),
            name("_UID", integer(0)),
            resources(&[
                resource::word_window(Space::Buses, 0, 0xFF),
                resource::ports(0xCF8, 8),
                resource::word_window(Space::Ports, 0, 0xCF7),
                resource::word_window(Space::Ports, 0xD00, 0xFFFF),
                resource::dword_window(Space::Memory, 0xA_0000, 0xB_FFFF),
                resource::dword_window(Space::Memory, pci_layout::MEMORY_START, pci_layout::MEMORY_END - 1),
            ]),
            interrupt_routes(),
            isa(),
        ],
    )
}

/// `_PRT`: the link of each pin of each device. Power management, which is the only one of its device with a pin, has a
/// line of its own.
fn interrupt_routes() -> Term {
    const POWER_MANAGEMENT: (u8, u8) = (1, 0);
    let pins = (1u8..32).flat_map(|device| (0u8..4).map(move |pin| (device, pin)));
    let routes: Vec<Term> = pins
        .map(|(device, pin)| {
            let all_functions = u32::from(device) << 16 | 0xFFFF;
            let (source, index) = match (device, pin) {
                POWER_MANAGEMENT => (integer(0), SCI.into()),
                _ => (reference(LINKS[usize::from(pirq(device, pin + 1))].0), 0),
            };
            package(&[integer(all_functions), integer(pin.into()), source, integer(index)])
        })
        .collect();
    name("_PRT", package(&routes))
}

/// A link between PIRQ lines and interrupt lines.
fn interrupt_link(n: u32, link: &str, field: &str) -> Term {
    let route = || reference(&format!("\\_SB.PCI0.ISA.{field}"));
    let unrouted = || and(route(), integer(UNROUTED));
    /// Where in the descriptor the mask of lines begins.
    const LINES: u32 = 1;
    let lines = PIRQ_LINES.iter().fold(1u16 << 5, |lines, line| lines | 1 << line);
    device(
        link,
        &[
            hardware_id("PNP0C0F"),
            name("_UID", integer(n + 1)),
            name("_PRS", template(&[resource::shared_irq(lines)])),
            // Present; enabled, if it is routed.
            serialized_method(
                "_STA",
                0,
                &[if_else(unrouted(), &[return_value(integer(0x09))], &[return_value(integer(0x0B))])],
            ),
            serialized_method("_DIS", 0, &[store(integer(UNROUTED), route())]),
            serialized_method(
                "_CRS",
                0,
                &[
                    name("BUF", template(&[resource::shared_irq(0)])),
                    create_word_field(reference("BUF"), LINES, "LINE"),
                    if_else(
                        unrouted(),
                        &[store(integer(0), reference("LINE"))],
                        &[shift_left(integer(1), route(), reference("LINE"))],
                    ),
                    return_value(reference("BUF")),
                ],
            ),
            serialized_method(
                "_SRS",
                1,
                &[
                    create_word_field(argument(), LINES, "LINE"),
                    find_set_right_bit(reference("LINE"), local()),
                    if_else(local(), &[subtract(local(), integer(1), route())], &[]),
                ],
            ),
        ],
    )
}

/// The ISA bridge and what is on its bus.
fn isa() -> Term {
    let on_bus = |path: &str, id: &str, descriptors: &[Vec<u8>]| {
        device(path, &[hardware_id(id), resources(descriptors)])
    };
    let numbered = |path: &str, id: &str, n: u32, descriptors: &[Vec<u8>]| {
        device(path, &[hardware_id(id), name("_UID", integer(n)), resources(descriptors)])
    };
    use resource::{dma, dma_cascade, irq, memory, ports};
    device(
        "ISA",
        &[
            name("_ADR", integer(1 << 16)),
            pci_configuration_region("ROUT", pci_layout::PIRQ_ROUTE.into(), 4),
            byte_fields("ROUT", &LINKS.map(|(_, field)| field)),
            on_bus("PIC", "PNP0000", &[ports(0x20, 2), ports(0xA0, 2), ports(0x4D0, 2), irq(2)]),
            on_bus("TMR", "PNP0100", &[ports(0x40, 4), irq(0)]),
            on_bus("DMAC", "PNP0200", &[ports(0x00, 16), ports(0x81, 15), ports(0xC0, 32), dma_cascade()]),
            on_bus("RTC", "PNP0B00", &[ports(0x70, 2), irq(8)]),
            on_bus("SPKR", "PNP0800", &[ports(0x61, 1)]),
            on_bus("FPU", "PNP0C04", &[ports(0xF0, 16), irq(13)]),
            on_bus("KBD", "PNP0303", &[ports(0x60, 1), ports(0x64, 1), irq(1)]),
            on_bus("MOUS", "PNP0F13", &[irq(12)]),
            on_bus("FDC", "PNP0700", &[ports(0x3F2, 4), ports(0x3F7, 1), irq(6), dma(2)]),
            numbered("COM1", "PNP0501", 1, &[ports(0x3F8, 8), irq(4)]),
            numbered("COM2", "PNP0501", 2, &[ports(0x2F8, 8), irq(3)]),
            // Power management, its SMBus, the SMI command port, port A, and the interrupt controllers in memory.
            on_bus(
                "MBRD",
                "PNP0C02",
                &[
                    ports(pci_layout::PM_BASE, 0x40),
                    ports(pci_layout::SMBUS_BASE, 0x10),
                    ports(0xB2, 2),
                    ports(0x92, 1),
                    memory(super::IO_APIC, 0x1000),
                    memory(super::LOCAL_APIC, 0x1000),
                ],
            ),
        ],
    )
}
