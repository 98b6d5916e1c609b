//! Operations: plain structs with the arguments of a request, each with a route and the access that it requires.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::codes;
use crate::{Body, Cx, Error, Kind, Principal, Reply, Wire};

/// The HTTP methods in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum Method {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl Method {
    /// The name of the method, such as `"GET"`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }

    /// Whether the method is read-only.
    pub const fn is_safe(self) -> bool {
        matches!(self, Self::Get)
    }
}

/// The access that an operation requires of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anyone, without credentials.
    Anyone,
    /// A user or the holder of a cart token; the handler finds the cart by either.
    Guest,
    /// A user, for their own data.
    User,
    /// A user, for their own data. A login that requested the erasure of its account is also accepted, until the
    /// erasure is done.
    Account,
    /// A user, for their own data, or a user or key with the permission, for everybody's. The handler checks whose it is.
    UserOr(&'static str),
    /// The owner, the holder of an order token, or a user with the permission. The handler checks who the owner is.
    Owner(&'static str),
    /// A user or a key with the permission.
    Permission(&'static str),
    /// A user or a key with the permission, or anyone where the configuration opens the operation. The handler checks it.
    Checked(&'static str),
    /// Whoever signed the request. The handler verifies the signature.
    Signed,
    /// Other services only. The operation has no route.
    Internal,
}

impl Access {
    /// Refuses callers that lack the access: 401 without credentials, else 403. The handler checks ownership.
    pub fn check(self, cx: &Cx) -> Result<(), Error> {
        let authenticated = cx.principal != Principal::Anonymous;
        // A key has no data of its own, so it is not let in where an owner would be.
        let may_own = authenticated && !matches!(cx.principal, Principal::Key { .. });
        let granted = match self {
            Self::Anyone | Self::Signed | Self::Internal | Self::Checked(_) => true,
            Self::Guest => may_own || cx.cart_token.is_some(),
            Self::User | Self::Account => may_own,
            Self::UserOr(permission) => may_own || cx.principal.allows(permission),
            Self::Owner(permission) => may_own || cx.order_token.is_some() || cx.principal.allows(permission),
            Self::Permission(permission) => cx.principal.allows(permission),
        };
        match (granted, authenticated) {
            (true, _) => Ok(()),
            (false, true) => Err(Error::new(Kind::Forbidden, codes::FORBIDDEN, self.forbidden(&cx.principal))),
            (false, false) => Err(Error::new(Kind::Unauthenticated, codes::UNAUTHENTICATED, self.credentials())),
        }
    }

    /// Why a caller who is known is refused.
    fn forbidden(self, caller: &Principal) -> String {
        match (self.permission(), caller) {
            (Some(permission), Principal::Key { .. }) => format!("The API key lacks the permission {permission}."),
            (Some(permission), _) => format!("Your roles lack the permission {permission}."),
            (None, Principal::Key { .. }) => "An API key has no account or cart of its own: log in.".to_owned(),
            (None, _) => "Your roles do not permit this operation.".to_owned(),
        }
    }

    /// What a caller without credentials should send.
    fn credentials(self) -> String {
        const TOKEN: &str = "Log in and send the access token";
        match self {
            Self::Guest => format!("{TOKEN}, or the token of a cart as X-Cart-Token."),
            Self::Owner(_) => format!("{TOKEN}, or the token of the order as X-Order-Token."),
            Self::Permission(permission) | Self::UserOr(permission) => {
                format!("{TOKEN}, or an API key with the permission {permission}.")
            }
            _ => format!("{TOKEN}."),
        }
    }

    /// The permission that it names, if any.
    pub const fn permission(self) -> Option<&'static str> {
        match self {
            Self::UserOr(permission)
            | Self::Owner(permission)
            | Self::Permission(permission)
            | Self::Checked(permission) => Some(permission),
            _ => None,
        }
    }
}

/// The form of an operation's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyKind {
    /// A JSON object whose members are fields of the operation; none for GET and DELETE.
    Json,
    /// A raw stream of one of the listed media types, passed to [`Op::attach`].
    Stream(&'static [&'static str]),
    /// Nothing: fields are bound from path and query, and a body is ignored whatever its media type.
    Ignored,
}

/// The effect of an `Idempotency-Key` header on an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replay {
    /// The header is ignored.
    No,
    /// A repeated request with the same key gets the stored reply of the first one that was decided.
    Keyed,
}

