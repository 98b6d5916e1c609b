//! Compares the hold protocol with a simple model: in any sequence of steps, a hold passes through each state once, and
//! each step has its effect once.

use std::collections::BTreeMap;

use promox_kernel::{Entropy, Error, Timestamp};

use super::tables::{Effect, Pledge};
use super::{Store, cx};
use crate::{Begin, Db, Hold, HoldState, HoldStep, Report, StoreError, Tx};

/// An action of a test script.
#[derive(Clone, Copy, Debug)]
pub enum HoldAction {
    /// Takes the hold.
    Begin,
    /// Posts the hold.
    Post,
    /// Releases the hold, or reverses it if it is posted.
    Release,
    /// Tries a step on each row of the hold.
    Step(HoldStep),
    /// Takes (`true`) or releases (`false`) the hold in a transaction that then fails.
    Fail(bool),
}

impl HoldAction {
    /// All actions.
    pub const ALL: [Self; 9] = [
        Self::Begin,
        Self::Post,
        Self::Release,
        Self::Step(HoldStep::Post),
        Self::Step(HoldStep::Release),
        Self::Step(HoldStep::Expire),
        Self::Step(HoldStep::Reverse),
        Self::Fail(true),
        Self::Fail(false),
    ];
}

impl Hold for Pledge {
    const KIND: &'static str = "pledge";
    type Reference = i64;

    fn of(tx: &Tx<'_>, reference: &i64) -> Result<Vec<Self>, StoreError> {
        tx.scan::<Self>().prefix(*reference).rows().collect()
    }
    fn state(&self) -> HoldState {
        self.state
    }
    fn set_state(&mut self, state: HoldState, at: Timestamp) {
        (self.state, self.changed_at) = (state, Some(at));
    }
}

/// Records the effect of a step. A repeated effect is a duplicate and fails.
fn effect(tx: &mut Tx<'_>, row: &mut Pledge, step: HoldStep) -> Result<(), Error> {
    Ok(tx.insert(&Effect { reference: row.reference, part: row.part, step: format!("{step:?}") })?)
}

/// The number of rows of a hold.
fn parts(reference: i64) -> u32 {
    u32::try_from(reference % 3).unwrap() + 1
}

/// Takes a hold. Returns `None` if it is new or already taken, else its final state.
fn begin(tx: &mut Tx<'_>, reference: i64) -> Result<Option<HoldState>, Error> {
    match Pledge::begin(tx, &reference)? {
        Begin::New => {
            for part in 0..parts(reference) {
                tx.insert(&Pledge { reference, part, state: HoldState::Held, changed_at: None })?;
            }
            Ok(None)
        }
        Begin::Already(rows) => {
            assert_eq!(rows.len(), parts(reference) as usize);
            Ok(None)
        }
        Begin::Ended(state) => Ok(Some(state)),
    }
}

/// Tries a step on each row of a hold.
fn step(tx: &mut Tx<'_>, reference: i64, step: HoldStep) -> Result<(), Error> {
    Pledge::of(tx, &reference)?.into_iter().try_for_each(|row| row.advance(tx, step, effect).map(drop))
}

/// The model of a hold.
#[derive(Clone, Copy, Debug)]
struct Model {
    state: HoldState,
    /// Whether the hold was released before it was taken, so that it has no rows.
    early: bool,
    /// The number of steps that had an effect.
    steps: usize,
}

impl Model {
    fn step(&mut self, step: HoldStep) {
        let next = match (self.state, step) {
            _ if self.early => return,
            (HoldState::Held, HoldStep::Post) => HoldState::Posted,
            (HoldState::Held, HoldStep::Release) => HoldState::Released,
            (HoldState::Held, HoldStep::Expire) => HoldState::Expired,
            (HoldState::Posted, HoldStep::Reverse) => HoldState::Reversed,
            _ => return,
        };
        (self.state, self.steps) = (next, self.steps + 1);
    }
}

