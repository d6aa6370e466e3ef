//! A saved state as a tree of plain values: a format that exists to be corrupted.

use super::Random;
use serde::de::{self, DeserializeOwned, IntoDeserializer, value::MapDeserializer, value::SeqDeserializer};
use serde::{Serialize, ser};
use std::fmt::Display;

/// One value of a saved state.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Tree {
    Unit,
    Bool(bool),
    /// A number and its width in bits, so that a corrupted one still fits.
    Unsigned(u128, u32),
    Signed(i128, u32),
    Text(String),
    Nothing,
    Something(Box<Tree>),
    Sequence(Vec<Tree>),
    /// A struct or map.
    Fields(Vec<(Tree, Tree)>),
    Variant(&'static str, Box<Tree>),
}

/// Why a tree does not fit a type.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct TreeError(String);

impl ser::Error for TreeError {
    fn custom<T: Display>(message: T) -> Self {
        TreeError(message.to_string())
    }
}

impl de::Error for TreeError {
    fn custom<T: Display>(message: T) -> Self {
        TreeError(message.to_string())
    }
}

impl Tree {
    pub(crate) fn of(state: &impl Serialize) -> Tree {
        state.serialize(Writer).expect("device states hold integers, flags, text, sequences and structs only")
    }

    pub(crate) fn read<T: DeserializeOwned>(self) -> Result<T, TreeError> {
        T::deserialize(self)
    }

    fn children(&mut self) -> Vec<&mut Tree> {
        match self {
            Tree::Something(inner) | Tree::Variant(_, inner) => vec![inner],
            Tree::Sequence(items) => items.iter_mut().collect(),
            Tree::Fields(fields) => fields.iter_mut().map(|(_, value)| value).collect(),
            _ => Vec::new(),
        }
    }

    /// Changes one value somewhere in the tree, descending evenly so that a long buffer does not hide the
    /// fields beside it.
    pub(crate) fn corrupt(&mut self, random: &mut Random) {
        let here = matches!(self, Tree::Something(_) | Tree::Sequence(_)) && random.one_in(4);
        if !here {
            let mut children = self.children();
            if !children.is_empty() {
                let choice = random.below(children.len() as u64) as usize;
                return children.swap_remove(choice).corrupt(random);
            }
        }
        match self {
            Tree::Bool(flag) => *flag = !*flag,
            Tree::Unsigned(value, bits) => {
                let any = u128::from(random.next()) << 64 | u128::from(random.next());
                let any = match random.below(5) {
                    0 => value.wrapping_add(1),
                    1 => value.wrapping_sub(1),
                    2 => u128::MAX - any % 2,
                    3 => any % 4,
                    _ => any,
                };
                *value = any & (u128::MAX >> (128 - *bits));
            }
            Tree::Signed(value, bits) => {
                let any = i128::from(random.next() as i64);
                *value = any >> (64 - (*bits).min(64));
            }
            Tree::Something(_) => *self = Tree::Nothing,
            Tree::Sequence(items) => match (random.below(3), items.len()) {
                (0, _) => items.clear(),
                (1, 1..) => drop(items.pop()),
                (_, 1..) => items.extend_from_within(0..1),
                (_, 0) => {}
            },
            Tree::Text(text) => text.push('?'),
            Tree::Unit | Tree::Nothing | Tree::Fields(_) | Tree::Variant(..) => {}
        }
    }
}

impl<'de> IntoDeserializer<'de, TreeError> for Tree {
    type Deserializer = Tree;
    fn into_deserializer(self) -> Tree {
        self
    }
}

impl<'de> de::Deserializer<'de> for Tree {
    type Error = TreeError;

    fn deserialize_any<V: de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, TreeError> {
        match self {
            Tree::Unit => visitor.visit_unit(),
            Tree::Bool(flag) => visitor.visit_bool(flag),
            Tree::Unsigned(value, 128) => visitor.visit_u128(value),
            Tree::Unsigned(value, _) => visitor.visit_u64(value as u64),
            Tree::Signed(value, 128) => visitor.visit_i128(value),
            Tree::Signed(value, _) => visitor.visit_i64(value as i64),
            Tree::Text(text) => visitor.visit_string(text),
            Tree::Nothing => visitor.visit_none(),
            Tree::Something(inner) => visitor.visit_some(*inner),
            Tree::Sequence(items) => {
                let mut items = SeqDeserializer::new(items.into_iter());
                let value = visitor.visit_seq(&mut items)?;
                items.end()?;
                Ok(value)
            }
            Tree::Fields(fields) => visitor.visit_map(MapDeserializer::new(fields.into_iter())),
            Tree::Variant(..) => Err(de::Error::custom("a variant where none belongs")),
        }
    }

