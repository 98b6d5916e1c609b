//! Rebuilds, and how far the figures have followed the events.

use promox_contract::audit::Audited;
use promox_kernel::{Cx, Error};
use promox_storage::{Database, StoreError, Tx};

use crate::Analytics;
use crate::commands::generations;
use crate::records::{Generation, GenerationStatus};
use crate::views::{GenerationView, LogView, StateView};

impl Analytics {
    /// Starts a rebuild, unless one is running.
    pub(crate) async fn begin_rebuild(&self, cx: &Cx) -> Result<(), Error> {
        let actor = cx.principal.name();
        let begin = move |tx: &mut Tx<'_>| {
            let row = generations::rebuild(tx)?;
            let subject = format!("generation:{}", row.id);
            let entry = Audited::new(actor.clone(), "analytics.rebuild", subject, (), row.started_at);
            tx.emit(i64::from(row.id), &entry)
        };
        Ok(self.db.write(cx, begin).await?)
    }

    /// The positions of the current generation and of a running rebuild in the event logs.
    #[allow(clippy::redundant_closure_for_method_calls, reason = "the method alone is not general over lifetimes")]
    pub(crate) async fn state(&self) -> Result<StateView, StoreError> {
        let shop = self.shop.last_position().await?;
        let read = |tx: &Tx<'_>| Ok::<_, StoreError>((generations::all(tx)?, tx.last_position()?));
        let (rows, promox) = self.db.read(read).await?;
        let positions = self.positions.lock();
        let view = |row: &Generation| GenerationView {
            generation: row.id,
            shop: LogView { position: positions.of(row, Database::Ecommerce), last: shop },
            promotion: LogView { position: positions.of(row, Database::Promox), last: promox },
            started_at: row.started_at,
        };
        let with_status = |status| rows.iter().find(|row| row.status == status).map(view);
        Ok(StateView {
            current: with_status(GenerationStatus::Current),
            rebuild: with_status(GenerationStatus::Rebuilding),
        })
    }
}
