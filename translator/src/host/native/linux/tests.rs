//! Instructions whose results the manuals state, and what the processor owes its process.

use crate::host::native::layout::*;
use crate::host::native::*;
use gpr::*;

const CF: u32 = 1 << 0;
const AF: u32 = 1 << 4;
const ZF: u32 = 1 << 6;
const DF: u32 = 1 << 10;
const OF: u32 = 1 << 11;

/// A processor with shorthands for 16- and 32-bit cases.
struct Rig(NativeProcessor);

impl Rig {
    fn new() -> Self {
        Self(NativeProcessor::with(Segmentation::Local).expect("this host has local descriptors"))
    }

    fn run(
        &mut self,
        bits: u32,
        code: &[u8],
        set: impl FnOnce(&NativeProcessor, &mut State),
    ) -> NativeOutcome {
        self.try_run(bits, code, set).expect("the case is not refused")
    }

    fn try_run(
        &mut self,
        bits: u32,
        code: &[u8],
        set: impl FnOnce(&NativeProcessor, &mut State),
    ) -> Result<NativeOutcome, Refused> {
        let (code_segment, stack) = if bits == 16 {
            (Segment::Code16, Segment::Stack16)
        } else {
            (Segment::Code32, Segment::Stack32)
        };
        let mut before = self.0.state(code_segment, stack).expect("local descriptors");
        set(&self.0, &mut before);
        self.0.run(&NativeCase { code: code.to_vec(), before })
    }

    /// Runs a 32-bit instruction that completes, from the given registers.
    fn done(&mut self, code: &[u8], set: impl FnOnce(&mut State)) -> State {
        let NativeOutcome { after, ending } = self.run(32, code, |_, state| set(state));
        assert_eq!(ending, Ending::Completed, "{code:02x?}");
        after
    }
}

/// Offset of the code page in the local code segments.
const CODE_OFFSET: u32 = 0x8000;

fn selector(processor: &NativeProcessor, segment: Segment) -> u16 {
    processor.segment(segment).expect("local descriptors").selector
}

/// The window byte behind `offset` in `segment`.
fn at(segment: Segment, offset: u32) -> usize {
    let linear = segment.descriptor().base.wrapping_add(offset);
    (linear.wrapping_sub(WINDOW_LINEAR) & 0xFFFF) as usize
}

fn put(state: &mut State, segment: Segment, offset: u32, bytes: &[u8]) {
    state.window[at(segment, offset)..][..bytes.len()].copy_from_slice(bytes);
}

fn get<const N: usize>(state: &State, segment: Segment, offset: u32) -> [u8; N] {
    std::array::from_fn(|i| state.window[at(segment, offset) + i])
}

fn exception(vector: u8, error_code: Option<u32>) -> Ending {
    Ending::Exception { vector, error_code, address: None }
}

#[test]
fn add_sets_the_status_flags() {
    // add eax, ecx
    let after = Rig::new().done(&[0x01, 0xC8], |s| (s.gpr[EAX], s.gpr[ECX]) = (0x7FFF_FFFF, 1));
    assert_eq!(after.gpr[EAX], 0x8000_0000);
    assert_eq!(after.eflags & (CF | AF | ZF | OF), AF | OF);
    assert_eq!(after.eip, CODE_OFFSET + 2);
}

#[test]
fn adc_takes_the_carry() {
    // adc al, 0xff
    let after = Rig::new().done(&[0x14, 0xFF], |s| (s.gpr[EAX], s.eflags) = (0x1234_5600, CF));
    assert_eq!((after.gpr[EAX], after.eflags & (CF | ZF)), (0x1234_5600, CF | ZF));
}

#[test]
fn imul_signals_a_lost_upper_half() {
    let mut rig = Rig::new();
    // imul eax, ecx, 3
    let fits = rig.done(&[0x6B, 0xC1, 3], |s| s.gpr[ECX] = 5);
    assert_eq!((fits.gpr[EAX], fits.eflags & (CF | OF)), (15, 0));
    let lost = rig.done(&[0x6B, 0xC1, 3], |s| s.gpr[ECX] = 0x4000_0000);
    assert_eq!((lost.gpr[EAX], lost.eflags & (CF | OF)), (0xC000_0000, CF | OF));
}

