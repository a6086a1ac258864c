//! Writes a stream from records as data: the decoder's inverse, for everything that is not the recorder's hot path.

use std::collections::HashMap;
use std::sync::Arc;

use super::{
    Arguments, BigInt, Caller, Contents, Decoder, Definition, Encoder, Frame, Items, Keyframe,
    Kind, Last, ObjectId, Pairs, Predictor, Prefix, RecentObjects, Record, SiteNumber, Strides,
    Thread, Type, Value,
};

/// The large numbers that values refer to by index.
#[derive(Debug, Clone, Copy, Default)]
pub struct Numbers<'a> {
    /// What [`Value::BigInt`] indexes.
    pub big_ints: &'a [BigInt],
    /// What [`Value::Complex`] indexes.
    pub complexes: &'a [[u64; 2]],
}

impl<'a> Numbers<'a> {
    /// Those of a chunk that is being read.
    #[must_use]
    pub fn of(decoder: &'a Decoder<'_>) -> Self {
        Numbers {
            big_ints: decoder.big_ints(),
            complexes: decoder.complexes(),
        }
    }
}

/// A chunk that is written record by record. It grows as needed.
#[derive(Debug)]
pub struct Transcript {
    bytes: Vec<u8>,
    at: usize,
    recent: RecentObjects,
    predictor: Predictor,
    strides: Strides,
    captures: Vec<u32>,
    types: Vec<Arc<Type>>,
    /// The last site of each frame on the stack of each thread, and the current thread.
    stacks: HashMap<u32, Vec<Option<SiteNumber>>>,
    current: u32,
    time: u64,
}

/// The definitions of a record that have not been written yet.
struct Pending<'a> {
    definitions: HashMap<ObjectId, Vec<&'a Definition>>,
    numbers: Numbers<'a>,
    /// The objects whose contents are being written: inside them they are only referred to.
    open: Vec<ObjectId>,
}

impl<'a> Pending<'a> {
    fn new(objects: &'a [Definition], numbers: Numbers<'a>) -> Self {
        let mut definitions: HashMap<_, Vec<_>> = HashMap::new();
        for definition in objects.iter().rev().filter(|object| !object.update) {
            definitions
                .entry(definition.id)
                .or_default()
                .push(definition);
        }
        Pending {
            definitions,
            numbers,
            open: Vec::new(),
        }
    }
}

impl Transcript {
    /// A chunk of a recording whose sites capture so many values each.
    #[must_use]
    pub fn new(captures: &[u32], keyframe: &Keyframe, numbers: Numbers<'_>) -> Self {
        let mut new = Transcript {
            bytes: Vec::new(),
            at: 0,
            recent: RecentObjects::new(keyframe.newest),
            predictor: Predictor::new(captures.len()),
            strides: Strides::new(captures.len()),
            captures: captures.to_vec(),
            types: Vec::new(),
            stacks: HashMap::new(),
            current: keyframe.current.0,
            time: keyframe.time,
        };
        let mut pending = Pending::new(&keyframe.objects, numbers);
        let threads = keyframe.threads.len() as u64;
        new.put(0, |encoder, _| {
            encoder.keyframe(
                keyframe.time,
                keyframe.newest,
                keyframe.next_frame,
                threads,
                keyframe.current,
            );
        });
        for thread in &keyframe.threads {
            new.thread(thread, &mut pending);
        }
        new
    }

