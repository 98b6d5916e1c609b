//! Order service: quote, checkout saga, fulfilment, returns.
