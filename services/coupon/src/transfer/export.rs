//! Exports the codes of a batch as of one moment, as a stream.

use std::io::Write as _;

use bytes::Bytes;
use promox_kernel::{BodyReader, BodySender, Download, Error, Timestamp, Warnings};
use promox_storage::{Db, Reader, Tx};

use crate::records::{Batch, CouponByPromotion};
use crate::rules::pattern::Pattern;

/// Bytes per chunk of the stream.
const CHUNK: usize = 64 << 10;

/// Starts an export on a blocking thread.
pub(crate) fn export(db: &Db, batch: Batch, now: Timestamp) -> Result<Download, Error> {
    let state = db.long_read()?;
    let (sender, reader) = BodyReader::pair();
    let database = db.database();
    let name = format!("coupons-{}.csv", batch.id);
    tokio::task::spawn_blocking(move || {
        let state: &dyn Reader = &*state;
        if let Err(error) = write(&Tx::unbounded(state, database), &batch, now, &sender) {
            sender.send_blocking(Err(error));
        }
    });
    Ok(Download { file_name: Some(name), ..Download::stream("text/csv", reader) })
}

/// Writes the codes as CSV. Codes contain no characters that need quotes.
fn write(tx: &Tx<'_>, batch: &Batch, now: Timestamp, sender: &BodySender) -> Result<(), Error> {
    let pattern = Pattern::parse(&batch.pattern).map_err(Error::internal)?;
    let disabled = batch.disabled_at.is_some();
    let mut out = Vec::with_capacity(CHUNK + 256);
    out.extend_from_slice(b"code,status,redeemed,maxRedemptions,endsAt\r\n");
    let mut warnings = Warnings::default();
    for coupon in tx.scan_by::<CouponByPromotion>().prefix((batch.promotion_id, Some(batch.id))).rows() {
        let Some(coupon) = warnings.unless_damaged(coupon)? else { continue };
        let (code, status) = (pattern.format(&coupon.code), coupon.status(disabled, now));
        let most = coupon.max_redemptions.map(|most| most.to_string()).unwrap_or_default();
        let ends = coupon.ends_at.map(|at| at.to_string()).unwrap_or_default();
        write!(out, "{code},{status},{},{most},{ends}\r\n", coupon.redeemed).map_err(Error::internal)?;
        if out.len() >= CHUNK && !sender.send_blocking(Ok(Bytes::from(std::mem::take(&mut out)))) {
            return Ok(());
        }
    }
    sender.send_blocking(Ok(out.into()));
    warnings.check_whole()
}
