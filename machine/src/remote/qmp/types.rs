//! Types of the protocol: each is declared once, and so are how it is read, how it is written, and what introspection
//! says of it.
//!
//! QEMU, "How to use the QAPI code generator".

use super::introspection::Schema;
use std::path::PathBuf;

/// A type of the protocol.
pub(super) trait Type {
    /// Whether a member of this type may be absent.
    const OPTIONAL: bool = false;

    /// Puts the type into `schema`, and gives the name that it has there.
    fn describe(schema: &mut Schema) -> String;

    /// Whether a member with this value is left out.
    fn is_absent(&self) -> bool {
        false
    }
}

macro_rules! builtin {
    ($name:literal $json:ident: $($type:ty),*) => {
        $(impl Type for $type {
            fn describe(schema: &mut Schema) -> String {
                schema.builtin($name, super::introspection::JsonType::$json)
            }
        })*
    };
}

builtin!("bool" Boolean: bool);
// How many bits an integer may have is no part of the schema.
builtin!("int" Int: i32, u32, u64);
builtin!("str" String: String, PathBuf);
// Defaults are of any type; what members of this type hold is null.
builtin!("any" Value: ());

impl<T: Type> Type for Vec<T> {
    fn describe(schema: &mut Schema) -> String {
        let element = T::describe(schema);
        schema.array(element)
    }
}

impl<T: Type> Type for Option<T> {
    const OPTIONAL: bool = true;

    fn describe(schema: &mut Schema) -> String {
        T::describe(schema)
    }

    fn is_absent(&self) -> bool {
        self.is_none()
    }
}

/// Declares an object type: its name, and its members with their names.
macro_rules! object {
    ($(#[$meta:meta])* $Type:ident { $($(#[$note:meta])* $name:literal $field:ident: $of:ty,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(super) struct $Type {
            $(
                $(#[$note])*
                #[serde(rename = $name, skip_serializing_if = "crate::remote::qmp::types::Type::is_absent")]
                pub(super) $field: $of,
            )*
        }

        impl crate::remote::qmp::types::Type for $Type {
            fn describe(schema: &mut crate::remote::qmp::introspection::Schema) -> String {
                #[allow(unused_mut, unused_variables, reason = "there may be no members")]
                schema.object(stringify!($Type), None, |schema, members| {
                    $(members.push(schema.member::<$of>($name));)*
                })
            }
        }
    };
}

/// Declares an enumeration type: its name, and its values with their names.
macro_rules! enumeration {
    ($(#[$meta:meta])* $Type:ident { $($Value:ident $name:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        pub(super) enum $Type {
            $(#[serde(rename = $name)] $Value,)*
        }

        impl crate::remote::qmp::types::Type for $Type {
            fn describe(schema: &mut crate::remote::qmp::introspection::Schema) -> String {
                schema.enumeration(stringify!($Type), [$($name),*])
            }
        }
    };
}

/// Declares a union type: the member that tells its cases apart, and their names and members.
macro_rules! union {
    ($(#[$meta:meta])* $Type:ident by $tag:literal {
        $($Case:ident $case:literal { $($name:literal $field:ident: $of:ty,)* })*
    }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
        #[serde(tag = $tag, deny_unknown_fields)]
        pub(super) enum $Type {
            $(
                #[serde(rename = $case)]
                $Case {
                    $(
                        #[serde(rename = $name, skip_serializing_if = "crate::remote::qmp::types::Type::is_absent")]
                        $field: $of,
                    )*
                },
            )*
        }

        impl crate::remote::qmp::types::Type for $Type {
            fn describe(schema: &mut crate::remote::qmp::introspection::Schema) -> String {
                let name = stringify!($Type);
                let kind = schema.enumeration(concat!(stringify!($Type), "Kind"), [$($case),*]);
                let variants = vec![$({
                    let case = schema.object(concat!(stringify!($Type), stringify!($Case)), None, |schema, members| {
                        $(members.push(schema.member::<$of>($name));)*
                    });
                    ($case, case)
                }),*];
                schema.object(name, Some(($tag, variants)), |schema, members| {
                    members.push(schema.member_of(kind, $tag));
                })
            }
        }
    };
}

pub(super) use {enumeration, object, union};

object! {
    /// Nothing: what commands without arguments take, and what commands without a result give.
    Nothing {}
}
