//! Runs cases: fills the guest, enters it, and makes an outcome of what is left.

use super::enter::{Context, EXIT_CODE, Trap};
use super::layout::{CODE_OFFSET, EXIT_LINEAR, PAGE_BYTES, Segment, WINDOW_BYTES};
use super::ldt::LocalDescriptors;
use super::memory::GuestMemory;
use super::screen::{Stop, far_jump, screen};
use super::signal::{Crossing, USER_CS};
use super::{
    EFLAGS_FIXED, EFLAGS_IN, EFLAGS_OUT, Ending, FxImage, MXCSR_MASK, NativeCase, NativeOutcome, Refused,
    State, Unsupported, sreg,
};

const TF: u32 = 1 << 8;

const GENERAL_PROTECTION: u8 = 13;
const PAGE_FAULT: u8 = 14;

/// A guest's memory and segments, in which cases run one after another.
///
/// Processors are independent of each other and may run in several threads at once.
pub struct NativeProcessor {
    crossing: Crossing,
    descriptors: LocalDescriptors,
    memory: GuestMemory,
}

impl NativeProcessor {
    /// Reserves memory and descriptors, and installs the signal handlers if this is the first one.
    ///
    /// # Errors
    ///
    /// [`Unsupported`] if the kernel refuses: `modify_ldt` may be compiled out or filtered.
    pub fn new() -> Result<Self, Unsupported> {
        let kernel = |what| move |source| Unsupported::Kernel { what, source };
        let memory = GuestMemory::new(&EXIT_CODE).map_err(kernel("map guest memory below 4 GiB"))?;
        let descriptors =
            LocalDescriptors::new(memory.linear_base()).map_err(kernel("write local descriptors"))?;
        let crossing = Crossing::new().map_err(kernel("install signal handlers"))?;
        Ok(Self { crossing, descriptors, memory })
    }

    /// The selector of a segment, RPL 3.
    pub fn selector(&self, segment: Segment) -> u16 {
        self.descriptors.selector(segment)
    }

    /// A state in which every register holds something usable: all zero but EIP at the start of the code
    /// page, ESP in the middle of the lower page of the window, and `code`, `stack`, DS and ES as named.
    pub fn state(&self, code: Segment, stack: Segment) -> State {
        let mut selectors = [0; 6];
        selectors[sreg::CS] = self.selector(code);
        selectors[sreg::SS] = self.selector(stack);
        selectors[sreg::DS] = self.selector(Segment::Data);
        selectors[sreg::ES] = self.selector(Segment::Extra);
        State {
            gpr: [0, 0, 0, 0, 0xF000, 0, 0, 0],
            eip: CODE_OFFSET,
            eflags: EFLAGS_FIXED,
            selectors,
            fx: FxImage::new(),
            window: Box::new([0; WINDOW_BYTES]),
        }
    }

    /// Runs one instruction.
    ///
    /// # Errors
    ///
    /// [`Refused`] if the case could reach past the guest's region or does not describe one instruction.
    ///
    /// # Panics
    ///
    /// If the kernel refuses the system calls that prepare the thread, which it did not do in
    /// [`NativeProcessor::new`]'s circumstances.
    pub fn run(&mut self, case: &NativeCase) -> Result<NativeOutcome, Refused> {
        let NativeCase { code, before } = case;
        self.check_state(before)?;
        let bits = if self.segment(before.selectors[sreg::CS]).is_some_and(|cs| cs.descriptor().big) {
            32
        } else {
            16
        };
        let start = (before.eip - CODE_OFFSET) as usize;
        let stop = screen(code, bits, before.eip, PAGE_BYTES as usize - start)?;

        self.memory.store_window(&before.window);
        self.memory.store_code(start, code);
        let exit = self.memory.linear_base() + EXIT_LINEAR;
        let (far_jump, skip) = far_jump(bits, USER_CS, exit);
        if stop == Stop::FarJump {
            self.memory.store_code(start + code.len(), &far_jump[skip..]);
        }
        fill(self.crossing.context(), before, stop);
        // SAFETY: `check_state` vouches for selectors, EIP and MXCSR.
        unsafe { self.crossing.enter() }.expect("system calls on our own thread and memory");
        self.memory.fill_code(start, code.len() + far_jump.len());

        let mut after = before.clone();
        self.memory.load_window(&mut after.window);
        let context = self.crossing.context();
        drain(context, &mut after);
        let ending = match context.trap {
            None => {
                after.eip = before.eip.wrapping_add(code.len() as u32);
                Ending::Completed
            }
            Some(trap) => {
                assert!(!(trap.cs == USER_CS && trap.rip > u64::from(u32::MAX)), "fault on the way in");
                after.eip = trap.rip as u32;
                after.selectors[sreg::CS] = trap.cs;
                let at_target =
                    after.eip != before.eip && matches!(trap.vector, GENERAL_PROTECTION | PAGE_FAULT);
                if trap.single_step || at_target { Ending::Completed } else { self.exception(trap) }
            }
        };
        Ok(NativeOutcome { after, ending })
    }

