//! A rebuild gives the same rows, is shown when it is complete, and what it replaced is removed.

use promox_testkit::sample::{amount, at};
use std::time::Duration;

use promox_contract::order::{OrderFigure, OrderStatus};
use promox_storage::{Database, Direction, Engine as _, EventLog, KeyRange, Service};

use super::world::{World, line, order, refund, used};
use crate::Analytics;
use crate::api::{GetState, GetSummary, Rebuild};

/// Every row of a generation's tables, without the generation.
pub(super) fn rows(world: &World, generation: u32) -> Vec<(u16, Vec<u8>, Vec<u8>)> {
    let reader = world.engine.snapshot();
    let mut rows = Vec::new();
    for table in Analytics::TABLES.iter().filter(|table| table.key[0] == "generation") {
        for item in reader.scan(&KeyRange::prefix(table.space, generation.to_be_bytes().to_vec()), Direction::Forward) {
            let (key, value) = item.unwrap();
            // After layout and checksum, the row begins with its generation, a number of one byte here.
            rows.push((table.space.0, key[4..].to_vec(), value[6..].to_vec()));
        }
    }
    rows
}

#[tokio::test]
async fn a_rebuild_makes_the_same_rows_and_takes_their_place() {
    let world = World::new();
    for id in 1..=120_i64 {
        let placed = at("2024-02-27T00:00:07Z") + Duration::from_secs(7_001 * u64::try_from(id).unwrap());
        let mut sold = order(
            id,
            &format!("user:{}", id % 17),
            placed,
            vec![line(("A", 1, "1.01", "0.01")), line(("B", 2, "3.00", "0"))],
        );
        sold.uses = vec![used(1 + id % 3, Some(1), "0.01")];
        world.order(sold).await;
    }
    world.follow().await;
    for id in [3_i64, 50, 77] {
        let mut sold: OrderFigure = world.played.orders.lock()[&id].clone();
        sold.refunds = vec![refund(at("2024-03-12T10:00:00Z"), "0.50")];
        sold.returned = amount("0.40");
        world.refunded(sold.clone()).await;
        world.follow().await;
        world.order(OrderFigure { status: OrderStatus::Cancelled, ..sold }).await;
        world.follow().await;
    }
    let before = rows(&world, 1);
    assert!(before.len() > 400);
    let op = || GetSummary { from: Some("2024-02-01".into()), to: Some("2024-04-01".into()) };
    let told = serde_json::to_value(world.call(op()).await.unwrap().body).unwrap();
    let state = world.call(Rebuild {}).await.unwrap();
    assert_eq!((state.current.unwrap().generation, state.rebuild.unwrap().generation), (1, 2));
    assert_eq!(world.call(Rebuild {}).await.unwrap().rebuild.unwrap().generation, 2, "one at a time");
    assert_eq!(serde_json::to_value(world.call(op()).await.unwrap().body).unwrap(), told, "the old figures are shown");
    world.follow().await;
    let state = world.call(GetState {}).await.unwrap();
    assert_eq!((state.current.unwrap().generation, state.rebuild), (2, None));
    assert_eq!(rows(&world, 2), before);
    assert_eq!(serde_json::to_value(world.call(op()).await.unwrap().body).unwrap(), told);
    world.advance(Duration::from_secs(61));
    let sweep = world.service.jobs().pop().unwrap();
    while sweep.run(world.cx()).await.unwrap() {}
    assert!(rows(&world, 1).is_empty());
    assert_eq!(rows(&world, 2), before);
}

#[tokio::test]
async fn the_command_line_hears_how_far_a_rebuild_is() {
    let world = World::new();
    for id in 1..=1_500 {
        world.order(order(id, "order:", at("2024-03-01T10:00:00Z"), vec![line(("A", 1, "1.00", "0"))])).await;
    }
    let mut told = Vec::new();
    world.service.rebuild(&world.cx(), |done, all| told.push((done, all))).await.unwrap();
    assert_eq!(told[0], (0, 1_501), "the events, and the one that tells of the rebuild");
    assert!(told.len() > 2 && told.is_sorted() && told.iter().all(|(done, all)| done <= all), "{told:?}");
    let current = world.call(GetState {}).await.unwrap().current.unwrap();
    assert_eq!((current.generation, current.shop.position), (2, 1_500));
}

#[tokio::test]
async fn following_again_from_the_rows_changes_nothing() {
    let world = World::new();
    world.order(order(1, "user:1", at("2024-03-01T10:00:00Z"), vec![line(("A", 2, "10.00", "3.00"))])).await;
    world.follow().await;
    let before = rows(&world, 1);
    let again = Analytics::new(world.db.clone(), EventLog::of(&world.database(Database::Ecommerce)));
    while again.follow(&world.cx()).await.unwrap() {}
    assert_eq!(rows(&world, 1), before, "another process begins where the first one was");
    let state = world.call(GetState {}).await.unwrap().current.unwrap();
    assert_eq!((state.shop.position, state.shop.last), (1, 1));
    assert_eq!(world.database(Database::Ecommerce).database(), Database::Ecommerce);
}
