//! Messages that a service sends to the merchant's systems, declared so that the API description lists them.

use schemars::{JsonSchema, Schema, SchemaGenerator};

/// Builds a schema.
type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// A message that a service sends. Its body is the type that the service serializes, its answer the type that it reads, so
/// the description cannot differ from either.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing {
    /// The service that sends it.
    pub service: &'static str,
    /// The type of the message, such as `"ORDER_CONFIRMED"`: the member `type` of its body.
    pub kind: &'static str,
    /// The headers that it is sent with, each with its description.
    pub headers: &'static [(&'static str, &'static str)],
    /// What the sender makes of the statuses of answers, each with its description.
    pub statuses: &'static [(&'static str, &'static str)],
    body: SchemaOf,
    summary_of: SchemaOf,
    answer: Option<SchemaOf>,
}

impl Outgoing {
    /// A message of a service with the body `B`. `S` is the type whose documentation says when the message is sent.
    pub const fn of<B: JsonSchema, S: JsonSchema>(service: &'static str, kind: &'static str) -> Self {
        Self { service, kind, headers: &[], statuses: &[], body: schema::<B>, summary_of: schema::<S>, answer: None }
    }

    /// Adds the headers, the same for every message of the service.
    #[must_use]
    pub const fn with_headers(self, headers: &'static [(&'static str, &'static str)]) -> Self {
        Self { headers, ..self }
    }

    /// Adds the statuses of answers.
    #[must_use]
    pub const fn with_statuses(self, statuses: &'static [(&'static str, &'static str)]) -> Self {
        Self { statuses, ..self }
    }

    /// Says that the receiver answers with an `A`.
    #[must_use]
    pub const fn answered_by<A: JsonSchema>(self) -> Self {
        Self { answer: Some(schema::<A>), ..self }
    }

    /// The schema of the body.
    pub fn body(&self, generator: &mut SchemaGenerator) -> Schema {
        (self.body)(generator)
    }

    /// The schema whose description says when the message is sent.
    pub fn summary_of(&self, generator: &mut SchemaGenerator) -> Schema {
        (self.summary_of)(generator)
    }

    /// The schema of the answer; `None` if only its status counts.
    pub fn answer(&self, generator: &mut SchemaGenerator) -> Option<Schema> {
        self.answer.map(|answer| answer(generator))
    }
}

fn schema<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}
