//! The debugop command line: one file a command. No Python, no unsafe.
