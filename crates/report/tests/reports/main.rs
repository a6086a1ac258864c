//! What reports look like, on streams that were recorded from real programs.

mod jsonl;
mod story;
mod stream;
mod support;
mod text;
