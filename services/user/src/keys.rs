//! API keys: authentication, and when each was last used.
//!
//! A key is looked up on every request, so revoking it acts at once. Its last use is kept in memory and written every few
//! seconds, so that reads stay reads.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use promox_contract::user::Authenticated;
use promox_kernel::{Cx, Error, Timestamp};
use promox_storage::Lane;

use crate::api::ApiKeyView;
use crate::commands::api_keys;
use crate::records::{ApiKey, ApiKeyByHash};
use crate::rules::secrets;
use crate::{Users, reject};

/// The last use of each key that was used since uses were last written.
#[derive(Default)]
pub(crate) struct KeyUses(Mutex<BTreeMap<i64, Timestamp>>);

impl KeyUses {
    fn record(&self, id: i64, now: Timestamp) {
        let mut uses = self.0.lock();
        let last = uses.entry(id).or_insert(now);
        *last = now.max(*last);
    }
}

impl Users {
    /// The holder of a key, with those permissions of the key that its creator has at this moment.
    pub(crate) async fn authenticate_key(&self, cx: &Cx, key: &str) -> Result<Authenticated, Error> {
        let hash = secrets::hash(key);
        let row = self.db.read(|tx| tx.get_by::<ApiKeyByHash>(hash.clone())).await?;
        let row = row.filter(|row| row.expires_at.is_none_or(|at| cx.now < at)).ok_or_else(reject::invalid_key)?;
        let creator = self.account(cx, row.creator).await?;
        if !creator.active {
            return Err(reject::invalid_key());
        }
        self.key_uses.record(row.id, cx.now);
        let permissions = row.permissions.0.intersection(&creator.permissions).cloned().collect();
        Ok(Authenticated::Key {
            id: row.id,
            permissions: Arc::new(permissions),
            applications: Arc::new(row.applications.0),
        })
    }

    /// Writes the last uses that are kept in memory. They are kept until they are written.
    pub(crate) async fn record_key_uses(&self, cx: &Cx) -> Result<(), Error> {
        let uses = self.key_uses.0.lock().clone();
        if uses.is_empty() {
            return Ok(());
        }
        let written = uses.clone();
        self.db.write_in(cx, Lane::Bulk, move |tx| api_keys::record_uses(tx, &uses)).await?;
        self.key_uses.0.lock().retain(|id, at| written.get(id) != Some(at));
        Ok(())
    }

    /// The view of a key, with its last use even if that is not written yet.
    pub(crate) fn key_view(&self, row: ApiKey) -> ApiKeyView {
        let recent = self.key_uses.0.lock().get(&row.id).copied();
        ApiKeyView {
            id: row.id,
            name: row.name,
            hint: row.hint,
            permissions: row.permissions.0.into_iter().collect(),
            applications: row.applications.0.into_iter().collect(),
            created_by: row.creator,
            created_at: row.created_at,
            expires_at: row.expires_at,
            last_used_at: recent.max(row.last_used_at),
        }
    }
}
