//! Captured Python values as data, and their short, safe text. No Python, no unsafe.
