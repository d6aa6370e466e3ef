//! Random cases: an instruction, and a state in which it does something worth comparing.
//!
//! The instruction comes from a [`Template`], so that every encoding is as likely as any other. Then the state
//! is bent towards it: registers that take part in an address are set so that it falls into the window, mostly;
//! branch targets fall into the code page, mostly; divisions do not overflow, mostly. The rest is left to fault.

use super::rng::Rng;
use super::template::{Immediate, Template, is_tested, templates};
use super::values;
use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction, MemorySize, Mnemonic, OpKind, Register};
use idem86_translator::host::native::layout::{
    CODE_LINEAR, Descriptor, OfferedSegment, PAGE_BYTES, PAGES, Segment, SegmentType, Storage, WINDOW_BYTES,
    WINDOW_LINEAR,
};
use idem86_translator::host::native::{
    EFLAGS_FIXED, EFLAGS_OUT, FxImage, MXCSR_MASK, NativeCase, NativeProcessor, State, gpr, sreg,
};

const DF: u32 = 1 << 10;
const AC: u32 = 1 << 18;
const STATUS_FLAGS: u32 = 0x8D5;

/// A case and what it is about.
pub struct Generated {
    /// The decoded instruction; its IP is EIP.
    pub instruction: Instruction,
    /// The case.
    pub case: NativeCase,
}

/// Makes cases for one processor, whose segments they use.
pub struct Generator {
    segments: Vec<OfferedSegment>,
    /// Offset of the code page in every code segment.
    code_start: u32,
    templates: [Vec<Template>; 2],
    /// What the window holds where a case puts nothing else.
    background: Box<[u8; WINDOW_BYTES]>,
}

impl Generator {
    /// A generator for `processor`.
    pub fn new(processor: &NativeProcessor) -> Self {
        let mut rng = Rng::new(0);
        let mut background = Box::new([0; WINDOW_BYTES]);
        for run in background.chunks_exact_mut(16) {
            match rng.below(4) {
                // Runs of equal bytes give repeated comparisons something to do.
                0 => run.fill(rng.pick(&[0, 0x20, 0xFF])),
                _ => run.copy_from_slice(&values::vector(&mut rng)),
            }
        }
        let code = processor.segment(Segment::Code32).expect("every processor has 32-bit code");
        let has_16_bit_code = processor.segment(Segment::Code16).is_some();
        Self {
            segments: processor.segments().to_vec(),
            code_start: CODE_LINEAR.wrapping_sub(code.descriptor.base),
            templates: [if has_16_bit_code { templates(16) } else { Vec::new() }, templates(32)],
            background,
        }
    }

    /// The templates for code of `bits` (16 or 32).
    pub fn templates(&self, bits: u32) -> &[Template] {
        &self.templates[bits as usize / 32]
    }

    /// The case of a seed.
    pub fn case(&self, seed: u64) -> Generated {
        let mut rng = Rng::new(seed);
        let bits = if rng.chance(50) && !self.templates(16).is_empty() { 16 } else { 32 };
        loop {
            let generated = if rng.chance(3) {
                self.attempt_any(&mut rng, bits)
            } else {
                let index = rng.below(self.templates(bits).len() as u32);
                self.attempt(&mut rng, bits, &self.templates(bits)[index as usize])
            };
            if let Some(generated) = generated {
                return generated;
            }
        }
    }

    /// A case of a template, unless what was chosen at random makes it another instruction.
    pub fn attempt(&self, rng: &mut Rng, bits: u32, template: &Template) -> Option<Generated> {
        let (code_segment, eip) = self.code_place(rng, bits);
        let code = self.encode(rng, eip, template);
        let instruction = Decoder::with_ip(bits, &code, u64::from(eip), DecoderOptions::NONE).decode();
        let complete = instruction.len() == code.len() && !instruction.is_invalid();
        if !complete || !is_tested(instruction.code()) {
            return None;
        }
        let before = self.state(rng, code_segment, eip, &instruction);
        Some(Generated { instruction, case: NativeCase { code, before } })
    }

