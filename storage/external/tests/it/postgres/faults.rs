//! Servers that crash, and connections that are lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use promox_external::postgres::PostgresEngine;
use promox_storage::StoreError;
use tokio::task::JoinHandle;

use super::proxy::Proxy;
use super::{Counter, Stores, increment, open, shop, value_of, write};

/// What happened to the transactions of a writer: each inserts a row of its own and increments the counter 0.
#[derive(Default)]
struct Outcomes {
    acknowledged: Vec<i64>,
    refused: Vec<i64>,
    unknown: Vec<i64>,
}

/// Writes until told to end.
fn write_until(node: &Arc<PostgresEngine>, first: i64, ended: &Arc<AtomicBool>) -> JoinHandle<Outcomes> {
    let (node, ended) = (node.clone(), ended.clone());
    tokio::spawn(async move {
        let mut outcomes = Outcomes::default();
        for id in first.. {
            if ended.load(Ordering::SeqCst) {
                break;
            }
            let result = write(&node, move |tx| {
                tx.insert(&Counter { id, value: 1 })?;
                increment(tx, 0)
            });
            match result.await {
                Ok(_) => outcomes.acknowledged.push(id),
                Err(StoreError::Unknown) => outcomes.unknown.push(id),
                Err(StoreError::Busy | StoreError::Conflict) => outcomes.refused.push(id),
                Err(other) => panic!("{other}"),
            }
        }
        outcomes
    })
}

/// Checks that every acknowledged transaction has its row, no refused one has, and that the counter equals the rows.
async fn check(node: &Arc<PostgresEngine>, all: Vec<Outcomes>) {
    let mut rows = 0;
    for outcomes in all {
        for id in outcomes.acknowledged {
            assert_eq!(value_of(node, id).await, 1, "acknowledged transaction {id} is lost");
            rows += 1;
        }
        for id in outcomes.refused {
            assert_eq!(value_of(node, id).await, 0, "refused transaction {id} was committed");
        }
        for id in outcomes.unknown {
            rows += value_of(node, id).await;
        }
    }
    assert_eq!(value_of(node, 0).await, rows, "the counter counts each transaction once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_is_resolved() {
    let stores = Stores::start();
    let proxy = Proxy::start(stores.server.socket());
    let options = stores.options_at(proxy.socket());
    let node = open(&options);
    for round in 1..=20 {
        proxy.lose_next_answer();
        assert_eq!(write(&node, |tx| increment(tx, 0)).await, Ok(round), "the commit has happened, and only once");
        assert_eq!(proxy.lost_answers(), usize::try_from(round).unwrap());
    }
    assert_eq!(value_of(&node, 0).await, 20);
    let epoch = stores.server.query(&options.databases[0], "select epoch from promox.nodes");
    assert_eq!(epoch, "21", "each lost answer has ended an epoch");
    stores.check_positions(&options);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_connections_are_terminated() {
    let stores = Stores::start();
    let options = stores.options();
    let nodes = [open(&options), open(&options)];
    let ended = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> =
        (0..6_u8).map(|at| write_until(&nodes[usize::from(at % 2)], 1_000_000 * (i64::from(at) + 1), &ended)).collect();
    for _ in 0..40 {
        let terminate = "select pg_terminate_backend(pid) from pg_stat_activity \
                         where application_name = 'promox' and random() < 0.5";
        stores.server.query("postgres", terminate);
    }
    ended.store(true, Ordering::SeqCst);
    let mut outcomes = Vec::new();
    for writer in writers {
        outcomes.push(writer.await.unwrap());
    }
    check(&nodes[0], outcomes).await;
    stores.check_positions(&options);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_the_server_crashes() {
    let mut stores = Stores::start();
    let options = stores.options();
    let node = open(&options);
    let ended = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..4).map(|at| write_until(&node, 1_000_000 * (at + 1), &ended)).collect();
    for _ in 0..3 {
        let before = value_of(&node, 0).await;
        stores.server.crash_and_restart();
        let restarted = Instant::now();
        while shop(&node).read(|tx| tx.get::<Counter>(&0)).await.map_or(0, |it| it.map_or(0, |it| it.value))
            <= before + 8
        {
            assert!(restarted.elapsed().as_secs() < 5, "writes do not go on after a restart");
            tokio::task::yield_now().await;
        }
    }
    ended.store(true, Ordering::SeqCst);
    let mut outcomes = Vec::new();
    for writer in writers {
        outcomes.push(writer.await.unwrap());
    }
    check(&node, outcomes).await;
    stores.check_positions(&options);
}
