//! The currency of a store while its first amounts are being written.

use promox_kernel::Currency;

use super::open;
use crate::commands::currency;

#[tokio::test]
async fn a_pledge_keeps_the_currency_until_it_is_settled() {
    let shop = open();
    let yen: Currency = "JPY".parse().unwrap();
    let guarded = async || {
        let answer = shop.write(move |tx| currency::guard(tx, Currency::GBP, yen)).await;
        answer.err().map(|error| error.code().to_owned())
    };
    let pledged = async |currency| shop.write(move |tx| currency::pledge(tx, currency)).await;
    let settled = async |written| shop.write(move |tx| currency::settle(tx, written)).await.unwrap();
    assert_eq!(guarded().await, None);
    assert!(pledged(Currency::GBP).await.unwrap() && pledged(Currency::GBP).await.unwrap());
    assert_eq!(pledged(yen).await.unwrap_err().code(), "CURRENCY_CHANGED", "the store is one of pounds");
    settled(false).await;
    assert_eq!(guarded().await.as_deref(), Some("CURRENCY_FIXED"), "the other one is still out");
    settled(false).await;
    assert_eq!(guarded().await, None, "nothing was written");
    assert!(pledged(Currency::GBP).await.unwrap());
    settled(true).await;
    assert_eq!(guarded().await.as_deref(), Some("CURRENCY_FIXED"));
    assert!(!pledged(Currency::GBP).await.unwrap(), "it is fixed: nothing is to be settled");
}

#[tokio::test]
async fn a_pledge_that_a_crash_left_counts_as_written() {
    let shop = open();
    shop.write(|tx| currency::pledge(tx, Currency::GBP)).await.unwrap();
    shop.write(currency::settle_all).await.unwrap();
    assert!(!shop.write(|tx| currency::pledge(tx, Currency::GBP)).await.unwrap());
}
