//! What is in an object, read from its fields: no code of the program runs, nothing is allocated in the interpreter's heap.

use std::rc::Rc;

use debugop_recording::digest::Digest;
use debugop_recording::stream::{Change, Encoder, Kind, tag};
use pyo3::types::string::PyStringData;
use pyo3::types::{PyString, PyStringMethods};
use pyo3::{Bound, PyAny, Python, ffi};

use super::parts::{Parts, attribute_parts, each, member, sequence};
use super::pen::{Long, Pen};
use super::shadows::{Glance, Layout};
use super::types::{Member, has_attributes_beside};
use super::words::{glance_word, quick_word};
use crate::layout::LongObject;
use crate::layout::collections::is_ordered;
use crate::layout::objects::{
    BaseException, CellObject, CodeOfFunction, MethodObject, SliceObject,
};
use crate::value::capture_name;

impl Pen {
    /// Writes what is in `object`, whose type has this number and kind.
    pub(super) fn contents(
        &mut self,
        py: Python<'_>,
        to: &mut Encoder<'_>,
        object: *mut ffi::PyObject,
        number: u32,
        kind: Kind,
        inside: u32,
    ) {
        // SAFETY: a live object whose type is of this kind.
        unsafe {
            match kind {
                Kind::Opaque => {}
                Kind::Str => self.text(py, to, object),
                Kind::Bytes | Kind::ByteArray => {
                    let (data, length) = bytes_of(object, kind);
                    let shown = length.min(self.limits.length);
                    to.head(length as u64, std::slice::from_raw_parts(data, shown));
                }
                Kind::List | Kind::Tuple | Kind::Set | Kind::FrozenSet => {
                    let parts = self.parts(object, kind);
                    self.items(py, to, &parts, inside);
                }
                Kind::Dict => self.pairs(py, to, &Parts::Dict(object), &[], object, inside),
                Kind::ListSubclass
                | Kind::TupleSubclass
                | Kind::SetSubclass
                | Kind::FrozenSetSubclass
                | Kind::Deque
                | Kind::DictSubclass => {
                    let parts = self.parts(object, kind);
                    if kind == Kind::DictSubclass {
                        self.pairs(py, to, &parts, &[], object, inside);
                    } else {
                        self.items(py, to, &parts, inside);
                    }
                    let beside = attribute_parts(object, kind);
                    let members = Rc::clone(&self.types.get(number).members);
                    self.pairs(py, to, &beside, &members, object, inside);
                }
                Kind::Instance => {
                    let parts = self.parts(object, kind);
                    // An instance inside may be of the same type.
                    let members = Rc::clone(&self.types.get(number).members);
                    self.pairs(py, to, &parts, &members, object, inside);
                }
                Kind::Cell => {
                    self.optional(py, to, (*object.cast::<CellObject>()).ob_ref, inside);
                }
                Kind::Method => {
                    let method = object.cast::<MethodObject>();
                    self.optional(py, to, (*method).im_func, inside);
                    self.optional(py, to, (*method).im_self, inside);
                }
                Kind::Range | Kind::Slice => {
                    for part in (*object.cast::<SliceObject>()).parts {
                        self.optional(py, to, part, inside);
                    }
                }
                Kind::Exception => {
                    let exception = object.cast::<BaseException>();
                    let args = (*exception).args;
                    if !args.is_null() && ffi::PyTuple_CheckExact(args) != 0 {
                        let args = sequence(args, Kind::Tuple);
                        let length = each(&args, 0, |_, _| {});
                        let shown = length.min(self.limits.items);
                        to.arguments(Some((length as u64, shown as u64)));
                        each(&args, shown, |item, _| {
                            self.value(py, to, item, inside + 1);
                        });
                    } else {
                        to.arguments(None);
                    }
                    let dict = (*exception).dict;
                    let attributes = if !dict.is_null() && ffi::PyDict_CheckExact(dict) != 0 {
                        Parts::Dict(dict)
                    } else {
                        Parts::None
                    };
                    self.pairs(py, to, &attributes, &[], object, inside);
                }
                Kind::Function => {
                    // A string, or NULL in a function in the making.
                    let name = (*object.cast::<CodeOfFunction>()).func_qualname;
                    let name = Bound::<PyAny>::from_borrowed_ptr_or_opt(py, name);
                    match name.as_ref().and_then(|name| name.cast::<PyString>().ok()) {
                        Some(name) => to.code(crate::value::lossy(name).as_bytes(), None),
                        None => to.code(&[], None),
                    }
                }
                Kind::Code => to.code(name_of(py, object).as_bytes(), None),
                Kind::Generator => to.generator(name_of(py, object).as_bytes(), None),
                Kind::Builtin | Kind::Type | Kind::Module => {
                    to.bytes(name_of(py, object).as_bytes());
                }
            }
        }
    }

