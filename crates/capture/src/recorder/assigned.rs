//! What is assigned past the instructions of the frame that it concerns: locals through `frame.f_locals`, the next line (`frame.f_lineno`), `__class__` of an object.
//!
//! Replay would not see it. So a new chunk begins right behind the assignment, which describes everything as it is then. The functions that assign stand in
//! tables of the interpreter's own types (`Objects/frameobject.c`, `Objects/typeobject.c`) and are replaced while a recording is being made. Before 3.13
//! locals are assigned by whoever has called a trace function, when that has returned ([`Locals`]).

use std::ffi::{c_int, c_void};
use std::sync::OnceLock;

use debugop_bytecode::SiteKind;
use debugop_recording::stream::{Encoder, ThreadNumber};
use pyo3::exceptions::PyRuntimeError;
use pyo3::types::PyAnyMethods;
use pyo3::{Bound, PyErr, PyResult, Python, ffi};

#[cfg(not(Py_3_13))]
pub(crate) use dictionary::Locals;

use super::pending::ROOM;
use super::planned::{PlannedCode, PlannedSite};
use super::threads::Shadow;
use super::{Recorder, with_active};
use crate::frame::Frame;
use crate::interpreter::is_main;
use crate::layout::{FrameObject, InterpreterFrame};
use crate::registry;
use crate::whole::{self, GetSetDescriptor};

type Setter = unsafe extern "C" fn(*mut ffi::PyObject, *mut ffi::PyObject, *mut c_void) -> c_int;

/// An attribute of a builtin type's objects, of which somebody has to hear when it is assigned to.
struct Attribute {
    class: fn() -> *mut ffi::PyTypeObject,
    name: &'static str,
    ours: Setter,
    /// The setter that CPython has, once ours has stood in its place; as in [`crate::whole`], not under the GIL.
    theirs: OnceLock<Setter>,
}

/// `object.__class__`, and `frame.f_lineno`, by which a trace function has a frame go on somewhere else.
static ATTRIBUTES: [Attribute; 2] = [
    Attribute {
        class: || &raw mut ffi::PyBaseObject_Type,
        name: "__class__",
        ours: set::<0>,
        theirs: OnceLock::new(),
    },
    Attribute {
        class: || &raw mut ffi::PyFrame_Type,
        name: "f_lineno",
        ours: set::<1>,
        theirs: OnceLock::new(),
    },
];

fn unknown(what: &str) -> PyErr {
    PyRuntimeError::new_err(format!("debugop does not know this interpreter: {what}"))
}

impl Attribute {
    /// Its table entry.
    fn entry(&self, py: Python<'_>) -> PyResult<*mut ffi::PyGetSetDef> {
        let name = self.name;
        // SAFETY: a static type; its dictionary lives as long as it (3.12 and later: as the interpreter), and of its entry's type a field is read.
        unsafe {
            let class = Bound::from_borrowed_ptr(py, (self.class)().cast());
            let descriptor = class.getattr("__dict__")?.get_item(name)?;
            if ffi::Py_TYPE(descriptor.as_ptr()) != &raw mut ffi::PyGetSetDescr_Type {
                return Err(unknown(&format!("{name} is no getset descriptor")));
            }
            Ok((*descriptor.as_ptr().cast::<GetSetDescriptor>()).d_getset)
        }
    }

    fn watch(&self, py: Python<'_>) -> PyResult<()> {
        let entry = self.entry(py)?;
        // SAFETY: the table is writable static data of the interpreter (3.11-3.15); the GIL is held, and both setters have the same signature.
        unsafe {
            let setter = (*entry).set;
            let setter = setter.ok_or_else(|| unknown(&format!("{} cannot be set", self.name)))?;
            self.theirs.get_or_init(|| setter);
            (*entry).set = Some(self.ours);
        }
        Ok(())
    }

