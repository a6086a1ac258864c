//! What a recording says of itself, in JSON. Fields that a reader does not know are passed over, fields that are missing
//! have their default.

use serde::{Deserialize, Serialize};

/// Where a recording comes from.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Header {
    /// The version of debugop.
    pub debugop: String,
    /// What ran the program.
    pub interpreter: Interpreter,
    /// `platform.platform()` or the like.
    pub platform: String,
    /// The command line: `sys.orig_argv`.
    pub command: Vec<String>,
    /// The working directory at the start.
    pub directory: String,
    /// The process id.
    pub pid: u32,
    /// When the recording began: nanoseconds since 1970-01-01 UTC. Times in the recording count from here.
    pub start: u64,
    /// The recording of the process that has started this one.
    pub parent: Option<Parent>,
    /// The limits of what was captured, by the name of the option.
    pub limits: serde_json::Map<String, serde_json::Value>,
    /// The version of the probe plans.
    pub plan_version: u16,
}

/// An interpreter.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Interpreter {
    /// "CPython".
    pub implementation: String,
    /// Major, minor and micro version.
    pub version: [u32; 3],
    /// `sys.version`.
    pub build: String,
    /// `sys.executable`.
    pub executable: String,
}

/// A parent's recording.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Parent {
    /// Its uuid, 32 hexadecimal digits.
    pub uuid: String,
    /// The parent's process id.
    pub pid: u32,
}

/// How a recording ended.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Summary {
    /// How long it took, in nanoseconds.
    pub duration: u64,
    /// The number of steps, if it was counted.
    pub steps: Option<u64>,
    /// The number of records.
    pub records: Option<u64>,
    /// How often something could not be recorded, if that was counted: LOST in the stream.
    pub lost: Option<u64>,
    /// The program's exit status.
    pub exit_status: Option<i32>,
    /// Whether the recording is what [`recover`](super::recover) has made of a damaged or unfinished one.
    pub recovered: bool,
    /// In a recovered recording, the indices of the stream chunks before which others are missing.
    pub gaps: Vec<u64>,
}

/// A source file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// `co_filename`, in WTF-8.
    pub filename: Vec<u8>,
    /// Its bytes when it was recorded.
    pub text: Vec<u8>,
}
