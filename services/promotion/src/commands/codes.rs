//! The shared namespace of codes: a code is claimed before it is used, so that if a promotion and a coupon want the
//! same code at the same time, one of them gets it.
//!
//! Claims of promotions and of coupons are in one table. A promotion claims, then checks whether a coupon has the code,
//! then is written. A coupon is claimed, then written, then released: so either the claim is visible, or the coupon is.

use std::time::Duration;

use promox_contract::ids::PromotionId;
use promox_contract::promotion::{ClaimCodes, CodesInUse};
use promox_kernel::{Error, Json};
use promox_storage::{StoreError, Tx};

use crate::queries;
use crate::records::{CodeClaim, PromotionByCode};
use crate::reject;

/// How long an unreleased claim lasts: longer than any request may take.
const STANDS: Duration = Duration::from_mins(2);
/// Expired claims removed by one sweep.
const SWEEP: usize = 500;

/// Refuses a code that another promotion has.
pub(super) fn check_code(tx: &Tx<'_>, id: Option<PromotionId>, code_key: Option<&String>) -> Result<(), Error> {
    let Some(key) = code_key else { return Ok(()) };
    match tx.get_by::<PromotionByCode>(Some(key))? {
        Some(other) if Some(other.id) != id => Err(reject::code_taken(key)),
        _ => Ok(()),
    }
}

fn others(tx: &Tx<'_>, owner: &str) -> Result<Vec<CodeClaim>, StoreError> {
    let now = tx.now();
    let rows = tx.scan::<CodeClaim>().rows();
    rows.filter(|row| row.as_ref().map_or(true, |row| row.owner != owner && row.until > now)).collect()
}

/// Claims a code for a promotion. `None` while another claim covers it, named or by range: its outcome is not known
/// yet.
pub(crate) fn claim(tx: &mut Tx<'_>, owner: &str, code: &String) -> Result<Option<()>, Error> {
    check_code(tx, None, Some(code))?;
    if others(tx, owner)?.iter().any(|other| other.names(code) || other.spans(code)) {
        return Ok(None);
    }
    put(tx, owner, true, vec![code.clone()], None)?;
    Ok(Some(()))
}

/// Claims codes for coupons; returns those that promotions have. `None` while a promotion is about to take one of them.
pub(crate) fn claim_for_coupons(tx: &mut Tx<'_>, op: &ClaimCodes) -> Result<Option<CodesInUse>, Error> {
    let spanned = |code: &String| {
        op.span.as_ref().is_some_and(|(first, last)| code.len() == first.len() && first <= code && code <= last)
    };
    let in_question = |code: &String| op.codes.contains(code) || spanned(code);
    if others(tx, &op.owner)?.iter().any(|other| other.by_promotion && other.codes.iter().any(in_question)) {
        return Ok(None);
    }
    let taken = queries::taken(tx, op.codes.clone())?;
    let free: Vec<String> = op.codes.iter().filter(|code| !taken.contains(code)).cloned().collect();
    if !free.is_empty() || op.span.is_some() {
        put(tx, &op.owner, false, free, op.span.clone())?;
    }
    Ok(Some(CodesInUse { taken }))
}

fn put(
    tx: &mut Tx<'_>,
    owner: &str,
    by_promotion: bool,
    codes: Vec<String>,
    span: Option<(String, String)>,
) -> Result<(), StoreError> {
    let (first, last) = span.unzip();
    let (owner, until) = (owner.to_owned(), tx.now() + STANDS);
    tx.put(&CodeClaim { owner, by_promotion, codes: Json(codes), first, last, until })
}

/// Ends a claim; whether it existed.
pub(crate) fn release(tx: &mut Tx<'_>, owner: &String) -> Result<bool, StoreError> {
    tx.delete::<CodeClaim>(owner)
}

/// Ends the claim of a promotion that is about to be written: without it the code may belong to another by now.
pub(crate) fn redeem(tx: &mut Tx<'_>, owner: Option<&String>) -> Result<(), Error> {
    match owner {
        Some(owner) if !release(tx, owner)? => Err(reject::claim_lapsed()),
        _ => Ok(()),
    }
}

/// Removes claims that a crash left behind; whether there may be more.
pub(crate) fn sweep(tx: &mut Tx<'_>) -> Result<bool, StoreError> {
    let now = tx.now();
    let mut gone = Vec::new();
    for claim in tx.scan::<CodeClaim>().rows() {
        let claim = claim?;
        if claim.until <= now && gone.len() < SWEEP {
            gone.push(claim.owner);
        }
    }
    for owner in &gone {
        tx.delete::<CodeClaim>(owner)?;
    }
    Ok(gone.len() == SWEEP)
}
