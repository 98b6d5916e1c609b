//! Histories of concurrent transactions on two nodes are strictly serializable. Elle's method: transactions append
//! unique numbers to lists and read them, so the lists show the order of all writes, and a cycle among the dependencies
//! would show a history that no order of the transactions explains.
//!
//! Kingsbury and Alvaro, "Elle: Inferring Isolation Anomalies from Experimental Observations", 2020.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use promox_external::postgres::PostgresEngine;
use promox_kernel::Json;
use promox_storage::{StoreError, Tx};

use super::{List, Stores, open, shop, write};

const LISTS: i64 = 4;

/// A transaction that was committed.
struct Transaction {
    began: Instant,
    ended: Instant,
    /// The lists that it read, before its own appends.
    reads: Vec<(i64, Vec<i64>)>,
    /// What it appended.
    appends: Vec<(i64, i64)>,
}

fn items(tx: &Tx<'_>, list: i64) -> Result<Vec<i64>, StoreError> {
    Ok(tx.get::<List>(&list)?.map_or_else(Vec::new, |list| list.items.0))
}

/// Runs a transaction that reads two lists, one by a scan, and appends `number` to one or two.
async fn run(node: &Arc<PostgresEngine>, number: i64) -> Transaction {
    let began = Instant::now();
    let (first, second) = (number % LISTS, (number / LISTS) % LISTS);
    let work = move |tx: &mut Tx<'_>| {
        let mut reads = vec![(first, items(tx, first)?)];
        let scanned = tx.scan::<List>().from(second).first()?;
        let scanned = scanned.filter(|list| list.id == second).map_or_else(Vec::new, |list| list.items.0);
        if second != first {
            reads.push((second, scanned));
        }
        let mut appends = Vec::new();
        let appended = if number % 3 == 0 { vec![first, second] } else { vec![first] };
        for list in BTreeSet::from_iter(appended) {
            let mut all = items(tx, list)?;
            all.push(number);
            tx.put(&List { id: list, items: Json(all) })?;
            appends.push((list, number));
        }
        Ok((reads, appends))
    };
    let (reads, appends) = if number % 5 == 0 {
        // A transaction that only reads.
        let db = shop(node);
        let read = db.read(move |tx| {
            (0..LISTS).map(|list| Ok((list, items(tx, list)?))).collect::<Result<Vec<_>, StoreError>>()
        });
        (read.await.unwrap(), Vec::new())
    } else {
        write(node, work).await.unwrap()
    };
    Transaction { began, ended: Instant::now(), reads, appends }
}

/// Returns a cycle among the dependencies of transactions, if there is one.
fn cycle(history: &[Transaction], lists: &BTreeMap<i64, Vec<i64>>) -> Option<Vec<usize>> {
    let mut writers = BTreeMap::new();
    for (at, transaction) in history.iter().enumerate() {
        for append in &transaction.appends {
            writers.insert(*append, at);
        }
    }
    let mut edges = vec![BTreeSet::new(); history.len()];
    let mut add = |from: usize, to: usize| {
        if from != to {
            edges[from].insert(to);
        }
    };
    for (list, items) in lists {
        for pair in items.windows(2) {
            add(writers[&(*list, pair[0])], writers[&(*list, pair[1])]);
        }
    }
    for (at, transaction) in history.iter().enumerate() {
        for (list, seen) in &transaction.reads {
            let all = lists.get(list).map_or(&[][..], Vec::as_slice);
            assert!(all.starts_with(seen), "{seen:?} was read from list {list}, which is {all:?}");
            if let Some(last) = seen.last() {
                add(writers[&(*list, *last)], at);
            }
            if let Some(next) = all.get(seen.len()) {
                add(at, writers[&(*list, *next)]);
            }
        }
        for (later, other) in history.iter().enumerate() {
            if transaction.ended < other.began {
                add(at, later);
            }
        }
    }
    find_cycle(&edges)
}

/// Finds a cycle by removing what has no predecessor until nothing is left, or only cycles are.
fn find_cycle(edges: &[BTreeSet<usize>]) -> Option<Vec<usize>> {
    let mut predecessors = vec![0; edges.len()];
    edges.iter().flatten().for_each(|to| predecessors[*to] += 1);
    let mut free: Vec<usize> = (0..edges.len()).filter(|at| predecessors[*at] == 0).collect();
    while let Some(at) = free.pop() {
        for to in &edges[at] {
            predecessors[*to] -= 1;
            if predecessors[*to] == 0 {
                free.push(*to);
            }
        }
    }
    let left: Vec<usize> = (0..edges.len()).filter(|at| predecessors[*at] > 0).collect();
    (!left.is_empty()).then_some(left)
}

/// Runs transactions on two nodes at once. Returns them and the lists at the end.
async fn history(nodes: &[Arc<PostgresEngine>; 2]) -> (Vec<Transaction>, BTreeMap<i64, Vec<i64>>) {
    let tasks: Vec<_> = (0..6_i64)
        .map(|task| {
            let node = nodes[usize::try_from(task).unwrap() % 2].clone();
            tokio::spawn(async move {
                let mut done = Vec::new();
                for step in 0..60 {
                    done.push(run(&node, task * 1_000 + step).await);
                }
                done
            })
        })
        .collect();
    let mut all = Vec::new();
    for task in tasks {
        all.extend(task.await.unwrap());
    }
    let lists = shop(&nodes[0]).read(|tx| tx.scan::<List>().collect(99)).await.unwrap();
    (all, lists.into_iter().map(|list| (list.id, list.items.0)).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn histories_of_two_nodes_are_strictly_serializable() {
    let stores = Stores::start();
    let options = stores.options();
    let nodes = [open(&options), open(&options)];
    let (history, lists) = history(&nodes).await;
    assert_eq!(cycle(&history, &lists), None);
}

#[test]
fn a_history_that_no_order_explains_is_detected() {
    let now = Instant::now();
    let transaction = |reads: &[(i64, &[i64])], appends: &[(i64, i64)]| Transaction {
        began: now,
        ended: now,
        reads: reads.iter().map(|(list, items)| (*list, items.to_vec())).collect(),
        appends: appends.to_vec(),
    };
    // Write skew: each has not seen the other's append.
    let history = [transaction(&[(1, &[])], &[(2, 20)]), transaction(&[(2, &[])], &[(1, 10)])];
    let lists = BTreeMap::from([(1, vec![10]), (2, vec![20])]);
    assert_eq!(cycle(&history, &lists), Some(vec![0, 1]));
}
