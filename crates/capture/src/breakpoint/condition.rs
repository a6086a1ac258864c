//! Conditions: compiled as `eval` compiles them, and moved into the function that they are about.
//!
//! `bdb` evaluates a condition by `eval(text, frame.f_globals, frame.f_locals)`. What that means is kept: the text is compiled by the
//! interpreter as a module-level expression, and its `LOAD_NAME`s become what finds the same in the function: locals, cells, globals.
//! Names in lambdas and generator expressions inside are global, as under `eval`; so nothing of the function needs to become
//! a cell. A local that is unbound is a global for `eval`; so before anything else is executed each local is looked at, and
//! where one is unbound the whole is left to `eval` itself ([`super::evaluate`]).

use std::ffi::CString;

use debugop_bytecode::fragment::{Builder, Label};
use debugop_bytecode::{Analysis, ArgKind, Flow, InstrIdx, JumpKind, Op, Opcode};
use pyo3::types::{PyAnyMethods, PyCode, PyTupleMethods};
use pyo3::{Bound, Py, PyAny, PyResult, Python, ffi};

use crate::code_object::{self, CodeFields};
use crate::function::{code_texts, localsplus_names};
use crate::layout::VERSION;

/// `CO_OPTIMIZED` (`Include/cpython/code.h`): locals are in slots, not in a namespace.
const OPTIMIZED: u32 = 1;

/// An expression, compiled for `eval`.
pub(super) struct Expression {
    /// As it was written.
    pub(super) text: Box<str>,
    pub(super) code: Py<PyCode>,
}

impl Expression {
    /// Compiles `text`.
    ///
    /// # Errors
    /// `SyntaxError`; ValueError: it contains a null character.
    pub(super) fn new(py: Python<'_>, text: &str) -> PyResult<Self> {
        let source = CString::new(text.trim_start_matches([' ', '\t']))?;
        // SAFETY: the GIL is held, both are C strings; a new reference, or NULL with an exception. Without flags nothing is
        // inherited from the code that runs.
        let code = unsafe {
            let code =
                ffi::Py_CompileString(source.as_ptr(), c"<string>".as_ptr(), ffi::Py_eval_input);
            Bound::from_owned_ptr_or_err(py, code)?
        };
        Ok(Self {
            text: text.into(),
            code: code.cast_into::<PyCode>()?.unbind(),
        })
    }
}

/// What a code object's names mean, and what is added to its constants and names.
pub(super) struct Scope<'py> {
    optimized: bool,
    /// The names of localsplus.
    slots: Vec<String>,
    /// Those that are cells or free variables.
    cells: Vec<String>,
    /// Slots that are bound in every frame: arguments that nothing unbinds.
    bound: Vec<bool>,
    /// Slots that change their meaning in inlined comprehensions (PEP 709).
    shifting: Vec<bool>,
    pub(super) constants: Vec<Bound<'py, PyAny>>,
    pub(super) names: Vec<Bound<'py, PyAny>>,
}

impl<'py> Scope<'py> {
    pub(super) fn new(code: &Bound<'py, PyCode>, analysis: &Analysis) -> PyResult<Self> {
        /// `CO_VARARGS` and `CO_VARKEYWORDS`.
        const VARIADIC: [u32; 2] = [4, 8];
        let head = code_object::head(code);
        let flags = head.co_flags.cast_unsigned();
        let arguments = head.co_argcount + head.co_kwonlyargcount;
        let mut arguments = usize::try_from(arguments)?;
        arguments += VARIADIC.iter().filter(|flag| flags & **flag != 0).count();
        let slots = localsplus_names(code);
        let mut cells = code_texts(code, "co_cellvars");
        cells.extend(code_texts(code, "co_freevars"));
        let mut bound: Vec<_> = (0..slots.len()).map(|slot| slot < arguments).collect();
        let mut shifting = vec![false; slots.len()];
        for instruction in analysis.instructions() {
            let op = instruction.opcode.info(VERSION).map(|info| info.op);
            let slot = instruction.arg as usize;
            if matches!(
                op,
                Some(Op::DeleteFast | Op::DeleteDeref | Op::LoadFastAndClear)
            ) && let Some(bound) = bound.get_mut(slot)
            {
                *bound = false;
            }
            if op == Some(Op::LoadFastAndClear)
                && let Some(shifting) = shifting.get_mut(slot)
            {
                *shifting = true;
            }
        }
        Ok(Self {
            optimized: flags & OPTIMIZED != 0,
            slots,
            cells,
            bound,
            shifting,
            constants: code_object::consts(code).iter().collect(),
            names: code_object::names(code).iter().collect(),
        })
    }

