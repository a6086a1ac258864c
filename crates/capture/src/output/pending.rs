//! What has been told of already, when it comes by again on its way to the operating system.
//!
//! A `TextIOWrapper` passes what is written to it on to a `BufferedWriter`, later and put together, and that to a `FileIO`. So that
//! each byte is told of once, when the program writes it, each step compares what it gets with what is on its way to it.

use std::collections::VecDeque;
use std::ops::Range;

/// Of longer pieces only so much is kept and compared.
const KEPT: usize = 1 << 16;
/// So many streams are followed at a time: a program has two.
const STREAMS: usize = 32;

/// A piece that is on its way.
struct Piece {
    len: usize,
    /// What [`Pending::expect`] has returned for it.
    token: u64,
    /// Whether the call that brings it has returned. Until then it may stay behind what comes by.
    has_arrived: bool,
    /// Its first bytes; empty where they have passed already and the rest was not kept.
    head: Vec<u8>,
}

impl Piece {
    fn new(token: u64, bytes: &[u8]) -> Self {
        Self {
            token,
            has_arrived: false,
            len: bytes.len(),
            head: bytes[..bytes.len().min(KEPT)].to_vec(),
        }
    }

    /// Whether `bytes` begins as this does.
    fn agrees(&self, bytes: &[u8]) -> bool {
        self.head.iter().zip(bytes).all(|(one, other)| one == other)
    }

    /// The first `count` bytes have passed.
    fn passed(&mut self, count: usize) {
        self.len -= count;
        self.head.drain(..count.min(self.head.len()));
    }
}

/// What is on its way to each object that takes bytes, by its address.
pub(super) struct Pending {
    streams: VecDeque<(usize, VecDeque<Piece>)>,
    newest: u64,
}

impl Pending {
    pub(super) const fn new() -> Self {
        Self {
            streams: VecDeque::new(),
            newest: 0,
        }
    }

    /// `bytes` will come by at `to`. Returns what [`Self::arrived`] wants to know.
    pub(super) fn expect(&mut self, to: usize, bytes: &[u8]) -> u64 {
        self.newest += 1;
        if bytes.is_empty() {
            return self.newest;
        }
        let place = self.streams.iter().position(|stream| stream.0 == to);
        let place = place.unwrap_or_else(|| {
            if self.streams.len() == STREAMS {
                self.streams.pop_front();
            }
            self.streams.push_back((to, VecDeque::new()));
            self.streams.len() - 1
        });
        self.streams[place]
            .1
            .push_back(Piece::new(self.newest, bytes));
        self.newest
    }

    /// What was expected has been handed over to what is before `to`.
    pub(super) fn arrived(&mut self, token: u64) {
        let mut pieces = self.streams.iter_mut().flat_map(|stream| &mut stream.1);
        if let Some(piece) = pieces.find(|piece| piece.token == token) {
            piece.has_arrived = true;
        }
    }

    /// `bytes` have come by at `to`, together: either all that has [arrived](Self::arrived) and perhaps more that was expected, perhaps after
    /// something that had been on its way before anybody looked; or something else. How many of the first bytes are new.
    pub(super) fn together(&mut self, to: usize, bytes: &[u8]) -> usize {
        let Some((_, pieces)) = self.streams.iter_mut().find(|stream| stream.0 == to) else {
            return bytes.len();
        };
        let (mut arrived, mut all) = (0, 0);
        for piece in pieces.iter() {
            all += piece.len;
            arrived += if piece.has_arrived { piece.len } else { 0 };
        }
        for rest in [bytes.len(), all, arrived] {
            let Some(new) = bytes.len().checked_sub(rest) else {
                continue;
            };
            if let Some(left) = left_behind(pieces, &bytes[new..]) {
                pieces.retain(|piece| left.contains(&piece.token));
                return new;
            }
        }
        bytes.len()
    }

    /// `bytes` have come by at `to`, cut anywhere. Which of them are new.
    pub(super) fn cut(&mut self, to: usize, bytes: &[u8]) -> Vec<Range<usize>> {
        let all = std::iter::once(0..bytes.len()).collect();
        let Some((_, pieces)) = self.streams.iter_mut().find(|stream| stream.0 == to) else {
            return all;
        };
        let expected: usize = pieces.iter().map(|piece| piece.len).sum();
        let mut new = Vec::new();
        let mut at = 0;
        // What was on its way before anybody looked comes first, with all that is expected behind it.
        if bytes.len() > expected && !pieces.front().is_some_and(|piece| piece.agrees(bytes)) {
            let rest = &bytes[bytes.len() - expected..];
            if pieces.front().is_some_and(|piece| piece.agrees(rest)) {
                at = bytes.len() - expected;
                new.push(0..at);
            }
        }
        while at < bytes.len() {
            let Some(index) = pieces.iter().position(|piece| piece.agrees(&bytes[at..])) else {
                new.push(at..bytes.len());
                break;
            };
            let count = pieces[index].len.min(bytes.len() - at);
            pieces[index].passed(count);
            if pieces[index].len == 0 {
                pieces.remove(index);
            }
            at += count;
        }
        if pieces.is_empty() {
            self.streams.retain(|stream| stream.0 != to);
        }
        new
    }
}

