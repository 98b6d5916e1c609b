//! Settings: how points are earned, what they are worth, and the tiers. Stored in rows and cached in memory.

use std::sync::Arc;

use parking_lot::RwLock;
use promox_contract::audit::Audited;
use promox_contract::store::{GetStoreProfile, write_amounts};
use promox_kernel::{Amount, Cx, Error, Faults, Json, OrNull, Patch, json_reply, nullable, text_enum};
use promox_storage::{Db, StoreError, Tx};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::records::Setting;
use crate::rules::ladder::Ladder;
use crate::{Rewards, settings};

/// The name of the row whose version counts the changes of all settings.
const EPOCH: &str = "epoch";

/// The largest bonus, in points.
const MAX_BONUS: u32 = 1_000_000;

/// The longest pending period, in days.
const MAX_PENDING_DAYS: u32 = 365;

/// The longest validity of points, in months.
const MAX_MONTHS: u32 = 120;

text_enum! {
    /// What happens when points are revoked and the balance is too small.
    Shortfall {
        /// The balance is deducted, and the rest is waived.
        Waive = "WAIVE",
        /// The balance is deducted, and the rest is owed: it is deducted from the next points.
        Carry = "CARRY",
    }
}

text_enum! {
    /// The event that earns the signup bonus.
    SignupBonusOn {
        /// Registration.
        Registration = "REGISTRATION",
        /// The first order after registration. The bonus is pending for the pending period, and for at least an hour,
        /// so that it is not available before the order is paid. If the order fails or is cancelled, the bonus is
        /// revoked and the next order earns it. A return does not revoke it.
        FirstOrder = "FIRST_ORDER",
    }
}

/// How users earn points, and what points are worth.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RewardSettings {
    /// Points per unit of currency paid for goods, at most 4 decimals.
    pub points_per_unit: Amount,
    /// The value of a point, at most 6 decimals; null or 0 if points have no value. The value of several points is
    /// rounded down to the minor unit.
    #[serde(deserialize_with = "nullable")]
    #[schemars(with = "OrNull<Amount>")]
    pub point_value: Option<Amount>,
    /// The number of days for which an order's points are pending: the return period; 0 for none.
    pub pending_days: u32,
    /// The number of months after which points expire; null for never.
    #[serde(deserialize_with = "nullable")]
    #[schemars(with = "OrNull<u32>")]
    pub expiry_months: Option<u32>,
    /// The points that a new customer gets, once.
    pub signup_bonus: u32,
    /// The event that earns the signup bonus. A change applies to users who register afterwards.
    pub signup_bonus_on: SignupBonusOn,
    /// The points that a user who registered with a referral code and the referrer each get with the user's first paid
    /// order. They are pending as long as that order's own points. If the order is cancelled or completely returned,
    /// they are revoked and the next order earns them. There is no bonus if both users are the same person, judged by
    /// account and e-mail addresses, or if the new user had bought before.
    pub referral_bonus: u32,
    /// The points that a user gets on their birthday, once a year.
    pub birthday_bonus: u32,
    /// The smallest share of an order that points may pay, in percent, if they pay any of it.
    pub min_share_percent: Amount,
    /// The largest share of an order that points may pay, in percent.
    pub max_share_percent: Amount,
    /// What happens if a return or a cancellation revokes more points than the user has.
    pub return_shortfall: Shortfall,
    /// The version; it increases with each change. If sent with a change, it must be the current version.
    #[serde(default)]
    pub version: i64,
}

json_reply!(RewardSettings, etag version);

impl Default for RewardSettings {
    /// The defaults of a new store.
    fn default() -> Self {
        Self {
            points_per_unit: Amount(Decimal::ONE),
            point_value: None,
            pending_days: 0,
            expiry_months: None,
            signup_bonus: 0,
            signup_bonus_on: SignupBonusOn::Registration,
            referral_bonus: 0,
            birthday_bonus: 0,
            min_share_percent: Amount::ZERO,
            max_share_percent: Amount(Decimal::ONE_HUNDRED),
            return_shortfall: Shortfall::Waive,
            version: 0,
        }
    }
}

