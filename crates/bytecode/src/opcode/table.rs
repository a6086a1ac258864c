//! How the generated tables are written, and indexed at compile time.

use super::facts::Facts;
use super::{Op, Opcode, OpcodeInfo};

/// One version's instruction set.
pub(super) struct Table {
    pub(super) opcodes: &'static [OpcodeInfo],
    pub(super) by_number: [Option<&'static OpcodeInfo>; 256],
    pub(super) by_op: [Option<Opcode>; Op::ALL.len()],
    pub(super) facts: [Facts; 256],
    pub(super) binary_ops: &'static [&'static str],
    pub(super) intrinsics_1: &'static [&'static str],
    pub(super) intrinsics_2: &'static [&'static str],
    pub(super) special_methods: &'static [&'static str],
    pub(super) common_constants: &'static [&'static str],
}

pub(super) const fn by_number(
    opcodes: &'static [OpcodeInfo],
) -> [Option<&'static OpcodeInfo>; 256] {
    let mut index = [None; 256];
    let mut i = 0;
    while i < opcodes.len() {
        index[opcodes[i].opcode.0 as usize] = Some(&opcodes[i]);
        i += 1;
    }
    index
}

pub(super) const fn by_op(opcodes: &'static [OpcodeInfo]) -> [Option<Opcode>; Op::ALL.len()] {
    let mut index = [None; Op::ALL.len()];
    let mut i = 0;
    while i < opcodes.len() {
        index[opcodes[i].op as usize] = Some(opcodes[i].opcode);
        i += 1;
    }
    index
}

/// Declares `TABLE` from one row per opcode:
///
/// `number Name caches ArgKind JumpKind Flow: effect, effect when jumping;`
///
/// An effect is its base followed by its terms: `[shift mask * scale]` or `[== value * scale]`.
macro_rules! table {
    (
        opcodes { $($number:literal $op:ident $caches:literal $arg:ident $jump:ident $flow:ident:
            $next:literal $([$($next_term:tt)*])*, $taken:literal $([$($taken_term:tt)*])*;)* }
        $($list:ident { $($text:literal,)* })*
    ) => {
        static OPCODES: &[crate::opcode::OpcodeInfo] = &[$(crate::opcode::OpcodeInfo {
            op: crate::opcode::Op::$op,
            opcode: crate::opcode::Opcode($number),
            caches: $caches,
            arg: crate::opcode::ArgKind::$arg,
            jump: crate::opcode::JumpKind::$jump,
            flow: crate::opcode::Flow::$flow,
            effect: crate::opcode::Effects {
                next: crate::opcode::StackEffect {
                    base: $next,
                    terms: &[$(crate::opcode::table::term!($($next_term)*)),*],
                },
                jump: crate::opcode::StackEffect {
                    base: $taken,
                    terms: &[$(crate::opcode::table::term!($($taken_term)*)),*],
                },
            },
        }),*];

        pub(super) static TABLE: crate::opcode::table::Table = crate::opcode::table::Table {
            opcodes: OPCODES,
            by_number: crate::opcode::table::by_number(OPCODES),
            by_op: crate::opcode::table::by_op(OPCODES),
            facts: crate::opcode::facts::by_number(OPCODES),
            $($list: &[$($text),*],)*
        };
    };
}

macro_rules! term {
    (== $value:literal * $scale:literal) => {
        crate::opcode::Term::Equals {
            value: $value,
            scale: $scale,
        }
    };
    ($shift:literal $mask:literal * $scale:literal) => {
        crate::opcode::Term::Bits {
            shift: $shift,
            mask: $mask,
            scale: $scale,
        }
    };
}

pub(super) use {table, term};

/// `dis.opname` of numbers without a name.
#[rustfmt::skip]
pub(super) static UNDEFINED: [&str; 256] = [
    "<0>", "<1>", "<2>", "<3>", "<4>", "<5>", "<6>", "<7>", "<8>", "<9>", "<10>", "<11>", "<12>", "<13>", "<14>", "<15>",
    "<16>", "<17>", "<18>", "<19>", "<20>", "<21>", "<22>", "<23>", "<24>", "<25>", "<26>", "<27>", "<28>", "<29>", "<30>", "<31>",
    "<32>", "<33>", "<34>", "<35>", "<36>", "<37>", "<38>", "<39>", "<40>", "<41>", "<42>", "<43>", "<44>", "<45>", "<46>", "<47>",
    "<48>", "<49>", "<50>", "<51>", "<52>", "<53>", "<54>", "<55>", "<56>", "<57>", "<58>", "<59>", "<60>", "<61>", "<62>", "<63>",
    "<64>", "<65>", "<66>", "<67>", "<68>", "<69>", "<70>", "<71>", "<72>", "<73>", "<74>", "<75>", "<76>", "<77>", "<78>", "<79>",
    "<80>", "<81>", "<82>", "<83>", "<84>", "<85>", "<86>", "<87>", "<88>", "<89>", "<90>", "<91>", "<92>", "<93>", "<94>", "<95>",
    "<96>", "<97>", "<98>", "<99>", "<100>", "<101>", "<102>", "<103>", "<104>", "<105>", "<106>", "<107>", "<108>", "<109>", "<110>", "<111>",
    "<112>", "<113>", "<114>", "<115>", "<116>", "<117>", "<118>", "<119>", "<120>", "<121>", "<122>", "<123>", "<124>", "<125>", "<126>", "<127>",
    "<128>", "<129>", "<130>", "<131>", "<132>", "<133>", "<134>", "<135>", "<136>", "<137>", "<138>", "<139>", "<140>", "<141>", "<142>", "<143>",
    "<144>", "<145>", "<146>", "<147>", "<148>", "<149>", "<150>", "<151>", "<152>", "<153>", "<154>", "<155>", "<156>", "<157>", "<158>", "<159>",
    "<160>", "<161>", "<162>", "<163>", "<164>", "<165>", "<166>", "<167>", "<168>", "<169>", "<170>", "<171>", "<172>", "<173>", "<174>", "<175>",
    "<176>", "<177>", "<178>", "<179>", "<180>", "<181>", "<182>", "<183>", "<184>", "<185>", "<186>", "<187>", "<188>", "<189>", "<190>", "<191>",
    "<192>", "<193>", "<194>", "<195>", "<196>", "<197>", "<198>", "<199>", "<200>", "<201>", "<202>", "<203>", "<204>", "<205>", "<206>", "<207>",
    "<208>", "<209>", "<210>", "<211>", "<212>", "<213>", "<214>", "<215>", "<216>", "<217>", "<218>", "<219>", "<220>", "<221>", "<222>", "<223>",
    "<224>", "<225>", "<226>", "<227>", "<228>", "<229>", "<230>", "<231>", "<232>", "<233>", "<234>", "<235>", "<236>", "<237>", "<238>", "<239>",
    "<240>", "<241>", "<242>", "<243>", "<244>", "<245>", "<246>", "<247>", "<248>", "<249>", "<250>", "<251>", "<252>", "<253>", "<254>", "<255>",
];
