//! Code objects, with what replay asks of them.

use std::sync::{Arc, OnceLock};

use debugop_bytecode::plan::numeric::{Number, Numeric, all_sites};
use debugop_bytecode::{
    Analysis, CodeView, InstrIdx, Locals, PLAN_VERSION, Place, Plan, PlanSite, SiteKind, Version,
    sites,
};
use debugop_recording::file::{CodeRecord, Constant};
use debugop_recording::stream::SiteNumber;

use crate::error::ErrorKind;

/// `CO_VARARGS` and `CO_VARKEYWORDS`.
const REST_OF_ARGUMENTS: [u32; 2] = [4, 8];

/// What a code object's frames are, as its flags say (`Include/cpython/code.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// A call runs its frame from its start to its end.
    Function,
    /// A call makes a generator, whose frame starts when it is first asked for an item.
    Generator,
    /// A call makes a coroutine, whose frame starts when it is first awaited.
    Coroutine,
    /// A call makes an asynchronous generator, whose frame starts when its first item is awaited.
    AsyncGenerator,
}

impl Sort {
    fn of(flags: u32) -> Self {
        const CO_GENERATOR: u32 = 0x20;
        const CO_COROUTINE: u32 = 0x80;
        const CO_ASYNC_GENERATOR: u32 = 0x200;
        match flags {
            _ if flags & CO_ASYNC_GENERATOR != 0 => Sort::AsyncGenerator,
            _ if flags & CO_COROUTINE != 0 => Sort::Coroutine,
            _ if flags & CO_GENERATOR != 0 => Sort::Generator,
            _ => Sort::Function,
        }
    }

    /// What its call gives, as `inspect` calls it; `function` for what just runs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Sort::Function => "function",
            Sort::Generator => "generator",
            Sort::Coroutine => "coroutine",
            Sort::AsyncGenerator => "async generator",
        }
    }
}

/// The layout of a code object's locals.
pub fn locals(record: &CodeRecord) -> Locals {
    let locals = record.locals.iter().filter(|local| local.kind.is_local());
    let rest = REST_OF_ARGUMENTS
        .iter()
        .filter(|&flag| record.flags & flag != 0);
    let arguments = record
        .argument_count
        .saturating_add(record.keyword_only_count)
        .saturating_add(rest.count() as u32);
    let locals = locals.count() as u32;
    Locals {
        locals,
        slots: record.locals.len() as u32,
        arguments: arguments.min(locals),
    }
}

/// An analysed code object.
#[derive(Clone, Debug)]
pub struct Code {
    data: CodeRecord,
    version: Version,
    locals: Locals,
    analysis: Analysis,
    plan: Plan,
    /// The sites of the plan, and behind them those of its [numeric](Numeric) half, as they are numbered.
    planned: Vec<PlanSite>,
    /// Of each of these the plan's site at the same place.
    whole: Vec<u32>,
    /// Of each site of the plan, whether ways end at it: also as long as numbers are calculated with.
    stops: Vec<bool>,
    /// What replay shows for a `float` that is no number and made of numbers.
    nan: u64,
    /// Of each instruction, the sites before and after it; [`NO_SITE`] for none.
    sites: Vec<[u32; 2]>,
    /// Of each instruction, whether it is a step.
    steps: Vec<bool>,
    /// Of each instruction its line; [`NO_LINE`] for none.
    lines: OnceLock<Box<[i64]>>,
}

/// What x86 makes of `inf - inf`.
const NEGATIVE_NAN: u64 = 0xFFF8_0000_0000_0000;
/// What others make of it.
const POSITIVE_NAN: u64 = 0x7FF8_0000_0000_0000;

/// Which constants of a code object are numbers.
fn numbers(data: &CodeRecord) -> Vec<Option<Number>> {
    let number = |constant: &Constant| match *constant {
        Constant::Int(int) => Number::int(int),
        Constant::Float(bits) => Number::float(bits),
        _ => None,
    };
    data.constants.iter().map(number).collect()
}

pub(crate) const NO_SITE: u32 = u32::MAX;
const NO_LINE: i64 = i64::MAX;

