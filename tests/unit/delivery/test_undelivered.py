"""The file of what is left undelivered: in the order of the events, and all of it or nothing."""

from __future__ import annotations

import gzip
import random
import stat
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

import connector
from connector.connection.model import Connection
from connector.delivery import undelivered as module
from connector.delivery.undelivered import Undelivered
from connector.errors import ConfigError
from connector.model import Event, Record, Request, Response
from connector.pipeline.pipeline import Pipeline
from connector.pipeline.prepared import PreparedRecords
from connector.sources.files import open_source
from tests.kit.accounts import Account, document, event, to
from tests.kit.clock import NOW, FakeClock
from tests.kit.records import connection

ITEM = {"custom_audience_id": {"from": "audience"}, "email": {"from": "item"}}
ROUTES: list[dict[str, Any]] = [
    {"name": "in", "action": "add_user_multi", "each": "in", "map": ITEM},
    {"name": "out", "action": "remove_user_multi", "each": "out", "map": ITEM},
]


def connected() -> Connection:
    return connection(ROUTES, event_id="id")


def records(here: Connection, count: int = 30) -> list[Record]:
    """Return records for two audiences, several of each event."""
    chunk: list[Event] = []
    for number in range(1, count + 1):
        people = [f"{number}.{item}@example.com" for item in range(3)]
        data = {"audience": f"a{number % 2}", "in": people, "out": people[:2]}
        chunk.append(Event(number, data | ({"id": f"e{number}"} if number % 3 else {})))
    return [one for one in Pipeline(here).prepare(chunk, NOW) if isinstance(one, Record)]


def read(path: Path, here: Connection) -> list[Record]:
    codec = PreparedRecords(here)
    return [codec.read(line) for line in path.read_bytes().splitlines()[1:]]


def by_lane(found: Iterable[Record]) -> dict[str, list[tuple[Any, ...]]]:
    lanes = defaultdict(list)
    for one in found:
        lanes[one.target.lane].append((one.target.route, one.event_id, one.ids))
    return lanes


@pytest.mark.parametrize("seed", range(5))
def test_records_come_in_the_order_in_which_they_were_prepared(tmp_path: Path, seed: int) -> None:
    here = connected()
    prepared = records(here)
    assert len(prepared) == 150
    shuffled = list(prepared)
    random.Random(seed).shuffle(shuffled)
    kept = Undelivered(tmp_path / "left.ndjson", here)
    for start in range(0, len(shuffled), 7):
        kept.add(shuffled[start : start + 7])
    assert kept.complete() == kept.complete() == (str(tmp_path / "left.ndjson"), 150, "")
    assert by_lane(read(tmp_path / "left.ndjson", here)) == by_lane(prepared)


@pytest.mark.parametrize("name", ["left.ndjson", "left", "left.ndjson.gz"])
def test_it_is_its_owners_and_known_by_its_first_line(tmp_path: Path, name: str) -> None:
    here = connected()
    path = tmp_path / name
    kept = Undelivered(path, here)
    kept.run = "run-1"
    kept.add(records(here, 1))
    assert not list(tmp_path.iterdir())
    kept.complete()
    assert list(tmp_path.iterdir()) == [path]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600

    content = path.read_bytes()
    text = gzip.decompress(content) if name.endswith(".gz") else content
    assert orjson.loads(text.splitlines()[0])["run"] == "run-1"
    assert b"example.com" not in text
    with open_source(str(path)) as source:
        [header] = source.headers
        [chunk] = source
        assert header["destination"] == "x_custom_audiences"
        assert [entry.position for entry in chunk] == [2, 3, 4, 5, 6]


def test_nothing_left_is_no_file(tmp_path: Path) -> None:
    kept = Undelivered(tmp_path / "left", connected())
    kept.add([])
    assert kept.complete().records == 0
    assert not list(tmp_path.iterdir())