    /// The index of a new constant.
    pub(super) fn constant(&mut self, value: Bound<'py, PyAny>) -> u32 {
        self.constants.push(value);
        self.constants.len() as u32 - 1
    }

    /// The index of a name, added if it is not there.
    fn name(&mut self, name: &Bound<'py, PyAny>) -> PyResult<u32> {
        let text: String = name.extract()?;
        for (index, own) in self.names.iter().enumerate() {
            if own.extract::<String>()? == text {
                return Ok(index as u32);
            }
        }
        self.names.push(name.clone());
        Ok(self.names.len() as u32 - 1)
    }
}

/// An expression's instructions with the target's constants, names and slots.
pub(super) struct Moved {
    items: Vec<Item>,
    /// Slots to be looked at before the first instruction.
    unsure: Vec<Load>,
    /// How many instructions at the beginning have no effects but the exception of an unbound local.
    harmless: usize,
    /// Whether it calls something: functions, which may be the very one that is stopped in.
    pub(super) calls: bool,
    /// Whether its value is True or False, so that jumps can take it as it is.
    pub(super) is_bool: bool,
}

#[derive(Clone, Copy)]
struct Item {
    opcode: Opcode,
    arg: u32,
    to: Option<To>,
    is_target: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum To {
    Item(usize),
    /// Where the value is looked at.
    End,
}

/// A load of a local: its opcode and slot.
type Load = (Opcode, u32);

/// Why an expression has to be left to `eval`.
pub(super) type Refusal = &'static str;

/// `expression` with the names of `scope`, or why it has to be left to `eval`.
///
/// # Errors
/// `MemoryError`.
pub(super) fn translate<'py>(
    py: Python<'py>,
    expression: &Expression,
    scope: &mut Scope<'py>,
) -> PyResult<Result<Moved, Refusal>> {
    let code = expression.code.bind(py);
    let fields = CodeFields::read(code)?;
    let Ok(analysis) = Analysis::new(&fields.view()) else {
        return Ok(Err("its bytecode is not what a compiler writes"));
    };
    if !analysis.exception_entries().is_empty()
        || code_texts(code, "co_varnames").len() + code_texts(code, "co_cellvars").len() > 0
    {
        return Ok(Err("it has a comprehension, which needs locals of its own"));
    }
    let constants = code_object::consts(code).iter();
    let translation = Translation {
        scope,
        constants: constants.map(|value| (value, None)).collect(),
        names: code_object::names(code).iter().collect(),
        moved: Moved {
            items: Vec::new(),
            unsure: Vec::new(),
            harmless: 0,
            calls: false,
            is_bool: false,
        },
        loads: Vec::new(),
    };
    translation.all(&analysis)
}