/// Changes to the settings.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RewardPatch {
    /// Points per unit of currency paid for goods, at most 4 decimals.
    #[schemars(with = "Amount")]
    pub points_per_unit: Patch<Amount>,
    /// The value of a point, at most 6 decimals; null or 0 if points have no value.
    pub point_value: Patch<Amount>,
    /// The number of days for which an order's points are pending: the return period; 0 for none.
    #[schemars(with = "u32")]
    pub pending_days: Patch<u32>,
    /// The number of months after which points expire; null for never.
    pub expiry_months: Patch<u32>,
    /// The points that a new customer gets, once.
    #[schemars(with = "u32")]
    pub signup_bonus: Patch<u32>,
    /// The event that earns the signup bonus.
    #[schemars(with = "SignupBonusOn")]
    pub signup_bonus_on: Patch<SignupBonusOn>,
    /// The points that a user who registered with a referral code and the referrer each get.
    #[schemars(with = "u32")]
    pub referral_bonus: Patch<u32>,
    /// The points that a user gets on their birthday, once a year.
    #[schemars(with = "u32")]
    pub birthday_bonus: Patch<u32>,
    /// The smallest share of an order that points may pay, in percent, if they pay any of it.
    #[schemars(with = "Amount")]
    pub min_share_percent: Patch<Amount>,
    /// The largest share of an order that points may pay, in percent.
    #[schemars(with = "Amount")]
    pub max_share_percent: Patch<Amount>,
    /// What happens if a return or a cancellation revokes more points than the user has.
    #[schemars(with = "Shortfall")]
    pub return_shortfall: Patch<Shortfall>,
    /// The version to change; if sent, it must be the current one.
    #[schemars(with = "i64")]
    pub version: Patch<i64>,
}

impl RewardSettings {
    /// Returns whether the settings contain amounts of money.
    pub(crate) fn has_amounts(&self) -> bool {
        self.point_value.is_some_and(|value| !value.is_zero())
    }

    /// Returns the settings with a patch applied, or the patched members that are invalid.
    pub(crate) fn patched(&self, patch: RewardPatch) -> Result<Self, Error> {
        let (mut after, mut faults) = (self.clone(), Faults::default());
        patch.points_per_unit.replace(&mut after.points_per_unit, "/pointsPerUnit", &mut faults);
        patch.point_value.apply(&mut after.point_value);
        patch.pending_days.replace(&mut after.pending_days, "/pendingDays", &mut faults);
        patch.expiry_months.apply(&mut after.expiry_months);
        patch.signup_bonus.replace(&mut after.signup_bonus, "/signupBonus", &mut faults);
        patch.signup_bonus_on.replace(&mut after.signup_bonus_on, "/signupBonusOn", &mut faults);
        patch.referral_bonus.replace(&mut after.referral_bonus, "/referralBonus", &mut faults);
        patch.birthday_bonus.replace(&mut after.birthday_bonus, "/birthdayBonus", &mut faults);
        patch.min_share_percent.replace(&mut after.min_share_percent, "/minSharePercent", &mut faults);
        patch.max_share_percent.replace(&mut after.max_share_percent, "/maxSharePercent", &mut faults);
        patch.return_shortfall.replace(&mut after.return_shortfall, "/returnShortfall", &mut faults);
        patch.version.replace(&mut after.version, "/version", &mut faults);
        faults.finish().map(|()| after)
    }
}

/// A group of settings that is stored in one row.
pub(crate) trait Group: Clone + Default + Serialize + DeserializeOwned + Send + Sync + 'static {
    const NAME: &'static str;
    fn version(&self) -> i64;
    fn set_version(&mut self, version: i64);
    fn faults(&self) -> Faults;
}