/// If `bytes` are some of the pieces, among them all that have arrived: the others.
///
/// A piece that has arrived before one of these and is not among them will not come any more: somebody has lost it (an error; threads,
/// before CPython 3.13). It is none of the others either.
fn left_behind(pieces: &VecDeque<Piece>, mut bytes: &[u8]) -> Option<Vec<u64>> {
    let mut left: VecDeque<&Piece> = pieces.iter().collect();
    let mut newest = 0;
    while !bytes.is_empty() {
        // The first, unless threads have overtaken each other.
        let fits = |piece: &&Piece| piece.len <= bytes.len() && piece.agrees(bytes);
        let next = left.iter().position(fits)?;
        let piece = left.remove(next)?;
        newest = newest.max(piece.token);
        bytes = &bytes[piece.len..];
    }
    left.retain(|piece| !piece.has_arrived || piece.token > newest);
    let only_on_the_way = left.iter().all(|piece| !piece.has_arrived);
    only_on_the_way.then(|| left.iter().map(|piece| piece.token).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is new of `bytes`.
    fn cut(pending: &mut Pending, bytes: &[u8]) -> Vec<u8> {
        let new = pending.cut(1, bytes).into_iter();
        new.flat_map(|range| bytes[range].to_vec()).collect()
    }

    #[test]
    fn what_was_expected_is_not_new() {
        let mut pending = Pending::new();
        for piece in [b"ab", b"cd"] {
            let token = pending.expect(1, piece);
            pending.arrived(token);
        }
        assert_eq!(pending.together(2, b"abcd"), 4);
        assert_eq!(pending.together(1, b"ab"), 2);
        assert_eq!(pending.together(1, b"x"), 1);
        assert_eq!(pending.together(1, b"abx"), 3);
        assert_eq!(pending.together(1, b"abcd"), 0);
        assert_eq!(pending.together(1, b"abcd"), 4);
    }

    #[test]
    fn what_was_there_before_comes_first() {
        let mut pending = Pending::new();
        pending.expect(1, b"new");
        assert_eq!(pending.together(1, b"old new"), 4);
        pending.expect(1, b"new");
        assert_eq!(cut(&mut pending, b"old new"), b"old ");
        assert_eq!(cut(&mut pending, b"new"), b"new");
    }

    #[test]
    fn what_is_being_written_may_stay_behind() {
        let mut pending = Pending::new();
        let first = pending.expect(1, b"ab");
        pending.arrived(first);
        pending.expect(1, b"cd");
        assert_eq!(pending.together(1, b"ab"), 0);
        assert_eq!(pending.together(1, b"old cd"), 4);
        assert_eq!(pending.together(1, b"cd"), 2);
    }

    #[test]
    fn what_is_lost_is_not_waited_for() {
        let mut pending = Pending::new();
        for piece in [b"ab", b"cd"] {
            let token = pending.expect(1, piece);
            pending.arrived(token);
        }
        assert_eq!(pending.together(1, b"cd"), 0);
        assert_eq!(pending.together(1, b"ab"), 2);
    }

    #[test]
    fn threads_overtake_each_other() {
        let mut pending = Pending::new();
        pending.expect(1, b"ab");
        pending.expect(1, b"cd");
        assert_eq!(pending.together(1, b"cdab"), 0);
    }

    #[test]
    fn pieces_are_cut_anywhere() {
        for step in 1..8 {
            let mut pending = Pending::new();
            pending.expect(1, b"abc");
            pending.expect(1, b"defgh");
            for part in b"abcdefgh".chunks(step) {
                assert!(pending.cut(1, part).is_empty());
            }
            assert_eq!(cut(&mut pending, b"a"), b"a");
        }
        let mut pending = Pending::new();
        pending.expect(1, b"abc");
        assert_eq!(cut(&mut pending, b"abcxyz"), b"xyz");
    }

    #[test]
    fn long_pieces_are_followed_by_their_length() {
        let long = vec![b'x'; 3 * KEPT];
        let mut pending = Pending::new();
        pending.expect(1, &long);
        for part in long.chunks(1000) {
            assert!(pending.cut(1, part).is_empty());
        }
        pending.expect(1, &long);
        assert_eq!(pending.together(1, &long), 0);
    }

    #[test]
    fn memory_is_bounded_by_what_is_on_its_way() {
        let mut pending = Pending::new();
        for stream in 0..1000 {
            pending.expect(stream, b"x");
        }
        assert_eq!(pending.streams.len(), STREAMS);
        assert_eq!(pending.together(999, b"x"), 0);
        assert_eq!(pending.together(1, b"x"), 1);
    }
}
