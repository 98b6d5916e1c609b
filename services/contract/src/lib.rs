//! The contract between services: operations that one service calls on another, events, codes.
//!
//! One file per service. It contains no business logic except [`condition`], the language that promotions and segments
//! share, [`buyer`], which identifies people, and [`order_line`], the arithmetic of order lines.

pub mod analytics;
pub mod audit;
pub mod buyer;
pub mod campaign;
pub mod cart;
pub mod codes;
pub mod condition;
pub mod coupon;
pub mod discovery;
pub mod flashsale;
pub mod gateway;
pub mod hook;
pub mod ids;
pub mod import;
pub mod inventory;
pub mod jwks;
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
