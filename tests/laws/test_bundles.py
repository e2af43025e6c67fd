"""Bundles of prepared records: what is read is what was written, also of each record by itself."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.connection.model import Connection
from connector.definitions.catalog import Catalog
from connector.delivery.outbox.keys import unpack_keys
from connector.delivery.outbox.model import BUNDLE
from connector.delivery.worker.bundles import Bundles, Offered, numbered
from connector.model import Record
from connector.pipeline.bundles import PreparedBundles, digests_of, origin_of, split_bundle
from connector.pipeline.pipeline import Pipeline
from connector.pipeline.prepared import PreparedError, PreparedRecords
from tests.kit.clock import NOW
from tests.kit.records import tries
from tests.laws import test_every_destination as every
from tests.laws import test_prepared as one

LATER = NOW + 5.0


def bundles_of(connection: Connection) -> PreparedBundles:
    return PreparedBundles(PreparedRecords(connection))


def read_again(records: Sequence[Record], first: int = 1_024) -> list[Record]:
    """Return records as they are read: by their numbers, and as old as their commit."""
    moved = []
    for seq, record in enumerate(records, first):
        moved.append(record._replace(event_id=seq, prepared_at=LATER))
    return moved


@pytest.mark.parametrize("name", every.DESTINATIONS)
def test_what_is_read_is_what_was_written(name: str) -> None:
    destination = Catalog(()).load(name)
    here = one.connection(destination)
    pipeline = Pipeline(here)
    writer, reader = bundles_of(here), bundles_of(here)

    @given(one.events(destination))
    @tries(4)
    def law(rows: list[dict[str, Any]]) -> None:
        records = one.prepared(pipeline, [*rows, *one.examples(destination)])
        ids = [identifier for record in records for identifier in record.ids]
        for digests in {None, digests_of(ids)}:
            check(records, writer.write(records, digests))

    def check(records: list[Record], content: bytes) -> None:
        rest = every._DIGEST.sub(b"", content).decode(errors="replace").lower()
        assert every.WORD.lower() not in rest
        again = reader.read(content, 1_024, LATER)
        for record, other in zip(read_again(records), again, strict=True):
            one.assert_same(record, other)
        one.assert_sent_alike(records, again)

        for index, record in enumerate(records):
            alone = split_bundle(content, index)
            [other] = reader.read(alone, index, LATER)
            one.assert_same(read_again([record], index)[0], other)
            target = record.target
            assert origin_of(alone) == (target.route, target.action, record.event_id)
        with pytest.raises(PreparedError):
            split_bundle(content, len(records))

    law()


DIGEST = st.text("0123456789abcdefABCDEF é", min_size=62, max_size=66)


@given(st.lists(DIGEST | st.binary(min_size=32, max_size=32).map(bytes.hex), max_size=3))
@tries(200)
def test_digests_are_what_they_were_written_as(identifiers: list[str]) -> None:
    digests = digests_of(identifiers)
    if digests is not None:
        assert digests.hex() == "".join(identifiers)
    elif identifiers:
        assert not all(re.fullmatch("[0-9a-f]{64}", one) for one in identifiers)


def test_the_records_of_each_lane_stay_in_order() -> None:
    here = one.x()
    rows = []
    for number in range(BUNDLE + 200):
        event = {**one.ANN, "id": f"p{number}", "audience": "abc"[number % 3]}
        rows.append({**event, "add": number < 600 or number % 2})
    records = one.prepared(Pipeline(here), rows)
    written = Bundles("c", here).write(records)
    reader = bundles_of(here)
    for lane in {record.target.lane for record in records}:
        expected = [record for record in records if record.target.lane == lane]
        found: list[Record] = []
        for bundle, its_records in written:
            if bundle.lane != lane:
                continue
            assert {record.target.operation for record in its_records} == {bundle.operation}
            assert bundle.records == len(its_records) <= BUNDLE
            keys = unpack_keys(bundle.keys, bundle.records)
            assert [len(digests) // 8 for digests in keys] == [len(r.ids) for r in its_records]
            found += its_records
            # handed on in memory or read: the same
            offered = numbered(Offered("c", lane, 7, its_records, LATER))
            read = reader.read(bundle.payload, 7 * BUNDLE, LATER)
            for record, other in zip(offered, read, strict=True):
                one.assert_same(record, other)
        assert found == expected


def test_a_key_is_that_of_an_identifier_alone() -> None:
    here = one.x()
    pipeline = Pipeline(here)
    mixed = one.prepared(pipeline, [one.ANN, {**one.ANN, "id": "plain"}])
    alone = one.prepared(
        pipeline, [{"add": True, "audience": "1nmth", "emails": one.ANN["emails"]}]
    )
    keys = []
    for records in (mixed, alone):
        [(bundle, _)] = Bundles("c", here).write(records)
        keys.append(unpack_keys(bundle.keys, bundle.records))
    [first, second], [third] = keys
    assert first[:8] == second[:8] == third
    assert first[8:] != second[8:]


def test_other_definition_files_are_refused() -> None:
    bundles, content = written()
    head, _, items = content.partition(b"\n")
    document = {**orjson.loads(head), "definition": "0" * 64}
    with pytest.raises(PreparedError, match=r"^was prepared by other definition files"):
        bundles.read(orjson.dumps(document) + b"\n" + items, 0, NOW)


ANYTHING = st.one_of(one.ANYTHING, st.lists(st.integers(-2, 3), max_size=3))


@cache
def written(*, as_digests: bool = False) -> tuple[PreparedBundles, bytes]:
    here = one.x()
    bundles = bundles_of(here)
    ann = {name: one.ANN[name] for name in ("audience", "emails")} if as_digests else one.ANN
    rows = [{**ann, "add": True}, {**ann, "add": False}, {**ann, "add": True, "audience": "other"}]
    records = one.prepared(Pipeline(here), rows)
    if not as_digests:
        return bundles, bundles.write(records, None)
    digests = digests_of([identifier for record in records for identifier in record.ids])
    assert digests is not None
    return bundles, bundles.write(records, digests)


@given(st.data())
@tries(150)
def test_what_is_damaged_is_refused_or_records(data: st.DataObject) -> None:
    bundles, content = written(as_digests=data.draw(st.booleans()))
    head, _, items = content.partition(b"\n")
    document = orjson.loads(head)
    name = data.draw(st.sampled_from(sorted(document)))
    if data.draw(st.booleans()):
        del document[name]
    else:
        document[name] = data.draw(ANYTHING)
    # json writes integers of any size, orjson does not
    line = json.dumps(document).encode()
    damaged = line + b"\n" + data.draw(st.sampled_from([items, b"", items[1:]]))
    for use in (lambda: bundles.read(damaged, 0, NOW), lambda: split_bundle(damaged, 1)):
        with suppress(PreparedError):
            use()


@pytest.mark.parametrize("counts", [[2, 0, 1], [4, -1, 0], [1, 1], [1, 1, 1, 1], [1, 1, True]])
def test_each_record_has_its_own_identifiers(counts: list[int]) -> None:
    bundles, content = written(as_digests=True)
    head, _, rest = content.partition(b"\n")
    document = orjson.loads(head)
    assert document["ids"] == [1, 1, 1]
    damaged = orjson.dumps({**document, "ids": counts}) + b"\n" + rest
    with pytest.raises(PreparedError):
        bundles.read(damaged, 0, NOW)


@pytest.mark.parametrize(
    "content", [b"", b"canary", b"\xff\n", b"{}", b"[" * 99_999, b"1\n", b"[]"]
)
def test_what_is_no_bundle_is_refused(content: bytes) -> None:
    bundles, _ = written()
    for use in (
        lambda: bundles.read(content, 0, NOW),
        lambda: split_bundle(content, 0),
    ):
        with pytest.raises(PreparedError) as refused:
            use()
        assert one.CANARY not in str(refused.value)
    assert origin_of(content) is None