    fn unwatch(&self, py: Python<'_>) {
        if let (Some(setter), Ok(entry)) = (self.theirs.get(), self.entry(py)) {
            // SAFETY: as in `watch`.
            unsafe { (*entry).set = Some(*setter) };
        }
    }
}

/// Puts our functions in place.
///
/// # Errors
/// The interpreter is not as it should be.
pub(super) fn watch(py: Python<'_>) -> PyResult<()> {
    for attribute in &ATTRIBUTES {
        attribute.watch(py)?;
    }
    #[cfg(Py_3_13)]
    proxy::watch(py)?;
    Ok(())
}

/// Puts CPython's back.
pub(super) fn unwatch(py: Python<'_>) {
    for attribute in &ATTRIBUTES {
        attribute.unwatch(py);
    }
    #[cfg(Py_3_13)]
    proxy::unwatch(py);
}

/// # Safety
/// Called by CPython as the setter of the attribute with this index.
unsafe extern "C" fn set<const WHICH: usize>(
    object: *mut ffi::PyObject,
    value: *mut ffi::PyObject,
    closure: *mut c_void,
) -> c_int {
    let Some(original) = ATTRIBUTES[WHICH].theirs.get() else {
        // Cannot be reached: `watch` sets it first.
        return -1;
    };
    // SAFETY: the thread is attached, by CPython's calling convention.
    let py = unsafe { Python::assume_attached() };
    if WHICH == 1 && is_main(py) {
        // SAFETY: a frame object, as CPython calls its setter with; it points to its frame.
        let frame = unsafe { (*object.cast::<FrameObject>()).f_frame };
        with_active(py, |recorder| {
            recorder.may_go_on_elsewhere(py, frame as usize);
        });
    }
    // SAFETY: CPython's own setter with the arguments that it expects.
    let done = unsafe { original(object, value, closure) };
    if done == 0 && is_main(py) {
        with_active(py, |recorder| match WHICH {
            0 => recorder.has_other_class(py, object),
            // SAFETY: a live frame object, as CPython's setter has set its line; it points to its frame.
            _ => recorder.goes_on_elsewhere(py, unsafe { (*object.cast::<FrameObject>()).f_frame }),
        });
    }
    done
}

impl Recorder {
    /// An object has another class.
    fn has_other_class(&mut self, py: Python<'_>, object: *mut ffi::PyObject) {
        if self.pen.knows(py, object) {
            self.begin_changed(py);
        }
    }

    /// What is told of the frame at this address may have it go on elsewhere. If it is the innermost that is recorded, it is said where it stands: nothing else will, and the chunk that begins behind
    /// says where it goes on.
    fn may_go_on_elsewhere(&mut self, py: Python<'_>, address: usize) {
        if self.current == usize::MAX || self.is_held_here(py) {
            return;
        }
        let Some(innermost) = Frame::current(py) else {
            return;
        };
        let Some(index) = self.thread_of(py, innermost) else {
            return;
        };
        if self.threads[index].chunk != self.pen.chunk {
            return;
        }
        let live = self.threads[index].live(py, None);
        let Some(&(at, frame)) = live.last().filter(|(_, frame)| frame.address() == address) else {
            return;
        };
        let doing = self.threads[index].frames[at].doing(py, frame, &self.refused);
        let Some((unit, progress)) = doing else {
            return;
        };
        let mut to = Encoder::new(self.store.bytes(), self.at);
        let to = &mut to;
        if !to.has_room(ROOM) {
            return;
        }
        if index != self.current {
            self.current = index;
            self.state = frame.thread_state();
            to.thread(ThreadNumber(self.threads[index].number));
        }
        self.pop_to(py, to, at + 1, None);
        self.say_stands(py, to, unit, progress);
        if !to.overflowed() {
            self.at = to.at();
            self.store.commit(self.at);
        }
    }

    /// A trace function has had the frame at this address, which it is told of, go on at another line; what has no value has None by now.
    fn goes_on_elsewhere(&mut self, py: Python<'_>, frame: *mut InterpreterFrame) {
        whole::goes_on_elsewhere(py, frame as usize);
        self.may_begin_again(py, frame as usize);
        self.has_assigned(py, frame as usize);
    }

