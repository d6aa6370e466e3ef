//! Processors with less: what CPUID tells of a feature, and what is undefined, reserved or absent without it. AP-485,
//! "Intel Processor Identification and the CPUID Instruction"; SDM Vol. 2, the instructions' lists of exceptions; SDM
//! Vol. 3A, "Control Registers", "32-Bit Paging".

use crate::kit::*;
use idem86_cpu::processor::{Feature, Leaf, Model, Processor};
use idem86_cpu::state::control::cr4;
use idem86_cpu::state::eflags::bit;
use idem86_cpu::state::gpr;

fn kit(processor: Processor) -> Kit {
    let mut k = Kit::protected_on(processor, 0);
    k.cpu.gpr.set(gpr::DI, place::DATA);
    k
}

fn max() -> Processor {
    Processor::default()
}

fn cpuid(k: &mut Kit, leaf: u32) -> [u32; 4] {
    k.cpu.gpr.set(gpr::AX, leaf);
    assert_eq!(k.one(|a| a.cpuid()), Led::Through);
    [gpr::AX, gpr::BX, gpr::CX, gpr::DX].map(|r| k.cpu.gpr.get(r))
}

/// What makes a feature: instructions, bits of CR4, model-specific registers.
struct Marks {
    feature: Feature,
    code: &'static [&'static [u8]],
    cr4: u32,
    msr: &'static [u32],
}

/// A row of the table below.
type Row = (Feature, &'static [&'static [u8]], u32, &'static [u32]);

fn marks() -> Vec<Marks> {
    use Feature::*;
    let rows: [Row; 25] = [
        (Vme, &[], cr4::VME | cr4::PVI, &[]),
        (De, &[], cr4::DE, &[]),
        (Pse, &[], cr4::PSE, &[]),
        // rdtsc
        (Tsc, &[&[0x0F, 0x31]], cr4::TSD, &[0x10]),
        // rdmsr
        (Msr, &[&[0x0F, 0x32]], 0, &[]),
        (Pae, &[], cr4::PAE, &[]),
        (Mce, &[], cr4::MCE, &[]),
        // cmpxchg8b [edi]
        (Cx8, &[&[0x0F, 0xC7, 0x0F]], 0, &[]),
        (Apic, &[], 0, &[0x1B]),
        // sysenter; sysexit
        (Sep, &[&[0x0F, 0x34], &[0x0F, 0x35]], 0, &[0x174, 0x175, 0x176]),
        (Mtrr, &[], 0, &[0xFE, 0x200, 0x20F, 0x250, 0x259, 0x26F, 0x2FF]),
        (Pge, &[], cr4::PGE, &[]),
        (Mca, &[], 0, &[0x179, 0x17A]),
        // cmovz eax,ecx; fcmove st,st1; fcomi st,st1; fucomip st,st1
        (Cmov, &[&[0x0F, 0x44, 0xC1], &[0xDA, 0xC9], &[0xDB, 0xF1], &[0xDF, 0xE9]], 0, &[]),
        (Pat, &[], 0, &[0x277]),
        (Pse36, &[], 0, &[]),
        // clflush [edi]
        (Clflush, &[&[0x0F, 0xAE, 0x3F]], 0, &[]),
        // emms; paddb mm0,mm1; movd mm0,eax
        (Mmx, &[&[0x0F, 0x77], &[0x0F, 0xFC, 0xC1], &[0x0F, 0x6E, 0xC0]], 0, &[]),
        // fxsave [edi]
        (Fxsr, &[&[0x0F, 0xAE, 0x07]], cr4::OSFXSR, &[]),
        // addps xmm0,xmm1; pshufw mm0,mm1,0; stmxcsr [edi]; sfence
        (
            Sse,
            &[&[0x0F, 0x58, 0xC1], &[0x0F, 0x70, 0xC1, 0], &[0x0F, 0xAE, 0x1F], &[0x0F, 0xAE, 0xF8]],
            cr4::OSXMMEXCPT,
            &[],
        ),
        // addpd xmm0,xmm1; paddb xmm0,xmm1; paddq mm0,mm1; mfence; movnti [edi],eax
        (
            Sse2,
            &[
                &[0x66, 0x0F, 0x58, 0xC1],
                &[0x66, 0x0F, 0xFC, 0xC1],
                &[0x0F, 0xD4, 0xC1],
                &[0x0F, 0xAE, 0xF0],
                &[0x0F, 0xC3, 0x07],
            ],
            0,
            &[],
        ),
        // haddps xmm0,xmm1; fisttp dword [edi]; lddqu xmm0,[edi]
        (Sse3, &[&[0xF2, 0x0F, 0x7C, 0xC1], &[0xDB, 0x0F], &[0xF2, 0x0F, 0xF0, 0x07]], 0, &[]),
        (Nx, &[], 0, &[0xC000_0080]),
        // rdpmc
        (Rdpmc, &[&[0x0F, 0x33]], cr4::PCE, &[]),
        // nop [edi]; prefetchnta [edi]
        (Nopl, &[&[0x0F, 0x1F, 0x07], &[0x0F, 0x18, 0x07]], 0, &[]),
    ];
    rows.into_iter().map(|(feature, code, cr4, msr)| Marks { feature, code, cr4, msr }).collect()
}

