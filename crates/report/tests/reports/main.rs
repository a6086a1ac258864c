//! What reports look like, on streams that were recorded from real programs.

mod jsonl;
mod stream;
mod support;
mod text;