    /// Locals of the frame at this address have been assigned to by somebody else.
    fn has_assigned(&mut self, py: Python<'_>, address: usize) {
        let mut running = std::iter::successors(Frame::current(py), |frame| frame.previous());
        let running = running.find(|frame| frame.address() == address);
        let mut shadows = self.threads.iter().flat_map(|thread| &thread.frames);
        let is_known = match running {
            Some(frame) => shadows.any(|shadow| shadow.is_now(frame)),
            None => shadows.any(|shadow| shadow.address == address),
        };
        if is_known || self.generators.get(address).is_some() {
            self.go_whole(py);
            self.begin_changed(py);
        } else if let Some(frame) = running {
            self.has_assigned_early(py, frame);
        }
    }

    /// The same of one that has not told of itself yet: a chunk begins when it has, and its first site goes the general way.
    fn has_assigned_early(&mut self, py: Python<'_>, frame: Frame<'_>) {
        let Some(entry) = registry::of_copy(&frame.code(py)) else {
            return;
        };
        self.go_whole(py);
        let sites = entry.planned().map(PlannedCode::plan_sites);
        let mut sites = sites.unwrap_or_default().iter();
        if let Some(start) = sites.find(|site| site.kind == SiteKind::Start) {
            start.go_slowly();
        }
        let place = (frame.address(), frame.code_address());
        self.assigned.retain(|one| one.0 != place.0);
        self.assigned.push(place);
    }

    /// Whether `site`, which fires, is the first in a frame to which somebody has assigned before, and behind which a chunk may begin. If not, the next one goes the general way, too.
    pub(super) fn begins_behind(
        &mut self,
        py: Python<'_>,
        site: &PlannedSite,
        frame: Frame<'_>,
    ) -> Option<bool> {
        let place = (frame.address(), frame.code_address());
        let at = self.assigned.iter().position(|&one| one == place)?;
        if site.kind == SiteKind::Start {
            site.set_number(py, site.number.get());
        }
        if site.ends_chunk {
            self.assigned.swap_remove(at);
        }
        Some(site.ends_chunk)
    }

    /// If the frame at this address has come to the `RESUME` with which it has started, that is noted down: the site behind it fires once more, as if the function had been called, and goes
    /// the general way then.
    fn may_begin_again(&mut self, py: Python<'_>, address: usize) {
        let mut frames = std::iter::successors(Frame::current(py), |frame| frame.previous());
        let Some(frame) = frames.find(|frame| frame.address() == address) else {
            return;
        };
        let mut threads = self.threads.iter_mut();
        let shadow = threads.find_map(|thread| {
            let mut shadows = thread.frames.iter_mut();
            shadows.rfind(|shadow| shadow.is(frame))
        });
        let Some(shadow) = shadow else { return };
        if shadow.told == Shadow::AGAIN {
            shadow.told = Shadow::NOT_TOLD;
        }
        // SAFETY: the code of a frame that runs.
        let code = unsafe { &*shadow.code };
        let analysis = code.probed().analysis();
        let unit = frame.instruction_offset().and_then(|at| code.unit(at));
        let at = unit.and_then(|unit| analysis.at_offset(unit * 2));
        let mut sites = code.plan_sites().iter();
        if at.is_some()
            && at == analysis.first_resume()
            && !code.probed().is_observed()
            && let Some(start) = sites.find(|site| site.kind == SiteKind::Start)
        {
            shadow.told = Shadow::AGAIN;
            self.has_begun_again = true;
            start.go_slowly();
        }
    }

