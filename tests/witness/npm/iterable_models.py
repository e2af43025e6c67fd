"""What we send to Iterable, by the schemas of its own client."""

from __future__ import annotations

from functools import cache

from tests.witness.bodies import Reading, reading_of
from tests.witness.kit import Client, needs_npm, node, npm_version

PACKAGE = "@iterable/api"
needs_npm(PACKAGE)

SCHEMAS = {
    "/api/lists/subscribe": "SubscribeToListParamsSchema",
    "/api/lists/unsubscribe": "UnsubscribeFromListParamsSchema",
}


@cache
def bodies() -> Reading:
    client = Client("Iterable", f"`{PACKAGE}`", npm_version(PACKAGE), "node")
    with node("iterable_models") as parse:
        # a member that the schema lacks is left out
        return reading_of(client, "iterable_lists", lambda path, body: parse(SCHEMAS[path], body))
