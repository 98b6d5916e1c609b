//! Records, keys, transactions and the engine contract. Services know only this crate.
