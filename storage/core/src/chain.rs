//! Chains: an ordered list of transactions of several services, handed to the store in one call.
//!
//! The links remain separate transactions, whichever engine runs them: a refused link leaves earlier ones committed,
//! and a crash may leave any number of leading links committed. An engine may only save time, by making all links of a
//! chain durable together. The caller cannot tell the difference, and must be able to resume after any link.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use promox_kernel::{BoxFuture, Claim, Cx, Error, Op};

use crate::db::ResultReceiver;
use crate::transaction::{TransactionFactory, unexpected_reply};
use crate::{Engine, Lane, Transaction, WorkOrder};

/// Maximum links handed to an engine in one call.
const MAX_LINKS: usize = 16;

/// The outcome of one link.
#[derive(Clone, Debug)]
pub enum Outcome<T> {
    /// It was committed and is durable.
    Done(T),
    /// It was refused or failed. As with every call, a failure other than a refusal may leave it unknown whether the
    /// link was committed.
    Refused(Error),
    /// It did not run, because an earlier link was refused or failed.
    Skipped,
}

impl<T> Outcome<T> {
    /// Whether the link was committed.
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Done(_))
    }

    fn of(result: Option<Result<T, Error>>) -> Self {
        match result {
            Some(Ok(value)) => Self::Done(value),
            Some(Err(error)) => Self::Refused(error),
            None => Self::Skipped,
        }
    }
}

/// A call whose reply is known.
#[derive(Debug)]
pub enum Call<R> {
    /// The operation is done and has replied so.
    Done(R),
    /// The operation is a transaction that has not run. It replies so unless it is refused or something changes
    /// meanwhile. The caller runs it alone, or as a link of a chain, whose later links are refused if the reply differs.
    Prepared(R, Transaction<R>),
}

impl<R: PartialEq + Clone + Send + 'static> Call<R> {
    /// Calls an operation as [`Cx::call`] does, except for a transaction of this process that states the reply that it
    /// expects: that one is only prepared.
    pub async fn prepare<O: Op<Reply = R>>(cx: &Cx, op: O) -> Result<Self, Error> {
        let Some(factory) = cx.node.in_process::<TransactionFactory<O>>() else {
            return cx.call(op).await.map(Self::Done);
        };
        let cx = cx.for_call();
        match cx.wait_for(O::SERVICE, factory.transaction(&cx, op)).await?.take_expected() {
            (Some(reply), transaction) => Ok(Self::Prepared(reply, transaction)),
            (None, transaction) => transaction.run(&cx).await.map(Self::Done),
        }
    }

    /// Runs the operation if it has not run, and returns its reply.
    pub async fn run(self, cx: &Cx) -> Result<R, Error> {
        match self {
            Self::Done(reply) => Ok(reply),
            Self::Prepared(_, transaction) => transaction.run(&cx.for_call()).await,
        }
    }
}

/// An ordered list of transactions. After one that is refused or fails, the rest are skipped.
#[must_use]
pub struct Chain<T>(Vec<Link<T>>);

enum Link<T> {
    /// A transaction of the caller's own service.
    Own(Transaction<T>),
    /// The transaction of an operation.
    Prepared(Transaction<T>),
    /// An operation. Where it runs is resolved when the chain runs.
    Call(Box<dyn FnOnce(Cx) -> BoxFuture<Result<Ready<T>, Error>> + Send>),
}

/// A link that is ready to run.
enum Ready<T> {
    /// It runs on an engine of this process. The claim is the caller's idempotency key, if it may be used.
    Local(Transaction<T>, Option<Arc<Claim>>),
    /// It runs as a call, because its service is on another node or the operation is more than one transaction.
    Remote(BoxFuture<Result<T, Error>>),
}

impl<T> std::fmt::Debug for Chain<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a chain of {}", self.0.len())
    }
}

impl<T> Default for Chain<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Send + 'static> Chain<T> {
    /// The number of links.
    pub fn links(&self) -> usize {
        self.0.len()
    }

    /// Appends a transaction of the caller's own service. If it stores a reply with the request's idempotency key, the
    /// reply is also recorded on the request, as [`Db::write`](crate::Db::write) does.
    pub fn then(&mut self, transaction: Transaction<T>) {
        self.0.push(Link::Own(transaction));
    }

    /// Appends the transaction of an operation, see [`Call::Prepared`]. If it replies otherwise than expected, it is done
    /// all the same, and the next link is refused.
    pub fn then_prepared(&mut self, transaction: Transaction<T>) {
        self.0.push(Link::Prepared(transaction));
    }

    /// Appends an operation, which is called as [`Cx::call`] does. `convert` turns its reply into the link's value.
    pub fn then_call<O: Op>(&mut self, op: O, convert: fn(O::Reply) -> T) {
        self.0.push(Link::Call(Box::new(move |cx| Box::pin(ready(cx, op, convert)))));
    }

    /// Runs the links in order and returns the outcome of each. Consecutive links on the same engine of this process
    /// are handed to it in one call; the others are called one by one. When the request's deadline passes, the links
    /// still running count as failed.
    pub async fn run(self, cx: &Cx) -> Vec<Outcome<T>> {
        let count = self.0.len();
        let mut run = Run { cx, pending: Vec::new(), outcomes: Vec::with_capacity(count), as_expected: None };
        for link in self.0 {
            let next = match link {
                Link::Own(transaction) => Ok(Ready::Local(transaction, cx.claim.clone())),
                Link::Prepared(transaction) => Ok(Ready::Local(transaction, None)),
                Link::Call(ready) => ready(cx.for_call()).await,
            };
            if !run.add(next).await {
                break;
            }
        }
        run.commit().await;
        let mut outcomes = run.outcomes;
        outcomes.resize_with(count, || Outcome::Skipped);
        outcomes
    }
}

