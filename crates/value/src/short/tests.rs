use proptest::prelude::*;

use super::*;
use crate::{Exception, Items, Pairs, Text};

fn ints(range: std::ops::Range<i64>) -> Vec<Value> {
    range.map(Value::Int).collect()
}

fn check(value: &Value, room: usize, expected: &str) {
    let text = value.short(room).to_string();
    assert_eq!(text, expected, "at width {room}");
    assert!(width(&text) <= room, "{text} exceeds {room}");
}

#[test]
fn scalars() {
    check(&Value::Null, 20, "NULL");
    check(&Value::None, 20, "None");
    check(&Value::Bool(true), 20, "True");
    check(&Value::Ellipsis, 20, "Ellipsis");
    check(&Value::Int(-5), 20, "-5");
    check(&Value::Float(-0.0), 20, "-0.0");
    check(&Value::TaggedInt(7), 20, "<raw 7>");
    check(&Value::Int(i64::MIN), 8, "-922337…");
    check(&Value::Bool(false), 4, "Fal…");
    check(&Value::Bool(false), 1, "…");
    check(&Value::Bool(false), 0, "");
}

#[test]
fn big_integers() {
    let googol = num_bigint::BigInt::from(10).pow(100);
    let googol = Value::BigInt(Box::new(BigInt::Exact(googol)));
    let digits = format!("1{}", "0".repeat(100));
    check(&googol, 101, &digits);
    check(&googol, 100, &format!("1{}… (333 bits)", "0".repeat(87)));
    check(&googol, 20, "10000000… (333 bits)");
    check(&googol, 10, "100000000…");

    let large = num_bigint::BigInt::from(-1) << 100_000;
    let large = Value::BigInt(Box::new(BigInt::Exact(large)));
    check(&large, 24, "-0x10000… (100,001 bits)");
}

