//! Which processor a machine has: a model of the past with the features that CPUID tells of, some of them perhaps
//! added or taken away.
//!
//! A feature that is not there is not merely unannounced: its instructions are undefined, its bits in control registers
//! are reserved, and its model-specific registers do not exist. What is fixed when a processor is built is decided when
//! instructions are decoded, so it costs nothing while they run.
//!
//! # Quirks
//!
//! - Every model has the x87 unit, CPUID and all of the 80486's instructions, and there are no test registers.
//! - An MMX opcode with the prefixes of a later SSE2 instruction is undefined without SSE2; manuals of the time call
//!   what it does unpredictable.
//! - The Pentium's own model-specific registers are not there but for those of machine checks, which never happen.

use crate::state::control::{cr4, efer};
use crate::state::eflags::bit;
use iced_x86::{Code, CpuidFeature, Instruction};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A register in which CPUID tells of features.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaf {
    /// EDX, leaf 1.
    Edx,
    /// ECX, leaf 1.
    Ecx,
    /// EDX, leaf 80000001h.
    ExtendedEdx,
}

/// Makes the features: name in Rust, name for people, where CPUID tells of it, bits of CR4 that it has, what it needs.
macro_rules! features {
    ($($(#[$doc:meta])* $feature:ident $name:literal $told:expr, $cr4:expr, [$($needs:ident)*];)*) => {
        /// Something that not every processor has. SDM Vol. 2A, "CPUID—CPU Identification".
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Feature {
            $($(#[$doc])* $feature,)*
        }

        impl Feature {
            /// All of them.
            pub const ALL: &[Feature] = &[$(Feature::$feature,)*];

            /// As `--cpu` and QEMU call it.
            pub fn name(self) -> &'static str {
                match self { $(Feature::$feature => $name,)* }
            }

            /// The register and bit in which CPUID tells of it; for some, programs go by the processor's family.
            pub fn told(self) -> Option<(Leaf, u8)> {
                match self { $(Feature::$feature => $told,)* }
            }

            /// The bits of CR4 that exist with it.
            fn cr4(self) -> u32 {
                match self { $(Feature::$feature => $cr4,)* }
            }

            /// The features without which it cannot be.
            pub fn needs(self) -> &'static [Feature] {
                match self { $(Feature::$feature => &[$(Feature::$needs),*],)* }
            }
        }
    };
}

features! {
    /// Virtual-8086 mode extensions, protected-mode virtual interrupts.
    Vme "vme" Some((Leaf::Edx, 1)), cr4::VME | cr4::PVI, [];
    /// Debugging extensions: I/O breakpoints.
    De "de" Some((Leaf::Edx, 2)), cr4::DE, [];
    /// 4-MiB pages.
    Pse "pse" Some((Leaf::Edx, 3)), cr4::PSE, [];
    /// RDTSC.
    Tsc "tsc" Some((Leaf::Edx, 4)), cr4::TSD, [];
    /// RDMSR and WRMSR.
    Msr "msr" Some((Leaf::Edx, 5)), 0, [];
    /// Physical address extension.
    Pae "pae" Some((Leaf::Edx, 6)), cr4::PAE, [];
    /// Machine-check exception.
    Mce "mce" Some((Leaf::Edx, 7)), cr4::MCE, [];
    /// CMPXCHG8B.
    Cx8 "cx8" Some((Leaf::Edx, 8)), 0, [];
    /// Local APIC.
    Apic "apic" Some((Leaf::Edx, 9)), 0, [];
    /// SYSENTER and SYSEXIT.
    Sep "sep" Some((Leaf::Edx, 11)), 0, [Msr];
    /// Memory type range registers.
    Mtrr "mtrr" Some((Leaf::Edx, 12)), 0, [Msr];
    /// Global pages.
    Pge "pge" Some((Leaf::Edx, 13)), cr4::PGE, [];
    /// Machine-check architecture (with no banks).
    Mca "mca" Some((Leaf::Edx, 14)), 0, [Mce Msr];
    /// CMOVcc, and with the x87 unit FCMOVcc and FCOMI.
    Cmov "cmov" Some((Leaf::Edx, 15)), 0, [];
    /// Page attribute table.
    Pat "pat" Some((Leaf::Edx, 16)), 0, [Msr];
    /// 36-bit addresses in 4-MiB pages.
    Pse36 "pse36" Some((Leaf::Edx, 17)), 0, [Pse];
    /// CLFLUSH.
    Clflush "clflush" Some((Leaf::Edx, 19)), 0, [];
    /// MMX.
    Mmx "mmx" Some((Leaf::Edx, 23)), 0, [];
    /// FXSAVE and FXRSTOR.
    Fxsr "fxsr" Some((Leaf::Edx, 24)), cr4::OSFXSR, [];
    /// SSE.
    Sse "sse" Some((Leaf::Edx, 25)), cr4::OSXMMEXCPT, [Fxsr Mmx];
    /// SSE2, and denormals-are-zeros.
    Sse2 "sse2" Some((Leaf::Edx, 26)), 0, [Sse];
    /// SSE3.
    Sse3 "sse3" Some((Leaf::Ecx, 0)), 0, [Sse2];
    /// Execute-disable, and IA32_EFER.
    Nx "nx" Some((Leaf::ExtendedEdx, 20)), 0, [Pae Msr];
    /// RDPMC.
    Rdpmc "rdpmc" None, cr4::PCE, [];
    /// The NOPs of several bytes, and hints to prefetch.
    Nopl "nopl" None, 0, [];
}

/// A set of features.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Features(u32);

impl Features {
    /// Every feature there is.
    pub const ALL: Features = Features((1 << Feature::ALL.len()) - 1);

    /// Exactly these.
    pub const fn of(features: &[Feature]) -> Features {
        let (mut set, mut n) = (0, 0);
        while n < features.len() {
            set |= 1 << features[n] as u8;
            n += 1;
        }
        Features(set)
    }

    /// These and the ones of `other`.
    const fn and(self, other: Features) -> Features {
        Features(self.0 | other.0)
    }

    /// Whether `feature` is among them.
    #[inline]
    pub fn has(self, feature: Feature) -> bool {
        self.0 >> feature as u8 & 1 != 0
    }

    /// All of them.
    pub fn iter(self) -> impl Iterator<Item = Feature> {
        Feature::ALL.iter().copied().filter(move |feature| self.has(*feature))
    }

    /// The bits that are set in `leaf` for them.
    pub(crate) fn bits(self, leaf: Leaf) -> u32 {
        let told = self.iter().filter_map(Feature::told).filter(|(register, _)| *register == leaf);
        told.fold(0, |bits, (_, bit)| bits | 1 << bit)
    }

    /// Whether a processor with these features has the instruction `i`, as far as features decide that.
    pub fn execute(self, i: &Instruction) -> bool {
        // SSE2's, whatever iced-x86 says. SDM Vol. 2B, "PADDB/PADDW/PADDD/PADDQ—Add Packed Integers".
        let paddq = i.code() == Code::Paddq_mm_mmm64 && !self.has(Feature::Sse2);
        let has = |needed: &CpuidFeature| required(*needed).is_none_or(|feature| self.has(feature));
        self == Features::ALL || !paddq && i.cpuid_features().iter().all(has)
    }

    /// The bits of CR4 that exist; any other raises #GP. SDM Vol. 3A, "Control Registers".
    pub fn cr4(self) -> u32 {
        self.iter().fold(0, |bits, feature| bits | feature.cr4())
    }

    /// The bits of IA32_EFER that exist.
    pub fn efer(self) -> u64 {
        if self.has(Feature::Nx) { efer::NXE } else { 0 }
    }

    /// The bits of EFLAGS that exist.
    pub fn eflags(self) -> u32 {
        if self.has(Feature::Vme) { bit::DEFINED } else { bit::DEFINED & !(bit::VIF | bit::VIP) }
    }

    /// The bits of MXCSR that exist. SDM Vol. 1, "Checking for the DAZ Flag in the MXCSR Register".
    pub fn mxcsr(self) -> u32 {
        const DAZ: u32 = 1 << 6;
        if self.has(Feature::Sse2) { 0xFFFF } else { 0xFFFF & !DAZ }
    }
}

/// What iced-x86 calls a feature; `None` for what every processor here has, or none.
fn required(needed: CpuidFeature) -> Option<Feature> {
    Some(match needed {
        CpuidFeature::TSC => Feature::Tsc,
        CpuidFeature::MSR => Feature::Msr,
        CpuidFeature::CX8 => Feature::Cx8,
        CpuidFeature::SEP => Feature::Sep,
        CpuidFeature::CMOV => Feature::Cmov,
        CpuidFeature::CLFSH => Feature::Clflush,
        CpuidFeature::MMX => Feature::Mmx,
        CpuidFeature::FXSR => Feature::Fxsr,
        CpuidFeature::SSE => Feature::Sse,
        CpuidFeature::SSE2 => Feature::Sse2,
        CpuidFeature::SSE3 => Feature::Sse3,
        CpuidFeature::RDPMC => Feature::Rdpmc,
        CpuidFeature::MULTIBYTENOP => Feature::Nopl,
        _ => return None,
    })
}

/// A processor of the past, or the one with everything. AP-485, "Intel Processor Identification and the CPUID
/// Instruction".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Model {
    /// IntelDX4: the first with CPUID.
    I486,
    /// Pentium (P54C).
    Pentium,
    /// Pentium with MMX technology (P55C).
    PentiumMmx,
    /// Pentium II (Deschutes).
    Pentium2,
    /// Pentium III (Katmai), its serial number switched off.
    Pentium3,
    /// A Pentium III of the last kind that has all that there is.
    #[default]
    Max,
}

const I486: Features = Features::of(&[Feature::Vme]);
const PENTIUM: Features = {
    use Feature::*;
    I486.and(Features::of(&[De, Pse, Tsc, Msr, Mce, Cx8, Apic]))
};
const PENTIUM_MMX: Features = PENTIUM.and(Features::of(&[Feature::Mmx, Feature::Rdpmc]));
const PENTIUM_2: Features = {
    use Feature::*;
    PENTIUM_MMX.and(Features::of(&[Pae, Sep, Mtrr, Pge, Mca, Cmov, Pat, Pse36, Fxsr, Nopl]))
};
const PENTIUM_3: Features = PENTIUM_2.and(Features::of(&[Feature::Sse]));

impl Model {
    /// All of them, the oldest first.
    pub const ALL: &[Model] =
        &[Model::I486, Model::Pentium, Model::PentiumMmx, Model::Pentium2, Model::Pentium3, Model::Max];

    /// As `--cpu` calls it.
    pub fn name(self) -> &'static str {
        match self {
            Model::I486 => "486",
            Model::Pentium => "pentium",
            Model::PentiumMmx => "pentium-mmx",
            Model::Pentium2 => "pentium2",
            Model::Pentium3 => "pentium3",
            Model::Max => "max",
        }
    }

    /// Family, model and stepping: what EDX holds after reset and CPUID leaf 1 gives in EAX.
    pub fn signature(self) -> u32 {
        match self {
            Model::I486 => 0x480,
            Model::Pentium => 0x52C,
            Model::PentiumMmx => 0x543,
            Model::Pentium2 => 0x652,
            Model::Pentium3 => 0x673,
            Model::Max => 0x6B1,
        }
    }

    /// 4, 5 or 6.
    pub fn family(self) -> u32 {
        self.signature() >> 8 & 0xF
    }

    /// The features that it was sold with.
    pub fn features(self) -> Features {
        match self {
            Model::I486 => I486,
            Model::Pentium => PENTIUM,
            Model::PentiumMmx => PENTIUM_MMX,
            Model::Pentium2 => PENTIUM_2,
            Model::Pentium3 => PENTIUM_3,
            Model::Max => Features::ALL,
        }
    }
}

