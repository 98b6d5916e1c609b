//! Connections: TLS, deadlines, response bodies and their compression, and unreadable requests.

pub(crate) mod activity;
pub(crate) mod compress;
pub(crate) mod connection;
pub(crate) mod lease;
pub(crate) mod length;
pub(crate) mod payload;
pub(crate) mod slots;
pub(crate) mod tls;
pub(crate) mod unread;
