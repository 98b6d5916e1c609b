//! The simulator: a whole node on a disk in memory, with a clock that is moved by hand, one stream of randomness and one
//! thread, so that a seed is a story that can be told again. Shoppers shop, the power fails, writes and syncs fail, the disk
//! fills up, providers are silent; after each start and at the end the books are right and all that was acknowledged is there.
//!
//! `PROMOX_SIM_SEEDS=1000` tells more stories than the few of every build, `PROMOX_SIM_SEED=7` one of them. Deliberately
//! absent: the HTTP edge, whose sockets no seed governs (`tests/it` has it), and two jobs that work on threads of their own
//! and leave no row behind, the search index's and the sending of mail.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that finds something else than it expects has failed"
)]

mod ask;
mod check;
mod disk;
mod groups;
mod life;
mod opening;
mod sequences;
mod shopper;
mod story;

use story::{Beginning, Story};

/// Stories that every build tells.
const FEW: u64 = 3;

/// A number from the environment.
pub(crate) fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number, not {text:?}")))
}

#[test]
fn whatever_happens_the_books_are_right_and_nothing_acknowledged_is_missing() {
    let beginning = Beginning::new();
    let seeds = match number("PROMOX_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("PROMOX_SIM_SEEDS").unwrap_or(FEW),
    };
    let (mut lives, mut orders) = (0, 0);
    for seed in seeds.clone() {
        println!("seed {seed}");
        let told = Story::new(seed, &beginning).tell();
        lives += told.lives;
        orders += told.orders;
    }
    println!("{} stories, {lives} starts, {orders} orders", seeds.end - seeds.start);
    assert!(orders > 0, "nobody bought anything");
}

#[test]
fn the_same_seed_is_the_same_story() {
    let beginning = Beginning::new();
    let [first, again, other] = [3, 3, 4].map(|seed| Story::new(seed, &beginning).tell().digest);
    assert_eq!(first, again, "told again, the story differs");
    assert_ne!(first, other, "another seed, the same story");
}

/// What services that share a process share beside it is a group for the links of a chain. Without that both end in the same bytes.
#[test]
fn a_story_does_not_tell_whether_services_share_a_process() {
    let beginning = Beginning::new();
    for seed in [3, 5] {
        let direct = Story::new(seed, &beginning).with_chains_in_turn().tell().digest;
        let encoded = Story::new(seed, &beginning).with_chains_in_turn().with_encoded_calls().tell().digest;
        assert_eq!(direct, encoded, "seed {seed} ends in other bytes when calls are encoded");
    }
}

/// The negative control: a store that does not sync must not come through.
#[test]
fn a_disk_that_never_syncs_is_noticed() {
    let beginning = Beginning::new();
    let comes_through = |seed| {
        let story = Story::new(seed, &beginning).on_a_disk_that_never_syncs();
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| story.tell())).is_ok()
    };
    assert!((0..10).any(|seed| !comes_through(seed)), "the simulator cannot tell a store that never syncs");
}
