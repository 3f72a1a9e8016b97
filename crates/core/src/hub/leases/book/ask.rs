//! Somebody asks: what is given at once, what is the asker's own already, and who waits. What follows later is not here.

use time::OffsetDateTime;

use super::super::{Held, Holder, ResourceId, Seat, Want};
use super::{Asked, Asker, Book, Usage, Waiter, pick};

impl Book {
    /// Somebody asks for one of several, for each want. `choose` picks one of those that are free, by its index.
    pub(in crate::hub::leases) fn ask(
        &mut self,
        wants: &[Want],
        asker: Asker,
        now: OffsetDateTime,
        mut choose: impl FnMut(&[ResourceId]) -> usize,
    ) -> Asked {
        let there: Vec<Vec<u32>> = wants.iter().map(|want| self.there(&want.acceptable)).collect();
        if !pick::fits(&there) {
            return Asked::NoneThere;
        }
        // What it holds without a connection, and from where it asks now, is what it means.
        let from = asker.op.source;
        let meant = |held: &Held| held.is_left_behind() || from.is_some() && held.lease.address == from;
        if let ([only], Some(seat)) = (there.as_slice(), asker.seat)
            && let Some(own) = self.without_seat(only, &asker.holder, meant)
        {
            return self.take_up(own, seat, asker);
        }
        let kept = self.kept(now);
        let free = |id: &u32| {
            let resource = self.get(*id);
            resource.is_free() && resource.is_open(now) && kept.allows(*id, asker.priority)
        };
        let free: Vec<Vec<u32>> =
            there.iter().map(|want| want.iter().copied().filter(free).collect()).collect();
        let until = asker.expires_in.map(|time| now + time);
        let longest: Vec<Vec<u32>> = free.iter().map(|free| self.for_longest(free, until)).collect();
        let mut choose = |ids: &[u32]| {
            let ids: Vec<ResourceId> = ids.iter().map(|id| self.get(*id).id).collect();
            choose(&ids)
        };
        // Of several, one may need what is best for another.
        let picked = pick::pick(&longest, &mut choose).or_else(|| pick::pick(&free, &mut choose));
        if let Some(ids) = picked {
            return Asked::Step(Box::new(self.begin(&ids, None, asker, now)));
        }
        // Nobody waits for oneself.
        if let ([only], Some(seat)) = (there.as_slice(), asker.seat)
            && let Some(own) = self.without_seat(only, &asker.holder, |_| true)
        {
            return self.take_up(own, seat, asker);
        }
        if !asker.waits {
            return Asked::Taken;
        }
        let wants = there.into_iter().map(|want| self.queue.shared(want)).collect();
        Asked::Waits(self.queue.push(Waiter { wants, asker, since: now }))
    }

    /// The numbers of those that are there, in order.
    pub(super) fn there(&self, ids: &[ResourceId]) -> Vec<u32> {
        let is_there = |id: &ResourceId| {
            let resource = self.resources.get(id.at as usize);
            resource.is_some_and(|resource| resource.here && resource.id == *id)
        };
        ids.iter().filter(|id| is_there(id)).map(|id| id.at).collect()
    }

    /// A resource among these that this holder has, and has no connection for: it was left behind, or is held without
    /// one.
    fn without_seat(&self, among: &[u32], holder: &Holder, which: impl Fn(&Held) -> bool) -> Option<u32> {
        let is_its = |id: &u32| {
            let held = self.get(*id).held();
            held.is_some_and(|held| held.seat.is_none() && held.lease.holder.is(holder) && which(held))
        };
        among.iter().copied().find(is_its)
    }

    fn take_up(&mut self, id: u32, seat: Seat, asker: Asker) -> Asked {
        let resource = self.get_mut(id);
        let Usage::Held(held) = &mut resource.usage else { unreachable!("it was found held") };
        held.seat = Some(seat);
        held.lease.holder = asker.holder.clone();
        held.lease.address = asker.op.source;
        if held.lease.bound {
            held.lease.label = asker.labels.first().cloned().unwrap_or_default();
        }
        let lease = held.lease.clone();
        Asked::Again(Box::new((lease, resource.tell(), asker)))
    }
}
