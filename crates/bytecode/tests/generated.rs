//! Functions from a grammar of statements, in every version: all that insertion promises, checked instruction by instruction.

mod common;

use common::function::{Function, statements};
use common::oracle;
use debugop_bytecode::Version;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn insertion_keeps_every_promise(
        version in prop::sample::select(&Version::ALL[..]),
        statements in statements(),
        constant in prop::sample::select(vec![0, 255, 256, 70_000]),
    ) {
        let function = Function::new(version, &statements);
        oracle::check(&function.view(), constant).expect("the grammar makes valid functions");
    }
}