fn rdmsr(k: &mut Kit, n: u32) -> Led {
    k.cpu.gpr.set(gpr::CX, n);
    k.one(|a| a.rdmsr())
}

fn set_cr4(k: &mut Kit, value: u32) -> Led {
    k.cpu.gpr.set(gpr::AX, value);
    k.one(|a| a.mov(iced_x86::code_asm::cr4, iced_x86::code_asm::eax))
}

#[test]
fn models_say_what_they_said() {
    // The features of AP-485's tables of each model's CPUID flags; Pentiums with their APIC enabled.
    let rows = [
        (Model::I486, 0x480, 1, 0x0000_0003),
        (Model::Pentium, 0x52C, 1, 0x0000_03BF),
        (Model::PentiumMmx, 0x543, 1, 0x0080_03BF),
        (Model::Pentium2, 0x652, 2, 0x0183_FBFF),
        (Model::Pentium3, 0x673, 2, 0x0383_FBFF),
        (Model::Max, 0x6B1, 2, 0x078B_FBFF),
    ];
    assert_eq!(rows.map(|row| row.0), Model::ALL);
    for (model, signature, last, edx) in rows {
        let mut k = kit(model.into());
        assert_eq!(k.cpu.processor().model(), model);
        let [eax, ebx, ecx, edx_there] = cpuid(&mut k, 0);
        assert_eq!((eax, ebx, edx_there, ecx), (last, 0x756E_6547, 0x4965_6E69, 0x6C65_746E), "{model:?}");
        let [eax, _, ecx, edx_there] = cpuid(&mut k, 1);
        assert_eq!((eax, edx_there), (signature, edx), "{model:?}: {edx_there:x}");
        assert_eq!(ecx, u32::from(model == Model::Max), "{model:?}");
        k.cpu.reset();
        assert_eq!(k.cpu.gpr.get::<u32>(gpr::DX), signature, "EDX after RESET");
    }
}

#[test]
fn a_leaf_beyond_the_last_gives_the_last_basic_one() {
    for model in Model::ALL {
        let mut k = kit((*model).into());
        let [last, ..] = cpuid(&mut k, 0);
        let expected = cpuid(&mut k, last);
        assert_eq!(cpuid(&mut k, last + 1), expected, "{model:?}");
        if *model != Model::Max {
            assert_eq!(cpuid(&mut k, 0x8000_0000), expected, "{model:?}");
        }
        assert_eq!(cpuid(&mut k, 0x8000_0009), expected, "{model:?}");
    }
    let mut k = kit(Processor::from(Model::Pentium3).with(Feature::Nx).unwrap());
    assert_eq!(cpuid(&mut k, 0x8000_0001)[3], 1 << 20);
}

