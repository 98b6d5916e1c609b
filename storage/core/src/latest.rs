//! A value that is read again only after a commit.

use std::fmt;

use parking_lot::Mutex;

use crate::{Db, StoreError, Tx};

/// The latest value of a small read that almost every request makes. It is kept until the next commit to the store, so
/// a store that is only read from serves it without a transaction.
///
/// On an engine that does not count its commits ([`Engine::commits`](crate::Engine::commits)) each call reads.
pub struct Latest<T>(Mutex<Option<(u64, T)>>);

impl<T: Clone> Latest<T> {
    /// Returns what `read` returns for the newest durable state of the database. It must always be the same read of the
    /// same database.
    pub async fn get<E, F>(&self, db: &Db, read: F) -> Result<T, E>
    where
        E: From<StoreError>,
        F: Fn(&Tx<'_>) -> Result<T, E>,
    {
        // The count comes before the read. If a commit lies between them, the value is newer than its count, and the
        // next call reads again.
        let Some(commits) = db.commits() else { return db.read(read).await };
        if let Some((known, value)) = &*self.0.lock()
            && *known == commits
        {
            return Ok(value.clone());
        }
        let value = db.read(read).await?;
        let mut latest = self.0.lock();
        if latest.as_ref().is_none_or(|(known, _)| *known < commits) {
            *latest = Some((commits, value.clone()));
        }
        Ok(value)
    }
}

impl<T> Default for Latest<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T> fmt::Debug for Latest<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the latest value of a read")
    }
}
