//! What the services say of memory: the old sizes, and the map of INT 15h AX=E820h. ACPI Specification, "System Address
//! Map Interfaces".

use super::harness::{BUFFER, Registers, Request, ask, bioses};

/// The memory of the machine.
const SIZE: u64 = 8 << 20;
/// What firmware may keep for itself at the end of memory.
const KEPT: u64 = 128 << 10;
const SMAP: u32 = 0x534D_4150;

#[test]
fn sizes_agree() {
    let plain = |interrupt, eax| (interrupt, Registers { eax, ..Registers::default() });
    for bios in bioses("sizes of memory") {
        let requests = [plain(0x12, 0), plain(0x15, 0x8800), plain(0x15, 0xE801), plain(0x15, 0xC100)];
        let mut a = ask(&bios, &requests, &[]);
        let base = a.get(0).ax();
        assert_eq!(base, 639, "{}", bios.name);
        assert_eq!(a.get(3).es, base << 6, "{}: the extended data area is behind it", bios.name);
        let extended = u64::from(a.get(1).ax()) << 10;
        assert!(
            (SIZE - (1 << 20) - KEPT..=SIZE - (1 << 20)).contains(&extended),
            "{}: {extended}",
            bios.name
        );
        let sizes = a.get(2);
        assert!(!sizes.carry && (sizes.cx(), sizes.dx()) == (a.get(1).ax(), 0), "{}: {sizes:x?}", bios.name);
    }
}

#[test]
fn the_map_is_whole() {
    /// More than any map has.
    const MOST: u16 = 16;
    const RANGE: u16 = 20;
    let request = |n: u16| -> Request {
        let edi = u32::from(BUFFER + n * RANGE);
        // Both BIOSes count the ranges; that is theirs to choose, and the answers are checked for it.
        let registers = Registers {
            eax: 0xE820,
            ebx: n.into(),
            ecx: RANGE.into(),
            edx: SMAP,
            edi,
            ..Registers::default()
        };
        (0x15, registers)
    };
    for bios in bioses("memory map") {
        let requests: Vec<Request> = (0..MOST).map(request).collect();
        let mut a = ask(&bios, &requests, &[]);
        let mut ranges = Vec::new();
        for n in 0..MOST {
            let answer = a.get(n);
            assert!(
                !answer.carry && answer.eax == SMAP && answer.ecx == u32::from(RANGE),
                "{}: {answer:x?}",
                bios.name
            );
            let bytes = a.bytes(BUFFER + n * RANGE, RANGE.into());
            let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
            ranges.push((number(0), number(8), bytes[16]));
            if answer.ebx == 0 {
                break;
            }
            assert_eq!(answer.ebx, u32::from(n) + 1, "{}", bios.name);
        }
        assert!(a.get(ranges.len() as u16).carry || ranges.len() < MOST.into(), "{}", bios.name);
        for pair in ranges.windows(2) {
            assert!(pair[0].0 + pair[0].1 <= pair[1].0, "{}: {pair:x?} overlap", bios.name);
        }
        let usable: u64 = ranges.iter().filter(|range| range.2 == 1).map(|range| range.1).sum();
        assert!(
            (SIZE - (384 << 10) - KEPT..=SIZE - (384 << 10)).contains(&usable),
            "{}: {ranges:x?}",
            bios.name
        );
        // Nobody uses the BIOS as memory, or what is behind the end.
        let free = |address: u64| {
            ranges
                .iter()
                .any(|(start, length, kind)| *kind == 1 && (*start..start + length).contains(&address))
        };
        assert!(free(0x500) && free(1 << 20), "{}", bios.name);
        assert!(
            [0xF_0000, 0xB_8000, 0x9_FC00, SIZE, 0xFEC0_0000].into_iter().all(|at| !free(at)),
            "{}",
            bios.name
        );
    }
}
