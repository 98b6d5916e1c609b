//! Operations on API keys.

use promox_contract::user::KEY_PREFIX;
use promox_kernel::{Cx, Error, Handle, Page};
use promox_storage::Tx;

use crate::Users;
use crate::api::{ApiKeyView, CreateKey, CreatedKey, DeleteKey, ListKeys, Secret};
use crate::commands::api_keys;
use crate::records::ApiKeyByCreated;

impl Handle<ListKeys> for Users {
    async fn handle(&self, _: &Cx, op: ListKeys) -> Result<Page<ApiKeyView>, Error> {
        let page = |tx: &Tx<'_>| tx.scan_by::<ApiKeyByCreated>().backward().page(op.limit, op.cursor.clone());
        Ok(self.db.read(page).await?.map(|row| self.key_view(row)))
    }
}

impl Handle<CreateKey> for Users {
    async fn handle(&self, cx: &Cx, op: CreateKey) -> Result<CreatedKey, Error> {
        let key = format!("{KEY_PREFIX}{}", cx.node.entropy.token());
        let (caller, all_permissions, text) = (cx.clone(), self.all_permissions(cx).await?, key.clone());
        let work = move |tx: &mut Tx<'_>| api_keys::create(tx, &caller, &op, &text, &all_permissions);
        let row = self.db.write(cx, work).await?;
        Ok(CreatedKey { key: Secret(key), api_key: self.key_view(row) })
    }
}

impl Handle<DeleteKey> for Users {
    async fn handle(&self, cx: &Cx, op: DeleteKey) -> Result<(), Error> {
        let caller = cx.clone();
        self.db.write(cx, move |tx| api_keys::delete(tx, &caller, op.id)).await
    }
}