    /// # Safety
    /// `object` is a live object of a type of this kind, a container or instance.
    #[inline]
    pub(super) unsafe fn parts(&self, object: *mut ffi::PyObject, kind: Kind) -> Parts {
        // SAFETY: by the contract.
        unsafe {
            match kind {
                Kind::List | Kind::ListSubclass => sequence(object, Kind::List),
                Kind::Tuple | Kind::TupleSubclass => sequence(object, Kind::Tuple),
                Kind::Set | Kind::FrozenSet | Kind::SetSubclass | Kind::FrozenSetSubclass => {
                    Parts::Set(object.cast())
                }
                Kind::Dict => Parts::Dict(object),
                Kind::DictSubclass if is_ordered(object) => Parts::Ordered(object),
                Kind::DictSubclass => Parts::Dict(object),
                Kind::Deque => Parts::Deque(object.cast()),
                Kind::Instance => attribute_parts(object, kind),
                _ => Parts::None,
            }
        }
    }

    /// Whether an instance of a subclass of a built-in container, or deque, of the type with this number has no attributes.
    ///
    /// # Safety
    /// It is live, and of this type.
    unsafe fn has_nothing_beside(&self, object: *mut ffi::PyObject, number: u32) -> bool {
        let class = self.types.get_ref(number);
        // SAFETY: by the contract.
        unsafe {
            let is_set = |place: &Member| !member(object, place).is_null();
            !class.members.iter().any(is_set)
                && (!class.has_dict
                    || each(&attribute_parts(object, class.kind), 0, |_, _| {}) == 0)
        }
    }

    /// Writes what is new in the one place where `object` has changed.
    ///
    /// # Safety
    /// It is live, of this type and kind, and the [glance](Self::glance) of it had the change at this word.
    pub(super) unsafe fn part(
        &mut self,
        py: Python<'_>,
        to: &mut Encoder<'_>,
        object: *mut ffi::PyObject,
        (number, kind): (u32, Kind),
        change: Change,
        word: usize,
    ) {
        let insert = match change {
            Change::Length => return,
            Change::Replace(_) => false,
            Change::Insert(_) => true,
        };
        // SAFETY: by the contract.
        unsafe {
            let (key, value) = match self.parts(object, kind) {
                Parts::Items(first, _) => (std::ptr::null_mut(), *first.add(word)),
                Parts::Attributes(values) => values.get(word - 1),
                parts @ (Parts::Dict(_) | Parts::Ordered(_)) => {
                    let mut last = (std::ptr::null_mut(), std::ptr::null_mut());
                    each(&parts, word / 2 + 1, |key, value| last = (key, value));
                    last
                }
                Parts::Deque(deque) => {
                    let mut last = std::ptr::null_mut();
                    (*deque).each(word + 1, |item| last = item);
                    (std::ptr::null_mut(), last)
                }
                Parts::None => match self.types.get_ref(number).members.get(word) {
                    Some(place) => (place.0, member(object, place)),
                    None => return,
                },
                Parts::Set(_) => return,
            };
            if insert && !key.is_null() {
                self.value(py, to, key, 1);
            }
            self.optional(py, to, value, 0);
        }
    }

