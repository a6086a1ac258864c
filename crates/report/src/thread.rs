//! The beginnings and ends of threads.

/// A thread has begun or ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThreadEvent<'a> {
    /// The thread, as the steps name it.
    pub thread: u64,
    /// The number of the step before which it is told.
    pub step: u64,
    /// What has happened.
    pub change: ThreadChange<'a>,
}

/// What happens to a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThreadChange<'a> {
    /// Its first step follows.
    Start {
        /// What `threading.get_ident()` gives in it; a recording does not say.
        ident: Option<u64>,
        /// The name of its `threading.Thread`, where that could be read.
        name: Option<&'a str>,
    },
    /// It is over; nothing follows. Told when that is noticed.
    End,
}