def test_a_file_that_came_meanwhile_stays(tmp_path: Path) -> None:
    here = connected()
    path = tmp_path / "left"
    kept = Undelivered(path, here)
    kept.add(records(here, 1))
    path.write_text("mine", "utf-8")
    assert kept.complete() == (str(path), 0, "there is such a file by now")
    assert path.read_text("utf-8") == "mine"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_gone_is_said(tmp_path: Path) -> None:
    here = connected()
    kept = Undelivered(tmp_path / "gone" / "left", here)
    kept.add(records(here, 1))
    assert kept.complete().error == "No such file or directory"


def test_a_full_disk_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = connected()
    kept = Undelivered(tmp_path / "left", here)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module._Spool, "add", full)
    kept.add(records(here, 1))
    kept.add(records(here, 1))
    assert kept.complete() == (str(tmp_path / "left"), 0, "No space left on device")
    assert not list(tmp_path.iterdir())


def test_what_no_line_can_hold_is_not_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = connected()
    kept = Undelivered(tmp_path / "left", here)
    few = records(here, 1)
    too_big = replace(few[0].target, params={**few[0].target.params, "more": 10**30})
    kept.add([few[0]._replace(target=too_big), few[1]])
    monkeypatch.setattr(module, "MAX_EVENT_BYTES", 10)
    kept.add([few[2]])
    assert kept.complete().records == 1
    assert by_lane(read(tmp_path / "left", here)) == by_lane([few[1]])


# What cannot be begun.


def refuse(request: Request) -> Response:
    return Response(401, {}, None)


def send(here: Connection, path: Path, **options: Any) -> Any:
    events = [{"audience": "a1", "in": ["ann@example.com"]}]
    return connector.send(
        here, events, transport=refuse, clock=FakeClock(), undelivered=path, **options
    )


def test_a_file_that_is_there_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "left"
    path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match=r"C013 .*left: exists already; name another file"):
        send(connected(), path)


WRONG = {
    "no/left": "cannot be written: there is no such folder; create the folder first",
    "left.zst": "cannot be packed with zstd; let the name end in .gz, or in neither",
    "report": "is the report; name another file",
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_written_is_known_at_the_start(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError) as refused:
        send(connected(), tmp_path / name, report=tmp_path / "report")
    assert str(refused.value) == f"C013 {tmp_path / name}: {WRONG[name]}"
    assert not list(tmp_path.iterdir())


def test_a_state_keeps_what_is_left_itself(tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson"
    path.write_text('{"audience": "a1", "in": ["ann@example.com"]}\n', "utf-8")
    with pytest.raises(ConfigError, match=r"C012 .*left: with a state, what is left undelivered"):
        connector.send(
            connected(), path, transport=refuse, state=tmp_path / "state", undelivered="left"
        )
    # of what cannot be read again, a state keeps nothing
    report = send(connected(), tmp_path / "left", state=tmp_path / "state")
    assert report.undelivered_file.records == 1


def test_an_input_that_fails_leaves_the_file(tmp_path: Path) -> None:
    def events() -> Iterator[dict[str, Any]]:
        yield {"audience": "a1", "in": ["ann@example.com"]}
        raise ValueError("the iterator of the caller")

    with pytest.raises(ValueError, match="the caller"):
        connector.send(
            connected(),
            slow(events()),
            transport=refuse,
            clock=FakeClock(),
            undelivered=tmp_path / "left",
        )
    assert len(read(tmp_path / "left", connected())) == 1


def slow(events: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield enough events before the failure for a chunk of their own."""
    first = next(events)
    yield first
    yield from [{"audience": "a1"}] * 999
    yield from events


def test_what_became_no_record_is_not_in_it(tmp_path: Path) -> None:
    account = Account()
    account.answer = lambda request: Response(403, {}, None)
    routes = [to({"value": "1nmth"}), to({"audience": {"create": "All"}}, name="named")]
    here = connector.make_connection(document(*routes))
    report = connector.send(
        here,
        [event("ann")],
        transport=account,
        clock=FakeClock(),
        retries=0,
        undelivered=tmp_path / "left",
    )
    assert report.counts.undelivered == 2
    assert report.undelivered_file is not None
    assert report.undelivered_file.records == 1