    /// Something has changed that no instruction of the frame concerned does: a chunk begins that says how things are.
    pub(super) fn begin_changed(&mut self, py: Python<'_>) {
        if self.current == usize::MAX || self.is_held_here(py) {
            // Nothing has been recorded yet; or a debugger has stopped the program, and says itself what it has changed.
            return;
        }
        let Some(frame) = Frame::current(py) else {
            return;
        };
        if let Some(index) = self.thread_of(py, frame)
            && self.threads[index].chunk == self.pen.chunk
            && let Some(&(at, top)) = self.threads[index].live(py, None).last()
        {
            // Where it does not fit the next chunk knows.
            self.tell_of(py, index, at, top);
        }
        self.next_chunk(py, None);
    }
}

/// `frame.f_locals` of a running function, a dictionary: a trace function is given one with the frame's locals, and what is in it when it has returned
/// is stored into the frame, of which nobody is told (`PyFrame_LocalsToFast` in `call_trampoline`, `Python/sysmodule.c`, 3.11 and 3.12).
#[cfg(not(Py_3_13))]
mod dictionary {
    use pyo3::{Python, ffi};
    use smallvec::SmallVec;

    use super::with_active;
    use crate::frame::{CodeShape, Frame};
    use crate::layout::objects::CellObject;
    use crate::layout::slot::Content;
    use crate::registry;

    /// By address what each local of the running frame is, and what is in those that are cells, before a trace function of the program's is called.
    pub(crate) struct Locals {
        frame: usize,
        values: SmallVec<[(usize, usize); 16]>,
    }

    impl Locals {
        /// Those of the running frame, if it is recorded: the function may assign to them.
        pub(crate) fn before(py: Python<'_>) -> Option<Self> {
            let frame = Frame::current(py)?;
            with_active(py, |recorder| {
                recorder.go_whole(py);
                let mut shadows = recorder.threads.iter().flat_map(|thread| &thread.frames);
                registry::of_copy(&frame.code(py)).is_some()
                    || shadows.any(|shadow| shadow.address == frame.address())
            })?
            .then(|| Self::of(py, frame))
        }

        fn of(py: Python<'_>, frame: Frame<'_>) -> Self {
            let count = CodeShape::of(&frame.code(py)).nlocalsplus;
            let value = |index: u32| {
                // SAFETY: a slot of the frame's locals, which keeps the object alive; a field of an exact type is read.
                unsafe {
                    match frame.local(index) {
                        Content::Object(object)
                            if ffi::Py_TYPE(object) == &raw mut ffi::PyCell_Type =>
                        {
                            let inside = (*object.cast::<CellObject>()).ob_ref;
                            (object as usize, inside as usize)
                        }
                        Content::Object(object) => (object as usize, 0),
                        _ => (0, 0),
                    }
                }
            };
            Self {
                frame: frame.address(),
                values: (0..count.cast_unsigned()).map(value).collect(),
            }
        }

        /// The function has returned.
        #[allow(
            deprecated,
            reason = "3.11 has no PyErr_GetRaisedException, which 3.12 would rather have used"
        )]
        pub(crate) fn after(&self, py: Python<'_>) {
            let Some(frame) = Frame::current(py).filter(|frame| frame.address() == self.frame)
            else {
                return;
            };
            // A value that was there is kept alive until its place has another: that is at another address.
            if Self::of(py, frame).values == self.values {
                return;
            }
            let (mut kind, mut value, mut traceback) = Default::default();
            // SAFETY: the thread is attached; what the function has raised is put back as it was.
            unsafe { ffi::PyErr_Fetch(&raw mut kind, &raw mut value, &raw mut traceback) };
            with_active(py, |recorder| recorder.has_assigned(py, self.frame));
            // SAFETY: as above.
            unsafe { ffi::PyErr_Restore(kind, value, traceback) };
        }
    }
}

/// `frame.f_locals` of a running function, which passes on what is assigned to it.
#[cfg(Py_3_13)]
mod proxy {
    use std::ffi::CStr;
    use std::ptr::NonNull;

    use super::{OnceLock, PyResult, Python, c_int, ffi, is_main, unknown, with_active};
    use crate::layout::FrameObject;

