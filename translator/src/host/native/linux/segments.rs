//! Where a guest's segments come from: descriptors of our own, or the flat ones that every process has.

use super::ldt::LocalDescriptors;
use crate::host::native::Unsupported;
use crate::host::native::layout::{Descriptor, OfferedSegment, Segment, SegmentType, Segmentation};
use std::io;

/// Selectors of flat 32-bit user code and of user data in Linux's GDT (`asm/segment.h`).
const USER32_CS: u16 = 0x23;
const USER_DS: u16 = 0x2B;

/// The segments of a processor.
pub struct Segments {
    pub offered: Vec<OfferedSegment>,
    pub segmentation: Segmentation,
    _local: Option<LocalDescriptors>,
}

impl Segments {
    /// For a region at `linear_base`.
    pub fn new(segmentation: Segmentation, linear_base: u32) -> Result<Self, Unsupported> {
        let kernel = |source: io::Error| Unsupported::Kernel { what: "write local descriptors", source };
        match segmentation {
            Segmentation::Local => {
                let local = LocalDescriptors::new(linear_base).map_err(kernel)?;
                let offer = |segment: Segment| OfferedSegment {
                    segment,
                    selector: local.selector(segment),
                    descriptor: segment.descriptor(),
                };
                let offered = Segment::ALL.map(offer).to_vec();
                Ok(Self { offered, segmentation, _local: Some(local) })
            }
            Segmentation::Flat => {
                let data = SegmentType::Data { writable: true, expand_down: false };
                let offer = |(segment, selector, kind)| {
                    let base = linear_base.wrapping_neg();
                    let descriptor = Descriptor { base, limit: u32::MAX, kind, big: true, present: true };
                    OfferedSegment { segment, selector, descriptor }
                };
                let offered = [
                    (Segment::Code32, USER32_CS, SegmentType::Code { readable: true }),
                    (Segment::Data, USER_DS, data),
                    (Segment::Extra, USER_DS, data),
                    (Segment::Stack32, USER_DS, data),
                ];
                Ok(Self { offered: offered.map(offer).to_vec(), segmentation, _local: None })
            }
        }
    }

    /// The segment in a role, if it is offered.
    pub fn by_role(&self, segment: Segment) -> Option<&OfferedSegment> {
        self.offered.iter().find(|offered| offered.segment == segment)
    }
}