    fn deserialize_newtype_struct<V: de::Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, TreeError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: de::Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, TreeError> {
        match self {
            Tree::Variant(name, content) => visitor.visit_enum(VariantReader(name, *content)),
            _ => Err(de::Error::custom("no variant where one belongs")),
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

struct VariantReader(&'static str, Tree);

impl<'de> de::EnumAccess<'de> for VariantReader {
    type Error = TreeError;
    type Variant = Tree;
    fn variant_seed<S: de::DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Tree), TreeError> {
        Ok((seed.deserialize(Tree::Text(self.0.to_owned()))?, self.1))
    }
}

impl<'de> de::VariantAccess<'de> for Tree {
    type Error = TreeError;
    fn unit_variant(self) -> Result<(), TreeError> {
        Ok(())
    }
    fn newtype_variant_seed<S: de::DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, TreeError> {
        seed.deserialize(self)
    }
    fn tuple_variant<V: de::Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, TreeError> {
        de::Deserializer::deserialize_any(self, visitor)
    }
    fn struct_variant<V: de::Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, TreeError> {
        de::Deserializer::deserialize_any(self, visitor)
    }
}

struct Writer;

type Written = Result<Tree, TreeError>;

/// Collects the parts of a sequence, a struct or a variant of either.
struct Parts {
    variant: Option<&'static str>,
    items: Vec<Tree>,
    fields: Vec<(Tree, Tree)>,
    key: Option<Tree>,
}

impl Parts {
    fn new(variant: Option<&'static str>) -> Result<Self, TreeError> {
        Ok(Parts { variant, items: Vec::new(), fields: Vec::new(), key: None })
    }

    fn item(&mut self, value: &(impl Serialize + ?Sized)) -> Result<(), TreeError> {
        self.items.push(value.serialize(Writer)?);
        Ok(())
    }

    fn field(&mut self, name: &str, value: &(impl Serialize + ?Sized)) -> Result<(), TreeError> {
        self.fields.push((Tree::Text(name.to_owned()), value.serialize(Writer)?));
        Ok(())
    }

    fn done(self, content: fn(Self) -> Tree) -> Written {
        let variant = self.variant;
        let tree = content(self);
        Ok(match variant {
            Some(name) => Tree::Variant(name, Box::new(tree)),
            None => tree,
        })
    }
}

fn sequence(parts: Parts) -> Tree {
    Tree::Sequence(parts.items)
}

fn fields(parts: Parts) -> Tree {
    Tree::Fields(parts.fields)
}

macro_rules! collects_items {
    ($($form:ident $method:ident),*) => {$(
        impl ser::$form for Parts {
            type Ok = Tree;
            type Error = TreeError;
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), TreeError> {
                self.item(value)
            }
            fn end(self) -> Written {
                self.done(sequence)
            }
        }
    )*};
}
collects_items!(
    SerializeSeq serialize_element, SerializeTuple serialize_element,
    SerializeTupleStruct serialize_field, SerializeTupleVariant serialize_field
);

macro_rules! collects_fields {
    ($($form:ident),*) => {$(
        impl ser::$form for Parts {
            type Ok = Tree;
            type Error = TreeError;
            fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), TreeError> {
                self.field(name, value)
            }
            fn end(self) -> Written {
                self.done(fields)
            }
        }
    )*};
}
collects_fields!(SerializeStruct, SerializeStructVariant);

impl ser::SerializeMap for Parts {
    type Ok = Tree;
    type Error = TreeError;
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), TreeError> {
        self.key = Some(key.serialize(Writer)?);
        Ok(())
    }
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), TreeError> {
        let key = self.key.take().expect("a key comes before its value");
        self.fields.push((key, value.serialize(Writer)?));
        Ok(())
    }
    fn end(self) -> Written {
        self.done(fields)
    }
}

