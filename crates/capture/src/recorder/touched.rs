//! What an instruction may change: noted before it, looked at again behind it.

use debugop_recording::stream::{Encoder, Short};
use pyo3::{Python, ffi};

use super::Recorder;
use super::callables::{self, Changes};
use super::pen::Pen;
use super::planned::{self, Callee, PlannedSite};
use super::threads::Shadow;
use crate::frame::Frame;
use crate::identity::block_of;
use crate::layout::objects::CodeOfFunction;
use crate::layout::slot::Content;
use crate::value::PyMethodDescr_Type;

impl Recorder {
    /// Writes what the last instruction of the frame on top has changed. Whether there is still room for a short record.
    #[inline(never)]
    pub(super) fn look_again(&mut self, py: Python<'_>) -> bool {
        self.look(py, Pen::update_known)
    }

    /// The same, of what [`Pen::update_in_place`] has said of that it does not know.
    #[inline(never)]
    pub(super) fn look_further(&mut self, py: Python<'_>) -> bool {
        self.look(py, Pen::update_further)
    }

    /// The same, where `update` writes changes that have a short form.
    #[inline(always)]
    fn look(
        &mut self,
        py: Python<'_>,
        update: impl Fn(&mut Pen, Python<'_>, &mut Short<'_>, *mut ffi::PyObject, usize, u64) -> bool,
    ) -> bool {
        // SAFETY: as in `record_quickly`.
        if let Some(top) = unsafe { self.top.as_mut() } {
            let (touched, newest) = top.touched();
            for &(object, block) in touched {
                if object.is_null() {
                    if self.store.has_room(self.at) {
                        self.note_time();
                    }
                    continue;
                }
                if self.store.has_room(self.at) {
                    // SAFETY: there is room.
                    let mut to = Short::new(unsafe { self.store.short(self.at) });
                    if update(&mut self.pen, py, &mut to, object, block, newest) {
                        self.at += to.len();
                        continue;
                    }
                }
                self.look_long(py, object, block, newest);
            }
            top.forget_touched();
        }
        self.store.has_room(self.at)
    }

    /// The same for one object, in the way for all.
    #[inline(never)]
    fn look_long(&mut self, py: Python<'_>, object: *mut ffi::PyObject, block: usize, newest: u64) {
        let mut to = Encoder::new(self.store.bytes(), self.at);
        self.pen.update(py, &mut to, object, block, newest);
        self.at = match to.overflowed() {
            true => self.store.capacity(),
            false => to.at(),
        };
    }
}

impl Pen {
    /// Looks again at what the last instruction of a frame may have changed.
    pub(super) fn look_again(&mut self, py: Python<'_>, to: &mut Encoder<'_>, shadow: &mut Shadow) {
        let (touched, newest) = shadow.touched();
        // Who looks in this way says the time himself.
        let objects = touched.iter().filter(|(object, _)| !object.is_null());
        for &(object, block) in objects {
            let is_done = self.redacted.is_off()
                && to.shortly(|to| self.update_shortly(py, to, object, block, newest));
            if !is_done {
                self.update(py, to, object, block, newest);
            }
        }
        shadow.forget_touched();
    }

    /// As [`Self::touch`], for most sites where they are.
    #[inline(always)]
    pub(super) fn touch_quickly(
        &self,
        py: Python<'_>,
        site: &PlannedSite,
        frame: Frame<'_>,
        top: &mut Shadow,
    ) {
        match site.touch {
            PlannedSite::NO_TOUCH => {}
            PlannedSite::TOUCHES => self.touch_all(site, frame, top),
            PlannedSite::CALLS => self.touch_call(py, site, frame, top),
            slot => self.touch_one(slot, frame, top),
        }
    }

    /// As [`Self::touch`], of the object in this slot.
    #[inline(always)]
    pub(super) fn touch_one(&self, slot: u16, frame: Frame<'_>, top: &mut Shadow) {
        // SAFETY: as in `record`; the slot keeps the object alive.
        let changeable = unsafe {
            match frame.local(u32::from(slot)) {
                Content::Object(object) => Some(object).zip(changeable(object, false)),
                _ => None,
            }
        };
        if let Some((object, block)) = changeable {
            top.touch(object, block, self.newest());
        }
    }

