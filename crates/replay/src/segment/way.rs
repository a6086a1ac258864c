//! Which instructions a frame executes on its way from one known place to the next.

use debugop_bytecode::{Flow, InstrIdx, Op as Name, Place, SiteKind};
use rustc_hash::FxHashMap;

use super::{From, To};
use crate::code::Code;

/// An executed instruction, and whether it jumped.
pub(super) type Executed = (InstrIdx, bool);

/// Goes the ways from `from` until `to` is met. The instructions executed, in order; with [`To::In`] the last one is that.
pub(super) fn find(code: &Code, from: From, to: To) -> Option<Vec<Executed>> {
    // Which way it is does not depend on what is captured at its end.
    let to = match to {
        To::Site(site) => To::Site(code.whole(site)?),
        to => to,
    };
    let analysis = code.analysis();
    let count = analysis.instructions().len() as u32;
    // Index of the way's instruction before it, and whether that jumped.
    let mut came: FxHashMap<u32, Option<Executed>> = FxHashMap::default();
    let mut pending: Vec<(InstrIdx, Option<Executed>)> = Vec::new();
    let back = |came: &FxHashMap<u32, Option<Executed>>, last: Option<Executed>| {
        let mut way: Vec<Executed> = Vec::new();
        let mut next = last;
        while let Some(executed) = next {
            way.push(executed);
            next = came.get(&executed.0.0).copied().flatten();
        }
        way.reverse();
        way
    };
    // Where control has come to; whether that ends the search, with the way.
    let arrive = |at: InstrIdx, by: Option<Executed>| -> Result<Option<InstrIdx>, ()> {
        let fell = by.filter(|by| !by.1).map(|by| by.0);
        match fell.and_then(|from| code.site_after(from)) {
            Some(site) if To::Site(site) == to => return Err(()),
            Some(site) if code.stops_at(site) => return Ok(None),
            _ => {}
        }
        match code.site_before(at) {
            _ if To::At(at) == to || To::Before(at) == to => Err(()),
            Some(site) if To::Site(site) == to => Err(()),
            Some(site) if code.stops_at(site) => Ok(None),
            _ => Ok((at.0 < count).then_some(at)),
        }
    };
    match from {
        From::Start => pending.push((analysis.first_resume()?, None)),
        From::At(at) if to == To::At(at) => return Some(Vec::new()),
        // A site behind the instruction before it has fired, and there is no other but a handler's, which may fire early.
        From::At(at)
            if to == To::Before(at)
                && code
                    .site_before(at)
                    .is_none_or(|site| is_handlers(code, site)) =>
        {
            return Some(Vec::new());
        }
        From::Before(at) if to == To::Before(at) => return Some(Vec::new()),
        From::Before(at) => match code.site_before(at) {
            Some(site) if to == To::Site(site) => return Some(Vec::new()),
            Some(site) if code.stops_at(site) => return None,
            _ if to == To::At(at) => return Some(Vec::new()),
            _ => pending.push((at, None)),
        },
        From::Site(site) if to == To::At(standing(code, site)?) => return Some(Vec::new()),
        From::At(at) => pending.push((at, None)),
        From::Site(site) | From::Fired(site) => match code.sites().get(site as usize)?.place {
            Place::Before(at) => pending.push((at, None)),
            Place::After(at) => {
                let at = InstrIdx(at.0 + 1);
                match code.site_before(at) {
                    _ if To::Before(at) == to => return Some(Vec::new()),
                    Some(site) if To::Site(site) == to => return Some(Vec::new()),
                    Some(site) if code.stops_at(site) => return None,
                    _ => pending.push((at, None)),
                }
            }
        },
        From::In(at) | From::Pending(at) if to.is_in(at) => return Some(Vec::new()),
        // It is ending, or being suspended, or a trace function is told of that.
        From::In(at) | From::Pending(at)
            if to == To::Exit && matches!(flow(code, at), Flow::Return | Flow::Yield) =>
        {
            return Some(vec![(at, false)]);
        }
        From::In(at) | From::Pending(at) => {
            came.insert(at.0, None);
            let ended = delegation(code, at).map(|(_, end)| (end, (at, true)));
            for (next, by) in successors(code, at).chain(ended) {
                match arrive(next, Some(by)) {
                    Err(()) => return Some(vec![by]),
                    Ok(Some(next)) => pending.push((next, Some(by))),
                    Ok(None) => {}
                }
            }
        }
    }
    while let Some((at, by)) = pending.pop() {
        if at.0 >= count || came.contains_key(&at.0) {
            continue;
        }
        came.insert(at.0, by);
        let leaves = matches!(flow(code, at), Flow::Return | Flow::Yield);
        if to.is_in(at) || to == To::Exit && leaves {
            return Some(back(&came, Some((at, false))));
        }
        if leaves {
            continue;
        }
        for (next, by) in successors(code, at) {
            match arrive(next, Some(by)) {
                Err(()) => return Some(back(&came, Some(by))),
                Ok(Some(next)) => pending.push((next, Some(by))),
                Ok(None) => {}
            }
        }
    }
    None
}

fn is_handlers(code: &Code, site: u32) -> bool {
    let site = code.sites().get(site as usize);
    site.is_some_and(|site| site.kind == SiteKind::Handler)
}

impl To {
    /// Whether it is the middle of this instruction.
    fn is_in(self, at: InstrIdx) -> bool {
        matches!(self, To::In(to) | To::Pending(to) | To::Told(to) if to == at)
    }
}

pub(crate) fn flow(code: &Code, at: InstrIdx) -> Flow {
    let analysis = code.analysis();
    let instruction = analysis.instructions().get(at.0 as usize);
    let info = instruction.and_then(|instruction| instruction.opcode.info(analysis.version()));
    info.map_or(Flow::Raise, |info| info.flow)
}

/// Where control goes from an instruction, exceptions aside.
fn successors(code: &Code, at: InstrIdx) -> impl Iterator<Item = (InstrIdx, Executed)> {
    let flow = flow(code, at);
    let next = matches!(flow, Flow::Next | Flow::Conditional | Flow::Yield)
        .then_some((InstrIdx(at.0 + 1), (at, false)));
    let jump = code
        .analysis()
        .target(at)
        .map(|target| (target, (at, true)));
    [next, jump].into_iter().flatten()
}

/// Of the `YIELD_VALUE` of a `yield from` or `await`: the `SEND` before it, and where it jumps to.
///
/// What the frame delegates to may end while something is thrown into it. On 3.11 the frame goes on where `SEND` jumps to, without it, its
/// `YIELD_VALUE` or its `RESUME` (`_gen_throw`, `Objects/genobject.c`); later versions have `CLEANUP_THROW` for that.
pub(crate) fn delegation(code: &Code, yielding: InstrIdx) -> Option<(InstrIdx, InstrIdx)> {
    if !code.version().throwing_ends_delegation() || flow(code, yielding) != Flow::Yield {
        return None;
    }
    let send = InstrIdx(yielding.0.checked_sub(1)?);
    let analysis = code.analysis();
    let info = analysis.get(send).opcode.info(analysis.version())?;
    (info.op == Name::Send).then_some((send, analysis.target(send)?))
}

/// The instruction that a site stands before.
pub(crate) fn standing(code: &Code, site: u32) -> Option<InstrIdx> {
    Some(match code.sites().get(site as usize)?.place {
        Place::Before(at) => at,
        Place::After(at) => InstrIdx(at.0 + 1),
    })
}
