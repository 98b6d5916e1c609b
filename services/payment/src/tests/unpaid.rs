//! Orders that were placed and are not paid: they are looked after, and what is decided or driven is left alone.

use promox_testkit::sample::{amount, order_fact};
use std::time::Duration;

use promox_contract::order::{OrderCreated, OrderFact};
use promox_storage::{Database, StoreError};

use super::shop::Shop;
use crate::records::UnpaidOrder;

async fn placed(shop: &Shop, order: i64, total: &str) {
    let fact = OrderFact { total: amount(total), ..order_fact(order) };
    shop.emit(Database::Ecommerce, order, OrderCreated(fact)).await;
}

async fn unpaid(shop: &Shop) -> Vec<i64> {
    let rows = shop.db.read(|tx| tx.scan::<UnpaidOrder>().rows().collect::<Result<Vec<_>, StoreError>>()).await;
    rows.unwrap().into_iter().map(|row| row.order_id.0).collect()
}

async fn look_after(shop: &Shop) {
    shop.run_job("payment.resume_checkouts").await;
}

#[tokio::test]
async fn only_orders_that_stay_unpaid_are_looked_after() {
    let shop = Shop::open();
    let start = shop.node.clock.now();
    for order in 1..=4 {
        placed(&shop, order, if order == 4 { "0.00" } else { "5.00" }).await;
    }
    shop.take(1, "tok_visa", "5.00").await.unwrap();
    shop.cancel(3).await.unwrap();
    shop.consume().await;
    assert_eq!(unpaid(&shop).await, [0; 0], "who placed them has some seconds");
    shop.advance(Duration::from_secs(5));
    shop.consume().await;
    assert_eq!(unpaid(&shop).await, [2], "1 is paid, 3 has ended, 4 costs nothing");

    let driven_until = shop.node.clock.now() + Duration::from_secs(20);
    *shop.owners.again_at.lock() = Some(driven_until);
    for _ in 0..3 {
        look_after(&shop).await;
    }
    assert_eq!(*shop.owners.resumed.lock(), [2], "a driver that lives is waited for");
    shop.advance(driven_until.since(shop.node.clock.now()) + Duration::from_micros(1));
    *shop.owners.again_at.lock() = None;
    look_after(&shop).await;
    look_after(&shop).await;
    let resumed = shop.owners.resumed.lock().clone();
    assert_eq!((resumed, unpaid(&shop).await), (vec![2, 2], vec![]));
    assert!(shop.node.clock.now() > start);
    shop.verify();
}

#[tokio::test]
async fn a_payment_that_is_decided_meanwhile_is_left_alone() {
    let shop = Shop::open();
    placed(&shop, 1, "5.00").await;
    assert!(shop.take(1, "tok_timeout", "5.00").await.unwrap().undecided);
    shop.consume().await;
    assert_eq!(unpaid(&shop).await, [1]);
    shop.take(1, "tok_timeout", "5.00").await.unwrap();
    look_after(&shop).await;
    let resumed = shop.owners.resumed.lock().len();
    assert_eq!((resumed, unpaid(&shop).await), (0, vec![]));
    shop.verify();
}