    /// A case of random bytes: an instruction under test, or what is none to any processor.
    fn attempt_any(&self, rng: &mut Rng, bits: u32) -> Option<Generated> {
        let (code_segment, eip) = self.code_place(rng, bits);
        let mut code = random_bytes(rng);
        let instruction = Decoder::with_ip(bits, &code, u64::from(eip), DecoderOptions::NONE).decode();
        if !instruction.is_invalid() {
            code.truncate(instruction.len());
            if !is_tested(instruction.code()) {
                return None;
            }
        } else if is_locked_verw(&code) {
            return None;
        }
        let before = self.state(rng, code_segment, eip, &instruction);
        Some(Generated { instruction, case: NativeCase { code, before } })
    }

    /// A code segment, and an offset in its page.
    fn code_place(&self, rng: &mut Rng, bits: u32) -> (Segment, u32) {
        use Segment::*;
        let usual = if bits == 16 { Code16 } else { Code32 };
        let short = if bits == 16 { ShortCode16 } else { ShortCode32 };
        let segment = if rng.chance(85) { usual } else { self.one_of(rng, &[usual, short]) };
        let at = if rng.chance(97) { rng.below(PAGE_BYTES - 32) } else { PAGE_BYTES - 1 - rng.below(16) };
        (segment, self.code_start + at)
    }

    /// The name of the segment with a selector.
    pub fn segment_name(&self, selector: u16) -> String {
        let found = self.segments.iter().find(|offered| offered.selector == selector);
        found.map_or(format!("{selector:x}"), |offered| format!("{:?}", offered.segment))
    }

    fn offered(&self, segment: Segment) -> Option<&OfferedSegment> {
        self.segments.iter().find(|offered| offered.segment == segment)
    }

    /// One of these segments; the first, which must be offered, if the choice is not.
    fn one_of(&self, rng: &mut Rng, segments: &[Segment]) -> Segment {
        let choice = rng.pick(segments);
        if self.offered(choice).is_some() { choice } else { segments[0] }
    }

    fn selector(&self, segment: Segment) -> u16 {
        self.offered(segment).expect("the segment was chosen from what is offered").selector
    }

    fn descriptor(&self, selector: u16) -> Option<Descriptor> {
        let found = self
            .segments
            .iter()
            .find(|offered| offered.selector == selector && !offered.descriptor.is_code());
        let found = found.or_else(|| self.segments.iter().find(|offered| offered.selector == selector));
        found.map(|offered| offered.descriptor)
    }

    fn data(&self) -> Descriptor {
        self.offered(Segment::Data).expect("every processor has data").descriptor
    }

    fn encode(&self, rng: &mut Rng, eip: u32, template: &Template) -> Vec<u8> {
        let mut code = Vec::with_capacity(16);
        let displacement = place(rng, &self.data(), 16);
        let address_size = template.encode_head(rng, &mut code, displacement);
        for &immediate in &template.immediates {
            let (value, bytes) = match immediate {
                Immediate::Data(bytes) => (values::integer(rng), bytes),
                Immediate::Moffs => (displacement, address_size as u8 / 8),
                Immediate::Relative(1) => (rng.bits(), 1),
                Immediate::Relative(bytes) => {
                    let next = eip + code.len() as u32 + u32::from(bytes);
                    (self.code_target(rng).wrapping_sub(next), bytes)
                }
                Immediate::Far(bytes) => (self.code_target(rng), bytes),
            };
            code.extend(&value.to_le_bytes()[..bytes as usize]);
            if let Immediate::Far(_) = immediate {
                code.extend(self.code_selector(rng).to_le_bytes());
            }
        }
        code
    }

    /// A value for a segment register: mostly a selector of ours, else one that faults.
    fn any_selector(&self, rng: &mut Rng) -> u16 {
        const LOCAL: u16 = 4;
        match rng.below(10) {
            0 => rng.below(4) as u16,
            // Outside the local table, and outside Linux's global one, of which the cases know nothing.
            1 => (0x1800 + rng.below(0x100) as u16) << 3 | rng.below(8) as u16 | LOCAL,
            2 => (0x1800 + rng.below(0x100) as u16) << 3 | rng.below(4) as u16,
            3 => rng.pick(&self.segments).selector & !3 | rng.below(4) as u16,
            _ => rng.pick(&self.segments).selector,
        }
    }

