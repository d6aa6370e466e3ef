//! When a division raises #DE. SDM Vol. 2A, "DIV", "IDIV", "AAM".

use crate::kit::*;
use idem86_cpu::state::gpr;

const DE: Led = Led::To(0, None);

/// Dividend (by width: AX, DX:AX or EDX:EAX), divisor, and quotient with remainder or none for #DE.
type Row = (u64, u32, Option<(u32, u32)>);

fn check(name: &str, bytes: &[u8], bits: u32, rows: &[Row]) {
    for (dividend, divisor, expected) in rows {
        let mut k = Kit::protected(3);
        let (low, high) = match bits {
            8 => (*dividend as u32, 0xDDDD_DDDD),
            16 => (*dividend as u32 & 0xFFFF, (*dividend >> 16) as u32),
            _ => (*dividend as u32, (*dividend >> 32) as u32),
        };
        k.cpu.gpr.set(gpr::AX, low);
        k.cpu.gpr.set(gpr::DX, high);
        k.cpu.gpr.set(gpr::BX, *divisor);
        let name = format!("{name}: {dividend:x} by {divisor:x}");
        k.check_bytes(&name, if expected.is_some() { Led::Through } else { DE }, bytes);
        if let Some(expected) = expected {
            let (a, d) = (k.cpu.gpr.get::<u32>(gpr::AX), k.cpu.gpr.get::<u32>(gpr::DX));
            let result = match bits {
                8 => (a & 0xFF, a >> 8 & 0xFF),
                16 => (a & 0xFFFF, d & 0xFFFF),
                _ => (a, d),
            };
            assert_eq!(result, *expected, "{name}");
        }
    }
}

#[test]
fn a_quotient_that_does_not_fit() {
    check(
        "div bl",
        &[0xF6, 0xF3],
        8,
        &[(0xFEFF, 0xFF, Some((0xFF, 0xFE))), (0xFF00, 0xFF, None), (0x0100, 1, None), (1, 0, None)],
    );
    check(
        "idiv bl",
        &[0xF6, 0xFB],
        8,
        &[
            (0xFF80, 1, Some((0x80, 0))),
            (0xFF7F, 1, None),
            (0x0080, 1, None),
            (0x007F, 1, Some((0x7F, 0))),
            (0x0080, 0xFF, Some((0x80, 0))),
            (0xFF80, 0xFF, None),
            (0xFFF9, 2, Some((0xFD, 0xFF))),
            (0, 0, None),
        ],
    );
    check(
        "div bx",
        &[0x66, 0xF7, 0xF3],
        16,
        &[(0xFFFE_FFFF, 0xFFFF, Some((0xFFFF, 0xFFFE))), (0xFFFF_0000, 0xFFFF, None), (0, 0, None)],
    );
    check(
        "idiv bx",
        &[0x66, 0xF7, 0xFB],
        16,
        &[(0xFFFF_8000, 1, Some((0x8000, 0))), (0xFFFF_8000, 0xFFFF, None), (0x8000_0000, 0xFFFF, None)],
    );
    check(
        "div ebx",
        &[0xF7, 0xF3],
        32,
        &[
            (0xFFFF_FFFE_FFFF_FFFF, 0xFFFF_FFFF, Some((0xFFFF_FFFF, 0xFFFF_FFFE))),
            (0xFFFF_FFFF_0000_0000, 0xFFFF_FFFF, None),
            (0x1_0000_0000, 1, None),
        ],
    );
    check(
        "idiv ebx",
        &[0xF7, 0xFB],
        32,
        &[
            (0xFFFF_FFFF_8000_0000, 1, Some((0x8000_0000, 0))),
            (0xFFFF_FFFF_8000_0000, 0xFFFF_FFFF, None),
            (0x8000_0000_0000_0000, 0xFFFF_FFFF, None),
            (0x8000_0000_0000_0000, 0x8000_0000, None),
            (0xFFFF_FFFF_FFFF_FFFF, 2, Some((0, 0xFFFF_FFFF))),
        ],
    );
}

#[test]
fn aam_by_zero() {
    let mut k = Kit::protected(3);
    k.cpu.gpr.set(gpr::AX, 0x55u32);
    k.check_bytes("aam 0", DE, &[0xD4, 0]);
}
