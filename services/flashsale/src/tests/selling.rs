//! Sales are created, updated, listed and deleted; refusals have pointers; stock is allocated all or nothing.

use promox_testkit::sample::sku;
use std::sync::atomic::Ordering;
use std::time::Duration;

use promox_contract::ids::{CampaignId, FlashSaleId};
use promox_kernel::{Cx, Error, Kind, Limit, Patch};

use super::market::{Market, START, item, plan};
use crate::api::{
    CancelSale, CreateSale, DeleteSale, GetSale, ListActiveSales, ListSales, SaleItemInput, SaleStatus, UpdateSale,
};

/// An update that changes nothing.
fn patch(id: FlashSaleId) -> UpdateSale {
    UpdateSale {
        id,
        name: None,
        campaign_id: Patch::Keep,
        starts_at: None,
        ends_at: None,
        items: None,
        reservation_ttl_seconds: None,
    }
}

fn pointers(error: &Error) -> Vec<&str> {
    error.errors().iter().map(|fault| fault.pointer.as_str()).collect()
}

async fn list(market: &Market, status: Option<SaleStatus>) -> Vec<i64> {
    let op = ListSales { status, limit: Limit::default(), cursor: None };
    market.call(op).await.unwrap().items.into_iter().map(|sale| sale.id.0).collect()
}

async fn active(market: &Market) -> Vec<i64> {
    let op = ListActiveSales { limit: Limit::default(), cursor: None };
    market.call(op).await.unwrap().items.into_iter().map(|sale| sale.id.0).collect()
}

#[tokio::test]
async fn a_new_sale_allocates_its_stock_and_is_listed() {
    let market = Market::open();
    let view = market.call(plan(vec![item("a", 30, Some(2)), item("B", 5, None)])).await.unwrap();
    assert_eq!((view.status, view.version, view.reservation_ttl_seconds), (SaleStatus::Scheduled, 1, 600));
    let (a, b) = (&view.items[0], &view.items[1]);
    assert_eq!((a.sku.as_str(), a.remaining, a.sold, a.per_user_limit), ("A", 30, 0, Some(2)));
    assert_eq!((b.sale_price.to_string().as_str(), b.stock), ("4.50", 5));
    assert_eq!((market.free("A"), market.free("B"), market.allocated(view.id, "A")), (70, 95, 30));
    assert_eq!(list(&market, None).await, [1]);
    assert_eq!(list(&market, Some(SaleStatus::Active)).await, [0_i64; 0]);
    market.verify();
}

fn first(op: &mut CreateSale) -> &mut SaleItemInput {
    &mut op.items[0]
}

#[tokio::test]
async fn invalid_terms_are_refused_with_pointers_and_allocate_nothing() {
    let market = Market::open();
    let with = |change: fn(&mut CreateSale)| {
        let mut op = plan(vec![item("A", 10, Some(1))]);
        change(&mut op);
        op
    };
    let cases: Vec<(CreateSale, &[&str])> = vec![
        (with(|op| op.name = " ".into()), &["/name"]),
        (with(|op| op.ends_at = op.starts_at), &["/endsAt"]),
        (with(|op| (op.starts_at, op.ends_at) = (START - Duration::from_secs(9), START)), &["/endsAt"]),
        (with(|op| op.reservation_ttl_seconds = Some(59)), &["/reservationTtlSeconds"]),
        (with(|op| op.reservation_ttl_seconds = Some(3601)), &["/reservationTtlSeconds"]),
        (with(|op| op.items.clear()), &["/items"]),
        (with(|op| op.items = (0..51).map(|_| item("A", 1, None)).collect()), &["/items", "/items/1/sku"]),
        (with(|op| first(op).sku = sku("C")), &["/items/0/sku"]),
        (with(|op| first(op).stock = 0), &["/items/0/stock"]),
        (with(|op| first(op).stock = 101), &["/items/0/stock"]),
        (with(|op| first(op).per_user_limit = Some(0)), &["/items/0/perUserLimit"]),
        (with(|op| first(op).sale_price = "1.999".parse().unwrap()), &["/items/0/salePrice"]),
        (with(|op| first(op).sale_price = "-1".parse().unwrap()), &["/items/0/salePrice"]),
        (with(|op| op.items.push(item("a", 1, None))), &["/items/1/sku"]),
        (with(|op| op.items.push(item("B", 200, None))), &["/items/1/stock"]),
        (with(|op| op.campaign_id = Some(CampaignId(6))), &["/campaignId"]),
    ];
    for (op, want) in cases {
        let shown = format!("{op:?}");
        let error = market.call(op).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Schema, "{shown}");
        assert!(pointers(&error).starts_with(want), "{shown}: {:?}", pointers(&error));
    }
    assert_eq!((market.free("A"), market.free("B")), (100, 100));
    assert_eq!(list(&market, None).await, [0_i64; 0]);
    assert_eq!(market.call(GetSale { id: FlashSaleId(1) }).await.unwrap_err().kind(), Kind::NotFound);
    market.verify();
}

