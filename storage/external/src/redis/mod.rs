//! Gates and the cache in Redis. What Redis loses is loaded again from the rows, or costs a retry.
