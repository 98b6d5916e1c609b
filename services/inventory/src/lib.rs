//! Inventory service: stock, reservations, movements.
