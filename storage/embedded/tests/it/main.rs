//! The embedded engine from outside: durability, crashes, faults, damage.

mod backups;
mod conforms;
mod crash;
mod damage;
mod durable;
mod faults;
mod indexes;
mod kill;
mod model;
mod rows;
mod stepped;
