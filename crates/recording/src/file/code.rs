//! Code objects as data.

use crate::cursor::Cursor;
use crate::stream::{Error, ErrorKind};

/// How deep constants may lie inside each other; the compiler's lie less deep. Deeper ones are written as `Other`.
const MAX_DEPTH: usize = 64;

/// A code object, as `marshal` would write it, and what the recording makes of it. Names are in WTF-8.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CodeRecord {
    /// Its number.
    pub number: u32,
    /// The number of its first site.
    pub site_base: u32,
    /// For each of its sites, in the plan's order, how many values it captures.
    pub captures: Vec<u32>,
    /// The version of the plan; a reader whose plans have another cannot compute them anew, but can read the stream.
    pub plan_version: u16,
    /// `co_name`.
    pub name: Vec<u8>,
    /// `co_qualname`.
    pub qualname: Vec<u8>,
    /// `co_filename`.
    pub filename: Vec<u8>,
    /// `co_firstlineno`.
    pub first_line: i32,
    /// `co_flags`.
    pub flags: u32,
    /// `co_argcount`, positional-only parameters included.
    pub argument_count: u32,
    /// `co_posonlyargcount`.
    pub positional_only_count: u32,
    /// `co_kwonlyargcount`.
    pub keyword_only_count: u32,
    /// `co_stacksize`.
    pub stack_size: u32,
    /// `co_code` as the compiler wrote it, unspecialised, of the original.
    pub code: Vec<u8>,
    /// `co_exceptiontable`.
    pub exception_table: Vec<u8>,
    /// `co_linetable`.
    pub location_table: Vec<u8>,
    /// `co_names`.
    pub names: Vec<Vec<u8>>,
    /// localsplus: names and kinds.
    pub locals: Vec<Local>,
    /// `co_consts`.
    pub constants: Vec<Constant>,
    /// Hash of the source file, if it was known; of any kind, compared for equality only.
    pub source_hash: Option<u64>,
}

/// A slot of localsplus.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Local {
    /// The variable's name in WTF-8.
    pub name: Vec<u8>,
    /// What it is.
    pub kind: LocalKind,
}

/// `co_localspluskinds`: CPython's `CO_FAST_*` bits (Include/internal/pycore_code.h): 0x02 arguments only on 3.15, 0x10 hidden, 0x20
/// local, 0x40 cell, 0x80 free.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct LocalKind(pub u8);

impl LocalKind {
    /// Whether it is a local variable or parameter.
    #[must_use]
    pub fn is_local(self) -> bool {
        self.0 & 0x20 != 0
    }

    /// Whether it is a cell variable; parameters may be both.
    #[must_use]
    pub fn is_cell(self) -> bool {
        self.0 & 0x40 != 0
    }

    /// Whether it is a free variable.
    #[must_use]
    pub fn is_free(self) -> bool {
        self.0 & 0x80 != 0
    }
}

/// A constant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Constant {
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// `...`.
    Ellipsis,
    /// An `int` of at most 64 bits.
    Int(i64),
    /// A larger one: sign and magnitude, least significant byte first.
    BigInt(bool, Vec<u8>),
    /// A `float`, as its bits.
    Float(u64),
    /// A `complex`, as the bits of its parts.
    Complex(u64, u64),
    /// A `str` in WTF-8.
    Str(Vec<u8>),
    /// A `bytes`.
    Bytes(Vec<u8>),
    /// A `tuple`.
    Tuple(Vec<Constant>),
    /// A `frozenset`.
    FrozenSet(Vec<Constant>),
    /// A `slice`: start, stop, step (3.14 and later).
    Slice(Box<[Constant; 3]>),
    /// A code object: its qualified name, and its number if it is recorded.
    Code(Vec<u8>, Option<u32>),
    /// Anything else, which only hand-made code objects have: the name of its type.
    Other(Vec<u8>),
}

/// Appends numbers and byte strings.
#[derive(Default)]
struct Output(Vec<u8>);