    fn code_selector(&self, rng: &mut Rng) -> u16 {
        const CODE: [Segment; 4] =
            [Segment::Code32, Segment::Code16, Segment::ShortCode32, Segment::ShortCode16];
        if rng.chance(70) { self.selector(self.one_of(rng, &CODE)) } else { self.any_selector(rng) }
    }

    /// A branch target: mostly in the code page.
    fn code_target(&self, rng: &mut Rng) -> u32 {
        match rng.below(20) {
            0 => values::integer(rng),
            1 => self.code_start + PAGE_BYTES - 2 + rng.below(4),
            _ => self.code_start + rng.below(PAGE_BYTES),
        }
    }

    fn state(&self, rng: &mut Rng, code_segment: Segment, eip: u32, instruction: &Instruction) -> State {
        let mut state = State {
            gpr: std::array::from_fn(|_| values::integer(rng)),
            eip,
            eflags: eflags(rng),
            selectors: self.segments(rng, code_segment),
            fx: fx_image(rng),
            window: self.background.clone(),
        };
        if rng.chance(92) {
            let stack = self.segment_of(&state, Register::SS);
            state.gpr[gpr::ESP] = merge(state.gpr[gpr::ESP], place(rng, &stack, 16), stack.big);
        }
        self.steer_operands(rng, instruction, &mut state);
        self.steer_memory(rng, instruction, &mut state);
        state
    }

    fn segments(&self, rng: &mut Rng, code_segment: Segment) -> [u16; 6] {
        use Segment::*;
        let mut selectors = [0; 6];
        selectors[sreg::CS] = self.selector(code_segment);
        let stack = match rng.below(20) {
            0 => self.one_of(rng, &[Data, Short, ExpandDown16, ExpandDown32]),
            n if n < 10 => self.one_of(rng, &[Stack32, Stack16, Stack16, Stack16]),
            _ => Stack32,
        };
        selectors[sreg::SS] = self.selector(stack);
        for (register, usual) in
            [(sreg::DS, Data), (sreg::ES, Extra), (sreg::FS, ReadOnly), (sreg::GS, ExpandDown32)]
        {
            selectors[register] = match rng.below(12) {
                0 => 0,
                1 => {
                    let any = [Data, Extra, Code32, Stack16, ReadOnly, Short, ExpandDown16, ExpandDown32];
                    self.selector(self.one_of(rng, &any))
                }
                _ => self.selector(self.one_of(rng, &[Data, usual, usual, usual])),
            };
        }
        selectors
    }

    /// The descriptor in a segment register; of the flat window for a null selector, where all accesses fault.
    fn segment_of(&self, state: &State, register: Register) -> Descriptor {
        let index = register.number();
        self.descriptor(state.selectors[index]).unwrap_or(self.data())
    }

    /// Sets register operands that must suit each other or the instruction.
    fn steer_operands(&self, rng: &mut Rng, instruction: &Instruction, state: &mut State) {
        use Mnemonic::*;
        let registers = (0..instruction.op_count()).map(|n| instruction.op_register(n));
        let mnemonic = instruction.mnemonic();
        let selects = loads_selector(instruction);
        for register in registers.filter(|register| register.is_gpr() && !register.is_gpr8()) {
            let value = if selects {
                rng.bits() << 16 | u32::from(self.any_selector(rng))
            } else if instruction.flow_control() == FlowControl::IndirectBranch
                || instruction.flow_control() == FlowControl::IndirectCall
            {
                let target = self.code_target(rng);
                if register.is_gpr16() { rng.bits() << 16 | target & 0xFFFF } else { target }
            } else {
                continue;
            };
            state.gpr[register.number()] = value;
        }
        match mnemonic {
            Div | Idiv if rng.chance(75) => {
                // Extend the lower half, or leave a small upper one.
                let small = rng.below(0x40);
                let negative = mnemonic == Idiv && rng.chance(50);
                let upper = if negative { !small } else { small };
                let eax = state.gpr[gpr::EAX];
                state.gpr[gpr::EAX] = eax & !0xFF00 | (upper & 0xFF) << 8;
                state.gpr[gpr::EDX] = upper;
            }
            Cmpxchg | Cmpxchg8b if rng.chance(50) => {
                let register = instruction.op0_register();
                if register.is_gpr16() || register.is_gpr32() {
                    state.gpr[gpr::EAX] = state.gpr[register.number()];
                }
            }
            Loop | Loope | Loopne | Jcxz | Jecxz if rng.chance(50) => {
                state.gpr[gpr::ECX] = merge(state.gpr[gpr::ECX], rng.below(3), false);
            }
            _ => {}
        }
        if instruction.is_string_instruction() {
            let count = if rng.chance(90) { rng.below(24) } else { rng.below(0x2400) };
            let wide = instruction.op_kinds().any(|kind| {
                matches!(kind, OpKind::MemorySegESI | OpKind::MemorySegEDI | OpKind::MemoryESEDI)
            });
            state.gpr[gpr::ECX] = merge(state.gpr[gpr::ECX], count, wide);
        }
    }

