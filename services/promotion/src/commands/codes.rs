//! The namespace of codes that promotions and coupons share. A code is claimed before it is assigned, so that if a
//! promotion and a coupon want the same code at the same time, only one of them gets it.
//!
//! Claims for promotions and coupons are in one table. A promotion's code is claimed, then coupons are checked for it,
//! then the promotion is written. A coupon's code is claimed, then the coupon is written, then the claim is released.
//! So at any time either the claim or the coupon is visible.

use std::time::Duration;

use promox_contract::ids::PromotionId;
use promox_contract::promotion::{ClaimCodes, CodesInUse};
use promox_kernel::{Error, Json};
use promox_storage::{StoreError, Tx};

use crate::queries;
use crate::records::{CodeClaim, PromotionByCode};
use crate::reject;

/// How long an unreleased claim lasts, which is longer than any request may take.
const CLAIM_LIFETIME: Duration = Duration::from_mins(2);
/// Maximum expired claims removed by one sweep.
const MAX_SWEEP: usize = 500;

/// Refuses a code that another promotion has.
pub(super) fn check_code(tx: &Tx<'_>, id: Option<PromotionId>, code_key: Option<&String>) -> Result<(), Error> {
    let Some(key) = code_key else { return Ok(()) };
    match tx.get_by::<PromotionByCode>(Some(key))? {
        Some(other) if Some(other.id) != id => Err(reject::code_taken(key)),
        _ => Ok(()),
    }
}

fn other_claims(tx: &Tx<'_>, owner: &str) -> Result<Vec<CodeClaim>, StoreError> {
    let now = tx.now();
    let rows = tx.scan::<CodeClaim>().rows();
    rows.filter(|row| row.as_ref().map_or(true, |row| row.owner != owner && row.until > now)).collect()
}

/// Claims a code for a promotion. Returns `None` while another claim covers the code, because its outcome is unknown.
pub(crate) fn claim(tx: &mut Tx<'_>, owner: &str, code: &String) -> Result<Option<()>, Error> {
    check_code(tx, None, Some(code))?;
    if other_claims(tx, owner)?.iter().any(|other| other.names(code) || other.spans(code)) {
        return Ok(None);
    }
    put_claim(tx, owner, true, vec![code.clone()], None)?;
    Ok(Some(()))
}

/// Claims codes for coupons. Returns the codes that promotions already have, or `None` while the claim of a promotion
/// covers one of them.
pub(crate) fn claim_for_coupons(tx: &mut Tx<'_>, op: &ClaimCodes) -> Result<Option<CodesInUse>, Error> {
    let spanned = |code: &String| {
        op.span.as_ref().is_some_and(|(first, last)| code.len() == first.len() && first <= code && code <= last)
    };
    let requested = |code: &String| op.codes.contains(code) || spanned(code);
    if other_claims(tx, &op.owner)?.iter().any(|other| other.by_promotion && other.codes.iter().any(requested)) {
        return Ok(None);
    }
    let taken = queries::taken_codes(tx, op.codes.clone())?;
    let free: Vec<String> = op.codes.iter().filter(|code| !taken.contains(code)).cloned().collect();
    if !free.is_empty() || op.span.is_some() {
        put_claim(tx, &op.owner, false, free, op.span.clone())?;
    }
    Ok(Some(CodesInUse { taken }))
}

fn put_claim(
    tx: &mut Tx<'_>,
    owner: &str,
    by_promotion: bool,
    codes: Vec<String>,
    span: Option<(String, String)>,
) -> Result<(), StoreError> {
    let (first, last) = span.unzip();
    let (owner, until) = (owner.to_owned(), tx.now() + CLAIM_LIFETIME);
    tx.put(&CodeClaim { owner, by_promotion, codes: Json(codes), first, last, until })
}

/// Ends a claim. Returns whether it existed.
pub(crate) fn release(tx: &mut Tx<'_>, owner: &String) -> Result<bool, StoreError> {
    tx.delete::<CodeClaim>(owner)
}

/// Ends the claim of a promotion that is about to be written. Refuses if the claim has expired, because the code may
/// belong to another by now.
pub(crate) fn finish_claim(tx: &mut Tx<'_>, owner: Option<&String>) -> Result<(), Error> {
    match owner {
        Some(owner) if !release(tx, owner)? => Err(reject::claim_expired()),
        _ => Ok(()),
    }
}

/// Removes claims that a crash left behind. Returns whether there may be more.
pub(crate) fn sweep(tx: &mut Tx<'_>) -> Result<bool, StoreError> {
    let now = tx.now();
    let mut expired = Vec::new();
    for claim in tx.scan::<CodeClaim>().rows() {
        let claim = claim?;
        if claim.until <= now && expired.len() < MAX_SWEEP {
            expired.push(claim.owner);
        }
    }
    for owner in &expired {
        tx.delete::<CodeClaim>(owner)?;
    }
    Ok(expired.len() == MAX_SWEEP)
}
