//! Writes: routes made at run time, and identity keys.

use std::time::Duration;

use promox_contract::audit::Audited;
use promox_kernel::{Cx, Error, Json};
use promox_storage::Tx;
use serde_json::Value;

use crate::queries;
use crate::records::{IdentityKey, RouteId, StoredRoute};
use crate::reject;
use crate::rules::identity::public_key;
use crate::rules::route::RouteRule;
use crate::rules::table::conditions;

/// Maximum number of routes made at run time.
const MAX_ROUTES: usize = 200;
/// How long a key signs.
const SIGNS_FOR: Duration = Duration::from_hours(30 * 24);
/// How long before it signs a key is published, and how long after it.
const PUBLISHED_AROUND: Duration = Duration::from_hours(24);

/// Stores a route. `configured` are the routes of the configuration.
pub(crate) fn create(tx: &mut Tx<'_>, cx: &Cx, rule: &RouteRule, configured: &[RouteRule]) -> Result<RouteId, Error> {
    let stored = queries::stored_routes(tx)?;
    if stored.len() >= MAX_ROUTES {
        return Err(reject::too_many_routes(MAX_ROUTES));
    }
    let is_same = |known: &RouteRule| known.app == rule.app && conditions(known) == conditions(rule);
    if stored.iter().map(|route| &route.rule.0).chain(configured).any(is_same) {
        return Err(reject::route_exists());
    }
    let id = RouteId(tx.next_id::<StoredRoute>()?);
    let route = StoredRoute { id, rule: Json(rule.clone()), created_by: cx.principal.name(), created_at: tx.now() };
    tx.insert(&route)?;
    audit(tx, cx, "gateway.create_route", id, &Value::Null, rule)?;
    Ok(id)
}

/// Removes a route. 404 if there is none with this id.
pub(crate) fn delete(tx: &mut Tx<'_>, cx: &Cx, id: RouteId) -> Result<(), Error> {
    let route = tx.get::<StoredRoute>(&id)?.ok_or(Error::not_found("route"))?;
    tx.delete::<StoredRoute>(&id)?;
    audit(tx, cx, "gateway.delete_route", id, &route.rule.0, &Value::Null)
}

fn audit(
    tx: &mut Tx<'_>,
    cx: &Cx,
    action: &str,
    id: RouteId,
    before: &impl serde::Serialize,
    after: &impl serde::Serialize,
) -> Result<(), Error> {
    let entry = Audited::new(cx.principal.name(), action, format!("gateway-route:{id}"), before, after);
    Ok(tx.emit(id.0, &entry)?)
}

/// Creates a key when one is due and removes those that sign no longer. Returns the resulting keys.
pub(crate) fn rotate_keys(tx: &mut Tx<'_>, seed: &[u8]) -> Result<Vec<IdentityKey>, Error> {
    let (keys, now) = (queries::identity_keys(tx)?, tx.now());
    let newest = keys.iter().map(|key| key.signs_from).max();
    for key in keys.iter().filter(|key| key.signs_from + SIGNS_FOR + 2 * PUBLISHED_AROUND <= now) {
        if Some(key.signs_from) != newest {
            tx.delete::<IdentityKey>(&key.kid)?;
        }
    }
    if newest.is_none_or(|newest| newest + SIGNS_FOR <= now) {
        let (public_key, kid) = public_key(seed)?;
        let signs_from = if newest.is_none() { now } else { now + PUBLISHED_AROUND };
        let key = IdentityKey { kid, seed: seed.to_vec(), public_key, signs_from, created_at: now };
        tx.insert(&key)?;
    }
    Ok(queries::identity_keys(tx)?)
}
