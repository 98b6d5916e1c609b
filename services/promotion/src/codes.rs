//! Claims codes in the namespace that promotions and coupons share, before they are assigned.

use std::sync::Arc;
use std::time::Duration;

use promox_contract::coupon::FindCouponCodes;
use promox_contract::promotion::{ClaimCodes, CodesInUse};
use promox_kernel::{Cx, Error};
use promox_storage::Tx;

use crate::commands::codes;
use crate::rules::{self, normal_code};
use crate::{Promotions, reject};

/// How long to wait before trying again to claim codes that another request is claiming.
const RETRY_INTERVAL: Duration = Duration::from_millis(10);
/// Maximum attempts to claim codes.
const MAX_TRIES: u32 = 200;

impl Promotions {
    /// Claims a code for a promotion and checks that no coupon has it. Returns the owner of the claim, for the
    /// transaction that ends it.
    async fn claim_code(&self, cx: &Cx, code: String) -> Result<String, Error> {
        let owner = format!("promotion:{}", cx.node.entropy.token());
        let (name, claimed) = (owner.clone(), code.clone());
        self.claim_with_retries(cx, move |tx| codes::claim(tx, &name, &claimed)).await?;
        let taken = cx.call(FindCouponCodes { codes: vec![code.clone()] }).await.map(|answer| answer.taken);
        match taken {
            Ok(taken) if taken.is_empty() => Ok(owner),
            refused => {
                self.release_code(cx, Some(owner)).await;
                Err(refused.err().unwrap_or_else(|| reject::code_taken(&code)))
            }
        }
    }

    /// Claims the code of a document if it differs from that of `before`. Returns the owner of the claim.
    pub(crate) async fn claim_new_code(
        &self,
        cx: &Cx,
        document: &rules::Promotion,
        before: Option<&rules::Promotion>,
    ) -> Result<Option<String>, Error> {
        let normal = |it: &rules::Promotion| it.code.as_deref().map(normal_code);
        match normal(document).filter(|code| Some(code) != before.and_then(normal).as_ref()) {
            Some(code) => self.claim_code(cx, code).await.map(Some),
            None => Ok(None),
        }
    }

    /// Claims codes for coupons. Returns those that promotions already have.
    pub(crate) async fn claim_for_coupons(&self, cx: &Cx, op: ClaimCodes) -> Result<CodesInUse, Error> {
        let op = Arc::new(op);
        self.claim_with_retries(cx, move |tx| codes::claim_for_coupons(tx, &op)).await
    }

    /// Repeats a claim until no other claim of the same codes is pending, at most [`MAX_TRIES`] times.
    async fn claim_with_retries<T, F>(&self, cx: &Cx, claim: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Fn(&mut Tx<'_>) -> Result<Option<T>, Error> + Clone + Send + 'static,
    {
        for _ in 0..MAX_TRIES {
            if let Some(done) = self.db.write(cx, claim.clone()).await? {
                return Ok(done);
            }
            cx.node.clock.sleep(RETRY_INTERVAL).await;
        }
        Err(reject::codes_busy())
    }

    /// Ends a claim that is no longer needed.
    pub(crate) async fn release_code(&self, cx: &Cx, owner: Option<String>) {
        let Some(owner) = owner else { return };
        let released = self.db.write(cx, move |tx| codes::release(tx, &owner)).await;
        if let Err(error) = released {
            tracing::warn!(%error, "could not release a claimed code; it stays claimed until the claim expires");
        }
    }
}
