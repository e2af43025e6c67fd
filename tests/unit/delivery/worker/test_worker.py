"""The worker: what an outbox holds is delivered, and what becomes of it is in the outbox."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import pytest

from connector.definitions.model import RetrySchedule
from connector.delivery.outbox.model import Post
from connector.delivery.worker.terms import Terms
from connector.errors import HaltedError, SendError
from connector.model import Request, Response
from tests.kit.delivering import (
    BAD,
    Deliveries,
    MemoryVendor,
    event,
    made,
    unauthorized,
    wait_until,
    written_of,
)
from tests.kit.outbox import SqliteWorld


def test_a_full_batch_goes_at_once_and_the_rest_waits() -> None:
    vendor = MemoryVendor()
    with Deliveries(vendor) as delivering:
        delivering.accept(*[event(f"p{number}") for number in range(25)])
        wait_until(lambda: delivering.pending() == 5)
        assert vendor.people == {"aaa": {f"p{number}" for number in range(20)}}
        delivering.drain()
    assert len(vendor.people["aaa"]) == 25
    assert [len(request.body) > 0 for request in vendor.requests] == [True] * 3


def test_what_is_old_goes_when_nothing_arrives() -> None:
    vendor = MemoryVendor()
    with Deliveries(vendor, {"c": made(age="1s")}) as delivering:
        accepted = time.monotonic()
        delivering.accept(event("one"))
        wait_until(lambda: not delivering.pending())
        assert time.monotonic() - accepted >= 0.9
    assert vendor.people == {"aaa": {"one"}}


def test_each_record_ends_once() -> None:
    vendor = MemoryVendor()
    with Deliveries(vendor) as delivering:
        delivering.accept(
            *(event("a"), event("b"), event(f"{BAD}1"), event("a", remove=True)),
            *(event("c", "bbb"), event("c", "bbb"), event("d", "bbb")),
        )
        delivering.drain()
        assert vendor.people == {"aaa": {"b"}, "bbb": {"c", "d"}}
        counts = delivering.counts()
        assert delivering.dead() == [("operation_refused", "add", 3)]
        assert {
            name: counts[name] for name in ("records", "delivered", "superseded", "buried")
        } == {
            "records": 7,
            "delivered": 4,
            "superseded": 2,
            "buried": 1,
        }
        assert delivering.told.words.count("refused") == 3
    assert delivering.told.buryings == [("c", "aaa", "operation_refused", 1)]


def test_a_lane_that_stops_keeps_its_records_and_is_tried_again() -> None:
    def answer(request: Request) -> Response | None:
        return Response(403, {}, {}) if "/bbb/" in request.url and is_closed else None

    is_closed = True
    vendor = MemoryVendor(answer)
    with Deliveries(vendor) as delivering:
        delivering.accept(event("a"), event("b", "bbb"))
        delivering.worker.flush(["c"])
        wait_until(lambda: delivering.told.stops)
        wait_until(lambda: delivering.pending() == 1)
        [(_, lane, code, seconds)] = delivering.told.stops
        assert (lane, seconds) == ("bbb", 60.0)
        [status] = delivering.outbox.status().connections["c"].lanes
        assert status.stopped is not None
        assert (status.stopped.code, status.pending, status.worker) == (code, 1, None)

        # what comes for others goes on
        delivering.accept(event("c"), event("d", "bbb"))
        delivering.worker.flush(["c"])
        wait_until(lambda: delivering.pending() == 2)
        assert vendor.people == {"aaa": {"a", "c"}}
        assert delivering.told.resumptions == []
        # sooner than in a minute
        is_closed = False
        with delivering.outbox._writer_lock:
            delivering.outbox._writer.execute("UPDATE lane SET probe_at = 0 WHERE stops > 0")
        wait_until(lambda: not delivering.pending())
        delivering.accept(event("e", "bbb"))
        delivering.drain()
    assert vendor.people == {"aaa": {"a", "c"}, "bbb": {"b", "d", "e"}}
    assert delivering.told.resumptions == [("c", "bbb")]


def test_why_a_request_is_sent_again_is_told() -> None:
    def answer(request: Request) -> Response | None:
        if "/bbb/" in request.url and len(delivering.told.retries) < 1:
            raise SendError("cannot connect")
        return None

    vendor = MemoryVendor(answer)
    with Deliveries(vendor) as delivering:
        delivering.accept(event("a"), event("b", "bbb"))
        delivering.drain()
    assert delivering.told.retries == [("c", "bbb", "cannot connect")]
    assert delivering.told.stops == []
    assert vendor.people == {"aaa": {"a"}, "bbb": {"b"}}


def test_credentials_that_are_refused_stop_all_of_a_connection() -> None:
    vendor = MemoryVendor(unauthorized)
    good = MemoryVendor()
    connections = {"c": made(), "d": made()}
    with Deliveries(vendor, connections) as delivering:
        delivering.channels["d"]._open_sender = good.open
        delivering.accept(event("a"), event("b", "bbb"), event("c", "ccc"))
        delivering.worker.flush(["c", "d"])
        wait_until(lambda: len(delivering.told.stops) == 3)
        wait_until(lambda: delivering.pending() == 3)
        assert {stop[2] for stop in delivering.told.stops} == {"unauthorized"}
        # few requests found out, and a lane that is new finds out without one
        asked = len(vendor.requests)
        assert asked <= 3
        delivering.accept(event("d", "ddd"))
        wait_until(lambda: len(delivering.told.stops) == 4)
        assert len(vendor.requests) == asked
        assert delivering.told.stops[-1][3] <= 60.0
        lanes = delivering.outbox.status().connections["c"].lanes
        assert [lane.stopped is not None for lane in lanes] == [True] * 4

        # the credentials are read again
        vendor.answer = lambda request: None
        delivering.channels["c"]._refused_until = 0.0
        with delivering.outbox._writer_lock:
            delivering.outbox._writer.execute("UPDATE lane SET probe_at = 0 WHERE stops > 0")
        delivering.drain()
        assert vendor.opened == 2
    assert dict(vendor.people) == dict(good.people)


def test_an_account_that_is_refused_stops_all_of_a_connection_and_no_other_403_does() -> None:
    def answer(request: Request) -> Response | None:
        code = codes.get(request.url.split("/")[-2])
        return Response(403, {}, {"errors": [{"code": code}]}) if code else None

    codes = {"aaa": "UNAUTHORIZED_CLIENT_APPLICATION"}
    vendor = MemoryVendor(answer)
    with Deliveries(vendor) as delivering:
        delivering.accept(event("a"), event("b", "bbb"))
        delivering.worker.flush(["c"])
        wait_until(lambda: delivering.told.stops and delivering.pending() == 1)
        assert vendor.people == {"bbb": {"b"}}

        codes["bbb"] = "ACCOUNT_LOCKED_OUT"
        delivering.accept(event("c", "bbb"))
        delivering.worker.flush(["c"])
        wait_until(lambda: len(delivering.told.stops) == 2)
        # a lane that is new finds out without a request
        asked = len(vendor.requests)
        delivering.accept(event("d", "ddd"))
        wait_until(lambda: len(delivering.told.stops) == 3)
        assert len(vendor.requests) == asked == 3
        assert [stop[2] for stop in delivering.told.stops] == ["forbidden"] * 3
        # nor does one that is about to send
        with pytest.raises(HaltedError) as halted:
            delivering.channels["c"].send(vendor.requests[0])
        assert halted.value.code == "forbidden"

        # the account is open again
        codes.clear()
        delivering.channels["c"]._refused_until = 0.0
        with delivering.outbox._writer_lock:
            delivering.outbox._writer.execute("UPDATE lane SET probe_at = 0 WHERE stops > 0")
        delivering.drain()
    assert vendor.people == {"aaa": {"a"}, "bbb": {"b", "c"}, "ddd": {"d"}}


def test_what_must_not_arrive_twice_becomes_dead_letters_without_an_answer() -> None:
    def lose(request: Request) -> Response | None:
        if lost or b'"p0"' not in request.body:
            return None
        lost.append(request)
        raise SendError("timed out")

    lost: list[Request] = []
    vendor = MemoryVendor(lose)
    once = made()
    retry = RetrySchedule(unanswered="stop")
    once = replace(once, destination=replace(once.destination, retry=retry))
    with Deliveries(vendor, {"c": once}) as delivering:
        delivering.accept(*[event(f"p{number}") for number in range(25)])
        wait_until(lambda: delivering.told.stops)
        wait_until(lambda: delivering.pending() == 15)
        [(_, _, code, _)] = delivering.told.stops
        assert code == "unanswered"
        assert delivering.dead() == [("unanswered", "add", 1)] * 10
        # it is tried again, and the others are delivered
        with delivering.outbox._writer_lock:
            delivering.outbox._writer.execute("UPDATE lane SET probe_at = 0 WHERE stops > 0")
        delivering.drain()
        assert vendor.people == {"aaa": {f"p{number}" for number in range(10, 25)}}
        # somebody decides that they were not
        assert delivering.outbox.retry().retried == 10
        delivering.drain()
    assert len(vendor.people["aaa"]) == 25


def test_what_others_accepted_is_delivered_in_its_place() -> None:
    vendor = MemoryVendor()
    with Deliveries(vendor) as delivering:
        delivering.accept(event("first"))
        delivering.drain()
        for number in range(30):
            person = str(number)
            delivering.accept(event(person), is_offered=False)
            delivering.accept(event(person, remove=True), is_offered=number % 3 == 0)
            delivering.accept(event(f"{number}-stays"), event(person, remove=True))
        delivering.drain()
    assert vendor.people["aaa"] == {"first", *(f"{number}-stays" for number in range(30))}


def test_what_the_memory_cannot_hold_is_read_when_it_is_its_turn() -> None:
    vendor = MemoryVendor()
    with Deliveries(vendor, terms=Terms(lease=30.0, timeout=1.0, records=25)) as delivering:
        with delivering.worker._changed:  # it does not look meanwhile
            for start in range(0, 400, 20):
                people = [
                    event(str(number), "ab"[number % 2]) for number in range(start, start + 20)
                ]
                delivering.accept(*people)
                delivering.accept(
                    *(event(one["partner"], one["audience"], remove=True) for one in people[:5])
                )
        delivering.drain()
    kept = [number for number in range(400) if number % 20 >= 5]
    assert vendor.people == {
        "a": {str(number) for number in kept if number % 2 == 0},
        "b": {str(number) for number in kept if number % 2},
    }


def test_what_a_stop_kept_for_too_long_becomes_a_dead_letter() -> None:
    vendor = MemoryVendor(unauthorized)
    terms = Terms(lease=30.0, timeout=1.0, deadline=0.5)
    with Deliveries(vendor, terms=terms) as delivering:
        delivering.accept(event("late"), event("later"))
        delivering.worker.flush(["c"])
        wait_until(lambda: delivering.told.stops)
        assert not delivering.dead()
        time.sleep(0.5)
        vendor.answer = lambda request: None
        delivering.channels["c"]._refused_until = 0.0
        with delivering.outbox._writer_lock:
            delivering.outbox._writer.execute("UPDATE lane SET probe_at = 0 WHERE stops > 0")
        delivering.accept(event("in time"))
        delivering.drain()
        assert [code for code, _, _ in delivering.dead()] == ["deadline", "deadline"]
        [reason] = {letter.reason for letter in delivering.outbox.dead_letters()}
        assert reason == "it could not be delivered before its --deadline; the lane was stopped"
    assert vendor.people == {"aaa": {"in time"}}
    assert delivering.told.buryings == [("c", "aaa", "deadline", 2)]


def test_other_definition_files_cannot_send_it() -> None:
    vendor = MemoryVendor()
    with Deliveries(vendor) as delivering:
        [(good, _)] = written_of({"c": made()}, [event("a"), event("b")])
        other = good.payload.replace(b'"definition":"', b'"definition":"0', 1)
        strange = good.payload.replace(b'"route":"in"', b'"route":"no"', 1)
        bundles = [good._replace(payload=payload) for payload in (other, strange, good.payload)]
        delivering.outbox.accept([Post(bundles)])
        delivering.drain()
        other_definition = ("other_definition", "add", 0)
        other_connection = ("other_connection", "add", 0)
        assert delivering.dead() == [other_definition] * 2 + [other_connection] * 2
    assert vendor.people == {"aaa": {"a", "b"}}


def test_who_does_not_hold_a_lane_for_long_enough_sends_nothing() -> None:
    vendor = MemoryVendor()
    # an attempt may take as long as the lease
    with Deliveries(vendor, terms=Terms(lease=2.0, timeout=2.0)) as delivering:
        delivering.accept(event("a"))
        delivering.worker.flush(["c"])
        time.sleep(0.3)
        assert delivering.pending() == 1
    assert not vendor.requests


def test_a_lane_that_another_worker_took_is_settled_by_that_one() -> None:
    world = SqliteWorld()
    try:
        asked, answered = threading.Event(), threading.Event()

        def slow(request: Request) -> Response | None:
            asked.set()
            assert answered.wait(5)
            return None

        first, second = MemoryVendor(slow), MemoryVendor()
        outbox = world.open()
        with Deliveries(first, outbox=outbox) as delivering:
            delivering.accept(event("a"))
            delivering.worker.flush(["c"])
            assert asked.wait(5)
            world.pass_time(40.0)  # as if this process had been frozen
            with Deliveries(second, outbox=outbox, name="v") as other:
                wait_until(lambda: second.people == {"aaa": {"a"}})
                wait_until(lambda: not other.pending())
                answered.set()
                time.sleep(0.1)
                counts = other.counts()
                assert (counts["delivered"], other.dead()) == (1, [])
    finally:
        world.close()


def test_what_is_on_its_way_is_settled_before_the_end() -> None:
    asked = threading.Event()

    def slow(request: Request) -> Response | None:
        asked.set()
        time.sleep(0.3)
        return None

    vendor = MemoryVendor(slow)
    world = SqliteWorld()
    try:
        outbox = world.open()
        with Deliveries(vendor, outbox=outbox) as delivering:
            delivering.accept(*[event(f"p{number}") for number in range(15)])
            assert asked.wait(5)
        status = outbox.status().connections["c"]
        assert (status.pending, status.counts["delivered"]) == (5, 10)
        assert [lane.worker for lane in status.lanes] == [None]
    finally:
        world.close()


def test_records_that_wait_do_not_fill_the_memory() -> None:
    vendor = MemoryVendor()
    terms = Terms(lease=30.0, timeout=1.0, records=12)
    with Deliveries(vendor, terms=terms) as delivering:
        lanes = [f"l{number}" for number in range(6)]
        delivering.accept(*[event(f"p{n}", lane) for lane in lanes for n in range(8)])
        wait_until(lambda: delivering.pending() <= 12)
    assert all(len(request.body) < 2_000 for request in vendor.requests)


def test_a_retried_letter_of_a_held_lane_is_sent() -> None:
    vendor = MemoryVendor()
    with Deliveries(vendor) as delivering:
        delivering.accept(event(f"{BAD}1"), event("a"))
        delivering.drain()
        [(_, _, attempts)] = delivering.dead()
        assert delivering.outbox.retry().retried == 1
        delivering.drain()
        assert delivering.dead() == [("operation_refused", "add", attempts + 1)]
