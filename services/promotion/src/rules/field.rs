//! What conditions may ask about: the fields, and how each compares.

use super::language::Operator;

/// A field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    CartSubtotal,
    CartQuantity,
    CartLines,
    CartCurrency,
    CartAttribute(String),
    ItemsSubtotal,
    ItemsQuantity,
    ItemsMaxLineQuantity,
    CustomerId,
    CustomerTier,
    CustomerSegments,
    CustomerOrderCount,
    CustomerTotalSpent,
    CustomerRegisteredDays,
    CustomerIsGuest,
    CustomerEmail,
    CustomerAttribute(String),
    ShippingCountry,
    ShippingMethod,
    PaymentMethod,
    Channel,
    Weekday,
    Hour,
}

/// How a field compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    /// An amount of money.
    Money,
    /// A whole number.
    Count,
    /// A text.
    Text,
    /// Texts.
    List,
    /// True or false.
    Flag,
    /// A text that may be a number.
    Attribute,
    /// A day of the week.
    Weekday,
    /// An hour of the day.
    Hour,
}

impl Sort {
    /// Whether an operator makes sense of it.
    pub(crate) fn compares(self, op: Operator) -> bool {
        use Operator::{Contains, Eq, Gt, Gte, In, Lt, Lte, Ne, NotIn, StartsWith};
        match self {
            Self::Money | Self::Count | Self::Hour => matches!(op, Eq | Ne | Lt | Lte | Gt | Gte | In | NotIn),
            Self::Text => matches!(op, Eq | Ne | In | NotIn | Contains | StartsWith),
            Self::List => matches!(op, In | NotIn | Contains),
            Self::Flag => matches!(op, Eq | Ne),
            Self::Weekday => matches!(op, Eq | Ne | In | NotIn),
            Self::Attribute => true,
        }
    }
}

/// Fields without a name of their own.
const NAMED: [(&str, Field); 21] = [
    ("cart.subtotal", Field::CartSubtotal),
    ("cart.quantity", Field::CartQuantity),
    ("cart.lines", Field::CartLines),
    ("cart.currency", Field::CartCurrency),
    ("items.subtotal", Field::ItemsSubtotal),
    ("items.quantity", Field::ItemsQuantity),
    ("items.maxLineQuantity", Field::ItemsMaxLineQuantity),
    ("customer.id", Field::CustomerId),
    ("customer.tier", Field::CustomerTier),
    ("customer.segments", Field::CustomerSegments),
    ("customer.orderCount", Field::CustomerOrderCount),
    ("customer.totalSpent", Field::CustomerTotalSpent),
    ("customer.registeredDays", Field::CustomerRegisteredDays),
    ("customer.isGuest", Field::CustomerIsGuest),
    ("customer.email", Field::CustomerEmail),
    ("shipping.country", Field::ShippingCountry),
    ("shipping.method", Field::ShippingMethod),
    ("payment.method", Field::PaymentMethod),
    ("channel", Field::Channel),
    ("time.weekday", Field::Weekday),
    ("time.hour", Field::Hour),
];

impl Field {
    /// The field of a name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let attribute = |prefix| name.strip_prefix(prefix).filter(|rest: &&str| !rest.is_empty()).map(str::to_owned);
        if let Some(attribute) = attribute("customer.attributes.") {
            return Some(Self::CustomerAttribute(attribute));
        }
        if let Some(attribute) = attribute("cart.attributes.") {
            return Some(Self::CartAttribute(attribute));
        }
        NAMED.into_iter().find(|(known, _)| *known == name).map(|(_, field)| field)
    }

    /// Its name.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::CustomerAttribute(name) => format!("customer.attributes.{name}"),
            Self::CartAttribute(name) => format!("cart.attributes.{name}"),
            _ => NAMED.iter().find(|(_, field)| field == self).map_or("", |(name, _)| *name).to_owned(),
        }
    }

    /// How it compares.
    pub(crate) fn sort(&self) -> Sort {
        match self {
            Self::CartSubtotal | Self::ItemsSubtotal | Self::CustomerTotalSpent => Sort::Money,
            Self::CartQuantity
            | Self::CartLines
            | Self::ItemsQuantity
            | Self::ItemsMaxLineQuantity
            | Self::CustomerId
            | Self::CustomerOrderCount
            | Self::CustomerRegisteredDays => Sort::Count,
            Self::CustomerSegments => Sort::List,
            Self::CustomerIsGuest => Sort::Flag,
            Self::CustomerAttribute(_) | Self::CartAttribute(_) => Sort::Attribute,
            Self::Weekday => Sort::Weekday,
            Self::Hour => Sort::Hour,
            Self::CartCurrency
            | Self::CustomerTier
            | Self::CustomerEmail
            | Self::ShippingCountry
            | Self::ShippingMethod
            | Self::PaymentMethod
            | Self::Channel => Sort::Text,
        }
    }

    /// Whether it is about the buyer: an unmet one makes the buyer not eligible.
    pub(crate) fn is_of_customer(&self) -> bool {
        self.name().starts_with("customer.")
    }

    /// Whether an unmet one may be told with what it wants: what names other people or inner segments may not.
    pub(crate) fn is_telling(&self) -> bool {
        !matches!(self, Self::CustomerId | Self::CustomerEmail | Self::CustomerSegments | Self::CustomerAttribute(_))
    }

    /// Whether it is known before there is a cart.
    pub(crate) fn is_known_on_the_shelf(&self) -> bool {
        self.is_of_customer() || matches!(self, Self::Channel | Self::Weekday | Self::Hour)
    }

    /// Whether it is about some lines.
    pub(crate) fn is_of_items(&self) -> bool {
        matches!(self, Self::ItemsSubtotal | Self::ItemsQuantity | Self::ItemsMaxLineQuantity)
    }

    /// A text in the form that this field compares: addresses without case, codes in upper case.
    pub(crate) fn fold(&self, text: &str) -> String {
        match self {
            Self::CustomerEmail => text.to_lowercase(),
            Self::ShippingCountry | Self::CartCurrency => text.to_uppercase(),
            _ => text.to_owned(),
        }
    }
}
