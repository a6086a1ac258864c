//! Objects, and what is in them: how it differs from what was in them before.

use rustc_hash::FxHashMap;
use std::sync::Arc;

use super::coder::Coder;
use super::model::{Context, mix, mix_long};
use super::records::Codec;
use super::values::{At, after, content};
use super::{Coding, Stored};
use crate::stream::{
    Arguments, Contents, Definition, Error, ErrorKind, FrameNumber, Items, Kind, Numbers, ObjectId,
    Pairs, Type, Value,
};

mod set {
    pub(super) const ID: u8 = 40;
    pub(super) const TYPE: u8 = 41;
    pub(super) const NAME: u8 = 42;
    pub(super) const FLAGS: u8 = 43;
    pub(super) const LENGTH: u8 = 44;
    pub(super) const TEXT: u8 = 45;
    pub(super) const BEFORE: u8 = 46;
    pub(super) const AFTER: u8 = 47;
    pub(super) const BETWEEN: u8 = 48;
    pub(super) const RANK: u8 = 49;
    pub(super) const OLD: u8 = 50;
    pub(super) const OWNER: u8 = 51;
    pub(super) const STORED: u8 = 52;
}

/// How an id is told.
mod choice {
    /// It is the next new one.
    pub(super) const NEW: u32 = 0;
    /// By how many objects have been seen since.
    pub(super) const AGAIN: u32 = 1;
    /// By how far it is from the last such one.
    pub(super) const OLD: u32 = 2;
}

/// Places that have the same hash share what is known of them.
const PLACES: usize = 4096;

/// The objects of a chunk.
#[derive(Default)]
pub(super) struct Objects {
    pub(super) newest: ObjectId,
    types: Vec<Arc<Type>>,
    numbers: FxHashMap<u64, usize>,
    /// The type that was defined last in a place, + 1.
    last: Vec<usize>,
    /// Of each object its type and the values that it held last.
    known: FxHashMap<u64, (usize, Box<[Value]>)>,
    /// How the last ids were told, two bits each; the last rank; the last id that was neither new nor seen, and how far it was from the one before.
    choices: u32,
    rank: u32,
    old: u64,
    stride: i64,
    /// What has been stored on the way to the record, and up to where that is told.
    pub(super) stored: Vec<Stored>,
    next_stored: usize,
}

impl Objects {
    /// Another record comes.
    pub(super) fn forget_stored(&mut self) {
        self.stored.clear();
        self.next_stored = 0;
    }
}

/// Contents as values and what else there is.
struct Parts<'a> {
    values: Vec<Value>,
    /// `len()`.
    length: u64,
    text: &'a [u8],
    /// A number that means something else for each kind.
    number: u64,
}

impl<'a> Parts<'a> {
    fn of(contents: &'a Contents) -> Self {
        let mut parts = Parts {
            values: Vec::new(),
            length: 0,
            text: &[],
            number: 0,
        };
        let pairs = |pairs: &Pairs| {
            pairs
                .pairs
                .iter()
                .flat_map(|&(key, value)| [key, value])
                .collect()
        };
        match contents {
            Contents::Opaque => {}
            Contents::Bytes { length, head } => (parts.length, parts.text) = (*length, head),
            Contents::Items(items) => {
                (parts.length, parts.values) = (items.length, items.items.to_vec());
            }
            Contents::Pairs(all) => (parts.length, parts.values) = (all.length, pairs(all)),
            Contents::Cell(value) => parts.values.push(*value),
            Contents::Code { qualname, code } => {
                parts.text = qualname;
                parts.number = code.map_or(0, |code| u64::from(code) + 1);
            }
            Contents::Name(name) => parts.text = name,
            Contents::Method { function, receiver } => parts.values.extend([*function, *receiver]),
            Contents::Exception {
                arguments,
                attributes,
            } => {
                if let Arguments::Known(items) = arguments {
                    parts.values.extend(&items.items);
                    // Attributes come behind so many values.
                    parts.number = items.items.len() as u64 + 1;
                    parts.length = items.length.wrapping_sub(items.items.len() as u64);
                }
                parts.add_attributes(pairs(attributes), attributes.length);
            }
            Contents::Collection { items, attributes } => {
                parts.values.extend(&items.items);
                parts.number = items.items.len() as u64 + 1;
                parts.length = items.length.wrapping_sub(items.items.len() as u64);
                parts.add_attributes(pairs(attributes), attributes.length);
            }
            Contents::Mapping {
                pairs: main,
                attributes,
            } => {
                parts.values.extend(pairs(main));
                parts.number = main.pairs.len() as u64 + 1;
                parts.length = main.length.wrapping_sub(main.pairs.len() as u64);
                parts.add_attributes(pairs(attributes), attributes.length);
            }
            Contents::Parts(values) => parts.values.extend(values),
            Contents::Generator { qualname, frame } => {
                parts.text = qualname;
                parts.number = frame.map_or(0, |frame| frame.0.wrapping_add(1));
            }
        }
        parts
    }