#[test]
fn division_by_zero_is_a_fault_at_the_instruction() {
    // div ecx
    let outcome = Rig::new().run(32, &[0xF7, 0xF1], |_, s| s.gpr[EAX] = 7);
    assert_eq!((outcome.ending, outcome.after.eip), (exception(0, None), CODE_OFFSET));
    assert_eq!(outcome.after.gpr[EAX], 7);
}

#[test]
fn bound_raises_br() {
    let mut rig = Rig::new();
    let mut run = |index: u32| {
        // bound eax, [0]
        let outcome = rig.run(32, &[0x62, 0x05, 0, 0, 0, 0], |_, s| {
            s.gpr[EAX] = index;
            put(s, Segment::Data, 0, &[3, 0, 0, 0, 5, 0, 0, 0]);
        });
        outcome.ending
    };
    assert_eq!(run(5), Ending::Completed);
    assert_eq!(run(6), exception(5, None));
}

#[test]
fn into_traps_behind_itself_if_of_is_set() {
    let mut rig = Rig::new();
    assert_eq!(rig.done(&[0xCE], |_| ()).eip, CODE_OFFSET + 1);
    let outcome = rig.run(32, &[0xCE], |_, s| s.eflags |= OF);
    assert_eq!((outcome.ending, outcome.after.eip), (exception(4, None), CODE_OFFSET + 1));
}

#[test]
fn int3_traps_behind_itself_and_ud2_faults_at_itself() {
    let mut rig = Rig::new();
    let outcome = rig.run(32, &[0xCC], |_, _| ());
    assert_eq!((outcome.ending, outcome.after.eip), (exception(3, None), CODE_OFFSET + 1));
    let outcome = rig.run(16, &[0x0F, 0x0B], |_, _| ());
    assert_eq!((outcome.ending, outcome.after.eip), (exception(6, None), CODE_OFFSET));
}

#[test]
fn decimal_adjustment() {
    let mut rig = Rig::new();
    let daa = rig.done(&[0x27], |s| s.gpr[EAX] = 0xAE);
    assert_eq!((daa.gpr[EAX], daa.eflags & (CF | AF)), (0x14, CF | AF));
    let aam = rig.done(&[0xD4, 10], |s| s.gpr[EAX] = 123);
    assert_eq!(aam.gpr[EAX], 0x0C03);
    let aas = rig.done(&[0x3F], |s| s.gpr[EAX] = 0x02_0F);
    assert_eq!((aas.gpr[EAX], aas.eflags & (CF | AF)), (0x01_09, CF | AF));
    assert_eq!(rig.run(32, &[0xD4, 0], |_, _| ()).ending, exception(0, None));
}

#[test]
fn pusha_stores_the_original_sp() {
    let after = Rig::new().done(&[0x60], |s| s.gpr = [1, 2, 3, 4, 0x100, 6, 7, 8]);
    assert_eq!(after.gpr[ESP], 0xE0);
    let stored: [u8; 32] = get(&after, Segment::Stack32, 0xE0);
    let expected: Vec<u8> = [8, 7, 6, 0x100, 4, 3, 2, 1u32].iter().flat_map(|v| v.to_le_bytes()).collect();
    assert_eq!(stored[..], expected);
}

#[test]
fn a_push_wraps_at_64_kib_on_a_16_bit_stack() {
    let mut rig = Rig::new();
    // push ax: SP 0 becomes FFFEh, the upper half of ESP stays.
    let outcome = rig.run(16, &[0x50], |_, s| (s.gpr[EAX], s.gpr[ESP]) = (0xBEEF, 0xABCD_0000));
    assert_eq!((outcome.ending, outcome.after.gpr[ESP]), (Ending::Completed, 0xABCD_FFFE));
    assert_eq!(get(&outcome.after, Segment::Stack16, 0xFFFE), [0xEF, 0xBE]);
    // push eax at SP 2 would cross the limit.
    let outcome = rig.run(16, &[0x66, 0x50], |_, s| s.gpr[ESP] = 2);
    assert_eq!((outcome.ending, outcome.after.gpr[ESP]), (exception(12, Some(0)), 2));
}