    #[inline]
    pub(super) fn optional(
        &mut self,
        py: Python<'_>,
        to: &mut Encoder<'_>,
        object: *mut ffi::PyObject,
        inside: u32,
    ) {
        if object.is_null() {
            to.null();
        } else {
            self.value(py, to, object, inside + 1);
        }
    }

    unsafe fn items(&mut self, py: Python<'_>, to: &mut Encoder<'_>, parts: &Parts, inside: u32) {
        // SAFETY: by the caller's contract: the object is alive; writing values runs nothing.
        unsafe {
            let length = each(parts, 0, |_, _| {});
            let shown = length.min(self.limits.items);
            to.items(length as u64, shown as u64);
            each(parts, shown, |item, _| {
                if item.is_null() {
                    to.null();
                } else {
                    self.value(py, to, item, inside + 1);
                }
            });
        }
    }

    /// Pairs of a dict or attributes, and then the `members` of `object` that are set.
    unsafe fn pairs(
        &mut self,
        py: Python<'_>,
        to: &mut Encoder<'_>,
        parts: &Parts,
        members: &[Member],
        object: *mut ffi::PyObject,
        inside: u32,
    ) {
        // SAFETY: by the caller's contract, as in `items`; the members are those of its class.
        unsafe {
            let limit = self.limits.items;
            let length = each(parts, 0, |_, _| {});
            let set = members
                .iter()
                .filter(|place| !member(object, place).is_null());
            let all = length + set.clone().count();
            let shown = match parts {
                Parts::Ordered(_) => {
                    let mut seen = 0;
                    each(parts, limit, |_, _| seen += 1);
                    seen
                }
                _ => all.min(limit),
            };
            to.items(all as u64, shown as u64);
            each(parts, limit, |name, value| {
                self.pair(py, to, name, value, inside);
            });
            for place in set.take(limit - length.min(limit)) {
                self.pair(py, to, place.0, member(object, place), inside);
            }
        }
    }

    #[inline]
    pub(super) fn pair(
        &mut self,
        py: Python<'_>,
        to: &mut Encoder<'_>,
        name: *mut ffi::PyObject,
        value: *mut ffi::PyObject,
        inside: u32,
    ) {
        self.value(py, to, name, inside + 1);
        if self.redacted.is_off() || !self.is_redacted(py, name) {
            self.value(py, to, value, inside + 1);
        } else {
            self.redact(py, to, value);
        }
    }

    #[cold]
    fn is_redacted(&self, py: Python<'_>, name: *mut ffi::PyObject) -> bool {
        // SAFETY: a live object.
        let name: Bound<'_, PyAny> = unsafe { Bound::from_borrowed_ptr(py, name) };
        name.cast_exact::<PyString>()
            .is_ok_and(|name| self.redacted.covers(&crate::value::string(name)))
    }

    /// The first code points of a string, in WTF-8.
    fn text(&self, py: Python<'_>, to: &mut Encoder<'_>, object: *mut ffi::PyObject) {
        let limit = self.limits.length;
        // SAFETY: a live exact str, which is ready (3.11: whoever made it has made it so); its data are read while it is held.
        let text: Bound<'_, PyString> =
            unsafe { Bound::from_borrowed_ptr(py, object).cast_into_unchecked() };
        // SAFETY: as above.
        let data = unsafe { text.data() };
        match data {
            Ok(PyStringData::Ucs1(units)) if units[..units.len().min(limit)].is_ascii() => {
                to.head(units.len() as u64, &units[..units.len().min(limit)]);
            }
            Ok(data) => {
                let mut wtf8 = Vec::with_capacity(limit.min(256) * 3);
                let length = crate::value::push_data(&mut wtf8, data, limit);
                to.head(length as u64, &wtf8);
            }
            Err(_) => to.head(0, &[]),
        }
    }

