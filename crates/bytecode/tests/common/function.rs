//! Functions made from a grammar of statements, as a compiler would write them: valid control flow by construction.

use debugop_bytecode::{
    CodeView, ExceptionEntry, Location, LocationEntry, Op, Version, assemble, exception_table,
    instruction::Instruction, location_table,
};
use proptest::prelude::*;

/// A statement, given the grammar's means in every version.
#[derive(Clone, Debug)]
pub(crate) enum Statement {
    /// `LOAD_CONST arg; STORE_FAST`, with more prefixes than the argument needs.
    Assign { arg: u32, padding: u32 },
    /// `LOAD_FAST; LOAD_FAST; BINARY_OP; POP_TOP`.
    Add,
    /// `NOP`, `times` over: distance.
    Nops { times: u16 },
    /// A call with a keyword argument.
    Call,
    /// `yield`.
    Yield,
    /// `yield from`.
    Delegate,
    /// `if`/`else`.
    If(Vec<Statement>, Vec<Statement>),
    /// `while`.
    While(Vec<Statement>),
    /// `for`, with a `break` at the end of its body where asked.
    For(Vec<Statement>, bool),
    /// `try`/`except`.
    Try(Vec<Statement>, Vec<Statement>),
    /// `with`, without the suppression of exceptions.
    With(Vec<Statement>),
}

/// Any list of statements, some of them long.
pub(crate) fn statements() -> impl Strategy<Value = Vec<Statement>> {
    let arg = prop_oneof![4 => 0u32..4, 1 => 200u32..400, 1 => any::<u32>()];
    let leaf = prop_oneof![
        3 => (arg, 0u32..4).prop_map(|(arg, padding)| Statement::Assign { arg, padding }),
        2 => Just(Statement::Add),
        1 => prop_oneof![0u16..4, 30u16..260].prop_map(|times| Statement::Nops { times }),
        2 => Just(Statement::Call),
        1 => Just(Statement::Yield),
        1 => Just(Statement::Delegate),
    ];
    let statement = leaf.prop_recursive(5, 60, 5, |inner| {
        let block = prop::collection::vec(inner, 0..5).boxed();
        prop_oneof![
            (block.clone(), block.clone()).prop_map(|(then, other)| Statement::If(then, other)),
            block.clone().prop_map(Statement::While),
            (block.clone(), any::<bool>()).prop_map(|(body, breaks)| Statement::For(body, breaks)),
            (block.clone(), block.clone())
                .prop_map(|(body, handler)| Statement::Try(body, handler)),
            block.prop_map(Statement::With),
        ]
    });
    prop::collection::vec(statement, 0..8)
}

/// The parts of a code object.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) version: Version,
    pub(crate) code: Vec<u8>,
    pub(crate) exception_table: Vec<u8>,
    pub(crate) location_table: Vec<u8>,
    pub(crate) stack_size: u32,
}

impl Function {
    pub(crate) fn view(&self) -> CodeView<'_> {
        CodeView {
            version: self.version,
            code: &self.code,
            exception_table: &self.exception_table,
            location_table: &self.location_table,
            first_line: 10,
            stack_size: self.stack_size,
        }
    }

    pub(crate) fn new(version: Version, statements: &[Statement]) -> Self {
        let mut builder = Builder {
            version,
            ..Builder::default()
        };
        builder.op(Op::Resume, 0);
        builder.block(statements);
        builder.op(Op::LoadConst, 0);
        builder.op(Op::ReturnValue, 0);
        builder.finish()
    }
}

/// An index into `Builder::labels`.
type Label = usize;

struct Unit {
    op: Op,
    arg: u32,
    prefixes: u32,
    jump: Option<Label>,
    handler: Option<usize>,
    line: i32,
}

struct Builder {
    version: Version,
    units: Vec<Unit>,
    /// Number of the unit each label stands before.
    labels: Vec<usize>,
    /// Label, depth, lasti of each handler.
    handlers: Vec<(Label, u32, bool)>,
    handler: Option<usize>,
    depth: u32,
    deepest: u32,
    line: i32,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            version: Version::V3_11,
            units: Vec::new(),
            labels: Vec::new(),
            handlers: Vec::new(),
            handler: None,
            depth: 0,
            deepest: 8,
            line: 10,
        }
    }
}

impl Builder {
    fn op(&mut self, op: Op, arg: u32) {
        self.push(op, arg, 0, None);
    }

    fn jump(&mut self, op: Op, to: Label) {
        self.push(op, 0, 0, Some(to));
    }

