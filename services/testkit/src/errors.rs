//! What tests compare of an error.

use std::fmt::Debug;

use promox_kernel::Error;

/// The code of a refusal.
#[track_caller]
pub fn code<T: Debug>(result: Result<T, Error>) -> String {
    result.unwrap_err().code().to_owned()
}

/// The JSON pointers of a refusal's faults, in order.
#[track_caller]
pub fn pointers<T: Debug>(result: Result<T, Error>) -> Vec<String> {
    result.unwrap_err().errors().iter().map(|fault| fault.pointer.clone()).collect()
}