    /// Lets every address that the instruction forms fall where it is worth going, and puts something there.
    fn steer_memory(&self, rng: &mut Rng, instruction: &Instruction, state: &mut State) {
        for n in 0..instruction.op_count() {
            let (register, segment, wide) = match instruction.op_kind(n) {
                OpKind::Memory => {
                    self.steer_operand_address(rng, instruction, state);
                    continue;
                }
                OpKind::MemorySegSI => (gpr::ESI, instruction.memory_segment(), false),
                OpKind::MemorySegESI => (gpr::ESI, instruction.memory_segment(), true),
                OpKind::MemorySegDI => (gpr::EDI, instruction.memory_segment(), false),
                OpKind::MemorySegEDI => (gpr::EDI, instruction.memory_segment(), true),
                OpKind::MemoryESDI => (gpr::EDI, Register::ES, false),
                OpKind::MemoryESEDI => (gpr::EDI, Register::ES, true),
                _ => continue,
            };
            let offset = place(rng, &self.segment_of(state, segment), 64);
            state.gpr[register] = merge(state.gpr[register], offset, wide);
        }
        if matches!(instruction.mnemonic(), Mnemonic::Enter | Mnemonic::Leave) {
            let stack = self.segment_of(state, Register::SS);
            state.gpr[gpr::EBP] = merge(state.gpr[gpr::EBP], place(rng, &stack, 64), stack.big);
        }
        let stack = self.segment_of(state, Register::SS);
        let top = state.gpr[gpr::ESP] & if stack.big { u32::MAX } else { 0xFFFF };
        match instruction.mnemonic() {
            Mnemonic::Ret => self.put(state, &stack, top, &self.code_target(rng).to_le_bytes()),
            Mnemonic::Retf | Mnemonic::Iret | Mnemonic::Iretd => {
                let wide = instruction.stack_pointer_increment() >= 8
                    && instruction.code().op_code().operand_size() == 32;
                let frame =
                    [self.code_target(rng), u32::from(self.code_selector(rng)), eflags(rng), rng.bits()];
                let frame: Vec<u8> = frame
                    .iter()
                    .flat_map(|item| item.to_le_bytes().into_iter().take(if wide { 4 } else { 2 }))
                    .collect();
                self.put(state, &stack, top, &frame);
            }
            Mnemonic::Popf | Mnemonic::Popfd => self.put(state, &stack, top, &eflags(rng).to_le_bytes()),
            Mnemonic::Pop if instruction.op0_register().is_segment_register() => {
                self.put(state, &stack, top, &self.any_selector(rng).to_le_bytes());
            }
            _ => {}
        }
    }

