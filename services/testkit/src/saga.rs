//! A matrix for sagas: each step fails before and after it acts, is refused, is repeated, and is cut off by a crash before and
//! after it acts; so is each write. Whatever happens, the saga reaches one of its ends.
//!
//! The tests of a saga say how one is begun, resumed and checked ([`Saga`]), and put [`Faults`] where its steps act: into the
//! handlers that answer for other services, and by [`Setup::failing`](crate::Setup::failing) into the store.

use std::collections::BTreeMap;
use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use parking_lot::Mutex;
use promox_kernel::Error;

/// Drivers of one saga at most: one that needs more has no end.
const MAX_DRIVERS: usize = 25;

/// What goes wrong with a step or a write, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing answers, and nothing was done.
    FailsBefore,
    /// It was done, and nothing answers.
    FailsAfter,
    /// It is refused for good.
    Refused,
    /// The process ends, and nothing was done.
    CrashesBefore,
    /// It was done, and the process ends.
    CrashesAfter,
}

impl Fault {
    /// All faults.
    pub const ALL: [Self; 5] =
        [Self::FailsBefore, Self::FailsAfter, Self::Refused, Self::CrashesBefore, Self::CrashesAfter];
    /// The faults of a step that may not be refused.
    pub const TRANSIENT: [Self; 4] = [Self::FailsBefore, Self::FailsAfter, Self::CrashesBefore, Self::CrashesAfter];

    /// Whether the process ends.
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
    /// The write that goes wrong, 1 for the next.
    write: Option<(u32, Fault)>,
    crashed: bool,
}

impl Faults {
    /// Plans a fault of a step, for the next time.
    pub fn plan(&self, step: &'static str, fault: Fault) {
        self.0.lock().steps.insert(step, fault);
    }

    /// Plans a fault of a write: the `nth` from now, 1 for the next. One that fails is refused as by a busy store.
    pub fn plan_write(&self, nth: u32, fault: Fault) {
        self.0.lock().write = Some((nth, fault));
    }

    /// Whether all planned faults have happened.
    pub fn all_happened(&self) -> bool {
        let plan = self.0.lock();
        plan.steps.is_empty() && plan.write.is_none()
    }

    /// Runs a step with its planned fault. Without one it runs twice: a caller that misses the reply repeats its request.
    pub async fn act<T>(&self, step: &'static str, work: impl Fn() -> Result<T, Error>) -> Result<T, Error> {
        let fault = self.0.lock().steps.remove(step);
        let silent = || Error::unavailable("SILENT", "Nothing answers.", 1);
        match fault {
            None => work().and_then(|_| work()),
            Some(Fault::FailsBefore) => Err(silent()),
            Some(Fault::FailsAfter) => work().and(Err(silent())),
            Some(Fault::Refused) => Err(Error::conflict("REFUSED", "It is refused.")),
            Some(Fault::CrashesBefore) => self.crash().await,
            Some(Fault::CrashesAfter) => {
                let _ = work();
                self.crash().await
            }
        }
    }

    async fn crash<T>(&self) -> T {
        self.0.lock().crashed = true;
        pending().await
    }

    /// The fault of a write that is about to be done.
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

    /// Runs a driver to its end or to a crash, where it is dropped; whether it crashed.
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
    /// Prepares one, before anything can fail.
    async fn begin(faults: Arc<Faults>) -> Self;
    /// Drives it as far as it gets: as a start of the process does, or as the sweeper does when its time has come.
    async fn resume(&self, at_start: bool);
    /// Whether nothing is left to do.
    async fn has_ended(&self) -> bool;
    /// Checks that it is at one of its ends, with everything in order; whether it was carried out and not undone. `tag` says
    /// what went wrong.
    async fn check(&self, tag: &str) -> bool;
}

/// One run of the matrix.
#[derive(Debug)]
pub struct Run {
    /// The step that went wrong.
    pub step: &'static str,
    /// What happened to it.
    pub fault: Fault,
    /// Whether the saga came to the step at all.
    pub met: bool,
    /// Whether the saga was carried out and not undone.
    pub done: bool,
}

impl Run {
    /// What went wrong, for messages.
    pub fn tag(&self) -> String {
        format!("{} {:?}", self.step, self.fault)
    }
}

/// Runs a saga once for each step and fault, in addition to the faults in `besides`; `judge` checks each run.
pub async fn run_steps<S: Saga>(
    besides: &[(&'static str, Fault)],
    steps: &[&'static str],
    faults: &[Fault],
    judge: impl Fn(&Run),
) {
    for (step, fault) in steps.iter().flat_map(|step| faults.iter().map(move |fault| (*step, *fault))) {
        let mut run = Run { step, fault, met: false, done: false };
        let planned = Arc::new(Faults::default());
        let saga = S::begin(planned.clone()).await;
        besides.iter().chain([&(step, fault)]).for_each(|(step, fault)| planned.plan(step, *fault));
        run.done = run_saga(&saga, &planned, &run.tag()).await;
        run.met = planned.all_happened();
        judge(&run);
    }
}

/// Runs a saga once for each fault of each of its first writes; `judge` gets the number of the write, the fault, and whether
/// the saga was carried out.
pub async fn run_writes<S: Saga>(writes: u32, faults: &[Fault], judge: impl Fn(u32, Fault, bool)) {
    for (nth, fault) in (1..=writes).flat_map(|nth| faults.iter().map(move |fault| (nth, *fault))) {
        let planned = Arc::new(Faults::default());
        let saga = S::begin(planned.clone()).await;
        planned.plan_write(nth, fault);
        let done = run_saga(&saga, &planned, &format!("write {nth} {fault:?}")).await;
        assert!(planned.all_happened(), "the saga has fewer than {nth} writes");
        judge(nth, fault, done);
    }
}

/// Drives a saga to its end, with a start after each crash; whether it was carried out.
async fn run_saga<S: Saga>(saga: &S, faults: &Faults, tag: &str) -> bool {
    let mut at_start = true;
    for _ in 0..MAX_DRIVERS {
        at_start = faults.run(saga.resume(at_start)).await;
        if saga.has_ended().await {
            return saga.check(tag).await;
        }
    }
    panic!("{tag}: a saga without an end")
}
