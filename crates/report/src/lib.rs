//! What people look at: text and JSON Lines reports of a stream of steps. No Python, no unsafe.