#[tokio::test]
async fn a_scheduled_sale_can_change_completely() {
    let market = Market::open();
    let id = market.make(vec![item("A", 30, None)]).await;
    let items = Some(vec![item("B", 40, Some(1)), item("A", 10, None)]);
    let change = UpdateSale { name: Some("Later".into()), items, ..patch(id) };
    let stale = Cx { if_match: Some(7.into()), ..market.cx() };
    assert_eq!(market.run(stale, change.clone()).await.unwrap_err().kind(), Kind::Precondition);
    let view = market.run(Cx { if_match: Some(1.into()), ..market.cx() }, change).await.unwrap();
    assert_eq!((view.name.as_str(), view.version, view.items.len()), ("Later", 2, 2));
    assert_eq!((market.free("A"), market.free("B")), (90, 60));
    let more = UpdateSale { items: Some(vec![item("B", 40, None), item("A", 101, None)]), ..patch(id) };
    assert_eq!(pointers(&market.call(more).await.unwrap_err()), ["/items/1/stock"]);
    let blank = UpdateSale { name: Some("  ".into()), ..patch(id) };
    assert_eq!(pointers(&market.call(blank).await.unwrap_err()), ["/name"]);
    assert_eq!(market.call(patch(id)).await.unwrap().version, 2, "an empty update does not change the version");
    assert_eq!((market.free("A"), market.free("B"), market.sale(id).await.items.len()), (90, 60, 2));
    market.wait(60).await;
    assert_eq!(market.sale(id).await.status, SaleStatus::Active);
    market.verify();
}

#[tokio::test]
async fn a_running_sale_can_change_its_name_and_end() {
    let market = Market::open();
    let id = market.started(vec![item("A", 30, None)]).await;
    for change in [
        UpdateSale { items: Some(vec![item("A", 31, None)]), ..patch(id) },
        UpdateSale { starts_at: Some(START), ..patch(id) },
        UpdateSale { reservation_ttl_seconds: Some(60), ..patch(id) },
        UpdateSale { campaign_id: Patch::Set(CampaignId(5)), ..patch(id) },
    ] {
        assert_eq!(market.call(change).await.unwrap_err().code(), "SALE_RUNNING");
    }
    let sooner = UpdateSale { ends_at: Some(START + Duration::from_mins(5)), ..patch(id) };
    assert_eq!(market.call(sooner).await.unwrap().status, SaleStatus::Active);
    market.granted(id, 1, 3).await;
    market.wait(240).await;
    assert_eq!((market.sale(id).await.status, market.free("A")), (SaleStatus::Ended, 100));
    let error = market.call(UpdateSale { name: Some("x".into()), ..patch(id) }).await.unwrap_err();
    assert_eq!(error.code(), "INVALID_TRANSITION");
    market.verify();
}

