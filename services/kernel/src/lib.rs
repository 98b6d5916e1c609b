//! Types that every service uses: ids, money, time, errors, operations, permissions, pages.
//!
//! Nothing here does I/O. Time and randomness come from [`Clock`] and [`Entropy`], which the server provides.

pub mod accept;
mod back_off;
mod bind;
mod body;
mod bounded;
mod clock;
pub mod codes;
mod compute;
pub mod country;
mod cx;
mod digest;
mod email;
pub mod encoding;
mod entropy;
mod error;
mod fact;
mod faults;
mod ids;
mod if_match;
mod job;
mod listeners;
mod locale;
mod mend;
mod money;
mod nearest;
mod network;
mod op;
mod outgoing;
mod page;
mod patch;
pub mod pointer;
mod principal;
mod progress;
pub mod region;
mod registry;
mod reply;
mod subnet;
mod text;
mod text_enum;
mod time;
pub mod trace;
pub mod value;
mod wire;

pub use back_off::BackOff;
pub use bind::{Request, bind_json};
pub use body::{Body, BodyReader, BodySender};
pub use bounded::Bounded;
pub use clock::Clock;
pub use compute::{Compute, move_for_lines};
pub use country::country;
pub use cx::{Calls, Claim, Cx, Node, observed};
pub use digest::{hex, sha256};
pub use email::Email;
pub use encoding::{EncodedJson, Json};
pub use entropy::Entropy;
pub use error::{Error, FieldError, Kind};
pub use fact::Fact;
pub use faults::Faults;
pub use if_match::IfMatch;
pub use job::Job;
pub use listeners::{Listeners, Streamed, server_sent};
pub use locale::{Language, Locale};
pub use money::{Amount, Currency, round_half_up};
pub use nearest::did_you_mean;
pub use network::{client_network, embedded_v4, is_disguised_address, is_never_reachable};
pub use op::{Access, BodyKind, Method, Op, Replay, service_of};
pub use outgoing::Outgoing;
pub use page::{Cursor, Limit, ListWarning, Page, Warnings};
pub use patch::{CLEARS, OrNull, Patch, nullable};
pub use principal::{Principal, UserId};
pub use progress::Progress;
pub use registry::{BoxFuture, Declaration, Entry, Handle, KeyKeeper, Registry};
pub use reply::{Content, Download, Reply, Response, to_json};
pub use subnet::Subnet;
pub use text::{Sku, bounded, multiline, nfc};
pub use time::{Timestamp, whole_seconds};
pub use wire::Wire;

/// Items that the expanded macros of this crate use.
#[doc(hidden)]
pub mod macros {
    pub use schemars;
    pub use serde;
}
