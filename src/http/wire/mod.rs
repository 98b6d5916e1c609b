//! Connections: TLS, deadlines, bodies on their way out and their compression, and what could not be read as a request.

pub(crate) mod activity;
pub(crate) mod compress;
pub(crate) mod connection;
pub(crate) mod payload;
pub(crate) mod tls;
pub(crate) mod unread;
