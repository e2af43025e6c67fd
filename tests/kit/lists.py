"""A destination made for a law, its files in a temporary folder, and a vendor that keeps single identifiers."""

from __future__ import annotations

import json
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from connector.connection.load import make_connection
from connector.definitions.catalog import Catalog
from connector.model import Event, Record, Rejection, Request, Response
from connector.pipeline.pipeline import Pipeline
from tests.kit import destination as tiny
from tests.kit.clock import NOW
from tests.kit.destination import SOURCE
from tests.kit.records import Identifier

#: Wire keys in the order of the definition; the last one names nobody alone.
WIRES = ("email", "phone", "customer", "first")
COMPANION = "first"

#: People in groups of those that share everything; a request has several groups.
GROUPS = """{"action": {{ operation }}, "groups": [{% for group in groups %}
{"do": {{ group.do }}, "list": {{ group.list_id }}, "until": {{ group.until }}, "people": {{ group.items }}},
{% endfor %}]}"""
#: A request for people who share everything.
WHOLE = '{"do": {{ share.do }}, "list": {{ share.list_id }}, "until": {{ share.until }}, "people": {{ items }}}'
#: Sorts people into two lists, whatever their order in the batch is; `TWICE` names each in a third one as well.
SORTED = """{
{% for do in ["remove", "add"] %}
{{ do }}: [{% for group in groups if group.do == do %}{% for item in group.items %}{{ item }},{% endfor %}{% endfor %}],
{% endfor %}
}"""
TWICE = SORTED[:-1] + '"all": {{ items }}}'
ITEM = '{"ids": {{ ids }}, "action": {{ operation }}, "list": {{ params.list_id }}}'
ITEM_OF_ONE_WIRE = ITEM[:-1] + ', "wire": {{ params.wire }}}'

_folders: list[TemporaryDirectory[str]] = []  # as long as they are here their files are


def _text(kind: str = "string", **more: Any) -> dict[str, Any]:
    return {"title": str(more), "description": "A text.", "type": kind, **more}


def _person(wire: str) -> dict[str, Any]:
    alone = {"alone": False} if wire == COMPANION else {}
    identifier = {"normalize": ["trim"], "hash": "none", **alone, "source": SOURCE}
    return {"title": wire, "description": "A person.", "identifier": identifier}


def write(
    folder: Path,
    action: Mapping[str, Any],
    destination: Mapping[str, Any],
    properties: Mapping[str, Any],
) -> Catalog:
    """Write a destination `made` whose actions `add` and `remove` share `action`; `destination` holds any more keys."""
    shared = {"list_id": _text(pattern="^[0-9]+$"), "until": _text(minLength=1)}
    people = {wire: _person(wire) for wire in WIRES}
    defaults = {
        "audience": "{list_id}",
        "item": "item.json.j2",
        "envelope": "groups.json.j2",
    }
    share = {
        "do": {"add": "add", "remove": "remove"},
        "list_id": {"param": "list_id"},
        "until": {"param": "until"},
        **action.get("share", {}),
    }
    presence = action.get("presence", {})
    actions = {}
    for operation in ("add", "remove"):
        members = {**defaults, "path": f"/v1/{operation}", **action, "operation": operation}
        members.pop("presence", None)
        members["share"] = share
        present = {name: member for name, member in members.items() if member is not None}
        document = tiny.action(shared | people | dict(properties), **present)
        actions[operation] = {**document, "required": ["list_id"], **presence}
    item = ITEM_OF_ONE_WIRE if "by" in action.get("split", {}) else ITEM
    templates = {"item": item, "groups": GROUPS, "whole": WHOLE, "sorted": SORTED, "twice": TWICE}
    return tiny.write_destination(folder, actions, templates, name="made", **destination)


def catalog(
    action: Mapping[str, Any],
    destination: Mapping[str, Any] | None = None,
    properties: Mapping[str, Any] | None = None,
) -> Catalog:
    """Return a catalog with the destination `made`."""
    _folders.append(TemporaryDirectory())
    return write(Path(_folders[-1].name), action, destination or {}, properties or {})


def pipeline(made: Catalog, more: Mapping[str, Any] | None = None, **connection: Any) -> Pipeline:
    """Return a pipeline of events {"add", "list", "until", and a member for each wire key}."""
    mapped = {
        "list_id": {"from": "list"},
        "until": {"from": "until"},
        **{wire: {"from": wire} for wire in WIRES},
    }
    routes = [
        {"action": action, "when": when, "map": mapped | dict(more or {})}
        for action, when in (("add", "event.add"), ("remove", "not event.add"))
    ]
    return Pipeline(
        make_connection({"destination": "made", "routes": routes, **connection}, "test", made)
    )


@cache
def cached(action: str, responses: str, limits: str) -> Pipeline:
    """Return a pipeline of an action and response rules in JSON."""
    rules = [{**rule, "source": SOURCE} for rule in json.loads(responses)]
    return pipeline(
        catalog(json.loads(action), {"responses": rules} if rules else None),
        limits=json.loads(limits),
    )


def prepared(
    using: Pipeline, rows: Sequence[Mapping[str, Any]]
) -> tuple[list[Record], list[Rejection]]:
    """Return the records and the rejections of some events; the first event has the id 0."""
    found = list(using.prepare([Event(number, dict(row)) for number, row in enumerate(rows)], NOW))
    return [one for one in found if isinstance(one, Record)], [
        one for one in found if isinstance(one, Rejection)
    ]


def named(row: Mapping[str, Any], wires: Sequence[str] = WIRES) -> Iterator[Identifier]:
    """Yield what an event names, told without the connector."""
    for wire in wires:
        values = row.get(wire) or []
        yield from (
            (wire, value.strip()) for value in (values if isinstance(values, list) else [values])
        )


