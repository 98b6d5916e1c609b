//! Claims on codes, which the promotion service stores. A code is claimed while its coupon is created, so that no
//! promotion takes it in the meantime.

use promox_contract::promotion::{ClaimCodes, ReleaseCodes};
use promox_kernel::{Cx, Error};

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
