//! The stable codes of what the kernel and the store refuse. `promox-contract` lists the others and exports these too.

/// Makes each name a constant with the name as its value.
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
    FORBIDDEN,
    INTERNAL,
    INVALID_VALUE,
    JSON_TOO_DEEP,
    MALFORMED_JSON,
    NOT_ACCEPTABLE,
    NOT_FOUND,
    OUTCOME_UNKNOWN,
    STARTING,
    STOPPED,
    TOO_MANY_LISTENERS,
    UNAUTHENTICATED,
    UNKNOWN_MEMBER,
    VALIDATION_FAILED,
    VERSION_MISMATCH,
}