/// A model with its features, fixed for the life of a machine.
///
/// In words it is a model and what it has less or more, in the manner of QEMU's `-cpu`:
///
/// ```
/// use idem86_cpu::processor::{Feature, Model, Processor};
///
/// let processor: Processor = "pentium3,-sse,+nx".parse()?;
/// assert!(!processor.has(Feature::Sse) && processor.has(Feature::Nx));
/// assert_eq!(processor, Processor::from(Model::Pentium3).without(Feature::Sse).with(Feature::Nx)?);
/// assert_eq!(processor.to_string(), "pentium3,-sse,+nx");
///
/// // What needs a feature goes with it; what is added must find what it needs.
/// assert!(!"max,-sse".parse::<Processor>()?.has(Feature::Sse3));
/// assert!("pentium,+sse".parse::<Processor>().is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Processor {
    model: Model,
    features: Features,
}

/// Why there is no such processor.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProcessorError {
    /// No model has this name.
    #[error("there is no processor {0:?}; there are {models}", models = names(Model::ALL.iter().map(|m| m.name())))]
    Model(String),
    /// No feature has this name, or it has no sign before it.
    #[error("there is no feature {0:?}; there are, with + or - before them, {features}", features = names(Feature::ALL.iter().map(|f| f.name())))]
    Feature(String),
    /// A feature is added without what it needs.
    #[error("the feature {feature} needs {needs}")]
    Needs {
        /// The one that is added.
        feature: &'static str,
        /// The one that is not there.
        needs: &'static str,
    },
}