/// Resolves where an operation runs.
async fn ready<O: Op, T: Send + 'static>(cx: Cx, op: O, convert: fn(O::Reply) -> T) -> Result<Ready<T>, Error> {
    let Some(factory) = cx.node.in_process::<TransactionFactory<O>>() else {
        return Ok(Ready::Remote(Box::pin(async move { cx.call(op).await.map(convert) })));
    };
    let transaction = cx.wait_for(O::SERVICE, factory.transaction(&cx, op)).await?;
    Ok(Ready::Local(transaction.map(convert), None))
}

/// A running chain.
struct Run<'a, T> {
    cx: &'a Cx,
    /// Links that will be handed to their engine in one call.
    pending: Vec<(Transaction<T>, Option<Arc<Claim>>)>,
    outcomes: Vec<Outcome<T>>,
    /// Whether the last link with an expected result has had it.
    as_expected: Option<Arc<AtomicBool>>,
}

impl<T: Send + 'static> Run<'_, T> {
    /// Adds a local link to the pending ones, or runs the pending ones and then the link. Returns whether the chain
    /// continues.
    async fn add(&mut self, next: Result<Ready<T>, Error>) -> bool {
        match next {
            Ok(Ready::Local(mut transaction, claim)) => {
                if let Some(as_expected) = &self.as_expected {
                    transaction = transaction.only_if(as_expected.clone());
                }
                self.as_expected = transaction.as_expected.clone().or(self.as_expected.take());
                let same_engine =
                    |(last, _): &(Transaction<T>, _)| Arc::ptr_eq(last.db.engine(), transaction.db.engine());
                let fits = self.pending.len() < MAX_LINKS && self.pending.last().is_none_or(same_engine);
                if !fits && !self.commit().await {
                    return false;
                }
                self.pending.push((transaction, claim));
                true
            }
            Ok(Ready::Remote(call)) => {
                if !self.commit().await {
                    return false;
                }
                let as_expected = self.as_expected.as_ref().is_none_or(|flag| flag.load(Ordering::SeqCst));
                let result = if as_expected { call.await } else { Err(unexpected_reply()) };
                self.record(Outcome::of(Some(result)))
            }
            Err(error) => self.commit().await && self.record(Outcome::Refused(error)),
        }
    }

    /// Records an outcome. Returns whether the chain continues.
    fn record(&mut self, outcome: Outcome<T>) -> bool {
        let continues = outcome.is_done();
        self.outcomes.push(outcome);
        continues
    }

    /// Runs the pending links. Returns whether the chain continues.
    async fn commit(&mut self) -> bool {
        let Some((first, _)) = self.pending.first() else { return true };
        let (engine, cx) = (first.db.engine().clone(), self.cx);
        let (mut orders, mut receivers) = (Vec::new(), Vec::new());
        for (Transaction { db, locks, work, .. }, claim) in self.pending.drain(..) {
            let (order, receiver) = db.work_order(cx, Lane::Normal, locks, work);
            orders.push(order);
            receivers.push((receiver, claim));
        }
        match engine.submit_chain(orders) {
            Ok(()) => {
                self.outcomes.extend(wait_for_all(cx, receivers).await);
                self.outcomes.last().is_none_or(Outcome::is_done)
            }
            Err(orders) => self.run_one_by_one(&*engine, orders, receivers).await,
        }
    }

    /// Runs links one by one on an engine that does not support chains. Returns whether the chain continues.
    async fn run_one_by_one(
        &mut self,
        engine: &dyn Engine,
        orders: Vec<WorkOrder>,
        receivers: Vec<LinkReceiver<T>>,
    ) -> bool {
        for (order, (receiver, claim)) in orders.into_iter().zip(receivers) {
            engine.submit(order);
            let outcome = self.cx.in_time(async { Ok(Outcome::of(receiver.outcome(claim.as_deref()).await)) }).await;
            if !self.record(outcome.unwrap_or_else(Outcome::Refused)) {
                return false;
            }
        }
        true
    }
}

/// The receiver of a link's result, and the idempotency key that its reply may be stored with.
type LinkReceiver<T> = (ResultReceiver<T, Error>, Option<Arc<Claim>>);

/// Waits for the outcomes of links that an engine took in one call.
async fn wait_for_all<T: 'static>(cx: &Cx, receivers: Vec<LinkReceiver<T>>) -> Vec<Outcome<T>> {
    let links = receivers.len();
    let outcomes = async {
        let mut outcomes = Vec::with_capacity(links);
        // Links are answered in order, so waiting for the last one first wakes this task once.
        for (receiver, claim) in receivers.into_iter().rev() {
            outcomes.push(Outcome::of(receiver.outcome(claim.as_deref()).await));
        }
        outcomes.reverse();
        Ok(outcomes)
    };
    cx.in_time(outcomes).await.unwrap_or_else(|late| (0..links).map(|_| Outcome::Refused(late.clone())).collect())
}
