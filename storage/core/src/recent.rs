//! The newest events of a database, kept in memory so that they are read and decoded once for all consumers.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::Event;

/// Maximum number of events kept.
const MAX_EVENTS: usize = 1_024;
/// Maximum bytes of their data.
const MAX_BYTES: usize = 2 << 20;

/// The newest events that were read. Cheap to clone; clones share the events.
#[derive(Clone, Default)]
pub(crate) struct RecentEvents(Arc<Mutex<Window>>);

/// All events of the positions after `start` up to the last of `events`.
#[derive(Default)]
struct Window {
    start: i64,
    events: VecDeque<Arc<Event>>,
    bytes: usize,
}

impl RecentEvents {
    /// Returns the first events after `position`, at most `limit`. They are only the first of those that exist; none if
    /// the events after `position` are not known.
    pub(crate) fn after(&self, position: i64, limit: usize) -> Vec<Arc<Event>> {
        let window = self.0.lock();
        if position < window.start {
            return Vec::new();
        }
        let first = window.events.partition_point(|event| event.position <= position);
        window.events.range(first..).take(limit).cloned().collect()
    }

    /// Adds events that were read: all those after `position` up to the last one given.
    pub(crate) fn add(&self, position: i64, events: &[Arc<Event>]) {
        let mut window = self.0.lock();
        if position > window.last() {
            *window = Window { start: position, ..Window::default() };
        }
        for event in events {
            if event.position > window.last() {
                window.bytes += event.data.len();
                window.events.push_back(event.clone());
            }
        }
        while window.events.len() > MAX_EVENTS || window.bytes > MAX_BYTES {
            let Some(oldest) = window.events.pop_front() else { break };
            window.bytes -= oldest.data.len();
            window.start = oldest.position;
        }
    }
}

impl Window {
    fn last(&self) -> i64 {
        self.events.back().map_or(self.start, |event| event.position)
    }
}

#[cfg(test)]
mod tests {
    use promox_kernel::Timestamp;
    use proptest::prelude::*;

    use super::*;

    fn event(position: i64, bytes: usize) -> Arc<Event> {
        Arc::new(Event {
            database: 0,
            partition: 0,
            position,
            kind: "K".to_owned(),
            version: 1,
            topic: "t".to_owned(),
            aggregate_id: position,
            occurred_at: Timestamp::EPOCH,
            traceparent: None,
            data: "x".repeat(bytes),
            keep_until: None,
        })
    }

    /// The events of a log after a position. Some positions were removed from it.
    fn stored(log: &[Arc<Event>], position: i64, limit: usize) -> Vec<Arc<Event>> {
        log.iter().filter(|event| event.position > position).take(limit).cloned().collect()
    }

    proptest! {
        /// Whatever readers ask for, in any order and while the log grows, the window returns the events that the log
        /// has next, and no gap.
        #[test]
        fn a_window_never_leaves_an_event_out(
            removed in proptest::collection::btree_set(1_i64..40, 0..10),
            reads in proptest::collection::vec((0_i64..3_000, 1_usize..300, 0_i64..200), 1..60),
        ) {
            let (recent, mut log, mut last) = (RecentEvents::default(), Vec::new(), 0);
            for (position, limit, grown) in reads {
                for _ in 0..grown {
                    last += 1;
                    if !removed.contains(&last) {
                        log.push(event(last, 4_000));
                    }
                }
                let position = position.min(last);
                let expected = stored(&log, position, limit);
                let known = recent.after(position, limit);
                prop_assert_eq!(&known[..], &expected[..known.len()]);
                let from = known.last().map_or(position, |event| event.position);
                recent.add(from, &stored(&log, from, limit - known.len()));
                let window = recent.0.lock();
                prop_assert!(window.bytes <= MAX_BYTES && window.events.len() <= MAX_EVENTS);
            }
        }
    }

    #[test]
    fn events_are_decoded_once_for_readers_that_keep_up() {
        let recent = RecentEvents::default();
        recent.add(0, &[event(1, 1), event(2, 1), event(3, 1)]);
        assert_eq!(recent.after(1, 10).len(), 2);
        recent.add(3, &[event(4, 1)]);
        assert_eq!(recent.after(1, 10).len(), 3);
        assert!(recent.after(4, 10).is_empty());
        // A reader ahead of the window starts a new one.
        recent.add(9, &[event(10, 1)]);
        assert!(recent.after(3, 10).is_empty());
        assert_eq!(recent.after(9, 10).len(), 1);
    }
}
