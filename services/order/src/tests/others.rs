//! The services that a checkout holds in and is paid by, each of whose operations can fail once, before or after it acts.

use promox_testkit::Setup;
use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use promox_contract::campaign::{HoldBudgets, ReleaseBudgets};
use promox_contract::coupon::{HoldCoupons, ReleaseCoupons};
use promox_contract::flashsale::{HoldFlashPieces, ReleaseFlashPieces};
use promox_contract::inventory::{HoldStock, ReleaseStock};
use promox_contract::payment::{CancelPayment, GetOrderPayment, PaymentOutcome, PaymentStatus, TakePayment};
use promox_contract::promotion::{HoldUses, ReleaseUses};
use promox_contract::reward::{HoldPoints, ReleasePoints};
use promox_kernel::{Cx, Error, Handle, Op, register};

use super::desk::paid;

/// How an operation fails, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Nothing answers, and nothing was done.
    Before,
    /// It was done, and nothing answers.
    After,
    /// It is refused for good.
    Refused,
    /// It was done, and the process that asked for it has ended.
    Ended,
}

/// Where a hold stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Held,
    Released,
}

/// What the other services know of the one order.
#[derive(Debug, Default)]
pub(super) struct Others {
    plan: Mutex<BTreeMap<&'static str, Fault>>,
    holds: Mutex<BTreeMap<&'static str, Standing>>,
    payment: Mutex<Option<PaymentStatus>>,
    /// How often money was taken.
    pub(super) charges: Mutex<u32>,
    /// Whether the one who asks has gone, so that it hears no answer.
    asked_by_nobody: Mutex<bool>,
}

impl Others {
    /// Others of whom `operation` fails once.
    pub(super) fn failing(operation: &'static str, fault: Fault) -> Arc<Self> {
        Arc::new(Self { plan: Mutex::new(BTreeMap::from([(operation, fault)])), ..Self::default() })
    }

    /// Has another operation fail once, too.
    pub(super) fn fail_too(&self, operation: &'static str, fault: Fault) {
        self.plan.lock().insert(operation, fault);
    }

    pub(super) fn register(self: &Arc<Self>, setup: &mut Setup) {
        register!(setup, self;
            HoldStock, ReleaseStock, HoldUses, ReleaseUses, HoldBudgets, ReleaseBudgets, HoldCoupons, ReleaseCoupons,
            HoldPoints, ReleasePoints, HoldFlashPieces, ReleaseFlashPieces, TakePayment, CancelPayment, GetOrderPayment,
        );
    }

    /// What is held.
    pub(super) fn held(&self) -> Vec<&'static str> {
        self.standing(Standing::Held)
    }

    /// What was released.
    pub(super) fn released(&self) -> Vec<&'static str> {
        self.standing(Standing::Released)
    }

    fn standing(&self, wanted: Standing) -> Vec<&'static str> {
        let holds = self.holds.lock();
        holds.iter().filter(|(_, standing)| **standing == wanted).map(|(service, _)| *service).collect()
    }

    /// Where the payment stands.
    pub(super) fn payment(&self) -> Option<PaymentStatus> {
        *self.payment.lock()
    }

    /// Does `work` for an operation, as its fault has it.
    fn act<T>(&self, operation: &'static str, work: impl Fn() -> Result<T, Error>) -> Result<T, Error> {
        let fault = self.plan.lock().remove(operation);
        let silent = || Error::unavailable("SILENT", "Nothing answers.", 1);
        match fault {
            Some(Fault::Before) => Err(silent()),
            Some(Fault::Refused) => Err(Error::conflict("REFUSED", "It is refused.")),
            Some(Fault::After) => work().and(Err(silent())),
            Some(Fault::Ended) => {
                *self.asked_by_nobody.lock() = true;
                work()
            }
            // Whoever did not hear the answer asks again.
            None => work().and_then(|_| work()),
        }
    }

    /// Gives an answer, unless nobody is there to hear it.
    async fn answer<T>(&self, answer: Result<T, Error>) -> Result<T, Error> {
        if std::mem::take(&mut *self.asked_by_nobody.lock()) { std::future::pending().await } else { answer }
    }

    fn hold(&self, operation: &'static str, service: &'static str) -> Result<(), Error> {
        self.act(operation, || match self.holds.lock().entry(service).or_insert(Standing::Held) {
            Standing::Held => Ok(()),
            Standing::Released => Err(Error::conflict("RELEASED", "The order has released this.")),
        })
    }

    fn release(&self, operation: &'static str, service: &'static str) -> Result<(), Error> {
        self.act(operation, || {
            self.holds.lock().insert(service, Standing::Released);
            Ok(())
        })
    }

    fn outcome(&self) -> PaymentOutcome {
        PaymentOutcome { status: self.payment().unwrap_or(PaymentStatus::Failed), ..paid() }
    }
}

/// Handlers of a service's hold and release.
macro_rules! holds {
    ($($service:literal: $hold:ty, $release:ty;)+) => {$(
        impl Handle<$hold> for Others {
            async fn handle(&self, _: &Cx, _: $hold) -> Result<(), Error> {
                self.answer(self.hold(<$hold as Op>::NAME, $service)).await
            }
        }
        impl Handle<$release> for Others {
            async fn handle(&self, _: &Cx, _: $release) -> Result<(), Error> {
                self.release(<$release as Op>::NAME, $service)
            }
        }
    )+};
}
holds! {
    "inventory": HoldStock, ReleaseStock;
    "promotion": HoldUses, ReleaseUses;
    "campaign": HoldBudgets, ReleaseBudgets;
    "coupon": HoldCoupons, ReleaseCoupons;
    "reward": HoldPoints, ReleasePoints;
    "flashsale": HoldFlashPieces, ReleaseFlashPieces;
}

impl Handle<TakePayment> for Others {
    async fn handle(&self, _: &Cx, _: TakePayment) -> Result<PaymentOutcome, Error> {
        let taken = self.act(TakePayment::NAME, || {
            let mut payment = self.payment.lock();
            if payment.is_none() {
                *payment = Some(PaymentStatus::Captured);
                *self.charges.lock() += 1;
            }
            Ok(())
        });
        match taken {
            Err(error) if error.is_decided() => *self.payment.lock() = Some(PaymentStatus::Failed),
            taken => taken?,
        }
        self.answer(Ok(self.outcome())).await
    }
}

impl Handle<CancelPayment> for Others {
    async fn handle(&self, _: &Cx, _: CancelPayment) -> Result<(), Error> {
        self.act(CancelPayment::NAME, || {
            let mut payment = self.payment.lock();
            if *payment == Some(PaymentStatus::Captured) {
                *payment = Some(PaymentStatus::Refunded);
            }
            Ok(())
        })
    }
}

impl Handle<GetOrderPayment> for Others {
    async fn handle(&self, _: &Cx, _: GetOrderPayment) -> Result<PaymentOutcome, Error> {
        self.act(GetOrderPayment::NAME, || match self.payment() {
            Some(_) => Ok(self.outcome()),
            None => Err(Error::not_found("payment")),
        })
    }
}