    /// As [`Self::touch`], if it is before no call.
    #[inline(never)]
    fn touch_all(&self, site: &PlannedSite, frame: Frame<'_>, top: &mut Shadow) {
        for &slot in &site.touches {
            // SAFETY: as in `record`; the slot keeps the object alive.
            unsafe {
                if let Content::Object(object) = frame.local(slot)
                    && let Some(block) = changeable(object, false)
                {
                    top.touch(object, block, self.newest());
                }
            }
        }
    }

    /// As [`Self::touch`], before a call: most call a function whose frame tells of itself.
    #[inline(never)]
    fn touch_call(&self, py: Python<'_>, site: &PlannedSite, frame: Frame<'_>, top: &mut Shadow) {
        if !tells_of_itself(py, site, frame) {
            self.touch(py, site, frame, top);
        }
    }

    /// Notes the objects that the instruction behind `site` may change.
    #[inline(never)]
    pub(super) fn touch(
        &self,
        py: Python<'_>,
        site: &PlannedSite,
        frame: Frame<'_>,
        top: &mut Shadow,
    ) {
        // SAFETY: as in `record`.
        let content = |slot: u32| match unsafe { frame.local(slot) } {
            Content::Object(object) => Some(object),
            _ => None,
        };
        let newest = self.newest();
        let mut note = |object: Option<*mut ffi::PyObject>, instances: bool| {
            let Some(object) = object else { return };
            // SAFETY: the slot, or what is in it, keeps the object alive.
            if let Some(block) = unsafe { changeable(object, instances) } {
                top.touch(object, block, newest);
            }
        };
        let mut touches = &site.touches[..];
        let (mut instances, mut waits) = (false, false);
        if site.calls
            && let Some((callable, arguments)) = callable(touches, content)
        {
            match self.callee(py, site, callable) {
                None => return,
                Some((Changes::Everything, bound)) => note(bound, false),
                Some((Changes::Anything, bound)) => {
                    note(bound, false);
                    waits = true;
                }
                Some((Changes::Itself, bound)) => {
                    let bound = bound.or_else(|| content(*arguments.first()?));
                    note(bound, false);
                    return;
                }
                Some((Changes::Checks, _)) if is_plain_class(arguments, content) => return,
                Some((Changes::Instances | Changes::Checks, bound)) => {
                    note(bound, true);
                    (touches, instances) = (arguments, true);
                }
            }
        }
        for &slot in touches {
            note(content(slot), instances);
        }
        if waits {
            top.may_wait(newest);
        }
    }

    /// What a callable may change, and the object that it is bound to; `None` if its own sites tell.
    #[inline]
    fn callee(
        &self,
        py: Python<'_>,
        site: &PlannedSite,
        callable: *mut ffi::PyObject,
    ) -> Option<(Changes, Option<*mut ffi::PyObject>)> {
        // SAFETY: the slot keeps the callable alive; fields of exact types are read.
        unsafe {
            if ffi::Py_TYPE(callable) == &raw mut ffi::PyFunction_Type {
                let code = (*callable.cast::<CodeOfFunction>()).func_code as usize;
                return match site.callee.get() {
                    Callee::Recorded(known, deaths)
                        if known == code && deaths == planned::deaths(py) =>
                    {
                        None
                    }
                    _ => Some((Changes::Anything, None)),
                };
            }
            let Some((identity, bound)) = callables::identity(py, callable) else {
                return Some((Changes::Anything, None));
            };
            let changes = match site.callee.get() {
                Callee::Known(known, changes) if known == identity => changes,
                _ => {
                    let changes = self.callables.changes(identity, callable);
                    site.callee.set(Callee::Known(identity, changes));
                    changes
                }
            };
            Some((changes, (!bound.is_null()).then_some(bound)))
        }
    }
}

