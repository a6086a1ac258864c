//! Chunks made from arbitrary numbers, and what must hold of arbitrary bytes. The fuzz targets use both.

#![allow(
    unreachable_pub,
    dead_code,
    reason = "each test and fuzz target uses a part of this module"
)]

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use debugop_recording::stream::{
    Arguments, BigInt, Caller, Contents, Decoder, Definition, ErrorKind, Frame, FrameNumber, Items,
    Keyframe, Kind, Numbers, ObjectId, Output, Pairs, Prefix, Progress, Reason, Record, SiteNumber,
    Thread, ThreadNumber, Transcript, Type, Value, WrittenBy,
};
use proptest::prelude::*;

/// A chunk as data.
#[derive(Debug, Clone)]
pub struct Chunk {
    pub captures: Vec<u32>,
    pub keyframe: Keyframe,
    pub records: Vec<Record>,
    pub big_ints: Vec<BigInt>,
    pub complexes: Vec<[u64; 2]>,
}

impl Chunk {
    /// As bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let numbers = Numbers {
            big_ints: &self.big_ints,
            complexes: &self.complexes,
        };
        let mut transcript = Transcript::new(&self.captures, &self.keyframe, numbers);
        for record in &self.records {
            transcript.record(record, numbers);
        }
        transcript.into_bytes()
    }
}

/// Any chunk that a recorder could write.
pub fn chunk() -> impl Strategy<Value = Chunk> {
    prop::collection::vec(any::<u64>(), 0..600).prop_map(|choices| Chunk::from_choices(&choices))
}

struct Maker<'a> {
    choices: &'a [u64],
    newest: u64,
    next_frame: u64,
    types: Vec<Arc<Type>>,
    known: Vec<(ObjectId, Arc<Type>, bool)>,
    /// Objects that this record has named already: it cannot define them any more.
    named: HashSet<ObjectId>,
    big_ints: Vec<BigInt>,
    complexes: Vec<[u64; 2]>,
    stacks: BTreeMap<u32, Vec<FrameNumber>>,
    current: u32,
    time: u64,
}

impl Chunk {
    /// The chunk that these numbers choose; every sequence of numbers chooses one.
    pub fn from_choices(choices: &[u64]) -> Self {
        let mut maker = Maker {
            choices,
            newest: 0,
            next_frame: 0,
            types: Vec::new(),
            known: Vec::new(),
            named: HashSet::new(),
            big_ints: Vec::new(),
            complexes: Vec::new(),
            stacks: BTreeMap::new(),
            current: 0,
            time: 0,
        };
        let captures: Vec<u32> = (0..=maker.below(6))
            .map(|_| maker.below(4) as u32)
            .collect();
        let keyframe = maker.keyframe();
        let mut records = Vec::new();
        while !maker.choices.is_empty() {
            records.push(maker.record(&captures));
        }
        if choices.len().is_multiple_of(3) {
            // The last record may be prefixes only.
            let mut last = Record {
                thread: ThreadNumber(maker.current),
                ..Record::default()
            };
            maker.time += 1;
            last.prefixes.push(Prefix::Time(maker.time));
            last.frame = maker.stack().last().copied();
            records.push(last);
        }
        Chunk {
            captures,
            keyframe,
            records,
            big_ints: maker.big_ints,
            complexes: maker.complexes,
        }
    }
}

