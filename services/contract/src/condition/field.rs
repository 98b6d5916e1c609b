//! The fields of conditions, with their types and the subjects that have them.

use std::borrow::Cow;

use super::document::Operator;

/// A field of a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    /// `cart.subtotal`.
    CartSubtotal,
    /// `cart.quantity`.
    CartQuantity,
    /// `cart.lines`.
    CartLines,
    /// `cart.currency`.
    CartCurrency,
    /// `cart.attributes.…`.
    CartAttribute(String),
    /// `items.subtotal`.
    ItemsSubtotal,
    /// `items.quantity`.
    ItemsQuantity,
    /// `items.maxLineQuantity`.
    ItemsMaxLineQuantity,
    /// `customer.…`.
    Customer(CustomerField),
    /// `shipping.country`.
    ShippingCountry,
    /// `shipping.method`.
    ShippingMethod,
    /// `payment.method`.
    PaymentMethod,
    /// `channel`.
    Channel,
    /// `time.weekday`.
    Weekday,
    /// `time.hour`.
    Hour,
}

/// A field of the customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CustomerField {
    /// `customer.id`.
    Id,
    /// `customer.tier`.
    Tier,
    /// `customer.segments`.
    Segments,
    /// `customer.orderCount`.
    OrderCount,
    /// `customer.totalSpent`.
    TotalSpent,
    /// `customer.registeredDays`.
    RegisteredDays,
    /// `customer.isGuest`.
    IsGuest,
    /// `customer.email`.
    Email,
    /// `customer.attributes.…`.
    Attribute(String),
}

/// The type of a field's values, which determines the valid operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueType {
    /// An amount of money.
    Money,
    /// A whole number.
    Count,
    /// A text.
    Text,
    /// A list of texts.
    List,
    /// A boolean.
    Flag,
    /// A text that may contain a number.
    Attribute,
    /// A day of the week.
    Weekday,
    /// An hour of the day.
    Hour,
}

/// The subject of a condition, which determines the fields that the condition may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A cart with its buyer and the time.
    Cart,
    /// A catalog price, outside any cart.
    Shelf,
    /// A customer, for membership in a segment.
    Customer,
}

impl ValueType {
    /// Whether an operator is valid for the type.
    pub fn compares(self, op: Operator) -> bool {
        use Operator::{Contains, EndsWith, Eq, Gt, Gte, In, Lt, Lte, Ne, NotIn, StartsWith};
        match self {
            Self::Money | Self::Count | Self::Hour => matches!(op, Eq | Ne | Lt | Lte | Gt | Gte | In | NotIn),
            Self::Text => matches!(op, Eq | Ne | In | NotIn | Contains | StartsWith | EndsWith),
            Self::List => matches!(op, In | NotIn | Contains),
            Self::Flag => matches!(op, Eq | Ne),
            Self::Weekday => matches!(op, Eq | Ne | In | NotIn),
            Self::Attribute => true,
        }
    }

    /// Whether the values are whole numbers. Money is counted in minor units.
    pub fn is_number(self) -> bool {
        matches!(self, Self::Money | Self::Count | Self::Hour)
    }
}

/// Fields with fixed names.
const NAMED: [(&str, Field); 21] = [
    ("cart.subtotal", Field::CartSubtotal),
    ("cart.quantity", Field::CartQuantity),
    ("cart.lines", Field::CartLines),
    ("cart.currency", Field::CartCurrency),
    ("items.subtotal", Field::ItemsSubtotal),
    ("items.quantity", Field::ItemsQuantity),
    ("items.maxLineQuantity", Field::ItemsMaxLineQuantity),
    ("customer.id", Field::Customer(CustomerField::Id)),
    ("customer.tier", Field::Customer(CustomerField::Tier)),
    ("customer.segments", Field::Customer(CustomerField::Segments)),
    ("customer.orderCount", Field::Customer(CustomerField::OrderCount)),
    ("customer.totalSpent", Field::Customer(CustomerField::TotalSpent)),
    ("customer.registeredDays", Field::Customer(CustomerField::RegisteredDays)),
    ("customer.isGuest", Field::Customer(CustomerField::IsGuest)),
    ("customer.email", Field::Customer(CustomerField::Email)),
    ("shipping.country", Field::ShippingCountry),
    ("shipping.method", Field::ShippingMethod),
    ("payment.method", Field::PaymentMethod),
    ("channel", Field::Channel),
    ("time.weekday", Field::Weekday),
    ("time.hour", Field::Hour),
];