    /// Sets base or index of the memory operand so that its address falls where [`place`] says, and puts an
    /// operand there.
    fn steer_operand_address(&self, rng: &mut Rng, instruction: &Instruction, state: &mut State) {
        let segment = self.segment_of(state, instruction.memory_segment());
        let size = instruction.memory_size().size().max(1) as u32;
        let target = place(rng, &segment, size);
        let (base, index) = (instruction.memory_base(), instruction.memory_index());
        let wide = if base == Register::None { index } else { base }.is_gpr32()
            || instruction.memory_displ_size() == 4 && base == Register::None && index == Register::None;
        let scale = instruction.memory_index_scale();
        let displacement = instruction.memory_displacement32();
        let value = |state: &State, register: Register| match register {
            Register::None => 0,
            Register::AL => state.gpr[gpr::EAX] & 0xFF,
            register => state.gpr[register.number()],
        };
        if base != Register::None && base == index {
            let sum = target.wrapping_sub(displacement);
            state.gpr[base.number()] = merge(0, sum / (scale + 1), wide);
        } else if base != Register::None {
            let rest = value(state, index).wrapping_mul(scale).wrapping_add(displacement);
            let old = state.gpr[base.number()];
            state.gpr[base.number()] = merge(old, target.wrapping_sub(rest), wide);
        } else if index != Register::None {
            state.gpr[index.number()] = target.wrapping_sub(displacement) / scale;
        }
        let sum = value(state, base).wrapping_add(value(state, index).wrapping_mul(scale));
        let mut address = sum.wrapping_add(displacement) & if wide { u32::MAX } else { 0xFFFF };
        if matches!(instruction.mnemonic(), Mnemonic::Bt | Mnemonic::Bts | Mnemonic::Btr | Mnemonic::Btc) {
            let register = instruction.op1_register();
            if register != Register::None
                && rng.chance(85)
                && ![base, index].contains(&register.full_register32())
            {
                let bit = rng.below(0x2000).wrapping_sub(0x1000);
                state.gpr[register.number()] = merge(0, bit, register.is_gpr32());
                address = address.wrapping_add((bit as i32 >> 3) as u32);
            }
        }
        let operand = self.operand(rng, instruction, state);
        self.put(state, &segment, address, &operand);
    }

    /// Bytes for a memory operand.
    fn operand(&self, rng: &mut Rng, instruction: &Instruction, state: &State) -> Vec<u8> {
        let size = instruction.memory_size();
        match instruction.mnemonic() {
            Mnemonic::Cmpxchg if rng.chance(50) => return state.gpr[gpr::EAX].to_le_bytes().to_vec(),
            Mnemonic::Cmpxchg8b if rng.chance(50) => {
                return [state.gpr[gpr::EAX], state.gpr[gpr::EDX]].map(u32::to_le_bytes).concat();
            }
            Mnemonic::Ldmxcsr => return mxcsr_image(rng).to_le_bytes().to_vec(),
            Mnemonic::Fxrstor => {
                let mut image = fx_image(rng);
                image.set_mxcsr(mxcsr_image(rng));
                return image.0.to_vec();
            }
            Mnemonic::Fldenv | Mnemonic::Frstor | Mnemonic::Fldcw => return self.environment(rng, size),
            _ => {}
        }
        let near =
            matches!(instruction.flow_control(), FlowControl::IndirectBranch | FlowControl::IndirectCall);
        match size {
            MemorySize::SegPtr16 | MemorySize::SegPtr32 => {
                let (offset, selector) = if near {
                    (self.code_target(rng), self.code_selector(rng))
                } else {
                    (values::integer(rng), self.any_selector(rng))
                };
                let offset_bytes = size.size() - 2;
                return [&offset.to_le_bytes()[..offset_bytes], &selector.to_le_bytes()].concat();
            }
            MemorySize::Bcd => return values::decimal(rng).to_vec(),
            MemorySize::Float80 => return values::extended(rng).to_vec(),
            MemorySize::Bound16_WordWord | MemorySize::Bound32_DwordDword => {
                return [values::integer(rng), values::integer(rng)].map(u32::to_le_bytes).concat();
            }
            _ if near => return self.code_target(rng).to_le_bytes().to_vec(),
            MemorySize::UInt16 if loads_selector(instruction) => {
                return self.any_selector(rng).to_le_bytes().to_vec();
            }
            _ => {}
        }
        let element = size.element_type();
        let bytes = match element {
            MemorySize::Float32 => [(); 4].map(|()| values::single(rng).to_le_bytes()).concat(),
            MemorySize::Float64 => [(); 2].map(|()| values::double(rng).to_le_bytes()).concat(),
            _ if size.size() > 8 => values::vector(rng).to_vec(),
            _ => [values::integer(rng), values::integer(rng)].map(u32::to_le_bytes).concat(),
        };
        bytes[..size.size().clamp(1, 16).min(bytes.len())].to_vec()
    }