macro_rules! writes_integers {
    ($($method:ident $type:ident $kind:ident $wide:ident),*) => {$(
        fn $method(self, value: $type) -> Written {
            Ok(Tree::$kind(<$wide>::from(value), <$type>::BITS))
        }
    )*};
}

impl ser::Serializer for Writer {
    type Ok = Tree;
    type Error = TreeError;
    type SerializeSeq = Parts;
    type SerializeTuple = Parts;
    type SerializeTupleStruct = Parts;
    type SerializeTupleVariant = Parts;
    type SerializeMap = Parts;
    type SerializeStruct = Parts;
    type SerializeStructVariant = Parts;

    writes_integers!(
        serialize_u8 u8 Unsigned u128, serialize_u16 u16 Unsigned u128, serialize_u32 u32 Unsigned u128,
        serialize_u64 u64 Unsigned u128, serialize_u128 u128 Unsigned u128,
        serialize_i8 i8 Signed i128, serialize_i16 i16 Signed i128, serialize_i32 i32 Signed i128,
        serialize_i64 i64 Signed i128, serialize_i128 i128 Signed i128
    );

    fn serialize_bool(self, value: bool) -> Written {
        Ok(Tree::Bool(value))
    }
    fn serialize_f32(self, _: f32) -> Written {
        Err(ser::Error::custom("a floating point number in a device state"))
    }
    fn serialize_f64(self, _: f64) -> Written {
        Err(ser::Error::custom("a floating point number in a device state"))
    }
    fn serialize_char(self, value: char) -> Written {
        Ok(Tree::Text(value.to_string()))
    }
    fn serialize_str(self, value: &str) -> Written {
        Ok(Tree::Text(value.to_owned()))
    }
    fn serialize_bytes(self, value: &[u8]) -> Written {
        value.serialize(self)
    }
    fn serialize_none(self) -> Written {
        Ok(Tree::Nothing)
    }
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Written {
        Ok(Tree::Something(Box::new(value.serialize(Writer)?)))
    }
    fn serialize_unit(self) -> Written {
        Ok(Tree::Unit)
    }
    fn serialize_unit_struct(self, _: &'static str) -> Written {
        Ok(Tree::Unit)
    }
    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Written {
        Ok(Tree::Variant(variant, Box::new(Tree::Unit)))
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Written {
        value.serialize(self)
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Written {
        Ok(Tree::Variant(variant, Box::new(value.serialize(Writer)?)))
    }
    fn serialize_seq(self, _: Option<usize>) -> Result<Parts, TreeError> {
        Parts::new(None)
    }
    fn serialize_tuple(self, _: usize) -> Result<Parts, TreeError> {
        Parts::new(None)
    }
    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Parts, TreeError> {
        Parts::new(None)
    }
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Parts, TreeError> {
        Parts::new(Some(variant))
    }
    fn serialize_map(self, _: Option<usize>) -> Result<Parts, TreeError> {
        Parts::new(None)
    }
    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Parts, TreeError> {
        Parts::new(None)
    }
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Parts, TreeError> {
        Parts::new(Some(variant))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    enum Kind {
        Plain,
        Number(u8),
        Pair(i16, bool),
        Named { text: String },
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Sample {
        kinds: Vec<Kind>,
        fixed: [u16; 3],
        maybe: Option<u64>,
        missing: Option<u64>,
    }

    fn sample() -> Sample {
        Sample {
            kinds: vec![Kind::Plain, Kind::Number(7), Kind::Pair(-3, true), Kind::Named { text: "x".into() }],
            fixed: [1, 2, 3],
            maybe: Some(9),
            missing: None,
        }
    }

    #[test]
    fn every_shape_reads_back() {
        assert_eq!(Tree::of(&sample()).read::<Sample>().expect("the same shape"), sample());
    }

    #[test]
    fn corruption_changes_states_and_often_keeps_them_readable() {
        let mut random = Random::new(1);
        let mut changed = 0;
        for _ in 0..1000 {
            let mut tree = Tree::of(&sample());
            tree.corrupt(&mut random);
            changed += usize::from(tree.read::<Sample>().is_ok_and(|state| state != sample()));
        }
        assert!(changed > 300, "only {changed} of 1000");
    }
}