impl Output {
    fn number(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn signed(&mut self, value: i64) {
        self.number((value << 1 ^ value >> 63).cast_unsigned());
    }

    fn optional(&mut self, value: Option<u64>) {
        self.0.push(u8::from(value.is_some()));
        self.0.extend(value.unwrap_or(0).to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn constants(&mut self, constants: &[Constant], depth: usize) {
        self.number(constants.len() as u64);
        for constant in constants {
            self.constant(constant, depth);
        }
    }

    fn constant(&mut self, constant: &Constant, depth: usize) {
        match constant {
            _ if depth > MAX_DEPTH => {
                self.0.push(b'?');
                self.bytes(b"");
            }
            Constant::None => self.0.push(b'N'),
            Constant::Bool(false) => self.0.push(b'F'),
            Constant::Bool(true) => self.0.push(b'T'),
            Constant::Ellipsis => self.0.push(b'.'),
            Constant::Int(value) => {
                self.0.push(b'i');
                self.signed(*value);
            }
            Constant::BigInt(negative, magnitude) => {
                self.0.push(if *negative { b'm' } else { b'l' });
                self.bytes(magnitude);
            }
            Constant::Float(bits) => {
                self.0.push(b'g');
                self.0.extend(bits.to_le_bytes());
            }
            Constant::Complex(real, imaginary) => {
                self.0.push(b'y');
                self.0.extend(real.to_le_bytes());
                self.0.extend(imaginary.to_le_bytes());
            }
            Constant::Str(text) => {
                self.0.push(b'u');
                self.bytes(text);
            }
            Constant::Bytes(bytes) => {
                self.0.push(b's');
                self.bytes(bytes);
            }
            Constant::Tuple(items) => {
                self.0.push(b'(');
                self.constants(items, depth + 1);
            }
            Constant::FrozenSet(items) => {
                self.0.push(b'>');
                self.constants(items, depth + 1);
            }
            Constant::Slice(parts) => {
                self.0.push(b':');
                for part in parts.iter() {
                    self.constant(part, depth + 1);
                }
            }
            Constant::Code(qualname, number) => {
                self.0.push(b'c');
                self.bytes(qualname);
                self.number(number.map_or(0, |number| u64::from(number) + 1));
            }
            Constant::Other(class) => {
                self.0.push(b'?');
                self.bytes(class);
            }
        }
    }
}

impl CodeRecord {
    /// As bytes.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let mut out = Output::default();
        out.number(self.number.into());
        out.number(self.site_base.into());
        out.number(self.captures.len() as u64);
        for &count in &self.captures {
            out.number(count.into());
        }
        out.number(self.plan_version.into());
        out.bytes(&self.name);
        out.bytes(&self.qualname);
        out.bytes(&self.filename);
        out.signed(self.first_line.into());
        out.number(self.flags.into());
        out.number(self.argument_count.into());
        out.number(self.positional_only_count.into());
        out.number(self.keyword_only_count.into());
        out.number(self.stack_size.into());
        out.bytes(&self.code);
        out.bytes(&self.exception_table);
        out.bytes(&self.location_table);
        out.number(self.names.len() as u64);
        for name in &self.names {
            out.bytes(name);
        }
        out.number(self.locals.len() as u64);
        for local in &self.locals {
            out.bytes(&local.name);
            out.0.push(local.kind.0);
        }
        out.constants(&self.constants, 0);
        out.optional(self.source_hash);
        out.0
    }

    /// From bytes; what follows the known fields is passed over.
    ///
    /// # Errors
    ///
    /// If the bytes are no code object; the offset is in `bytes`.
    pub fn read(bytes: &[u8]) -> Result<Self, Error> {
        let mut input = Cursor::new(bytes);
        let number = input.number()?;
        let site_base = input.number()?;
        let captures = list(&mut input, 1, number_of)?;
        let at = input.at();
        let plan_version = u16::try_from(input.number()?).map_err(|_| ErrorKind::Number.at(at))?;
        Ok(CodeRecord {
            number,
            site_base,
            captures,
            plan_version,
            name: bytes_of(&mut input)?,
            qualname: bytes_of(&mut input)?,
            filename: bytes_of(&mut input)?,
            first_line: first_line(&mut input)?,
            flags: input.number()?,
            argument_count: input.number()?,
            positional_only_count: input.number()?,
            keyword_only_count: input.number()?,
            stack_size: input.number()?,
            code: bytes_of(&mut input)?,
            exception_table: bytes_of(&mut input)?,
            location_table: bytes_of(&mut input)?,
            names: list(&mut input, 1, bytes_of)?,
            locals: list(&mut input, 2, |input| {
                Ok(Local {
                    name: bytes_of(input)?,
                    kind: LocalKind(input.byte()?),
                })
            })?,
            constants: constants(&mut input, 0)?,
            source_hash: {
                let known = input.byte()? != 0;
                let hash = u64::from_le_bytes(input.take()?);
                known.then_some(hash)
            },
        })
    }
}

/// The code objects of a code chunk, with the offset of each in `contents`.
pub(super) fn read_all(contents: &[u8]) -> Result<Vec<CodeRecord>, Error> {
    let mut input = Cursor::new(contents);
    let mut codes = Vec::new();
    while !input.is_at_end() {
        let bytes = input.bytes()?;
        let begin = input.at() - bytes.len();
        let code = CodeRecord::read(bytes).map_err(|error| Error {
            offset: begin + error.offset,
            ..error
        })?;
        codes.push(code);
    }
    Ok(codes)
}

/// A length and the bytes of a code object, as a code chunk holds them.
pub(super) fn with_length(code: &[u8]) -> Vec<u8> {
    let mut out = Output::default();
    out.bytes(code);
    out.0
}

fn list<T>(
    input: &mut Cursor<'_>,
    size: usize,
    read: fn(&mut Cursor<'_>) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    let count = input.count(size)?;
    let mut items = Vec::with_capacity(count.min(64));
    for _ in 0..count {
        items.push(read(input)?);
    }
    Ok(items)
}

fn number_of(input: &mut Cursor<'_>) -> Result<u32, Error> {
    input.number()
}

fn bytes_of(input: &mut Cursor<'_>) -> Result<Vec<u8>, Error> {
    input.bytes().map(<[u8]>::to_vec)
}

fn signed(input: &mut Cursor<'_>) -> Result<i64, Error> {
    let value = input.varint()?;
    Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
}

fn first_line(input: &mut Cursor<'_>) -> Result<i32, Error> {
    let at = input.at();
    i32::try_from(signed(input)?).map_err(|_| ErrorKind::Number.at(at))
}

fn constants(input: &mut Cursor<'_>, depth: usize) -> Result<Vec<Constant>, Error> {
    let count = input.count(1)?;
    let mut items = Vec::with_capacity(count.min(64));
    for _ in 0..count {
        items.push(constant(input, depth)?);
    }
    Ok(items)
}

fn constant(input: &mut Cursor<'_>, depth: usize) -> Result<Constant, Error> {
    let at = input.at();
    if depth > MAX_DEPTH {
        return Err(ErrorKind::Deep.at(at));
    }
    Ok(match input.byte()? {
        b'N' => Constant::None,
        b'F' => Constant::Bool(false),
        b'T' => Constant::Bool(true),
        b'.' => Constant::Ellipsis,
        b'i' => Constant::Int(signed(input)?),
        tag @ (b'm' | b'l') => Constant::BigInt(tag == b'm', bytes_of(input)?),
        b'g' => Constant::Float(u64::from_le_bytes(input.take()?)),
        b'y' => Constant::Complex(
            u64::from_le_bytes(input.take()?),
            u64::from_le_bytes(input.take()?),
        ),
        b'u' => Constant::Str(bytes_of(input)?),
        b's' => Constant::Bytes(bytes_of(input)?),
        b'(' => Constant::Tuple(constants(input, depth + 1)?),
        b'>' => Constant::FrozenSet(constants(input, depth + 1)?),
        b':' => Constant::Slice(Box::new([
            constant(input, depth + 1)?,
            constant(input, depth + 1)?,
            constant(input, depth + 1)?,
        ])),
        b'c' => Constant::Code(bytes_of(input)?, input.optional_number()?),
        b'?' => Constant::Other(bytes_of(input)?),
        other => return Err(ErrorKind::Tag(other).at(at)),
    })
}
