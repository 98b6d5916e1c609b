//! Server-sent events: the listeners of each topic, with the last state that each was sent.
//!
//! A listener is a small channel. A job publishes the current states. A listener receives the changes since it last had
//! space, so that a burst becomes a few events per second and a slow listener skips to the newest state.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::codes;
use crate::{BodyReader, BodySender, Cx, Error, Timestamp, client_network};

/// How often an idle listener is sent a comment. It keeps proxies from closing the stream, and detects disconnected
/// clients.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The state of a topic, sent to listeners whenever it changes.
pub trait Streamed: Clone + PartialEq + Send + 'static {
    /// The event that describes the change from an earlier state, or from none. Build it with [`server_sent`].
    fn event(&self, before: Option<&Self>) -> Bytes;

    /// Whether the state is final, which ends the stream.
    fn is_last(&self) -> bool {
        false
    }
}

/// An event in the format of <https://html.spec.whatwg.org/multipage/server-sent-events.html>. `data` must not contain
/// line breaks.
pub fn server_sent(name: &str, data: &str) -> Bytes {
    Bytes::from(format!("event: {name}\ndata: {data}\n\n"))
}

#[derive(Debug)]
struct Listener<K, T> {
    topic: K,
    client: Option<IpAddr>,
    sender: BodySender,
    sent: T,
    sent_at: Timestamp,
}

impl<K, T: Streamed> Listener<K, T> {
    /// Sends the change to `state`. Returns `false` if the listener has disconnected or the state is final.
    fn publish(&mut self, state: &T, now: Timestamp) -> bool {
        let chunk = if *state != self.sent {
            state.event(Some(&self.sent))
        } else if now.since(self.sent_at) >= KEEP_ALIVE {
            Bytes::from_static(b": still here\n\n")
        } else {
            return true;
        };
        match self.sender.offer(chunk) {
            Some(true) => {
                self.sent = state.clone();
                self.sent_at = now;
                !state.is_last()
            }
            Some(false) => true,
            None => false,
        }
    }
}

/// The listeners of this node to topics named by `K`.
#[derive(Debug)]
pub struct Listeners<K, T> {
    limit: usize,
    /// Maximum listeners of one client.
    share: usize,
    all: Mutex<Vec<Listener<K, T>>>,
}

impl<K: Ord + Copy, T: Streamed> Listeners<K, T> {
    /// An empty set for at most `limit` listeners, of which one client, by its address, may be a quarter.
    pub fn at_most(limit: usize) -> Self {
        Self { limit, share: limit.div_ceil(4), all: Mutex::default() }
    }

    /// Adds a listener and sends it the topic's state at once; a final state ends its stream. 503 `TOO_MANY_LISTENERS`
    /// at the limit, or when the caller's address has used up its share of it.
    pub fn join(&self, cx: &Cx, topic: K, state: T) -> Result<BodyReader, Error> {
        let (sender, reader) = BodyReader::pair();
        let client = cx.client.map(client_network);
        let mut all = self.all.lock();
        let own = all.iter().filter(|listener| client.is_some() && listener.client == client).count();
        if all.len() >= self.limit || own >= self.share {
            return Err(Error::unavailable(
                codes::TOO_MANY_LISTENERS,
                "Too many clients are listening; retry in 5 seconds.",
                5,
            ));
        }
        sender.offer(state.event(None));
        if !state.is_last() {
            all.push(Listener { topic, client, sender, sent: state, sent_at: cx.now });
        }
        Ok(reader)
    }

    /// The topics that have listeners.
    pub fn topics(&self) -> BTreeSet<K> {
        self.all.lock().iter().map(|listener| listener.topic).collect()
    }

