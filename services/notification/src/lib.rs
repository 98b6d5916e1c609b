//! Notification service: templates, deliveries, inbox.