impl Code {
    /// Analyses a code object.
    ///
    /// # Errors
    /// [`ErrorKind::Bytecode`], [`ErrorKind::Plan`].
    pub fn new(data: CodeRecord, version: Version) -> Result<Self, ErrorKind> {
        let number = data.number;
        if !(1..=PLAN_VERSION).contains(&data.plan_version) {
            return Err(ErrorKind::PlanVersion(number, data.plan_version));
        }
        let locals = locals(&data);
        let view = CodeView {
            version,
            code: &data.code,
            exception_table: &data.exception_table,
            location_table: &data.location_table,
            first_line: data.first_line,
            stack_size: data.stack_size,
        };
        let analysis = Analysis::new(&view).map_err(|error| ErrorKind::Bytecode(number, error))?;
        let plan = Plan::of_version(&analysis, &locals, data.plan_version)
            .map_err(|error| ErrorKind::Plan(number, error))?;
        let constants = numbers(&data);
        let numeric = Numeric::of_version(&analysis, &locals, &plan, &constants, data.plan_version);
        let (planned, whole) = all_sites(&plan, &numeric);
        let mut stops = vec![numeric.sites.is_empty(); plan.sites.len()];
        for site in &numeric.sites {
            stops[site.site as usize] = true;
        }
        let captures = planned.iter().map(|site| site.captures.len() as u32);
        if !captures.eq(data.captures.iter().copied()) {
            return Err(ErrorKind::Captures(number));
        }
        let count = analysis.instructions().len();
        let mut at = vec![[NO_SITE; 2]; count];
        for (index, site) in (0..).zip(&plan.sites) {
            if site.kind == SiteKind::Unwind {
                continue;
            }
            match site.place {
                Place::Before(here) => at[here.0 as usize][0] = index,
                Place::After(here) => at[here.0 as usize][1] = index,
            }
        }
        let mut steps = vec![true; count];
        for (index, _) in sites(&analysis).silent {
            steps[index.0 as usize] = false;
        }
        Ok(Self {
            data,
            version,
            locals,
            analysis,
            plan,
            planned,
            whole,
            stops,
            nan: NEGATIVE_NAN,
            sites: at,
            steps,
            lines: OnceLock::new(),
        })
    }

    /// The code object.
    pub fn data(&self) -> &CodeRecord {
        &self.data
    }

    /// What its frames are.
    #[must_use]
    pub fn sort(&self) -> Sort {
        Sort::of(self.data.flags)
    }

    /// The interpreter that it belongs to.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The layout of its frames' locals.
    pub fn locals(&self) -> Locals {
        self.locals
    }

    /// `co_consts` as values; those that only hand-made code has, by their type.
    pub fn constants(&self) -> Vec<debugop_value::Value> {
        let constants = self.data.constants.iter();
        constants.map(crate::describe::constant).collect()
    }

    /// `co_qualname`.
    pub fn qualname(&self) -> String {
        crate::describe::name(&self.data.qualname)
    }

    /// `co_filename`.
    pub fn filename(&self) -> String {
        crate::describe::name(&self.data.filename)
    }

    /// The name of a slot of localsplus.
    pub fn local_name(&self, slot: u32) -> Option<String> {
        let local = self.data.locals.get(slot as usize)?;
        Some(crate::describe::name(&local.name))
    }

    /// Whether a slot of localsplus holds a cell while the code runs.
    pub fn holds_cell(&self, slot: u32) -> bool {
        let local = self.data.locals.get(slot as usize);
        local.is_some_and(|local| local.kind.is_cell() || local.kind.is_free())
    }

    /// Its instructions.
    pub fn analysis(&self) -> &Analysis {
        &self.analysis
    }

    /// Its sites.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// All its sites, as they are numbered: those of the plan, and behind them those that are left while numbers are calculated with.
    pub fn sites(&self) -> &[PlanSite] {
        &self.planned
    }

    /// Of a site the plan's one at the same place.
    pub(crate) fn whole(&self, site: u32) -> Option<u32> {
        self.whole.get(site as usize).copied()
    }

    /// Whether a frame cannot pass this site of the plan without a record.
    pub(crate) fn stops_at(&self, site: u32) -> bool {
        self.stops.get(site as usize).is_none_or(|stops| *stops)
    }

    /// Whether replay computes what numbers make.
    pub(crate) fn computes(&self) -> bool {
        self.planned.len() > self.plan.sites.len()
    }

    /// What replay shows for a `float` that is no number and made of numbers.
    pub(crate) fn nan(&self) -> u64 {
        self.nan
    }

    /// Whether the execution of an instruction is a step.
    pub fn is_step(&self, index: InstrIdx) -> bool {
        self.steps.get(index.0 as usize).is_some_and(|step| *step)
    }

    /// Byte offset of an instruction.
    pub fn offset(&self, index: InstrIdx) -> Option<u32> {
        let found = self.analysis.instructions().get(index.0 as usize);
        found.map(|instruction| instruction.offset)
    }

