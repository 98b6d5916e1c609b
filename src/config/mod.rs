//! One tree of settings: every value has a default, a type and an origin.
//!
//! [`load`] validates the settings as a whole. Sections and keys are the same in the file (`[limits] enabled`), in the
//! environment (`PROMOX_LIMITS__ENABLED`) and in messages (`limits.enabled`).

mod check;
mod discovery;
mod exposed;
mod fault;
mod gateway;
mod memory;
mod overlay;
mod secrets;
mod sections;
mod servers;
mod variables;
mod wording;

pub use discovery::{Discovery, OptionalAddress};
pub use exposed::exposed;
pub use fault::{Fault, Faults};
pub use gateway::{AppRoute, Gateway};
pub use memory::Shares;
pub use overlay::{Examined, Flag, Loaded, Origin, Setting, examine, load};
pub use promox_kernel::Subnet;
pub use sections::{
    Admin, Auth, Cost, Data, Limits, Log, LogFormat, Mail, MailMode, MailTls, Payment, Rate, Server, Settings, Sms,
    SmsMode, Storage, Store, Tls, Webhooks,
};
pub use servers::{Postgres, Redis};