    /// Attributes come behind the values so far; the length becomes that of both: how many are not among the values, and how many attributes there are.
    fn add_attributes(&mut self, attributes: Vec<Value>, length: u64) {
        self.values.extend(attributes);
        self.length = self.length << 32 | length & 0xffff_ffff;
    }
}

/// The contents of an object of this kind with these parts.
fn contents(
    kind: Kind,
    values: Vec<Value>,
    length: u64,
    text: Box<[u8]>,
    number: u64,
) -> Option<Contents> {
    let pairs = |values: &[Value], length| {
        let pairs = values.chunks_exact(2).map(|pair| (pair[0], pair[1]));
        values.len().is_multiple_of(2).then(|| Pairs {
            length,
            pairs: pairs.collect(),
        })
    };
    Some(match kind {
        Kind::Opaque => Contents::Opaque,
        Kind::Str | Kind::Bytes | Kind::ByteArray => Contents::Bytes { length, head: text },
        Kind::List | Kind::Tuple | Kind::Set | Kind::FrozenSet => Contents::Items(Items {
            length,
            items: values.into(),
        }),
        Kind::Dict | Kind::Instance => Contents::Pairs(pairs(&values, length)?),
        Kind::Cell => {
            let &[value] = &values[..] else { return None };
            Contents::Cell(value)
        }
        Kind::Function | Kind::Code => Contents::Code {
            qualname: text,
            code: match number.checked_sub(1) {
                Some(code) => Some(u32::try_from(code).ok()?),
                None => None,
            },
        },
        Kind::Generator => Contents::Generator {
            qualname: text,
            frame: number.checked_sub(1).map(FrameNumber),
        },
        Kind::Builtin | Kind::Type | Kind::Module => Contents::Name(text),
        Kind::Method => {
            let &[function, receiver] = &values[..] else {
                return None;
            };
            Contents::Method { function, receiver }
        }
        Kind::ListSubclass
        | Kind::TupleSubclass
        | Kind::SetSubclass
        | Kind::FrozenSetSubclass
        | Kind::Deque => {
            let count = usize::try_from(number.checked_sub(1)?).ok()?;
            let (items, attributes) = values.split_at_checked(count)?;
            Contents::Collection {
                items: Items {
                    length: items.len() as u64 + (length >> 32),
                    items: items.into(),
                },
                attributes: pairs(attributes, length & 0xffff_ffff)?,
            }
        }
        Kind::DictSubclass => {
            let count = usize::try_from(number.checked_sub(1)?).ok()?;
            let (main, attributes) = values.split_at_checked(count.checked_mul(2)?)?;
            Contents::Mapping {
                pairs: pairs(main, count as u64 + (length >> 32))?,
                attributes: pairs(attributes, length & 0xffff_ffff)?,
            }
        }
        Kind::Exception => {
            let count = usize::try_from(number.saturating_sub(1)).ok()?;
            let (arguments, attributes) = values.split_at_checked(count)?;
            let more = length >> 32;
            Contents::Exception {
                arguments: match number {
                    0 => Arguments::Unknown,
                    _ => Arguments::Known(Items {
                        length: arguments.len() as u64 + more,
                        items: arguments.into(),
                    }),
                },
                attributes: pairs(attributes, length & 0xffff_ffff)?,
            }
        }
        Kind::Range | Kind::Slice => Contents::Parts(values.try_into().ok()?),
    })
}