struct Translation<'a, 'py> {
    scope: &'a mut Scope<'py>,
    /// The expression's, and where they are in the target.
    constants: Vec<(Bound<'py, PyAny>, Option<u32>)>,
    names: Vec<Bound<'py, PyAny>>,
    moved: Moved,
    /// Loads of locals that may be unbound, each with the number of its instruction.
    loads: Vec<(usize, Load)>,
}

impl Translation<'_, '_> {
    fn all(mut self, analysis: &Analysis) -> PyResult<Result<Moved, Refusal>> {
        let mut first_item = Vec::new();
        let last = analysis.instructions().len() - 1;
        for (index, instruction) in analysis.instructions().iter().enumerate() {
            first_item.push(self.moved.items.len());
            let here = InstrIdx(index as u32);
            let Some(info) = instruction.opcode.info(VERSION) else {
                return Ok(Err("its bytecode is not known"));
            };
            let (opcode, arg) = (instruction.opcode, instruction.arg);
            match info.op {
                Op::Resume => continue,
                Op::ReturnValue => {
                    if index != last {
                        self.jump_to_end();
                    }
                    continue;
                }
                Op::ReturnConst => {
                    let constant = self.constant(arg);
                    self.push(known(Op::LoadConst), constant);
                    if index != last {
                        self.jump_to_end();
                    }
                    continue;
                }
                Op::LoadName => {
                    if let Err(refusal) = self.load(opcode, arg)? {
                        return Ok(Err(refusal));
                    }
                    continue;
                }
                Op::StoreName if self.scope.optimized => {
                    return Ok(Err("it assigns to a name"));
                }
                _ => {}
            }
            if matches!(info.flow, Flow::Return | Flow::Yield) {
                return Ok(Err("it leaves the frame"));
            }
            if info.jump == JumpKind::Backward {
                return Ok(Err("it has a loop"));
            }
            self.moved.calls |= is_call(info.op);
            if info.jump == JumpKind::Forward {
                let Some(target) = analysis.target(here) else {
                    return Ok(Err("its bytecode is not what a compiler writes"));
                };
                self.moved.items.push(Item {
                    opcode,
                    arg: 0,
                    to: Some(To::Item(target.0 as usize)),
                    is_target: false,
                });
                continue;
            }
            let arg = match info.arg {
                ArgKind::Const => self.constant(arg),
                ArgKind::Name => self.name(arg, 0)?,
                ArgKind::NameNull | ArgKind::NameMethod => self.name(arg, 1)?,
                ArgKind::NameSuper | ArgKind::NameImport => self.name(arg, 2)?,
                ArgKind::Local | ArgKind::LocalPair | ArgKind::Free => {
                    return Ok(Err("it has a comprehension, which needs locals of its own"));
                }
                _ => arg,
            };
            self.push(opcode, arg);
        }
        Ok(Ok(self.settle(&first_item)))
    }

    /// Jumps lead to items; what has to be looked at beforehand.
    fn settle(mut self, first_item: &[usize]) -> Moved {
        let count = self.moved.items.len();
        for at in 0..count {
            if let Some(To::Item(instruction)) = self.moved.items[at].to {
                let target = first_item[instruction];
                self.moved.items[at].to = Some(if target < count {
                    To::Item(target)
                } else {
                    To::End
                });
                if let Some(item) = self.moved.items.get_mut(target) {
                    item.is_target = true;
                }
            }
        }
        let is_harmless = |item: &Item| {
            let op = item.opcode.info(VERSION).map(|info| info.op);
            matches!(
                op,
                Some(
                    Op::LoadFast
                        | Op::LoadFastCheck
                        | Op::LoadDeref
                        | Op::LoadConst
                        | Op::LoadSmallInt
                        | Op::PushNull
                )
            )
        };
        self.moved.settle_bool();
        self.moved.harmless = self
            .moved
            .items
            .iter()
            .take_while(|item| is_harmless(item))
            .count();
        for (at, load) in self.loads {
            let seen = self.moved.items[..self.moved.harmless]
                .iter()
                .any(|item| (item.opcode, item.arg) == load);
            if at >= self.moved.harmless && !seen && !self.moved.unsure.contains(&load) {
                self.moved.unsure.push(load);
            }
        }
        self.moved
    }

    fn push(&mut self, opcode: Opcode, arg: u32) {
        self.moved.items.push(Item {
            opcode,
            arg,
            to: None,
            is_target: false,
        });
    }

    fn jump_to_end(&mut self) {
        self.moved.items.push(Item {
            opcode: known(Op::JumpForward),
            arg: 0,
            to: Some(To::End),
            is_target: false,
        });
    }

    fn constant(&mut self, index: u32) -> u32 {
        let Some((value, place)) = self.constants.get_mut(index as usize) else {
            return 0;
        };
        let value = value.clone();
        *place.get_or_insert_with(|| self.scope.constant(value))
    }