#[test]
fn a_16_bit_address_wraps() {
    // mov al, [bx+si]: F000h + 1010h is 10h, not 10010h.
    let outcome = Rig::new().run(16, &[0x8A, 0x00], |_, s| {
        (s.gpr[EBX], s.gpr[ESI]) = (0xFFFF_F000, 0xFFFF_1010);
        put(s, Segment::Data, 0x10, &[0x5A]);
    });
    assert_eq!((outcome.ending, outcome.after.gpr[EAX]), (Ending::Completed, 0x5A));
}

#[test]
fn les_loads_a_selector_and_faults_on_a_bad_one() {
    let mut rig = Rig::new();
    // les eax, [0]
    let code = [0xC4, 0x05, 0, 0, 0, 0];
    let pointer = |s: &mut State, selector: u16| {
        put(s, Segment::Data, 0, &[0x78, 0x56, 0x34, 0x12]);
        put(s, Segment::Data, 4, &selector.to_le_bytes());
    };
    let read_only = selector(&rig.0, Segment::ReadOnly);
    let after = rig.done(&code, |s| pointer(s, read_only));
    assert_eq!((after.gpr[EAX], after.selectors[sreg::ES]), (0x1234_5678, read_only));

    let absent = selector(&rig.0, Segment::Absent);
    let outcome = rig.run(32, &code, |_, s| pointer(s, absent));
    assert_eq!(outcome.ending, exception(11, Some(u32::from(absent & !3))));
    let execute_only = selector(&rig.0, Segment::ShortCode32);
    let outcome = rig.run(32, &code, |_, s| pointer(s, execute_only));
    assert_eq!(outcome.ending, exception(13, Some(u32::from(execute_only & !3))));
    assert_eq!(outcome.after.gpr[EAX], 0);
}

#[test]
fn mov_ss_takes_effect_at_once() {
    let mut rig = Rig::new();
    let other = selector(&rig.0, Segment::Stack16);
    let after = rig.done(&[0x8E, 0xD0], |s| s.gpr[EAX] = u32::from(other));
    assert_eq!(after.selectors[sreg::SS], other);
    // A null selector does not fit SS.
    assert_eq!(rig.run(32, &[0x8E, 0xD0], |_, _| ()).ending, exception(13, Some(0)));
}

#[test]
fn repeated_moves_run_to_completion_in_both_directions() {
    let mut rig = Rig::new();
    let source: [u8; 12] = std::array::from_fn(|i| i as u8 + 1);
    // rep movsd
    let up = rig.done(&[0xF3, 0xA5], |s| {
        (s.gpr[ECX], s.gpr[ESI], s.gpr[EDI]) = (3, 0x100, 0x200);
        put(s, Segment::Data, 0x100, &source);
    });
    assert_eq!((up.gpr[ECX], up.gpr[ESI], up.gpr[EDI]), (0, 0x10C, 0x20C));
    assert_eq!(get(&up, Segment::Extra, 0x200), source);
    // rep movsb, downwards
    let down = rig.done(&[0xF3, 0xA4], |s| {
        s.eflags |= DF;
        (s.gpr[ECX], s.gpr[ESI], s.gpr[EDI]) = (12, 0x10B, 0x20B);
        put(s, Segment::Data, 0x100, &source);
    });
    assert_eq!((down.gpr[ECX], down.gpr[ESI], down.gpr[EDI]), (0, 0xFF, 0x1FF));
    assert_eq!(get(&down, Segment::Extra, 0x200), source);
}

#[test]
fn a_repeated_move_that_is_stepped_completes_too() {
    // At the end of the page no far jump fits behind it.
    let after = Rig::new().done(&[0xF3, 0xA4], |s| {
        s.eip = CODE_OFFSET + PAGE_BYTES - 2;
        (s.gpr[ECX], s.gpr[EDI]) = (5, 0x100);
    });
    assert_eq!((after.gpr[ECX], after.gpr[ESI], after.eip), (0, 5, CODE_OFFSET + PAGE_BYTES));
}

