//! What others ask of rewards: what points are worth to a buyer.

use promox_kernel::{Amount, Currency, UserId, json_reply, operation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Asks what so many points of a user would pay of an order.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ValuePoints {
    /// Whose.
    pub user_id: UserId,
    /// How many the user wants to spend, at least 1.
    pub points: u32,
    /// What the order comes to without them.
    pub total: Amount,
    /// In which currency.
    pub currency: Currency,
}
operation! { ValuePoints => PointsValue, "reward.value_points", internal, "What points would pay." }

/// What points would pay.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PointsValue {
    /// How many of them the user can spend now.
    pub spendable: u32,
    /// What the asked points are worth; zero when they cannot be spent.
    pub value: Amount,
}
json_reply!(PointsValue);
