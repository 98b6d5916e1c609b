//! Commands that create accounts, and changes by their owners.

use std::collections::BTreeMap;

use promox_contract::user::UserRegistered;
use promox_kernel::{Cx, Email, Error, Faults, Json, Locale, Patch, UserId};
use promox_storage::{StoreError, Tx};

use super::{messages, sessions};
use crate::api::{UpdateMe, UserStatus};
use crate::records::{EndReason, Purpose, User, UserByReferralCode, UserRole, UserTerm};
use crate::rules::{profile, terms};
use crate::{queries, reject};

/// The data of a new account, which is validated already.
#[derive(Clone)]
pub(crate) struct NewAccount {
    pub(crate) email: Email,
    pub(crate) password_hash: String,
    pub(crate) name: Option<String>,
    pub(crate) phone: Option<String>,
    pub(crate) locale: Option<Locale>,
    /// The referral code that the account will share.
    pub(crate) referral_code: String,
    /// The referral code of another user, who referred this one.
    pub(crate) referred_by: Option<String>,
    /// Whether addresses that differ only in a plus tag count as one person, so that users cannot refer themselves.
    pub(crate) ignore_plus_tags: bool,
    pub(crate) roles: &'static [&'static str],
}

/// The owner of a referral code. An unknown code is refused, so that a typo does not cost the referrer a bonus.
pub(crate) fn referrer(tx: &Tx<'_>, code: &str) -> Result<User, Error> {
    tx.get_by::<UserByReferralCode>(Some(code.to_owned()))?.ok_or_else(reject::referral_code_unknown)
}

/// Creates an account, and requests the message that confirms its address.
pub(crate) fn create(tx: &mut Tx<'_>, new: &NewAccount) -> Result<User, Error> {
    if queries::user_by_email(tx, &new.email)?.is_some() {
        return Err(reject::email_taken());
    }
    let referrer = new.referred_by.as_ref().map(|code| referrer(tx, code)).transpose()?;
    let is_same_person = |user: &User| new.ignore_plus_tags && user.mailbox == Some(new.email.mailbox());
    let referrer = referrer.filter(|user| !is_same_person(user)).map(|user| user.id);
    let (id, now) = (UserId(tx.next_id::<User>()?), tx.now());
    let user = User {
        id,
        email: Some(new.email.clone()),
        mailbox: Some(new.email.mailbox()),
        password_hash: Some(new.password_hash.clone()),
        name: new.name.clone(),
        phone: new.phone.clone(),
        birth_date: None,
        attributes: Json(BTreeMap::new()),
        status: UserStatus::Active,
        email_verified_at: None,
        referral_code: Some(new.referral_code.clone()),
        session_version: 1,
        created_at: now,
        updated_at: now,
        erased_at: None,
        version: 1,
        locale: new.locale.clone(),
        timezone: None,
    };
    save(tx, None, &user)?;
    for role in new.roles {
        tx.put(&UserRole { user: id, role: (*role).to_owned(), granted_at: now })?;
    }
    messages::request(tx, Purpose::EmailVerification, &new.email)?;
    tx.emit(id, &UserRegistered { user_id: id, referral_code: new.referred_by.clone(), referrer })?;
    Ok(user)
}

/// Writes a user and updates its search terms.
pub(crate) fn save(tx: &mut Tx<'_>, before: Option<&User>, after: &User) -> Result<(), StoreError> {
    let old = before.map(terms::terms).unwrap_or_default();
    let new = terms::terms(after);
    for term in old.difference(&new) {
        tx.delete::<UserTerm>(&(term.clone(), after.id))?;
    }
    for term in new.difference(&old) {
        tx.put(&UserTerm { term: term.clone(), user: after.id })?;
    }
    tx.put(after)
}

/// The user with the current time as its time of change, and the next version.
pub(crate) fn with_new_version(tx: &Tx<'_>, mut user: User) -> User {
    user.updated_at = tx.now();
    user.version += 1;
    user
}

/// Applies the members of a profile that the request has.
pub(crate) fn update_profile(tx: &mut Tx<'_>, cx: &Cx, id: UserId, change: &UpdateMe) -> Result<User, Error> {
    let before = queries::user(tx, id)?;
    cx.check_version(before.version)?;
    let mut after = before.clone();
    let now = tx.now();
    let mut faults = Faults::default();
    checked(&mut faults, "/name", &change.name, profile::name).apply(&mut after.name);
    checked(&mut faults, "/phone", &change.phone, profile::phone).apply(&mut after.phone);
    let birth_date = |text: &str| profile::birth_date(text, now);
    checked(&mut faults, "/birthDate", &change.birth_date, birth_date).apply(&mut after.birth_date);
    change.locale.clone().apply(&mut after.locale);
    checked(&mut faults, "/timezone", &change.timezone, profile::timezone).apply(&mut after.timezone);
    match &change.attributes {
        Patch::Keep => {}
        Patch::Clear => after.attributes.0.clear(),
        Patch::Set(changes) => {
            let merged = profile::merge_attributes(&mut after.attributes.0, changes.clone());
            faults.take("/attributes", merged);
        }
    }
    faults.finish()?;
    if after != before {
        after = with_new_version(tx, after);
        save(tx, Some(&before), &after)?;
    }
    Ok(after)
}

/// Validates the value of a patch and notes a fault.
fn checked(
    faults: &mut Faults,
    pointer: &str,
    change: &Patch<String>,
    check: impl Fn(&str) -> Result<String, String>,
) -> Patch<String> {
    change.clone().map(|text| faults.take(pointer, check(&text)).unwrap_or_default())
}

/// Sets a new password, revokes tokens that would reset it, and ends all sessions except `kept_session`.
pub(crate) fn set_password(
    tx: &mut Tx<'_>,
    id: UserId,
    password_hash: &str,
    kept_session: Option<i64>,
    reason: EndReason,
) -> Result<User, Error> {
    let user = queries::user(tx, id)?;
    if matches!(user.status, UserStatus::Erasing | UserStatus::Erased) {
        return Err(reject::one_time_token_invalid());
    }
    let mut user = with_new_version(tx, user);
    user.password_hash = Some(password_hash.to_owned());
    sessions::end_all(tx, &mut user, kept_session, reason)?;
    messages::revoke_tokens(tx, Purpose::PasswordReset, Some(id))?;
    tx.put(&user)?;
    Ok(user)
}
