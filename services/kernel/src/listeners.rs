//! Server-sent events: who listens to what, and what each was told last.
//!
//! A listener is a channel with little room. A job of the clock offers what has changed since the listener could last take
//! something, so that a rush is a few events a second and a slow listener skips to the newest.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::{BodyReader, BodySender, Error, Timestamp};

/// A listener that hears nothing else hears this often that the stream lives; it is also how one that left is noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// A state of something that is told as it changes.
pub trait Told: Clone + PartialEq + Send + 'static {
    /// The event that leads here from an earlier state, or from nothing. Write it with [`server_sent`].
    fn event(&self, before: Option<&Self>) -> Bytes;

    /// Whether nothing comes after it: the stream ends.
    fn is_last(&self) -> bool {
        false
    }
}

/// An event in the format of <https://html.spec.whatwg.org/multipage/server-sent-events.html>; `data` has no line breaks.
pub fn server_sent(name: &str, data: &str) -> Bytes {
    Bytes::from(format!("event: {name}\ndata: {data}\n\n"))
}

#[derive(Debug)]
struct Listener<K, T> {
    topic: K,
    sender: BodySender,
    told: T,
    heard_at: Timestamp,
}

impl<K, T: Told> Listener<K, T> {
    /// Tells what is new; whether it still listens.
    fn tell(&mut self, state: &T, now: Timestamp) -> bool {
        let chunk = if *state != self.told {
            state.event(Some(&self.told))
        } else if now.since(self.heard_at) >= KEEP_ALIVE {
            Bytes::from_static(b": still here\n\n")
        } else {
            return true;
        };
        match self.sender.offer(chunk) {
            Some(true) => {
                self.told = state.clone();
                self.heard_at = now;
                !state.is_last()
            }
            Some(false) => true,
            None => false,
        }
    }
}

/// Everybody on this node who listens to topics named by `K`.
#[derive(Debug)]
pub struct Listeners<K, T> {
    most: usize,
    all: Mutex<Vec<Listener<K, T>>>,
}

impl<K: Ord + Copy, T: Told> Listeners<K, T> {
    /// Nobody yet, and so many at once at most.
    pub fn at_most(most: usize) -> Self {
        Self { most, all: Mutex::default() }
    }

    /// Takes a listener in, who hears at once how its topic stands. After a last state that is all. 503 when there are too many.
    pub fn join(&self, topic: K, state: T, now: Timestamp) -> Result<BodyReader, Error> {
        let (sender, reader) = BodyReader::pair();
        let mut all = self.all.lock();
        if all.len() >= self.most {
            return Err(Error::unavailable("TOO_MANY_LISTENERS", "Too many listen here now; try again.", 5));
        }
        sender.offer(state.event(None));
        if !state.is_last() {
            all.push(Listener { topic, sender, told: state, heard_at: now });
        }
        Ok(reader)
    }

    /// What anybody listens to.
    pub fn topics(&self) -> BTreeSet<K> {
        self.all.lock().iter().map(|listener| listener.topic).collect()
    }

    /// Tells everybody what is new, and lets those go who left or whose topic is over or gone (`None`).
    pub fn tell(&self, states: &BTreeMap<K, Option<T>>, now: Timestamp) {
        self.all.lock().retain_mut(|listener| match states.get(&listener.topic) {
            Some(Some(state)) => listener.tell(state, now),
            Some(None) => false,
            None => true,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, PartialEq)]
    struct Count(u32);

    impl Told for Count {
        fn event(&self, before: Option<&Self>) -> Bytes {
            server_sent(if before.is_some() { "more" } else { "first" }, &self.0.to_string())
        }
        fn is_last(&self) -> bool {
            self.0 == 1_000
        }
    }

    async fn heard(reader: &mut BodyReader) -> Option<String> {
        let chunk = reader.next().await?.unwrap();
        Some(String::from_utf8(chunk.to_vec()).unwrap())
    }

    fn tell(listeners: &Listeners<u8, Count>, count: Option<u32>, now: Timestamp) {
        listeners.tell(&BTreeMap::from([(7, count.map(Count))]), now);
    }

    #[tokio::test]
    async fn a_slow_listener_skips_to_the_newest_and_one_that_left_is_let_go() {
        let (listeners, now) = (Listeners::at_most(3), Timestamp::EPOCH);
        let mut slow = listeners.join(7, Count(0), now).unwrap();
        let mut other = listeners.join(8, Count(5), now).unwrap();
        drop(listeners.join(7, Count(0), now).unwrap());
        (1..=100).for_each(|n| tell(&listeners, Some(n), now));
        assert_eq!(listeners.all.lock().len(), 2);
        assert_eq!(listeners.topics(), BTreeSet::from([7, 8]));
        assert_eq!(heard(&mut slow).await.unwrap(), "event: first\ndata: 0\n\n");
        for n in 1..8 {
            assert_eq!(heard(&mut slow).await.unwrap(), format!("event: more\ndata: {n}\n\n"));
        }
        tell(&listeners, Some(100), now);
        assert_eq!(heard(&mut slow).await.unwrap(), "event: more\ndata: 100\n\n");
        tell(&listeners, Some(100), now + KEEP_ALIVE);
        assert_eq!(heard(&mut slow).await.unwrap(), ": still here\n\n");
        assert_eq!(heard(&mut other).await.unwrap(), "event: first\ndata: 5\n\n");
    }

    #[tokio::test]
    async fn a_stream_ends_after_the_last_state_and_when_its_topic_is_gone() {
        let (listeners, now) = (Listeners::at_most(9), Timestamp::EPOCH);
        let mut told = listeners.join(7, Count(1), now).unwrap();
        let mut gone = listeners.join(8, Count(1), now).unwrap();
        let mut late = listeners.join(7, Count(1_000), now).unwrap();
        tell(&listeners, Some(1_000), now);
        listeners.tell(&BTreeMap::from([(8, None)]), now);
        for (reader, want) in [(&mut told, vec!["1", "1000"]), (&mut gone, vec!["1"]), (&mut late, vec!["1000"])] {
            for data in want {
                assert!(heard(reader).await.unwrap().ends_with(&format!("data: {data}\n\n")));
            }
            assert_eq!(heard(reader).await, None);
        }
        assert!(listeners.topics().is_empty());
    }

    #[test]
    fn there_is_room_for_so_many() {
        let listeners = Listeners::at_most(2);
        let join = || listeners.join(7, Count(0), Timestamp::EPOCH);
        let _kept = [join().unwrap(), join().unwrap()];
        assert_eq!(join().unwrap_err().code(), "TOO_MANY_LISTENERS");
    }
}
