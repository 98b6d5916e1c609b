//! The stable error codes of the kernel and the storage. `promox-contract` lists the others and re-exports these.

/// Declares each name as a string constant whose value is the name.
#[macro_export]
macro_rules! codes {
    ($($name:ident),+ $(,)?) => {$(
        #[doc = concat!("`", stringify!($name), "`")]
        pub const $name: &str = stringify!($name);
    )+};
}

codes! {
    BODY_TOO_LARGE,
    BUSY,
    CONFLICTING_CHANGES,
    DAMAGED_ROWS,
    DATA_DAMAGED,
    DEADLINE_EXCEEDED,
    DISK_FULL,
    DUPLICATE,
    DUPLICATE_MEMBER,
    EVENT_REMOVED,
    FORBIDDEN,
    INTERNAL,
    INVALID_VALUE,
    JSON_TOO_DEEP,
    MALFORMED_JSON,
    NOT_ACCEPTABLE,
    NOT_FOUND,
    OUTCOME_UNKNOWN,
    REPLAY_FAILED,
    SERVICE_BUSY,
    STARTING,
    STOPPED,
    TOO_MANY_LISTENERS,
    UNAUTHENTICATED,
    UNKNOWN_MEMBER,
    VALIDATION_FAILED,
    VERSION_MISMATCH,
}