    fn push(&mut self, op: Op, arg: u32, prefixes: u32, jump: Option<Label>) {
        let needed = (32 - arg.leading_zeros()).div_ceil(8).max(1) - 1;
        let (handler, line) = (self.handler, self.line);
        self.units.push(Unit {
            op,
            arg,
            prefixes: prefixes.max(needed).min(3),
            jump,
            handler,
            line,
        });
    }

    fn label(&mut self) -> Label {
        self.labels.push(usize::MAX);
        self.labels.len() - 1
    }

    fn place(&mut self, label: Label) {
        self.labels[label] = self.units.len();
    }

    fn has(&self, op: Op) -> bool {
        op.opcode(self.version).is_some()
    }

    fn block(&mut self, statements: &[Statement]) {
        self.deepest = self.deepest.max(self.depth + 8);
        for statement in statements {
            self.line += 1;
            self.statement(statement);
        }
    }

    fn pop_jump_if_false(&mut self, to: Label) {
        let op = if self.has(Op::PopJumpIfFalse) {
            Op::PopJumpIfFalse
        } else {
            Op::PopJumpForwardIfFalse
        };
        self.jump(op, to);
        if self.has(Op::NotTaken) {
            self.op(Op::NotTaken, 0);
        }
    }

    fn statement(&mut self, statement: &Statement) {
        match statement {
            Statement::Assign { arg, padding } => {
                self.push(Op::LoadConst, *arg, *padding, None);
                self.op(Op::StoreFast, 1);
            }
            Statement::Add => {
                for (op, arg) in [
                    (Op::LoadFast, 0),
                    (Op::LoadFast, 1),
                    (Op::BinaryOp, 0),
                    (Op::PopTop, 0),
                ] {
                    self.op(op, arg);
                }
            }
            Statement::Nops { times } => (0..*times).for_each(|_| self.op(Op::Nop, 0)),
            Statement::Call => self.call(),
            Statement::Yield => {
                for (op, arg) in [
                    (Op::LoadConst, 0),
                    (Op::YieldValue, 0),
                    (Op::Resume, 1),
                    (Op::PopTop, 0),
                ] {
                    self.op(op, arg);
                }
            }
            Statement::Delegate => self.delegate(),
            Statement::If(then, other) => {
                let (otherwise, end) = (self.label(), self.label());
                self.op(Op::LoadFast, 0);
                self.pop_jump_if_false(otherwise);
                self.block(then);
                self.jump(Op::JumpForward, end);
                self.place(otherwise);
                self.block(other);
                self.place(end);
            }
            Statement::While(body) => {
                let (start, end) = (self.label(), self.label());
                self.place(start);
                self.op(Op::LoadFast, 0);
                self.pop_jump_if_false(end);
                self.block(body);
                self.jump(Op::JumpBackward, start);
                self.place(end);
            }
            Statement::For(body, breaks) => self.for_loop(body, *breaks),
            Statement::Try(body, handler) => {
                self.protected(body, false, handler);
            }
            Statement::With(body) => {
                if self.has(Op::LoadSpecial) {
                    for (op, arg) in [
                        (Op::LoadFast, 0),
                        (Op::LoadSpecial, 0),
                        (Op::Call, 0),
                        (Op::PopTop, 0),
                    ] {
                        self.op(op, arg);
                    }
                }
                self.protected(body, true, &[]);
            }
        }
    }

    fn call(&mut self) {
        self.op(Op::PushNull, 0);
        for arg in 0..3 {
            self.op(Op::LoadFast, arg);
        }
        if self.has(Op::KwNames) {
            self.op(Op::KwNames, 0);
            if self.has(Op::Precall) {
                self.op(Op::Precall, 2);
            }
            self.op(Op::Call, 2);
        } else {
            self.op(Op::LoadConst, 0);
            self.op(Op::CallKw, 2);
        }
        self.op(Op::PopTop, 0);
    }

    fn delegate(&mut self) {
        let (start, end) = (self.label(), self.label());
        self.op(Op::LoadFast, 0);
        self.op(Op::GetIter, 0);
        self.op(Op::LoadConst, 0);
        self.place(start);
        self.jump(Op::Send, end);
        self.op(Op::YieldValue, 1);
        self.op(Op::Resume, 2);
        self.jump(Op::JumpBackwardNoInterrupt, start);
        self.place(end);
        if self.has(Op::EndSend) {
            self.op(Op::EndSend, 0);
        }
        self.op(Op::PopTop, 0);
    }

