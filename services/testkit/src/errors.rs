//! The parts of an error that tests compare.

use std::fmt::Debug;

use promox_kernel::Error;

/// The stable code of a result's error. Panics if the result is not an error.
#[track_caller]
pub fn code<T: Debug>(result: Result<T, Error>) -> String {
    result.unwrap_err().code().to_owned()
}

/// The JSON pointers of the faults in a result's error, in order. Panics if the result is not an error.
#[track_caller]
pub fn pointers<T: Debug>(result: Result<T, Error>) -> Vec<String> {
    result.unwrap_err().errors().iter().map(|fault| fault.pointer.clone()).collect()
}