#[test]
fn strings_are_quoted_as_python_quotes_them() {
    check(&Value::str("it's"), 20, r#""it's""#);
    check(&Value::str(r#"say "hi""#), 20, r#"'say "hi"'"#);
    check(&Value::str(r#"it's "it""#), 20, r#"'it\'s "it"'"#);
    check(&Value::str("a\\b\n\t\r"), 20, r"'a\\b\n\t\r'");
    check(
        &Value::str("\x1b[2J\u{85}\u{2028}"),
        30,
        r"'\x1b[2J\x85\u2028'",
    );
    let surrogate = Text::from_wtf8(*b"\xed\xb2\x80", 1);
    check(&Value::Str(surrogate), 20, r"'\udc80'");
}

#[test]
fn long_strings_show_their_length() {
    let long = Value::Str(Text::from_wtf8("x".repeat(80).into_bytes(), 10_000));
    check(&long, 24, "'xxxxxxxxxxxx…' (10,000)");
    check(&long, 12, "'xxxxxxxxx…'");
    check(&long, 4, "'x…'");
    check(&long, 3, "…");
    // An escape is never cut in the middle, a wide character neither.
    check(&Value::str("\x1b\x1b\x1b"), 10, r"'\x1b…'");
    check(&Value::str("東京東京"), 7, "'東京…'");
    check(&Value::str("東京東京"), 6, "'東…'");
}

#[test]
fn bytes() {
    check(
        &Value::Bytes(Bytes::whole(b"a'\x00\xff\"")),
        30,
        r#"b'a\'\x00\xff"'"#,
    );
    check(
        &Value::ByteArray(Bytes::whole(b"abc")),
        30,
        "bytearray(b'abc')",
    );
    check(
        &Value::Bytes(Bytes {
            head: b"abcdef".as_slice().into(),
            length: 600,
        }),
        14,
        "b'abcd…' (600)",
    );
}

#[test]
fn what_may_have_changed_is_marked_once() {
    let list = |items: Vec<Value>| Value::List(Items::whole(1, items));
    let doubted = |value: Value| Value::Uncertain(Box::new(value));
    check(&doubted(list(ints(1..2))), 60, "[1]?");
    check(&doubted(list(ints(0..30))), 12, "[0, …+29]?");
    let nested = list(vec![doubted(list(vec![]))]);
    check(&nested, 60, "[[]?]");
    check(&doubted(nested.clone()), 60, "[[]]?");
    assert!(!nested.is_certain() && nested.as_seen().is_certain());
    let instance = Value::Instance {
        type_name: "__main__.Point".into(),
        attributes: Pairs::whole(1, vec![]),
    };
    check(&doubted(instance), 60, "<Point>");
}

#[test]
fn containers() {
    let list = |items: Vec<Value>| Value::List(Items::whole(1, items));
    check(&list(ints(0..3)), 20, "[0, 1, 2]");
    check(&list(vec![]), 20, "[]");
    check(&Value::Tuple(Items::whole(1, ints(1..2))), 20, "(1,)");
    check(&Value::Set(Items::whole(1, vec![])), 20, "set()");
    check(
        &Value::FrozenSet(Items::whole(1, ints(0..2))),
        20,
        "frozenset({0, 1})",
    );
    let pairs = vec![
        (Value::str("a"), Value::Int(1)),
        (Value::str("b"), list(vec![])),
    ];
    check(
        &Value::Dict(Pairs::whole(1, pairs)),
        20,
        "{'a': 1, 'b': []}",
    );
    check(
        &Value::Range(Box::new([0, 3, 1].map(Value::Int))),
        20,
        "range(0, 3)",
    );
    check(
        &Value::Range(Box::new([3, 0, -1].map(Value::Int))),
        20,
        "range(3, 0, -1)",
    );
    check(
        &Value::Slice(Box::new([Value::None, Value::Int(2), Value::None])),
        30,
        "slice(None, 2, None)",
    );
}

#[test]
fn what_was_left_out_is_counted() {
    let list = Value::List(Items {
        id: 1,
        items: ints(0..8).into(),
        length: 1000,
    });
    check(&list, 40, "[0, 1, 2, 3, 4, 5, 6, 7, …+992]");
    check(&list, 20, "[0, 1, 2, 3, …+996]");
    check(&list, 10, "[0, …+999]");
    check(&list, 9, "[…+1,000]");
    check(&list, 4, "[…]");
    let unseen = Value::Dict(Pairs {
        id: 1,
        pairs: [].into(),
        length: 3,
    });
    check(&unseen, 40, "{…+3}");
    let texts = vec![Value::str(&"a".repeat(100)), Value::Int(2)];
    check(
        &Value::List(Items::whole(1, texts)),
        30,
        "['aaaaaaaaaaaaaaaaaaaa…', …+1]",
    );
    let pair = vec![(Value::str("key"), Value::str(&"a".repeat(100)))];
    check(
        &Value::Dict(Pairs::whole(1, pair)),
        24,
        "{'key': 'aaaaaaaaaaaa…'}",
    );
}

#[test]
fn instances_of_containers_are_written_as_their_repr_is() {
    let subclass = |name: &str, contents: Value| Value::Subclass {
        type_name: name.into(),
        contents: Box::new(contents),
        attributes: Pairs::whole(1, []),
    };
    let items = || Items::whole(1, vec![Value::Int(1), Value::Int(2)]);
    let pair = vec![(Value::str("a"), Value::Int(1))];
    let dict = Value::Dict(Pairs::whole(1, pair));
    check(
        &subclass("collections.Counter", dict),
        40,
        "Counter({'a': 1})",
    );
    check(
        &subclass("m.Point", Value::Tuple(items())),
        40,
        "Point((1, 2))",
    );
    let one = Items::whole(1, vec![Value::Int(1)]);
    check(&subclass("m.Row", Value::Tuple(one)), 40, "Row((1,))");
    check(
        &subclass("m.Names", Value::List(items())),
        40,
        "Names([1, 2])",
    );
    check(&subclass("m.Names", Value::List(items())), 11, "Names([…])");
    let empty = Items::whole(1, vec![]);
    check(
        &subclass("m.Tags", Value::Set(empty.clone())),
        40,
        "Tags(set())",
    );
    check(&subclass("m.Tags", Value::Set(items())), 40, "Tags({1, 2})");
    let frozen = Value::FrozenSet(items());
    check(&subclass("m.Fixed", frozen), 40, "Fixed(frozenset({1, 2}))");
}

#[test]
fn objects_are_named() {
    let object = |name: &str| Value::Object {
        type_name: name.into(),
        id: 1,
    };
    check(&object("__main__.Point"), 20, "<Point>");
    check(
        &object("collections.OrderedDict"),
        20,
        "<collections.Order…>",
    );
    check(&object("evil\x1b]0;"), 20, "<evil\\x1b]0;>");
    check(
        &Value::Function {
            qualname: "lol".into(),
            id: 1,
        },
        20,
        "<function lol>",
    );
    check(
        &Value::Cell {
            id: 1,
            contents: None,
        },
        20,
        "<cell empty>",
    );
    check(
        &Value::Cell {
            id: 1,
            contents: Some(Box::new(Value::Int(3))),
        },
        20,
        "<cell 3>",
    );
    let exception = |args: Option<Vec<Value>>| {
        Value::Exception(Box::new(Exception {
            type_name: "ValueError".into(),
            id: 1,
            args: args.map(Into::into),
        }))
    };
    check(
        &exception(Some(vec![Value::str("bad")])),
        20,
        "ValueError('bad')",
    );
    check(&exception(Some(vec![])), 20, "ValueError()");
    check(&exception(Some(vec![])), 11, "ValueError…");
    check(&exception(Some(vec![])), 8, "ValueEr…");
    check(&exception(None), 20, "ValueError(…)");
    check(
        &exception(Some(vec![Value::str(&"long ".repeat(9))])),
        30,
        "ValueError('long long long …')",
    );
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::Int),
        any::<f64>().prop_map(Value::Float),
        any::<String>().prop_map(|text| Value::str(&text)),
        (prop::collection::vec(any::<u8>(), 0..40), any::<u64>())
            .prop_map(|(head, length)| Value::Str(Text::from_wtf8(head, length))),
        (prop::collection::vec(any::<u8>(), 0..40), any::<u64>()).prop_map(|(head, length)| {
            Value::Bytes(Bytes {
                head: head.into(),
                length,
            })
        }),
        prop::collection::vec(any::<u8>(), 9..90)
            .prop_map(|bytes| Value::BigInt(Box::new(BigInt::from_bytes_le(true, &bytes)))),
        any::<String>().prop_map(|name| Value::Object {
            type_name: name.into(),
            id: 0
        }),
    ];
    leaf.prop_recursive(6, 40, 5, |inner| {
        prop_oneof![
            (prop::collection::vec(inner.clone(), 0..6), 0..2000_u64).prop_map(|(items, more)| {
                let length = items.len() as u64 + more.saturating_sub(1000);
                Value::Tuple(Items {
                    id: 0,
                    items: items.into(),
                    length,
                })
            }),
            prop::collection::vec((inner.clone(), inner), 0..6)
                .prop_map(|pairs| Value::Dict(Pairs::whole(0, pairs))),
        ]
    })
}

proptest! {
    #[test]
    fn never_wider_than_asked_and_always_printable(value in any_value(), room in 0..60_usize) {
        let text = value.short(room).to_string();
        prop_assert!(width(&text) <= room, "{text:?} exceeds {room}");
        prop_assert!(text.chars().all(printable), "{text:?}");
    }

    #[test]
    fn more_room_never_shows_less(value in any_value()) {
        let whole = value.short(100_000).to_string();
        prop_assert_eq!(value.short(width(&whole)).to_string(), whole);
    }
}

#[test]
fn deep_nesting_takes_time_by_the_width_only() {
    let mut value = Value::Int(0);
    for id in 0..2000 {
        value = Value::List(Items::whole(id, vec![value]));
    }
    let text = value.short(100).to_string();
    assert_eq!(width(&text), 99);
    assert!(text.starts_with("[[[") && text.contains('…'));
}
