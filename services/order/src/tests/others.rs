//! The services that a checkout holds in and is paid by, with the planned faults of their operations.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use promox_contract::campaign::{HoldBudgets, ReleaseBudgets};
use promox_contract::coupon::{HoldCoupons, ReleaseCoupons};
use promox_contract::flashsale::{HoldFlashReservations, ReleaseFlashReservations};
use promox_contract::inventory::{HoldStock, ReleaseStock};
use promox_contract::payment::{CancelPayment, GetOrderPayment, PaymentOutcome, PaymentStatus, TakePayment};
use promox_contract::promotion::{HoldUses, ReleaseUses};
use promox_contract::reward::{HoldPoints, ReleasePoints};
use promox_kernel::{Cx, Error, Handle, Op, register};
use promox_testkit::Setup;
use promox_testkit::saga::Faults;

use super::desk::paid;

/// Where a hold stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Held,
    Released,
}

/// What the other services know of the one order.
#[derive(Debug, Default)]
pub(super) struct Others {
    faults: Arc<Faults>,
    holds: Mutex<BTreeMap<&'static str, Standing>>,
    payment: Mutex<Option<PaymentStatus>>,
    /// How often money was taken.
    pub(super) charges: Mutex<u32>,
}

impl Others {
    /// Services whose operations have these faults.
    pub(super) fn among(faults: Arc<Faults>) -> Arc<Self> {
        Arc::new(Self { faults, ..Self::default() })
    }

    pub(super) fn register(self: &Arc<Self>, setup: &mut Setup) {
        register!(setup, self;
            HoldStock, ReleaseStock, HoldUses, ReleaseUses, HoldBudgets, ReleaseBudgets, HoldCoupons, ReleaseCoupons,
            HoldPoints, ReleasePoints, HoldFlashReservations, ReleaseFlashReservations, TakePayment, CancelPayment, GetOrderPayment,
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

    async fn hold(&self, operation: &'static str, service: &'static str) -> Result<(), Error> {
        let hold = || match self.holds.lock().entry(service).or_insert(Standing::Held) {
            Standing::Held => Ok(()),
            Standing::Released => Err(Error::conflict("RELEASED", "The order has released this.")),
        };
        self.faults.act(operation, hold).await
    }

    async fn release(&self, operation: &'static str, service: &'static str) -> Result<(), Error> {
        let release = || {
            self.holds.lock().insert(service, Standing::Released);
            Ok(())
        };
        self.faults.act(operation, release).await
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
                self.hold(<$hold as Op>::NAME, $service).await
            }
        }
        impl Handle<$release> for Others {
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

impl Handle<TakePayment> for Others {
    async fn handle(&self, _: &Cx, _: TakePayment) -> Result<PaymentOutcome, Error> {
        let take = || {
            let mut payment = self.payment.lock();
            if payment.is_none() {
                *payment = Some(PaymentStatus::Captured);
                *self.charges.lock() += 1;
            }
            Ok(())
        };
        match self.faults.act(TakePayment::NAME, take).await {
            Err(error) if error.is_decided() => *self.payment.lock() = Some(PaymentStatus::Failed),
            taken => taken?,
        }
        Ok(self.outcome())
    }
}

impl Handle<CancelPayment> for Others {
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

impl Handle<GetOrderPayment> for Others {
    async fn handle(&self, _: &Cx, _: GetOrderPayment) -> Result<PaymentOutcome, Error> {
        let get = || match self.payment() {
            Some(_) => Ok(self.outcome()),
            None => Err(Error::not_found("payment")),
        };
        self.faults.act(GetOrderPayment::NAME, get).await
    }
}