    /// A digest of what [`Self::contents`] would write: [`debugop_recording::digest::of_contents`].
    pub(super) fn digest(
        &self,
        py: Python<'_>,
        object: *mut ffi::PyObject,
        number: u32,
        kind: Kind,
    ) -> u64 {
        // SAFETY: objects that a live object refers to.
        let word = |digest, part| unsafe { self.word(py, digest, part) };
        let (start, limit) = (Digest::new(kind), self.limits.items);
        let digest = match kind {
            Kind::Function
            | Kind::Code
            | Kind::Generator
            | Kind::Builtin
            | Kind::Type
            | Kind::Module => start.bytes(name_of(py, object).as_bytes()),
            Kind::Str => {
                let (mut wtf8, mut length) = (Vec::new(), 0);
                // SAFETY: a live exact str.
                let text: Bound<'_, PyString> =
                    unsafe { Bound::from_borrowed_ptr(py, object).cast_into_unchecked() };
                // SAFETY: read while it is held.
                if let Ok(data) = unsafe { text.data() } {
                    length = crate::value::push_data(&mut wtf8, data, self.limits.length);
                }
                start.bytes(&wtf8).and(length as u64)
            }
            _ => self.digest_parts(object, number, kind, limit, word),
        };
        digest.value()
    }

    /// What is in an object, as far as it is recorded.
    pub(super) fn glance(
        &self,
        glance: &mut Glance,
        object: *mut ffi::PyObject,
        number: u32,
        kind: Kind,
    ) {
        glance.clear();
        let limit = self.limits.items;
        let words = &mut glance.words;
        // SAFETY: a live object whose type is of this kind.
        unsafe {
            match kind {
                Kind::List | Kind::Tuple => {
                    if kind == Kind::List {
                        glance.layout = Layout::Items;
                    }
                    if let Parts::Items(first, length) = sequence(object, kind) {
                        let shown = length.min(limit);
                        words.extend((0..shown).map(|at| glance_word(*first.add(at))));
                        glance.length = length as u64;
                    }
                }
                Kind::Instance => {
                    let parts = self.parts(object, kind);
                    let class = self.types.get_ref(number);
                    let members = &class.members;
                    let mut length = if let Parts::Attributes(values) = parts {
                        // With members behind them, only whether anything has changed can be told.
                        if members.is_empty() && values.len() < limit {
                            glance.layout = Layout::Values;
                        }
                        // The class keeps the keys, whose names stay what they are.
                        words.push(values.keys_address() as u64);
                        let mut shown = 0;
                        for index in 0..values.len() {
                            let value = values.value(index);
                            if shown < limit {
                                words.push(glance_word(value));
                            }
                            shown += usize::from(!value.is_null());
                        }
                        shown
                    } else {
                        if members.is_empty() && matches!(parts, Parts::Dict(_)) {
                            glance.layout = Layout::Pairs;
                        } else if !class.has_dict && members.len() <= limit {
                            glance.layout = Layout::Members;
                        } else if members.is_empty() {
                            glance.layout = Layout::Nothing;
                        }
                        each(&parts, limit, |key, value| {
                            words.extend([glance_word(key), glance_word(value)]);
                        })
                    };
                    for place in members.iter() {
                        let value = member(object, place);
                        if length < limit {
                            words.push(glance_word(value));
                        }
                        length += usize::from(!value.is_null());
                    }
                    glance.length = length as u64;
                }
                Kind::Dict => {
                    glance.layout = Layout::Pairs;
                    let length = each(&Parts::Dict(object), limit, |key, value| {
                        words.extend([glance_word(key), glance_word(value)]);
                    });
                    glance.length = length as u64;
                }
                Kind::Set | Kind::FrozenSet => {
                    let length = each(&self.parts(object, kind), limit, |key, _| {
                        words.push(glance_word(key));
                    });
                    glance.length = length as u64;
                }
                Kind::Cell => words.push(glance_word((*object.cast::<CellObject>()).ob_ref)),
                _ if has_attributes_beside(kind) && self.has_nothing_beside(object, number) => {
                    glance.layout = match kind {
                        Kind::ListSubclass | Kind::Deque => Layout::ItemsAlone,
                        Kind::DictSubclass => Layout::PairsAlone,
                        _ => Layout::Other,
                    };
                    let length = each(&self.parts(object, kind), limit, |key, value| {
                        words.push(glance_word(key));
                        if kind == Kind::DictSubclass {
                            words.push(glance_word(value));
                        }
                    });
                    glance.length = length as u64;
                }
                _ => {
                    self.each_part(object, number, kind, |part| words.push(glance_word(part)));
                    let digest = self.digest_parts(object, number, kind, limit, quick_word);
                    words.push(digest.value());
                }
            }
        }
    }