impl Group for RewardSettings {
    const NAME: &'static str = "rewards";

    fn version(&self) -> i64 {
        self.version
    }

    fn set_version(&mut self, version: i64) {
        self.version = version;
    }

    fn faults(&self) -> Faults {
        let mut faults = Faults::default();
        let mut check = |holds: bool, member: &str, detail: &str| {
            if !holds {
                faults.note(format!("/{member}"), detail);
            }
        };
        let within = |amount: Amount, most: i64, decimals: u32| {
            !amount.is_negative() && amount.0 <= Decimal::from(most) && amount.0.normalize().scale() <= decimals
        };
        check(within(self.points_per_unit, 1_000, 4), "pointsPerUnit", "must be 0 to 1,000 with at most 4 decimals");
        let value = self.point_value.is_none_or(|value| within(value, 1_000_000, 6));
        check(value, "pointValue", "must be 0 to 1,000,000 with at most 6 decimals");
        check(self.pending_days <= MAX_PENDING_DAYS, "pendingDays", "must be 0 to 365 days");
        let months = self.expiry_months.is_none_or(|months| (1..=MAX_MONTHS).contains(&months));
        check(months, "expiryMonths", "must be 1 to 120 months; null for never");
        let expires_while_pending =
            months && self.expiry_months.is_some_and(|months| self.pending_days >= months.saturating_mul(28));
        check(
            !expires_while_pending,
            "expiryMonths",
            "must be longer than pendingDays, or points would expire before they become available",
        );
        for (bonus, member) in [
            (self.signup_bonus, "signupBonus"),
            (self.referral_bonus, "referralBonus"),
            (self.birthday_bonus, "birthdayBonus"),
        ] {
            check(bonus <= MAX_BONUS, member, "must be 0 to 1,000,000 points");
        }
        for (percent, member) in
            [(self.min_share_percent, "minSharePercent"), (self.max_share_percent, "maxSharePercent")]
        {
            check(within(percent, 100, 4), member, "must be a percentage from 0 to 100 with at most 4 decimals");
        }
        let ordered = !within(self.min_share_percent, 100, 4) || self.min_share_percent <= self.max_share_percent;
        check(ordered, "minSharePercent", "must not be above maxSharePercent");
        faults
    }
}

impl Group for Ladder {
    const NAME: &'static str = "tiers";

    fn version(&self) -> i64 {
        self.version
    }

    fn set_version(&mut self, version: i64) {
        self.version = version;
    }

    fn faults(&self) -> Faults {
        Self::faults(self)
    }
}

/// All settings at one epoch.
#[derive(Clone, Debug, Default)]
pub(crate) struct Terms {
    epoch: i64,
    pub(crate) settings: RewardSettings,
    pub(crate) ladder: Ladder,
}

/// The settings in memory; they are reloaded when the epoch has changed.
#[derive(Debug)]
pub(crate) struct TermsCache(RwLock<Arc<Terms>>);

impl Default for TermsCache {
    fn default() -> Self {
        Self(RwLock::new(Arc::new(Terms { epoch: -1, ..Terms::default() })))
    }
}

impl TermsCache {
    /// Returns the settings as the transaction sees them.
    pub(crate) fn at(&self, tx: &Tx<'_>) -> Result<Arc<Terms>, StoreError> {
        let epoch = tx.get::<Setting>(&EPOCH.to_owned())?.map_or(0, |row| row.version);
        let current = self.0.read().clone();
        if current.epoch == epoch {
            return Ok(current);
        }
        let terms = Arc::new(Terms { epoch, settings: load(tx)?, ladder: load(tx)? });
        *self.0.write() = terms.clone();
        Ok(terms)
    }
}

