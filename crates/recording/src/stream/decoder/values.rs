//! Values, objects, their types and contents.

use std::collections::HashMap;
use std::sync::Arc;

use super::at_most;
use crate::cursor::Cursor;
use crate::stream::{
    Arguments, BigInt, Change, Contents, Definition, Error, ErrorKind, FrameNumber, Items, Kind,
    MAX_DEPTH, MAX_PARTS, ObjectId, Pairs, Reason, RecentObjects, Type, Value, tag,
};

/// What a chunk has defined so far.
#[derive(Debug)]
pub(super) struct Objects {
    pub(super) recent: RecentObjects,
    pub(super) big_ints: Vec<BigInt>,
    pub(super) complexes: Vec<[u64; 2]>,
    types: Vec<Arc<Type>>,
    defined: Defined,
    /// Whether all definitions that were handed out stay where they were put.
    keeps: bool,
    /// The objects whose contents are being read, outermost first: at most [`MAX_DEPTH`].
    open: Vec<u64>,
}

/// The objects that have been defined.
#[derive(Debug, Default)]
struct Defined {
    /// The id of the first one that can be new in the chunk.
    first: u64,
    /// Those that are new have ids in a row.
    new: Vec<Known>,
    /// All others. Keyed by numbers from the file, so hashed safely.
    others: HashMap<u64, Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// The index of its type.
    class: u32,
    /// The contents of a list, dict or instance as they were given last, if they are small enough to be updated in part.
    latest: Option<Latest>,
}

impl Defined {
    fn new_index(&self, id: u64) -> Option<usize> {
        usize::try_from(id.checked_sub(self.first)?).ok()
    }

    fn get(&self, id: u64) -> Option<&Known> {
        let new = self.new_index(id).and_then(|index| self.new.get(index));
        new.or_else(|| self.others.get(&id))
    }

    fn get_mut(&mut self, id: u64) -> Option<&mut Known> {
        match self.new_index(id) {
            Some(index) if index < self.new.len() => self.new.get_mut(index),
            _ => self.others.get_mut(&id),
        }
    }

    /// An object is defined, for the first time or anew.
    fn define(&mut self, id: u64, class: u32) {
        if let Some(known) = self.get_mut(id) {
            known.class = class;
            return;
        }
        let new = Known {
            class,
            latest: None,
        };
        // Ids that were given out of order are among the others, and stay there.
        if self.new_index(id) == Some(self.new.len()) {
            self.new.push(new);
        } else {
            self.others.insert(id, new);
        }
    }
}

/// Contents of a list, dict or instance as they were given last.
#[derive(Debug)]
enum Latest {
    /// Those of the definition with this index among all that were handed out.
    Told(usize),
    /// A copy.
    Copied(Contents),
}

/// Whether contents are small enough to be updated in part.
fn has_parts(contents: &Contents) -> bool {
    match contents {
        Contents::Items(items) | Contents::Collection { items, .. } => {
            items.items.len() <= MAX_PARTS
        }
        Contents::Pairs(pairs) | Contents::Mapping { pairs, .. } => pairs.pairs.len() <= MAX_PARTS,
        _ => false,
    }
}

/// Contents after a change, if there is such a place.
fn changed(
    contents: &Contents,
    change: Change,
    length: u64,
    key: Option<Value>,
    value: Option<Value>,
) -> Option<Contents> {
    let items = |known: &Items| {
        let items = with_change(
            &known.items,
            change,
            |place| {
                *place = value?;
                Some(())
            },
            || value,
        )?;
        Some(Items { length, items })
    };
    let pairs = |known: &Pairs| {
        let pairs = with_change(
            &known.pairs,
            change,
            |place| {
                place.1 = value?;
                Some(())
            },
            || Some((key?, value?)),
        )?;
        Some(Pairs { length, pairs })
    };
    Some(match contents {
        Contents::Items(known) => Contents::Items(items(known)?),
        Contents::Pairs(known) => Contents::Pairs(pairs(known)?),
        Contents::Collection {
            items: known,
            attributes,
        } => Contents::Collection {
            items: items(known)?,
            attributes: attributes.clone(),
        },
        Contents::Mapping {
            pairs: known,
            attributes,
        } => Contents::Mapping {
            pairs: pairs(known)?,
            attributes: attributes.clone(),
        },
        _ => return None,
    })
}

