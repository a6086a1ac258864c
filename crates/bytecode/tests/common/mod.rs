//! Shared by the tests and by the fuzz targets.
#![allow(dead_code, reason = "each test uses its part")]

pub(crate) mod example;
pub(crate) mod function;
pub(crate) mod oracle;
