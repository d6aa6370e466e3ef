//! Runs cases: fills the guest, enters it, and makes an outcome of what is left.

use super::enter::{Context, EXIT_CODE, Trap};
use super::memory::GuestMemory;
use super::screen::{Place, Stop, far_jump, screen};
use super::segments::Segments;
use super::signal::{Crossing, USER_CS};
use crate::host::native::layout::{
    CODE_LINEAR, Descriptor, EXIT_LINEAR, OfferedSegment, PAGE_BYTES, Segment, Segmentation, WINDOW_BYTES,
    WINDOW_LINEAR,
};
use crate::host::native::{
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
    segments: Segments,
    memory: GuestMemory,
}

impl NativeProcessor {
    /// The best that this host can do: [`Segmentation::Local`], or [`Segmentation::Flat`] where the kernel
    /// refuses local descriptors (`modify_ldt` may be compiled out or filtered).
    ///
    /// # Errors
    ///
    /// [`Unsupported`] if neither is possible.
    pub fn new() -> Result<Self, Unsupported> {
        Self::with(Segmentation::Local).or_else(|_| Self::with(Segmentation::Flat))
    }

    /// Reserves memory and segments, and installs the signal handlers if this is the first one.
    ///
    /// # Errors
    ///
    /// [`Unsupported`] if the kernel refuses what this takes.
    pub fn with(segmentation: Segmentation) -> Result<Self, Unsupported> {
        let kernel = |what| move |source| Unsupported::Kernel { what, source };
        let memory = GuestMemory::new(&EXIT_CODE).map_err(kernel("map guest memory below 4 GiB"))?;
        let segments = Segments::new(segmentation, memory.linear_base())?;
        let crossing = Crossing::new().map_err(kernel("install signal handlers"))?;
        Ok(Self { crossing, segments, memory })
    }

    /// How the segments are made.
    pub fn segmentation(&self) -> Segmentation {
        self.segments.segmentation
    }

    /// The segments that a case may use.
    pub fn segments(&self) -> &[OfferedSegment] {
        &self.segments.offered
    }

    /// The segment in a role, if this processor has it.
    pub fn segment(&self, segment: Segment) -> Option<&OfferedSegment> {
        self.segments.by_role(segment)
    }

    /// A state with CS and SS as named, DS [`Segment::Data`] and ES [`Segment::Extra`]. ESP points to the middle
    /// of the stack segment's window, EIP to the start of the code page, everything else is zero.
    ///
    /// `None` if this processor does not have the segments.
    pub fn state(&self, code: Segment, stack: Segment) -> Option<State> {
        let (code, stack) = (self.segment(code)?, self.segment(stack)?);
        let mut selectors = [0; 6];
        selectors[sreg::CS] = code.selector;
        selectors[sreg::SS] = stack.selector;
        selectors[sreg::DS] = self.segment(Segment::Data)?.selector;
        selectors[sreg::ES] = self.segment(Segment::Extra)?.selector;
        let top = WINDOW_LINEAR + WINDOW_BYTES as u32 / 2;
        Some(State {
            gpr: [0, 0, 0, 0, top.wrapping_sub(stack.descriptor.base), 0, 0, 0],
            eip: CODE_LINEAR.wrapping_sub(code.descriptor.base),
            eflags: EFLAGS_FIXED,
            selectors,
            fx: FxImage::new(),
            window: Box::new([0; WINDOW_BYTES]),
        })
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
        let place = self.check_state(before)?;
        let (bits, start) = (place.bits, place.start as usize);
        let stop = screen(code, before, &place)?;

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

    /// Checks everything that entering the guest relies on.
    fn check_state(&self, state: &State) -> Result<Place, Refused> {
        if state.fx.mxcsr() & !MXCSR_MASK != 0 {
            return Err(Refused::Mxcsr);
        }
        // One selector may have several roles: whichever suits.
        let offers = |selector: u16, suits: fn(&Descriptor) -> bool| {
            let mut offered = self.segments.offered.iter();
            offered.find(|offered| offered.selector == selector && suits(&offered.descriptor))
        };
        let holds = |(register, &selector): (usize, &u16)| match register {
            sreg::SS => offers(selector, Descriptor::is_stack).is_some(),
            _ => selector == 0 || offers(selector, Descriptor::is_readable).is_some(),
        };
        let code = offers(state.selectors[sreg::CS], Descriptor::is_code).ok_or(Refused::Selector)?;
        if !state.selectors.iter().enumerate().filter(|(register, _)| *register != sreg::CS).all(holds) {
            return Err(Refused::Selector);
        }
        let start = code.descriptor.base.wrapping_add(state.eip).wrapping_sub(CODE_LINEAR);
        if start >= PAGE_BYTES {
            return Err(Refused::Eip);
        }
        Ok(Place {
            bits: if code.descriptor.big { 32 } else { 16 },
            start,
            flat_base: (self.segmentation() == Segmentation::Flat).then(|| self.memory.linear_base()),
        })
    }
}

fn fill(context: &mut Context, before: &State, stop: Stop) {
    let (single_step, repeats) = match stop {
        Stop::FarJump => (false, false),
        Stop::SingleStep { repeats } => (true, repeats),
    };
    let eflags = before.eflags & EFLAGS_IN | EFLAGS_FIXED | if single_step { TF } else { 0 };
    let State { gpr, eip, eflags: _, selectors, fx, window: _ } = before;
    context.fx = fx.clone();
    context.fx.normalize();
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
    *fx = context.fx.clone();
    fx.normalize();
}