    /// An x87 environment in either format, with registers behind it.
    fn environment(&self, rng: &mut Rng, size: MemorySize) -> Vec<u8> {
        let image = fx_image(rng);
        let item = if matches!(size, MemorySize::FpuEnv14 | MemorySize::FpuState94) { 2 } else { 4 };
        let mut bytes = Vec::new();
        for word in [image.fcw(), image.fsw(), rng.bits() as u16] {
            bytes.extend(word.to_le_bytes());
            bytes.resize(bytes.len().next_multiple_of(item), rng.bits() as u8);
        }
        bytes.resize(7 * item, 0);
        for i in 0..8 {
            bytes.extend(image.st(i));
        }
        bytes.truncate(size.size().max(1));
        bytes
    }

    /// Stores bytes at an offset of a segment, as far as they can be read there.
    fn put(&self, state: &mut State, segment: &Descriptor, offset: u32, bytes: &[u8]) {
        for (i, &byte) in (0u32..).zip(bytes) {
            let linear = segment.base.wrapping_add(offset).wrapping_add(i);
            let page = PAGES.iter().find(|page| page.linear == linear & !(PAGE_BYTES - 1));
            let start = match page.map(|page| page.storage) {
                Some(Storage::WindowLower) => 0,
                Some(Storage::WindowUpper) => PAGE_BYTES,
                Some(Storage::Code) | None => continue,
            };
            state.window[(start + linear % PAGE_BYTES) as usize] = byte;
        }
    }
}

/// Whether the instruction takes a selector as data.
fn loads_selector(instruction: &Instruction) -> bool {
    use Mnemonic::*;
    matches!(instruction.mnemonic(), Lar | Lsl | Verr | Verw | Arpl)
        || instruction.mnemonic() == Mov && instruction.op0_register().is_segment_register()
}

/// All of `value`, or its lower half below an upper half that must not matter.
fn merge(old: u32, value: u32, wide: bool) -> u32 {
    if wide { value } else { old & 0xFFFF_0000 | value & 0xFFFF }
}

/// An offset in a segment at which an access of `size` bytes is worth trying: mostly in the window, and
/// aligned; else around the ends of the window's pages and of the segment, or anywhere.
fn place(rng: &mut Rng, segment: &Descriptor, size: u32) -> u32 {
    let near = |rng: &mut Rng, edge: u32| edge.wrapping_add(2).wrapping_sub(rng.below(size + 4));
    let (first, last) = match segment.kind {
        SegmentType::Data { expand_down: true, .. } => {
            (segment.limit.wrapping_add(1), if segment.big { u32::MAX } else { 0xFFFF })
        }
        _ => (0, segment.limit),
    };
    match rng.below(20) {
        0 => {
            let edge = rng.pick(&[0x2_0000, 0x2_1000, 0x2_F000, 0x3_0000, 0x3_1000, 0x3_F000, 0x4_0000]);
            near(rng, edge).wrapping_sub(segment.base)
        }
        1 => {
            let edge = rng.pick(&[first, last.wrapping_add(1)]);
            near(rng, edge)
        }
        2 if rng.chance(30) => values::integer(rng),
        _ => {
            let mask = rng.pick(&[!0, !3, !15, !15]);
            let at = rng.below(WINDOW_BYTES as u32 - size.min(1024)) & mask;
            // The window lies at three places of which the segment sees two.
            let linear = WINDOW_LINEAR.wrapping_add(at);
            let places = [linear.wrapping_sub(0x1_0000), linear, linear.wrapping_add(0x1_0000)];
            let offsets = places.map(|linear| linear.wrapping_sub(segment.base));
            let valid = |offset: &u32| {
                (first..=last).contains(offset) && segment.base.wrapping_add(*offset) >= 0x2_0000
            };
            offsets.into_iter().find(valid).unwrap_or_else(|| first.wrapping_add(rng.below(0x200) & mask))
        }
    }
}