    unsafe extern "C" {
        /// `Include/cpython/pyframe.h`.
        static mut PyFrameLocalsProxy_Type: ffi::PyTypeObject;
    }

    /// `PyFrameLocalsProxyObject` (`Include/internal/pycore_frame.h`, 3.13-3.15).
    #[repr(C)]
    struct Proxy {
        ob_base: ffi::PyObject,
        frame: *mut FrameObject,
    }

    /// `PyWrapperDescrObject` (`Include/cpython/descrobject.h`, 3.13-3.15).
    #[repr(C)]
    struct Wrapper {
        ob_base: ffi::PyObject,
        d_type: *mut ffi::PyTypeObject,
        d_name: *mut ffi::PyObject,
        d_qualname: *mut ffi::PyObject,
        d_base: *mut std::ffi::c_void,
        d_wrapped: *mut std::ffi::c_void,
    }

    /// The functions that CPython has.
    #[derive(Clone, Copy)]
    struct Theirs {
        assign: ffi::objobjargproc,
        or: ffi::binaryfunc,
        update: ffi::PyCFunction,
        setdefault: ffi::PyCFunctionFast,
    }

    static THEIRS: OnceLock<Theirs> = OnceLock::new();

    /// Where they stand.
    struct Places {
        mapping: NonNull<ffi::PyMappingMethods>,
        number: NonNull<ffi::PyNumberMethods>,
        update: NonNull<ffi::PyMethodDef>,
        setdefault: NonNull<ffi::PyMethodDef>,
        set_item: Option<NonNull<Wrapper>>,
        or: Option<NonNull<Wrapper>>,
    }

    impl Places {
        fn find(py: Python<'_>) -> Option<Self> {
            // SAFETY: a static type of the interpreter that is ready, its tables, which are static and writable data, and descriptors in its
            // dictionary, of whose type fields are read. The GIL is held.
            unsafe {
                let class = &raw mut PyFrameLocalsProxy_Type;
                let method = |name: &CStr, flags: c_int| {
                    let mut entry = (*class).tp_methods;
                    while !entry.is_null() && !(*entry).ml_name.is_null() {
                        if CStr::from_ptr((*entry).ml_name) == name {
                            return NonNull::new(entry).filter(|_| (*entry).ml_flags == flags);
                        }
                        entry = entry.add(1);
                    }
                    None
                };
                let dict = pyo3::Bound::from_owned_ptr_or_opt(py, ffi::PyType_GetDict(class))?;
                let wrapper = |name: &CStr| {
                    let found = ffi::PyDict_GetItemString(dict.as_ptr(), name.as_ptr());
                    let found = NonNull::new(found)?;
                    let is_wrapper =
                        ffi::Py_TYPE(found.as_ptr()) == &raw mut ffi::PyWrapperDescr_Type;
                    is_wrapper.then_some(found.cast::<Wrapper>())
                };
                Some(Self {
                    mapping: NonNull::new((*class).tp_as_mapping)?,
                    number: NonNull::new((*class).tp_as_number)?,
                    update: method(c"update", ffi::METH_O)?,
                    setdefault: method(c"setdefault", ffi::METH_FASTCALL)?,
                    set_item: wrapper(c"__setitem__"),
                    or: wrapper(c"__ior__"),
                })
            }
        }

        fn theirs(&self) -> Option<Theirs> {
            // SAFETY: as in `find`; the flags say which member of the unions is valid.
            unsafe {
                Some(Theirs {
                    assign: self.mapping.as_ref().mp_ass_subscript?,
                    or: self.number.as_ref().nb_inplace_or?,
                    update: self.update.as_ref().ml_meth.PyCFunction,
                    setdefault: self.setdefault.as_ref().ml_meth.PyCFunctionFast,
                })
            }
        }

