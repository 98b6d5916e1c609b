//! What crosses services: operations one service asks of another, events, codes.
//!
//! One file a service that is asked or that tells. Nothing here decides anything but [`condition`], the language that
//! promotions and segments share, [`buyer`], which says who is one person, and [`order_line`], the arithmetic of lines.

pub mod analytics;
pub mod audit;
pub mod buyer;
pub mod campaign;
pub mod cart;
pub mod codes;
pub mod condition;
pub mod coupon;
pub mod flashsale;
pub mod ids;
pub mod import;
pub mod inventory;
pub mod notification;
pub mod order;
pub mod order_line;
pub mod payment;
pub mod product;
pub mod promotion;
pub mod refusal;
pub mod reward;
pub mod settings;
pub mod store;
pub mod user;
