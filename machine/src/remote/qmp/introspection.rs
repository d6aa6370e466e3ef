//! `query-qmp-schema`: what commands and events there are, and of what types.
//!
//! QEMU QMP Reference Manual, "QMP introspection". All of it follows from the table of commands, the events, and the
//! declarations of their types.

use super::types::{Nothing, Type, enumeration, object, union};
use super::{Refusal, Session, commands, events};
use std::collections::BTreeMap;

enumeration! {
    /// A type of JSON; integers are told from other numbers.
    JsonType {
        String "string",
        Int "int",
        Boolean "boolean",
        Value "value",
    }
}

object! {
    /// A value of an enumeration.
    SchemaInfoEnumMember {
        "name" name: String,
    }
}

object! {
    /// A member of an object.
    SchemaInfoObjectMember {
        "name" name: String,
        "type" of: String,
        /// Null if it may be absent.
        "default" default: Option<()>,
    }
}

object! {
    /// The members that an object has besides in one of its cases.
    SchemaInfoObjectVariant {
        "case" case: String,
        "type" of: String,
    }
}

union! {
    /// Something that the protocol has.
    SchemaInfo by "meta-type" {
        Builtin "builtin" { "name" name: String, "json-type" json_type: JsonType, }
        Enum "enum" {
            "name" name: String,
            "members" members: Vec<SchemaInfoEnumMember>,
            // Older clients look here.
            "values" values: Vec<String>,
        }
        Array "array" { "name" name: String, "element-type" element_type: String, }
        Object "object" {
            "name" name: String,
            "members" members: Vec<SchemaInfoObjectMember>,
            "tag" tag: Option<String>,
            "variants" variants: Option<Vec<SchemaInfoObjectVariant>>,
        }
        Command "command" {
            "name" name: String,
            "arg-type" arg_type: String,
            "ret-type" ret_type: String,
            "allow-oob" allow_oob: bool,
        }
        Event "event" { "name" name: String, "arg-type" arg_type: String, }
    }
}

/// Everything by its name.
#[derive(Debug, Default)]
pub(super) struct Schema(BTreeMap<String, SchemaInfo>);

impl Schema {
    fn define(
        &mut self,
        name: impl Into<String>,
        info: impl FnOnce(&mut Self, String) -> SchemaInfo,
    ) -> String {
        let name = name.into();
        if !self.0.contains_key(&name) {
            let info = info(self, name.clone());
            self.0.insert(name.clone(), info);
        }
        name
    }

    pub(super) fn builtin(&mut self, name: &str, json_type: JsonType) -> String {
        self.define(name, |_, name| SchemaInfo::Builtin { name, json_type })
    }

    pub(super) fn array(&mut self, element_type: String) -> String {
        self.define(format!("[{element_type}]"), |_, name| SchemaInfo::Array { name, element_type })
    }

    pub(super) fn enumeration<V: Into<String>>(
        &mut self,
        name: &str,
        values: impl IntoIterator<Item = V>,
    ) -> String {
        let values: Vec<String> = values.into_iter().map(Into::into).collect();
        let members = values.iter().map(|name| SchemaInfoEnumMember { name: name.clone() }).collect();
        self.define(name, |_, name| SchemaInfo::Enum { name, members, values })
    }

    /// An object type; `variants` are the tag's name, and each case with the type of its members.
    pub(super) fn object(
        &mut self,
        name: &str,
        variants: Option<(&str, Vec<(&str, String)>)>,
        describe: impl FnOnce(&mut Self, &mut Vec<SchemaInfoObjectMember>),
    ) -> String {
        self.define(name, |schema, name| {
            let mut members = Vec::new();
            describe(schema, &mut members);
            let (tag, variants) = variants.unzip();
            let variant = |(case, of): (&str, String)| SchemaInfoObjectVariant { case: case.into(), of };
            SchemaInfo::Object {
                name,
                members,
                tag: tag.map(Into::into),
                variants: variants.map(|variants: Vec<_>| variants.into_iter().map(variant).collect()),
            }
        })
    }

    pub(super) fn member<T: Type>(&mut self, name: &str) -> SchemaInfoObjectMember {
        let default = T::OPTIONAL.then_some(());
        SchemaInfoObjectMember { name: name.into(), of: T::describe(self), default }
    }

    /// A member that is always there, of a type that was described before.
    pub(super) fn member_of(&mut self, of: String, name: &str) -> SchemaInfoObjectMember {
        SchemaInfoObjectMember { name: name.into(), of, default: None }
    }

    pub(super) fn command(&mut self, name: &str, arg_type: String, ret_type: String) {
        self.define(name, |_, name| SchemaInfo::Command { name, arg_type, ret_type, allow_oob: false });
    }

    pub(super) fn event(&mut self, name: &str, arg_type: String) {
        self.define(name, |_, name| SchemaInfo::Event { name, arg_type });
    }
}

/// `query-qmp-schema`.
pub(super) fn query_schema(_: &mut Session, _: Nothing) -> Result<Vec<SchemaInfo>, Refusal> {
    let mut schema = Schema::default();
    commands::describe(&mut schema);
    events::Event::describe(&mut schema);
    Ok(schema.0.into_values().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything that something refers to is there, under a name of its own.
    #[test]
    fn the_schema_is_closed() {
        let mut schema = Schema::default();
        commands::describe(&mut schema);
        events::Event::describe(&mut schema);
        for info in schema.0.values() {
            let refers_to: Vec<&String> = match info {
                SchemaInfo::Builtin { .. } | SchemaInfo::Enum { .. } => vec![],
                SchemaInfo::Array { element_type, .. } => vec![element_type],
                SchemaInfo::Object { members, tag, variants, .. } => {
                    assert_eq!(tag.is_some(), variants.is_some());
                    let tag = tag.as_ref();
                    assert!(tag.is_none_or(|tag| members.iter().any(|member| member.name == *tag)));
                    let variants = variants.iter().flatten().map(|variant| &variant.of);
                    members.iter().map(|member| &member.of).chain(variants).collect()
                }
                SchemaInfo::Command { arg_type, ret_type, .. } => {
                    assert!(matches!(schema.0.get(arg_type), Some(SchemaInfo::Object { .. })));
                    vec![ret_type]
                }
                SchemaInfo::Event { arg_type, .. } => {
                    assert!(matches!(schema.0.get(arg_type), Some(SchemaInfo::Object { .. })));
                    vec![]
                }
            };
            for name in refers_to {
                let is_type = |info: &SchemaInfo| {
                    !matches!(info, SchemaInfo::Command { .. } | SchemaInfo::Event { .. })
                };
                assert!(schema.0.get(name).is_some_and(is_type), "{name} of {info:?}");
            }
        }
    }
}
