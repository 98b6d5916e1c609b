//! Offers that were taken: each gets its coupon, or its points back.

use promox_contract::coupon::IssueCoupon;
use promox_kernel::{Cx, Error, Kind};
use promox_storage::Tx;

use crate::Rewards;
use crate::commands::offers;
use crate::records::{OfferRedemptionStatus, Redemption};

impl Rewards {
    /// Issues the coupon of a redeemed offer, unless it is issued already. If that is impossible, restores the points.
    pub(crate) async fn finish_redemption(&self, cx: &Cx, redemption: Redemption) -> Result<Redemption, Error> {
        if redemption.status != OfferRedemptionStatus::Pending {
            return Ok(redemption);
        }
        let Redemption { id, user_id, promotion_id, valid_days, .. } = redemption;
        let op = IssueCoupon { reference: format!("reward:{id}"), promotion_id, user_id, valid_days };
        match cx.elevated().call(op).await {
            Ok(coupon) => {
                let work = move |tx: &mut Tx<'_>| offers::record_issued(tx, id, &coupon.code);
                Ok(self.db.write(cx, work).await?)
            }
            Err(error) if error.is_decided() || matches!(error.kind(), Kind::NotFound | Kind::Schema) => {
                tracing::warn!(redemption = id.0, %error, "the coupon of an offer cannot be created; its points \
                     are restored");
                let terms = self.terms.clone();
                let work = move |tx: &mut Tx<'_>| offers::record_failed(tx, &*terms.at(tx)?, id);
                Ok(self.db.write(cx, work).await?)
            }
            Err(error) => {
                tracing::warn!(redemption = id.0, %error, "the coupon of an offer was not created yet; will retry");
                Ok(self.db.write(cx, move |tx| offers::retry_later(tx, id)).await?)
            }
        }
    }
}