#[test]
fn every_feature_has_its_marks_in_these_tests() {
    let listed: Vec<Feature> = marks().iter().map(|marks| marks.feature).collect();
    assert_eq!(listed, Feature::ALL);
}

#[test]
fn cpuid_tells_of_what_is_there_and_of_nothing_else() {
    for feature in Feature::ALL {
        let Some((leaf, bit)) = feature.told() else { continue };
        let (number, register) = match leaf {
            Leaf::Edx => (1, 3),
            Leaf::Ecx => (1, 2),
            Leaf::ExtendedEdx => (0x8000_0001, 3),
        };
        for (processor, expected) in [(max(), 1), (max().without(*feature), 0)] {
            let found = cpuid(&mut kit(processor), number)[register] >> bit & 1;
            assert_eq!(found, expected, "{processor}");
        }
    }
    assert_eq!(cpuid(&mut kit(max().without(Feature::Clflush)), 1)[1] & 0xFF00, 0, "line of CLFLUSH");
}

#[test]
fn instructions_of_a_missing_feature_are_undefined() {
    for Marks { feature, code, .. } in marks() {
        for bytes in code {
            let led = |processor: Processor, cr0: u32| {
                let mut k = kit(processor);
                k.cpu.cr0 |= cr0;
                k.cpu.cr4 |= (cr4::OSFXSR | cr4::OSXMMEXCPT) & processor.features().cr4();
                k.cpu.gpr.set(gpr::CX, 0x10u32);
                k.cpu.state_changed();
                k.bytes(bytes);
                k.step()
            };
            assert_ne!(led(max(), 0), UD, "{feature:?} {bytes:02X?}");
            assert_eq!(led(max().without(feature), 0), UD, "{feature:?} {bytes:02X?}");
            // #NM has a lower priority, but for numeric opcodes.
            let numeric = (0xD8..=0xDF).contains(&bytes[0]);
            let expected = if numeric { Led::To(7, None) } else { UD };
            assert_eq!(led(max().without(feature), 1 << 3), expected, "{feature:?} {bytes:02X?}");
        }
    }
}

#[test]
fn undefined_instructions_stay_so_amid_others_and_in_loops() {
    // Long enough for engines that translate only what is executed often: mov ecx,100; again: inc eax; cmovz ebx,eax
    // ...
    let mut k = kit(max().without(Feature::Cmov));
    k.bytes(&[0xB9, 100, 0, 0, 0, 0x40, 0x0F, 0x44, 0xD8, 0x49, 0x75, 0xF9, 0xF4]);
    // The handler counts, skips the instruction and returns.
    k.put(place::HANDLERS + 6 * 16, &[0x46, 0x83, 0x04, 0x24, 3, 0xCF]);
    assert_eq!(k.run(1000), idem86_cpu::run::Stop::Halted);
    assert_eq!(k.cpu.gpr.get::<u32>(gpr::SI), 100);
    assert_eq!((k.cpu.gpr.get::<u32>(gpr::AX), k.cpu.gpr.get::<u32>(gpr::BX)), (100, 0));
}

#[test]
fn bits_of_cr4_of_a_missing_feature_are_reserved() {
    for Marks { feature, cr4: bits, .. } in marks() {
        for bit in (0..32).map(|n| 1 << n).filter(|bit| bits & bit != 0) {
            assert_eq!(set_cr4(&mut kit(max()), bit), Led::Through, "{feature:?}");
            let mut k = kit(max().without(feature));
            assert_eq!(set_cr4(&mut k, bit), gp(0), "{feature:?}");
            assert_eq!(k.cpu.cr4, 0);
        }
    }
    let all = marks().iter().fold(0, |all, marks| all | marks.cr4);
    assert_eq!(all, cr4::WRITABLE, "every bit belongs to a feature");
}

