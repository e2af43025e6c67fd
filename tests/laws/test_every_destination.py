"""What holds for every destination that ships, whatever stands in the events."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.connection.model import Connection, FromPaths, Route
from connector.definitions.catalog import Catalog
from connector.definitions.model import Action, Destination, Limits
from connector.delivery.ledger import Ledger
from connector.delivery.run import batches
from connector.model import Batch, Event, Request
from connector.pipeline.pipeline import Pipeline
from connector.sandbox.contract import Contract, for_settings
from tests.kit.clock import NOW, FakeClock
from tests.kit.records import tries

DESTINATIONS = Catalog(()).ids()

_DIGEST = re.compile(rb"[0-9a-f]{64}")

NASTY = st.one_of(
    st.text(st.characters(), max_size=20),
    st.sampled_from(
        [
            '"',
            "\\",
            "{{ x }}",
            "{% if %}",
            "\n\r\t",
            "\x00",
            "\ud800",
            "\U0001f600",
            "</script>",
            "\x02" + "0\x03",
            "],[",
            "'",
        ]
    ),
)


def field(word: str, number: int) -> st.SearchStrategy[Any]:
    """Return anything that may stand in a field; texts hold the word, numbers begin with the number."""
    words = st.builds(lambda before, after: f"{before}{word}{after}", NASTY, NASTY)
    plausible = st.one_of(
        st.builds("{}{}@example.com".format, st.just(word), st.integers(0, 30)),
        st.builds("+1{}{}".format, st.just(number), st.integers(0, 9)),
        st.builds("00000000-0000-4000-8000-{}{:03d}".format, st.just(number), st.integers(0, 99)),
        st.builds("{}{}".format, st.just(word), st.integers(0, 30)),
    )
    long = st.builds(
        lambda char, end: char * 10_000 + word + end,
        st.sampled_from(["x", "é", '"', "\U0001f600"]),
        NASTY,
    )
    value = (
        plausible
        | words
        | long
        | st.integers()
        | st.none()
        | st.booleans()
        | st.floats()
        | st.just("")
    )
    return (
        value
        | st.lists(value, max_size=4)
        | st.dictionaries(st.text(max_size=3), value, max_size=2)
    )


# No digest and no text of a definition holds these.
WORD, NUMBER = "Zquibbleton", 700112233
SECRET = field(WORD, NUMBER)
OPEN = field("Openly", 203040506)


def connection(destination: Destination) -> Connection:
    """Return a connection with a route for every action, which takes the events that name it."""
    routes = [
        Route(
            action.id,
            action,
            f"event.action == '{action.id}'",
            {name: FromPaths((name,)) for name in action.parameters},
        )
        for action in destination.actions.values()
    ]
    shown = destination.example_settings
    return Connection(
        "", destination, shown, {}, destination.base_url(shown), Limits(), None, tuple(routes)
    )


def events(destination: Destination) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Some people for some actions: anything in the identifiers; the other parameters as in an example, or anything."""
    events_of = [event(action) for action in destination.actions.values()]
    # of one action, so that its columns are long; or mixed
    alike = st.one_of([st.lists(of_one, min_size=4, max_size=30) for of_one in events_of])
    return alike | st.lists(st.one_of(events_of), max_size=30)


def event(action: Action) -> st.SearchStrategy[dict[str, Any]]:
    people = {i.parameter: OPEN if i.hash == "none" else SECRET for i in action.identifiers}
    example = next(iter(action.schema["examples"]))
    others = {
        name: st.just(example.get(name)) | st.just(example.get(name)) | NASTY
        for name in set(action.parameters) - set(people)
    }
    return st.fixed_dictionaries({"action": st.just(action.id), **others}, optional=people)


def sent(
    pipeline: Pipeline, given_events: Sequence[Mapping[str, Any]], ledger: Ledger
) -> Iterator[tuple[Batch, Request]]:
    chunk = [Event(number, dict(data)) for number, data in enumerate(given_events, 1)]
    for batch in batches(pipeline, [chunk], ledger, FakeClock()):
        yield batch, batch.endpoint.build(batch, NOW)


@pytest.mark.parametrize("name", DESTINATIONS)
def test_every_request_is_what_the_vendor_takes_and_holds_no_plain_identifier(name: str) -> None:
    destination = Catalog(()).load(name)
    pipeline = Pipeline(connection(destination))
    contracts = {
        action.id: Contract(for_settings(action.accepts, destination.example_settings))
        for action in destination.actions.values()
    }

    @given(events(destination))
    @tries(60)
    def law(given_events: list[dict[str, Any]]) -> None:
        ledger = Ledger()
        alive = 0
        for batch, request in sent(pipeline, given_events, ledger):
            alive += len(batch.records)
            action = batch.target.route
            caps = destination.actions[action].caps
            assert len(request.body) <= (caps.bytes or 1e9)
            assert len(batch.records) <= (caps.records or 1e9)
            body = orjson.loads(request.body)
            assert contracts[action].holds(body), action
            rest = _DIGEST.sub(b"", request.body).decode().lower()
            assert WORD.lower() not in rest
            assert str(NUMBER) not in rest
        summary = ledger.counts
        assert summary.records == alive + summary.superseded + summary.rejected

    law()


@pytest.mark.parametrize("name", DESTINATIONS)
def test_a_body_keeps_its_shape_whatever_the_values(name: str) -> None:
    """Other values of the same people, of the same length in identifiers, give the same body but for these values."""
    destination = Catalog(()).load(name)
    pipeline = Pipeline(connection(destination))

    made = []

    @given(
        st.sampled_from([*destination.actions.values()]), st.lists(NASTY, min_size=1, max_size=6)
    )
    @tries(25)
    def law(action: Action, texts: list[str]) -> None:
        params = next(iter(action.schema["examples"]))
        fixed = {
            key: value
            for key, value in params.items()
            if key not in {i.parameter for i in action.identifiers}
        }
        for identifier in action.identifiers:
            for end in (WORD, f"{WORD}@example.com"):
                shapes = set()
                for text in ("harmless", *texts):
                    people = [{**fixed, "action": action.id, identifier.parameter: text + end}]
                    shapes |= {
                        skeleton(orjson.loads(request.body))
                        for _, request in sent(pipeline, people, Ledger())
                    }
                assert len(shapes) <= 1
                made.extend(shapes)

    law()
    assert made, "nothing was ever sent"


def skeleton(value: Any) -> Any:
    """Return a body with every text, number and boolean replaced by its kind."""
    if isinstance(value, dict):
        return tuple((key, skeleton(part)) for key, part in value.items())
    if isinstance(value, list):
        return tuple(skeleton(part) for part in value)
    return type(value).__name__