    /// What has been written.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.at]
    }

    /// Ends the chunk.
    #[must_use]
    pub fn into_bytes(mut self) -> Vec<u8> {
        self.bytes.truncate(self.at);
        self.bytes
    }

    /// Writes with the hot path's encoder: a few numbers and `bytes` bytes.
    fn put(&mut self, bytes: usize, write: impl FnOnce(&mut Encoder<'_>, &mut RecentObjects)) {
        let needed = self.at + bytes + 128;
        if self.bytes.len() < needed {
            self.bytes.resize(needed * 2, 0);
        }
        let mut encoder = Encoder::new(&mut self.bytes, self.at);
        write(&mut encoder, &mut self.recent);
        debug_assert!(!encoder.overflowed(), "room for {bytes} bytes");
        self.at = encoder.at();
    }

    fn thread(&mut self, thread: &Thread, pending: &mut Pending<'_>) {
        let frames = thread.frames.len() as u64;
        self.put(thread.name.len(), |encoder, _| {
            encoder.keyframe_thread(
                thread.number,
                thread.native,
                &thread.name,
                thread.below,
                frames,
            );
        });
        for frame in &thread.frames {
            self.frame(frame, pending);
        }
        self.stacks
            .insert(thread.number.0, vec![None; thread.frames.len()]);
    }

    fn frame(&mut self, frame: &Frame, pending: &mut Pending<'_>) {
        self.put(0, |encoder, _| {
            encoder.frame(
                frame.number,
                frame.code,
                frame.unit,
                frame.progress,
                frame.slots.len() as u64,
            );
        });
        for &value in &frame.slots {
            self.value(value, pending);
        }
    }

    /// Writes a record. Its thread is switched to if it is another one than before; `SITE` is left out where it is
    /// predicted.
    pub fn record(&mut self, record: &Record, numbers: Numbers<'_>) {
        let mut pending = Pending::new(&record.objects, numbers);
        let introduces = |prefix: &Prefix| matches!(prefix, Prefix::Thread(_));
        if record.thread.0 != self.current && !record.prefixes.iter().any(introduces) {
            self.put(0, |encoder, _| encoder.thread(record.thread));
            self.current = record.thread.0;
        }
        let mut popped = false;
        let mut last = None;
        for prefix in &record.prefixes {
            popped |= matches!(prefix, Prefix::Pop(_));
            let pushes = matches!(
                prefix,
                Prefix::Enter(..) | Prefix::Reenter(..) | Prefix::Attach(_)
            );
            if pushes && last.is_none() {
                last = Some(self.last(popped));
            }
            self.prefix(prefix, &mut pending);
        }
        for object in record.objects.iter().filter(|object| object.update) {
            self.put(0, |encoder, recent| encoder.update(recent, object.id));
            pending.open.push(object.id);
            self.contents(object.class.kind, object.contents.as_ref(), &mut pending);
            pending.open.pop();
        }
        if let Some(unit) = record.pending {
            let values = record.values.len() as u64;
            self.put(0, |encoder, _| encoder.pending(unit, values));
            for &value in &record.values {
                self.value(value, &mut pending);
            }
            return;
        }
        let Some(site) = record.site else { return };
        let last = last.unwrap_or_else(|| self.last(popped));
        if !self.predictor.follows(last, site) {
            self.put(0, |encoder, _| encoder.site(site));
        }
        if self.captures.get(site.0 as usize) == Some(&0) {
            self.put(0, |encoder, _| encoder.hit());
        }
        for (capture, &value) in record.values.iter().enumerate() {
            match value {
                Value::Int(value) => {
                    let mut strides = std::mem::take(&mut self.strides);
                    self.put(0, |encoder, _| {
                        encoder.captured_int(&mut strides, site, capture, value);
                    });
                    self.strides = strides;
                }
                other => self.value(other, &mut pending),
            }
        }
        if let Some(top) = self.stack().last_mut() {
            *top = Some(site);
        }
    }

    fn stack(&mut self) -> &mut Vec<Option<SiteNumber>> {
        self.stacks.entry(self.current).or_default()
    }

    fn last(&mut self, popped: bool) -> Last {
        match self.stack().last() {
            Some(Some(site)) => Last::site(*site, popped),
            _ => Last::NOTHING,
        }
    }

    fn prefix(&mut self, prefix: &Prefix, pending: &mut Pending<'_>) {
        match prefix {
            Prefix::Thread(thread) => {
                self.put(thread.name.len(), |encoder, _| {
                    encoder.new_thread(thread.number, thread.native, &thread.name, thread.below);
                });
                self.current = thread.number.0;
                self.stacks.insert(self.current, Vec::new());
            }
            &Prefix::ThreadEnd(number) => {
                self.put(0, |encoder, _| encoder.thread_end(number));
                self.stacks.insert(number.0, Vec::new());
            }
            &Prefix::Pop(frames) => {
                self.put(0, |encoder, _| encoder.pop(frames));
                let left = self.stack().len().saturating_sub(frames as usize);
                self.stack().truncate(left);
            }
            &Prefix::Enter(_, caller) => {
                self.put(0, |encoder, _| match caller {
                    Caller::Unit(unit) => encoder.enter(unit),
                    Caller::Foreign(below) => encoder.enter_foreign(below),
                });
                self.stack().push(None);
            }
            &Prefix::Reenter(frame, caller) => {
                self.put(0, |encoder, _| match caller {
                    Caller::Unit(unit) => encoder.reenter(frame, unit),
                    Caller::Foreign(below) => encoder.reenter_foreign(frame, below),
                });
                self.stack().push(None);
            }
            Prefix::Attach(frame) => {
                self.put(0, |encoder, _| encoder.attach());
                self.frame(frame, pending);
                self.stack().push(None);
            }
            Prefix::Stands(frame) => {
                self.put(0, |encoder, _| encoder.stands());
                self.frame(frame, pending);
            }
            &Prefix::Inside(unit) => self.put(0, |encoder, _| encoder.inside(unit)),
            &Prefix::Told(unit) => self.put(0, |encoder, _| encoder.told(unit)),
            &Prefix::Raised(unit, progress) => {
                self.put(0, |encoder, _| encoder.raised(unit, progress));
            }
            &Prefix::Time(time) => {
                let since = time.saturating_sub(self.time);
                self.put(0, |encoder, _| encoder.time(since));
                self.time += since;
            }
            Prefix::Output(output) => {
                self.put(output.bytes.len(), |encoder, _| {
                    encoder.output(output.stream, &output.bytes, output.by);
                });
            }
            &Prefix::Lost(reason) => self.put(0, |encoder, _| encoder.lost(reason)),
        }
    }

    fn value(&mut self, value: Value, pending: &mut Pending<'_>) {
        let numbers = pending.numbers;
        match value {
            Value::Object(id) => self.object(id, pending),
            Value::BigInt(index) => match numbers.big_ints.get(index as usize) {
                Some(BigInt::Exact {
                    negative,
                    magnitude,
                }) => self.put(magnitude.len(), |encoder, _| {
                    encoder.big_int(*negative, magnitude);
                }),
                Some(&BigInt::Huge {
                    negative,
                    bits,
                    leading,
                }) => self.put(0, |encoder, _| encoder.huge_int(negative, bits, leading)),
                None => self.put(0, |encoder, _| encoder.unknown(super::Reason::UNSPECIFIED)),
            },
            Value::Complex(index) => match numbers.complexes.get(index as usize) {
                Some(&[real, imaginary]) => {
                    self.put(0, |encoder, _| encoder.complex(real, imaginary));
                }
                None => self.put(0, |encoder, _| encoder.unknown(super::Reason::UNSPECIFIED)),
            },
            plain => self.put(0, |encoder, _| match plain {
                Value::None => encoder.none(),
                Value::Bool(value) => encoder.bool(value),
                Value::Ellipsis => encoder.ellipsis(),
                Value::NotImplemented => encoder.not_implemented(),
                Value::Int(value) => encoder.int(value),
                Value::Float(bits) => encoder.float(bits),
                Value::Tagged(value) => encoder.tagged_int(value),
                Value::Unknown(reason) => encoder.unknown(reason),
                Value::Redacted => encoder.redacted(),
                Value::Null | Value::Object(_) | Value::BigInt(_) | Value::Complex(_) => {
                    encoder.null();
                }
            }),
        }
    }

    fn object(&mut self, id: ObjectId, pending: &mut Pending<'_>) {
        let next = match pending.open.contains(&id) {
            true => None,
            false => pending.definitions.get_mut(&id).and_then(Vec::pop),
        };
        let Some(definition) = next else {
            return self.put(0, |encoder, recent| encoder.object(recent, id));
        };
        let bare = definition.contents.is_none();
        if definition.doubtful {
            self.put(0, |encoder, _| encoder.doubtful());
        }
        self.put(0, |encoder, recent| encoder.define(recent, id, bare));
        self.class(&definition.class);
        if !bare {
            pending.open.push(id);
            self.contents(definition.class.kind, definition.contents.as_ref(), pending);
            pending.open.pop();
        }
    }

    fn class(&mut self, class: &Arc<Type>) {
        let known = self.types.iter().position(|known| known == class);
        let index = u32::try_from(known.unwrap_or(self.types.len())).unwrap_or(u32::MAX);
        if known.is_some() {
            return self.put(0, |encoder, _| encoder.type_of(index));
        }
        self.put(class.name.len(), |encoder, _| {
            encoder.new_type(index, class.number, class.kind, &class.name);
        });
        self.types.push(Arc::clone(class));
    }

    /// Contents that do not fit the kind are written as empty ones that do.
    fn contents(&mut self, kind: Kind, contents: Option<&Contents>, pending: &mut Pending<'_>) {
        match (kind, contents) {
            (Kind::Opaque, _) => {}
            (Kind::Str | Kind::Bytes | Kind::ByteArray, Some(Contents::Bytes { length, head })) => {
                self.put(head.len(), |encoder, _| encoder.head(*length, head));
            }
            (Kind::Str | Kind::Bytes | Kind::ByteArray, _) => {
                self.put(0, |encoder, _| encoder.head(0, b""));
            }
            (
                Kind::List | Kind::Tuple | Kind::Set | Kind::FrozenSet,
                Some(Contents::Items(items)),
            ) => self.items(items, pending),
            (Kind::Dict | Kind::Instance, Some(Contents::Pairs(pairs))) => {
                self.pairs(pairs, pending);
            }
            (
                Kind::List
                | Kind::Tuple
                | Kind::Set
                | Kind::FrozenSet
                | Kind::Dict
                | Kind::Instance,
                _,
            ) => self.put(0, |encoder, _| encoder.items(0, 0)),
            (Kind::Cell, Some(&Contents::Cell(value))) => self.value(value, pending),
            (Kind::Cell, _) => self.put(0, |encoder, _| encoder.null()),
            (Kind::Function | Kind::Code, Some(Contents::Code { qualname, code })) => {
                self.put(qualname.len(), |encoder, _| encoder.code(qualname, *code));
            }
            (Kind::Function | Kind::Code, _) => self.put(0, |encoder, _| encoder.code(b"", None)),
            (Kind::Generator, Some(Contents::Generator { qualname, frame })) => {
                self.put(qualname.len(), |encoder, _| {
                    encoder.generator(qualname, *frame);
                });
            }
            (Kind::Generator, _) => self.put(0, |encoder, _| encoder.generator(b"", None)),
            (Kind::Builtin | Kind::Type | Kind::Module, Some(Contents::Name(name))) => {
                self.put(name.len(), |encoder, _| encoder.bytes(name));
            }
            (Kind::Builtin | Kind::Type | Kind::Module, _) => {
                self.put(0, |encoder, _| encoder.bytes(b""));
            }
            (Kind::Method, Some(&Contents::Method { function, receiver })) => {
                self.value(function, pending);
                self.value(receiver, pending);
            }
            (Kind::Method, _) => self.put(0, |encoder, _| {
                encoder.null();
                encoder.null();
            }),
            (
                Kind::Exception,
                Some(Contents::Exception {
                    arguments,
                    attributes,
                }),
            ) => {
                match arguments {
                    Arguments::Unknown => self.put(0, |encoder, _| encoder.arguments(None)),
                    Arguments::Known(items) => {
                        let counts = (items.length, items.items.len() as u64);
                        self.put(0, |encoder, _| encoder.arguments(Some(counts)));
                        for &item in &items.items {
                            self.value(item, pending);
                        }
                    }
                }
                self.pairs(attributes, pending);
            }
            (Kind::Exception, _) => self.put(0, |encoder, _| {
                encoder.arguments(None);
                encoder.items(0, 0);
            }),
            (
                Kind::ListSubclass
                | Kind::TupleSubclass
                | Kind::SetSubclass
                | Kind::FrozenSetSubclass
                | Kind::Deque,
                Some(Contents::Collection { items, attributes }),
            ) => {
                self.items(items, pending);
                self.pairs(attributes, pending);
            }
            (Kind::DictSubclass, Some(Contents::Mapping { pairs, attributes })) => {
                self.pairs(pairs, pending);
                self.pairs(attributes, pending);
            }
            (
                Kind::ListSubclass
                | Kind::TupleSubclass
                | Kind::SetSubclass
                | Kind::FrozenSetSubclass
                | Kind::Deque
                | Kind::DictSubclass,
                _,
            ) => self.put(0, |encoder, _| {
                encoder.items(0, 0);
                encoder.items(0, 0);
            }),
            (Kind::Range | Kind::Slice, Some(Contents::Parts(parts))) => {
                for &part in parts {
                    self.value(part, pending);
                }
            }
            (Kind::Range | Kind::Slice, _) => self.put(0, |encoder, _| {
                (0..3).for_each(|_| encoder.null());
            }),
        }
    }

    fn items(&mut self, items: &Items, pending: &mut Pending<'_>) {
        let shown = items.items.len() as u64;
        self.put(0, |encoder, _| encoder.items(items.length, shown));
        for &item in &items.items {
            self.value(item, pending);
        }
    }

    fn pairs(&mut self, pairs: &Pairs, pending: &mut Pending<'_>) {
        let shown = pairs.pairs.len() as u64;
        self.put(0, |encoder, _| encoder.items(pairs.length, shown));
        for &(key, value) in &pairs.pairs {
            self.value(key, pending);
            self.value(value, pending);
        }
    }
}
