//! Tests of visits and of the funnel.

use promox_testkit::sample::{amount, at};
use std::time::Duration;

use promox_contract::analytics::{COUNTED, VisitStage, counted};
use promox_contract::order::{OrderFigure, OrderStatus};
use promox_storage::{Report, Service};

use super::world::{World, line, order};
use crate::api::{GetFunnel, GetSummary, RecordEvent};

async fn record(world: &World, session: &str, stage: VisitStage) {
    world.call(RecordEvent { stage, session_id: session.to_owned(), product_id: None }).await.unwrap();
}

#[tokio::test]
async fn a_visit_counts_each_stage_once_until_a_pause_ends_it() {
    let world = World::new();
    for stage in
        [VisitStage::ProductViewed, VisitStage::ProductViewed, VisitStage::CartAdded, VisitStage::ProductViewed]
    {
        record(&world, "session-1", stage).await;
    }
    record(&world, "session-2", VisitStage::ProductViewed).await;
    record(&world, "session-3", VisitStage::CheckoutStarted).await;
    for _ in 0..5 {
        world.advance(Duration::from_secs(20 * 60));
        record(&world, "session-1", VisitStage::ProductViewed).await;
    }
    world.advance(Duration::from_secs(31 * 60));
    record(&world, "session-1", VisitStage::ProductViewed).await;
    world.order(order(1, "user:1", at("2024-03-15T13:00:00Z"), vec![line(("A", 1, "1.00", "0"))])).await;
    world.follow().await;
    let period = || (Some("2024-03-15".to_owned()), Some("2024-03-16".to_owned()));
    let (from, to) = period();
    let funnel = world.call(GetFunnel { from, to }).await.unwrap().body;
    let steps: Vec<_> = funnel.items.iter().map(|item| (item.step.as_str(), item.count)).collect();
    let visits = [("VISIT", 4), ("PRODUCT_VIEWED", 3), ("CART_ADDED", 1), ("CHECKOUT_STARTED", 1)];
    assert_eq!(steps, [&visits[..], &[("ORDER_PLACED", 1), ("ORDER", 1)]].concat());
    assert_eq!(funnel.items[1].of_visits.unwrap().to_string(), "0.7500");
    let (from, to) = period();
    let rate = world.call(GetSummary { from, to }).await.unwrap().body.figures.sales.conversion_rate;
    assert_eq!(rate.unwrap().to_string(), "0.3333");
}

#[tokio::test]
async fn an_invalid_session_id_is_refused() {
    let world = World::new();
    for session in ["short", "with a space", "caf\u{e9}-latte", &"x".repeat(129)] {
        let op = RecordEvent { stage: VisitStage::CartAdded, session_id: session.to_owned(), product_id: None };
        assert_eq!(world.call(op).await.unwrap_err().errors()[0].pointer, "/sessionId", "{session}");
    }
}

#[tokio::test]
async fn ended_visits_are_removed() {
    let world = World::new();
    record(&world, "session-1", VisitStage::ProductViewed).await;
    world.advance(Duration::from_secs(31 * 60));
    let sweep = world.service.jobs().pop().unwrap();
    assert!(!sweep.run(world.cx()).await.unwrap());
    let left = world.db.read(|tx| tx.scan::<crate::records::Visit>().collect(10)).await.unwrap();
    assert!(left.is_empty());
}

#[tokio::test]
async fn every_placed_order_is_in_the_funnel() {
    let world = World::new();
    let steps = async || {
        let (from, to) = (Some("2024-03-15".to_owned()), Some("2024-03-16".to_owned()));
        let items = world.call(GetFunnel { from, to }).await.unwrap().body.items;
        let count = |step: &str| items.iter().find(|item| item.step == step).unwrap().count;
        (count("ORDER_PLACED"), count("ORDER"))
    };
    let place = async |id: i64, status: OrderStatus, imported: bool| {
        let lines = vec![line(("A", 1, "1.00", "0"))];
        let it = order(id, &format!("user:{id}"), at("2024-03-15T13:00:00Z"), lines);
        world.order(OrderFigure { status, imported, ..it }).await;
    };
    for id in 1..=4 {
        place(id, OrderStatus::Pending, false).await;
    }
    world.follow().await;
    assert_eq!(steps().await, (4, 0));
    place(1, OrderStatus::Confirmed, false).await;
    place(2, OrderStatus::Failed, false).await;
    place(3, OrderStatus::Confirmed, false).await;
    place(9, OrderStatus::Confirmed, true).await;
    world.follow().await;
    assert_eq!(steps().await, (4, 3), "an imported order was not placed in this store");
    place(3, OrderStatus::Cancelled, false).await;
    world.follow().await;
    assert_eq!(steps().await, (4, 2));
    let states = |report: &mut Report| {
        [1, 9].iter().for_each(|id| report.left(COUNTED, *id, counted(amount("1.00"), amount("0.00"))));
    };
    assert_eq!(world.findings_with(states), []);
}
