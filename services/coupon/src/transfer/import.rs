//! Imports rows in chunks of one transaction each. A faulty row is reported and does not affect others.

use std::collections::BTreeSet;

use promox_contract::codes;
use promox_contract::ids::PromotionId;
use promox_contract::import::{ImportReport, RowError, body_missing, is_row_fault};
use promox_contract::promotion::DescribePromotions;
use promox_contract::user::DescribeUsers;
use promox_kernel::{Cx, Error, UserId};
use promox_storage::{Lane, Tx};
use tokio::sync::mpsc;

use super::rows::{self, Parsed, Row};
use crate::Coupons;
use crate::api::ImportCoupons;
use crate::code_claims::CodeClaim;
use crate::commands::coupons::{self, NewCoupon, unknown_promotion, unknown_user};
use crate::reject;
use crate::rules::code;
use crate::rules::eligibility::Terms;

/// Rows per transaction.
const CHUNK: usize = 200;
/// Maximum chunks that are read ahead.
const CHUNKS_AHEAD: usize = 2;

/// Imports a stream of rows. Returns the outcome of each.
pub(crate) async fn import(coupons: &Coupons, cx: &Cx, op: ImportCoupons) -> Result<ImportReport, Error> {
    let Some(reader) = op.body.reader else {
        return Err(body_missing());
    };
    let (sender, mut chunks) = mpsc::channel::<Vec<Parsed>>(CHUNKS_AHEAD);
    let is_csv = op.body.media_type == "text/csv";
    let reading = tokio::task::spawn_blocking(move || {
        let mut chunk = Vec::with_capacity(CHUNK);
        rows::read(reader, is_csv, |parsed| {
            chunk.push(parsed);
            chunk.len() < CHUNK || sender.blocking_send(std::mem::take(&mut chunk)).is_ok()
        });
        let _ = sender.blocking_send(chunk);
    });
    let mut report = ImportReport::default();
    while let Some(chunk) = chunks.recv().await {
        import_chunk(coupons, cx, chunk, op.promotion_id, &mut report).await?;
    }
    reading.await.map_err(Error::internal)?;
    report.errors.sort_by_key(|error| error.row);
    Ok(report)
}

/// Checks a chunk against other services, and commits its valid rows in key order.
async fn import_chunk(
    coupons: &Coupons,
    cx: &Cx,
    chunk: Vec<Parsed>,
    promotion: Option<PromotionId>,
    report: &mut ImportReport,
) -> Result<(), Error> {
    let mut valid = Vec::with_capacity(chunk.len());
    for parsed in chunk {
        match parsed.and_then(|(row, it)| to_coupon(row, it, promotion)) {
            Ok(new) => valid.push(new),
            Err(error) => report.refuse(error),
        }
    }
    let promotions = known_promotions(cx, &valid).await?;
    let users = known_users(cx, &valid).await?;
    let codes = valid.iter().map(|(_, new)| new.code.1.clone()).collect();
    let (claim, taken) = CodeClaim::codes(cx, codes).await?;
    valid.retain(|(row, new)| {
        let error = if !promotions.contains(&new.promotion_id) {
            unknown_promotion(new.promotion_id)
        } else if let Some(id) = new.user_id.filter(|id| !users.contains(id)) {
            unknown_user(id)
        } else if taken.contains(&new.code.1) {
            reject::code_taken(new.code.0.clone())
        } else {
            return true;
        };
        report.refuse(RowError::of(*row, &error));
        false
    });
    valid.sort_by(|(_, a), (_, b)| a.code.1.cmp(&b.code.1));
    let committed = commit(coupons, cx, valid, report).await;
    claim.release(cx).await;
    committed
}

/// Converts a row to a coupon. `promotion` is the default for rows that name none.
fn to_coupon(row: u64, it: Row, promotion: Option<PromotionId>) -> Result<(u64, NewCoupon), RowError> {
    let code =
        code::check(&it.code).map_err(|detail| RowError::new(row, codes::INVALID_CODE, format!("code: {detail}")))?;
    let Some(promotion_id) = it.promotion_id.or(promotion) else {
        return Err(RowError::new(row, codes::MISSING, "promotionId: set it in the row or in the query"));
    };
    let terms = Terms {
        max_redemptions: it.max_redemptions,
        per_user_limit: it.per_user_limit,
        starts_at: it.starts_at,
        ends_at: it.ends_at,
    };
    Ok((row, NewCoupon { code, promotion_id, user_id: it.user_id, terms }))
}

/// The promotions of the rows that exist.
async fn known_promotions(cx: &Cx, valid: &[(u64, NewCoupon)]) -> Result<BTreeSet<PromotionId>, Error> {
    let ids: BTreeSet<PromotionId> = valid.iter().map(|(_, new)| new.promotion_id).collect();
    if ids.is_empty() {
        return Ok(ids);
    }
    let found = cx.call(DescribePromotions { ids: ids.into_iter().collect() }).await?;
    Ok(found.items.into_iter().map(|item| item.id).collect())
}

/// The accounts of the rows that exist.
async fn known_users(cx: &Cx, valid: &[(u64, NewCoupon)]) -> Result<BTreeSet<UserId>, Error> {
    let ids: BTreeSet<UserId> = valid.iter().filter_map(|(_, new)| new.user_id).collect();
    if ids.is_empty() {
        return Ok(ids);
    }
    let found = cx.call(DescribeUsers { ids: ids.into_iter().collect() }).await?;
    Ok(found.items.into_iter().map(|item| item.id).collect())
}

/// Imports rows in one transaction and counts their outcomes.
async fn commit(
    coupons: &Coupons,
    cx: &Cx,
    rows: Vec<(u64, NewCoupon)>,
    report: &mut ImportReport,
) -> Result<(), Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let caller = cx.clone();
    let work = move |tx: &mut Tx<'_>| {
        let mut outcomes = Vec::with_capacity(rows.len());
        for (row, new) in &rows {
            outcomes.push(match coupons::import(tx, &caller, new) {
                Ok(outcome) => Ok(outcome),
                Err(error) if is_row_fault(&error) => Err(RowError::of(*row, &error)),
                Err(error) => return Err(error),
            });
        }
        Ok(outcomes)
    };
    coupons.db.write_in(cx, Lane::Bulk, work).await?.into_iter().for_each(|row| report.count(row));
    Ok(())
}
