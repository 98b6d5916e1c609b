//! Allocations: holds that purchases reduce, and that release the remaining units at the end.

use crate::api::{CreateReservation, GetReservation, ListMovements, ReservationStatus as Status};
use promox_contract::ids::OrderId;
use promox_contract::inventory::{
    AllocateStock, AllocationSale, ChangeAllocation, EndAllocation, ReturnToAllocation, SellFromAllocation,
};
use promox_kernel::{Error, Kind, Limit};

use super::shop::{Shop, by_sku, items};

const SALE: &str = "flash-sale:7";

impl Shop {
    async fn allocate(&self, wanted: &[(&str, u32)]) -> Result<i64, Error> {
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
        self.call(SellFromAllocation { allocation: SALE.into(), sales: purchases.iter().map(sale).collect() }).await
    }

    async fn return_sold(&self, purchase: i64) {
        let reference = format!("flash-purchase:{purchase}");
        self.call(ReturnToAllocation { allocation: SALE.into(), reference }).await.unwrap();
    }

    async fn end(&self, keep: &[(&str, u32)]) {
        self.call(EndAllocation { reference: SALE.into(), keep: items(keep) }).await.unwrap();
    }
}

#[tokio::test]
async fn allocated_units_are_reserved_for_the_sale() {
    let shop = Shop::open();
    shop.stock("A", 10).await;
    let error = shop.allocate(&[("A", 11), ("B", 1)]).await.unwrap_err();
    assert_eq!((error.code(), error.members()["items"].as_array().unwrap().len()), ("INSUFFICIENT_STOCK", 2));
    let id = shop.allocate(&[("A", 8)]).await.unwrap();
    assert_eq!(shop.allocate(&[("A", 8)]).await.unwrap(), id, "a repeated allocation takes the units once");
    assert_eq!(shop.on_hand_and_reserved("A").await, (10, 8));
    assert!(shop.hold(1, &[("A", 3)]).await.is_err());
    shop.advance(std::time::Duration::from_hours(1_000));
    assert!(!shop.sweep().await, "an allocation never expires");
    let op = CreateReservation { reference: "flash-sale:8".into(), items: by_sku(&[("A", 1)]), ttl_seconds: 9 };
    assert_eq!(shop.call(op).await.unwrap_err().kind(), Kind::Schema);
    shop.verify();
}

#[tokio::test]
async fn units_are_sold_once_and_returned_once() {
    let shop = Shop::open();
    shop.stock("A", 2).await;
    shop.count("A", 4, Some("SHOP"), None).await.unwrap();
    shop.allocate(&[("A", 5)]).await.unwrap();
    for _ in 0..2 {
        shop.sell(&[(1, 11, "A", 3), (2, 12, "A", 1)]).await.unwrap();
        assert_eq!(shop.on_hand_and_reserved("A").await, (2, 1));
    }
    assert_eq!(shop.sell(&[(3, 13, "A", 2)]).await.unwrap_err().code(), "NOT_SET_ASIDE");
    for _ in 0..2 {
        shop.return_sold(1).await;
        assert_eq!(shop.on_hand_and_reserved("A").await, (5, 4), "the units return to the allocation");
    }
    shop.sell(&[(1, 11, "A", 3)]).await.unwrap();
    assert_eq!(shop.on_hand_and_reserved("A").await, (5, 4), "a reversed purchase is not made again");
    shop.return_sold(9).await;
    shop.sell(&[(9, 19, "A", 1)]).await.unwrap();
    assert_eq!(
        shop.on_hand_and_reserved("A").await,
        (5, 4),
        "a purchase that was reversed before it arrived is not made"
    );
    let op = ListMovements { sku: "A".parse().unwrap(), limit: Limit::default(), cursor: None };
    let ledger = shop.call(op).await.unwrap().items;
    let ledger: Vec<_> =
        ledger.iter().map(|item| (item.delta, item.reference.as_deref().unwrap_or_default())).collect();
    let want = [(1, "order:11"), (2, "order:11"), (-1, "order:12"), (-1, "order:11"), (-2, "order:11")];
    assert_eq!(ledger[..5], want);
    shop.verify();
}

