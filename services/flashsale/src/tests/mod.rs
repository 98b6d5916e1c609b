//! Flash sales on the memory engine, beside a catalogue, a warehouse and campaigns that say what they are told to; every
//! scenario closes with the auditor, and with the gate held against the rows.

mod buying;
mod market;
mod moving;
mod random;
mod reserving;
mod selling;
mod streaming;