#[test]
fn a_repeated_move_stops_at_the_page_it_cannot_write() {
    // rep stosb upwards into the page behind the window
    let outcome = Rig::new().run(32, &[0xF3, 0xAA], |_, s| {
        (s.gpr[EAX], s.gpr[ECX], s.gpr[EDI]) = (0x11, 0x10, 0xBFC);
    });
    let address = Some(0x2_1000);
    assert_eq!(outcome.ending, Ending::Exception { vector: 14, error_code: Some(6), address });
    assert_eq!((outcome.after.gpr[ECX], outcome.after.gpr[EDI]), (0xC, 0xC00));
    assert_eq!(get(&outcome.after, Segment::Extra, 0xBFB), [0, 0x11, 0x11, 0x11, 0x11]);
}

#[test]
fn a_write_that_begins_on_a_read_only_page_changes_nothing() {
    // mov [efff], eax: the lower window is read-only below its writable copy.
    let outcome = Rig::new().run(32, &[0xA3, 0xFF, 0xEF, 0, 0], |_, s| s.gpr[EAX] = 0x0102_0304);
    let address = Some(0x2_EFFF);
    assert_eq!(outcome.ending, Ending::Exception { vector: 14, error_code: Some(7), address });
    assert!(outcome.after.window.iter().all(|&byte| byte == 0));
}

#[test]
fn limits_hold() {
    let mut rig = Rig::new();
    let mut load = |segment: Segment, offset: u32| {
        // mov eax, fs:[offset]
        let [a, b, c, d] = offset.to_le_bytes();
        rig.run(32, &[0x64, 0xA1, a, b, c, d], |p, s| s.selectors[sreg::FS] = selector(p, segment)).ending
    };
    let fault = exception(13, Some(0));
    let limit = Segment::Short.descriptor().limit;
    assert_eq!(load(Segment::Short, limit - 3), Ending::Completed);
    assert_eq!(load(Segment::Short, limit - 2), fault);
    // Expand-down: the limit itself is invalid, the upper bound depends on D/B.
    let limit = Segment::ExpandDown16.descriptor().limit;
    assert_eq!(load(Segment::ExpandDown16, limit), fault);
    assert_eq!(load(Segment::ExpandDown16, limit + 1), Ending::Completed);
    assert_eq!(load(Segment::ExpandDown16, 0xFFFC), Ending::Completed);
    assert_eq!(load(Segment::ExpandDown16, 0xFFFD), fault);
    assert_eq!(load(Segment::ExpandDown32, 0xFFFE_FFFF), fault);
    assert_eq!(load(Segment::ExpandDown32, 0xFFFF_FFFC), Ending::Completed);
    // Stack segments report #SS: mov eax, ss:[ffff].
    assert_eq!(rig.run(32, &[0x36, 0xA1, 0xFF, 0xFF, 0, 0], |_, _| ()).ending, exception(12, Some(0)));
    // A null selector and a read-only segment: mov gs:[0], eax.
    let store = [0x65, 0xA3, 0, 0, 0, 0];
    assert_eq!(rig.run(32, &store, |_, _| ()).ending, fault);
    let outcome = rig.run(32, &store, |p, s| s.selectors[sreg::GS] = selector(p, Segment::ReadOnly));
    assert_eq!(outcome.ending, fault);
}