/// Whether `code` is LOCK VERW with a memory operand: #UD by the manual, but seen to be executed by a Zen 5 whose
/// microcode makes VERW overwrite buffers too.
fn is_locked_verw(code: &[u8]) -> bool {
    let prefixes = code
        .iter()
        .take_while(|byte| matches!(byte, 0x26 | 0x2E | 0x36 | 0x3E | 0x64..=0x67 | 0xF0 | 0xF2 | 0xF3))
        .count();
    let (prefixes, rest) = code.split_at(prefixes);
    prefixes.contains(&0xF0)
        && matches!(rest, [0x0F, 0x00, modrm, ..] if modrm & 0x38 == 0x28 && *modrm < 0xC0)
}

/// As many bytes as an instruction can have: prefixes, an opcode, and anything.
fn random_bytes(rng: &mut Rng) -> Vec<u8> {
    const LONGEST: usize = 15;
    const PREFIXES: [u8; 11] = [0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x66, 0x67, 0xF0, 0xF2, 0xF3];
    let prefixes = if rng.chance(90) { rng.below(4) } else { 8 + rng.below(8) };
    let mut bytes: Vec<u8> = (0..prefixes).map(|_| rng.pick(&PREFIXES)).collect();
    if rng.chance(60) {
        bytes.push(0x0F);
    }
    bytes.resize_with(LONGEST, || rng.bits() as u8);
    bytes
}

/// Flags that a case may start with or an instruction may load.
fn eflags(rng: &mut Rng) -> u32 {
    let mut flags = EFLAGS_FIXED | rng.bits() & STATUS_FLAGS;
    for (percent, flag) in [(30, DF), (2, AC), (10, EFLAGS_OUT & !(STATUS_FLAGS | DF | AC))] {
        if rng.chance(percent) {
            flags |= flag;
        }
    }
    flags
}

/// MXCSR as an instruction may load it; sometimes with a reserved bit.
fn mxcsr_image(rng: &mut Rng) -> u32 {
    rng.bits() & MXCSR_MASK | if rng.chance(10) { 1 << rng.pick(&[16, 18, 31]) } else { 0 }
}

/// x87 and SSE state: mostly with all exceptions masked and none pending, and most registers in use.
fn fx_image(rng: &mut Rng) -> FxImage {
    const EXCEPTIONS: u16 = 0x3F;
    let mut image = FxImage::new();
    let masks = if rng.chance(85) { EXCEPTIONS } else { rng.bits() as u16 & EXCEPTIONS };
    let precision = rng.pick(&[0x300, 0x300, 0x200, 0x000]);
    let rounding = rng.pick(&[0, 0, 0x400, 0x800, 0xC00]);
    image.set_u16(0, 0x40 | masks | precision | rounding);
    let mut status = rng.bits() as u16 & 0x7F7F;
    if rng.chance(95) {
        status &= !(EXCEPTIONS & !masks);
    }
    if status & EXCEPTIONS & !masks != 0 {
        status |= 0x8080;
    }
    image.set_u16(2, status);
    image.set_u16(6, rng.bits() as u16 & 0x7FF);
    for pointer in [8, 10, 16, 18] {
        image.set_u16(pointer, rng.bits() as u16);
    }
    image.normalize();
    image.set_u16(4, if rng.chance(60) { 0xFF } else { rng.bits() as u16 & 0xFF });
    for i in 0..8 {
        image.set_st(i, values::extended(rng));
        image.set_xmm(i, values::vector(rng));
    }
    let masks = if rng.chance(85) { 0x1F80 } else { rng.bits() & 0x1F80 };
    image.set_mxcsr(
        masks
            | rng.bits() & 0x3F
            | rng.pick(&[0, 0, 0x2000, 0x4000, 0x6000])
            | rng.pick(&[0, 0, 0x40, 0x8000, 0x8040]),
    );
    image
}