impl<C: Coder> Codec<'_, C> {
    /// A definition; `place`: what is known of where it stands.
    pub(super) fn definition(
        &mut self,
        place: u32,
        given: Option<&Definition>,
        numbers: Numbers<'_>,
    ) -> Result<Definition, Error> {
        let damaged = ErrorKind::Truncated.at(self.offset);
        let id = match self.model.coding() {
            Coding::Four => self.id_behind(place, given.map(|given| given.id)),
            Coding::Five => self.id(place, given.map(|given| given.id)),
            Coding::Six => self.owner(place, given.map(|given| given.id)),
        };
        self.objects.newest = self.objects.newest.max(id);
        let before = self.objects.known.get(&id.0);
        let known_type = before.map_or(0, |before| before.0 + 1);
        let kind = self.class(mix(place, 0x5bd1), known_type, given)?;
        let class = Arc::clone(self.objects.types.get(kind).ok_or(damaged)?);
        let sort = mix_long(u32::from(class.kind as u8), class.number);
        let flags = given.map_or(0, |given| {
            u32::from(given.update) | u32::from(given.contents.is_some()) << 1
        });
        let flags = self.model.symbol(
            Context::new(set::FLAGS, sort, u32::from(known_type > 0), place),
            2,
            flags,
        );
        let mut definition = Definition {
            // A chunk with such an object is not packed.
            doubtful: false,
            id,
            class: Arc::clone(&class),
            contents: None,
            update: flags & 1 == 1,
        };
        if flags & 2 == 0 {
            if known_type == 0 {
                self.objects.known.insert(id.0, (kind, Box::default()));
            }
            return Ok(definition);
        }
        let parts = given
            .and_then(|given| given.contents.as_ref())
            .map(Parts::of);
        let place = mix(place, sort);
        let values = self.parts(id, place, sort, parts.as_ref(), numbers)?;
        let rest = parts
            .as_ref()
            .map_or(0, |parts| parts.length.wrapping_sub(values.len() as u64));
        let rest = self.model.signed(
            Context::new(set::LENGTH, sort, 0, place),
            rest.cast_signed(),
        );
        let length = rest.cast_unsigned().wrapping_add(values.len() as u64);
        let has_text = !matches!(
            class.kind,
            Kind::List | Kind::Tuple | Kind::Set | Kind::FrozenSet | Kind::Dict | Kind::Instance
        );
        let (mut text, mut number) = (Box::default(), 0);
        if has_text {
            let given = parts.as_ref().map_or(&[][..], |parts| parts.text);
            text = self.model.bytes(set::TEXT, given).ok_or(damaged)?;
            let given = parts.as_ref().map_or(0, |parts| parts.number);
            number = self
                .model
                .number(Context::new(set::NAME, sort, place, 0), given);
        }
        self.objects
            .known
            .insert(id.0, (kind, values.as_slice().into()));
        let contents = contents(class.kind, values, length, text, number);
        definition.contents = Some(contents.ok_or(damaged)?);
        Ok(definition)
    }

    /// Coding 4: how far an id is behind the next new one.
    fn id_behind(&mut self, place: u32, given: Option<ObjectId>) -> ObjectId {
        let next = self.objects.newest.0.wrapping_add(1);
        let behind = given.map_or(0, |given| next.wrapping_sub(given.0));
        let context = Context::new(set::ID, place, 0, 0);
        let behind = self.model.signed(context, behind.cast_signed());
        ObjectId(next.wrapping_sub(behind.cast_unsigned()))
    }

    /// An id: new, one of those that were seen last, or as far as that from the last other one.
    fn id(&mut self, place: u32, given: Option<ObjectId>) -> ObjectId {
        let next = self.objects.newest.0.wrapping_add(1);
        let rank = given.and_then(|given| self.memory.objects.rank(given.0));
        let choice = match given {
            Some(given) if given.0 == next => choice::NEW,
            _ if rank.is_some() => choice::AGAIN,
            _ => choice::OLD,
        };
        let context = Context::new(set::ID, place, self.objects.choices & 0xff, 0);
        let choice = self.model.symbol(context, 2, choice);
        self.objects.choices = self.objects.choices << 2 | choice;
        let id = match choice {
            choice::NEW => next,
            choice::AGAIN => {
                let rank = rank.unwrap_or_default() as u32;
                let context = Context::new(set::RANK, place, self.objects.rank, 0);
                let rank = self.model.symbol(context, 8, rank);
                self.objects.rank = rank;
                self.memory.objects.get(rank as usize)
            }
            _ => {
                let last = self.objects.old;
                let far = given.map_or(0, |given| given.0.wrapping_sub(last));
                let context = Context::new(set::OLD, place, self.objects.stride as u32, 0);
                let far = self.model.signed(context, far.cast_signed());
                self.objects.stride = far;
                self.objects.old = last.wrapping_add(far.cast_unsigned());
                self.objects.old
            }
        };
        self.memory.objects.push(id);
        ObjectId(id)
    }

    /// An id: likely that of the object into which something has been stored next.
    fn owner(&mut self, place: u32, given: Option<ObjectId>) -> ObjectId {
        let next = self.objects.next_stored;
        let mut rest = self.objects.stored.iter().skip(next);
        let Some(owner) = rest.find_map(|stored| stored.object) else {
            return self.id(place, given);
        };
        let context = Context::new(set::OWNER, place, next as u32, 0);
        if !self.model.bit(context, given == Some(owner)) {
            return self.id(place, given);
        }
        let stored = &self.objects.stored;
        let is_other = |stored: &Stored| stored.object.is_some_and(|object| object != owner);
        let other = stored[next..].iter().position(is_other);
        self.objects.next_stored = other.map_or(stored.len(), |other| next + other);
        self.memory.objects.push(owner.0);
        owner
    }

    /// Number of the type in the chunk.
    fn class(
        &mut self,
        place: u32,
        known: usize,
        given: Option<&Definition>,
    ) -> Result<usize, Error> {
        let given = given.map(|given| &given.class);
        let index = given.and_then(|class| {
            let &index = self.objects.numbers.get(&class.number)?;
            (self.objects.types.get(index) == Some(class)).then_some(index)
        });
        // What it is if it is known, or else what was defined last in this place.
        let last = mix(place, 0x9b1d) as usize % PLACES;
        let likely = match known.checked_sub(1) {
            Some(known) => Some(known),
            None => self
                .objects
                .last
                .get(last)
                .and_then(|last| last.checked_sub(1)),
        };
        let context = Context::new(set::TYPE, 1 << 28, place, u32::from(known > 0));
        if let Some(likely) = likely
            && self.model.bit(context, index == Some(likely))
        {
            return Ok(likely);
        }
        let found = self.class_in_full(place, known, index, given)?;
        if self.objects.last.is_empty() {
            self.objects.last.resize(PLACES, 0);
        }
        self.objects.last[last] = found + 1;
        Ok(found)
    }

    fn class_in_full(
        &mut self,
        place: u32,
        known: usize,
        index: Option<usize>,
        given: Option<&Arc<Type>>,
    ) -> Result<usize, Error> {
        let damaged = ErrorKind::Truncated.at(self.offset);
        let context = Context::new(set::TYPE, known as u32, place, 0);
        let index = self
            .model
            .number(context, index.map_or(0, |index| index as u64 + 1));
        if let Some(index) = index.checked_sub(1) {
            return usize::try_from(index).map_err(|_| damaged);
        }
        let number = self.model.number(
            Context::new(set::TYPE, 1 << 30, 0, 0),
            given.map_or(0, |class| class.number),
        );
        let kind = self.model.symbol(
            Context::new(set::TYPE, 1 << 29, 0, 0),
            8,
            given.map_or(0, |class| class.kind as u32),
        );
        let kind = Kind::from_number(kind as u8).ok_or(damaged)?;
        let name = given.map_or(&[][..], |class| &class.name);
        let name = self.model.bytes(set::NAME, name).ok_or(damaged)?;
        let index = self.objects.types.len();
        self.objects.numbers.insert(number, index);
        self.objects
            .types
            .push(Arc::new(Type { number, kind, name }));
        Ok(index)
    }

    /// The values in an object: so many as before at the beginning and at the end, others between.
    fn parts(
        &mut self,
        id: ObjectId,
        place: u32,
        sort: u32,
        given: Option<&Parts<'_>>,
        numbers: Numbers<'_>,
    ) -> Result<Vec<Value>, Error> {
        let damaged = ErrorKind::Truncated.at(self.offset);
        let before = self.objects.known.remove(&id.0);
        let before = before.map_or_else(Box::default, |before| before.1);
        let values = given.map_or(&[][..], |given| &given.values);
        let (mut first, mut last) = (0, 0);
        if !before.is_empty() {
            let same = |(one, other): &(&Value, &Value)| one == other;
            first = values.iter().zip(&before).take_while(same).count();
            let rest = values.len().min(before.len()) - first;
            let back = values.iter().rev().zip(before.iter().rev()).take(rest);
            last = back.take_while(same).count();
            let context = Context::new(set::BEFORE, place, 0, before.len() as u32);
            let kept = self.model.number(context, first as u64);
            first = usize::try_from(kept).map_err(|_| damaged)?;
            let most = before.len().checked_sub(first).ok_or(damaged)?;
            let context = Context::new(set::AFTER, place, 0, first as u32);
            let lost = (most as u64).wrapping_sub(last as u64);
            let lost = usize::try_from(self.model.number(context, lost)).map_err(|_| damaged)?;
            last = most.checked_sub(lost).ok_or(damaged)?;
        }
        let context = Context::new(set::BETWEEN, place, before.len() as u32, first as u32);
        let between = values.len().wrapping_sub(first).wrapping_sub(last);
        let between = self.model.number(context, between as u64);
        if !self.model.spend((first + last) as u64) {
            return Err(damaged);
        }
        let mut found = before[..first].to_vec();
        let mut stored = 0;
        // Which attribute it is, or which item of how many, and what was there before.
        let mut key = found.last().copied().unwrap_or(Value::Null);
        for _ in 0..between {
            let given = values.get(found.len()).copied().unwrap_or(Value::Null);
            let number = found.len().min(64) as u32;
            let at = At {
                place: mix(sort, number | 1 << 20),
                before: mix(after(key), place),
            };
            let of_object = |stored: &Stored| stored.object == Some(id);
            let mut rest = self.objects.stored.iter().enumerate().skip(stored);
            let likely = rest.find(|(_, stored)| of_object(stored));
            let context = Context::new(set::STORED, place, number, 0);
            key = match likely {
                Some((index, likely)) if self.model.bit(context, likely.value == given) => {
                    stored = index + 1;
                    self.memory.is_in(at, likely.value);
                    likely.value
                }
                _ => content(
                    &mut self.model,
                    &mut self.memory,
                    self.objects.newest,
                    at,
                    given,
                    numbers,
                )?,
            };
            if self.model.is_over() {
                return Err(damaged);
            }
            found.push(key);
        }
        found.extend_from_slice(&before[before.len() - last..]);
        Ok(found)
    }
}