#[test]
fn branches_end_at_their_target() {
    let mut rig = Rig::new();
    let start = CODE_OFFSET + 0x400;
    let mut run = |bits: u32, code: &[u8], set: fn(&mut State)| {
        let outcome = rig.run(bits, code, |_, s| {
            s.eip = start;
            set(s);
        });
        assert_eq!(outcome.ending, Ending::Completed, "{code:02x?}");
        outcome.after.eip
    };
    assert_eq!(run(32, &[0xEB, 0x40], |_| ()), start + 0x42);
    assert_eq!(run(32, &[0xEB, 0x80], |_| ()), start + 2 - 0x80);
    // To itself, into itself, and right behind itself.
    assert_eq!(run(32, &[0xEB, 0xFE], |_| ()), start);
    assert_eq!(run(32, &[0xEB, 0xFF], |_| ()), start + 1);
    assert_eq!(run(32, &[0xEB, 0x00], |_| ()), start + 2);
    assert_eq!(run(32, &[0xEB, 0x03], |_| ()), start + 5);
    assert_eq!(run(16, &[0xE9, 0x00, 0xF0], |_| ()), start + 3 - 0x1000);
    // jc, loop, jecxz
    assert_eq!(run(32, &[0x72, 0x20], |s| s.eflags |= CF), start + 0x22);
    assert_eq!(run(32, &[0x72, 0x20], |_| ()), start + 2);
    assert_eq!(run(32, &[0xE2, 0x20], |s| s.gpr[ECX] = 2), start + 0x22);
    assert_eq!(run(32, &[0xE2, 0xFE], |s| s.gpr[ECX] = 2), start);
    assert_eq!(run(32, &[0xE3, 0x20], |_| ()), start + 0x22);
    // jmp eax; ret
    assert_eq!(run(32, &[0xFF, 0xE0], |s| s.gpr[EAX] = 0x8123), 0x8123);
    assert_eq!(run(32, &[0xC3], |s| put(s, Segment::Stack32, s.gpr[ESP], &[0x45, 0x83])), 0x8345);
}

#[test]
fn a_branch_beyond_the_limit_faults_at_itself() {
    let mut rig = Rig::new();
    let fault = exception(13, Some(0));
    // jmp +7FFFFFFFh
    let outcome = rig.run(32, &[0xE9, 0xFF, 0xFF, 0xFF, 0x7F], |_, _| ());
    assert_eq!((outcome.ending, outcome.after.eip), (fault, CODE_OFFSET));
    // jmp 9000h, with the limit at 8FFFh
    let outcome = rig.run(32, &[0xE9, 0xFB, 0x0F, 0, 0], |p, s| {
        s.selectors[sreg::CS] = selector(p, Segment::ShortCode32);
    });
    assert_eq!((outcome.ending, outcome.after.eip), (fault, CODE_OFFSET));
}

#[test]
fn far_transfers_load_cs() {
    let mut rig = Rig::new();
    let code16 = selector(&rig.0, Segment::Code16);
    let [low, high] = code16.to_le_bytes();
    // jmp far code16:8200
    let after = rig.done(&[0xEA, 0x00, 0x82, 0, 0, low, high], |_| ());
    assert_eq!((after.eip, after.selectors[sreg::CS]), (0x8200, code16));
    // To a data segment.
    let [low, high] = selector(&rig.0, Segment::Data).to_le_bytes();
    let outcome = rig.run(32, &[0xEA, 0x00, 0x82, 0, 0, low, high], |_, _| ());
    let selector = u32::from(selector(&rig.0, Segment::Data)) & !3;
    assert_eq!(outcome.ending, exception(13, Some(selector)));
}

#[test]
fn an_instruction_that_leaves_the_page_faults_behind_it() {
    let mut rig = Rig::new();
    // mov eax, imm32, two bytes of which are left
    let code = [0xB8, 0x11];
    let outcome = rig.run(32, &code, |_, s| s.eip = CODE_OFFSET + PAGE_BYTES - 2);
    let Ending::Exception { vector: 14, error_code: Some(error), address: Some(0x1_9000) } = outcome.ending
    else {
        panic!("{:?}", outcome.ending)
    };
    // User mode, read, not present; a processor with NX adds that it was a fetch.
    assert_eq!(error & !0x10, 4);
    let outcome = rig.run(32, &code, |p, s| {
        s.eip = CODE_OFFSET + PAGE_BYTES - 2;
        s.selectors[sreg::CS] = selector(p, Segment::ShortCode32);
    });
    assert_eq!(outcome.ending, exception(13, Some(0)));
}

#[test]
fn alignment_is_checked_when_ac_is_set() {
    let mut rig = Rig::new();
    let load = [0xA1, 1, 0, 0, 0];
    assert_eq!(rig.run(32, &load, |_, _| ()).ending, Ending::Completed);
    assert_eq!(rig.run(32, &load, |_, s| s.eflags |= 1 << 18).ending, exception(17, Some(0)));
}