#[test]
fn registers_of_a_missing_feature_do_not_exist() {
    for Marks { feature, msr, .. } in marks() {
        for n in msr {
            assert_eq!(rdmsr(&mut kit(max()), *n), Led::Through, "{feature:?} {n:x}");
            assert_eq!(rdmsr(&mut kit(max().without(feature)), *n), gp(0), "{feature:?} {n:x}");
            let mut k = kit(max().without(feature));
            k.cpu.gpr.set(gpr::CX, *n);
            assert_eq!(k.one(|a| a.wrmsr()), gp(0), "{feature:?} {n:x}");
        }
    }
    // Those that came with a family. SDM Vol. 4, "MSRs in the P6 Family Processors", "MSRs in Pentium Processors".
    for n in [0x17, 0x1B, 0x79, 0x8B] {
        assert_eq!(rdmsr(&mut kit(Model::Pentium.into()), n), gp(0), "{n:x}");
    }
    for n in [0, 1] {
        assert_eq!(rdmsr(&mut kit(Model::Pentium.into()), n), Led::Through, "{n:x}");
    }
}

#[test]
fn a_missing_local_apic_is_off_after_reset() {
    assert_eq!(kit(max()).cpu.msr.apic_base, 0xFEE0_0900);
    assert_eq!(kit(max().without(Feature::Apic)).cpu.msr.apic_base, 0);
    assert_eq!(kit(Model::I486.into()).cpu.msr.apic_base, 0);
}

#[test]
fn flags_of_virtual_interrupts_do_not_exist_without_vme() {
    for (processor, expected) in [(max(), bit::VIF | bit::VIP), (max().without(Feature::Vme), 0)] {
        let mut k = kit(processor);
        let stack = place::STACKS[0] - 12;
        k.put32(stack, place::CODE + 0x100);
        k.put32(stack + 4, sel::CODE0.into());
        k.put32(stack + 8, bit::VIF | bit::VIP | 2);
        k.cpu.gpr.set(gpr::SP, stack);
        assert_eq!(k.one(|a| a.iretd()), Led::Through);
        assert_eq!(k.cpu.eflags.bits() & (bit::VIF | bit::VIP), expected);
    }
}

#[test]
fn denormals_are_zeros_came_with_sse2() {
    for (processor, led) in [(max(), Led::Through), (max().without(Feature::Sse2), gp(0))] {
        let mut k = kit(processor);
        k.cpu.cr4 |= cr4::OSFXSR;
        k.cpu.state_changed();
        // fxsave [edi]: the mask tells.
        k.bytes(&[0x0F, 0xAE, 0x07]);
        assert_eq!(k.step(), Led::Through);
        assert_eq!(k.get32(place::DATA + 28) >> 6 & 1 != 0, led == Led::Through);
        k.put32(place::DATA, 0x1FC0);
        // ldmxcsr [edi], after another instruction that makes the state live.
        k.bytes(&[0x0F, 0x58, 0xC1, 0x0F, 0xAE, 0x17]);
        assert_eq!(k.run(2), idem86_cpu::run::Stop::Budget);
        assert_eq!(k.led(), led);
    }
}

#[test]
fn without_sse_fxsave_and_fxrstor_have_no_part_for_it() {
    let mut k = kit(Model::Pentium2.into());
    assert_eq!(set_cr4(&mut k, cr4::OSFXSR), Led::Through);
    let image = [0xA5; 512];
    k.put(place::DATA, &image);
    k.bytes(&[0x0F, 0xAE, 0x07]);
    assert_eq!(k.step(), Led::Through);
    assert_eq!(k.get32(place::DATA), 0x0040, "control word of RESET");
    assert_eq!((k.get32(place::DATA + 24), k.get32(place::DATA + 160)), (0xA5A5_A5A5, 0xA5A5_A5A5));
    // MXCSR in the image would be an impossible one.
    k.bytes(&[0x0F, 0xAE, 0x0F]);
    assert_eq!(k.step(), Led::Through);
}

