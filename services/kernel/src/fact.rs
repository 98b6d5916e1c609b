//! Facts: the data of events, as types that publishers and consumers share.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The data of an event, at most 1 KB. It refers to people by id and never contains names, emails or addresses.
pub trait Fact: Serialize + DeserializeOwned + Send + 'static {
    /// The type of the event, such as `"ORDER_CONFIRMED"`.
    const TYPE: &'static str;
    /// The kind of aggregate that the event is about, such as `"order"`.
    const TOPIC: &'static str;
    /// The version of the data's format.
    const VERSION: u32 = 1;
    /// The number of days for which the event is retained. `None` retains it forever, so that projections can be
    /// rebuilt from it.
    const KEPT_DAYS: Option<u32> = None;
}

/// Declares the type and topic of a fact: `fact! { OrderConfirmed = "ORDER_CONFIRMED" in "order" }`; with `kept 30`, it
/// is removed after 30 days.
#[macro_export]
macro_rules! fact {
    ($($type:ty = $name:literal in $topic:literal $(kept $days:literal)?),+ $(,)?) => {$(
        impl $crate::Fact for $type {
            const TYPE: &'static str = $name;
            const TOPIC: &'static str = $topic;
            $(const KEPT_DAYS: Option<u32> = Some($days);)?
        }
    )+};
}

/// Declares events with the same data: `facts! { OrderFact in "order": OrderCreated = "ORDER_CREATED", … }` makes each
/// name a type around `OrderFact` and a [`Fact`], whose schema has its documentation. The calling crate needs `serde`.
#[macro_export]
macro_rules! facts {
    ($payload:ident in $topic:literal: $($(#[doc = $doc:literal])+ $name:ident = $text:literal),+ $(,)?) => {$(
        $(#[doc = $doc])+
        #[derive(Clone, Debug, ::serde::Serialize, ::serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $payload);
        impl $crate::macros::schemars::JsonSchema for $name {
            fn schema_name() -> ::std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn schema_id() -> ::std::borrow::Cow<'static, str> {
                concat!(module_path!(), "::", stringify!($name)).into()
            }
            fn json_schema(
                generator: &mut $crate::macros::schemars::SchemaGenerator,
            ) -> $crate::macros::schemars::Schema {
                let mut schema = generator.subschema_for::<$payload>();
                schema.insert("description".to_owned(), concat!($($doc),+).trim().into());
                schema
            }
        }
        $crate::fact! { $name = $text in $topic }
    )+};
}
