//! Completes the facts about a customer that rules of segments need.

use promox_contract::buyer::Buyer;
use promox_contract::order::GetPurchaseTotals;
use promox_contract::promotion::Customer;
use promox_contract::reward::GetTier;
use promox_contract::user::DescribeUsers;
use promox_kernel::{Cx, Error};

/// Seconds per day.
const DAY: u64 = 24 * 3600;

/// Queries the facts about a customer that the caller left out. Facts that the caller supplied are kept.
pub(crate) async fn complete(cx: &Cx, mut customer: Customer) -> Result<Customer, Error> {
    if customer.registered_days.is_none() || customer.attributes.is_empty() {
        profile(cx, &mut customer).await?;
    }
    let known = customer.id.is_some() || customer.email.is_some();
    if known && customer.order_count == 0 && customer.total_spent.is_zero() {
        let buyer = Buyer::identify(cx, customer.id, customer.email.clone()).await?;
        let purchases = cx.call(GetPurchaseTotals { buyer }).await?;
        customer.order_count = purchases.count;
        customer.total_spent = purchases.total;
    }
    if let (Some(user_id), None) = (customer.id, &customer.tier) {
        customer.tier = Some(cx.call(GetTier { user_id }).await?.tier);
    }
    Ok(customer)
}

/// Adds the facts from the customer's account.
async fn profile(cx: &Cx, customer: &mut Customer) -> Result<(), Error> {
    let Some(id) = customer.id else { return Ok(()) };
    let Some(user) = cx.call(DescribeUsers { ids: vec![id] }).await?.items.into_iter().next() else { return Ok(()) };
    let days = i64::try_from(cx.now.since(user.registered_at).as_secs() / DAY).unwrap_or(i64::MAX);
    customer.registered_days.get_or_insert(days);
    customer.email.get_or_insert(user.email);
    if customer.attributes.is_empty() {
        customer.attributes = user.attributes;
    }
    Ok(())
}