#[test]
fn address_and_type_bits_of_pages_are_reserved_without_their_feature() {
    // A 4-MiB page with address bit 32, and with the PAT bit; a 4-KiB page with the PAT bit.
    let large = |entry: u32| {
        move |k: &mut Kit| {
            k.cpu.cr4 |= cr4::PSE;
            k.put32(place::PAGING + 4, entry);
        }
    };
    let small = |with: u32| {
        move |k: &mut Kit| {
            k.cpu.cr4 |= with;
            let at = k.pte(0x3F_F000);
            k.put32(at, 0x1087);
        }
    };
    let led = |processor: Processor, linear: u32, prepare: &dyn Fn(&mut Kit)| {
        let mut k = kit(processor);
        k.page();
        prepare(&mut k);
        k.cpu.state_changed();
        k.cpu.gpr.set(gpr::DI, linear);
        // mov al,[edi]
        k.bytes(&[0x8A, 0x07]);
        k.step()
    };
    let reserved = Led::To(14, Some(9));
    let (no_pse36, no_pat) = (max().without(Feature::Pse36), max().without(Feature::Pat));
    assert_eq!(led(max(), 0x40_0000, &large(0x2083)), Led::Through);
    assert_eq!(led(no_pse36, 0x40_0000, &large(0x2083)), reserved);
    assert_eq!(led(no_pse36, 0x40_0000, &large(0x0083)), Led::Through);
    assert_eq!(led(max(), 0x40_0000, &large(0x1083)), Led::Through);
    assert_eq!(led(no_pat, 0x40_0000, &large(0x1083)), reserved);
    assert_eq!(led(max(), 0x3F_F000, &small(cr4::PSE)), Led::Through);
    assert_eq!(led(no_pat, 0x3F_F000, &small(cr4::PSE)), reserved);
    assert_eq!(led(no_pat, 0x3F_F000, &small(0)), Led::Through, "without CR4.PSE nothing is reserved");
}

#[test]
fn a_state_of_another_processor_is_refused() {
    let saved = kit(max().without(Feature::Sse3)).cpu.save();
    let mut k = kit(max());
    let before = k.cpu.save();
    let error = k.cpu.restore(&saved).unwrap_err();
    assert_eq!(error.to_string(), "the saved processor is max,-sse3, this one max");
    assert_eq!(k.cpu.save(), before);
    // A bit of CR4 that this processor does not have.
    let mut k = kit(Model::I486.into());
    let mut saved = k.cpu.save();
    saved.cr4 = cr4::PSE;
    assert!(k.cpu.restore(&saved).is_err());
    saved.cr4 = cr4::VME;
    assert!(k.cpu.restore(&saved).is_ok());
}

#[test]
fn models_and_features_in_words() {
    for model in Model::ALL {
        for feature in Feature::ALL {
            let less = Processor::from(*model).without(*feature);
            assert_eq!(less.to_string().parse(), Ok(less));
            if let Ok(more) = Processor::from(*model).with(*feature) {
                assert_eq!(more.to_string().parse(), Ok(more));
                assert!(more.has(*feature));
            }
        }
    }
    let refused = |text: &str| text.parse::<Processor>().unwrap_err().to_string();
    assert_eq!(
        refused("386"),
        "there is no processor \"386\"; there are 486 pentium pentium-mmx pentium2 pentium3 max"
    );
    assert!(
        refused("max,sse")
            .starts_with("there is no feature \"sse\"; there are, with + or - before them, vme de")
    );
    assert!(refused("max,").starts_with("there is no feature \"\""));
    assert!(refused("max,-é").starts_with("there is no feature \"-é\""));
    assert_eq!(refused("pentium,+sse"), "the feature sse needs fxsr");
}
