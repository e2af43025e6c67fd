"""Mapping for an outbox: whoever observes it hears of everything that becomes no record."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from connector.delivery.ledger import Ledger
from connector.delivery.worker.mapping import Mapper
from connector.model import Chunk, Event, Record, Unreadable
from connector.pipeline.bundles import PreparedBundles
from connector.pipeline.pipeline import Pipeline
from connector.pipeline.prepared import PreparedError
from tests.kit.clock import NOW
from tests.kit.delivering import event, made


def test_an_observer_hears_of_what_becomes_no_record(monkeypatch: pytest.MonkeyPatch) -> None:
    write = PreparedBundles.write

    def pick(prepared: PreparedBundles, records: Sequence[Record], digests: bytes | None) -> bytes:
        if any(record.ids == ("odd",) for record in records):
            raise PreparedError("has a value that JSON cannot hold")
        return write(prepared, records, digests)

    monkeypatch.setattr(PreparedBundles, "write", pick)
    connection = made()
    ledger = Ledger(keep_failures=True)
    mapper = Mapper("c", connection, lambda: Pipeline(connection), ledger)
    chunk: Chunk = [
        Event(1, event("a")),
        Unreadable(2, "no JSON"),
        Event(3, {**event("b"), "remove": "what"}),
        Event(4, {**event("c"), "email": "nobody"}),
        Event(5, event("odd")),
        Event(6, event("d", "a\0")),
    ]
    mapped = mapper.map_one(chunk, NOW)
    mapper.write([mapped])

    assert mapped.accepted == {1, 4}
    codes = [(failure.line, failure.code) for failure in ledger.failures]
    assert codes == [
        (2, "unreadable"),
        (3, "not_a_boolean"),
        (3, "not_a_boolean"),
        (6, "invalid_parameter"),
        (4, "not_of_the_form"),
        (5, "invalid"),
    ]
    assert ledger.failures[-1].reason == "its prepared record has a value that JSON cannot hold"
    counts = mapped.counts("c")
    assert counts == {("c", "accepted"): 2, ("c", "rejected"): 5, ("c", "dropped"): 1}
    posts = mapper.map([[Event(1, event("a"))], [Event(1, event("b"))]], NOW)
    [(bundle, _)] = mapper.write(posts)
    assert (bundle.records, [one.accepted for one in posts]) == (2, [{1}, {1}])