    fn exception(&self, trap: Trap) -> Ending {
        Ending::Exception {
            vector: trap.vector,
            // SDM Vol. 3A, "Error Code": these vectors push one.
            error_code: matches!(trap.vector, 8 | 10..=14 | 17).then_some(trap.error_code),
            address: (trap.vector == PAGE_FAULT)
                .then_some((trap.cr2 as u32).wrapping_sub(self.memory.linear_base())),
        }
    }

    fn segment(&self, selector: u16) -> Option<Segment> {
        Segment::ALL.into_iter().find(|&segment| self.selector(segment) == selector)
    }

    /// Checks everything that entering the guest relies on.
    fn check_state(&self, state: &State) -> Result<(), Refused> {
        if !(CODE_OFFSET..CODE_OFFSET + PAGE_BYTES).contains(&state.eip) {
            return Err(Refused::Eip);
        }
        if state.fx.mxcsr() & !MXCSR_MASK != 0 {
            return Err(Refused::Mxcsr);
        }
        let holds = |register: usize, selector: u16| match (register, self.segment(selector)) {
            (sreg::CS, segment) => segment.is_some_and(Segment::is_code),
            (sreg::SS, segment) => segment.is_some_and(Segment::is_stack),
            (_, segment) => selector == 0 || segment.is_some_and(Segment::is_readable),
        };
        let all = state.selectors.iter().enumerate().all(|(register, &selector)| holds(register, selector));
        if all { Ok(()) } else { Err(Refused::Selector) }
    }
}

fn fill(context: &mut Context, before: &State, stop: Stop) {
    let (single_step, repeats) = match stop {
        Stop::FarJump => (false, false),
        Stop::SingleStep { repeats } => (true, repeats),
    };
    let eflags = before.eflags & EFLAGS_IN | EFLAGS_FIXED | if single_step { TF } else { 0 };
    let State { gpr, eip, eflags: _, selectors, fx, window: _ } = before;
    context.fx.0.copy_from_slice(&fx.0);
    context.fx.0[FxImage::VISIBLE_BYTES..].fill(0);
    context.gpr = *gpr;
    context.eip = *eip;
    [context.es, context.cs, context.ss, context.ds, context.fs, context.gs] = *selectors;
    context.rflags = u64::from(eflags);
    context.trap = None;
    context.single_step = single_step;
    context.repeats = repeats;
    context.arrived = false;
}

fn drain(context: &Context, after: &mut State) {
    let State { gpr, eip: _, eflags, selectors, fx, window: _ } = after;
    *gpr = context.gpr;
    *eflags = context.rflags as u32 & EFLAGS_OUT;
    *selectors = [context.es, context.cs, context.ss, context.ds, context.fs, context.gs];
    for selector in selectors.iter_mut().filter(|selector| **selector <= 3) {
        *selector = 0;
    }
    fx.0[..FxImage::VISIBLE_BYTES].copy_from_slice(&context.fx.0[..FxImage::VISIBLE_BYTES]);
}
