//! Stubs of the services in which a checkout takes its holds and its payment, with planned faults of their operations.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use promox_contract::campaign::{HoldBudgets, ReleaseBudgets};
use promox_contract::coupon::{HoldCoupons, ReleaseCoupons};
use promox_contract::flashsale::{HoldFlashReservations, ReleaseFlashReservations};
use promox_contract::inventory::{HoldStock, ReleaseStock};
use promox_contract::payment::{CancelPayment, GetOrderPayment, PaymentOutcome, PaymentStatus, TakePayment};
use promox_contract::promotion::{HoldUses, ReleaseUses};
use promox_contract::reward::{HoldPoints, ReleasePoints};
use promox_kernel::{Cx, Error, Handle, Op, register};
use promox_storage::{Db, Transact, Transaction, Tx};
use promox_testkit::Setup;
use promox_testkit::saga::Faults;

use super::fixture::paid;

/// The state of a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HoldState {
    Held,
    Released,
}

/// The state of the one order in the stub services.
#[derive(Debug, Default)]
pub(super) struct StubServices {
    faults: Arc<Faults>,
    holds: Mutex<BTreeMap<&'static str, HoldState>>,
    /// The payment as the payment service has recorded it.
    payment: Arc<Mutex<Option<PaymentStatus>>>,
    /// The number of charges at the provider.
    pub(super) charges: Mutex<u32>,
    /// The database in which the payment service records a capture.
    db: OnceLock<Db>,
}

impl StubServices {
    /// Stub services whose operations have these faults.
    pub(super) fn with_faults(faults: Arc<Faults>) -> Arc<Self> {
        Arc::new(Self { faults, ..Self::default() })
    }

    pub(super) fn register(self: &Arc<Self>, setup: &mut Setup) {
        register!(setup, self;
            HoldStock, ReleaseStock, HoldUses, ReleaseUses, HoldBudgets, ReleaseBudgets, HoldCoupons, ReleaseCoupons,
            HoldPoints, ReleasePoints, HoldFlashReservations, ReleaseFlashReservations, CancelPayment, GetOrderPayment,
        );
        setup.register_transaction::<TakePayment, _>(self);
    }

    /// Names the database in which a capture is recorded.
    pub(super) fn record_in(&self, db: &Db) {
        self.db.set(db.clone()).unwrap();
    }

    /// The services that have a hold.
    pub(super) fn held(&self) -> Vec<&'static str> {
        self.in_state(HoldState::Held)
    }

    /// The services that have released their hold.
    pub(super) fn released(&self) -> Vec<&'static str> {
        self.in_state(HoldState::Released)
    }

    fn in_state(&self, wanted: HoldState) -> Vec<&'static str> {
        let holds = self.holds.lock();
        holds.iter().filter(|(_, state)| **state == wanted).map(|(service, _)| *service).collect()
    }

    /// The status of the payment; `None` before it is taken.
    pub(super) fn payment(&self) -> Option<PaymentStatus> {
        *self.payment.lock()
    }

    async fn hold(&self, operation: &'static str, service: &'static str) -> Result<(), Error> {
        let hold = || match self.holds.lock().entry(service).or_insert(HoldState::Held) {
            HoldState::Held => Ok(()),
            HoldState::Released => Err(Error::conflict("RELEASED", "The order has released this hold.")),
        };
        self.faults.act(operation, hold).await
    }

    async fn release(&self, operation: &'static str, service: &'static str) -> Result<(), Error> {
        let release = || {
            self.holds.lock().insert(service, HoldState::Released);
            Ok(())
        };
        self.faults.act(operation, release).await
    }

    fn outcome(&self) -> PaymentOutcome {
        PaymentOutcome { status: self.payment().unwrap_or(PaymentStatus::Failed), ..paid() }
    }
}

/// Handlers of the operations that take and release a hold in a service.
macro_rules! holds {
    ($($service:literal: $hold:ty, $release:ty;)+) => {$(
        impl Handle<$hold> for StubServices {
            async fn handle(&self, _: &Cx, _: $hold) -> Result<(), Error> {
                self.hold(<$hold as Op>::NAME, $service).await
            }
        }
        impl Handle<$release> for StubServices {
            async fn handle(&self, _: &Cx, _: $release) -> Result<(), Error> {
                self.release(<$release as Op>::NAME, $service).await
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
    "flashsale": HoldFlashReservations, ReleaseFlashReservations;
}

/// The provider charges an order once, however often it is requested. A capture is recorded by the transaction.
impl Transact<TakePayment> for StubServices {
    async fn transaction(&self, _: &Cx, _: TakePayment) -> Result<Transaction<PaymentOutcome>, Error> {
        let charge = || {
            let mut charges = self.charges.lock();
            *charges = 1.max(*charges);
            Ok(())
        };
        let is_new = self.payment().is_none();
        let is_declined = match self.faults.act(TakePayment::NAME, charge).await {
            Err(error) if error.is_decided() => true,
            charged => charged.map(|()| false)?,
        };
        if is_declined {
            *self.payment.lock() = Some(PaymentStatus::Failed);
        }
        let status = if is_new && !is_declined { PaymentStatus::Captured } else { self.outcome().status };
        let (payment, outcome) = (self.payment.clone(), PaymentOutcome { status, ..paid() });
        let reply = outcome.clone();
        let record = move |_: &mut Tx<'_>| {
            *payment.lock() = Some(status);
            Ok(reply.clone())
        };
        Ok(self.db.get().unwrap().transaction(record).expecting(outcome))
    }
}

impl Handle<CancelPayment> for StubServices {
    async fn handle(&self, _: &Cx, _: CancelPayment) -> Result<(), Error> {
        let cancel = || {
            let mut payment = self.payment.lock();
            if *payment == Some(PaymentStatus::Captured) {
                *payment = Some(PaymentStatus::Refunded);
            }
            Ok(())
        };
        self.faults.act(CancelPayment::NAME, cancel).await
    }
}

impl Handle<GetOrderPayment> for StubServices {
    async fn handle(&self, _: &Cx, _: GetOrderPayment) -> Result<PaymentOutcome, Error> {
        let get = || match self.payment() {
            Some(_) => Ok(self.outcome()),
            None => Err(Error::not_found("payment")),
        };
        self.faults.act(GetOrderPayment::NAME, get).await
    }
}
