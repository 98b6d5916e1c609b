//! Reads: users, sessions, roles and permissions, addresses, the audit log.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use promox_contract::user::UserDescription;
use promox_kernel::{Cursor, Email, Error, Limit, Page, Timestamp, UserId};
use promox_storage::{Scan, StoreError, Tx};

use crate::access::Account;
use crate::api::{
    AddressView, AuditEntryView, ErasureView, ListAudit, ListUsers, PermissionView, RoleView, SessionView, UserStatus,
    UserView,
};
use crate::records::{
    AccessVersion, Address, AuditByAction, AuditByActor, AuditByActorAndAction, AuditByTime, AuditEntry, Erasure, Role,
    RolePermission, Session, SessionByUser, User, UserByEmail, UserByMailbox, UserByStatus, UserRole, UserRoleByRole,
    UserTerm,
};
use crate::rules::{chain, permissions, terms};

/// Maximum roles of a user.
pub(crate) const MAX_ROLES: usize = 20;

/// Maximum permissions of a role.
pub(crate) const MAX_PERMISSIONS: usize = 500;

/// Maximum live sessions of a user.
pub(crate) const MAX_SESSIONS: usize = 100;

/// The id of the access version that covers all roles.
pub(crate) const ALL_ROLES: i64 = 0;

/// Maximum accounts of one mailbox, which differ in plus tags, that are examined.
const MAX_PER_MAILBOX: usize = 1_000;

/// Maximum accounts that one page of a search examines.
const MAX_EXAMINED: usize = 6_000;

/// The user with this id, or 404.
pub(crate) fn user(tx: &Tx<'_>, id: UserId) -> Result<User, Error> {
    tx.get::<User>(&id)?.ok_or_else(|| Error::not_found("user"))
}

/// The user with this e-mail address.
pub(crate) fn user_by_email(tx: &Tx<'_>, email: &Email) -> Result<Option<User>, StoreError> {
    tx.get_by::<UserByEmail>(Some(email.clone()))
}

/// The accounts with these e-mail addresses, without duplicates. With `ignore_plus_tags`, addresses that differ only in
/// a plus tag match too.
pub(crate) fn accounts_of(tx: &Tx<'_>, emails: &[Email], ignore_plus_tags: bool) -> Result<Vec<UserId>, StoreError> {
    let mut ids = Vec::new();
    for email in emails {
        for user in tx.scan_by::<UserByMailbox>().prefix(Some(email.mailbox())).rows().take(MAX_PER_MAILBOX) {
            let user = user?;
            let matches = user.email.as_ref().is_some_and(|known| ignore_plus_tags || known.normal() == email.normal());
            if matches && !ids.contains(&user.id) {
                ids.push(user.id);
            }
        }
    }
    Ok(ids)
}

/// The names of a user's roles.
pub(crate) fn roles_of(tx: &Tx<'_>, user: UserId) -> Result<Vec<String>, StoreError> {
    Ok(tx.scan::<UserRole>().prefix(user).collect(MAX_ROLES)?.into_iter().map(|held| held.role).collect())
}

/// The permissions of a role. ADMIN has `all_permissions`.
pub(crate) fn permissions_of_role(
    tx: &Tx<'_>,
    role: &str,
    all_permissions: &BTreeSet<String>,
) -> Result<BTreeSet<String>, StoreError> {
    if role == permissions::ADMIN {
        return Ok(all_permissions.clone());
    }
    let rows = tx.scan::<RolePermission>().prefix(role).collect(MAX_PERMISSIONS)?;
    Ok(rows.into_iter().map(|row| row.permission).collect())
}

/// The permissions of several roles together. ADMIN has `all_permissions`.
pub(crate) fn permissions_of_roles(
    tx: &Tx<'_>,
    roles: &[String],
    all_permissions: &BTreeSet<String>,
) -> Result<BTreeSet<String>, StoreError> {
    let mut allowed = BTreeSet::new();
    for role in roles {
        allowed.append(&mut permissions_of_role(tx, role, all_permissions)?);
    }
    Ok(allowed)
}

