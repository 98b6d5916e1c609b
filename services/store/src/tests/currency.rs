//! The lock on the currency while the first amounts are being written.

use promox_kernel::Currency;

use super::open;
use crate::commands::currency;

#[tokio::test]
async fn a_lock_keeps_the_currency_until_it_is_settled() {
    let shop = open();
    let yen: Currency = "JPY".parse().unwrap();
    let change_refusal = async || {
        let result = shop.write(move |tx| currency::check_change_allowed(tx, Currency::GBP, yen)).await;
        result.err().map(|error| error.code().to_owned())
    };
    let lock = async |currency| shop.write(move |tx| currency::lock(tx, currency)).await;
    let settle = async |written| shop.write(move |tx| currency::settle(tx, written)).await.unwrap();
    assert_eq!(change_refusal().await, None);
    assert!(lock(Currency::GBP).await.unwrap() && lock(Currency::GBP).await.unwrap());
    assert_eq!(lock(yen).await.unwrap_err().code(), "CURRENCY_CHANGED", "the store's currency is GBP");
    settle(false).await;
    assert_eq!(change_refusal().await.as_deref(), Some("CURRENCY_FIXED"), "the other lock is not settled");
    settle(false).await;
    assert_eq!(change_refusal().await, None, "nothing was written");
    assert!(lock(Currency::GBP).await.unwrap());
    settle(true).await;
    assert_eq!(change_refusal().await.as_deref(), Some("CURRENCY_FIXED"));
    assert!(!lock(Currency::GBP).await.unwrap(), "the currency is fixed, so the lock need not be settled");
}

#[tokio::test]
async fn a_lock_that_a_crash_left_counts_as_written() {
    let shop = open();
    shop.write(|tx| currency::lock(tx, Currency::GBP)).await.unwrap();
    shop.write(currency::settle_all).await.unwrap();
    assert!(!shop.write(|tx| currency::lock(tx, Currency::GBP)).await.unwrap());
}
