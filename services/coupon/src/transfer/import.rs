//! The import: rows in chunks of one transaction each; a faulty row is reported and does not affect others.

use std::collections::BTreeSet;

use promox_contract::codes;
use promox_contract::ids::PromotionId;
use promox_contract::import::{ImportReport, RowError, is_row_fault};
use promox_contract::promotion::DescribePromotions;
use promox_contract::user::DescribeUsers;
use promox_kernel::{Cx, Error, Kind, UserId};
use promox_storage::{Lane, Tx};
use tokio::sync::mpsc;

use super::rows::{self, Parsed, Row};
use crate::Coupons;
use crate::api::ImportCoupons;
use crate::claims::Claim;
use crate::commands::coupons::{self, NewCoupon, unknown_promotion, unknown_user};
use crate::reject;
use crate::rules::code;
use crate::rules::standing::Terms;

/// Rows per transaction.
const CHUNK: usize = 200;
/// Chunks that are read ahead.
const AHEAD: usize = 2;

/// Imports a stream of rows.
pub(crate) async fn import(coupons: &Coupons, cx: &Cx, asked: ImportCoupons) -> Result<ImportReport, Error> {
    let Some(reader) = asked.body.reader else {
        return Err(Error::new(Kind::Malformed, codes::BODY_MISSING, "Send the rows as the body."));
    };
    let (sender, mut chunks) = mpsc::channel::<Vec<Parsed>>(AHEAD);
    let is_csv = asked.body.media_type == "text/csv";
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
        take(coupons, cx, chunk, asked.promotion_id, &mut report).await?;
    }
    reading.await.map_err(Error::internal)?;
    report.errors.sort_by_key(|error| error.row);
    Ok(report)
}

/// Checks a chunk with other services, and commits its valid rows in key order.
async fn take(
    coupons: &Coupons,
    cx: &Cx,
    chunk: Vec<Parsed>,
    promotion: Option<PromotionId>,
    report: &mut ImportReport,
) -> Result<(), Error> {
    let mut good = Vec::with_capacity(chunk.len());
    for parsed in chunk {
        match parsed.and_then(|(row, it)| read(row, it, promotion)) {
            Ok(new) => good.push(new),
            Err(error) => report.refuse(error),
        }
    }
    let promotions = known_promotions(cx, &good).await?;
    let users = known_users(cx, &good).await?;
    let codes = good.iter().map(|(_, new)| new.code.1.clone()).collect();
    let (claim, taken) = Claim::codes(cx, codes).await?;
    good.retain(|(row, new)| {
        let error = if !promotions.contains(&new.promotion_id) {
            unknown_promotion(new.promotion_id)
        } else if let Some(id) = new.user_id.filter(|id| !users.contains(id)) {
            unknown_user(id)
        } else if taken.contains(&new.code.1) {
            reject::taken(new.code.0.clone())
        } else {
            return true;
        };
        report.refuse(RowError::of(*row, &error));
        false
    });
    good.sort_by(|(_, a), (_, b)| a.code.1.cmp(&b.code.1));
    let committed = commit(coupons, cx, good, report).await;
    claim.release(cx).await;
    committed
}

/// A row as a coupon.
fn read(row: u64, it: Row, promotion: Option<PromotionId>) -> Result<(u64, NewCoupon), RowError> {
    let code =
        code::check(&it.code).map_err(|detail| RowError::new(row, codes::INVALID_CODE, format!("code: {detail}")))?;
    let Some(promotion_id) = it.promotion_id.or(promotion) else {
        return Err(RowError::new(row, codes::MISSING, "promotionId: give it in the row or in the query"));
    };
    let terms = Terms {
        max_redemptions: it.max_redemptions,
        per_user_limit: it.per_user_limit,
        starts_at: it.starts_at,
        ends_at: it.ends_at,
    };
    Ok((row, NewCoupon { code, promotion_id, user_id: it.user_id, terms }))
}

async fn known_promotions(cx: &Cx, good: &[(u64, NewCoupon)]) -> Result<BTreeSet<PromotionId>, Error> {
    let ids: BTreeSet<PromotionId> = good.iter().map(|(_, new)| new.promotion_id).collect();
    if ids.is_empty() {
        return Ok(ids);
    }
    let found = cx.call(DescribePromotions { ids: ids.into_iter().collect() }).await?;
    Ok(found.items.into_iter().map(|item| item.id).collect())
}

async fn known_users(cx: &Cx, good: &[(u64, NewCoupon)]) -> Result<BTreeSet<UserId>, Error> {
    let ids: BTreeSet<UserId> = good.iter().filter_map(|(_, new)| new.user_id).collect();
    if ids.is_empty() {
        return Ok(ids);
    }
    let found = cx.call(DescribeUsers { ids: ids.into_iter().collect() }).await?;
    Ok(found.items.into_iter().map(|item| item.id).collect())
}

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
