//! Several nodes on one store.

use std::sync::Arc;

use promox_external::postgres::{PostgresEngine, PostgresError, PostgresOptions};
use promox_storage::{Record as _, Schema, StoreError};

use super::{Counter, Name, Stores, increment, open, shop, value_of, write};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_sees_what_another_node_has_acknowledged() {
    let stores = Stores::start();
    let options = stores.options();
    let nodes = [open(&options), open(&options)];
    for round in 0..200_i64 {
        let (writer, reader) = if round % 2 == 0 { (&nodes[0], &nodes[1]) } else { (&nodes[1], &nodes[0]) };
        assert_eq!(write(writer, |tx| increment(tx, 1)).await, Ok(round + 1));
        assert_eq!(value_of(reader, 1).await, round + 1);
        let all = shop(reader).read(|tx| tx.scan::<Counter>().collect(9)).await.unwrap();
        assert_eq!(all, [Counter { id: 1, value: round + 1 }]);
    }
    stores.check_positions(&options);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn increments_of_two_nodes_are_not_lost() {
    const EACH: i64 = 150;
    let stores = Stores::start();
    let options = stores.options();
    let nodes = [open(&options), open(&options)];
    let tasks = nodes.iter().flat_map(|node| [node.clone(), node.clone()]).map(|node| {
        tokio::spawn(async move {
            for _ in 0..EACH {
                write(&node, |tx| increment(tx, 1)).await.unwrap();
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    for node in &nodes {
        assert_eq!(value_of(node, 1).await, 4 * EACH);
    }
    stores.check_positions(&options);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_unique_value_is_taken_on_one_node() {
    let stores = Stores::start();
    let options = stores.options();
    let nodes = [open(&options), open(&options)];
    for round in 0..50_i64 {
        let take = |node: &Arc<PostgresEngine>, id: i64| {
            let node = node.clone();
            tokio::spawn(
                async move { write(&node, move |tx| tx.insert(&Name { id, name: format!("name {round}") })).await },
            )
        };
        let (one, other) = (take(&nodes[0], 2 * round), take(&nodes[1], 2 * round + 1));
        let results = [one.await.unwrap(), other.await.unwrap()];
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{results:?}");
        assert!(results.contains(&Err(StoreError::Duplicate { index: "NameByName" })), "{results:?}");
    }
}

/// Of two transactions that each write only if the other has not, both commit in some rounds on a store without the
/// check of the head. Returns in how many rounds both did.
async fn write_skew(nodes: &[Arc<PostgresEngine>; 2], rounds: std::ops::Range<i64>) -> usize {
    let mut both = 0;
    for round in rounds {
        let put = |node: &Arc<PostgresEngine>, own: i64, other: i64| {
            let node = node.clone();
            tokio::spawn(async move {
                let taken = write(&node, move |tx| {
                    if tx.get::<Counter>(&other)?.is_some() {
                        return Ok(false);
                    }
                    tx.put(&Counter { id: own, value: 1 })?;
                    Ok(true)
                });
                taken.await == Ok(true)
            })
        };
        let (one, other) = (2 * round, 2 * round + 1);
        let (first, second) = (put(&nodes[0], one, other), put(&nodes[1], other, one));
        if first.await.unwrap() && second.await.unwrap() {
            both += 1;
        }
    }
    both
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn absences_that_were_read_are_checked() {
    let stores = Stores::start();
    let options = stores.options();
    let nodes = [open(&options), open(&options)];
    assert_eq!(write_skew(&nodes, 1..101).await, 0);
    stores.check_positions(&options);
    // The control: without the check that no other node has committed, both transactions commit.
    let unchecked = "create or replace function promox.lock_current_head(me bigint, my_epoch bigint, seen bigint) \
                     returns void language plpgsql as $$ begin end $$; \
                     create or replace function promox.lock_head(me bigint, my_epoch bigint) \
                     returns void language plpgsql as $$ begin end $$; \
                     alter table promox.commits drop constraint commits_pkey";
    stores.server.query(&options.databases[0], unchecked);
    assert!(write_skew(&nodes, 1_001..1_301).await > 0, "the control does not fail");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_fenced_goes_on_under_a_new_epoch() {
    let stores = Stores::start();
    let options = stores.options();
    let node = open(&options);
    assert_eq!(write(&node, |tx| increment(tx, 1)).await, Ok(1));
    stores.server.query(&options.databases[0], "update promox.nodes set epoch = epoch + 1");
    assert_eq!(write(&node, |tx| increment(tx, 1)).await, Ok(2));
    stores.server.query(&options.databases[0], "delete from promox.nodes");
    assert_eq!(write(&node, |tx| increment(tx, 1)).await, Ok(3));
    assert_eq!(stores.server.query(&options.databases[0], "select value from counters"), "3");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_is_opened_again_with_its_rows() {
    let stores = Stores::start();
    let options = stores.options();
    let node = open(&options);
    assert_eq!(write(&node, |tx| increment(tx, 1)).await, Ok(1));
    drop(node);
    assert_eq!(stores.server.query(&options.databases[0], "select count(*) from promox.nodes"), "0");
    let node = open(&options);
    assert_eq!(write(&node, |tx| increment(tx, 1)).await, Ok(2));
    // A column that is missing is added.
    drop(node);
    stores.server.query(&options.databases[0], "alter table idempotency_keys drop column media_type");
    drop(open(&options));
    assert_eq!(stores.server.query(&options.databases[0], "select count(media_type) from idempotency_keys"), "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_must_be_alone_excludes_others_and_stops_when_it_is_replaced() {
    let stores = Stores::start();
    let (stopped, seen) = std::sync::mpsc::channel();
    let options = PostgresOptions {
        exclusive: true,
        on_stop: Arc::new(move || {
            let _ = stopped.send(());
        }),
        ..stores.options()
    };
    let first = open(&options);
    assert_eq!(write(&first, |tx| increment(tx, 1)).await, Ok(1));
    let schema = Schema::new([&[Counter::TABLE][..]]).unwrap();
    let second = PostgresEngine::open(&options, &schema);
    assert!(matches!(second, Err(PostgresError::InUse { .. })), "{second:?}");
    // The first node loses all connections, and another one is started before it is back.
    let terminate = "select pg_terminate_backend(pid) from pg_stat_activity \
                     where application_name = 'promox'";
    let second = loop {
        stores.server.query("postgres", terminate);
        if let Ok(second) = PostgresEngine::open(&options, &schema) {
            break second;
        }
    };
    seen.recv().unwrap();
    assert_eq!(write(&first, |tx| increment(tx, 1)).await, Err(StoreError::Stopped));
    assert_eq!(value_of(&second, 1).await, 1);
    assert_eq!(write(&second, |tx| increment(tx, 1)).await, Ok(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_by_another_program_is_seen() {
    let stores = Stores::start();
    let options = stores.options();
    let nodes = [open(&options), open(&options)];
    assert_eq!(write(&nodes[0], |tx| increment(tx, 1)).await, Ok(1));
    assert_eq!(value_of(&nodes[1], 1).await, 1);
    stores.server.query(&options.databases[0], "update counters set value = 40; insert into counters values (2, 7)");
    assert_eq!(value_of(&nodes[0], 1).await, 40);
    assert_eq!(value_of(&nodes[1], 2).await, 7);
    for (node, expected) in nodes.iter().zip([41, 42]) {
        assert_eq!(write(node, |tx| increment(tx, 1)).await, Ok(expected));
    }
    stores.check_positions(&options);
}