    #[inline]
    fn digest_parts(
        &self,
        object: *mut ffi::PyObject,
        number: u32,
        kind: Kind,
        limit: usize,
        word: impl Fn(Digest, *mut ffi::PyObject) -> Digest,
    ) -> Digest {
        let start = Digest::new(kind);
        // SAFETY: a live object whose type is of this kind.
        unsafe {
            match kind {
                Kind::Bytes | Kind::ByteArray => {
                    let (data, length) = bytes_of(object, kind);
                    let shown = length.min(self.limits.length);
                    let head = std::slice::from_raw_parts(data, shown);
                    start.bytes(head).and(length as u64)
                }
                Kind::Cell => word(start, (*object.cast::<CellObject>()).ob_ref),
                Kind::Method => {
                    let method = object.cast::<MethodObject>();
                    let digest = word(start, (*method).im_func);
                    word(digest, (*method).im_self)
                }
                Kind::Range | Kind::Slice => {
                    let parts = (*object.cast::<SliceObject>()).parts;
                    parts.iter().fold(start, |digest, &part| word(digest, part))
                }
                Kind::Exception => {
                    let exception = object.cast::<BaseException>();
                    let args = (*exception).args;
                    let mut digest = start;
                    if !args.is_null() && ffi::PyTuple_CheckExact(args) != 0 {
                        let args = sequence(args, Kind::Tuple);
                        let length = each(&args, limit, |item, _| {
                            digest = word(digest, item);
                        });
                        digest = digest.and(length as u64);
                    }
                    let dict = (*exception).dict;
                    let attributes = if !dict.is_null() && ffi::PyDict_CheckExact(dict) != 0 {
                        Parts::Dict(dict)
                    } else {
                        Parts::None
                    };
                    let length = each(&attributes, limit, |key, value| {
                        digest = word(digest, key);
                        digest = word(digest, value);
                    });
                    digest.and(length as u64)
                }
                Kind::List
                | Kind::Tuple
                | Kind::Set
                | Kind::FrozenSet
                | Kind::Dict
                | Kind::Instance
                | Kind::ListSubclass
                | Kind::TupleSubclass
                | Kind::SetSubclass
                | Kind::FrozenSetSubclass
                | Kind::Deque
                | Kind::DictSubclass => {
                    let mut digest = start;
                    let all = |digest: &mut Digest, parts: &Parts| {
                        each(parts, limit, |key, value| {
                            *digest = word(*digest, key);
                            if !value.is_null() {
                                *digest = word(*digest, value);
                            }
                        })
                    };
                    let mut length = all(&mut digest, &self.parts(object, kind));
                    if has_attributes_beside(kind) {
                        digest = digest.and(length as u64);
                        length = all(&mut digest, &attribute_parts(object, kind));
                    }
                    for place in &*self.types.get_ref(number).members {
                        let (name, value) = (place.0, member(object, place));
                        if !value.is_null() {
                            if length < limit {
                                digest = word(digest, name);
                                digest = word(digest, value);
                            }
                            length += 1;
                        }
                    }
                    digest.and(length as u64)
                }
                _ => start,
            }
        }
    }

