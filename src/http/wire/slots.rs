//! The open connections: how many there may be, and which gives way when there are too many.
//!
//! One address may hold half of all connections. A connection beyond a limit is accepted if an idle one can be closed
//! for it: the oldest idle one of the same address if that has used up its share, otherwise the oldest idle one of the
//! address with the most connections. An IPv6 address stands for its /64, which is what one client has.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use promox_kernel::{Subnet, client_network};
use tokio_util::sync::CancellationToken;

use crate::http::wire::activity::Activity;

/// The connections of one address, by number: the oldest first.
type Open = BTreeMap<u64, (Arc<Activity>, CancellationToken)>;

#[derive(Debug, Default)]
struct State {
    next: u64,
    total: usize,
    by_network: HashMap<IpAddr, Open>,
}

/// The connections of a server.
#[derive(Debug)]
pub(crate) struct Slots {
    max: usize,
    share: usize,
    /// Proxies, whose connections are those of many clients.
    trusted: Vec<Subnet>,
    state: Mutex<State>,
}

/// The place of one open connection, which is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    slots: Arc<Slots>,
    network: IpAddr,
    number: u64,
    /// What the connection is doing.
    pub(crate) activity: Arc<Activity>,
    /// Cancelled when the connection has to give way to another.
    pub(crate) evicted: CancellationToken,
}

impl Slots {
    /// At most `max` connections, of which an address that is not in `trusted` may hold half.
    pub(crate) fn new(max: usize, trusted: Vec<Subnet>) -> Arc<Self> {
        Arc::new(Self { max, share: max.div_ceil(2), trusted, state: Mutex::default() })
    }

    /// The place of a new connection, or `None` if it must be closed: nobody who holds more is idle.
    pub(crate) fn take(self: &Arc<Self>, address: IpAddr) -> Option<Slot> {
        let network = client_network(address);
        let limited = !self.trusted.iter().any(|subnet| subnet.contains(address));
        let mut state = self.state.lock();
        let own = state.by_network.get(&network).map_or(0, Open::len);
        if limited && own >= self.share {
            state.evict(network).then_some(())?;
        } else if state.total >= self.max {
            let most = state.by_network.iter().max_by_key(|(_, open)| open.len()).map(|(network, _)| *network)?;
            (state.evict(most) || state.evict(network)).then_some(())?;
        }
        let (activity, evicted) = (Activity::new(), CancellationToken::new());
        let number = state.next;
        state.next += 1;
        state.total += 1;
        state.by_network.entry(network).or_default().insert(number, (activity.clone(), evicted.clone()));
        Some(Slot { slots: self.clone(), network, number, activity, evicted })
    }
}

impl State {
    /// Closes the oldest idle connection of a network. Returns whether there was one.
    fn evict(&mut self, network: IpAddr) -> bool {
        let idle = self.by_network.get(&network).and_then(|open| {
            open.iter().find(|(_, (activity, _))| activity.is_idle()).map(|(number, (_, evicted))| (*number, evicted))
        });
        let Some((number, evicted)) = idle else { return false };
        evicted.cancel();
        self.remove(network, number);
        true
    }

    fn remove(&mut self, network: IpAddr, number: u64) {
        let Some(open) = self.by_network.get_mut(&network) else { return };
        if open.remove(&number).is_some() {
            self.total -= 1;
        }
        if open.is_empty() {
            self.by_network.remove(&network);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.state.lock().remove(self.network, self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn taken(slots: &Arc<Slots>, from: &str, count: usize) -> Vec<Slot> {
        (0..count).map_while(|_| slots.take(address(from))).collect()
    }

    fn running(slot: &Slot) -> impl Drop {
        slot.activity.request(http::Version::HTTP_11)
    }

    #[test]
    fn one_address_keeps_to_its_share_and_gives_up_its_oldest_idle_connection() {
        let slots = Slots::new(8, Vec::new());
        let greedy = taken(&slots, "10.0.0.1", 10);
        assert_eq!((greedy.len(), slots.state.lock().total), (10, 4), "each further one closes an earlier one");
        let evicted: Vec<bool> = greedy.iter().map(|slot| slot.evicted.is_cancelled()).collect();
        assert_eq!(evicted, [true, true, true, true, true, true, false, false, false, false]);
        assert_eq!(taken(&slots, "10.0.0.2", 4).len(), 4);
    }

    #[test]
    fn an_address_with_only_busy_connections_gets_no_more_than_its_share() {
        let slots = Slots::new(8, Vec::new());
        let busy = taken(&slots, "10.0.0.1", 4);
        let requests: Vec<_> = busy.iter().map(running).collect();
        assert!(slots.take(address("10.0.0.1")).is_none());
        assert!(slots.take(address("10.0.0.2")).is_some());
        drop(requests);
        assert!(slots.take(address("10.0.0.1")).is_some());
    }

    #[test]
    fn when_all_are_taken_the_address_with_the_most_gives_way() {
        let slots = Slots::new(8, Vec::new());
        let (many, few) = (taken(&slots, "10.0.0.1", 4), taken(&slots, "10.0.0.2", 3));
        let one = taken(&slots, "10.0.0.3", 1);
        let newcomer = slots.take(address("10.0.0.4")).unwrap();
        assert!(many[0].evicted.is_cancelled() && !few[0].evicted.is_cancelled() && !one[0].evicted.is_cancelled());
        drop(newcomer);
        assert_eq!(slots.state.lock().total, 7);
        drop((many, few, one));
        assert_eq!(slots.state.lock().total, 0);
        assert!(slots.state.lock().by_network.is_empty());
    }

    #[test]
    fn a_trusted_proxy_has_no_share_and_a_64_is_one_client() {
        let slots = Slots::new(8, vec!["10.0.0.0/8".parse().unwrap()]);
        let held = taken(&slots, "10.0.0.1", 8);
        assert!(held.iter().all(|slot| !slot.evicted.is_cancelled()));
        drop(held);
        let first = slots.take(address("2001:db8:1:2::1")).unwrap();
        let others: Vec<Slot> = (2..=5).filter_map(|n| slots.take(address(&format!("2001:db8:1:2:{n}::9")))).collect();
        assert_eq!(others.len(), 4);
        assert!(first.evicted.is_cancelled());
        assert!(slots.take(address("2001:db8:1:3::1")).is_some());
    }
}
