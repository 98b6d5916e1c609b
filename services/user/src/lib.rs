//! User service: accounts, tokens, roles, audit.
