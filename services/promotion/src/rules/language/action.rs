//! An action as a document: each type of action is a struct with exactly its members.
//!
//! All members are optional, and the names of members that the type does not have are kept, so that every fault is found when
//! the promotion is compiled and is reported with a pointer.

use std::borrow::Cow;

use promox_contract::condition::ItemFilter;
use promox_kernel::{Amount, Sku, text_enum};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

text_enum! {
    /// Where a promotion applies: to catalog prices, or to the cart after them.
    Stage { Catalog = "CATALOG", Cart = "CART" }
}

text_enum! {
    /// What an action discounts.
    Scope { Order = "ORDER", Items = "ITEMS", Shipping = "SHIPPING" }
}

text_enum! {
    /// What an amount is granted for.
    Per { Unit = "UNIT", Line = "LINE", Order = "ORDER" }
}

text_enum! {
    /// What the tiers are measured by.
    Basis {
        Subtotal = "SUBTOTAL",
        Quantity = "QUANTITY",
        LineSubtotal = "LINE_SUBTOTAL",
        LineQuantity = "LINE_QUANTITY",
    }
}

/// Declares the members of actions, and the types of action with the members of each: first the required ones, then the others.
macro_rules! actions {
    (
        members { $($(#[doc = $about:literal])+ $member:ident $name:literal: $value:ty,)+ }
        types {
            $($(#[doc = $effect:literal])+ $kind:ident = $text:literal { $($required:ident),* ; $($optional:ident),* })+
        }
    ) => {
        macro_rules! member {
            $(
                (type $member) => { $value };
                (described $generator:ident $member) => {
                    ($name, concat!($($about),+), $generator.subschema_for::<$value>())
                };
            )+
        }

        text_enum! {
            /// What an action does.
            ActionType { $($kind = $text),+ }
        }

        /// The members of an action whatever its type: its JSON form, which is also how it is stored.
        #[derive(Clone, Debug, Serialize, Deserialize)]
        pub(crate) struct Members {
            #[serde(rename = "type")]
            pub(crate) kind: ActionType,
            $(
                $(#[doc = $about])+
                #[serde(rename = $name, default, skip_serializing_if = "Option::is_none")]
                pub(crate) $member: Option<$value>,
            )+
        }

        impl Members {
            fn none(kind: ActionType) -> Self {
                Self { kind, $($member: None),+ }
            }

            /// The names of the members that are present, `type` aside.
            fn names(&self) -> Vec<&'static str> {
                [$(($name, self.$member.is_some())),+].into_iter().filter_map(|(name, given)| given.then_some(name)).collect()
            }
        }

        $(
            $(#[doc = $effect])+
            #[derive(Clone, Debug, PartialEq)]
            pub struct $kind {
                $(pub(crate) $required: Option<member!(type $required)>,)*
                $(pub(crate) $optional: Option<member!(type $optional)>,)*
            }

            impl JsonSchema for $kind {
                fn schema_name() -> Cow<'static, str> {
                    concat!(stringify!($kind), "Action").into()
                }
                fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                    let required = [$(member!(described generator $required)),*];
                    let optional = [$(member!(described generator $optional)),*];
                    schema_of_type($text, concat!($($effect),+), &required, &optional)
                }
            }
        )+

        /// What an action does.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Effect {
            $($(#[doc = $effect])+ $kind($kind),)+
        }

        impl Effect {
            /// The type of action.
            pub(crate) fn kind(&self) -> ActionType {
                match self { $(Self::$kind(_) => ActionType::$kind),+ }
            }
        }

        impl From<Members> for ActionSpec {
            fn from(mut members: Members) -> Self {
                let effect = match members.kind {
                    $(ActionType::$kind => Effect::$kind($kind {
                        $($required: members.$required.take(),)*
                        $($optional: members.$optional.take(),)*
                    }),)+
                };
                Self { effect, foreign: members.names() }
            }
        }

        impl From<ActionSpec> for Members {
            fn from(action: ActionSpec) -> Self {
                let none = Self::none(action.effect.kind());
                match action.effect {
                    $(Effect::$kind(it) => Self {
                        $($required: it.$required,)*
                        $($optional: it.$optional,)*
                        ..none
                    },)+
                }
            }
        }

        impl JsonSchema for ActionSpec {
            fn schema_name() -> Cow<'static, str> {
                "Action".into()
            }
            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                let types = [$(($text, generator.subschema_for::<$kind>())),+];
                schema_of_action(&types)
            }
        }
    };
}

actions! {
    members {
        /// A percentage, an amount, a price or a factor.
        value "value": Amount,
        /// What it discounts. The default is `ITEMS` in stage `CATALOG`, otherwise `ORDER`.
        scope "scope": Scope,
        /// The lines to which it applies; all by default.
        items "items": ItemFilter,
        /// The largest discount in total; in stage `CATALOG`, per unit.
        max_discount "maxDiscount": Amount,
        /// The maximum number of units per line that count, starting with the most expensive. With scope `ORDER` or per
        /// `LINE`, the discount never exceeds their price.
        max_units_per_line "maxUnitsPerLine": u32,
        /// What `AMOUNT_OFF` is granted for.
        per "per": Per,
        /// The units that have to be bought.
        buy "buy": Part,
        /// The units that are discounted in return.
        get "get": Part,
        /// The maximum number of applications.
        max_applications "maxApplications": u32,
        /// Discount every n-th unit.
        every "every": u32,
        /// The number of units in a pack.
        size "size": u32,
        /// The parts of a bundle.
        parts "parts": Vec<Part>,
        /// The price of a pack or a bundle.
        price "price": Amount,
        /// The percentage off each unit.
        percent_off "percentOff": Amount,
        /// The amount off each unit.
        amount_off "amountOff": Amount,
        /// What the tiers are measured by.
        basis "basis": Basis,
        /// The tiers, in ascending order.
        tiers "tiers": Vec<Tier>,
        /// The SKU of the gift.
        sku "sku": Sku,
        /// The number of units of the gift.
        quantity "quantity": u32,
    }
    types {
        /// A percentage off lines, the order or shipping.
        PercentOff = "PERCENT_OFF" { value; scope, items, max_discount, max_units_per_line }
        /// An amount off lines, the order or shipping.
        AmountOff = "AMOUNT_OFF" { value; scope, items, max_units_per_line, per }
        /// A price for each unit, or for the order as a whole.
        FixedPrice = "FIXED_PRICE" { value; scope, items }
        /// Units at a discount for units bought.
        BuyXGetY = "BUY_X_GET_Y" { buy, get; max_applications }
        /// A percentage off every n-th unit.
        EveryNth = "EVERY_NTH" { every, percent_off; items }
        /// A discount on full packs of units: one of `percentOff`, `amountOff`, `price`.
        Pack = "PACK" { size; items, price, percent_off, amount_off }
        /// One price for a bundle of parts.
        BundlePrice = "BUNDLE_PRICE" { parts, price; }
        /// A discount that rises with an amount or a quantity.
        Tiered = "TIERED" { basis, tiers; scope, items }
        /// A discount on the cheapest unit: one of `percentOff`, `amountOff`.
        Cheapest = "CHEAPEST" { ; items, percent_off, amount_off }
        /// Free shipping.
        FreeShipping = "FREE_SHIPPING" { ; max_discount }
        /// Units added at a price of zero.
        Gift = "GIFT" { sku, quantity; }
        /// A factor on the points that the order earns.
        PointsMultiplier = "POINTS_MULTIPLIER" { value; }
    }
}

/// An action of a promotion.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Members", into = "Members")]
pub struct ActionSpec {
    /// What it does.
    pub effect: Effect,
    /// Members that were given and that its type does not have; compiling refuses them.
    pub(crate) foreign: Vec<&'static str>,
}

/// A member of a type of action: its name, its description and the schema of its value.
type Described = (&'static str, &'static str, Schema);

fn schema_of_type(text: &str, effect: &str, required: &[Described], optional: &[Described]) -> Schema {
    let mut properties = Map::new();
    for (name, about, schema) in required.iter().chain(optional) {
        let mut schema = schema.clone();
        schema.insert("description".to_owned(), about.trim().into());
        properties.insert((*name).to_owned(), schema.into());
    }
    properties.insert("type".to_owned(), json!({"type": "string", "const": text}));
    let required: Vec<&str> = ["type"].into_iter().chain(required.iter().map(|(name, ..)| *name)).collect();
    json_schema!({"type": "object", "description": effect.trim(), "properties": properties, "required": required})
}

fn schema_of_action(types: &[(&str, Schema)]) -> Schema {
    let mapping: Map<String, Value> =
        types.iter().filter_map(|(text, schema)| Some(((*text).to_owned(), schema.get("$ref")?.clone()))).collect();
    let schemas: Vec<&Schema> = types.iter().map(|(_, schema)| schema).collect();
    json_schema!({
        "description": "An action of a promotion. Members that its type does not have are refused.",
        "type": "object",
        "required": ["type"],
        "oneOf": schemas,
        "discriminator": {"propertyName": "type", "mapping": mapping},
    })
}

/// A number of units of some lines.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ActionPart")]
pub struct Part {
    /// The lines; all by default.
    #[serde(default)]
    pub items: ItemFilter,
    /// The number of units.
    pub quantity: u32,
    /// The percentage off these units; only in `get`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent_off: Option<Amount>,
}

/// A tier, with exactly one of `percentOff`, `amountOff` and `unitPrice`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ActionTier")]
pub struct Tier {
    /// The amount or quantity at which the tier begins.
    pub from: Amount,
    /// The percentage off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent_off: Option<Amount>,
    /// The amount off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount_off: Option<Amount>,
    /// The price of a unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit_price: Option<Amount>,
}

impl Stage {
    /// What an action of this stage discounts by default.
    pub(crate) fn default_scope(self) -> Scope {
        if self == Self::Catalog { Scope::Items } else { Scope::Order }
    }
}

impl AmountOff {
    /// What the amount is granted for, by default `UNIT` with scope `ITEMS`, else `ORDER`.
    pub(crate) fn per_in(&self, stage: Stage) -> Per {
        let default = if self.scope.unwrap_or(stage.default_scope()) == Scope::Items { Per::Unit } else { Per::Order };
        self.per.unwrap_or(default)
    }
}

impl Members {
    /// All filters of lines.
    pub(crate) fn filters_mut(&mut self) -> impl Iterator<Item = &mut ItemFilter> {
        let parts = self.buy.iter_mut().chain(&mut self.get).chain(self.parts.iter_mut().flatten());
        self.items.iter_mut().chain(parts.map(|part| &mut part.items))
    }
}

impl ActionSpec {
    /// Fills in the default scope, and what an amount is granted for.
    pub(crate) fn fill_defaults(&mut self, stage: Stage) {
        match &mut self.effect {
            Effect::AmountOff(amount) => {
                amount.per = Some(amount.per_in(stage));
                amount.scope.get_or_insert(stage.default_scope());
            }
            Effect::PercentOff(PercentOff { scope, .. })
            | Effect::FixedPrice(FixedPrice { scope, .. })
            | Effect::Tiered(Tiered { scope, .. }) => {
                scope.get_or_insert(stage.default_scope());
            }
            _ => {}
        }
    }

    /// Changes members of an action that was checked.
    pub(crate) fn change(&mut self, change: impl FnOnce(&mut Members)) {
        let mut members = Members::from(self.clone());
        change(&mut members);
        *self = members.into();
    }
}
