//! Makes a failing case small: resets whatever it fails without.

use super::generate::Generator;
use idem86_translator::host::native::layout::WINDOW_BYTES;
use idem86_translator::host::native::{EFLAGS_FIXED, FxImage, NativeCase, State};
use std::fmt::Write;

/// Resets parts of the state as long as `fails` holds.
pub fn shrink(mut case: NativeCase, mut fails: impl FnMut(&NativeCase) -> bool) -> NativeCase {
    let mut attempt = |case: &mut NativeCase, change: &dyn Fn(&mut State)| {
        let mut smaller = case.clone();
        change(&mut smaller.before);
        let shrunk = smaller.before != case.before && fails(&smaller);
        if shrunk {
            *case = smaller;
        }
        shrunk
    };
    let mut bytes = WINDOW_BYTES;
    while bytes >= 4 {
        for at in (0..WINDOW_BYTES).step_by(bytes) {
            attempt(&mut case, &|s| s.window[at..at + bytes].fill(0));
        }
        bytes /= 8;
    }
    let clean = FxImage::new();
    if !attempt(&mut case, &|s| s.fx = FxImage::new()) {
        for (at, len) in
            (0..).step_by(2).take(16).map(|at| (at, 2)).chain((32..288).step_by(16).map(|at| (at, 16)))
        {
            attempt(&mut case, &|s| s.fx.0[at..at + len].copy_from_slice(&clean.0[at..at + len]));
        }
    }
    for i in 0..8 {
        let _ = attempt(&mut case, &|s| s.gpr[i] = 0)
            || attempt(&mut case, &|s| s.gpr[i] &= 0xFF)
            || attempt(&mut case, &|s| s.gpr[i] &= 0xFFFF);
    }
    if !attempt(&mut case, &|s| s.eflags = EFLAGS_FIXED) {
        for bit in 0..22 {
            attempt(&mut case, &|s| s.eflags &= !(1 << bit) | EFLAGS_FIXED);
        }
    }
    case
}

/// What a state holds beyond zeros, as one line.
pub fn describe(state: &State, generator: &Generator) -> String {
    const GPR: [&str; 8] = ["eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"];
    const SREG: [&str; 6] = ["es", "cs", "ss", "ds", "fs", "gs"];
    let State { gpr, eip, eflags, selectors, fx, window } = state;
    let mut line = format!("eip={eip:x} eflags={eflags:x}");
    for (name, &selector) in SREG.iter().zip(selectors) {
        let _ = write!(line, " {name}={}", generator.segment_name(selector));
    }
    for (name, value) in GPR.iter().zip(gpr).filter(|(_, value)| **value != 0) {
        let _ = write!(line, " {name}={value:x}");
    }
    let clean = FxImage::new();
    if fx.0[..32] != clean.0[..32] {
        let _ = write!(
            line,
            " fcw={:x} fsw={:x} ftw={:x} mxcsr={:x}",
            fx.fcw(),
            fx.fsw(),
            fx.u16_at(4),
            fx.mxcsr()
        );
    }
    for i in 0..8 {
        let st = fx.st(i).iter().rev().fold(0u128, |value, &byte| value << 8 | u128::from(byte));
        let xmm = u128::from_le_bytes(fx.xmm(i));
        for (name, value) in [("st", st), ("xmm", xmm)].into_iter().filter(|(_, value)| *value != 0) {
            let _ = write!(line, " {name}{i}={value:x}");
        }
    }
    for (at, chunk) in
        window.chunks_exact(4).enumerate().filter(|(_, chunk)| chunk.iter().any(|&b| b != 0)).take(32)
    {
        let _ = write!(line, " window[{:x}]={:02x?}", at * 4, chunk);
    }
    line
}