class Keeper:
    """Keeps the identifiers of each list. One with a value `bad…` is refused, `busy…` is for the first `busy` times.

    `answer`: how it says so, one of `ANSWERS`. It insists on what `share`, `audience` and `split` promise.
    """

    def __init__(self, answer: str = "whole", busy: int = 0) -> None:
        self.lists: dict[str, set[Identifier]] = defaultdict(set)
        self.items: list[dict[str, Any]] = []
        self.requests: list[tuple[str, str]] = []
        self._answer = answer
        self._busy = busy
        self._seen: Counter[str] = Counter()
        self._flying: Counter[str] = Counter()
        self._lock = threading.Lock()

    def __call__(self, request: Request) -> Response:
        body = json.loads(request.body)
        groups = [group["people"] for group in body["groups"]]
        items = [item for people in groups for item in people]
        [(audience, action)] = {(group["list"], group["do"]) for group in body["groups"]}
        with self._lock:
            self._flying[audience] += 1
            assert self._flying[audience] == 1, "two requests for one audience at a time"
            self.requests.append((audience, action))
        assert {(item["list"], item["action"]) for item in items} == {(audience, action)}
        assert body["action"] == action
        assert request.url == f"https://api.example.com/v1/{action}"
        assert len({item.get("wire") for item in items}) == 1
        self.items += items
        try:
            return self._answered(
                groups,
                items,
                {n: said for n, item in enumerate(items) if (said := self._no(item))},
            )
        finally:
            self._flying[audience] -= 1

    def _no(self, item: Mapping[str, Any]) -> str:
        """Return what is wrong with an item: bad, busy or nothing."""
        values = [value for values in item["ids"].values() for value in values]
        busy = [
            value for value in values if value.startswith("busy") and self._seen[value] < self._busy
        ]
        self._seen.update(busy)
        return "bad" if any(value.startswith("bad") for value in values) else "busy" if busy else ""

    def _answered(self, groups: list[Any], items: list[Any], wrong: dict[int, str]) -> Response:
        if self._answer in ("atomic", "anonymous") and wrong:
            errors = [{"index": n, "again": said == "busy"} for n, said in wrong.items()]
            return Response(400, {}, {"errors": errors} if self._answer == "atomic" else None)
        refused: list[Any] = []
        if self._answer == "groups":
            starts = [sum(map(len, groups[:n])) for n in range(len(groups))]
            said = [
                {wrong.get(start + n) for n in range(len(people))}
                for start, people in zip(starts, groups, strict=True)
            ]
            refused = [
                "bad" if "bad" in some else "busy" if "busy" in some else "" for some in said
            ]
            wrong = {
                start + n: refused[g]
                for g, start in enumerate(starts)
                for n in range(len(groups[g]))
                if refused[g]
            }
        for number, item in enumerate(items):
            if number not in wrong:
                self._apply(item)
        return Response(207, {}, ANSWERS[self._answer](items, wrong, refused))

    def _apply(self, item: Mapping[str, Any]) -> None:
        values = {
            (wire, value)
            for wire, values in item["ids"].items()
            for value in values
            if wire != COMPANION
        }
        assert values, "an item that names nobody"
        change = (
            self.lists[item["list"]].update
            if item["action"] == "add"
            else self.lists[item["list"]].difference_update
        )
        change(values)


def _statuses(items: list[Any], wrong: dict[int, str], _: list[Any]) -> Any:
    return {
        "results": [
            {"status": {"": 200, "bad": 400, "busy": 503}[wrong.get(n, "")]}
            for n in range(len(items))
        ]
    }


def _positions(_: list[Any], wrong: dict[int, str], __: list[Any]) -> Any:
    return (
        {"errors": [{"index": n, "again": said == "busy"} for n, said in reversed(wrong.items())]}
        if wrong
        else {}
    )


def _values(items: list[Any], wrong: dict[int, str], _: list[Any]) -> Any:
    said = [
        (n, [v for values in items[n]["ids"].values() for v in values if v.startswith(wrong[n])])
        for n in wrong
    ]
    return {"refused": [{"value": values[0], "again": wrong[n] == "busy"} for n, values in said]}


def _groups(_: list[Any], __: dict[int, str], refused: list[Any]) -> Any:
    return {"groups": [{"again": said == "busy"} if said else None for said in refused]}


#: How the vendor answers → the body of the answer.
ANSWERS = {
    "statuses": _statuses, "positions": _positions, "values": _values, "groups": _groups,
    "whole": lambda *_: {}, "atomic": lambda *_: {}, "anonymous": lambda *_: {},
}  # fmt: skip

_POSITION = {"by": "item", "position": "entry.index", "later": "entry.again"}
#: How the vendor answers → the response rules that understand it.
RULES: dict[str, list[dict[str, Any]]] = {
    "statuses": [{"when": "status == 207", "then": "delivered", "each": "body.results", "by": "item", "error": "entry.status >= 400", "later": "entry.status >= 500"}],
    "positions": [{"when": "status == 207", "then": "delivered", "each": "body.errors", **_POSITION}],
    "values": [{"when": "status == 207", "then": "delivered", "each": "body.refused", **_POSITION, "by": "value", "position": "entry.value"}],
    "groups": [{"when": "status == 207", "then": "delivered", "each": "body.groups", "by": "group", "later": "entry.again"}],
    "atomic": [{"when": "status == 400", "then": "reject", "each": "body.errors", **_POSITION}],
    "anonymous": [],
    "whole": [],
}  # fmt: skip
