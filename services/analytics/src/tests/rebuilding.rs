//! Tests of rebuilds: they produce the same rows, are shown when complete, and replace the old rows.

use promox_testkit::sample::{amount, at};
use std::time::Duration;

use promox_contract::order::{OrderFigure, OrderStatus};
use promox_storage::{Database, Direction, Engine as _, EventLog, KeyRange, Service};

use super::world::{World, line, order, refund, used};
use crate::Analytics;
use crate::api::{GetState, GetSummary, Rebuild};

/// Every row of a generation's tables, without the generation.
pub(super) fn rows(world: &World, generation: u32) -> Vec<(u16, Vec<u8>, Vec<u8>)> {
    let reader = world.engine.snapshot(Database::Promox);
    let mut rows = Vec::new();
    for table in Analytics::TABLES.iter().filter(|table| table.key[0] == "generation") {
        for item in reader.scan(&KeyRange::prefix(table.space, generation.to_be_bytes().to_vec()), Direction::Forward) {
            let (key, value) = item.unwrap();
            // After the layout and the checksum, a row begins with its generation, which has one byte here.
            rows.push((table.space.0, key[4..].to_vec(), value[6..].to_vec()));
        }
    }
    rows
}

#[tokio::test]
async fn a_rebuild_produces_the_same_rows_and_replaces_them() {
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
        let mut sold: OrderFigure = world.stubs.orders.lock()[&id].clone();
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
    let summary = serde_json::to_value(world.call(op()).await.unwrap().body).unwrap();
    let state = world.call(Rebuild {}).await.unwrap();
    assert_eq!((state.current.unwrap().generation, state.rebuild.unwrap().generation), (1, 2));
    assert_eq!(world.call(Rebuild {}).await.unwrap().rebuild.unwrap().generation, 2, "only one rebuild runs at a time");
    assert_eq!(
        serde_json::to_value(world.call(op()).await.unwrap().body).unwrap(),
        summary,
        "the old figures are shown"
    );
    world.follow().await;
    let state = world.call(GetState {}).await.unwrap();
    assert_eq!((state.current.unwrap().generation, state.rebuild), (2, None));
    assert_eq!(rows(&world, 2), before);
    assert_eq!(serde_json::to_value(world.call(op()).await.unwrap().body).unwrap(), summary);
    world.advance(Duration::from_secs(61));
    let sweep = world.service.jobs().pop().unwrap();
    while sweep.run(world.cx()).await.unwrap() {}
    assert!(rows(&world, 1).is_empty());
    assert_eq!(rows(&world, 2), before);
}

#[tokio::test]
async fn a_rebuild_reports_its_progress_to_the_command_line() {
    let world = World::new();
    for id in 1..=1_500 {
        world.order(order(id, "order:", at("2024-03-01T10:00:00Z"), vec![line(("A", 1, "1.00", "0"))])).await;
    }
    let mut progress = Vec::new();
    world.service.rebuild(&world.cx(), |done, all| progress.push((done, all))).await.unwrap();
    assert_eq!(progress[0], (0, 1_501), "the orders' events and the audit entry of the rebuild");
    assert!(
        progress.len() > 2 && progress.is_sorted() && progress.iter().all(|(done, all)| done <= all),
        "{progress:?}"
    );
    let current = world.call(GetState {}).await.unwrap().current.unwrap();
    assert_eq!((current.generation, current.shop.position), (2, 1_500));
}

#[tokio::test]
async fn another_process_continues_from_the_stored_position() {
    let world = World::new();
    world.order(order(1, "user:1", at("2024-03-01T10:00:00Z"), vec![line(("A", 2, "10.00", "3.00"))])).await;
    world.follow().await;
    let before = rows(&world, 1);
    let other = Analytics::new(world.db.clone(), EventLog::of(&world.database(Database::Ecommerce)));
    while other.follow(&world.cx()).await.unwrap() {}
    assert_eq!(rows(&world, 1), before, "nothing is applied twice");
    let state = world.call(GetState {}).await.unwrap().current.unwrap();
    assert_eq!((state.shop.position, state.shop.last), (1, 1));
    assert_eq!(world.database(Database::Ecommerce).database(), Database::Ecommerce);
}
