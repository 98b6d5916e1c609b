//! What crosses services: operations one service asks of another, events, codes.

pub mod user;