#[tokio::test]
async fn a_running_sale_must_be_cancelled_before_it_is_deleted() {
    let market = Market::open();
    let id = market.started(vec![item("A", 30, None)]).await;
    let rid = market.granted(id, 1, 3).await;
    assert_eq!(market.call(DeleteSale { id }).await.unwrap_err().code(), "SALE_RUNNING");
    for _ in 0..2 {
        assert_eq!(market.call(CancelSale { id }).await.unwrap().status, SaleStatus::Cancelled);
    }
    assert_eq!(market.reserve(id, 2, 1).await.unwrap_err().code(), "NOT_ACTIVE");
    assert_eq!(market.lines(1, &[rid]).await.len(), 0);
    market.wait(0).await;
    assert_eq!(market.free("A"), 100);
    let later = CreateSale { starts_at: START + Duration::from_mins(9), ..plan(vec![item("B", 7, None)]) };
    let other = market.call(later).await.unwrap().id;
    market.call(DeleteSale { id: other }).await.unwrap();
    market.call(DeleteSale { id }).await.unwrap();
    assert_eq!(market.call(DeleteSale { id }).await.unwrap_err().kind(), Kind::NotFound);
    market.wait(0).await;
    assert_eq!((market.free("B"), list(&market, None).await.len()), (100, 0));
    assert_eq!(market.sale_events().await, ["STARTED", "ENDED"]);
    let ended = market.make(vec![item("A", 1, None)]).await;
    market.wait(3600).await;
    assert_eq!(market.call(CancelSale { id: ended }).await.unwrap_err().code(), "INVALID_TRANSITION");
    market.verify();
}

#[tokio::test]
async fn a_retry_after_an_unknown_outcome_creates_one_sale() {
    let market = Market::open();
    market.neighbours.closed.store(true, Ordering::SeqCst);
    let op = plan(vec![item("A", 30, None)]);
    let error = market.run(market.keyed("k"), op.clone()).await.unwrap_err();
    assert_eq!((error.kind(), list(&market, None).await.len()), (Kind::Unavailable, 0));
    market.neighbours.closed.store(false, Ordering::SeqCst);
    let cx = market.keyed("k");
    let view = market.run(cx.clone(), op.clone()).await.unwrap();
    assert!(cx.claim.unwrap().recorded.get().is_some());
    assert_eq!((view.id.0, market.free("A")), (1, 70));
    let short = plan(vec![item("A", 71, None)]);
    assert!(market.run(market.keyed("short"), short.clone()).await.is_err());
    market.neighbours.warehouse.lock().free.insert(sku("A"), 71);
    assert!(market.run(market.keyed("short"), short).await.is_ok(), "refused stock leaves the idempotency key free");
    market.verify();
}

#[tokio::test]
async fn an_abandoned_draft_is_completed_by_the_job() {
    let market = Market::open();
    market.neighbours.closed.store(true, Ordering::SeqCst);
    for (stock, name) in [(30, "A"), (101, "B")] {
        assert!(market.call(plan(vec![item(name, stock, None)])).await.is_err());
    }
    market.neighbours.closed.store(false, Ordering::SeqCst);
    market.wait(29).await;
    assert_eq!(list(&market, None).await.len(), 0);
    market.wait(1).await;
    assert_eq!((list(&market, None).await, market.free("A"), market.free("B")), (vec![1], 70, 100));
    market.verify();
}

#[tokio::test]
async fn a_sale_sells_only_while_its_campaign_runs() {
    let market = Market::open();
    let op = CreateSale { campaign_id: Some(CampaignId(5)), ..plan(vec![item("A", 30, None)]) };
    let id = market.call(op).await.unwrap().id;
    market.wait(60).await;
    assert_eq!(active(&market).await, [id.0]);
    market.granted(id, 1, 1).await;
    market.neighbours.paused.store(true, Ordering::SeqCst);
    assert_eq!(active(&market).await, [0_i64; 0]);
    assert_eq!(market.reserve(id, 1, 1).await.unwrap_err().code(), "NOT_ACTIVE");
    market.neighbours.paused.store(false, Ordering::SeqCst);
    market.granted(id, 1, 1).await;
    market.verify();
}

#[tokio::test]
async fn lists_are_paged_newest_first() {
    let market = Market::open();
    for _ in 0..5 {
        market.make(vec![item("A", 1, None)]).await;
    }
    let limit: Limit = serde_json::from_str("2").unwrap();
    let (mut cursor, mut seen) = (None, Vec::new());
    loop {
        let page = market.call(ListSales { status: None, limit, cursor }).await.unwrap();
        seen.extend(page.items.into_iter().map(|sale| sale.id.0));
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, [5, 4, 3, 2, 1]);
}
