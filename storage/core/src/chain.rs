//! Chains: an ordered list of transactions of several services, handed to the store in one call.
//!
//! The links remain separate transactions: a refused link leaves earlier ones done, and after a crash any first part of a
//! chain may be done and the rest not, whichever engine runs it. Engines can only save waiting, by making all links of a
//! chain durable together. The caller cannot tell, and must be able to continue after any link.

use std::sync::Arc;

use promox_kernel::{BoxFuture, Claim, Cx, Error, Op};

use crate::db::Answered;
use crate::transaction::Transactions;
use crate::{Engine, Lane, Transaction, WorkOrder};

/// Maximum links that are handed to an engine in one call.
const MAX_LINKS: usize = 16;

/// The outcome of a link.
#[derive(Clone, Debug)]
pub enum Outcome<T> {
    /// It is done and durable.
    Done(T),
    /// It was refused or has failed. As with every call, after a failure other than a refusal it may be unknown whether
    /// it was done.
    Refused(Error),
    /// It was not run, because an earlier link was refused or has failed.
    Skipped,
}

impl<T> Outcome<T> {
    /// Whether it is done.
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Done(_))
    }

    fn of(answer: Option<Result<T, Error>>) -> Self {
        match answer {
            Some(Ok(value)) => Self::Done(value),
            Some(Err(error)) => Self::Refused(error),
            None => Self::Skipped,
        }
    }
}

/// Transactions in the order in which they run. After one that is refused or fails the rest are skipped.
#[must_use]
pub struct Chain<T>(Vec<Link<T>>);

enum Link<T> {
    /// A transaction of the caller's own service.
    Own(Transaction<T>),
    /// An operation; where it runs is resolved when the chain runs.
    Call(Box<dyn FnOnce(Cx) -> BoxFuture<Result<Ready<T>, Error>> + Send>),
}

/// A link that is ready to run.
enum Ready<T> {
    /// On an engine of this process, with the idempotency key if there is one.
    Here(Transaction<T>, Option<Arc<Claim>>),
    /// By a call: its service is on another node, or the operation is more than a transaction.
    Elsewhere(BoxFuture<Result<T, Error>>),
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

    /// Appends a transaction of the caller's own service. A reply that it stores with the request's idempotency key is
    /// recorded on the request, as by [`Db::write`](crate::Db::write).
    pub fn then(&mut self, transaction: Transaction<T>) {
        self.0.push(Link::Own(transaction));
    }

    /// Appends an operation, which is called as by [`Cx::call`]; `convert` makes its reply the link's value.
    pub fn then_call<O: Op>(&mut self, op: O, convert: fn(O::Reply) -> T) {
        self.0.push(Link::Call(Box::new(move |cx| Box::pin(ready(cx, op, convert)))));
    }

    /// Runs the links in order and returns the outcome of each. Consecutive links on one engine of this process are
    /// handed to it in one call, the others are called in turn. The request's deadline ends the wait: the links that it
    /// interrupts count as failed.
    pub async fn run(self, cx: &Cx) -> Vec<Outcome<T>> {
        let wanted = self.0.len();
        let mut run = Run { cx, together: Vec::new(), outcomes: Vec::with_capacity(wanted) };
        for link in self.0 {
            let next = match link {
                Link::Own(transaction) => Ok(Ready::Here(transaction, cx.claim.clone())),
                Link::Call(ready) => ready(cx.of_a_call()).await,
            };
            if !run.add(next).await {
                break;
            }
        }
        run.commit().await;
        let mut outcomes = run.outcomes;
        outcomes.resize_with(wanted, || Outcome::Skipped);
        outcomes
    }
}

