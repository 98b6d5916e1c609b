//! A matrix of faults for sagas. Each step fails before and after it acts, is refused, is repeated, and is interrupted
//! by a crash before and after it acts. The same happens to each write. In every case the saga must reach one of its
//! ends.
//!
//! The tests of a saga define how it is begun, resumed and checked ([`Saga`]), and inject [`Faults`] where its steps
//! act: into the handlers that stub other services, and with [`Setup::failing`](crate::Setup::failing) into the store.

use std::collections::BTreeMap;
use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use parking_lot::Mutex;
use promox_kernel::Error;

/// The maximum number of drivers of one saga. A saga that needs more is considered endless.
const MAX_DRIVERS: usize = 25;

/// A fault of a step or a write, which happens once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// There is no reply, and the work was not done.
    FailsBefore,
    /// There is no reply, but the work was done.
    FailsAfter,
    /// The work is refused permanently.
    Refused,
    /// The process ends before the work is done.
    CrashesBefore,
    /// The process ends after the work is done.
    CrashesAfter,
}

impl Fault {
    /// All faults.
    pub const ALL: [Self; 5] =
        [Self::FailsBefore, Self::FailsAfter, Self::Refused, Self::CrashesBefore, Self::CrashesAfter];
    /// The faults of a step that is never refused.
    pub const TRANSIENT: [Self; 4] = [Self::FailsBefore, Self::FailsAfter, Self::CrashesBefore, Self::CrashesAfter];

    /// Whether the fault ends the process.
    pub const fn is_crash(self) -> bool {
        matches!(self, Self::CrashesBefore | Self::CrashesAfter)
    }
}

/// The planned faults of the steps and writes of a saga.
#[derive(Debug, Default)]
pub struct Faults(Mutex<Plan>);

#[derive(Debug, Default)]
struct Plan {
    steps: BTreeMap<&'static str, Fault>,
    /// The number of the write that fails, 1 for the next one, and its fault.
    write: Option<(u32, Fault)>,
    crashed: bool,
}

impl Faults {
    /// Plans a fault for the next execution of a step.
    pub fn plan(&self, step: &'static str, fault: Fault) {
        self.0.lock().steps.insert(step, fault);
    }

    /// Plans a fault for the `nth` write from now, 1 for the next one. A failing write is refused as a busy store
    /// refuses it.
    pub fn plan_write(&self, nth: u32, fault: Fault) {
        self.0.lock().write = Some((nth, fault));
    }

    /// Whether all planned faults have happened.
    pub fn all_happened(&self) -> bool {
        let plan = self.0.lock();
        plan.steps.is_empty() && plan.write.is_none()
    }

    /// Runs a step with its planned fault. Without one the step runs twice, because a caller that misses the reply
    /// repeats its request.
    pub async fn act<T>(&self, step: &'static str, work: impl Fn() -> Result<T, Error>) -> Result<T, Error> {
        let fault = self.0.lock().steps.remove(step);
        let no_reply = || Error::unavailable("SILENT", "There is no reply.", 1);
        match fault {
            None => work().and_then(|_| work()),
            Some(Fault::FailsBefore) => Err(no_reply()),
            Some(Fault::FailsAfter) => work().and(Err(no_reply())),
            Some(Fault::Refused) => Err(Error::conflict("REFUSED", "The request is refused.")),
            Some(Fault::CrashesBefore) => self.crash().await,
            Some(Fault::CrashesAfter) => {
                let _ = work();
                self.crash().await
            }
        }
    }

    /// Reports a crash and never returns, so that the driver is dropped.
    async fn crash<T>(&self) -> T {
        self.0.lock().crashed = true;
        pending().await
    }

    /// Takes the planned fault of the write that is about to happen.
    pub(crate) fn of_write(&self) -> Option<Fault> {
        let mut plan = self.0.lock();
        let (left, fault) = plan.write.take()?;
        if left > 1 {
            plan.write = Some((left - 1, fault));
            return None;
        }
        plan.crashed |= fault.is_crash();
        Some(fault)
    }

    /// Runs a driver until it ends or crashes, and returns whether it crashed. A crashed driver is dropped.
    async fn run(&self, driver: impl Future<Output = ()>) -> bool {
        let mut driver = pin!(driver);
        poll_fn(|cx| match driver.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(false),
            Poll::Pending if std::mem::take(&mut self.0.lock().crashed) => Poll::Ready(true),
            Poll::Pending => Poll::Pending,
        })
        .await
    }
}

/// A saga whose steps can fail.
#[allow(async_fn_in_trait, reason = "tests await it in place")]
pub trait Saga: Sized {
    /// Begins a saga, before any fault can happen.
    async fn begin(faults: Arc<Faults>) -> Self;
    /// Drives the saga as far as possible: at a start of the process, or when the sweeper finds that it is due.
    async fn resume(&self, at_start: bool);
    /// Whether the saga has ended.
    async fn has_ended(&self) -> bool;
    /// Checks that the saga is at one of its ends and that its data is consistent. Returns whether it was carried out
    /// and not undone. `tag` names the fault, for messages.
    async fn check(&self, tag: &str) -> bool;
}

/// One run of the matrix.
#[derive(Debug)]
pub struct Run {
    /// The step that had a fault.
    pub step: &'static str,
    /// The fault of the step.
    pub fault: Fault,
    /// Whether the saga reached the step.
    pub reached: bool,
    /// Whether the saga was carried out and not undone.
    pub done: bool,
}

impl Run {
    /// The step and its fault, for messages.
    pub fn tag(&self) -> String {
        format!("{} {:?}", self.step, self.fault)
    }
}

/// Runs a saga once for each step and fault, each time with the faults in `other_faults` too. `check_run` checks each
/// run.
pub async fn run_steps<S: Saga>(
    other_faults: &[(&'static str, Fault)],
    steps: &[&'static str],
    faults: &[Fault],
    check_run: impl Fn(&Run),
) {
    for (step, fault) in steps.iter().flat_map(|step| faults.iter().map(move |fault| (*step, *fault))) {
        let mut run = Run { step, fault, reached: false, done: false };
        let planned = Arc::new(Faults::default());
        let saga = S::begin(planned.clone()).await;
        other_faults.iter().chain([&(step, fault)]).for_each(|(step, fault)| planned.plan(step, *fault));
        run.done = run_saga(&saga, &planned, &run.tag()).await;
        run.reached = planned.all_happened();
        check_run(&run);
    }
}

/// Runs a saga once for each fault of each of its first `writes`. `check_run` receives the number of the write, the
/// fault, and whether the saga was carried out.
pub async fn run_writes<S: Saga>(writes: u32, faults: &[Fault], check_run: impl Fn(u32, Fault, bool)) {
    for (nth, fault) in (1..=writes).flat_map(|nth| faults.iter().map(move |fault| (nth, *fault))) {
        let planned = Arc::new(Faults::default());
        let saga = S::begin(planned.clone()).await;
        planned.plan_write(nth, fault);
        let done = run_saga(&saga, &planned, &format!("write {nth} {fault:?}")).await;
        assert!(planned.all_happened(), "the saga has fewer than {nth} writes");
        check_run(nth, fault, done);
    }
}

/// Drives a saga to its end, with a restart after each crash. Returns whether the saga was carried out.
async fn run_saga<S: Saga>(saga: &S, faults: &Faults, tag: &str) -> bool {
    let mut at_start = true;
    for _ in 0..MAX_DRIVERS {
        at_start = faults.run(saga.resume(at_start)).await;
        if saga.has_ended().await {
            return saga.check(tag).await;
        }
    }
    panic!("{tag}: the saga does not end")
}