/// A request to a service. Its fields are bound from path, query and body by their names in serde.
///
/// Declare the constants with [`operation!`](crate::operation).
pub trait Op: DeserializeOwned + JsonSchema + Send + Sync + Sized + 'static {
    /// The reply.
    type Reply: Reply;
    /// The service that handles the operation, such as `"order"`.
    const SERVICE: &'static str;
    /// The name of the operation, such as `"order.place"`.
    const NAME: &'static str;
    /// The HTTP method.
    const METHOD: Method;
    /// The path, with `{field}` for the fields bound from it. Empty for internal operations.
    const PATH: &'static str;
    /// The access that the operation requires.
    const ACCESS: Access;
    /// The usual HTTP status of success.
    const STATUS: u16;
    /// Other statuses that its reply is sent with, such as 202 while the outcome is open.
    const OTHER_STATUSES: &'static [u16] = &[];
    /// Statuses of refusals that do not follow from access, path and method, such as 402.
    const REFUSALS: &'static [u16] = &[];
    /// The media types of its reply other than JSON. A reply that is not JSON has at least one.
    const MEDIA_TYPES: &'static [&'static str] = <Self::Reply as Reply>::MEDIA_TYPES;
    /// One sentence for the API description.
    const SUMMARY: &'static str;
    /// The effect of an idempotency key.
    const REPLAY: Replay = Replay::No;
    /// The form of the body.
    const BODY: BodyKind = BodyKind::Json;

    /// How the operation is encoded between nodes; `None` for client operations, which are forwarded as HTTP.
    const WIRE: Option<Wire<Self>> = None;

    /// Receives the raw body of an operation with [`BodyKind::Stream`].
    fn attach(&mut self, _body: Body) {}
}

/// Implements [`Op`] for a struct:
/// `operation! { GetProduct => ProductView, "product.get", Get "/api/products/{id}", Anyone, 200, "One product." }`.
///
/// Internal operations are declared as
/// `operation! { ReserveStock => Reserved, "inventory.reserve", internal, "Holds stock." }`. After the summary, `keyed`
/// makes the operation idempotent by key, `stream ["text/csv"], body` stores the raw body in the field `body`, `also [202]`
/// declares other statuses of the reply, `refuses [402]` other statuses of refusals, `sends ["text/csv"]` media types
/// other than JSON, and `ignores_body` that the fields of an operation with another method than GET are in path and query.
#[macro_export]
macro_rules! operation {
    ($op:ty => $reply:ty, $name:literal, internal, $summary:literal) => {
        impl $crate::Op for $op {
            type Reply = $reply;
            const SERVICE: &'static str = $crate::service_of($name);
            const NAME: &'static str = $name;
            const METHOD: $crate::Method = $crate::Method::Post;
            const PATH: &'static str = "";
            const ACCESS: $crate::Access = $crate::Access::Internal;
            const STATUS: u16 = 200;
            const SUMMARY: &'static str = $summary;
            const WIRE: Option<$crate::Wire<Self>> = Some($crate::Wire::new());
        }
    };
    ($op:ty => $reply:ty, $name:literal, $method:ident $path:literal, $access:expr, $status:literal, $summary:literal $(, $($rest:tt)+)?) => {
        impl $crate::Op for $op {
            type Reply = $reply;
            const SERVICE: &'static str = $crate::service_of($name);
            const NAME: &'static str = $name;
            const METHOD: $crate::Method = $crate::Method::$method;
            const PATH: &'static str = $path;
            const ACCESS: $crate::Access = { #[allow(unused_imports)] use $crate::Access::*; $access };
            const STATUS: u16 = $status;
            const SUMMARY: &'static str = $summary;
            $($crate::operation! { @rest $($rest)+ })?
        }
    };
    (@rest keyed $(, $($rest:tt)+)?) => {
        const REPLAY: $crate::Replay = $crate::Replay::Keyed;
        $($crate::operation! { @rest $($rest)+ })?
    };
    (@rest ignores_body $(, $($rest:tt)+)?) => {
        const BODY: $crate::BodyKind = $crate::BodyKind::Ignored;
        $($crate::operation! { @rest $($rest)+ })?
    };
    (@rest also [$($status:literal),+] $(, $($rest:tt)+)?) => {
        const OTHER_STATUSES: &'static [u16] = &[$($status),+];
        $($crate::operation! { @rest $($rest)+ })?
    };
    (@rest refuses [$($status:literal),+] $(, $($rest:tt)+)?) => {
        const REFUSALS: &'static [u16] = &[$($status),+];
        $($crate::operation! { @rest $($rest)+ })?
    };
    (@rest sends [$($media:literal),+] $(, $($rest:tt)+)?) => {
        const MEDIA_TYPES: &'static [&'static str] = &[$($media),+];
        $($crate::operation! { @rest $($rest)+ })?
    };
    (@rest stream [$($media:literal),+], $field:ident) => {
        const BODY: $crate::BodyKind = $crate::BodyKind::Stream(&[$($media),+]);
        fn attach(&mut self, body: $crate::Body) {
            self.$field = body;
        }
    };
}

/// The service that an operation's name begins with: `"order"` for `"order.place"`.
#[doc(hidden)]
#[allow(clippy::indexing_slicing, reason = "checked against the length, in a const")]
pub const fn service_of(name: &'static str) -> &'static str {
    let bytes = name.as_bytes();
    let mut dot = 0;
    while dot < bytes.len() && bytes[dot] != b'.' {
        dot += 1;
    }
    name.split_at(dot).0
}
