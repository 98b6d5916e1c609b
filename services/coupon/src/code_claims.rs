//! Claims on codes, which the promotion service stores. A code is claimed while its coupon is created, so that no
//! promotion takes it in the meantime.

use promox_contract::codes;
use promox_contract::coupon::IssueCoupon;
use promox_contract::promotion::{ClaimCodes, ReleaseCodes};
use promox_kernel::{Cx, Error, Kind};

use crate::commands::coupons::{self, NewCoupon};
use crate::rules::code;
use crate::rules::eligibility::{Terms, days};
use crate::{Coupons, queries, reject};

/// An active claim.
#[derive(Debug)]
pub(crate) struct CodeClaim {
    owner: String,
}

impl CodeClaim {
    /// Claims codes in normal form. Returns the claim, and the codes that are not claimed because promotions have them.
    pub(crate) async fn codes(cx: &Cx, codes: Vec<String>) -> Result<(Self, Vec<String>), Error> {
        let owner = format!("coupon:{}", cx.node.entropy.token());
        let answer = cx.call(ClaimCodes { owner: owner.clone(), codes, span: None }).await?;
        Ok((Self { owner }, answer.taken))
    }

    /// Claims the range of codes between two codes of the same length, inclusive.
    pub(crate) async fn span(cx: &Cx, owner: String, span: (String, String)) -> Result<Self, Error> {
        cx.call(ClaimCodes { owner: owner.clone(), codes: Vec::new(), span: Some(span) }).await?;
        Ok(Self { owner })
    }

    /// Releases the claim. If that fails, it expires.
    pub(crate) async fn release(self, cx: &Cx) {
        if let Err(error) = cx.call(ReleaseCodes { owner: self.owner }).await {
            tracing::warn!(%error, "could not release claimed codes; they stay claimed until the claim expires");
        }
    }
}

/// Attempts to draw a code before the caller has to retry.
const MAX_TRIES: usize = 8;

impl Coupons {
    /// Draws an unused code and claims it. Returns the code as written and in normal form, and the claim.
    pub(crate) async fn free_code(&self, cx: &Cx) -> Result<((String, String), CodeClaim), Error> {
        for _ in 0..MAX_TRIES {
            let code = cx.node.entropy.code(code::DEFAULT_LENGTH);
            if let Some(claim) = self.claim_if_free(cx, &code).await? {
                return Ok(((code.clone(), code), claim));
            }
        }
        Err(Error::unavailable(codes::NO_FREE_CODE, "No unused code was found; try again.", 1))
    }

    /// Issues a personal coupon for a reference, or finds it issued, and returns its code.
    pub(crate) async fn issue(&self, cx: &Cx, op: IssueCoupon) -> Result<String, Error> {
        let ends_at = op.valid_days.map(|valid| cx.now + days(valid));
        let terms = Terms { max_redemptions: Some(1), per_user_limit: None, starts_at: None, ends_at };
        for _ in 0..MAX_TRIES {
            let (code, claim) = self.free_code(cx).await?;
            let new = NewCoupon { code, promotion_id: op.promotion_id, user_id: Some(op.user_id), terms };
            let reference = op.reference.clone();
            let issued: Result<String, Error> = self.db.write(cx, move |tx| coupons::issue(tx, &reference, &new)).await;
            claim.release(cx).await;
            match issued {
                Err(error) if error.kind() == Kind::Conflict => {}
                decided => return decided,
            }
        }
        Err(Error::unavailable(codes::NO_FREE_CODE, "No unused code was found; try again.", 1))
    }

    /// Claims the requested code, or refuses if it is taken.
    pub(crate) async fn requested_code(&self, cx: &Cx, text: &str) -> Result<((String, String), CodeClaim), Error> {
        let code = code::check(text).map_err(|fault| Error::field("/code", fault))?;
        match self.claim_if_free(cx, &code.1).await? {
            Some(claim) => Ok((code, claim)),
            None => Err(reject::code_taken(code.0)),
        }
    }

    /// Claims a code in normal form. Returns `None` if a coupon or a promotion has it.
    async fn claim_if_free(&self, cx: &Cx, normal: &String) -> Result<Option<CodeClaim>, Error> {
        let codes = std::slice::from_ref(normal);
        if !self.db.read(|tx| queries::taken_codes(tx, codes)).await?.is_empty() {
            return Ok(None);
        }
        let (claim, taken) = CodeClaim::codes(cx, vec![normal.clone()]).await?;
        Ok(taken.is_empty().then_some(claim))
    }
}
