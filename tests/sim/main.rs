//! The simulator: a whole node on a disk in memory, with a simulated clock, one stream of randomness and one thread, so
//! that a seed determines a run and can be repeated. Shoppers place orders while the power fails, writes and syncs
//! fail, the disk fills up and payment providers time out. After each start and at the end all invariants hold, and
//! everything that was acknowledged is stored.
//!
//! `PROMOX_SIM_SEEDS=1000` runs more seeds than the few of every build, `PROMOX_SIM_SEED=7` a single one. Not covered
//! are the HTTP server, whose sockets a seed cannot control (`tests/it` covers it), and two jobs that use threads of
//! their own and write no rows: the search index and the sending of mail.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test reports an unexpected value by panicking"
)]

mod check;
mod client;
mod disk;
mod groups;
mod node;
mod run;
mod sequences;
mod setup;
mod shopper;

use run::{InitialState, Run};

/// The number of seeds that every build runs.
const DEFAULT_SEEDS: u64 = 3;

/// A number in an environment variable, if it is set.
pub(crate) fn env_number(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|text| text.parse().unwrap_or_else(|_| panic!("{name} must be a number; got {text:?}")))
}

#[test]
fn invariants_hold_and_acknowledged_work_is_kept_in_every_run() {
    let initial = InitialState::new();
    let seeds = match env_number("PROMOX_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..env_number("PROMOX_SIM_SEEDS").unwrap_or(DEFAULT_SEEDS),
    };
    let (mut starts, mut orders) = (0, 0);
    for seed in seeds.clone() {
        println!("seed {seed}");
        let outcome = Run::new(seed, &initial).execute();
        starts += outcome.starts;
        orders += outcome.orders;
    }
    println!("{} runs, {starts} starts, {orders} orders", seeds.end - seeds.start);
    assert!(orders > 0, "no order was placed");
}

#[test]
fn a_seed_determines_the_run() {
    let initial = InitialState::new();
    let [first, again, other] = [3, 3, 4].map(|seed| Run::new(seed, &initial).execute().digest);
    assert_eq!(first, again, "the same seed gave different runs");
    assert_ne!(first, other, "different seeds gave the same run");
}

/// Calls within a process let the transactions of a chain share a commit group, which changes the bytes on disk. With
/// chains committed in turn, direct and encoded calls end in the same bytes.
#[test]
fn encoded_calls_end_in_the_same_bytes_as_direct_ones() {
    let initial = InitialState::new();
    for seed in [3, 5] {
        let direct = Run::new(seed, &initial).with_chains_in_turn().execute().digest;
        let encoded = Run::new(seed, &initial).with_chains_in_turn().with_encoded_calls().execute().digest;
        assert_eq!(direct, encoded, "seed {seed}: encoded calls end in other bytes");
    }
}

/// The negative control: runs on a disk that loses synced data must fail.
#[test]
fn a_disk_that_never_syncs_is_detected() {
    let initial = InitialState::new();
    let passes = |seed| {
        let run = Run::new(seed, &initial).on_a_disk_that_never_syncs();
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run.execute())).is_ok()
    };
    assert!((0..10).any(|seed| !passes(seed)), "the simulator does not detect a disk that never syncs");
}
