"""The values that we send to Meta, by the normaliser of its own library for node."""

from __future__ import annotations

from functools import cache

from tests.witness.kit import Client, needs_npm, node, npm_version
from tests.witness.meta import FIELDS, KINDS, sent
from tests.witness.values import Comparison, comparison_of

PACKAGE = "facebook-nodejs-business-sdk"
needs_npm(PACKAGE)


@cache
def of_events() -> Comparison:
    client = Client("Meta", f"`{PACKAGE}`", npm_version(PACKAGE), "node")
    with node("meta_models") as normalise:
        return comparison_of(
            client, KINDS, sent, lambda parameter, value: normalise(value, FIELDS[parameter])
        )
