//! Packed integer arithmetic, comparison and logic, of MM and XMM registers alike; and the logic of packed numbers,
//! which is the same.
//!
//! SDM Vol. 1, "MMX Instructions", "SSE 64-Bit SIMD Integer Instructions", "SSE2 128-Bit SIMD Integer
//! Instructions".

use super::lanes::zip;
use super::{Binary, select_binary};
use crate::decode::insn::Handler;
use iced_x86::{Instruction, Mnemonic};

/// One row for each instruction: the type of its elements, and what becomes of two of them.
macro_rules! elementwise {
    ($($(#[$doc:meta])* $name:ident: $lane:ty, |$a:ident, $b:ident| $element:expr;)*) => {
        $(
            $(#[$doc])*
            struct $name;
            impl Binary for $name {
                #[inline(always)]
                fn apply<const N: usize>(a: [u8; N], b: [u8; N], _: u8) -> [u8; N] {
                    zip(a, b, |$a: $lane, $b: $lane| -> $lane { $element })
                }
            }
        )*

        fn by_mnemonic(mnemonic: Mnemonic, i: &Instruction) -> Option<Handler> {
            Some(match mnemonic {
                $(Mnemonic::$name => select_binary::<$name>(i),)*
                _ => return None,
            })
        }
    };
}

elementwise! {
    Paddb: u8, |a, b| a.wrapping_add(b);
    Paddw: u16, |a, b| a.wrapping_add(b);
    Paddd: u32, |a, b| a.wrapping_add(b);
    Paddq: u64, |a, b| a.wrapping_add(b);
    Paddsb: i8, |a, b| a.saturating_add(b);
    Paddsw: i16, |a, b| a.saturating_add(b);
    Paddusb: u8, |a, b| a.saturating_add(b);
    Paddusw: u16, |a, b| a.saturating_add(b);
    Psubb: u8, |a, b| a.wrapping_sub(b);
    Psubw: u16, |a, b| a.wrapping_sub(b);
    Psubd: u32, |a, b| a.wrapping_sub(b);
    Psubq: u64, |a, b| a.wrapping_sub(b);
    Psubsb: i8, |a, b| a.saturating_sub(b);
    Psubsw: i16, |a, b| a.saturating_sub(b);
    Psubusb: u8, |a, b| a.saturating_sub(b);
    Psubusw: u16, |a, b| a.saturating_sub(b);

    Pmullw: i16, |a, b| a.wrapping_mul(b);
    Pmulhw: i16, |a, b| ((i32::from(a) * i32::from(b)) >> 16) as i16;
    Pmulhuw: u16, |a, b| ((u32::from(a) * u32::from(b)) >> 16) as u16;
    Pmuludq: u64, |a, b| u64::from(a as u32) * u64::from(b as u32);
    /// An element is a pair of words here.
    Pmaddwd: i32, |a, b| {
        let low = i32::from(a as i16) * i32::from(b as i16);
        low.wrapping_add((a >> 16) * (b >> 16))
    };

    Pavgb: u8, |a, b| ((u16::from(a) + u16::from(b) + 1) >> 1) as u8;
    Pavgw: u16, |a, b| ((u32::from(a) + u32::from(b) + 1) >> 1) as u16;
    /// An element is eight bytes here.
    Psadbw: u64, |a, b| {
        let bytes = a.to_le_bytes().into_iter().zip(b.to_le_bytes());
        bytes.map(|(x, y)| u64::from(x.abs_diff(y))).sum()
    };
    Pmaxub: u8, |a, b| a.max(b);
    Pminub: u8, |a, b| a.min(b);
    Pmaxsw: i16, |a, b| a.max(b);
    Pminsw: i16, |a, b| a.min(b);

    Pcmpeqb: u8, |a, b| if a == b { !0 } else { 0 };
    Pcmpeqw: u16, |a, b| if a == b { !0 } else { 0 };
    Pcmpeqd: u32, |a, b| if a == b { !0 } else { 0 };
    Pcmpgtb: i8, |a, b| if a > b { !0 } else { 0 };
    Pcmpgtw: i16, |a, b| if a > b { !0 } else { 0 };
    Pcmpgtd: i32, |a, b| if a > b { !0 } else { 0 };

    Pand: u64, |a, b| a & b;
    Pandn: u64, |a, b| !a & b;
    Por: u64, |a, b| a | b;
    Pxor: u64, |a, b| a ^ b;
}

/// The handler of `i`, if it belongs to this family.
pub fn select(i: &Instruction) -> Option<Handler> {
    use Mnemonic::*;
    let same = match i.mnemonic() {
        Andps | Andpd => Pand,
        Andnps | Andnpd => Pandn,
        Orps | Orpd => Por,
        Xorps | Xorpd => Pxor,
        other => other,
    };
    by_mnemonic(same, i)
}
