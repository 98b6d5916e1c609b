//! Threads for work that computes for longer than a millisecond, so that it does not hold up everything else.
//!
//! The threads belong to a runtime that the program sets up. A limited number of works runs or waits there, a limited
//! share of them of one client; more are refused. Work that finds out on its way that it will compute for long, such as on
//! a cart that was named by its token, moves there. Without threads, as in tests, work runs where it is.

use std::cell::Cell;
use std::collections::HashMap;
use std::fmt;
use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::task::Poll;

use parking_lot::Mutex;
use tokio::runtime::Handle;

use crate::codes;
use crate::{BoxFuture, Cx, Error, client_network};

/// Maximum works of all callers that run or wait.
const MAX_WORKS: usize = 128;
/// Maximum works of one client that run or wait.
const MAX_WORKS_OF_CLIENT: usize = 32;

/// The number of lines from which on a cart or an order takes longer than a millisecond.
const MANY_LINES: usize = 200;

thread_local! {
    /// Whether the work that was polled last on this thread asked to be moved.
    static MOVES: Cell<bool> = const { Cell::new(false) };
}

/// Lets work on so many lines of a cart or an order go on where it may compute for long, if it runs in
/// [`Compute::run_movable`]. It may be refused there, so it must not have made a change that a repetition would make again.
pub async fn move_for_lines(count: usize) {
    let mut has_asked = count < MANY_LINES;
    poll_fn(|task| {
        if std::mem::replace(&mut has_asked, true) {
            return Poll::Ready(());
        }
        MOVES.set(true);
        task.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// A node's threads for computing.
#[derive(Default)]
pub struct Compute {
    threads: OnceLock<Handle>,
    works: Arc<Mutex<HashMap<Option<IpAddr>, usize>>>,
}

impl fmt::Debug for Compute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} works", self.works.lock().values().sum::<usize>())
    }
}

/// Counts a work until it is dropped, with its result or without.
struct Admitted {
    works: Arc<Mutex<HashMap<Option<IpAddr>, usize>>>,
    client: Option<IpAddr>,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut works = self.works.lock();
        if let Some(count) = works.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                works.remove(&self.client);
            }
        }
    }
}

impl Compute {
    /// Runs works on the threads of a runtime from now on. Only the first call has an effect.
    pub fn run_on(&self, threads: &Handle) {
        let _ = self.threads.set(threads.clone());
    }

    /// Runs `work`, which may compute for long, on the threads for it. When the caller is dropped, the work ends at its
    /// next pause. 503 `SERVICE_BUSY` if too many works wait already, of all clients or of the caller's address.
    pub async fn run<T: Send + 'static>(
        &self,
        cx: &Cx,
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        let Some(threads) = self.threads.get().filter(|threads| threads.id() != Handle::current().id()) else {
            return work.await;
        };
        let admitted = self.admit(cx)?;
        let result = AbortOnDrop(threads.spawn(work)).await;
        drop(admitted);
        result
    }

    /// Runs `work` where it is until it calls [`move_for_lines`], and the rest as [`Compute::run`] does.
    pub async fn run_movable<T: Send + 'static>(
        &self,
        cx: &Cx,
        mut work: BoxFuture<Result<T, Error>>,
    ) -> Result<T, Error> {
        let done_here = poll_fn(|task| {
            MOVES.set(false);
            match work.as_mut().poll(task) {
                Poll::Pending if MOVES.take() => Poll::Ready(None),
                polled => polled.map(Some),
            }
        });
        match done_here.await {
            Some(result) => result,
            None => self.run(cx, work).await,
        }
    }

    fn admit(&self, cx: &Cx) -> Result<Admitted, Error> {
        let client = cx.client.map(client_network);
        let mut works = self.works.lock();
        let own = works.get(&client).copied().unwrap_or(0);
        if works.values().sum::<usize>() >= MAX_WORKS || (client.is_some() && own >= MAX_WORKS_OF_CLIENT) {
            let message = "Too many requests that take long to compute are waiting; retry in 2 seconds.";
            return Err(Error::unavailable(codes::SERVICE_BUSY, message, 2));
        }
        works.insert(client, own + 1);
        Ok(Admitted { works: self.works.clone(), client })
    }
}

