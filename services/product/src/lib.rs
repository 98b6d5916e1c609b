//! Product service: catalogue, categories, search.
