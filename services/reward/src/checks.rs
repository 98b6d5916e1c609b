//! Checks of requests: accounts, and the promotions of offers.

use promox_contract::codes;
use promox_contract::ids::PromotionId;
use promox_contract::promotion::DescribePromotions;
use promox_contract::user::DescribeUsers;
use promox_kernel::{Cx, Error, FieldError, UserId};

use crate::Rewards;
use crate::records::Account;

/// Checks that the caller may read the account: it is their own, or they have `reward:read`. Otherwise the account is
/// reported as not found.
pub(crate) fn check_may_read(cx: &Cx, user_id: UserId) -> Result<(), Error> {
    let own = cx.principal.user() == Some(user_id);
    if own || cx.principal.allows("reward:read") { Ok(()) } else { Err(Error::not_found("account")) }
}

impl Rewards {
    /// Returns "not found" if staff name a user that does not exist.
    pub(crate) async fn check_user(&self, cx: &Cx, user_id: UserId) -> Result<(), Error> {
        let exists = self.db.read(|tx| tx.get::<Account>(&user_id)).await?.is_some();
        if exists || cx.principal.user() == Some(user_id) {
            return Ok(());
        }
        let found = cx.call(DescribeUsers { ids: vec![user_id] }).await?;
        if found.items.is_empty() { Err(Error::not_found("account")) } else { Ok(()) }
    }

    pub(crate) async fn check_promotion(&self, cx: &Cx, id: PromotionId) -> Result<(), Error> {
        let found = cx.call(DescribePromotions { ids: vec![id] }).await?;
        if !found.items.is_empty() {
            return Ok(());
        }
        let (pointer, detail) = ("/promotionId".to_owned(), format!("there is no promotion {id}"));
        Err(Error::invalid(vec![FieldError::coded(pointer, codes::UNKNOWN_PROMOTION, detail)]))
    }
}
