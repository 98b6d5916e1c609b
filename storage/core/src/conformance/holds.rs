//! The protocol of holds against a plain model: in any order of steps a hold passes through its states once, and each
//! step has its effect once.

use std::collections::BTreeMap;

use promox_kernel::{Entropy, Error, Timestamp};

use super::tables::{Effect, Pledge};
use super::{Store, cx};
use crate::{Begin, Db, Hold, HoldState, HoldStep, Report, StoreError, Tx};

/// A step of the test.
#[derive(Clone, Copy, Debug)]
pub enum HoldAct {
    /// The hold is taken.
    Begin,
    /// It is posted.
    Post,
    /// It is released, or reversed if it was posted.
    Release,
    /// A step is tried with each of its rows.
    Step(HoldStep),
    /// It is taken or released, and then the transaction fails.
    Fail(bool),
}

impl HoldAct {
    /// One of each.
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

/// An effect that happens a second time is a duplicate.
fn effect(tx: &mut Tx<'_>, row: &mut Pledge, step: HoldStep) -> Result<(), Error> {
    Ok(tx.insert(&Effect { reference: row.reference, part: row.part, step: format!("{step:?}") })?)
}

/// The number of rows of a hold.
fn parts(reference: i64) -> u32 {
    u32::try_from(reference % 3).unwrap() + 1
}

/// Takes a hold: `None` if it is new or was taken already, else its final state.
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

/// Takes a step with each row of a hold. Returns their states.
fn step(tx: &mut Tx<'_>, reference: i64, step: HoldStep) -> Result<(), Error> {
    Pledge::of(tx, &reference)?.into_iter().try_for_each(|row| row.advance(tx, step, effect).map(drop))
}

/// A hold in the simplest form.
#[derive(Clone, Copy, Debug)]
struct Model {
    state: HoldState,
    /// Released before it began: it has no rows.
    early: bool,
    /// Steps that had an effect.
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

async fn act(db: &Db, known: &mut BTreeMap<i64, Model>, reference: i64, act: HoldAct) {
    match act {
        HoldAct::Begin => {
            let began = db.write(&cx(), move |tx| begin(tx, reference)).await.unwrap();
            let new = Model { state: HoldState::Held, early: false, steps: 0 };
            let state = known.entry(reference).or_insert(new).state;
            assert_eq!(began, (!matches!(state, HoldState::Held | HoldState::Posted)).then_some(state));
        }
        HoldAct::Post => {
            db.write(&cx(), move |tx| Pledge::post(tx, &reference, effect)).await.unwrap();
            known.entry(reference).and_modify(|hold| hold.step(HoldStep::Post));
        }
        HoldAct::Release => {
            db.write(&cx(), move |tx| Pledge::release(tx, &reference, effect)).await.unwrap();
            let early = Model { state: HoldState::Released, early: true, steps: 0 };
            let it = known.entry(reference).or_insert(early);
            it.step(if it.state == HoldState::Posted { HoldStep::Reverse } else { HoldStep::Release });
        }
        HoldAct::Step(taken) => {
            db.write(&cx(), move |tx| step(tx, reference, taken)).await.unwrap();
            known.entry(reference).and_modify(|hold| hold.step(taken));
        }
        HoldAct::Fail(begins) => {
            let failed = move |tx: &mut Tx<'_>| {
                let done =
                    if begins { begin(tx, reference).map(drop) } else { Pledge::release(tx, &reference, effect) };
                done.and(Err::<(), _>(Error::conflict("FAILED", "It fails at the end.")))
            };
            db.write(&cx(), failed).await.unwrap_err();
        }
    }
}

/// Compares the rows, the effects and the tombstones with the model.
fn compare(tx: &Tx<'_>, known: &BTreeMap<i64, Model>) -> Result<(), StoreError> {
    let (mut rows, mut effects) = (0, 0);
    for (reference, it) in known {
        let found = Pledge::of(tx, reference)?;
        assert_eq!(found.len(), if it.early { 0 } else { parts(*reference) as usize }, "{reference}: {it:?}");
        assert!(found.iter().all(|row| row.state == it.state), "{reference}: {it:?} against {found:?}");
        assert!(found.iter().all(|row| row.changed_at.is_some() == (it.steps > 0)), "{reference}: {it:?}");
        rows += found.len();
        effects += it.steps * found.len();
    }
    assert_eq!(tx.scan::<Pledge>().collect(9_999)?.len(), rows);
    assert_eq!(tx.scan::<Effect>().collect(9_999)?.len(), effects);
    let tombstones = tx.scan::<crate::system::Tombstone>().collect(9_999)?;
    let early = known.iter().filter(|(_, it)| it.early).map(|(reference, _)| reference.to_string());
    assert_eq!(
        tombstones.into_iter().map(|tombstone| tombstone.reference).collect::<Vec<_>>(),
        early.collect::<Vec<_>>()
    );
    let mut report = Report::default();
    Pledge::audit(tx, &mut report)?;
    assert_eq!(report.finish().0, []);
    Ok(())
}

/// Runs all steps on an empty store with the tables of the cases, and compares it with a plain model after each.
pub async fn check_holds(db: &Db, script: &[(i64, HoldAct)]) {
    let mut known = BTreeMap::new();
    for (reference, happens) in script {
        act(db, &mut known, *reference, *happens).await;
        db.read(|tx| compare(tx, &known)).await.unwrap();
    }
}

pub(super) async fn holds_are_their_model(store: Store) {
    let entropy = Entropy::seeded(1);
    let any = |most: usize| usize::try_from(entropy.below(most as u64)).unwrap();
    let act = || HoldAct::ALL[any(HoldAct::ALL.len())];
    let script: Vec<_> = (0..300).map(|_| (i64::try_from(any(9)).unwrap(), act())).collect();
    check_holds(&store.db(), &script).await;
}
