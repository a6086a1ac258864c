//! CPython 3.11-3.15 bytecode as data: decode, assemble, analyse, insert. No Python, no unsafe.
//!
//! An *offset* is a byte offset in `co_code`. [`Analysis::new`] reads a code object, [`sites()`] says where probes may stand,
//! [`insert()`] puts them there and [`remove`] takes them out again.

pub mod analysis;
pub mod argument;
mod behaviour;
mod calls;
pub mod cfg;
pub mod concatenation;
mod depth;
pub mod detour;
pub mod effect;
pub mod error;
pub mod exception_table;
pub mod fragment;
mod handled;
pub mod insert;
pub mod instruction;
mod layout;
pub mod line_starts;
pub mod location_table;
mod locations;
pub mod naming;
pub mod offset_map;
pub mod opcode;
pub mod operands;
pub mod plan;
mod remove;
mod sequence;
pub mod sites;
mod starts;
mod varint;
mod varying;
pub mod version;

pub use analysis::{Analysis, CodeView, InstrIdx};
pub use argument::{Argument, Resolve, argument};
pub use behaviour::PassedBy;
pub use calls::callable_depth;
pub use cfg::{Block, BlockIdx};
pub use concatenation::stores_sum;
pub use detour::{Detour, is_in_loop, leaving_places};
pub use effect::{Class, Common, Effect, Nature, Output, Touches, effect, nature};
pub use error::{Error, Table};
pub use exception_table::ExceptionEntry;
pub use fragment::{Branches, Fragment, Protected};
pub use handled::{Unsettled, unsettled};
pub use insert::{Inserted, Insertion, Place, Unwind, insert, insert_with_detours};
pub use instruction::{Instruction, assemble, decode};
pub use line_starts::{LineStart, LineStarts, line_starts};
pub use location_table::{Location, LocationEntry};
pub use naming::{Names, named_slots};
pub use offset_map::OffsetMap;
pub use opcode::{ArgKind, Flow, JumpKind, Op, Opcode, OpcodeInfo, StackEffect};
pub use operands::{Operands, Policy, operands, write_policy};
pub use plan::{Locals, PLAN_VERSION, Plan, PlanSite, SiteKind, Slot};
pub use remove::{CodeParts, remove};
pub use sites::{
    Forbidden, Silent, Site, SiteVisitor, Sites, forbidden, is_call_part, sites, visit_sites,
};
pub use varying::{Varying, varying_slots};
pub use version::Version;