impl Maker<'_> {
    fn next(&mut self) -> u64 {
        match self.choices {
            [first, rest @ ..] => {
                self.choices = rest;
                *first
            }
            [] => 0,
        }
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// Of any size, small ones as likely as large ones.
    fn number(&mut self) -> u64 {
        let bits = self.below(64);
        self.next() >> bits
    }

    fn text(&mut self) -> Box<[u8]> {
        let length = match self.below(12) {
            11 => 150,
            length => length,
        };
        (0..length).map(|_| self.next() as u8).collect()
    }

    fn keyframe(&mut self) -> Keyframe {
        self.time = self.number() >> 8;
        self.newest = self.number() >> 8;
        self.next_frame = self.number() >> 8;
        let mut keyframe = Keyframe {
            time: self.time,
            newest: ObjectId(self.newest),
            next_frame: FrameNumber(self.next_frame),
            threads: Vec::new(),
            current: ThreadNumber(0),
            objects: Vec::new(),
        };
        for number in 0..=self.below(3) as u32 {
            let frames: Vec<Frame> = (0..self.below(3))
                .map(|_| self.frame(&mut keyframe.objects))
                .collect();
            let numbers = frames.iter().map(|frame| frame.number).collect();
            self.stacks.insert(number, numbers);
            keyframe.threads.push(Thread {
                number: ThreadNumber(number),
                native: self.number(),
                name: self.text(),
                below: self.number(),
                frames,
            });
        }
        self.current = self.below(self.stacks.len() as u64) as u32;
        keyframe.current = ThreadNumber(self.current);
        self.named.clear();
        keyframe
    }

    fn frame(&mut self, objects: &mut Vec<Definition>) -> Frame {
        Frame {
            number: FrameNumber(self.number() >> 1),
            code: self.number() as u32,
            unit: self.number() as u32,
            progress: match self.below(4) {
                0 => Progress::Ready,
                1 => Progress::Executing,
                2 => Progress::Told,
                _ => Progress::Arrived,
            },
            slots: (0..self.below(4)).map(|_| self.value(objects, 0)).collect(),
        }
    }

    fn stack(&mut self) -> &mut Vec<FrameNumber> {
        self.stacks.entry(self.current).or_default()
    }

    fn caller(&mut self) -> Caller {
        match self.below(3) {
            0 => Caller::Unit(self.number() as u32),
            1 => Caller::Foreign(None),
            _ => Caller::Foreign(Some((self.number() as u32).saturating_sub(1))),
        }
    }

    fn record(&mut self, captures: &[u32]) -> Record {
        let mut record = Record::default();
        match self.below(12) {
            0 => {
                let number = self.stacks.len() as u32;
                self.stacks.insert(number, Vec::new());
                self.current = number;
                record.prefixes.push(Prefix::Thread(Box::new(Thread {
                    number: ThreadNumber(number),
                    native: self.number(),
                    name: self.text(),
                    below: self.number(),
                    frames: Vec::new(),
                })));
            }
            1 => self.current = self.below(self.stacks.len() as u64) as u32,
            _ => {}
        }
        let depth = self.stack().len() as u64;
        if depth > 0 && self.below(3) == 0 {
            let popped = 1 + self.below(depth);
            let left = (depth - popped) as usize;
            self.stack().truncate(left);
            record.prefixes.push(Prefix::Pop(popped as u32));
        }
        self.events(&mut record);
        match self.below(8) {
            0 => {
                let number = FrameNumber(self.next_frame);
                self.next_frame += 1;
                let caller = self.caller();
                record.prefixes.push(Prefix::Enter(number, caller));
                self.stack().push(number);
            }
            1 => {
                let number = FrameNumber(self.number());
                let caller = self.caller();
                record.prefixes.push(Prefix::Reenter(number, caller));
                self.stack().push(number);
            }
            2 => {
                let frame = self.frame(&mut record.objects);
                self.next_frame = self.next_frame.max(frame.number.0.saturating_add(1));
                self.stack().push(frame.number);
                record.prefixes.push(Prefix::Attach(Box::new(frame)));
            }
            3 => {
                let progress = match self.below(4) {
                    0 => Progress::Arrived,
                    1 => Progress::Told,
                    _ => Progress::Executing,
                };
                let unit = self.number() as u32;
                record.prefixes.push(Prefix::Raised(unit, progress));
            }
            4 => record.prefixes.push(Prefix::Told(self.number() as u32)),
            5 => {
                if let Some(number) = self.stack().last().copied() {
                    let frame = self.frame(&mut record.objects);
                    let frame = Frame { number, ..frame };
                    record.prefixes.push(Prefix::Stands(Box::new(frame)));
                }
            }
            _ => {}
        }
        if !self.known.is_empty() && self.below(4) == 0 {
            let index = self.below(self.known.len() as u64) as usize;
            let (id, class, _) = self.known[index].clone();
            self.named.insert(id);
            let contents = Some(self.contents(class.kind, &mut record.objects, 1));
            record.objects.push(Definition {
                id,
                class,
                contents,
                update: true,
                doubtful: false,
            });
        }
        record.thread = ThreadNumber(self.current);
        record.frame = self.stack().last().copied();
        let pushes = record.prefixes.iter().any(|prefix| {
            matches!(
                prefix,
                Prefix::Enter(..) | Prefix::Reenter(..) | Prefix::Attach(_)
            )
        });
        if !pushes && self.below(8) == 0 {
            record.pending = Some(self.number() as u32);
            for _ in 0..self.below(4) {
                let value = self.value(&mut record.objects, 0);
                record.values.push(value);
            }
            self.named.clear();
            return record;
        }
        let site = self.below(captures.len() as u64);
        record.site = Some(SiteNumber(site as u32));
        for _ in 0..captures[site as usize] {
            let value = match self.below(4) {
                // Something that counts.
                0 => Value::Int((self.time as i64).wrapping_mul(7)),
                _ => self.value(&mut record.objects, 0),
            };
            self.time += 1;
            record.values.push(value);
        }
        self.named.clear();
        record
    }

    fn events(&mut self, record: &mut Record) {
        match self.below(10) {
            0 => {
                self.time += self.number() >> 16;
                record.prefixes.push(Prefix::Time(self.time));
            }
            1 => {
                let stream = 1 + self.below(2) as u8;
                let bytes = self.text();
                let by = (self.below(2) == 0).then(|| WrittenBy {
                    frame: FrameNumber(self.number() >> 40),
                    unit: self.below(1 << 20) as u32,
                });
                record
                    .prefixes
                    .push(Prefix::Output(Box::new(Output { stream, bytes, by })));
            }
            2 => record.prefixes.push(Prefix::Lost(Reason(self.number()))),
            3 => {
                let number = self.below(self.stacks.len() as u64) as u32;
                record
                    .prefixes
                    .push(Prefix::ThreadEnd(ThreadNumber(number)));
                self.stacks.insert(number, Vec::new());
            }
            _ => {}
        }
    }

    fn value(&mut self, objects: &mut Vec<Definition>, depth: usize) -> Value {
        match self.below(20) {
            0 => Value::Null,
            1 => Value::None,
            2 => Value::Bool(self.below(2) == 1),
            3 => Value::Ellipsis,
            4 => Value::NotImplemented,
            5 => Value::Int(self.below(70) as i64 - 3),
            6 => Value::Int(self.number() as i64),
            7 => Value::Float(self.next()),
            8 => Value::Tagged(self.number() as i64),
            9 => Value::Unknown(Reason(self.number())),
            10 => Value::Redacted,
            11 => {
                let parts = [self.next(), self.next()];
                self.complexes.push(parts);
                Value::Complex(self.complexes.len() as u32 - 1)
            }
            12 => {
                let negative = self.below(2) == 1;
                let int = if self.below(2) == 0 {
                    let magnitude = self.text();
                    BigInt::Exact {
                        negative,
                        magnitude,
                    }
                } else {
                    BigInt::Huge {
                        negative,
                        bits: self.number(),
                        leading: self.next(),
                    }
                };
                self.big_ints.push(int);
                Value::BigInt(self.big_ints.len() as u32 - 1)
            }
            13..=16 if !self.known.is_empty() => {
                let index = self.below(self.known.len() as u64) as usize;
                let (id, class, bare) = self.known[index].clone();
                if bare && self.named.insert(id) {
                    self.known[index].2 = false;
                    self.define(id, class, false, objects, depth);
                }
                self.named.insert(id);
                Value::Object(id)
            }
            _ => {
                let skipped = if self.below(4) == 0 {
                    self.below(300)
                } else {
                    0
                };
                self.newest += 1 + skipped;
                let id = ObjectId(self.newest);
                let class = self.class();
                let bare = self.below(3) == 0;
                self.known.push((id, Arc::clone(&class), bare));
                self.named.insert(id);
                self.define(id, class, bare, objects, depth);
                Value::Object(id)
            }
        }
    }

    fn define(
        &mut self,
        id: ObjectId,
        class: Arc<Type>,
        bare: bool,
        objects: &mut Vec<Definition>,
        depth: usize,
    ) {
        let contents = (!bare).then(|| self.contents(class.kind, objects, depth + 1));
        objects.push(Definition {
            id,
            class,
            contents,
            update: false,
            doubtful: self.below(8) == 0,
        });
    }

    fn class(&mut self) -> Arc<Type> {
        if !self.types.is_empty() && self.below(2) == 0 {
            let index = self.below(self.types.len() as u64) as usize;
            return Arc::clone(&self.types[index]);
        }
        let kind = Kind::ALL[self.below(Kind::ALL.len() as u64) as usize];
        let class = Arc::new(Type {
            number: self.types.len() as u64,
            kind,
            name: self.text(),
        });
        self.types.push(Arc::clone(&class));
        class
    }

    /// Values inside contents; no definitions in too deep ones.
    fn inner(&mut self, objects: &mut Vec<Definition>, depth: usize) -> Value {
        if depth < 6 {
            self.value(objects, depth)
        } else {
            Value::Int(self.number() as i64)
        }
    }

    fn items(&mut self, objects: &mut Vec<Definition>, depth: usize) -> Items {
        Items {
            length: self.number(),
            items: (0..self.below(4))
                .map(|_| self.inner(objects, depth))
                .collect(),
        }
    }

    fn pairs(&mut self, objects: &mut Vec<Definition>, depth: usize) -> Pairs {
        Pairs {
            length: self.number(),
            pairs: (0..self.below(3))
                .map(|_| (self.inner(objects, depth), self.inner(objects, depth)))
                .collect(),
        }
    }

    fn contents(&mut self, kind: Kind, objects: &mut Vec<Definition>, depth: usize) -> Contents {
        match kind {
            Kind::Opaque => Contents::Opaque,
            Kind::Str | Kind::Bytes | Kind::ByteArray => Contents::Bytes {
                length: self.number(),
                head: self.text(),
            },
            Kind::List | Kind::Tuple | Kind::Set | Kind::FrozenSet => {
                Contents::Items(self.items(objects, depth))
            }
            Kind::Dict | Kind::Instance => Contents::Pairs(self.pairs(objects, depth)),
            Kind::Cell => Contents::Cell(self.inner(objects, depth)),
            Kind::Function | Kind::Code => Contents::Code {
                qualname: self.text(),
                code: (self.below(2) == 1).then(|| self.number() as u32),
            },
            Kind::Generator => Contents::Generator {
                qualname: self.text(),
                frame: (self.below(2) == 1).then(|| FrameNumber(self.number() >> 1)),
            },
            Kind::Builtin | Kind::Type | Kind::Module => Contents::Name(self.text()),
            Kind::Method => Contents::Method {
                function: self.inner(objects, depth),
                receiver: self.inner(objects, depth),
            },
            Kind::Exception => Contents::Exception {
                arguments: if self.below(2) == 0 {
                    Arguments::Unknown
                } else {
                    Arguments::Known(self.items(objects, depth))
                },
                attributes: self.pairs(objects, depth),
            },
            Kind::ListSubclass
            | Kind::TupleSubclass
            | Kind::SetSubclass
            | Kind::FrozenSetSubclass
            | Kind::Deque => Contents::Collection {
                items: self.items(objects, depth),
                attributes: self.pairs(objects, depth),
            },
            Kind::DictSubclass => Contents::Mapping {
                pairs: self.pairs(objects, depth),
                attributes: self.pairs(objects, depth),
            },
            Kind::Range | Kind::Slice => {
                Contents::Parts(std::array::from_fn(|_| self.inner(objects, depth)))
            }
        }
    }
}