    fn for_loop(&mut self, body: &[Statement], breaks: bool) {
        let (start, exhausted, end) = (self.label(), self.label(), self.label());
        let slots = if self.version >= Version::V3_15 { 2 } else { 1 };
        self.op(Op::LoadFast, 0);
        self.op(Op::GetIter, 0);
        self.place(start);
        self.jump(Op::ForIter, exhausted);
        self.op(Op::StoreFast, 1);
        self.depth += slots;
        self.block(body);
        self.depth -= slots;
        if breaks {
            (0..slots).for_each(|_| self.op(Op::PopTop, 0));
            self.jump(Op::JumpForward, end);
        } else {
            self.jump(Op::JumpBackward, start);
        }
        self.place(exhausted);
        if self.has(Op::EndFor) {
            self.op(Op::EndFor, 0);
        }
        match self.version {
            Version::V3_11 | Version::V3_12 => {}
            Version::V3_13 => self.op(Op::PopTop, 0),
            _ => self.op(Op::PopIter, 0),
        }
        self.place(end);
    }

    fn protected(&mut self, body: &[Statement], lasti: bool, handler: &[Statement]) {
        let (target, end) = (self.label(), self.label());
        let outer = self.handler;
        self.handlers.push((target, self.depth, lasti));
        self.handler = Some(self.handlers.len() - 1);
        self.block(body);
        self.handler = outer;
        self.jump(Op::JumpForward, end);
        self.place(target);
        self.op(Op::PushExcInfo, 0);
        self.op(Op::PopTop, 0);
        let slots = 1 + u32::from(lasti);
        self.depth += slots;
        self.block(handler);
        self.depth -= slots;
        self.op(Op::PopExcept, 0);
        (1..slots).for_each(|_| self.op(Op::PopTop, 0));
        self.place(end);
    }

    fn finish(mut self) -> Function {
        let instructions = loop {
            let (instructions, grown) = self.resolve();
            if !grown {
                break instructions;
            }
        };
        let end = instructions.last().map_or(0, Instruction::end);
        let start = |unit: usize| {
            instructions
                .get(unit)
                .map_or(end, |instruction| instruction.start)
        };
        let mut entries: Vec<ExceptionEntry> = Vec::new();
        let mut locations: Vec<LocationEntry> = Vec::new();
        for (unit, instruction) in self.units.iter().zip(&instructions) {
            if let Some((label, depth, lasti)) = unit.handler.map(|handler| self.handlers[handler])
            {
                let target = start(self.labels[label]);
                match entries.last_mut() {
                    Some(last) if last.end == instruction.start && last.target == target => {
                        last.end = instruction.end();
                    }
                    _ => entries.push(ExceptionEntry {
                        start: instruction.start,
                        end: instruction.end(),
                        target,
                        depth,
                        lasti,
                    }),
                }
            }
            let line = Some(unit.line);
            let location = match unit.line % 5 {
                0 => Location::default(),
                1 => Location {
                    line,
                    end_line: line,
                    column: None,
                    end_column: None,
                },
                2 => Location {
                    line,
                    end_line: Some(unit.line + 1),
                    column: Some(3),
                    end_column: Some(200),
                },
                _ => Location {
                    line,
                    end_line: line,
                    column: Some(4),
                    end_column: Some(9),
                },
            };
            for _ in (instruction.start..instruction.end()).step_by(2) {
                match locations.last_mut() {
                    Some(last) if last.units < 8 && last.location == location => last.units += 1,
                    _ => locations.push(LocationEntry { units: 1, location }),
                }
            }
        }
        Function {
            version: self.version,
            code: assemble(self.version, &instructions),
            exception_table: exception_table::write(&entries),
            location_table: location_table::write(&locations, 10),
            stack_size: self.deepest,
        }
    }

    /// Positions and distances with the prefixes known so far; whether a jump needed more.
    fn resolve(&mut self) -> (Vec<Instruction>, bool) {
        let mut instructions = Vec::new();
        let mut start = 0;
        for unit in &self.units {
            let opcode = unit
                .op
                .opcode(self.version)
                .expect("statements are built from what the version has");
            let caches = opcode.info(self.version).expect("defined").caches;
            let instruction = Instruction {
                start,
                offset: start + 2 * unit.prefixes,
                arg: unit.arg,
                opcode,
                caches,
            };
            start = instruction.end();
            instructions.push(instruction);
        }
        let mut grown = false;
        for index in 0..self.units.len() {
            let Some(label) = self.units[index].jump else {
                continue;
            };
            let target = instructions
                .get(self.labels[label])
                .map_or(start, |instruction| instruction.start);
            let arg = target.abs_diff(instructions[index].end()) / 2;
            instructions[index].arg = arg;
            let needed = (32 - arg.leading_zeros()).div_ceil(8).max(1) - 1;
            if needed > self.units[index].prefixes {
                self.units[index].prefixes = needed;
                grown = true;
            }
        }
        (instructions, grown)
    }
}
