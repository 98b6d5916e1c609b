//! Event consumers of the cart service.

use std::sync::Arc;

use promox_contract::user::UserErased;
use promox_kernel::Error;
use promox_storage::{Consumer, Database, Event, Tx};

use crate::commands::delete_cart;
use crate::records::CartByUser;

/// Deletes the carts of erased users.
pub(crate) struct EraseUser;

impl Consumer for EraseUser {
    fn name(&self) -> &'static str {
        "cart.erase_user"
    }

    fn source(&self) -> Database {
        Database::Ecommerce
    }

    fn wants(&self, event: &Event) -> bool {
        event.is::<UserErased>()
    }

    fn apply(&self, tx: &mut Tx<'_>, events: &[Arc<Event>]) -> Result<(), Error> {
        for event in events {
            let erased: UserErased = event.fact()?;
            if let Some(cart) = tx.get_by::<CartByUser>(Some(erased.user_id))? {
                delete_cart(tx, &cart)?;
            }
        }
        Ok(())
    }
}