fn names(all: impl Iterator<Item = &'static str>) -> String {
    all.collect::<Vec<_>>().join(" ")
}

impl From<Model> for Processor {
    fn from(model: Model) -> Self {
        Processor { model, features: model.features() }
    }
}

impl Default for Processor {
    fn default() -> Self {
        Model::default().into()
    }
}

impl Processor {
    /// The model.
    pub fn model(self) -> Model {
        self.model
    }

    /// What it has.
    pub fn features(self) -> Features {
        self.features
    }

    /// Whether it has `feature`.
    #[inline]
    pub fn has(self, feature: Feature) -> bool {
        self.features.has(feature)
    }

    /// The same without `feature`, and without what needs it.
    #[must_use]
    pub fn without(self, feature: Feature) -> Self {
        let rest = Features(self.features.0 & !Features::of(&[feature]).0);
        let stripped = Processor { features: rest, ..self };
        let orphans = rest.iter().filter(|other| other.needs().contains(&feature));
        orphans.fold(stripped, |processor, orphan| processor.without(orphan))
    }

    /// The same with `feature`; an error if something is not there that it needs.
    pub fn with(self, feature: Feature) -> Result<Self, ProcessorError> {
        match feature.needs().iter().find(|needed| !self.has(**needed)) {
            Some(needed) => Err(ProcessorError::Needs { feature: feature.name(), needs: needed.name() }),
            None => Ok(Processor { features: self.features.and(Features::of(&[feature])), ..self }),
        }
    }

