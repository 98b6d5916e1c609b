//! Checks of requests: who may see a payment.

use promox_contract::order::CheckOrderAccess;
use promox_kernel::{Cx, Error, Kind};

use crate::Payments;
use crate::records::Payment;

impl Payments {
    /// Refuses callers who neither have the permission nor own the order with 404, so that ids cannot be probed.
    pub(crate) async fn authorise(&self, cx: &Cx, payment: &Payment, permission: &str) -> Result<(), Error> {
        let user = cx.principal.user();
        if cx.principal.allows(permission) || (user.is_some() && user == payment.user_id) {
            return Ok(());
        }
        let owns = cx.call(CheckOrderAccess { order_id: payment.order_id }).await;
        owns.map_err(|error| if error.kind() == Kind::NotFound { Error::not_found("payment") } else { error })
    }
}
