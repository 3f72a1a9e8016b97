//! When those who wait can expect to be served, if every holder in between uses its time up and nobody else comes.

use std::collections::HashMap;
use std::sync::Arc;

use nave_core::hub::leases::{Booking, Held, Waiters, Waiting};
use nave_core::matching;
use time::OffsetDateTime;

/// When each place is free, as far as that is known, with those served who were looked at.
pub(super) struct Outlook {
    /// By the places' numbers; those without a time are held without an end, or out of service.
    free_at: HashMap<u32, OffsetDateTime>,
}

impl Outlook {
    pub(super) fn new(now: OffsetDateTime, held: &[Held], bookings: &[Booking], waiters: &Waiters) -> Self {
        let held: HashMap<&str, Option<OffsetDateTime>> =
            held.iter().map(|held| (held.lease.resource.as_str(), held.until())).collect();
        let free_at = |(id, name): (&u32, &Arc<str>)| {
            let open = !waiters.closed.contains(id);
            // What nobody has is kept for somebody, or is being given away at this moment.
            let mut at = held.get(&**name).copied().unwrap_or(Some(now))?;
            // They are in the order in which they begin: whoever has booked it is next, and then whoever has after that.
            for booking in bookings.iter().filter(|booking| *booking.resource == **name) {
                if booking.starts_at <= at {
                    at = at.max(booking.ends_at);
                }
            }
            open.then_some((*id, at))
        };
        Self { free_at: waiters.names.iter().filter_map(free_at).collect() }
    }

    /// When somebody is served, after all who were asked about before.
    pub(super) fn serve(&mut self, waiting: &Waiting) -> Option<OffsetDateTime> {
        let (at, taken) = match waiting.wants.as_slice() {
            [only] => self.earliest(only)?,
            several => self.earliest_together(several)?,
        };
        for id in taken {
            match waiting.expires_in {
                Some(time) => self.free_at.insert(id, at + time),
                None => self.free_at.remove(&id),
            };
        }
        Some(at)
    }

    fn earliest(&self, want: &[u32]) -> Option<(OffsetDateTime, Vec<u32>)> {
        let known = want.iter().filter_map(|id| Some((*self.free_at.get(id)?, *id)));
        known.min().map(|(at, id)| (at, vec![id]))
    }

    /// The first moment at which each want can have a place of its own.
    fn earliest_together(&self, wants: &[Arc<Vec<u32>>]) -> Option<(OffsetDateTime, Vec<u32>)> {
        let mut places: Vec<(OffsetDateTime, u32)> = wants
            .iter()
            .flat_map(|want| want.iter())
            .filter_map(|id| Some((*self.free_at.get(id)?, *id)))
            .collect();
        places.sort_unstable();
        places.dedup();
        let pairs = |count: usize| -> Option<Vec<usize>> {
            let edges: Vec<Vec<usize>> = wants
                .iter()
                .map(|want| (0..count).filter(|at| want.binary_search(&places[*at].1).is_ok()).collect())
                .collect();
            matching::maximum(&edges, count).into_iter().collect()
        };
        let counts: Vec<usize> = (0..=places.len()).collect();
        let least = counts.partition_point(|count| pairs(*count).is_none());
        let taken = pairs(*counts.get(least)?)?;
        let at = taken.iter().map(|at| places[*at].0).max()?;
        Some((at, taken.into_iter().map(|at| places[at].1).collect()))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use nave_core::hub::leases::Holder;
    use time::macros::datetime;

    use super::*;

    const NOON: OffsetDateTime = datetime!(2030-01-01 12:00 UTC);
    const HOUR: Duration = Duration::from_hours(1);

    fn expect(outlook: &mut Outlook, wants: &[&[u32]]) -> Option<OffsetDateTime> {
        outlook.serve(&Waiting {
            holder: Holder { kind: "node".to_owned(), id: String::new(), name: String::new() },
            priority: 0,
            wants: wants.iter().map(|want| Arc::new(want.to_vec())).collect(),
            since: NOON,
            expires_in: Some(HOUR),
        })
    }

    #[test]
    fn each_in_the_queue_is_expected_after_those_before() {
        let mut outlook = Outlook { free_at: HashMap::from([(1, NOON)]) };
        assert_eq!(expect(&mut outlook, &[&[1, 2]]), Some(NOON));
        assert_eq!(expect(&mut outlook, &[&[1]]), Some(NOON + HOUR));
        assert_eq!(expect(&mut outlook, &[&[2]]), None);
    }

    #[test]
    fn several_are_expected_when_all_of_them_are_free() {
        let times = [(1, NOON), (2, NOON + HOUR), (3, NOON + 2 * HOUR), (4, NOON + 9 * HOUR)];
        let mut outlook = Outlook { free_at: HashMap::from(times) };
        assert_eq!(expect(&mut outlook, &[&[1, 3], &[1]]), Some(NOON + 2 * HOUR));
        assert_eq!(expect(&mut outlook, &[&[1]]), Some(NOON + 3 * HOUR), "both are taken until then");
        assert_eq!(expect(&mut outlook, &[&[2], &[2]]), None);
        assert_eq!(expect(&mut outlook, &[&[2, 4], &[2, 4]]), Some(NOON + 9 * HOUR));
    }
}