/// Performs an action on the store and on the model.
async fn perform(db: &Db, model: &mut BTreeMap<i64, Model>, reference: i64, action: HoldAction) {
    match action {
        HoldAction::Begin => {
            let began = db.write(&cx(), move |tx| begin(tx, reference)).await.unwrap();
            let new = Model { state: HoldState::Held, early: false, steps: 0 };
            let state = model.entry(reference).or_insert(new).state;
            assert_eq!(began, (!matches!(state, HoldState::Held | HoldState::Posted)).then_some(state));
        }
        HoldAction::Post => {
            db.write(&cx(), move |tx| Pledge::post(tx, &reference, effect)).await.unwrap();
            model.entry(reference).and_modify(|hold| hold.step(HoldStep::Post));
        }
        HoldAction::Release => {
            db.write(&cx(), move |tx| Pledge::release(tx, &reference, effect)).await.unwrap();
            let early = Model { state: HoldState::Released, early: true, steps: 0 };
            let hold = model.entry(reference).or_insert(early);
            hold.step(if hold.state == HoldState::Posted { HoldStep::Reverse } else { HoldStep::Release });
        }
        HoldAction::Step(tried) => {
            db.write(&cx(), move |tx| step(tx, reference, tried)).await.unwrap();
            model.entry(reference).and_modify(|hold| hold.step(tried));
        }
        HoldAction::Fail(begins) => {
            let failing = move |tx: &mut Tx<'_>| {
                let done =
                    if begins { begin(tx, reference).map(drop) } else { Pledge::release(tx, &reference, effect) };
                done.and(Err::<(), _>(Error::conflict("FAILED", "The transaction fails at its end.")))
            };
            db.write(&cx(), failing).await.unwrap_err();
        }
    }
}

/// Compares the rows, the effects and the tombstones with the model.
fn compare(tx: &Tx<'_>, model: &BTreeMap<i64, Model>) -> Result<(), StoreError> {
    let (mut rows, mut effects) = (0, 0);
    for (reference, hold) in model {
        let found = Pledge::of(tx, reference)?;
        assert_eq!(found.len(), if hold.early { 0 } else { parts(*reference) as usize }, "{reference}: {hold:?}");
        assert!(found.iter().all(|row| row.state == hold.state), "{reference}: {hold:?}, found {found:?}");
        assert!(found.iter().all(|row| row.changed_at.is_some() == (hold.steps > 0)), "{reference}: {hold:?}");
        rows += found.len();
        effects += hold.steps * found.len();
    }
    assert_eq!(tx.scan::<Pledge>().collect(9_999)?.len(), rows);
    assert_eq!(tx.scan::<Effect>().collect(9_999)?.len(), effects);
    let tombstones = tx.scan::<crate::system::Tombstone>().collect(9_999)?;
    let early = model.iter().filter(|(_, hold)| hold.early).map(|(reference, _)| reference.to_string());
    assert_eq!(
        tombstones.into_iter().map(|tombstone| tombstone.reference).collect::<Vec<_>>(),
        early.collect::<Vec<_>>()
    );
    let mut report = Report::default();
    Pledge::audit(tx, &mut report)?;
    assert_eq!(report.finish().0, []);
    Ok(())
}

/// Performs all actions on an empty store with the tables of the suite, and compares it with a model after each. Panics
/// if they differ.
pub async fn check_holds(db: &Db, script: &[(i64, HoldAction)]) {
    let mut model = BTreeMap::new();
    for (reference, action) in script {
        perform(db, &mut model, *reference, *action).await;
        db.read(|tx| compare(tx, &model)).await.unwrap();
    }
}

pub(super) async fn holds_match_the_model(store: Store) {
    let entropy = Entropy::seeded(1);
    let below = |limit: usize| usize::try_from(entropy.below(limit as u64)).unwrap();
    let action = || HoldAction::ALL[below(HoldAction::ALL.len())];
    let script: Vec<_> = (0..300).map(|_| (i64::try_from(below(9)).unwrap(), action())).collect();
    check_holds(&store.db(), &script).await;
}