#[test]
fn x87_loads_adds_and_takes_roots() {
    let mut rig = Rig::new();
    const ONE: [u8; 10] = [0, 0, 0, 0, 0, 0, 0, 0x80, 0xFF, 0x3F];
    const TWO: [u8; 10] = [0, 0, 0, 0, 0, 0, 0, 0x80, 0x00, 0x40];
    const FOUR: [u8; 10] = [0, 0, 0, 0, 0, 0, 0, 0x80, 0x01, 0x40];
    let fld1 = rig.done(&[0xD9, 0xE8], |_| ());
    assert_eq!((fld1.fx.st(0), fld1.fx.fsw() >> 11 & 7, fld1.fx.u16_at(4)), (ONE, 7, 0x80));
    // fadd st, st
    let doubled = rig.done(&[0xD8, 0xC0], |s| s.fx = fld1.fx.clone());
    assert_eq!(doubled.fx.st(0), TWO);
    // fsqrt
    let root = rig.done(&[0xD9, 0xFA], |s| {
        s.fx = fld1.fx.clone();
        s.fx.set_st(0, FOUR);
    });
    assert_eq!(root.fx.st(0), TWO);
}

#[test]
fn a_pending_x87_exception_is_raised_by_the_next_waiting_instruction() {
    let mut rig = Rig::new();
    let pending = |s: &mut State| {
        s.fx.set_u16(0, 0x037B); // ZM clear
        s.fx.set_u16(2, 0x8084); // ZE, ES and B set
    };
    let outcome = rig.run(32, &[0x9B], |_, s| pending(s));
    assert_eq!((outcome.ending, outcome.after.eip), (exception(16, None), CODE_OFFSET));
    assert_eq!(outcome.after.fx.fsw(), 0x8084);
    // fnclex
    let cleared = rig.done(&[0xDB, 0xE2], pending);
    assert_eq!(cleared.fx.fsw(), 0);
}

#[test]
fn mmx_adds_bytes_and_marks_the_stack_valid() {
    // paddb mm0, mm1
    let after = Rig::new().done(&[0x0F, 0xFC, 0xC1], |s| {
        s.fx.set_st(0, [0xFF, 1, 2, 3, 4, 5, 6, 7, 0, 0]);
        s.fx.set_st(1, [2, 2, 2, 2, 2, 2, 2, 2, 0, 0]);
    });
    assert_eq!(after.fx.st(0), [1, 3, 4, 5, 6, 7, 8, 9, 0xFF, 0xFF]);
    assert_eq!(after.fx.u16_at(4), 0xFF);
}

#[test]
fn sse_adds_and_reports_unmasked_exceptions() {
    let mut rig = Rig::new();
    let splat = |value: f32| std::array::from_fn(|i| value.to_le_bytes()[i % 4]);
    // addps xmm0, xmm1
    let after = rig.done(&[0x0F, 0x58, 0xC1], |s| {
        s.fx.set_xmm(0, splat(1.5));
        s.fx.set_xmm(1, splat(2.25));
    });
    assert_eq!(after.fx.xmm(0), splat(3.75));
    // divps xmm0, xmm1 by zero, unmasked
    let outcome = rig.run(32, &[0x0F, 0x5E, 0xC1], |_, s| {
        s.fx.set_xmm(0, splat(1.0));
        s.fx.set_mxcsr(0x1D80);
    });
    assert_eq!((outcome.ending, outcome.after.fx.mxcsr()), (exception(19, None), 0x1D84));
}

