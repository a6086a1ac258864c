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
    if stack.is_empty() || room == 0 {
        return Vec::new();
    }
    let unlimited = texts(stack, room, room);
    if total(&unlimited) <= room {
        return unlimited;
    }
    for limit in LIMITS.into_iter().filter(|&limit| limit < room) {
        let texts = texts(stack, limit, room.min(limit * 2));
        if total(&texts) <= room {
            return texts;
        }
    }
    let mut texts = texts(stack, LIMITS[3].min(room), room.min(LIMITS[3] * 2));
    let mut dropped = 0;
    while texts.len() > 1 && total(&texts) + left_out_width(dropped) > room {
        texts.remove(0);
        dropped += 1;
    }
    if dropped > 0 {
        let note = format!("…+{dropped}");
        if total(&texts) + width(&note) + SEPARATOR.len() > room {
            let top = room.saturating_sub(width(&note) + SEPARATOR.len());
            texts = stack.last().map(|value| value.short(top).to_string()).into_iter().collect();
        }
        texts.insert(0, note);
    }
    texts
}

fn left_out_width(dropped: usize) -> usize {
    match dropped {
        0 => 0,
        _ => width(&format!("…+{dropped}")) + SEPARATOR.len(),
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
        check(&stack, 40, "…+1 | 1 | NULL | 'aaaaaaaaaaaaaaaaaaaa…' (50)".get(..0).map_or("", |_| "…+2 | NULL | 'aaaaaaaaaaaaaaaaaaaa…' (50)"));
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