        fn put(&mut self, functions: Theirs) {
            // SAFETY: as in `find`; each function has the signature of the one whose place it takes, and descriptors of slots call with that.
            unsafe {
                self.mapping.as_mut().mp_ass_subscript = Some(functions.assign);
                self.number.as_mut().nb_inplace_or = Some(functions.or);
                self.update.as_mut().ml_meth.PyCFunction = functions.update;
                self.setdefault.as_mut().ml_meth.PyCFunctionFast = functions.setdefault;
                if let Some(wrapper) = &mut self.set_item {
                    wrapper.as_mut().d_wrapped = functions.assign as *mut _;
                }
                if let Some(wrapper) = &mut self.or {
                    wrapper.as_mut().d_wrapped = functions.or as *mut _;
                }
            }
        }
    }

    const OURS: Theirs = Theirs {
        assign,
        or,
        update,
        setdefault,
    };

    pub(super) fn watch(py: Python<'_>) -> PyResult<()> {
        let places = Places::find(py);
        let mut places = places.ok_or_else(|| unknown("what frame.f_locals is"))?;
        let theirs = places.theirs();
        let theirs = theirs.ok_or_else(|| unknown("what frame.f_locals can do"))?;
        THEIRS.get_or_init(|| theirs);
        places.put(OURS);
        Ok(())
    }

    pub(super) fn unwatch(py: Python<'_>) {
        if let (Some(theirs), Some(mut places)) = (THEIRS.get(), Places::find(py)) {
            places.put(*theirs);
        }
    }

    /// Something may have been assigned to locals of the proxy's frame.
    fn assigned(proxy: *mut ffi::PyObject) {
        // SAFETY: the thread is attached, by CPython's calling convention, and the object a proxy, whose frame object it keeps alive.
        let (py, frame) = unsafe {
            let frame = (*proxy.cast::<Proxy>()).frame;
            (Python::assume_attached(), (*frame).f_frame as usize)
        };
        if !is_main(py) {
            return;
        }
        with_active(py, |recorder| recorder.has_assigned(py, frame));
    }

    /// The same of a function that may have failed when some had been assigned.
    fn assigned_some(proxy: *mut ffi::PyObject) {
        // SAFETY: the thread is attached; what is raised is put back as it was.
        unsafe {
            let raised = ffi::PyErr_GetRaisedException();
            assigned(proxy);
            ffi::PyErr_SetRaisedException(raised);
        }
    }

    unsafe extern "C" fn assign(
        proxy: *mut ffi::PyObject,
        key: *mut ffi::PyObject,
        value: *mut ffi::PyObject,
    ) -> c_int {
        let Some(theirs) = THEIRS.get() else {
            return -1;
        };
        // SAFETY: CPython's own function with the arguments that it expects.
        let done = unsafe { (theirs.assign)(proxy, key, value) };
        if done == 0 {
            assigned(proxy);
        }
        done
    }

    unsafe extern "C" fn or(
        proxy: *mut ffi::PyObject,
        other: *mut ffi::PyObject,
    ) -> *mut ffi::PyObject {
        let Some(theirs) = THEIRS.get() else {
            return std::ptr::null_mut();
        };
        // SAFETY: as above.
        let done = unsafe { (theirs.or)(proxy, other) };
        assigned_some(proxy);
        done
    }

    unsafe extern "C" fn update(
        proxy: *mut ffi::PyObject,
        other: *mut ffi::PyObject,
    ) -> *mut ffi::PyObject {
        let Some(theirs) = THEIRS.get() else {
            return std::ptr::null_mut();
        };
        // SAFETY: as above.
        let done = unsafe { (theirs.update)(proxy, other) };
        assigned_some(proxy);
        done
    }

    unsafe extern "C" fn setdefault(
        proxy: *mut ffi::PyObject,
        args: *mut *mut ffi::PyObject,
        count: ffi::Py_ssize_t,
    ) -> *mut ffi::PyObject {
        let Some(theirs) = THEIRS.get() else {
            return std::ptr::null_mut();
        };
        // SAFETY: as above.
        let done = unsafe { (theirs.setdefault)(proxy, args, count) };
        if !done.is_null() {
            assigned(proxy);
        }
        done
    }
}