    /// Source line of an instruction.
    pub fn line(&self, index: InstrIdx) -> Option<i32> {
        self.offset(index)?;
        self.analysis.location(index).line
    }

    /// Of each instruction its line, or what is no line.
    fn lines(&self) -> &[i64] {
        self.lines.get_or_init(|| {
            let all = 0..self.analysis.instructions().len() as u32;
            all.map(|at| self.line(InstrIdx(at)).map_or(NO_LINE, i64::from))
                .collect()
        })
    }

    /// Whether a frame that executes `at` after `before` comes to a source line with it: another line, or the same one by a jump backwards.
    pub fn comes_to_line(&self, before: InstrIdx, at: InstrIdx) -> bool {
        let lines = self.lines();
        at < before || lines.get(before.0 as usize) != lines.get(at.0 as usize)
    }

    /// The instructions of a source line.
    pub fn of_line(&self, line: i32) -> impl Iterator<Item = InstrIdx> {
        let all = (0..).zip(self.lines());
        all.filter(move |(_, of)| **of == i64::from(line))
            .map(|(at, _)| InstrIdx(at))
    }

    pub(crate) fn site_before(&self, index: InstrIdx) -> Option<u32> {
        self.site(index, 0)
    }

    pub(crate) fn site_after(&self, index: InstrIdx) -> Option<u32> {
        self.site(index, 1)
    }

    fn site(&self, index: InstrIdx, which: usize) -> Option<u32> {
        let site = self.sites.get(index.0 as usize)?[which];
        (site != NO_SITE).then_some(site)
    }

    /// The instruction whose execution a code unit is part of.
    pub(crate) fn at_unit(&self, unit: u32) -> Option<InstrIdx> {
        let offset = unit.checked_mul(2)?;
        let instructions = self.analysis.instructions();
        let after = instructions.partition_point(|instruction| instruction.start <= offset);
        let index = after.checked_sub(1)?;
        (offset < instructions[index].end()).then_some(InstrIdx(index as u32))
    }
}

/// All code objects of a recording.
#[derive(Debug, Default)]
pub struct Codes {
    by_number: Vec<Option<Arc<Code>>>,
    /// Of each site of the recording its code object and its index in the plan.
    sites: Vec<(u32, u32)>,
    /// Of each site of the recording the number of values that it captures.
    captures: Vec<u32>,
    /// Whether the machine's own NaN is positive.
    is_positive: bool,
}

/// More code objects than any program has.
const MOST_CODES: usize = 1 << 22;

impl Codes {
    /// None, of a program that ran on this platform (a header's).
    pub fn of_platform(platform: &str) -> Self {
        Self {
            is_positive: !platform.ends_with("-x86_64"),
            ..Self::default()
        }
    }

    /// Adds a code object. Sites have to be given out in order.
    ///
    /// # Errors
    /// [`ErrorKind::Sites`], and what [`Code::new`] says.
    pub fn add(&mut self, data: CodeRecord, version: Version) -> Result<(), ErrorKind> {
        let mut code = Code::new(data, version)?;
        if self.is_positive {
            code.nan = POSITIVE_NAN;
        }
        let (number, base) = (code.data.number, code.data.site_base);
        let index = number as usize;
        let known = self.by_number.get(index).is_some_and(Option::is_some);
        if base as usize != self.captures.len() || index >= MOST_CODES || known {
            return Err(ErrorKind::Sites(number));
        }
        let captures = code.planned.iter().map(|site| site.captures.len() as u32);
        self.captures.extend(captures);
        self.sites
            .extend((0..code.planned.len() as u32).map(|index| (number, index)));
        if self.by_number.len() <= index {
            self.by_number.resize(index + 1, None);
        }
        self.by_number[index] = Some(Arc::new(code));
        Ok(())
    }

    /// A code object.
    pub fn get(&self, number: u32) -> Option<&Arc<Code>> {
        self.by_number.get(number as usize)?.as_ref()
    }

    /// All code objects.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Code>> {
        self.by_number.iter().flatten()
    }

    /// Of each site of the recording the number of values that it captures.
    pub fn captures(&self) -> &[u32] {
        &self.captures
    }

    /// The code object that a site belongs to, and the site in its plan.
    pub fn site(&self, site: SiteNumber) -> Option<(u32, u32, &PlanSite)> {
        let &(number, index) = self.sites.get(site.0 as usize)?;
        let planned = self.get(number)?.planned.get(index as usize)?;
        Some((number, index, planned))
    }
}