    /// A value in a digest: by value where it is recorded by value, else by identity.
    #[inline]
    pub(super) unsafe fn word(
        &self,
        py: Python<'_>,
        digest: Digest,
        object: *mut ffi::PyObject,
    ) -> Digest {
        if object.is_null() {
            return digest.null();
        }
        // SAFETY: a live object; fields of exact types are read.
        unsafe {
            let class = ffi::Py_TYPE(object);
            if class == &raw mut ffi::PyLong_Type {
                match (*object.cast::<LongObject>()).compact() {
                    Some(value) => digest.int(value),
                    None => match self.read_long(object) {
                        Long::Small(value) => digest.int(value),
                        Long::Big(negative, magnitude) => digest.big_int(negative, &magnitude),
                        Long::Huge(negative, bits, leading) => {
                            digest.huge_int(negative, bits, leading)
                        }
                    },
                }
            } else if class == &raw mut ffi::PyFloat_Type {
                digest.float(ffi::PyFloat_AS_DOUBLE(object).to_bits())
            } else if object == ffi::Py_None() {
                digest.singleton(tag::NONE)
            } else if object == ffi::Py_True() {
                digest.singleton(tag::TRUE)
            } else if object == ffi::Py_False() {
                digest.singleton(tag::FALSE)
            } else if class == &raw mut ffi::PyComplex_Type {
                let value = (*object.cast::<ffi::PyComplexObject>()).cval;
                digest.complex(value.real.to_bits(), value.imag.to_bits())
            } else if object == ffi::Py_Ellipsis() {
                digest.singleton(tag::ELLIPSIS)
            } else if object == ffi::Py_NotImplemented() {
                digest.singleton(tag::NOT_IMPLEMENTED)
            } else {
                match self.identities.lookup(py, object) {
                    Some(entry) => digest.object(entry.id.get()),
                    // It is new, and was not there when this was last asked.
                    None => digest.and(object as u64),
                }
            }
        }
    }

    /// Calls `see` with what an object refers to, as far as that is recorded.
    pub(super) fn each_part(
        &self,
        object: *mut ffi::PyObject,
        number: u32,
        kind: Kind,
        mut see: impl FnMut(*mut ffi::PyObject),
    ) {
        let mut both = |key: *mut ffi::PyObject, value: *mut ffi::PyObject| {
            for one in [key, value] {
                if !one.is_null() {
                    see(one);
                }
            }
        };
        let none = std::ptr::null_mut();
        // SAFETY: a live object whose type is of this kind.
        unsafe {
            match kind {
                Kind::Cell => both((*object.cast::<CellObject>()).ob_ref, none),
                Kind::Method => {
                    let method = object.cast::<MethodObject>();
                    both((*method).im_func, (*method).im_self);
                }
                Kind::Range | Kind::Slice => {
                    for part in (*object.cast::<SliceObject>()).parts {
                        both(part, none);
                    }
                }
                Kind::Exception => {
                    let exception = object.cast::<BaseException>();
                    let (args, dict) = ((*exception).args, (*exception).dict);
                    if !args.is_null() && ffi::PyTuple_CheckExact(args) != 0 {
                        each(&sequence(args, Kind::Tuple), self.limits.items, &mut both);
                    }
                    if !dict.is_null() && ffi::PyDict_CheckExact(dict) != 0 {
                        each(&Parts::Dict(dict), self.limits.items, &mut both);
                    }
                }
                _ => {
                    each(&self.parts(object, kind), self.limits.items, &mut both);
                    if has_attributes_beside(kind) {
                        let beside = attribute_parts(object, kind);
                        each(&beside, self.limits.items, &mut both);
                    }
                    for place in &*self.types.get_ref(number).members {
                        both(place.0, member(object, place));
                    }
                }
            }
        }
    }
}

/// The bytes of a `bytes` or `bytearray`.
///
/// # Safety
/// `object` is one of them, and alive.
unsafe fn bytes_of(object: *mut ffi::PyObject, kind: Kind) -> (*const u8, usize) {
    // SAFETY: by the contract; these only read.
    unsafe {
        if kind == Kind::Bytes {
            let length = ffi::PyBytes_Size(object).unsigned_abs();
            (ffi::PyBytes_AsString(object).cast(), length)
        } else {
            let length = ffi::PyByteArray_Size(object).unsigned_abs();
            (ffi::PyByteArray_AsString(object).cast(), length)
        }
    }
}

/// The name of a function, builtin, class, module or code object.
fn name_of(py: Python<'_>, object: *mut ffi::PyObject) -> String {
    // SAFETY: a live object.
    let object: Bound<'_, PyAny> = unsafe { Bound::from_borrowed_ptr(py, object) };
    capture_name(&object)
}
