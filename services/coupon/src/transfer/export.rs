//! Exports the codes of a batch as of one moment, as a stream.

use std::io::Write as _;

use promox_kernel::{Download, Error, Timestamp, Warnings};
use promox_storage::{Db, ExportWriter, Tx};

use crate::records::{Batch, CouponByPromotion};
use crate::rules::pattern::Pattern;

/// Starts an export of a batch. Returns the stream.
pub(crate) async fn export(db: &Db, batch: Batch, now: Timestamp) -> Result<Download, Error> {
    let name = format!("coupons-{}.csv", batch.id);
    db.export("text/csv", name, move |tx, out| write(tx, &batch, now, out)).await
}

/// Writes the codes as CSV. Codes contain no characters that need quotes.
fn write(tx: &Tx<'_>, batch: &Batch, now: Timestamp, out: &mut ExportWriter) -> Result<(), Error> {
    let pattern = Pattern::parse(&batch.pattern).map_err(Error::internal)?;
    let disabled = batch.disabled_at.is_some();
    out.expect_rows(batch.generated.cast_unsigned());
    out.buffer().extend_from_slice(b"code,status,redeemed,maxRedemptions,endsAt\r\n");
    let mut warnings = Warnings::default();
    for coupon in tx.scan_by::<CouponByPromotion>().prefix((batch.promotion_id, Some(batch.id))).rows() {
        let Some(coupon) = warnings.unless_damaged(coupon)? else { continue };
        let (code, status) = (pattern.format(&coupon.code), coupon.status(disabled, now));
        let most = coupon.max_redemptions.map(|most| most.to_string()).unwrap_or_default();
        let ends = coupon.ends_at.map(|at| at.to_string()).unwrap_or_default();
        write!(out.buffer(), "{code},{status},{},{most},{ends}\r\n", coupon.redeemed).map_err(Error::internal)?;
        if !out.end_row() {
            return Ok(());
        }
    }
    warnings.check_whole()
}
