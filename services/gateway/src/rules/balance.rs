//! Which instance of an application gets a request.

use std::time::Duration;

/// The share of draws in which a new instance takes part at first, in percent.
const FIRST_SHARE: u64 = 10;

/// A candidate for a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    /// Its place among the instances.
    pub(crate) place: usize,
    /// Requests in flight.
    pub(crate) in_flight: usize,
    /// How long it has been known.
    pub(crate) age: Duration,
}

/// Picks the less busy one of two random candidates. A new one takes part in few draws at first, and in all after
/// `slow_start`. `random` returns a uniform number below its argument.
pub(crate) fn pick(
    candidates: &[Candidate],
    slow_start: Duration,
    mut random: impl FnMut(u64) -> u64,
) -> Option<Candidate> {
    let count = candidates.len();
    let first = *candidates.get(below(&mut random, count))?;
    let second = *candidates.get((first_index(candidates, first) + 1 + below(&mut random, count - 1)) % count)?;
    let takes_part = [first, second].map(|it| random(100) < share(it.age, slow_start));
    Some(match takes_part {
        [true, false] => first,
        [false, true] => second,
        _ if second.in_flight < first.in_flight => second,
        _ => first,
    })
}

fn below(random: &mut impl FnMut(u64) -> u64, count: usize) -> usize {
    let bound = u64::try_from(count).unwrap_or(0);
    if bound == 0 { 0 } else { usize::try_from(random(bound)).unwrap_or(0) }
}

fn first_index(candidates: &[Candidate], wanted: Candidate) -> usize {
    candidates.iter().position(|it| it.place == wanted.place).unwrap_or(0)
}

/// The share of draws in which an instance of this age takes part, in percent.
fn share(age: Duration, slow_start: Duration) -> u64 {
    if age >= slow_start {
        return 100;
    }
    let (age, whole) = (age.as_millis(), slow_start.as_millis().max(1));
    FIRST_SHARE.max(u64::try_from(age * 100 / whole).unwrap_or(100))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: Duration = Duration::from_hours(1);

    fn counts(candidates: &[Candidate]) -> Vec<usize> {
        let mut state = 7_u64;
        let mut random = |bound: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % bound
        };
        let mut counts = vec![0; candidates.len()];
        for _ in 0..10_000 {
            counts[pick(candidates, Duration::from_secs(30), &mut random).unwrap().place] += 1;
        }
        counts
    }

    fn candidate(place: usize, in_flight: usize, age: Duration) -> Candidate {
        Candidate { place, in_flight, age }
    }

    #[test]
    fn equally_busy_instances_get_equal_shares_and_the_busiest_gets_none() {
        let equal: Vec<Candidate> = (0..4).map(|place| candidate(place, 3, OLD)).collect();
        assert!(counts(&equal).iter().all(|count| (2_200..2_800).contains(count)), "{:?}", counts(&equal));
        let busy = [candidate(0, 9, OLD), candidate(1, 1, OLD), candidate(2, 2, OLD)];
        assert_eq!(counts(&busy)[0], 0);
        assert_eq!(counts(&busy[1..2].iter().map(|it| Candidate { place: 0, ..*it }).collect::<Vec<_>>()), [10_000]);
        assert!(pick(&[], OLD, |_| 0).is_none());
    }

    #[test]
    fn a_new_instance_starts_slowly() {
        let share = |age| counts(&[candidate(0, 1, OLD), candidate(1, 0, age)])[1];
        assert!((700..1_300).contains(&share(Duration::ZERO)), "{}", share(Duration::ZERO));
        assert!((4_500..5_500).contains(&share(Duration::from_secs(15))));
        assert_eq!(share(Duration::from_secs(30)), 10_000, "it is the less busy one");
    }
}