/// A task that ends when nobody waits for it any more.
struct AbortOnDrop<T>(tokio::task::JoinHandle<Result<T, Error>>);

impl<T> Future for AbortOnDrop<T> {
    type Output = Result<T, Error>;

    fn poll(mut self: std::pin::Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> std::task::Poll<Self::Output> {
        std::pin::Pin::new(&mut self.0)
            .poll(cx)
            .map(|joined| joined.unwrap_or_else(|error| Err(Error::internal(error))))
    }
}

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "a test waits for its own tasks")]

    use std::time::Duration;

    use tokio::sync::Semaphore;

    use super::*;
    use crate::{Clock, Entropy, Node, Timestamp};

    fn cx(node: &Arc<Node>, client: u8) -> Cx {
        Cx { client: Some([10, 0, 0, client].into()), ..Cx::system(node, "test", Duration::from_secs(60)) }
    }

    #[tokio::test]
    async fn work_moves_when_it_has_many_lines() {
        let node = Node::new(Clock::manual(Timestamp::EPOCH), Entropy::seeded(1));
        let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        node.compute.run_on(threads.handle());
        let (here, there) = (Handle::current().id(), threads.handle().id());
        for (lines, end) in [(MANY_LINES - 1, here), (MANY_LINES, there)] {
            let work = async move {
                let started = Handle::current().id();
                move_for_lines(lines).await;
                Ok((started, Handle::current().id()))
            };
            let ran = node.compute.run_movable(&cx(&node, 1), Box::pin(work)).await;
            assert_eq!(ran.unwrap(), (here, end), "{lines} lines");
        }
        assert_eq!(format!("{:?}", node.compute), "0 works");
        threads.shutdown_background();
    }

    #[tokio::test]
    async fn without_threads_work_runs_where_it_is() {
        let node = Node::new(Clock::manual(Timestamp::EPOCH), Entropy::seeded(1));
        let here = Handle::current().id();
        let ran = node.compute.run(&cx(&node, 1), async move { Ok(Handle::current().id() == here) }).await;
        assert!(ran.unwrap());
    }

    #[tokio::test]
    async fn each_client_has_a_share_of_the_places() {
        let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let node = Node::new(Clock::manual(Timestamp::EPOCH), Entropy::seeded(1));
        node.compute.run_on(threads.handle());
        let release = Arc::new(Semaphore::new(0));
        let work = |client: u8| {
            let (node, release) = (node.clone(), release.clone());
            tokio::spawn(async move {
                let work = async move {
                    release.acquire().await.unwrap().forget();
                    Ok(())
                };
                node.compute.run(&cx(&node, client), work).await
            })
        };
        let running = async |count: usize| {
            while format!("{:?}", node.compute) != format!("{count} works") {
                tokio::task::yield_now().await;
            }
        };
        let refused = |result: Result<Result<(), Error>, _>| result.unwrap().unwrap_err().code() == "SERVICE_BUSY";
        let mut works: Vec<_> = (0..32).map(|_| work(1)).collect();
        running(32).await;
        assert!(refused(work(1).await), "the client has used up its share");
        works.extend((0..96).map(|i| work(2 + i / 32)));
        running(128).await;
        assert!(refused(work(9).await), "all places are taken");
        release.add_permits(128);
        for work in works {
            work.await.unwrap().unwrap();
        }
        running(0).await;
        threads.shutdown_background();
    }

    #[tokio::test]
    async fn work_of_a_caller_who_left_ends() {
        let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let node = Node::new(Clock::manual(Timestamp::EPOCH), Entropy::seeded(1));
        node.compute.run_on(threads.handle());
        let caller = cx(&node, 1);
        let run = node.compute.run(&caller, std::future::pending::<Result<(), Error>>());
        assert!(tokio::time::timeout(Duration::ZERO, run).await.is_err());
        assert!(node.compute.run(&caller, async { Ok(()) }).await.is_ok(), "its thread is free again");
        threads.shutdown_background();
    }
}