/// Any bytes: a typed error inside them, or records that can be written and read again.
pub fn check_any(bytes: &[u8], captures: &[u32]) {
    let (mut decoder, keyframe) = match Decoder::new(bytes, captures) {
        Ok(begun) => begun,
        Err(error) => return assert!(error.offset <= bytes.len(), "{error}"),
    };
    let mut records = Vec::new();
    let mut record = Record::default();
    loop {
        match decoder.next(&mut record) {
            Ok(true) => records.push(record.clone()),
            Ok(false) => break,
            Err(error) => {
                assert!(error.offset <= bytes.len(), "{error}");
                assert_eq!(
                    decoder.next(&mut record),
                    Ok(false),
                    "the end after an error"
                );
                break;
            }
        }
    }
    let mut transcript = Transcript::new(captures, &keyframe, Numbers::of(&decoder));
    for record in &records {
        transcript.record(record, Numbers::of(&decoder));
    }
    let (mut again, _) = Decoder::new(transcript.bytes(), captures).expect("just written");
    for record in &records {
        // A change of threads to the same one, with nothing behind it.
        if record.site.is_none()
            && record.pending.is_none()
            && record.prefixes.is_empty()
            && record.objects.is_empty()
        {
            continue;
        }
        let mut found = Record::default();
        match again.next(&mut found) {
            // A record does not say where in it an object is defined, so it is written where it is mentioned first, which may be deeper.
            Err(error) if error.kind == ErrorKind::Deep => return,
            read => assert_eq!(read, Ok(true)),
        }
        assert_eq!(
            (
                found.site,
                found.pending,
                found.thread,
                found.frame,
                &found.prefixes.len()
            ),
            (
                record.site,
                record.pending,
                record.thread,
                record.frame,
                &record.prefixes.len()
            )
        );
        let values = |record: &Record, decoder: &Decoder<'_>| -> Vec<String> {
            let shown = |value: &Value| match value {
                Value::BigInt(index) => format!("{:?}", decoder.big_ints()[*index as usize]),
                Value::Complex(index) => format!("{:?}", decoder.complexes()[*index as usize]),
                plain => format!("{plain:?}"),
            };
            record.values.iter().map(shown).collect()
        };
        assert_eq!(values(&found, &again), values(record, &decoder));
    }
}
