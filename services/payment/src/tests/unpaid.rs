//! Unpaid orders: their checkouts are resumed, unless the payment is decided or the checkout is still running.

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

async fn run_resume_job(shop: &Shop) {
    shop.run_job("payment.resume_checkouts").await;
}

#[tokio::test]
async fn only_the_checkouts_of_unpaid_orders_are_resumed() {
    let shop = Shop::open();
    let start = shop.node.clock.now();
    for order in 1..=4 {
        placed(&shop, order, if order == 4 { "0.00" } else { "5.00" }).await;
    }
    shop.take(1, "tok_visa", "5.00").await.unwrap();
    shop.cancel(3).await.unwrap();
    shop.consume().await;
    assert_eq!(unpaid(&shop).await, [0; 0], "a checkout has a grace period of some seconds");
    shop.advance(Duration::from_secs(5));
    shop.consume().await;
    assert_eq!(unpaid(&shop).await, [2], "1 is paid, 3 has ended, 4 costs nothing");

    let lease_end = shop.node.clock.now() + Duration::from_secs(20);
    *shop.orders.again_at.lock() = Some(lease_end);
    for _ in 0..3 {
        run_resume_job(&shop).await;
    }
    assert_eq!(*shop.orders.resumed.lock(), [2], "a running checkout is not resumed again");
    shop.advance(lease_end.since(shop.node.clock.now()) + Duration::from_micros(1));
    *shop.orders.again_at.lock() = None;
    run_resume_job(&shop).await;
    run_resume_job(&shop).await;
    let resumed = shop.orders.resumed.lock().clone();
    assert_eq!((resumed, unpaid(&shop).await), (vec![2, 2], vec![]));
    assert!(shop.node.clock.now() > start);
    shop.verify();
}

#[tokio::test]
async fn an_order_whose_payment_was_decided_meanwhile_is_not_resumed() {
    let shop = Shop::open();
    placed(&shop, 1, "5.00").await;
    assert!(shop.take(1, "tok_timeout", "5.00").await.unwrap().undecided);
    shop.consume().await;
    assert_eq!(unpaid(&shop).await, [1]);
    shop.take(1, "tok_timeout", "5.00").await.unwrap();
    run_resume_job(&shop).await;
    let resumed = shop.orders.resumed.lock().len();
    assert_eq!((resumed, unpaid(&shop).await), (0, vec![]));
    shop.verify();
}
