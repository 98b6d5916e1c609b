//! Stock set aside for a sale: one hold that shrinks as it is sold from, and gives back what is left.

use crate::api::{CreateReservation, GetReservation, ListMovements, ReservationStatus as Status};
use promox_contract::ids::OrderId;
use promox_contract::inventory::{
    AllocateStock, AllocationSale, ChangeAllocation, EndAllocation, ReturnToAllocation, SellFromAllocation,
};
use promox_kernel::{Error, Kind, Limit};

use super::shop::{Shop, by_sku, items};

const SALE: &str = "flash-sale:7";

impl Shop {
    async fn set_aside(&self, wanted: &[(&str, u32)]) -> Result<i64, Error> {
        let op = AllocateStock { reference: SALE.into(), items: items(wanted) };
        self.call(op).await?;
        Ok(self.reservation(SALE).await)
    }

    async fn change(&self, wanted: &[(&str, u32)]) -> Result<(), Error> {
        self.call(ChangeAllocation { reference: SALE.into(), items: items(wanted) }).await
    }

    async fn sell(&self, purchases: &[(i64, i64, &str, u32)]) -> Result<(), Error> {
        let sale = |(purchase, order, sku, quantity): &(i64, i64, &str, u32)| AllocationSale {
            reference: format!("flash-purchase:{purchase}"),
            order_id: OrderId(*order),
            items: items(&[(*sku, *quantity)]),
        };
        self.call(SellFromAllocation { set_aside: SALE.into(), sales: purchases.iter().map(sale).collect() }).await
    }

    async fn unsell(&self, purchase: i64) {
        let reference = format!("flash-purchase:{purchase}");
        self.call(ReturnToAllocation { set_aside: SALE.into(), reference }).await.unwrap();
    }

    async fn end(&self, keep: &[(&str, u32)]) {
        self.call(EndAllocation { reference: SALE.into(), keep: items(keep) }).await.unwrap();
    }
}

#[tokio::test]
async fn what_is_set_aside_is_reserved_and_nobody_elses() {
    let shop = Shop::open();
    shop.stock("A", 10).await;
    let error = shop.set_aside(&[("A", 11), ("B", 1)]).await.unwrap_err();
    assert_eq!((error.code(), error.members()["items"].as_array().unwrap().len()), ("INSUFFICIENT_STOCK", 2));
    let id = shop.set_aside(&[("A", 8)]).await.unwrap();
    assert_eq!(shop.set_aside(&[("A", 8)]).await.unwrap(), id, "once a reference");
    assert_eq!(shop.numbers("A").await, (10, 8));
    assert!(shop.hold(1, &[("A", 3)]).await.is_err());
    shop.advance(std::time::Duration::from_hours(1_000));
    assert!(!shop.sweep().await, "it never lapses");
    let op = CreateReservation { reference: "flash-sale:8".into(), items: by_sku(&[("A", 1)]), ttl_seconds: 9 };
    assert_eq!(shop.call(op).await.unwrap_err().kind(), Kind::Schema);
    shop.verify();
}

#[tokio::test]
async fn pieces_are_sold_once_and_come_back_once() {
    let shop = Shop::open();
    shop.stock("A", 2).await;
    shop.count("A", 4, Some("SHOP"), None).await.unwrap();
    shop.set_aside(&[("A", 5)]).await.unwrap();
    for _ in 0..2 {
        shop.sell(&[(1, 11, "A", 3), (2, 12, "A", 1)]).await.unwrap();
        assert_eq!(shop.numbers("A").await, (2, 1));
    }
    assert_eq!(shop.sell(&[(3, 13, "A", 2)]).await.unwrap_err().code(), "NOT_SET_ASIDE");
    for _ in 0..2 {
        shop.unsell(1).await;
        assert_eq!(shop.numbers("A").await, (5, 4), "back into the set-aside");
    }
    shop.sell(&[(1, 11, "A", 3)]).await.unwrap();
    assert_eq!(shop.numbers("A").await, (5, 4), "what was undone is not sold again");
    shop.unsell(9).await;
    shop.sell(&[(9, 19, "A", 1)]).await.unwrap();
    assert_eq!(shop.numbers("A").await, (5, 4), "what was undone first is not sold at all");
    let op = ListMovements { sku: "A".parse().unwrap(), limit: Limit::default(), cursor: None };
    let ledger = shop.call(op).await.unwrap().items;
    let ledger: Vec<_> = ledger.iter().map(|it| (it.delta, it.reference.as_deref().unwrap_or_default())).collect();
    let want = [(1, "order:11"), (2, "order:11"), (-1, "order:12"), (-1, "order:11"), (-2, "order:11")];
    assert_eq!(ledger[..5], want);
    shop.verify();
}