/// Whether an active user other than `except` has the role ADMIN.
pub(crate) fn has_admin(tx: &Tx<'_>, except: Option<UserId>) -> Result<bool, StoreError> {
    for row in tx.scan_by::<UserRoleByRole>().prefix(permissions::ADMIN).rows() {
        let id = row?.user;
        let active = tx.get::<User>(&id)?.is_some_and(|user| user.status == UserStatus::Active);
        if active && Some(id) != except {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The access version of a user's id, or of [`ALL_ROLES`].
pub(crate) fn access_version(tx: &Tx<'_>, id: i64) -> Result<i64, StoreError> {
    Ok(tx.get::<AccessVersion>(&id)?.map_or(0, |row| row.version))
}

/// The sessions and permissions of a user: `cached` if it is current, otherwise from the rows.
pub(crate) fn account(
    tx: &Tx<'_>,
    id: UserId,
    cached: Option<Arc<Account>>,
    all_permissions: &BTreeSet<String>,
) -> Result<Arc<Account>, StoreError> {
    let (own, roles) = (access_version(tx, id.0)?, access_version(tx, ALL_ROLES)?);
    if let Some(account) = cached.filter(|account| account.own == own && account.roles == roles) {
        return Ok(account);
    }
    let user = tx.get::<User>(&id)?.filter(|user| matches!(user.status, UserStatus::Active | UserStatus::Erasing));
    let Some(user) = user else {
        let (erasing, sessions, permissions) = (false, BTreeMap::new(), Arc::default());
        return Ok(Arc::new(Account { own, roles, active: false, erasing, session_version: 0, sessions, permissions }));
    };
    let erasing = user.status == UserStatus::Erasing;
    let live = live_sessions(tx, id)?;
    let sessions = live.into_iter().map(|session| (session.id, session.expires_at)).collect();
    let permissions =
        if erasing { BTreeSet::new() } else { permissions_of_roles(tx, &roles_of(tx, id)?, all_permissions)? };
    let (session_version, permissions) = (user.session_version, Arc::new(permissions));
    Ok(Arc::new(Account { own, roles, active: !erasing, erasing, session_version, sessions, permissions }))
}

/// The sessions of a user that have not been ended.
pub(crate) fn live_sessions(tx: &Tx<'_>, user: UserId) -> Result<Vec<Session>, StoreError> {
    tx.scan_by::<SessionByUser>().prefix((user, None::<Timestamp>)).collect(MAX_SESSIONS * 2)
}

/// The stored sessions of a user, live and ended, at most 1,000.
pub(crate) fn sessions(tx: &Tx<'_>, user: UserId) -> Result<Vec<SessionView>, StoreError> {
    let rows = tx.scan_by::<SessionByUser>().prefix(user).collect(1_000)?;
    let view = |row: Session| SessionView {
        id: row.id,
        created_at: row.created_at,
        refreshed_at: row.refreshed_at,
        expires_at: row.expires_at,
        ended_at: row.ended_at,
    };
    Ok(rows.into_iter().map(view).collect())
}

/// The view of an erasure that is not done.
pub(crate) fn erasure_view(erasure: &Erasure) -> ErasureView {
    ErasureView {
        status: UserStatus::Erasing,
        requested_at: erasure.requested_at,
        open_orders: erasure.open_orders,
        not_before: erasure.not_before,
    }
}

/// The view of a user, without permissions.
pub(crate) fn user_view(tx: &Tx<'_>, user: User) -> Result<UserView, StoreError> {
    let roles = roles_of(tx, user.id)?;
    let erasure = if user.status == UserStatus::Erasing { tx.get::<Erasure>(&user.id)? } else { None };
    Ok(UserView {
        id: user.id,
        email: user.email,
        email_verified: user.email_verified_at.is_some(),
        name: user.name,
        phone: user.phone,
        birth_date: user.birth_date,
        locale: user.locale,
        timezone: user.timezone,
        attributes: user.attributes.0,
        status: user.status,
        erasure: erasure.as_ref().map(erasure_view),
        roles,
        permissions: None,
        referral_code: user.referral_code,
        created_at: user.created_at,
        updated_at: user.updated_at,
        version: user.version,
    })
}

/// A page of users.
pub(crate) fn users(tx: &Tx<'_>, op: ListUsers) -> Result<Page<UserView>, Error> {
    let words = op.q.as_deref().map(terms::words).unwrap_or_default();
    let examined = Cell::new(0_usize);
    let matches_filters = |user: &User| {
        examined.set(examined.get() + 1);
        let has_role = |role: &String| matches!(tx.get::<UserRole>(&(user.id, role.clone())), Ok(Some(_)));
        op.status.is_none_or(|status| user.status == status) && op.role.as_ref().is_none_or(has_role)
    };
    let by_id = |id: UserId| tx.get::<User>(&id).ok().flatten();
    let (limit, cursor) = (op.limit, op.cursor.clone());
    let page = if let Some(word) = words.iter().max_by_key(|word| word.len()) {
        let found = |row: &UserTerm| {
            by_id(row.user).is_some_and(|user| {
                matches_filters(&user)
                    && terms::matches_all(&user, &words)
                    && terms::first_match(&user, word).as_ref() == Some(&row.term)
            })
        };
        tx.scan::<UserTerm>().text_prefix(word).page_of(limit, cursor, found).map(|page| page.map(|row| row.user))
    } else if let Some(role) = op.role.as_deref().filter(|role| *role != permissions::CUSTOMER) {
        let found = |row: &UserRole| by_id(row.user).is_some_and(|user| matches_filters(&user));
        let scan = tx.scan_by::<UserRoleByRole>().prefix(role);
        scan.page_of(limit, cursor, found).map(|page| page.map(|row| row.user))
    } else if let Some(status) = op.status {
        page_of_ids(tx.scan_by::<UserByStatus>().prefix(status), limit, cursor, matches_filters)
    } else {
        page_of_ids(tx.scan::<User>(), limit, cursor, matches_filters)
    };
    let page = page.map_err(|error| if examined.get() > MAX_EXAMINED { search_too_wide() } else { error })?;
    page.try_map(|id| Ok::<_, Error>(user_view(tx, user(tx, id)?)?))
}

/// A page of the ids of users that match.
fn page_of_ids(
    scan: Scan<'_, '_, User>,
    limit: Limit,
    cursor: Option<Cursor>,
    matches: impl Fn(&User) -> bool,
) -> Result<Page<UserId>, Error> {
    Ok(scan.page_of(limit, cursor, matches)?.map(|user| user.id))
}

/// 422: the search would examine too many accounts.
fn search_too_wide() -> Error {
    Error::field("?q", "this page would examine too many accounts: search for more letters or use fewer filters")
}

/// The view of a role.
pub(crate) fn role_view(tx: &Tx<'_>, role: Role, all_permissions: &BTreeSet<String>) -> Result<RoleView, StoreError> {
    Ok(RoleView {
        permissions: permissions_of_role(tx, &role.name, all_permissions)?.into_iter().collect(),
        built_in: permissions::is_built_in(&role.name),
        name: role.name,
        description: role.description,
        created_at: role.created_at,
        updated_at: role.updated_at,
        version: role.version,
    })
}

/// The role with this name, or 404.
pub(crate) fn role(tx: &Tx<'_>, name: &str) -> Result<Role, Error> {
    tx.get::<Role>(&name.to_owned())?.ok_or_else(|| Error::not_found("role"))
}

/// A page of roles.
pub(crate) fn roles(
    tx: &Tx<'_>,
    limit: Limit,
    cursor: Option<Cursor>,
    all_permissions: &BTreeSet<String>,
) -> Result<Page<RoleView>, Error> {
    tx.scan::<Role>().page(limit, cursor)?.try_map(|role| role_view(tx, role, all_permissions))
}

/// The view of an address, for its owner.
pub(crate) fn address_view(row: Address) -> AddressView {
    AddressView {
        id: row.id,
        name: row.name,
        company: row.company,
        vat_id: row.vat_id,
        line1: row.line1,
        line2: row.line2,
        city: row.city,
        postal_code: row.postal_code,
        region: row.region,
        country: row.country,
        phone: row.phone,
        is_default: row.is_default,
        created_at: row.created_at,
        updated_at: row.updated_at,
        version: row.version,
    }
}

/// A page of the audit log, newest first. Every combination of filters has an index, so only the entries of the page
/// are read.
pub(crate) fn audit(tx: &Tx<'_>, op: &ListAudit) -> Result<Page<AuditEntryView>, Error> {
    if op.from.zip(op.to).is_some_and(|(from, to)| from > to) {
        return Err(Error::field("?to", "must not be before `from`"));
    }
    let scan = match (op.actor.as_deref(), op.action.as_deref()) {
        (None, None) => tx.scan_by::<AuditByTime>(),
        (Some(actor), None) => tx.scan_by::<AuditByActor>().prefix(actor),
        (None, Some(action)) => tx.scan_by::<AuditByAction>().prefix(action),
        (Some(actor), Some(action)) => tx.scan_by::<AuditByActorAndAction>().prefix((actor, action)),
    };
    let scan = op.from.into_iter().fold(scan, Scan::from);
    let scan = op.to.into_iter().fold(scan, Scan::before);
    Ok(scan.backward().page(op.limit, op.cursor.clone())?.map(audit_view))
}

/// The view of an entry of the audit log.
pub(crate) fn audit_view(entry: AuditEntry) -> AuditEntryView {
    let value = |text: &str| serde_json::from_str(text).unwrap_or_default();
    AuditEntryView {
        id: entry.id,
        at: entry.at,
        before: value(&entry.before),
        after: value(&entry.after),
        hash: chain::hex(&entry.hash),
        actor: entry.actor,
        action: entry.action,
        subject: entry.subject,
    }
}

pub(crate) fn permission_view(name: &str) -> PermissionView {
    let (resource, action) = name.split_once(':').unwrap_or((name, ""));
    PermissionView { name: name.to_owned(), resource: resource.to_owned(), action: action.to_owned() }
}

/// The description of a user, or `None` for an erased one, which has no address.
pub(crate) fn description(user: User) -> Option<UserDescription> {
    Some(UserDescription {
        id: user.id,
        email: user.email?,
        name: user.name,
        phone: user.phone,
        locale: user.locale,
        timezone: user.timezone,
        registered_at: user.created_at,
        attributes: user.attributes.0,
    })
}