    /// The argument that names the same in the target; flags are in the bits below `shift`.
    fn name(&mut self, arg: u32, shift: u32) -> PyResult<u32> {
        let name = self.names[(arg >> shift) as usize].clone();
        let index = self.scope.name(&name)?;
        Ok(index << shift | arg & ((1 << shift) - 1))
    }

    /// `LOAD_NAME`.
    fn load(&mut self, opcode: Opcode, arg: u32) -> PyResult<Result<(), Refusal>> {
        let name: String = self.names[arg as usize].extract()?;
        if name == "super" {
            return Ok(Err("super() asks which function it is in"));
        }
        let slot = self.scope.slots.iter().position(|slot| *slot == name);
        match slot {
            Some(_) if !self.scope.optimized && !self.scope.cells.contains(&name) => {
                return Ok(Err("it has the name of a comprehension's variable"));
            }
            Some(slot) if self.scope.optimized => {
                if self.scope.shifting[slot] && self.scope.cells.contains(&name) {
                    return Ok(Err("it has the name of a comprehension's cell"));
                }
                let op = if self.scope.cells.contains(&name) {
                    Op::LoadDeref
                } else if self.scope.bound[slot] || Op::LoadFastCheck.opcode(VERSION).is_none() {
                    Op::LoadFast
                } else {
                    Op::LoadFastCheck
                };
                let load = (known(op), slot as u32);
                if !self.scope.bound[slot] {
                    self.loads.push((self.moved.items.len(), load));
                }
                self.push(load.0, load.1);
            }
            None if self.scope.optimized => {
                let global = self.name(arg, 0)?;
                self.push(known(Op::LoadGlobal), global << 1);
            }
            // A namespace: `eval` looks in the same one.
            _ => {
                let arg = self.name(arg, 0)?;
                self.push(opcode, arg);
            }
        }
        Ok(Ok(()))
    }
}

impl Moved {
    /// Makes a comparison that comes last answer with a bool, as the compiler does where it is jumped on.
    fn settle_bool(&mut self) {
        /// What makes a bool of the result of a `COMPARE_OP` (`Python/bytecodes.c`, 3.13-3.15).
        const AS_BOOL: u32 = 16;
        // Other values come there too.
        if self.items.iter().any(|item| item.to == Some(To::End)) {
            return;
        }
        let Some(last) = self.items.last_mut() else {
            return;
        };
        match last.opcode.info(VERSION).map(|info| info.op) {
            Some(Op::IsOp | Op::ContainsOp | Op::UnaryNot) => self.is_bool = true,
            Some(Op::CompareOp) if Op::ToBool.opcode(VERSION).is_some() => {
                last.arg |= AS_BOOL;
                self.is_bool = true;
            }
            _ => {}
        }
    }

    /// Writes the looks at locals, which end at the label that is returned, and the instructions, after which the value is on the stack.
    /// Up to the label there are no effects but the exception of an unbound local.
    ///
    /// # Errors
    /// As for the builder.
    pub(super) fn write(&self, builder: &mut Builder) -> Result<Label, debugop_bytecode::Error> {
        for &(opcode, slot) in &self.unsure {
            builder.opcode(opcode, slot);
            builder.op(Op::PopTop, 0)?;
        }
        let labels: Vec<Label> = self.items.iter().map(|_| builder.label()).collect();
        let (end, looked) = (builder.label(), builder.label());
        for (at, item) in self.items.iter().enumerate() {
            if at == self.harmless {
                builder.bind(looked);
            }
            builder.bind(labels[at]);
            match item.to {
                Some(To::Item(target)) => builder.jump_opcode(item.opcode, labels[target]),
                Some(To::End) => builder.jump_opcode(item.opcode, end),
                None => builder.opcode(item.opcode, item.arg),
            }
        }
        if self.harmless == self.items.len() {
            builder.bind(looked);
        }
        builder.bind(end);
        Ok(looked)
    }
}

fn is_call(op: Op) -> bool {
    matches!(op, Op::Call | Op::CallKw | Op::CallFunctionEx | Op::Precall)
}

/// An instruction that this version has.
pub(super) fn known(op: Op) -> Opcode {
    op.opcode(VERSION).unwrap_or(Opcode::CACHE)
}
