//! Commands that change the catalog. All checks of a product or category come before its first write, so that a refused
//! row of an import leaves its transaction unchanged.

mod audit_entry;
mod categories;
mod products;
mod skus;

use std::sync::Arc;

use promox_contract::audit::Audited;
use promox_kernel::{Currency, Cx};
use promox_storage::{StoreError, Tx};
use serde_json::Value;

pub(crate) use categories::{
    check_move, create_category, delete_category, move_products, update_category, upsert_category,
};
pub(crate) use products::{ImportRow, archive, create, draft, update, upsert};

use crate::queries::{TreeCache, epochs};
use crate::records::Epochs;
use crate::rules::{ChangeContext, Tree};

/// The context of a command: the request, the store's currency and tax classes, and the category tree.
#[derive(Clone, Debug)]
pub(crate) struct CommandContext {
    pub(crate) cx: Cx,
    pub(crate) currency: Currency,
    /// The store's tax classes.
    pub(crate) tax_classes: Arc<[String]>,
    pub(crate) trees: Arc<TreeCache>,
}

/// A command context within one transaction.
#[derive(Debug)]
pub(crate) struct CatalogTx<'d> {
    context: &'d CommandContext,
    /// The epochs before this transaction.
    before: Epochs,
    tree: Arc<Tree>,
}

impl CommandContext {
    /// Starts a command in a transaction, on the categories that `tree` has in place of the store's.
    pub(crate) fn open_on(&self, tx: &Tx<'_>, tree: Arc<Tree>) -> Result<CatalogTx<'_>, StoreError> {
        Ok(CatalogTx { context: self, before: epochs(tx)?, tree })
    }

    /// Starts a command in a transaction.
    pub(crate) fn open(&self, tx: &Tx<'_>) -> Result<CatalogTx<'_>, StoreError> {
        let before = epochs(tx)?;
        let tree = self.trees.at(tx, &before)?;
        Ok(CatalogTx { context: self, before, tree })
    }
}

impl CatalogTx<'_> {
    /// The categories before this transaction, with those that rows of an import have changed in it.
    pub(crate) fn tree(&self) -> &Arc<Tree> {
        &self.tree
    }

    /// What changes to products are validated against.
    fn change_context(&self, tx: &Tx<'_>) -> ChangeContext<'_> {
        let CommandContext { currency, tax_classes, .. } = self.context;
        ChangeContext { currency: *currency, tax_classes, tree: &self.tree, now: tx.now() }
    }

    /// The catalog's epoch after this transaction.
    fn epoch(&self) -> i64 {
        self.before.catalogue + 1
    }

    /// Advances the catalog epoch, because products change.
    fn advance(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let current = tx.get::<Epochs>(&Epochs::KEY)?.unwrap_or_else(|| self.before.clone());
        tx.put(&Epochs { catalogue: self.epoch(), ..current })
    }

    /// Advances the catalog and category epochs, because categories change.
    fn advance_categories(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        tx.put(&Epochs { id: Epochs::KEY, catalogue: self.epoch(), categories: self.epoch() })
    }

    /// Emits the audit entry of a change. `change` are the members that differ, before and after.
    fn audit(
        &self,
        tx: &mut Tx<'_>,
        action: &str,
        subject: (&str, i64),
        change: (Value, Value),
    ) -> Result<(), StoreError> {
        let actor = self.context.cx.principal.name();
        let (kind, id) = subject;
        tx.emit(id, &Audited::new(actor, action, format!("{kind}:{id}"), change.0, change.1))
    }
}
