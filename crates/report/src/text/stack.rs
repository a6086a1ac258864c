//! The value stack in one cell.

use debugop_value::{Value, width};

pub(crate) const SEPARATOR: &str = " | ";

/// Columns below which a value is not cut further; rather, the deepest values are left out.
const LEAST: usize = 12;

/// The texts of a stack's values, bottom first, for a cell of `room` columns with `" | "` between them.
///
/// Long values are cut before deep ones are left out, all to the same width, the top to twice that. The first text is
/// `…+3` where three values at the bottom did not fit.
pub(crate) fn fit(stack: &[Value], room: usize) -> Vec<String> {
    // More values than this cannot fit, however short they are.
    let most = room / (1 + SEPARATOR.len()) + 1;
    let dropped = stack.len().saturating_sub(most);
    let stack = &stack[dropped..];
    if stack.is_empty() || room == 0 {
        return Vec::new();
    }
    let full: Vec<String> = stack
        .iter()
        .map(|value| value.short(room).to_string())
        .collect();
    let widths: Vec<usize> = full.iter().map(|text| width(text)).collect();
    let mut first = 0;
    loop {
        let left = room.saturating_sub(left_out_width(dropped + first));
        let rest = &widths[first..];
        let alone = if rest.len() == 1 { Some(left) } else { None };
        if let Some(limit) = limit(rest, left).or(alone) {
            let texts = (first..stack.len()).map(|index| {
                let limit = limit_of(index, stack.len(), limit).min(left);
                if widths[index] <= limit {
                    full[index].clone()
                } else {
                    stack[index].short(limit).to_string()
                }
            });
            let note = (dropped + first > 0).then(|| left_out(dropped + first));
            return note.into_iter().chain(texts).collect();
        }
        // One value always fits, so that this ends.
        first += 1;
    }
}

/// The largest limit with which values of these widths fit, if it is not below [`LEAST`].
fn limit(widths: &[usize], room: usize) -> Option<usize> {
    let fits = |limit: usize| {
        let cut =
            |(index, &width): (usize, &usize)| width.min(limit_of(index, widths.len(), limit));
        let separators = SEPARATOR.len() * widths.len().saturating_sub(1);
        widths.iter().enumerate().map(cut).sum::<usize>() + separators <= room
    };
    (LEAST..=room.max(LEAST)).rev().find(|&limit| fits(limit))
}

/// The top is the last and may take twice as much.
fn limit_of(index: usize, count: usize, limit: usize) -> usize {
    if index + 1 == count { limit * 2 } else { limit }
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
        check(&stack[..3], 40, "'aaaaaaaaaaaaaaaaaaaaa…' (50) | 1 | NULL");
        check(
            &stack,
            60,
            "'aaaaaaa…' (50) | 1 | NULL | 'aaaaaaaaaaaaaaaaaaaaaa…' (50)",
        );
        check(&stack, 40, "…+2 | NULL | 'aaaaaaaaaaaaaaaaaa…' (50)");
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
