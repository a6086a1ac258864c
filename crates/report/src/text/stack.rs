//! The value stack in one cell.

use debugop_value::{Value, width};

const SEPARATOR: &str = " | ";

/// Room for one value, tried in this order until all values fit.
const LIMITS: [usize; 4] = [40, 28, 20, 14];

/// The texts of a stack's values, bottom first, for a cell of `room` columns with `" | "` between them.
///
/// Long values are cut before deep ones are left out, and the top is given twice the room of the others. The
/// first text is `…+3` where three values at the bottom did not fit.
pub(crate) fn fit(stack: &[Value], room: usize) -> Vec<String> {
    // More values than this cannot fit, however short they are.
    let most = room / (1 + SEPARATOR.len()) + 1;
    let mut dropped = stack.len().saturating_sub(most);
    let stack = &stack[dropped..];
    let Some(top) = stack.last().filter(|_| room > 0) else {
        return Vec::new();
    };
    if dropped == 0 {
        let limits = std::iter::once(room).chain(LIMITS).filter(|&limit| limit <= room);
        for limit in limits {
            let texts = texts(stack, limit, room.min(limit * 2));
            if total(&texts) <= room {
                return texts;
            }
        }
    }
    let least = LIMITS[LIMITS.len() - 1];
    let mut texts = texts(stack, least.min(room), room.min(least * 2));
    let mut first = 0;
    while first + 1 < texts.len() && total(&texts[first..]) + left_out_width(dropped) > room {
        first += 1;
        dropped += 1;
    }
    texts.drain(..first);
    if dropped > 0 {
        if let [only] = &mut texts[..] {
            *only = top.short(room.saturating_sub(left_out_width(dropped))).to_string();
        }
        texts.insert(0, left_out(dropped));
    }
    texts
}

fn left_out(dropped: usize) -> String {
    format!("…+{dropped}")
}

/// Columns of the note and the separator after it; none if no value was left out.
fn left_out_width(dropped: usize) -> usize {
    match dropped {
        0 => 0,
        _ => width(&left_out(dropped)) + SEPARATOR.len(),
    }
}

fn texts(stack: &[Value], limit: usize, top_limit: usize) -> Vec<String> {
    let top = stack.len() - 1;
    let text = |(index, value): (usize, &Value)| {
        let limit = if index == top { top_limit } else { limit };
        value.short(limit).to_string()
    };
    stack.iter().enumerate().map(text).collect()
}

fn total(texts: &[String]) -> usize {
    let separators = SEPARATOR.len() * texts.len().saturating_sub(1);
    texts.iter().map(|text| width(text)).sum::<usize>() + separators
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(stack: &[Value], room: usize, expected: &str) {
        let line = fit(stack, room).join(SEPARATOR);
        assert_eq!(line, expected);
        assert!(width(&line) <= room);
    }

    #[test]
    fn long_values_are_cut_before_deep_ones_are_left_out() {
        let long = Value::str(&"a".repeat(50));
        let stack = [long.clone(), Value::Int(1), Value::Null, long];
        check(&stack[..3], 80, &format!("'{}' | 1 | NULL", "a".repeat(50)));
        check(&stack[..3], 40, "'aaaaaaaaaaaaaaaaaaaa…' (50) | 1 | NULL");
        check(&stack, 60, "'aaaaaa…' (50) | 1 | NULL | 'aaaaaaaaaaaaaaaaaaaa…' (50)");
        check(&stack, 40, "…+2 | NULL | 'aaaaaaaaaaaaaaaaaaaa…' (50)");
        check(&stack, 20, "…+3 | 'aaaaaa…' (50)");
        check(&[], 20, "");
    }

    proptest! {
        #[test]
        fn never_wider_than_the_cell(sizes in prop::collection::vec(0..60_usize, 0..30), room in 12..120_usize) {
            let stack: Vec<Value> = sizes.iter().map(|&size| Value::str(&"x".repeat(size))).collect();
            let line = fit(&stack, room).join(SEPARATOR);
            prop_assert!(width(&line) <= room, "{line} exceeds {room}");
        }
    }
}
