//! What a report needs to know about a code object.

use debugop_bytecode::argument::{Argument, Resolve};
use debugop_bytecode::{
    Analysis, ArgKind, InstrIdx, Instruction, Location, Op, Opcode, Varying, Version,
    callable_depth,
};
use debugop_value::{Value, escaped};

/// Columns of a constant in an instruction's argument.
const CONSTANT_WIDTH: usize = 60;

/// The names and constants of a code object, as the interpreter holds them.
#[derive(Debug, Clone, Default)]
pub struct CodeNames {
    /// `co_name`.
    pub name: String,
    /// `co_qualname`.
    pub qualname: String,
    /// `co_filename`.
    pub filename: String,
    /// `co_firstlineno`.
    pub first_line: i32,
    /// `__name__` of the module it belongs to, where known.
    pub module: Option<String>,
    /// `co_consts`.
    pub consts: Vec<Value>,
    /// `co_names`.
    pub names: Vec<String>,
    /// The names of localsplus: locals, cells, free variables, in the order of the frame's slots.
    pub localsplus: Vec<String>,
}

/// A code object, described once for all steps in it.
#[derive(Debug, Clone)]
pub struct CodeInfo {
    /// Unique among the code objects of one stream.
    pub id: u32,
    /// The version whose instructions it holds.
    pub version: Version,
    /// Its names and constants.
    pub names: CodeNames,
    instructions: Vec<InstructionInfo>,
}

/// An instruction of a code object.
#[derive(Debug, Clone, PartialEq)]
pub struct InstructionInfo {
    /// Byte offset of the opcode's own code unit, as `dis` shows it.
    pub offset: u32,
    /// The opcode's number.
    pub opcode: Opcode,
    /// The instruction, independent of its number.
    pub op: Op,
    /// The oparg with its EXTENDED_ARG prefixes; `None` for an instruction that ignores it.
    pub arg: Option<u32>,
    /// What the oparg means.
    pub argument: Argument,
    /// The text that `dis` shows for it, except that jumps always name an offset and that constants
    /// are cut to 60 columns; empty where `dis` shows none. Printable.
    pub argrepr: Box<str>,
    /// Where it stands in the source.
    pub location: Location,
    /// Whether exceptions land here: it is a target of the exception table.
    pub is_handler: bool,
    /// Of a call: how far below the top of the stack the callable stands, as [`debugop_bytecode::callable_depth`] tells.
    pub callable_depth: Option<u32>,
    /// Stack slots, 0 = bottom, that depend on how the interpreter runs the code.
    pub varying: Box<[(u32, Varying)]>,
}

struct Names<'a>(&'a CodeNames);

impl Resolve for Names<'_> {
    fn constant(&self, index: u32, text: &mut String) {
        if let Some(constant) = self.0.consts.get(index as usize) {
            text.push_str(&constant.short(CONSTANT_WIDTH).to_string());
        }
    }

    fn name(&self, index: u32, text: &mut String) {
        if let Some(name) = self.0.names.get(index as usize) {
            text.push_str(&escaped(name));
        }
    }

    fn local(&self, index: u32, text: &mut String) {
        if let Some(name) = self.0.localsplus.get(index as usize) {
            text.push_str(&escaped(name));
        }
    }

    fn label(&self, _offset: u32) -> Option<u32> {
        None
    }
}

impl CodeInfo {
    /// Describes every instruction of a code object once. `id` is unique among the code objects of one stream.
    pub fn new(id: u32, names: CodeNames, analysis: &Analysis) -> Self {
        let version = analysis.version();
        let varying = debugop_bytecode::varying_slots(analysis);
        let describe = |(index, instruction): (u32, &Instruction)| {
            let opcode = instruction.opcode;
            let index = InstrIdx(index);
            let argument = Argument::new(version, opcode, instruction.arg, instruction.end());
            let ignored = opcode
                .info(version)
                .is_some_and(|info| info.arg == ArgKind::None);
            Some(InstructionInfo {
                offset: instruction.offset,
                opcode,
                op: opcode.info(version)?.op,
                arg: (!ignored).then_some(instruction.arg),
                argument,
                argrepr: argument.repr(version, &Names(&names)).into(),
                location: analysis.location(index),
                is_handler: analysis.is_handler(index),
                callable_depth: callable_depth(version, instruction),
                varying: varying[index.0 as usize].as_slice().into(),
            })
        };
        // An analysis holds defined opcodes only, so that no instruction is left out here.
        let instructions = (0..).zip(analysis.instructions()).filter_map(describe);
        CodeInfo {
            id,
            version,
            instructions: instructions.collect(),
            names,
        }
    }

    /// The instructions, in the order of their offsets.
    pub fn instructions(&self) -> &[InstructionInfo] {
        &self.instructions
    }

    /// One instruction; `None` if the index is not of this code object.
    pub fn instruction(&self, index: InstrIdx) -> Option<&InstructionInfo> {
        self.instructions.get(index.0 as usize)
    }
}

impl InstructionInfo {
    /// The source line; `None` for an instruction without one, and for line 0, where a module's frame starts.
    pub fn line(&self) -> Option<u32> {
        let line = u32::try_from(self.location.line?).ok()?;
        (line > 0).then_some(line)
    }
}