#[tokio::test]
async fn it_ends_but_for_what_orders_on_their_way_may_still_buy() {
    let shop = Shop::open();
    shop.stock("A", 10).await;
    shop.stock("B", 3).await;
    let id = shop.set_aside(&[("A", 8), ("B", 3)]).await.unwrap();
    shop.sell(&[(1, 11, "A", 2)]).await.unwrap();
    for _ in 0..2 {
        shop.end(&[("A", 4)]).await;
        assert_eq!((shop.numbers("A").await, shop.numbers("B").await), ((8, 4), (3, 0)));
    }
    shop.sell(&[(2, 12, "A", 3)]).await.unwrap();
    shop.end(&[]).await;
    assert_eq!(shop.numbers("A").await, (5, 0));
    let ended = shop.call(GetReservation { id: id.into() }).await.unwrap();
    assert_eq!(ended.status, Status::Released);
    shop.end(&[]).await;
    shop.unsell(1).await;
    assert_eq!(shop.numbers("A").await, (7, 0), "the sale is over: into stock");
    assert_eq!(shop.set_aside(&[("A", 1)]).await.unwrap_err().code(), "RESERVATION_ENDED");
    shop.verify();
}

#[tokio::test]
async fn it_changes_all_or_nothing_before_it_is_sold_from() {
    let shop = Shop::open();
    shop.stock("A", 10).await;
    shop.stock("B", 3).await;
    shop.set_aside(&[("A", 8)]).await.unwrap();
    let error = shop.change(&[("A", 2), ("B", 4)]).await.unwrap_err();
    assert_eq!(error.members()["items"][0]["available"], 3);
    assert_eq!(shop.numbers("A").await, (10, 8));
    for _ in 0..2 {
        shop.change(&[("A", 10), ("B", 3)]).await.unwrap();
        assert_eq!((shop.numbers("A").await, shop.numbers("B").await), ((10, 10), (3, 3)));
    }
    shop.change(&[("B", 1)]).await.unwrap();
    assert_eq!((shop.numbers("A").await, shop.numbers("B").await), ((10, 0), (3, 1)));
    shop.verify();
}

#[tokio::test]
async fn a_return_finds_what_the_order_bought_of_a_set_aside() {
    let shop = Shop::open();
    shop.stock("A", 10).await;
    shop.set_aside(&[("A", 4)]).await.unwrap();
    shop.hold(11, &[("A", 1)]).await.unwrap();
    shop.hold(12, &[]).await.unwrap();
    shop.confirm(11).await;
    shop.confirm(12).await;
    shop.consume().await;
    shop.sell(&[(1, 11, "A", 2), (2, 12, "A", 1)]).await.unwrap();
    assert_eq!(shop.numbers("A").await, (6, 1));
    shop.restock("return:1", 11, &[("A", 2)]).await.unwrap();
    assert_eq!(shop.restock("return:2", 11, &[("A", 2)]).await.unwrap_err().code(), "RESTOCK_EXCEEDS_SOLD");
    shop.restock("return:3", 11, &[("A", 1)]).await.unwrap();
    shop.restock("return:4", 12, &[("A", 1)]).await.unwrap();
    assert_eq!(shop.numbers("A").await, (10, 1), "returned goods go into stock, not to the sale");
    shop.unsell(1).await;
    assert_eq!(shop.numbers("A").await, (10, 1), "nothing of it is out any more");
    shop.verify();
}

#[tokio::test]
async fn one_that_is_ended_before_it_is_there_is_not_taken() {
    let shop = Shop::open();
    shop.stock("A", 10).await;
    shop.end(&[]).await;
    assert_eq!(shop.set_aside(&[("A", 1)]).await.unwrap_err().code(), "RESERVATION_ENDED");
    assert_eq!(shop.numbers("A").await, (10, 0));
    shop.verify();
}
