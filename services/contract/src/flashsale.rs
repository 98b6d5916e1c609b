//! What others ask of the flashsale service.
