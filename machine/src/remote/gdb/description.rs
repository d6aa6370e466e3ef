//! The target description: how the registers are called, and what is in them.
//!
//! GDB manual, "Target Description Format", "i386 Features".

use crate::registers::{Feature, REGISTERS};
use std::fmt::Write;

/// Fields of EFLAGS, MXCSR, CR0 and CR4, by their bits.
const FLAGS: [(&str, &[(&str, u32)]); 4] = [
    (
        "i386_eflags",
        &[
            ("CF", 0),
            ("PF", 2),
            ("AF", 4),
            ("ZF", 6),
            ("SF", 7),
            ("TF", 8),
            ("IF", 9),
            ("DF", 10),
            ("OF", 11),
            ("NT", 14),
            ("RF", 16),
            ("VM", 17),
            ("AC", 18),
            ("VIF", 19),
            ("VIP", 20),
            ("ID", 21),
        ],
    ),
    (
        "i386_mxcsr",
        &[
            ("IE", 0),
            ("DE", 1),
            ("ZE", 2),
            ("OE", 3),
            ("UE", 4),
            ("PE", 5),
            ("DAZ", 6),
            ("IM", 7),
            ("DM", 8),
            ("ZM", 9),
            ("OM", 10),
            ("UM", 11),
            ("PM", 12),
            ("FZ", 15),
        ],
    ),
    (
        "i386_cr0",
        &[
            ("PE", 0),
            ("MP", 1),
            ("EM", 2),
            ("TS", 3),
            ("ET", 4),
            ("NE", 5),
            ("WP", 16),
            ("AM", 18),
            ("NW", 29),
            ("CD", 30),
            ("PG", 31),
        ],
    ),
    (
        "i386_cr4",
        &[
            ("VME", 0),
            ("PVI", 1),
            ("TSD", 2),
            ("DE", 3),
            ("PSE", 4),
            ("PAE", 5),
            ("MCE", 6),
            ("PGE", 7),
            ("PCE", 8),
            ("OSFXSR", 9),
            ("OSXMMEXCPT", 10),
        ],
    ),
];

/// What an XMM register may hold: element type, name, count.
const VECTORS: [(&str, &str, u32); 6] = [
    ("ieee_single", "v4_float", 4),
    ("ieee_double", "v2_double", 2),
    ("int8", "v16_int8", 16),
    ("int16", "v8_int16", 8),
    ("int32", "v4_int32", 4),
    ("int64", "v2_int64", 2),
];

/// The description of a processor that runs 16-bit or 32-bit code: it tells the debugger how to disassemble.
pub(super) fn target_xml(code_size: u32) -> String {
    let architecture = if code_size == 16 { "i8086" } else { "i386" };
    let mut xml =
        String::from("<?xml version=\"1.0\"?>\n<!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n<target>\n");
    // Writing to a string does not fail.
    let _ = writeln!(xml, "<architecture>{architecture}</architecture>\n<osabi>none</osabi>");
    for (feature, name) in [
        (Feature::Core, "org.gnu.gdb.i386.core"),
        (Feature::Sse, "org.gnu.gdb.i386.sse"),
        (Feature::System, "org.idem86.system"),
    ] {
        let registers = || REGISTERS.iter().enumerate().filter(|(_, r)| r.feature == feature);
        let _ = writeln!(xml, "<feature name=\"{name}\">");
        for (id, fields) in FLAGS.iter().filter(|(id, _)| registers().any(|(_, r)| r.kind == *id)) {
            let _ = writeln!(xml, "<flags id=\"{id}\" size=\"4\">");
            for (field, bit) in *fields {
                let _ = writeln!(xml, "<field name=\"{field}\" start=\"{bit}\" end=\"{bit}\"/>");
            }
            xml.push_str("</flags>\n");
        }
        if feature == Feature::Sse {
            for (element, id, count) in VECTORS {
                let _ = writeln!(xml, "<vector id=\"{id}\" type=\"{element}\" count=\"{count}\"/>");
            }
            xml.push_str("<union id=\"vec128\">\n");
            for (_, id, _) in VECTORS {
                let _ = writeln!(xml, "<field name=\"{id}\" type=\"{id}\"/>");
            }
            xml.push_str("<field name=\"uint128\" type=\"uint128\"/>\n</union>\n");
        }
        for (number, r) in registers() {
            let group = match r.kind {
                "i387_ext" | "int" => " group=\"float\"",
                _ if feature == Feature::System => " group=\"system\"",
                _ => "",
            };
            let _ = writeln!(
                xml,
                "<reg name=\"{}\" bitsize=\"{}\" type=\"{}\" regnum=\"{number}\"{group}/>",
                r.name,
                r.bytes() * 8,
                r.kind
            );
        }
        xml.push_str("</feature>\n");
    }
    xml.push_str("</target>\n");
    xml
}
