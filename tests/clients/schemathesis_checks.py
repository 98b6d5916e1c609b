"""A check of schemathesis: what the description allows is never refused for its form."""

import re

import schemathesis
from schemathesis.checks import CheckContext

# Refusals of a missing, repeated or null member, and of a JSON type. A rule about a value is none: not every rule can be
# written in a schema. Nor is an unknown member: types that are also answered are open, so that clients survive a new one.
FORM = re.compile(
    r"is required$|duplicate member$|must not be null$|has none of the forms"
    r"|must be (an array|an object|a string|a number|a whole number.*|true or false|null|one of .*); got ",
    re.DOTALL,
)


@schemathesis.check
def form_as_described(ctx: CheckContext, response, case) -> None:
    if response.status_code != 422 or case.meta is None or not case.meta.generation.mode.is_positive:
        return
    for fault in response.json().get("errors", []):
        # Paths and queries are texts, so only a body has types.
        if fault["pointer"].startswith("/") and FORM.match(fault["detail"]):
            raise AssertionError(f"the description allows what is refused: {fault}")