#[tokio::test]
async fn ending_an_allocation_keeps_the_units_of_running_orders() {
    let shop = Shop::open();
    shop.stock("A", 10).await;
    shop.stock("B", 3).await;
    let id = shop.allocate(&[("A", 8), ("B", 3)]).await.unwrap();
    shop.sell(&[(1, 11, "A", 2)]).await.unwrap();
    for _ in 0..2 {
        shop.end(&[("A", 4)]).await;
        assert_eq!((shop.on_hand_and_reserved("A").await, shop.on_hand_and_reserved("B").await), ((8, 4), (3, 0)));
    }
    shop.sell(&[(2, 12, "A", 3)]).await.unwrap();
    shop.end(&[]).await;
    assert_eq!(shop.on_hand_and_reserved("A").await, (5, 0));
    let ended = shop.call(GetReservation { id: id.into() }).await.unwrap();
    assert_eq!(ended.status, Status::Released);
    shop.end(&[]).await;
    shop.return_sold(1).await;
    assert_eq!(shop.on_hand_and_reserved("A").await, (7, 0), "after the sale the units return to the stock");
    assert_eq!(shop.allocate(&[("A", 1)]).await.unwrap_err().code(), "RESERVATION_ENDED");
    shop.verify();
}

#[tokio::test]
async fn an_allocation_changes_completely_or_not_at_all() {
    let shop = Shop::open();
    shop.stock("A", 10).await;
    shop.stock("B", 3).await;
    shop.allocate(&[("A", 8)]).await.unwrap();
    let error = shop.change(&[("A", 2), ("B", 4)]).await.unwrap_err();
    assert_eq!(error.members()["items"][0]["available"], 3);
    assert_eq!(shop.on_hand_and_reserved("A").await, (10, 8));
    for _ in 0..2 {
        shop.change(&[("A", 10), ("B", 3)]).await.unwrap();
        assert_eq!((shop.on_hand_and_reserved("A").await, shop.on_hand_and_reserved("B").await), ((10, 10), (3, 3)));
    }
    shop.change(&[("B", 1)]).await.unwrap();
    assert_eq!((shop.on_hand_and_reserved("A").await, shop.on_hand_and_reserved("B").await), ((10, 0), (3, 1)));
    shop.verify();
}

#[tokio::test]
async fn a_return_includes_units_bought_from_an_allocation() {
    let shop = Shop::open();
    shop.stock("A", 10).await;
    shop.allocate(&[("A", 4)]).await.unwrap();
    shop.hold(11, &[("A", 1)]).await.unwrap();
    shop.hold(12, &[]).await.unwrap();
    shop.confirm(11).await;
    shop.confirm(12).await;
    shop.consume().await;
    shop.sell(&[(1, 11, "A", 2), (2, 12, "A", 1)]).await.unwrap();
    assert_eq!(shop.on_hand_and_reserved("A").await, (6, 1));
    shop.restock("return:1", 11, &[("A", 2)]).await.unwrap();
    assert_eq!(shop.restock("return:2", 11, &[("A", 2)]).await.unwrap_err().code(), "RESTOCK_EXCEEDS_SOLD");
    shop.restock("return:3", 11, &[("A", 1)]).await.unwrap();
    shop.restock("return:4", 12, &[("A", 1)]).await.unwrap();
    assert_eq!(shop.on_hand_and_reserved("A").await, (10, 1), "returned goods go to the stock, not to the allocation");
    shop.return_sold(1).await;
    assert_eq!(shop.on_hand_and_reserved("A").await, (10, 1), "units that were returned are not returned again");
    shop.verify();
}

#[tokio::test]
async fn an_allocation_that_was_ended_first_is_refused() {
    let shop = Shop::open();
    shop.stock("A", 10).await;
    shop.end(&[]).await;
    assert_eq!(shop.allocate(&[("A", 1)]).await.unwrap_err().code(), "RESERVATION_ENDED");
    assert_eq!(shop.on_hand_and_reserved("A").await, (10, 0));
    shop.verify();
}
