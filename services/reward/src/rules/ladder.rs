//! The five tiers: their thresholds, multipliers and perks, and their validation.

use promox_kernel::{Amount, Faults, json_reply, text_enum};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The maximum number of perks of a tier.
const MAX_PERKS: usize = 20;
/// The highest multiplier.
const MAX_MULTIPLIER: i64 = 100;

text_enum! {
    /// A tier.
    Tier {
        Bronze = "BRONZE",
        Silver = "SILVER",
        Gold = "GOLD",
        Platinum = "PLATINUM",
        Diamond = "DIAMOND",
    }
}

/// A tier's settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TierStep {
    /// The tier.
    pub tier: Tier,
    /// The points that a user must have earned in the last 365 days to reach the tier.
    pub threshold: u32,
    /// The multiplier of the points that orders of its members earn.
    pub multiplier: Amount,
    /// Further perks, as text for customers.
    #[serde(default)]
    pub perks: Vec<String>,
}

/// The five tiers, the lowest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ladder {
    /// All five tiers, the lowest first.
    pub tiers: Vec<TierStep>,
    /// The version; it increases with each change. If sent with a change, it must be the current version.
    #[serde(default)]
    pub version: i64,
}
json_reply!(Ladder, etag version);

impl Default for Ladder {
    /// The defaults of a new store: five tiers with a multiplier of 1.
    fn default() -> Self {
        let thresholds = [0, 1_000, 5_000, 10_000, 25_000];
        let multiplier = Amount(Decimal::ONE);
        let step = |(tier, threshold): (&Tier, u32)| TierStep { tier: *tier, threshold, multiplier, perks: Vec::new() };
        Self { tiers: Tier::ALL.iter().zip(thresholds).map(step).collect(), version: 0 }
    }
}

impl Ladder {
    /// Returns the tier for this many earned points.
    pub(crate) fn tier(&self, points: i64) -> Tier {
        let reached = self.tiers.iter().rev().find(|step| i64::from(step.threshold) <= points);
        reached.map_or(Tier::Bronze, |step| step.tier)
    }

    /// Returns the multiplier of the points that orders of members of a tier earn.
    pub(crate) fn multiplier(&self, tier: Tier) -> Decimal {
        self.tiers.iter().find(|step| step.tier == tier).map_or(Decimal::ONE, |step| step.multiplier.0)
    }

    /// Returns the tier above the one for these points, and how many points are missing for it.
    pub(crate) fn next(&self, points: i64) -> Option<(Tier, i64)> {
        let step = self.tiers.iter().find(|step| i64::from(step.threshold) > points.max(0))?;
        Some((step.tier, i64::from(step.threshold) - points))
    }

    /// Returns what is wrong with the tiers, by JSON pointer.
    pub(crate) fn faults(&self) -> Faults {
        let mut faults = Faults::default();
        if self.tiers.len() != Tier::ALL.len() {
            faults.note("/tiers", "must have all five tiers, from BRONZE to DIAMOND");
        }
        for (i, step) in self.tiers.iter().enumerate() {
            let below = i.checked_sub(1).and_then(|i| self.tiers.get(i));
            step.faults(Tier::ALL.get(i), below, &format!("/tiers/{i}"), &mut faults);
        }
        faults
    }
}

impl TierStep {
    fn faults(&self, expected: Option<&Tier>, below: Option<&Self>, at: &str, faults: &mut Faults) {
        let mut fault = |member: &str, detail: String| faults.note(format!("{at}/{member}"), detail);
        if let Some(expected) = expected.filter(|expected| **expected != self.tier) {
            fault("tier", format!("must be {expected}: the tiers go from BRONZE to DIAMOND"));
        }
        match below {
            None if self.threshold != 0 => fault("threshold", "must be 0 for the lowest tier".to_owned()),
            Some(below) if self.threshold <= below.threshold => {
                fault("threshold", format!("must be above the {} of the tier below", below.threshold));
            }
            _ => {}
        }
        if self.multiplier.0 <= Decimal::ZERO
            || self.multiplier.0 > Decimal::from(MAX_MULTIPLIER)
            || self.multiplier.0.normalize().scale() > 4
        {
            fault("multiplier", format!("must be above 0 and at most {MAX_MULTIPLIER}, with at most 4 decimals"));
        } else if let Some(below) = below.filter(|below| self.multiplier < below.multiplier) {
            fault("multiplier", format!("must not be less than the {} of the tier below", below.multiplier));
        }
        if self.perks.len() > MAX_PERKS || self.perks.iter().any(|perk| perk.chars().count() > 200) {
            fault("perks", format!("must be at most {MAX_PERKS} perks of at most 200 characters each"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ladder(steps: [(u32, &str); 5]) -> Ladder {
        let mut ladder = Ladder::default();
        for (step, (threshold, multiplier)) in ladder.tiers.iter_mut().zip(steps) {
            step.threshold = threshold;
            step.multiplier = multiplier.parse().unwrap();
        }
        ladder
    }

    #[test]
    fn points_determine_the_tier_and_the_distance_to_the_next() {
        let ladder = ladder([(0, "1"), (10, "1"), (20, "2"), (30, "3"), (40, "4")]);
        for (points, tier, next) in [
            (-5, Tier::Bronze, Some((Tier::Silver, 15))),
            (0, Tier::Bronze, Some((Tier::Silver, 10))),
            (9, Tier::Bronze, Some((Tier::Silver, 1))),
            (10, Tier::Silver, Some((Tier::Gold, 10))),
            (39, Tier::Platinum, Some((Tier::Diamond, 1))),
            (40, Tier::Diamond, None),
            (i64::MAX, Tier::Diamond, None),
        ] {
            assert_eq!((ladder.tier(points), ladder.next(points)), (tier, next), "{points}");
        }
        assert_eq!(ladder.multiplier(Tier::Gold), Decimal::TWO);
    }

    #[test]
    fn overlapping_tiers_are_reported_with_pointers() {
        let good = [(0, "1"), (10, "1"), (20, "1.5"), (30, "2"), (40, "2")];
        assert!(ladder(good).faults().is_empty() && Ladder::default().faults().is_empty());
        for (at, step, pointer) in [
            (0, (1, "1"), "/tiers/0/threshold"),
            (2, (10, "1.5"), "/tiers/2/threshold"),
            (2, (9, "1.5"), "/tiers/2/threshold"),
            (2, (30, "1.5"), "/tiers/3/threshold"),
            (2, (20, "0.9"), "/tiers/2/multiplier"),
            (2, (20, "2.1"), "/tiers/3/multiplier"),
            (0, (0, "0"), "/tiers/0/multiplier"),
            (4, (40, "101"), "/tiers/4/multiplier"),
            (4, (40, "2.00001"), "/tiers/4/multiplier"),
        ] {
            let mut steps = good;
            steps[at] = step;
            let faults = ladder(steps).faults().into_list();
            assert_eq!(faults[0].pointer, pointer, "{steps:?}");
        }
        let mut short = ladder(good);
        short.tiers.pop();
        assert_eq!(short.faults().into_list()[0].pointer, "/tiers");
        let mut swapped = ladder(good);
        swapped.tiers[1].tier = Tier::Gold;
        assert_eq!(swapped.faults().into_list()[0].pointer, "/tiers/1/tier");
    }
}