/// Loads a group of settings; the defaults of a new store if none are stored.
pub(crate) fn load<G: Group>(tx: &Tx<'_>) -> Result<G, StoreError> {
    let Some(row) = tx.get::<Setting>(&G::NAME.to_owned())? else { return Ok(G::default()) };
    let mut group: G = serde_json::from_value(row.value.0)
        .map_err(|error| StoreError::Damaged { place: format!("reward settings {}: {error}", G::NAME) })?;
    group.set_version(row.version);
    Ok(group)
}

/// Applies `change` to the current state of a group, checks the result and stores it with an audit entry.
pub(crate) async fn change<G: Group>(
    db: &Db,
    cx: &Cx,
    change: impl Fn(G) -> Result<G, Error> + Send + 'static,
) -> Result<G, Error> {
    let caller = cx.clone();
    db.write(cx, move |tx| {
        let old = tx.get::<Setting>(&G::NAME.to_owned())?;
        let current = old.as_ref().map_or(0, |row| row.version);
        let group = change(load(tx)?)?;
        group.faults().finish()?;
        match group.version() {
            // A version in the settings works like If-Match: it is the version that the caller has read.
            sent @ 1.. if caller.if_match.is_none() => {
                Cx { if_match: Some(sent.into()), ..caller.clone() }.check_version(current)?;
            }
            _ => caller.check_version(current)?,
        }
        let mut saved = group;
        saved.set_version(current + 1);
        let value = serde_json::to_value(&saved).map_err(Error::internal)?;
        tx.put(&Setting { name: G::NAME.to_owned(), value: Json(value.clone()), version: current + 1 })?;
        let epoch = tx.get::<Setting>(&EPOCH.to_owned())?.map_or(0, |row| row.version);
        tx.put(&Setting { name: EPOCH.to_owned(), value: Json(Value::Null), version: epoch + 1 })?;
        let (before, subject) = (old.map(|row| row.value.0), format!("settings:{}", G::NAME));
        tx.emit(current + 1, &Audited::new(caller.principal.name(), "settings.update", subject, before, value))?;
        Ok(saved)
    })
    .await
}

impl Rewards {
    /// Changes the settings. The value of a point is an amount in the store's currency, so the change is checked
    /// against that currency.
    pub(crate) async fn change_settings(
        &self,
        cx: &Cx,
        change: impl Fn(RewardSettings) -> Result<RewardSettings, Error> + Send + 'static,
    ) -> Result<RewardSettings, Error> {
        let currency = cx.call(GetStoreProfile {}).await?.currency;
        let changed = settings::change(&self.db, cx, change);
        write_amounts(cx, currency, changed, |changed| changed.as_ref().is_ok_and(RewardSettings::has_amounts)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use promox_kernel::bind_json;

    #[test]
    fn faults_of_settings_have_pointers() {
        assert!(Group::faults(&RewardSettings::default()).is_empty());
        for (json, pointer) in [
            (r#"{"pointsPerUnit":"-1"}"#, "/pointsPerUnit"),
            (r#"{"pointsPerUnit":"0.00001"}"#, "/pointsPerUnit"),
            (r#"{"pointValue":"-0.01"}"#, "/pointValue"),
            (r#"{"pointValue":"0.0000001"}"#, "/pointValue"),
            (r#"{"pendingDays":366}"#, "/pendingDays"),
            (r#"{"expiryMonths":0}"#, "/expiryMonths"),
            (r#"{"expiryMonths":1,"pendingDays":30}"#, "/expiryMonths"),
            (r#"{"birthdayBonus":1000001}"#, "/birthdayBonus"),
            (r#"{"maxSharePercent":"100.5"}"#, "/maxSharePercent"),
            (r#"{"minSharePercent":"60","maxSharePercent":"50"}"#, "/minSharePercent"),
        ] {
            let settings = RewardSettings::default().patched(bind_json(json.as_bytes()).unwrap()).unwrap();
            assert_eq!(Group::faults(&settings).into_list()[0].pointer, pointer, "{json}");
        }
    }
}