/// Parts with one of them replaced, or one more.
fn with_change<T: Copy>(
    known: &[T],
    change: Change,
    replace: impl Fn(&mut T) -> Option<()>,
    new: impl Fn() -> Option<T>,
) -> Option<Box<[T]>> {
    let place = match change {
        Change::Length => return Some(known.into()),
        Change::Replace(place) => {
            let mut parts: Box<[T]> = known.into();
            replace(parts.get_mut(place)?)?;
            return Some(parts);
        }
        Change::Insert(place) => place,
    };
    let (before, behind) = known.split_at_checked(place)?;
    if known.len() >= MAX_PARTS {
        return None;
    }
    let mut parts = Vec::with_capacity(known.len() + 1);
    parts.extend_from_slice(before);
    parts.push(new()?);
    parts.extend_from_slice(behind);
    Some(parts.into())
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

/// The index that the next item of a list gets.
fn next_index<T>(list: &[T]) -> Result<u32, ErrorKind> {
    u32::try_from(list.len()).map_err(|_| ErrorKind::Counter)
}

impl Objects {
    pub(super) fn new(keeps: bool) -> Self {
        Objects {
            keeps,
            recent: RecentObjects::new(ObjectId(0)),
            big_ints: Vec::new(),
            complexes: Vec::new(),
            types: Vec::new(),
            defined: Defined::default(),
            open: Vec::new(),
        }
    }

    /// The newest object at the beginning of the chunk.
    pub(super) fn begin(&mut self, newest: ObjectId) {
        self.recent = RecentObjects::new(newest);
        self.defined.first = newest.0.saturating_add(1);
    }

    #[inline]
    pub(super) fn value(
        &mut self,
        cursor: &mut Cursor<'_>,
        found: &mut Vec<Definition>,
    ) -> Result<Value, Error> {
        let at = cursor.at();
        let tag = cursor.byte()?;
        if tag >= tag::RECENT {
            let slot = tag & 127;
            return match self.recent.in_slot(slot) {
                Some(id) => Ok(Value::Object(id)),
                None => Err(ErrorKind::EmptySlot(slot).at(at)),
            };
        }
        Ok(match tag {
            tag::INT_0..tag::NULL => Value::Int(i64::from(tag - tag::INT_0)),
            tag::NULL => Value::Null,
            tag::NONE => Value::None,
            tag::FALSE => Value::Bool(false),
            tag::TRUE => Value::Bool(true),
            tag::INT => Value::Int(unzigzag(cursor.varint()?)),
            tag::FLOAT => Value::Float(u64::from_le_bytes(cursor.take()?)),
            tag::TAGGED => Value::Tagged(unzigzag(cursor.varint()?)),
            _ => return self.rare_value(tag, at, cursor, found),
        })
    }

    fn rare_value(
        &mut self,
        tag: u8,
        at: usize,
        cursor: &mut Cursor<'_>,
        found: &mut Vec<Definition>,
    ) -> Result<Value, Error> {
        Ok(match tag {
            tag::ELLIPSIS => Value::Ellipsis,
            tag::NOT_IMPLEMENTED => Value::NotImplemented,
            tag::BIG_INT => {
                let negative = Self::sign(cursor)?;
                let magnitude = cursor.bytes()?.into();
                self.big_int(BigInt::Exact {
                    negative,
                    magnitude,
                })
                .map_err(|kind| kind.at(at))?
            }
            tag::HUGE_INT => {
                let huge = BigInt::Huge {
                    negative: Self::sign(cursor)?,
                    bits: cursor.varint()?,
                    leading: u64::from_le_bytes(cursor.take()?),
                };
                self.big_int(huge).map_err(|kind| kind.at(at))?
            }
            tag::COMPLEX => {
                let parts = [cursor.take()?, cursor.take()?].map(u64::from_le_bytes);
                let index = next_index(&self.complexes).map_err(|kind| kind.at(at))?;
                self.complexes.push(parts);
                Value::Complex(index)
            }
            tag::REF => {
                let below = cursor.varint()?;
                let newest = self.recent.newest().0;
                let id = newest
                    .checked_sub(below)
                    .filter(|&id| self.defined.get(id).is_some())
                    .ok_or(ErrorKind::UnknownObject(newest.wrapping_sub(below)).at(at))?;
                self.recent.name(ObjectId(id));
                Value::Object(ObjectId(id))
            }
            tag::DEF | tag::DEF_BARE | tag::DEF_AT | tag::DEF_AT_BARE => {
                self.definition((tag, false), at, cursor, found)?
            }
            tag::DOUBTFUL => {
                let at = cursor.at();
                match cursor.byte()? {
                    tag @ (tag::DEF | tag::DEF_BARE | tag::DEF_AT | tag::DEF_AT_BARE) => {
                        self.definition((tag, true), at, cursor, found)?
                    }
                    other => return Err(ErrorKind::Misplaced(other).at(at)),
                }
            }
            tag::UNKNOWN => Value::Unknown(Reason(cursor.varint()?)),
            tag::REDACTED => Value::Redacted,
            tag::INT_NEXT | tag::HIT..tag::RECENT => return Err(ErrorKind::Misplaced(tag).at(at)),
            _ => return Err(ErrorKind::Tag(tag).at(at)),
        })
    }

    fn sign(cursor: &mut Cursor<'_>) -> Result<bool, Error> {
        let at = cursor.at();
        match cursor.varint()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(ErrorKind::Number.at(at)),
        }
    }

    fn big_int(&mut self, int: BigInt) -> Result<Value, ErrorKind> {
        let index = next_index(&self.big_ints)?;
        self.big_ints.push(int);
        Ok(Value::BigInt(index))
    }

    fn definition(
        &mut self,
        (tag, doubtful): (u8, bool),
        at: usize,
        cursor: &mut Cursor<'_>,
        found: &mut Vec<Definition>,
    ) -> Result<Value, Error> {
        let id = match tag {
            tag::DEF | tag::DEF_BARE => self
                .recent
                .newest()
                .0
                .checked_add(1)
                .ok_or(ErrorKind::Counter.at(at))?,
            _ => match cursor.varint()? {
                0 => return Err(ErrorKind::UnknownObject(0).at(at)),
                id => id,
            },
        };
        self.recent.name(ObjectId(id));
        let (index, class) = self.class(cursor)?;
        // Before the contents: an object may contain itself.
        self.defined.define(id, index);
        let contents = match tag {
            tag::DEF | tag::DEF_AT => Some(self.contents((at, id), class.kind, cursor, found)?),
            _ => None,
        };
        found.push(Definition {
            id: ObjectId(id),
            class,
            contents,
            update: false,
            doubtful,
        });
        Ok(Value::Object(ObjectId(id)))
    }

    fn class(&mut self, cursor: &mut Cursor<'_>) -> Result<(u32, Arc<Type>), Error> {
        let at = cursor.at();
        let number = cursor.varint()?;
        let index = u32::try_from(number).map_err(|_| ErrorKind::UnknownType(number).at(at))?;
        if let Some(class) = self.types.get(index as usize) {
            return Ok((index, Arc::clone(class)));
        }
        if index as usize != self.types.len() {
            return Err(ErrorKind::UnknownType(number).at(at));
        }
        let number = cursor.varint()?;
        let at = cursor.at();
        let kind = cursor.byte()?;
        let class = Arc::new(Type {
            number,
            kind: Kind::from_number(kind).ok_or(ErrorKind::UnknownKind(kind).at(at))?,
            name: cursor.bytes()?.into(),
        });
        self.types.push(Arc::clone(&class));
        Ok((index, class))
    }

    /// After [`tag::UPDATE`].
    pub(super) fn update(
        &mut self,
        cursor: &mut Cursor<'_>,
        found: &mut Vec<Definition>,
    ) -> Result<(), Error> {
        let at = cursor.at();
        let (id, class) = self.updated(cursor, found)?;
        let contents = Some(self.contents((at, id.0), class.kind, cursor, found)?);
        found.push(Definition {
            id,
            class,
            contents,
            update: true,
            doubtful: false,
        });
        Ok(())
    }

    /// After [`tag::UPDATE_PART`].
    pub(super) fn update_part(
        &mut self,
        cursor: &mut Cursor<'_>,
        found: &mut Vec<Definition>,
    ) -> Result<(), Error> {
        let at = cursor.at();
        let (id, class) = self.updated(cursor, found)?;
        let number = cursor.varint()?;
        let change = Change::from_number(number).ok_or(ErrorKind::Number.at(at))?;
        let length = cursor.varint()?;
        let is_pair = matches!(class.kind, Kind::Dict | Kind::Instance | Kind::DictSubclass);
        let key = match change {
            Change::Insert(_) if is_pair => Some(self.value(cursor, found)?),
            _ => None,
        };
        let value = match change {
            Change::Length => None,
            _ => Some(self.value(cursor, found)?),
        };
        let missing = || ErrorKind::NoPart(id.0).at(at);
        let known = self.defined.get_mut(id.0).ok_or_else(missing)?;
        let before = match &known.latest {
            Some(Latest::Told(index)) => found
                .get(*index)
                .filter(|told| told.id == id)
                .and_then(|told| told.contents.as_ref()),
            Some(Latest::Copied(contents)) => Some(contents),
            None => None,
        };
        let now = before.and_then(|before| changed(before, change, length, key, value));
        let now = now.ok_or_else(missing)?;
        known.latest = Some(match self.keeps {
            true => Latest::Told(found.len()),
            false => Latest::Copied(now.clone()),
        });
        let contents = Some(now);
        found.push(Definition {
            id,
            class,
            contents,
            update: true,
            doubtful: false,
        });
        Ok(())
    }

    /// The object that has changed.
    fn updated(
        &mut self,
        cursor: &mut Cursor<'_>,
        found: &mut Vec<Definition>,
    ) -> Result<(ObjectId, Arc<Type>), Error> {
        let at = cursor.at();
        match cursor.peek() {
            Some(tag::REF | tag::RECENT..) => {}
            Some(other) => return Err(ErrorKind::Misplaced(other).at(at)),
            None => return Err(ErrorKind::Truncated.at(at)),
        }
        let Value::Object(id) = self.value(cursor, found)? else {
            return Err(ErrorKind::Misplaced(tag::UPDATE).at(at));
        };
        let class = self
            .defined
            .get(id.0)
            .and_then(|known| self.types.get(known.class as usize))
            .map(Arc::clone)
            .ok_or(ErrorKind::UnknownObject(id.0).at(at))?;
        Ok((id, class))
    }

    fn contents(
        &mut self,
        (at, id): (usize, u64),
        kind: Kind,
        cursor: &mut Cursor<'_>,
        found: &mut Vec<Definition>,
    ) -> Result<Contents, Error> {
        if self.open.contains(&id) {
            return Err(ErrorKind::DefinedInside(id).at(at));
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(ErrorKind::Deep.at(at));
        }
        self.open.push(id);
        let contents = self.contents_inside(kind, cursor, found);
        self.open.pop();
        if kind.changes_in_part() {
            let parts = contents.as_ref().ok().filter(|now| has_parts(now));
            // Whoever asks for contents puts them into the next definition.
            let latest = parts.map(|now| match self.keeps {
                true => Latest::Told(found.len()),
                false => Latest::Copied(now.clone()),
            });
            if let Some(known) = self.defined.get_mut(id) {
                known.latest = latest;
            }
        }
        contents
    }

    fn contents_inside(
        &mut self,
        kind: Kind,
        cursor: &mut Cursor<'_>,
        found: &mut Vec<Definition>,
    ) -> Result<Contents, Error> {
        Ok(match kind {
            Kind::Opaque => Contents::Opaque,
            Kind::Str | Kind::Bytes | Kind::ByteArray => Contents::Bytes {
                length: cursor.varint()?,
                head: cursor.bytes()?.into(),
            },
            Kind::List | Kind::Tuple | Kind::Set | Kind::FrozenSet => {
                Contents::Items(self.items(cursor, found)?)
            }
            Kind::Dict | Kind::Instance => Contents::Pairs(self.pairs(cursor, found)?),
            Kind::Cell => Contents::Cell(self.value(cursor, found)?),
            Kind::Function | Kind::Code => Contents::Code {
                qualname: cursor.bytes()?.into(),
                code: cursor.optional_number()?,
            },
            Kind::Generator => Contents::Generator {
                qualname: cursor.bytes()?.into(),
                frame: cursor.varint()?.checked_sub(1).map(FrameNumber),
            },
            Kind::Builtin | Kind::Type | Kind::Module => Contents::Name(cursor.bytes()?.into()),
            Kind::Method => Contents::Method {
                function: self.value(cursor, found)?,
                receiver: self.value(cursor, found)?,
            },
            Kind::Exception => {
                let at = cursor.at();
                Contents::Exception {
                    arguments: match cursor.byte()? {
                        0 => Arguments::Unknown,
                        1 => Arguments::Known(self.items(cursor, found)?),
                        _ => return Err(ErrorKind::Number.at(at)),
                    },
                    attributes: self.pairs(cursor, found)?,
                }
            }
            Kind::ListSubclass
            | Kind::TupleSubclass
            | Kind::SetSubclass
            | Kind::FrozenSetSubclass
            | Kind::Deque => Contents::Collection {
                items: self.items(cursor, found)?,
                attributes: self.pairs(cursor, found)?,
            },
            Kind::DictSubclass => Contents::Mapping {
                pairs: self.pairs(cursor, found)?,
                attributes: self.pairs(cursor, found)?,
            },
            Kind::Range | Kind::Slice => Contents::Parts([
                self.value(cursor, found)?,
                self.value(cursor, found)?,
                self.value(cursor, found)?,
            ]),
        })
    }

    fn items(
        &mut self,
        cursor: &mut Cursor<'_>,
        found: &mut Vec<Definition>,
    ) -> Result<Items, Error> {
        let length = cursor.varint()?;
        let count = cursor.count(1)?;
        let mut items = at_most(count);
        for _ in 0..count {
            items.push(self.value(cursor, found)?);
        }
        Ok(Items {
            length,
            items: items.into(),
        })
    }

    fn pairs(
        &mut self,
        cursor: &mut Cursor<'_>,
        found: &mut Vec<Definition>,
    ) -> Result<Pairs, Error> {
        let length = cursor.varint()?;
        let count = cursor.count(2)?;
        let mut pairs = at_most(count);
        for _ in 0..count {
            pairs.push((self.value(cursor, found)?, self.value(cursor, found)?));
        }
        Ok(Pairs {
            length,
            pairs: pairs.into(),
        })
    }
}
