//! What a segment's rule may ask about a customer, and how each field compares.

use promox_contract::promotion::Customer;

use super::condition::Operator;

/// A field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    Id,
    Tier,
    OrderCount,
    TotalSpent,
    RegisteredDays,
    IsGuest,
    Email,
    Attribute(String),
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
    /// True or false.
    Flag,
    /// A text that may be a number.
    Attribute,
}

/// What a field is.
pub(crate) enum Actual<'a> {
    Number(rust_decimal::Decimal),
    Text(&'a str),
    Flag(bool),
    Unknown,
}

impl Sort {
    /// Whether an operator makes sense of it.
    pub(crate) fn compares(self, op: Operator) -> bool {
        use Operator::{Contains, Eq, Gt, Gte, In, Lt, Lte, Ne, NotIn, StartsWith};
        match self {
            Self::Money | Self::Count => matches!(op, Eq | Ne | Lt | Lte | Gt | Gte | In | NotIn),
            Self::Text => matches!(op, Eq | Ne | In | NotIn | Contains | StartsWith),
            Self::Flag => matches!(op, Eq | Ne),
            Self::Attribute => true,
        }
    }
}

impl Field {
    /// The field of a name; the error is for people.
    pub(crate) fn parse(name: &str) -> Result<Self, String> {
        let Some(of_customer) = name.strip_prefix("customer.") else {
            return Err(format!("\"{name}\" is not about customers: a segment asks for customer.… only"));
        };
        if let Some(attribute) = of_customer.strip_prefix("attributes.").filter(|rest| !rest.is_empty()) {
            return Ok(Self::Attribute(attribute.to_owned()));
        }
        match of_customer {
            "id" => Ok(Self::Id),
            "tier" => Ok(Self::Tier),
            "orderCount" => Ok(Self::OrderCount),
            "totalSpent" => Ok(Self::TotalSpent),
            "registeredDays" => Ok(Self::RegisteredDays),
            "isGuest" => Ok(Self::IsGuest),
            "email" => Ok(Self::Email),
            "segments" => Err("a segment cannot ask for segments".to_owned()),
            _ => Err(format!("there is no field \"{name}\"")),
        }
    }

    /// How it compares.
    pub(crate) fn sort(&self) -> Sort {
        match self {
            Self::Id | Self::OrderCount | Self::RegisteredDays => Sort::Count,
            Self::TotalSpent => Sort::Money,
            Self::Tier | Self::Email => Sort::Text,
            Self::IsGuest => Sort::Flag,
            Self::Attribute(_) => Sort::Attribute,
        }
    }

    /// What it is of a customer.
    pub(crate) fn of<'a>(&self, customer: &'a Customer) -> Actual<'a> {
        let text = |text: Option<&'a str>| text.map_or(Actual::Unknown, Actual::Text);
        match self {
            Self::Id => customer.id.map_or(Actual::Unknown, |id| Actual::Number(id.0.into())),
            Self::Tier => text(customer.tier.as_deref()),
            Self::OrderCount => Actual::Number(customer.order_count.into()),
            Self::TotalSpent => Actual::Number(customer.total_spent.0),
            Self::RegisteredDays => customer.registered_days.map_or(Actual::Unknown, |it| Actual::Number(it.into())),
            Self::IsGuest => Actual::Flag(customer.is_guest),
            Self::Email => text(customer.email.as_ref().map(promox_kernel::Email::as_str)),
            Self::Attribute(name) => text(customer.attributes.get(name).map(String::as_str)),
        }
    }

    /// A text in the form that this field compares: addresses without case.
    pub(crate) fn fold(&self, text: &str) -> String {
        if *self == Self::Email { text.to_lowercase() } else { text.to_owned() }
    }
}