    /// Sends every listener the change of its topic's state. Drops listeners that disconnected, or whose topic has
    /// reached its final state or no longer exists (`None`).
    pub fn publish(&self, states: &BTreeMap<K, Option<T>>, now: Timestamp) {
        self.all.lock().retain_mut(|listener| match states.get(&listener.topic) {
            Some(Some(state)) => listener.publish(state, now),
            Some(None) => false,
            None => true,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Clock, Entropy, Node};

    #[derive(Clone, Debug, PartialEq)]
    struct Count(u32);

    impl Streamed for Count {
        fn event(&self, before: Option<&Self>) -> Bytes {
            server_sent(if before.is_some() { "more" } else { "first" }, &self.0.to_string())
        }
        fn is_last(&self) -> bool {
            self.0 == 1_000
        }
    }

    fn cx(now: Timestamp) -> Cx {
        let node = Node::new(Clock::manual(now), Entropy::seeded(1));
        Cx::system(&node, "test", Duration::from_secs(1))
    }

    async fn next_event(reader: &mut BodyReader) -> Option<String> {
        let chunk = reader.next().await?.unwrap();
        Some(String::from_utf8(chunk.to_vec()).unwrap())
    }

    fn publish(listeners: &Listeners<u8, Count>, count: Option<u32>, now: Timestamp) {
        listeners.publish(&BTreeMap::from([(7, count.map(Count))]), now);
    }

    #[tokio::test]
    async fn a_slow_listener_skips_to_the_newest_state_and_a_disconnected_one_is_dropped() {
        let (listeners, now) = (Listeners::at_most(3), Timestamp::EPOCH);
        let mut slow = listeners.join(&cx(now), 7, Count(0)).unwrap();
        let mut other = listeners.join(&cx(now), 8, Count(5)).unwrap();
        drop(listeners.join(&cx(now), 7, Count(0)).unwrap());
        (1..=100).for_each(|n| publish(&listeners, Some(n), now));
        assert_eq!(listeners.all.lock().len(), 2);
        assert_eq!(listeners.topics(), BTreeSet::from([7, 8]));
        assert_eq!(next_event(&mut slow).await.unwrap(), "event: first\ndata: 0\n\n");
        for n in 1..8 {
            assert_eq!(next_event(&mut slow).await.unwrap(), format!("event: more\ndata: {n}\n\n"));
        }
        publish(&listeners, Some(100), now);
        assert_eq!(next_event(&mut slow).await.unwrap(), "event: more\ndata: 100\n\n");
        publish(&listeners, Some(100), now + KEEP_ALIVE);
        assert_eq!(next_event(&mut slow).await.unwrap(), ": still here\n\n");
        assert_eq!(next_event(&mut other).await.unwrap(), "event: first\ndata: 5\n\n");
    }

    #[tokio::test]
    async fn a_stream_ends_after_the_last_state_and_when_its_topic_is_gone() {
        let (listeners, now) = (Listeners::at_most(9), Timestamp::EPOCH);
        let mut listening = listeners.join(&cx(now), 7, Count(1)).unwrap();
        let mut gone = listeners.join(&cx(now), 8, Count(1)).unwrap();
        let mut late = listeners.join(&cx(now), 7, Count(1_000)).unwrap();
        publish(&listeners, Some(1_000), now);
        listeners.publish(&BTreeMap::from([(8, None)]), now);
        for (reader, want) in [(&mut listening, vec!["1", "1000"]), (&mut gone, vec!["1"]), (&mut late, vec!["1000"])] {
            for data in want {
                assert!(next_event(reader).await.unwrap().ends_with(&format!("data: {data}\n\n")));
            }
            assert_eq!(next_event(reader).await, None);
        }
        assert!(listeners.topics().is_empty());
    }

    #[test]
    fn joining_is_refused_at_the_limit() {
        let listeners = Listeners::at_most(2);
        let join = || listeners.join(&cx(Timestamp::EPOCH), 7, Count(0));
        let _kept = [join().unwrap(), join().unwrap()];
        assert_eq!(join().unwrap_err().code(), "TOO_MANY_LISTENERS");
    }

    #[test]
    fn one_client_cannot_take_all_places() {
        let listeners = Listeners::at_most(8);
        let join = |client: &str| {
            let client = Some(client.parse().unwrap());
            listeners.join(&Cx { client, ..cx(Timestamp::EPOCH) }, 7, Count(0))
        };
        let _kept = [join("2001:db8::1").unwrap(), join("2001:db8::2").unwrap()];
        assert_eq!(join("2001:db8::3").unwrap_err().code(), "TOO_MANY_LISTENERS");
        assert!(join("192.0.2.1").is_ok());
    }
}
