//! The user service's part of `promox verify`: recomputes its invariants from the rows.

use promox_kernel::UserId;
use promox_storage::{Report, StoreError, Tx};

use crate::api::UserStatus;
use crate::commands::audit_log::HEAD;
use crate::records::{
    Address, ApiKey, AuditEntry, AuditHead, Erasure, OneTimeToken, Role, RolePermission, Session, User, UserRole,
    UserTerm,
};
use crate::rules::{chain, terms};

const CHAIN: &str = "audit: the hash chain verifies";
const ERASED: &str = "erasure: no personal data is left";
const ORPHANS: &str = "references: every role, permission, key and token belongs to an existing row";
const SESSIONS: &str = "sessions: a live one has one refresh token, an ended one has none";
const ADDRESSES: &str = "addresses: one default per address book";
const TERMS: &str = "search: the index has exactly the terms of each user";

/// Checks every row of this service.
pub(crate) fn audit(tx: &Tx<'_>, report: &mut Report) -> Result<(), StoreError> {
    users(tx, report)?;
    references(tx, report)?;
    sessions(tx, report)?;
    addresses(tx, report)?;
    audit_log_chain(tx, report)
}

fn is_user(tx: &Tx<'_>, id: UserId) -> Result<bool, StoreError> {
    Ok(tx.get::<User>(&id)?.is_some())
}

fn users(tx: &Tx<'_>, report: &mut Report) -> Result<(), StoreError> {
    let mut expected_terms = 0_usize;
    for user in tx.scan::<User>().rows() {
        let user = user?;
        let erased = user.status == UserStatus::Erased;
        let has_personal_data = user.email.is_some()
            || user.password_hash.is_some()
            || user.mailbox.is_some()
            || user.name.is_some()
            || user.phone.is_some()
            || user.birth_date.is_some()
            || user.locale.is_some()
            || user.timezone.is_some()
            || user.referral_code.is_some()
            || !user.attributes.0.is_empty();
        report.check(ERASED, !(erased && has_personal_data), || format!("user {}", user.id));
        let is_requested = tx.get::<Erasure>(&user.id)?.is_some();
        report.check(
            "erasure: exactly the accounts with a requested erasure are ERASING",
            is_requested == (user.status == UserStatus::Erasing),
            || format!("user {} is {}", user.id, user.status),
        );
        report.check("users: an account that is not erased has an address", erased || user.email.is_some(), || {
            format!("user {}", user.id)
        });
        for term in terms::terms(&user) {
            expected_terms += 1;
            let is_indexed = tx.get::<UserTerm>(&(term, user.id))?.is_some();
            report.check(TERMS, is_indexed, || format!("a term of user {} is not indexed", user.id));
        }
    }
    let mut indexed_terms = 0_usize;
    for term in tx.scan::<UserTerm>().rows() {
        term?;
        indexed_terms += 1;
    }
    report.check(TERMS, indexed_terms == expected_terms, || {
        format!("{indexed_terms} terms are indexed, {expected_terms} expected")
    });
    Ok(())
}

fn references(tx: &Tx<'_>, report: &mut Report) -> Result<(), StoreError> {
    for row in tx.scan::<UserRole>().rows() {
        let row = row?;
        let exists = is_user(tx, row.user)? && tx.get::<Role>(&row.role)?.is_some();
        report.check(ORPHANS, exists, || format!("role {} of user {}", row.role, row.user));
    }
    for row in tx.scan::<RolePermission>().rows() {
        let row = row?;
        let exists = tx.get::<Role>(&row.role)?.is_some();
        report.check(ORPHANS, exists, || format!("permission {} of role {}", row.permission, row.role));
    }
    for row in tx.scan::<ApiKey>().rows() {
        let row = row?;
        let exists = is_user(tx, row.creator)?;
        report.check(ORPHANS, exists, || format!("API key {} of user {}", row.id, row.creator));
    }
    for row in tx.scan::<OneTimeToken>().rows() {
        let row = row?;
        let exists = row.user.map_or(Ok(true), |user| is_user(tx, user))?;
        report.check(ORPHANS, exists, || format!("a token {} of user {:?}", row.purpose, row.user));
    }
    Ok(())
}

fn sessions(tx: &Tx<'_>, report: &mut Report) -> Result<(), StoreError> {
    for row in tx.scan::<Session>().rows() {
        let row = row?;
        let ended = row.ended_at.is_some();
        report.check(SESSIONS, ended == row.token_hash.is_none() && ended == row.end_reason.is_some(), || {
            format!("session {}", row.id)
        });
        let is_allowed = match tx.get::<User>(&row.user)? {
            Some(user) => ended || matches!(user.status, UserStatus::Active | UserStatus::Erasing),
            None => false,
        };
        report
            .check("sessions: only a user who may log in has live ones", is_allowed, || format!("session {}", row.id));
    }
    Ok(())
}

fn addresses(tx: &Tx<'_>, report: &mut Report) -> Result<(), StoreError> {
    let mut book: Option<(UserId, usize)> = None;
    let mut check_defaults = |book: Option<(UserId, usize)>| {
        if let Some((user, defaults)) = book {
            report.check(ADDRESSES, defaults == 1, || format!("user {user} has {defaults} default addresses"));
        }
    };
    for row in tx.scan::<Address>().rows() {
        let row = row?;
        let defaults = usize::from(row.is_default);
        book = match book {
            Some((user, before)) if user == row.user => Some((user, before + defaults)),
            other => {
                check_defaults(other);
                Some((row.user, defaults))
            }
        };
    }
    check_defaults(book);
    Ok(())
}

fn audit_log_chain(tx: &Tx<'_>, report: &mut Report) -> Result<(), StoreError> {
    let (mut entries, mut previous) = (0, chain::ROOT.to_vec());
    for entry in tx.scan::<AuditEntry>().rows() {
        let entry = entry?;
        entries += 1;
        let is_linked = entry.id == entries && entry.previous_hash == previous;
        report.check(CHAIN, is_linked, || format!("entry {} does not follow entry {}", entry.id, entries - 1));
        report.check(CHAIN, entry.hash == chain::hash(&entry), || format!("entry {} was changed", entry.id));
        previous = entry.hash;
    }
    let head = tx.get::<AuditHead>(&HEAD)?.map_or((0, chain::ROOT.to_vec()), |head| (head.entries, head.hash));
    report.check(CHAIN, head == (entries, previous), || {
        format!("the log ends at {entries}, but its head says {}", head.0)
    });
    Ok(())
}