#[test]
fn what_reaches_past_the_guest_is_refused() {
    let mut rig = Rig::new();
    let mut refusal = |code: &[u8]| rig.try_run(32, code, |_, _| ()).err();
    assert_eq!(refusal(&[0xCD, 0x80]), Some(Refused::Instruction));
    assert_eq!(refusal(&[0x0F, 0x05]), Some(Refused::Instruction));
    assert_eq!(refusal(&[0x0F, 0x34]), Some(Refused::Instruction));
    assert_eq!(refusal(&[0x0F, 0x01, 0xEF]), Some(Refused::Instruction)); // wrpkru
    assert_eq!(refusal(&[0x90, 0xCD, 0x80]), Some(Refused::Length));
    assert_eq!(refusal(&[0xB8, 0x01]), Some(Refused::Length));
    assert_eq!(refusal(&[]), Some(Refused::Length));
    assert_eq!(rig.try_run(32, &[0x90], |_, s| s.eip = 0).err(), Some(Refused::Eip));
    assert_eq!(rig.try_run(32, &[0x90], |_, s| s.fx.set_mxcsr(1 << 16)).err(), Some(Refused::Mxcsr));
    for selector in [0x2B, 0x33, 0x4007] {
        let result = rig.try_run(32, &[0x90], |_, s| s.selectors[sreg::DS] = selector);
        assert_eq!(result.err(), Some(Refused::Selector));
    }
    let result = rig.try_run(32, &[0x90], |_, s| s.selectors[sreg::DS] = 3);
    assert_eq!(result.err(), Some(Refused::Selector));
    // No room to stop without TF, which this one would show.
    assert_eq!(rig.try_run(32, &[0x9C], |_, s| s.eip = 0x8FFF).err(), Some(Refused::Instruction));
    let result = rig.try_run(32, &[0x90], |_, s| s.selectors[sreg::SS] = 0);
    assert_eq!(result.err(), Some(Refused::Selector));
}

#[test]
fn the_host_keeps_its_state() {
    let mut rig = Rig::new();
    // Everything a case can change that the host's code relies on: flags, control words, segment bases.
    let outcome = rig.run(32, &[0x90], |p, s| {
        s.eflags = DF | 1 << 18;
        s.fx.set_u16(0, 0x0F7F);
        s.fx.set_mxcsr(0x7F80);
        s.selectors[sreg::FS] = selector(p, Segment::Short);
        s.selectors[sreg::GS] = selector(p, Segment::Extra);
    });
    assert_eq!(outcome.ending, Ending::Completed);
    assert_eq!(outcome.after.eflags, EFLAGS_FIXED | DF | 1 << 18);
    // Thread-local storage, and rounding to nearest.
    assert!(std::thread::current().name().is_some());
    assert_eq!(std::hint::black_box(1.0f32) / std::hint::black_box(3.0), 0.333_333_34);
    let mut copy = vec![1u8; 1000];
    copy.copy_within(0..999, 1);
    assert_eq!(copy, [1; 1000]);
}

#[test]
fn flat_segments_run_what_stays_in_the_guest() {
    let mut processor = NativeProcessor::with(Segmentation::Flat).expect("this host runs 32-bit code");
    let state = processor.state(Segment::Code32, Segment::Stack32).expect("flat segments have these roles");
    assert_eq!(processor.state(Segment::Code16, Segment::Stack16), None);
    let mut run = |code: &[u8], set: &dyn Fn(&mut State)| {
        let mut before = state.clone();
        set(&mut before);
        processor.run(&NativeCase { code: code.to_vec(), before })
    };
    // push eax
    let outcome = run(&[0x50], &|s| s.gpr[EAX] = 0x0102_0304).expect("the stack is in the guest");
    assert_eq!(outcome.ending, Ending::Completed);
    assert_eq!(outcome.after.gpr[ESP], state.gpr[ESP] - 4);
    assert_eq!(outcome.after.window[PAGE_BYTES as usize - 4..][..4], [4, 3, 2, 1]);
    // A page that is not there: pop eax, far above.
    let outcome = run(&[0x58], &|s| s.gpr[ESP] += 2 * PAGE_BYTES).expect("unmapped, but the guest's");
    assert!(matches!(outcome.ending, Ending::Exception { vector: 14, error_code: Some(4), .. }));
    // div ecx, jmp +10h
    assert_eq!(run(&[0xF7, 0xF1], &|_| ()).map(|o| o.ending), Ok(exception(0, None)));
    assert_eq!(run(&[0xEB, 0x10], &|_| ()).map(|o| o.after.eip), Ok(state.eip + 0x12));
    // mov eax, [0]; rep stosb upwards out of the guest; bts [eax], ecx; jmp 0 and jmp eax, which only arrive.
    assert_eq!(run(&[0xA1, 0, 0, 0, 0], &|_| ()).err(), Some(Refused::Memory));
    let escape = |s: &mut State| (s.gpr[EDI], s.gpr[ECX]) = (state.gpr[ESP], REGION_BYTES);
    assert_eq!(run(&[0xF3, 0xAA], &escape).err(), Some(Refused::Memory));
    assert_eq!(run(&[0x0F, 0xAB, 0x08], &|s| s.gpr[EAX] = s.gpr[ESP]).err(), Some(Refused::Memory));
    let to_zero = (0u32.wrapping_sub(state.eip + 5)).to_le_bytes();
    let jump = [0xE9, to_zero[0], to_zero[1], to_zero[2], to_zero[3]];
    assert_eq!(run(&jump, &|_| ()).map(|o| o.after.eip), Ok(0));
    assert_eq!(run(&[0xFF, 0xE0], &|_| ()).map(|o| o.after.eip), Ok(0));
}