/// Whether the call behind a site calls the function that it has called last, whose frame tells of itself.
#[inline(always)]
pub(super) fn tells_of_itself(py: Python<'_>, site: &PlannedSite, frame: Frame<'_>) -> bool {
    // SAFETY: as in `record`.
    let content = |slot: u32| match unsafe { frame.local(slot) } {
        Content::Object(object) => Some(object),
        _ => None,
    };
    if !site.calls {
        return false;
    }
    let [first, second] = site.called;
    let called = content(first).or_else(|| content(second));
    matches!(
        (called, site.callee.get()),
        (Some(callable), Callee::Recorded(known, deaths))
            // SAFETY: the slot keeps the callable alive; a field of an exact type is read.
            if unsafe {
                ffi::Py_TYPE(callable) == &raw mut ffi::PyFunction_Type
                    && (*callable.cast::<CodeOfFunction>()).func_code as usize == known
            } && deaths == planned::deaths(py)
    )
}

/// The callable among the slots of a call, and the slots behind it.
#[inline]
fn callable(
    touches: &[u32],
    content: impl Fn(u32) -> Option<*mut ffi::PyObject>,
) -> Option<(*mut ffi::PyObject, &[u32])> {
    let (&first, rest) = touches.split_first()?;
    match content(first) {
        Some(callable) => Some((callable, rest)),
        None => {
            let (&second, rest) = rest.split_first()?;
            Some((content(second)?, rest))
        }
    }
}

/// Whether the last argument is a class whose metaclass is `type`.
#[inline]
fn is_plain_class(arguments: &[u32], content: impl Fn(u32) -> Option<*mut ffi::PyObject>) -> bool {
    let last = arguments.last().and_then(|&last| content(last));
    // SAFETY: the slot keeps the object alive.
    last.is_some_and(|last| unsafe { ffi::Py_TYPE(last) == &raw mut ffi::PyType_Type })
}

/// Where the memory of an object begins whose contents may change, by a glance at its type. With `instances`, only if it is an instance of a
/// class that can be made by a `class` statement.
///
/// # Safety
/// The object is alive.
#[inline]
unsafe fn changeable(object: *mut ffi::PyObject, instances: bool) -> Option<usize> {
    // SAFETY: by the contract.
    unsafe {
        let class = ffi::Py_TYPE(object);
        if class == &raw mut ffi::PyFloat_Type || class == &raw mut ffi::PyLong_Type {
            return None;
        }
        let flags = (*class).tp_flags;
        if flags & ffi::Py_TPFLAGS_HEAPTYPE == 0
            && (instances
                || flags & (ffi::Py_TPFLAGS_LIST_SUBCLASS | ffi::Py_TPFLAGS_DICT_SUBCLASS) == 0
                    && !can_change(object))
        {
            return None;
        }
        Some(block_of(object))
    }
}

/// Whether an object may be one whose contents change, by a glance at its type.
#[inline]
fn can_change(object: *mut ffi::PyObject) -> bool {
    const PLAIN: u64 = ffi::Py_TPFLAGS_LONG_SUBCLASS
        | ffi::Py_TPFLAGS_UNICODE_SUBCLASS
        | ffi::Py_TPFLAGS_TUPLE_SUBCLASS
        | ffi::Py_TPFLAGS_TYPE_SUBCLASS;
    // SAFETY: the slot keeps the object alive.
    unsafe {
        let class = ffi::Py_TYPE(object);
        if (*class).tp_flags & PLAIN != 0 {
            class != &raw mut ffi::PyLong_Type
                && class != &raw mut ffi::PyUnicode_Type
                && class != &raw mut ffi::PyTuple_Type
                && class != &raw mut ffi::PyBool_Type
                && class != &raw mut ffi::PyType_Type
        } else {
            class != &raw mut ffi::PyFloat_Type
                && class != &raw mut ffi::PyFunction_Type
                && class != &raw mut ffi::PyCFunction_Type
                && class != &raw mut PyMethodDescr_Type
                && object != ffi::Py_None()
        }
    }
}