    /// Whether the local APIC has its base address in a model-specific register, as since the P6 family.
    pub(crate) fn has_apic_base(self) -> bool {
        self.has(Feature::Apic) && self.has(Feature::Msr) && self.model.family() >= 6
    }

    /// Whether it has the instruction `i`, as far as features decide that.
    pub fn executes(self, i: &Instruction) -> bool {
        self.features.execute(i)
    }
}

impl FromStr for Processor {
    type Err = ProcessorError;

    /// MODEL, then any number of `,-feature` and `,+feature`, which are done in turn.
    fn from_str(text: &str) -> Result<Self, ProcessorError> {
        let mut parts = text.split(',');
        let name = parts.next().unwrap_or_default();
        let model = Model::ALL.iter().find(|model| model.name() == name);
        let model = *model.ok_or_else(|| ProcessorError::Model(name.into()))?;
        parts.try_fold(Processor::from(model), |processor, change| {
            let unknown = || ProcessorError::Feature(change.into());
            let (sign, name) = change.split_at_checked(1).ok_or_else(unknown)?;
            let feature = *Feature::ALL.iter().find(|f| f.name() == name).ok_or_else(unknown)?;
            match sign {
                "-" => Ok(processor.without(feature)),
                "+" => processor.with(feature),
                _ => Err(unknown()),
            }
        })
    }
}

impl fmt::Display for Processor {
    /// As it can be parsed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.model.name())?;
        let usual = self.model.features();
        let without = usual.iter().filter(|feature| !self.has(*feature));
        without.into_iter().try_for_each(|feature| write!(f, ",-{}", feature.name()))?;
        // In the order of the table, so that what is needed comes first.
        let with = self.features.iter().filter(|feature| !usual.has(*feature));
        with.into_iter().try_for_each(|feature| write!(f, ",+{}", feature.name()))
    }
}
