//! Reads outside of transactions that write. A few threads with a connection each take all requests that wait, and
//! answer them in one round trip.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use flume::{Receiver, Sender};
use promox_storage::{Direction, Fetching, Item, KeyRange, Reader, Space, StoreError, Wants};
use tokio::sync::oneshot;

use super::connection::{Connection, Failure};
use super::fetch::{FetchError, Plan, Reach};
use super::shared::{Shared, count};
use super::state::State;

/// Maximum requests that are answered together.
const MAX_TOGETHER: usize = 64;
/// How long a read is repeated on new connections before it fails.
const MAX_OUTAGE: Duration = Duration::from_secs(3);
/// The pause between attempts to connect.
const PAUSE: Duration = Duration::from_millis(50);

/// A request for data that a transaction lacked.
pub(super) struct ReadRequest {
    wants: Wants,
    reach: Reach,
    reply: oneshot::Sender<Result<Fetched, StoreError>>,
}

/// The newest state, with what was fetched.
struct Fetched {
    state: State,
    emptied: u64,
    /// What was fetched, at the position of `state`.
    own: State,
}

/// The state that a transaction reads.
pub(super) struct View {
    shared: Arc<Shared>,
    requests: Sender<ReadRequest>,
    state: State,
    /// What this transaction has fetched, in case the node's memory for rows is emptied meanwhile.
    own: State,
    emptied: u64,
    fetches: u32,
    /// Whether the state is known to be the newest, or newer than all replies that were sent before the read began.
    current: bool,
}

impl View {
    pub(super) fn new(shared: Arc<Shared>, requests: Sender<ReadRequest>) -> Self {
        let (state, emptied) = shared.state_and_generation();
        let own = State::at(state.position, 0);
        Self { shared, requests, state, own, emptied, fetches: 0, current: false }
    }

    async fn fetched(mut self: Box<Self>, wants: Wants) -> Result<Box<dyn Reader>, StoreError> {
        let wants = remaining(&self.state, wants);
        let (reply, answer) = oneshot::channel();
        let request = ReadRequest { wants, reach: Reach::of_fetch(self.fetches), reply };
        self.requests.send_async(request).await.map_err(|_| StoreError::Stopped)?;
        let fetched = answer.await.map_err(|_| StoreError::Stopped)??;
        self.fetches += 1;
        self.state = fetched.state;
        // Values that did not change until now did not change until the position of the state either.
        self.shared.bring(&mut self.own);
        self.own.merge(&fetched.own);
        self.own.position = self.state.position;
        if self.emptied != fetched.emptied {
            self.state.merge(&self.own);
        }
        self.current = true;
        Ok(self)
    }
}

/// Leaves out of the wanted ranges what is known at their beginning.
pub(super) fn remaining(state: &State, mut wants: Wants) -> Wants {
    for (range, direction) in &mut wants.ranges {
        *range = state.rest_of(range, *direction);
    }
    wants
}

impl Reader for View {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.state.get(space, key)
    }

    fn scan<'a>(
        &'a self,
        range: &KeyRange,
        direction: Direction,
    ) -> Box<dyn Iterator<Item = Result<Item, StoreError>> + 'a> {
        self.state.scan(range, direction)
    }

    fn is_current(&self) -> bool {
        self.current
    }

    fn fetch(self: Box<Self>, wants: Wants) -> Fetching {
        Box::pin(self.fetched(wants))
    }
}

/// Answers requests until the engine is closed.
pub(super) fn serve(shared: &Shared, requests: &Receiver<ReadRequest>) {
    let mut connection = None;
    while let Ok(first) = requests.recv() {
        let mut together = vec![first];
        while together.len() < MAX_TOGETHER
            && let Ok(next) = requests.try_recv()
        {
            together.push(next);
        }
        answer(shared, &mut connection, together);
    }
}

fn answer(shared: &Shared, connection: &mut Option<Connection>, requests: Vec<ReadRequest>) {
    let (mut plan, mut waiting) = (Plan::default(), Vec::with_capacity(requests.len()));
    let mut wanted = Vec::with_capacity(requests.len());
    for ReadRequest { wants, reach, reply } in requests {
        match plan.add(shared, wants.clone(), reach) {
            Ok(()) => {
                waiting.push(reply);
                wanted.push((wants, reach));
            }
            Err(error) => drop(reply.send(Err(error))),
        }
    }
    let result = fetch(shared, connection, plan, &wanted);
    for reply in waiting {
        let fetched = result.as_ref().map_err(Clone::clone);
        let fetched =
            fetched.map(|(state, emptied, own)| Fetched { state: state.clone(), emptied: *emptied, own: own.clone() });
        // The transaction may have been dropped with its request.
        let _ = reply.send(fetched);
    }
}

/// Reads what was wanted, on a new connection if the old one is lost.
fn fetch(
    shared: &Shared,
    connection: &mut Option<Connection>,
    mut plan: Plan,
    wanted: &[(Wants, Reach)],
) -> Result<(State, u64, State), StoreError> {
    let started = Instant::now();
    loop {
        let since = shared.state().position;
        match attempt(shared, connection, plan, since) {
            Ok(found) => return Ok(found),
            Err(FetchError::Server(Failure::Lost(error))) => {
                *connection = None;
                count(&shared.counters.reconnects, 1);
                if started.elapsed() > MAX_OUTAGE || shared.is_stopped() {
                    tracing::warn!(%error, "PostgreSQL cannot be reached");
                    return Err(StoreError::Busy);
                }
                std::thread::sleep(PAUSE);
                plan = Plan::default();
                for (wants, reach) in wanted {
                    plan.add(shared, wants.clone(), *reach)?;
                }
            }
            Err(error) => return Err(error.into_store_error()),
        }
    }
}

fn attempt(
    shared: &Shared,
    connection: &mut Option<Connection>,
    plan: Plan,
    since: i64,
) -> Result<(State, u64, State), FetchError> {
    let connection = match connection {
        Some(connection) => connection,
        None => connection.insert(shared.connect()?),
    };
    let (listed, mut found) = plan.run(connection, shared, since)?;
    let position = listed.last().map(|listed| (listed.commit.position, listed.commit.last_event));
    (found.position, found.last_event) = position.unwrap_or((since, 0));
    let (state, emptied) = shared.add(listed, &mut found)?;
    Ok((state, emptied, found))
}