#[test]
fn processors_in_several_threads_do_not_meet() {
    std::thread::scope(|scope| {
        for thread in 0..4u32 {
            scope.spawn(move || {
                let mut rig = Rig::new();
                for i in 0..2000u32 {
                    // mov [0], eax, then a fault, then the same through ES.
                    let value = i << 4 | thread;
                    let stored = rig.done(&[0xA3, 0, 0, 0, 0], |s| s.gpr[EAX] = value);
                    assert_eq!(get(&stored, Segment::Data, 0), value.to_le_bytes());
                    assert_eq!(rig.run(32, &[0xF7, 0xF1], |_, _| ()).ending, exception(0, None));
                    let stored = rig.done(&[0x26, 0xA3, 0, 0, 0, 0], |s| s.gpr[EAX] = value);
                    assert_eq!(get(&stored, Segment::Extra, 0), value.to_le_bytes());
                }
            });
        }
    });
}

/// Faults of the process itself, each in a process of its own.
mod foreign_faults {
    use super::*;
    use std::arch::asm;
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Command, ExitStatus};

    const CHILD: &str = "IDEM86_NATIVE_CHILD";

    fn child(test: &str) -> ExitStatus {
        let executable = std::env::current_exe().expect("the test's own path");
        let name = format!("host::native::linux::tests::foreign_faults::{test}");
        let mut command = Command::new(executable);
        command.args(["--exact", &name, "--test-threads=1"]).env(CHILD, "1");
        command.output().expect("the test runs itself").status
    }

    fn undefined_instruction() {
        // SAFETY: raises SIGILL; a handler that skips its two bytes finds nothing changed.
        unsafe { asm!("ud2") };
    }

    #[test]
    fn kill_as_they_would_have() {
        if std::env::var_os(CHILD).is_some() {
            Rig::new();
            undefined_instruction();
        }
        assert_eq!(child("kill_as_they_would_have").signal(), Some(libc::SIGILL));
    }

    #[test]
    fn reach_the_previous_handler() {
        extern "C" fn skip(_: libc::c_int, _: *mut libc::siginfo_t, user: *mut libc::c_void) {
            // SAFETY: SA_SIGINFO passes a valid context; RIP points at a `ud2`.
            unsafe { (*user.cast::<libc::ucontext_t>()).uc_mcontext.gregs[libc::REG_RIP as usize] += 2 };
        }
        if std::env::var_os(CHILD).is_some() {
            // SAFETY: the handler above is async-signal-safe and has the type that SA_SIGINFO says.
            unsafe {
                let mut action: libc::sigaction = std::mem::zeroed();
                action.sa_sigaction = skip as *const () as usize;
                action.sa_flags = libc::SA_SIGINFO;
                assert_eq!(libc::sigaction(libc::SIGILL, &action, std::ptr::null_mut()), 0);
            }
            let mut rig = Rig::new();
            undefined_instruction();
            assert_eq!(rig.run(32, &[0x0F, 0x0B], |_, _| ()).ending, exception(6, None));
            undefined_instruction();
            return;
        }
        assert!(child("reach_the_previous_handler").success());
    }
}