/// Resolves where an operation runs.
async fn ready<O: Op, T: Send + 'static>(cx: Cx, op: O, convert: fn(O::Reply) -> T) -> Result<Ready<T>, Error> {
    let Some(transactions) = cx.node.in_process::<Transactions<O>>() else {
        return Ok(Ready::Elsewhere(Box::pin(async move { cx.call(op).await.map(convert) })));
    };
    let transaction = cx.answered::<O, _>(transactions.transaction(&cx, op)).await?;
    Ok(Ready::Here(transaction.map(convert), None))
}

/// A running chain.
struct Run<'a, T> {
    cx: &'a Cx,
    /// Links that are handed to their engine in one call.
    together: Vec<(Transaction<T>, Option<Arc<Claim>>)>,
    outcomes: Vec<Outcome<T>>,
}

impl<T: Send + 'static> Run<'_, T> {
    /// Adds a link to those that go together, or runs these and then the link. Returns whether the chain continues.
    async fn add(&mut self, next: Result<Ready<T>, Error>) -> bool {
        match next {
            Ok(Ready::Here(transaction, claim)) => {
                let shares = |(last, _): &(Transaction<T>, _)| Arc::ptr_eq(last.db.engine(), transaction.db.engine());
                let fits = self.together.len() < MAX_LINKS && self.together.last().is_none_or(shares);
                if !fits && !self.commit().await {
                    return false;
                }
                self.together.push((transaction, claim));
                true
            }
            Ok(Ready::Elsewhere(call)) => self.commit().await && self.note(Outcome::of(Some(call.await))),
            Err(error) => self.commit().await && self.note(Outcome::Refused(error)),
        }
    }

    /// Records an outcome. Returns whether the chain continues.
    fn note(&mut self, outcome: Outcome<T>) -> bool {
        let goes_on = outcome.is_done();
        self.outcomes.push(outcome);
        goes_on
    }

    /// Runs the links that go together. Returns whether the chain continues.
    async fn commit(&mut self) -> bool {
        let Some((first, _)) = self.together.first() else { return true };
        let (engine, cx) = (first.db.engine().clone(), self.cx);
        let (mut orders, mut answers) = (Vec::new(), Vec::new());
        for (Transaction { db, locks, work }, claim) in self.together.drain(..) {
            let (order, answered) = db.work_order(cx, Lane::Normal, locks, work);
            orders.push(order);
            answers.push((answered, claim));
        }
        match engine.submit_chain(orders) {
            Ok(()) => {
                self.outcomes.extend(all(cx, answers).await);
                self.outcomes.last().is_none_or(Outcome::is_done)
            }
            Err(orders) => self.in_turn(&*engine, orders, answers).await,
        }
    }

    /// Runs links one by one on an engine that cannot take them together. Returns whether the chain continues.
    async fn in_turn(&mut self, engine: &dyn Engine, orders: Vec<WorkOrder>, answers: Vec<Answer<T>>) -> bool {
        for (order, (answered, claim)) in orders.into_iter().zip(answers) {
            engine.submit(order);
            let outcome = self.cx.in_time(async { Ok(Outcome::of(answered.outcome(claim.as_deref()).await)) }).await;
            if !self.note(outcome.unwrap_or_else(Outcome::Refused)) {
                return false;
            }
        }
        true
    }
}

/// The receiver of a link's result, and the idempotency key that its reply may be stored with.
type Answer<T> = (Answered<T, Error>, Option<Arc<Claim>>);

/// Waits for the outcomes of links that an engine has taken together.
async fn all<T>(cx: &Cx, answers: Vec<Answer<T>>) -> Vec<Outcome<T>> {
    let links = answers.len();
    let come = async {
        let mut outcomes = Vec::with_capacity(links);
        // Links are answered in order, so waiting for the last one first wakes this task once.
        for (answered, claim) in answers.into_iter().rev() {
            outcomes.push(Outcome::of(answered.outcome(claim.as_deref()).await));
        }
        outcomes.reverse();
        Ok(outcomes)
    };
    cx.in_time(come).await.unwrap_or_else(|late| (0..links).map(|_| Outcome::Refused(late.clone())).collect())
}