impl Field {
    /// The names of all fields, for messages.
    pub fn names() -> String {
        let named = NAMED.iter().map(|(name, _)| *name);
        named.chain(["cart.attributes.NAME", "customer.attributes.NAME"]).collect::<Vec<_>>().join(", ")
    }

    /// The field with this name; `None` if there is none.
    pub fn parse(name: &str) -> Option<Self> {
        let attribute = |prefix| name.strip_prefix(prefix).filter(|rest: &&str| !rest.is_empty()).map(str::to_owned);
        if let Some(attribute) = attribute("customer.attributes.") {
            return Some(Self::Customer(CustomerField::Attribute(attribute)));
        }
        if let Some(attribute) = attribute("cart.attributes.") {
            return Some(Self::CartAttribute(attribute));
        }
        NAMED.into_iter().find(|(known, _)| *known == name).map(|(_, field)| field)
    }

    /// The type of the field's values.
    pub fn value_type(&self) -> ValueType {
        match self {
            Self::Customer(field) => field.value_type(),
            Self::CartSubtotal | Self::ItemsSubtotal => ValueType::Money,
            Self::CartQuantity | Self::CartLines | Self::ItemsQuantity | Self::ItemsMaxLineQuantity => ValueType::Count,
            Self::CartAttribute(_) => ValueType::Attribute,
            Self::Weekday => ValueType::Weekday,
            Self::Hour => ValueType::Hour,
            Self::CartCurrency | Self::ShippingCountry | Self::ShippingMethod | Self::PaymentMethod | Self::Channel => {
                ValueType::Text
            }
        }
    }

    /// Whether the field is about the buyer. If its condition is not met, the buyer is not eligible.
    pub fn is_of_customer(&self) -> bool {
        matches!(self, Self::Customer(_))
    }

    /// Whether the field is about the cart's goods as a whole.
    pub fn is_of_goods(&self) -> bool {
        matches!(self, Self::CartSubtotal | Self::CartQuantity | Self::CartLines)
    }

    /// Whether the field is about lines.
    pub fn is_of_items(&self) -> bool {
        matches!(self, Self::ItemsSubtotal | Self::ItemsQuantity | Self::ItemsMaxLineQuantity)
    }

    /// Whether a buyer may be shown the value that a condition on this field requires. Values that name other people or
    /// internal segments may not be shown.
    pub fn may_be_shown(&self) -> bool {
        use CustomerField::{Attribute, Email, Id, Segments};
        !matches!(self, Self::Customer(Id | Email | Segments | Attribute(_)))
    }

    /// The form of a text in which this field compares: addresses in lower case, country and currency codes in upper
    /// case.
    pub fn fold<'t>(&self, text: &'t str) -> Cow<'t, str> {
        match self {
            Self::Customer(CustomerField::Email) => text.to_lowercase().into(),
            Self::ShippingCountry | Self::CartCurrency => text.to_uppercase().into(),
            _ => text.into(),
        }
    }
}

impl CustomerField {
    fn value_type(&self) -> ValueType {
        match self {
            Self::Id | Self::OrderCount | Self::RegisteredDays => ValueType::Count,
            Self::TotalSpent => ValueType::Money,
            Self::Tier | Self::Email => ValueType::Text,
            Self::Segments => ValueType::List,
            Self::IsGuest => ValueType::Flag,
            Self::Attribute(_) => ValueType::Attribute,
        }
    }
}

impl Subject {
    /// Checks that the subject has a field. The error is a message for humans.
    pub(super) fn check(self, field: &Field, name: &str) -> Result<(), String> {
        match (self, field) {
            (Self::Customer, Field::Customer(CustomerField::Segments)) => {
                Err("a segment cannot refer to segments".to_owned())
            }
            (Self::Cart, _)
            | (_, Field::Customer(_))
            | (Self::Shelf, Field::Channel | Field::Weekday | Field::Hour) => Ok(()),
            (Self::Shelf, _) => {
                Err("a condition on catalog prices may use customer, channel and time fields only".to_owned())
            }
            (Self::Customer, _) => {
                Err(format!("\"{name}\" is not a customer field; a segment may use customer.… fields only"))
            }
        }
    }
}
