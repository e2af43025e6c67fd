"""Opt-out: a person leaves every audience, in the order of the events, and is counted once."""

from __future__ import annotations

import json
from typing import Any

import pytest

import connector
from connector.model import Request, Response
from tests.kit.accounts import Account, document, event, opt_out, refusal, to
from tests.kit.clock import FakeClock

IN = "event.out is undefined"
OUT = "event.out is defined"
BY_SLUG = {"audience": {"create": "Lytics {{ event.slug }}"}}
DNR = {"do_not_reach": True}


@pytest.fixture
def account() -> Account:
    return Account()


def put(account: Account, own: str, *people: str) -> None:
    """Put people into an audience, and forget the requests."""
    report = account.send([to({"value": own})], [event(who) for who in people])
    assert report.complete
    account.sent.clear()


def urls(account: Account) -> list[str]:
    """Return where people were sent to."""
    found = [request.url.partition("/18ce54d4x5t/")[2] for request in account.sent]
    return sorted(url.removesuffix("/users") for url in found if url.endswith("/users"))


def test_a_person_leaves_every_audience(account: Account) -> None:
    listed = account.create("Listed")
    put(account, listed, "ann", "bob")
    put(account, "1nmth", "ann", "bob")
    routes = [
        to({"value": "1nmth"}, IN),
        to(BY_SLUG, "event.slug is defined", "slug"),
        opt_out(OUT),
    ]
    events = [
        event("ann", slug="vip"),
        event("bob", slug="vip"),
        event("ann", out=1),
        event("cy", slug="new"),
    ]
    report = account.send(routes, events)
    assert report.complete
    # three audiences at the time of the opt-out; the events of a chunk are prepared together
    assert report.counts.records == 6 + 4

    names = account.names()
    assert account.people(listed) == {"bob"}
    assert account.people("1nmth") == {"bob", "cy"}
    assert account.people(names["Lytics vip"]) == {"bob"}
    assert account.people(names["Lytics new"]) == {"cy"}
    listings = [call for call in account.calls() if call.startswith("GET /custom_audiences?count")]
    assert len(listings) == 1


def test_what_the_account_may_not_change_is_left_out(account: Account) -> None:
    own = account.create("Own")
    foreign = account.create("Foreign")
    web = account.create("Web")

    def change(request: Request, response: Response) -> Response:
        body = response.body
        if isinstance(body.get("data"), list):
            for row in body["data"]:
                row["permission_level"] = "READ_ONLY" if row["id"] == foreign else "READ_WRITE"
                row["audience_type"] = "WEB" if row["id"] == web else "CRM"
        return Response(response.status, response.headers, body)

    account.change = change
    report = account.send([opt_out()], [event("ann")])
    assert report.complete
    assert urls(account) == [f"custom_audiences/{own}"]


def test_an_opt_out_before_its_routes_knows_the_names_of_earlier_events(account: Account) -> None:
    routes = [opt_out(OUT), to(BY_SLUG, "event.slug is defined")]
    events = [event("ann", slug="vip"), event("ann", out=1), event("bob", slug="vip")]
    assert account.send(routes, events).complete
    assert account.people(account.names()["Lytics vip"]) == {"bob"}


def test_a_name_of_another_chunk_is_known(account: Account) -> None:
    routes = [to(BY_SLUG, "event.slug is defined"), opt_out(OUT)]
    events = [event("ann", slug="vip"), *[event("bob", slug="vip")] * 25_000, event("ann", out=1)]
    assert account.send(routes, events).complete
    assert account.people(account.names()["Lytics vip"]) == {"bob"}


def test_who_comes_back_is_in_again(account: Account) -> None:
    routes = [to({"value": "1nmth"}, IN), opt_out(OUT)]
    events = [event("ann"), event("ann", out=1), event("bob"), event("ann"), event("bob", out=1)]
    assert account.send(routes, events).complete
    assert account.people("1nmth") == {"ann"}


def test_an_opt_out_may_put_people_on_do_not_reach(account: Account) -> None:
    put(account, account.create("Listed"), "ann")
    for who in ("ann", "bob"):
        report = account.send([opt_out(also=DNR)], [event(who)])
        assert report.complete
        assert report.counts.records == 2
    assert account.people(account.names()["Listed"]) == set()
    assert account.unreached() == {"ann", "bob"}
    assert len(account.calls("POST")) == 1


def test_do_not_reach_is_no_audience_that_people_leave(account: Account) -> None:
    account.manager("do_not_reach_list_id").only()
    report = account.send([opt_out(also=DNR)], [event("ann")])
    assert report.complete
    assert account.unreached() == {"ann"}


def test_do_not_reach_is_created_for_the_first_opt_out_only(account: Account) -> None:
    report = account.send([to({"value": "1nmth"}, IN), opt_out(OUT, also=DNR)], [event("ann")])
    assert report.complete
    assert not account.calls("POST")


def test_do_not_reach_that_cannot_be_had_keeps_its_own_records(account: Account) -> None:
    def answer(request: Request) -> Response | None:
        return refusal(403, "FORBIDDEN") if "do_not_reach_lists" in request.url else None

    account.answer = answer
    report = account.send(
        [to({"value": "1nmth"}, IN), opt_out(OUT, also=DNR)], [event("ann", out=1)]
    )
    assert report.counts.delivered == 1
    assert [(one.outcome, one.code, one.route) for one in report.failures] == [
        ("undelivered", "forbidden", "gone")
    ]


def test_a_list_that_cannot_be_read_keeps_the_opt_outs(account: Account) -> None:
    """Half an opt-out is none; whoever opts out is in the report once, and all others go on."""

    def answer(request: Request) -> Response | None:
        return refusal(403, "FORBIDDEN") if request.method == "GET" else None

    account.answer = answer
    routes = [to({"value": "1nmth"}, IN), opt_out(OUT, also=DNR)]
    events = [event("ann"), event("ann", out=1), event("bob", out=1), event("cy")]
    report = account.send(routes, events)
    counts = report.counts
    assert (counts.records, counts.delivered, counts.undelivered) == (4, 2, 2)
    assert account.people("1nmth") == {"ann", "cy"}
    assert urls(account) == ["custom_audiences/1nmth"]
    for number, failure in enumerate(report.failures, start=1):
        assert (failure.event, failure.route) == (str(number), "gone")
        assert (failure.outcome, failure.code) == ("undelivered", "forbidden")
        assert failure.reason.startswith("the account's audiences cannot be listed: X does not ")
    assert account.calls() == ["GET /custom_audiences?count=1000"]


def test_a_person_is_counted_once(account: Account) -> None:
    for name in ("A", "B", "C"):
        account.create(name)
    route = opt_out()
    route["map"]["handle"] = {"from": "handle"}
    events = [event("ann", handle="@@"), {"email": "no address"}, {"mail": "x"}, event("bob")]
    report = account.send([route], events)
    counts = report.counts
    assert (counts.records, counts.rejected, counts.delivered) == (3 + 1 + 1 + 3, 2, 6)
    assert dict(report.dropped) == {
        ("handle", "empty"): 1,
        ("email", "not_of_the_form"): 1,
    }
    assert sorted(one.outcome for one in report.failures) == ["dropped"] * 2 + ["rejected"] * 2
    found = {one.parameter: (one.of, one.found) for one in report.fill}
    assert found == {"event_id": (4, 4), "email": (4, 3), "handle": (4, 1)}


def test_a_condition_that_fails_rejects_once(account: Account) -> None:
    account.create("A")
    account.create("B")
    report = account.send(
        [opt_out("event.out")], [event("ann", out="perhaps"), event("ann", out="no")]
    )
    assert (report.counts.records, report.counts.rejected, report.counts.skipped) == (1, 1, 1)


def test_a_name_in_when_that_is_misspelt_is_doubted(account: Account) -> None:
    report = account.send([opt_out("event.optedout == 'x'")], [event("ann", opted_out="x")] * 3)
    assert report.counts.skipped == 3
    assert any("did you mean 'event.opted_out'?" in doubt for doubt in report.doubts)


def test_a_preview_shows_what_the_connection_names_and_says_so(account: Account) -> None:
    routes = [
        to({"value": "1nmth"}, IN),
        to({"audience": "Loyal customers"}, IN, "loyal"),
        to(BY_SLUG, "event.slug is defined", "slug"),
        opt_out(OUT, also=DNR),
    ]
    previewed = connector.preview(
        connector.make_connection(document(*routes)), [event("ann", out=1)]
    )
    found = [one.url.partition("/18ce54d4x5t/")[2] for one in previewed]
    assert found == [
        "custom_audiences/1nmth/users",
        "custom_audiences/<audience:Loyal customers>/users",
        "do_not_reach_lists/<audience:only>/users",
    ]
    taken = {one.parameter: (one.of, one.found) for one in previewed.fill if one.route == "gone"}
    assert taken == {"email": (1, 1)}
    [note] = previewed.notes
    assert note.startswith("route 'gone': the audiences that the connection names; 'send' also ")
    assert not connector.preview(account.connection, []).notes


def test_without_an_audience_people_are_skipped_with_a_line_for_each(account: Account) -> None:
    route = opt_out()
    route["map"]["handle"] = {"from": "handle"}
    events = [event("ann"), {"email": "no address"}, event("bob", handle="@@")]
    report = account.send([route], events)
    counts = report.counts
    assert (counts.events, counts.skipped, counts.records, counts.rejected) == (3, 2, 1, 1)
    assert [
        (one.event, one.outcome, one.code) for one in report.failures if one.parameter is None
    ] == [
        ("0", "skipped", "no_audience"),
        ("1", "rejected", "no_identifier"),
        ("2", "skipped", "no_audience"),
    ]
    [reason] = [words for outcome, _, words in report.reasons if outcome == "skipped"]
    assert reason == "the account has no audience to remove the person from"
    assert dict(report.dropped) == {("handle", "empty"): 1, ("email", "not_of_the_form"): 1}
    found = {one.parameter: (one.of, one.found) for one in report.fill}
    assert found == {"event_id": (3, 3), "email": (3, 3), "handle": (3, 1)}
    assert not report.complete
    assert account.send([opt_out()], [event("ann")]).complete
    assert not any(request.method == "POST" for request in account.sent)


def test_who_is_taken_elsewhere_is_not_skipped(account: Account) -> None:
    sealed = to({"audience": {"create": "Lytics {{ event.slug }}"}}, "event.slug is defined")
    report = account.send(
        [opt_out(OUT), sealed], [event("ann", out=1), event("bob", slug="a/b", out=1)]
    )
    assert (report.counts.skipped, report.counts.records, report.counts.rejected) == (1, 1, 1)
    assert [(one.event, one.outcome, one.route) for one in report.failures] == [
        ("0", "skipped", "gone"),
        ("1", "skipped", "gone"),
        ("1", "rejected", "in"),
    ]


def test_without_an_audience_do_not_reach_is_what_is_done(account: Account) -> None:
    report = account.send([opt_out(also=DNR)], [event("ann"), {"email": "no address"}])
    counts = report.counts
    assert (counts.skipped, counts.records, counts.delivered, counts.rejected) == (0, 2, 1, 1)
    found = {one.parameter: (one.of, one.found) for one in report.fill}
    assert found == {"event_id": (2, 2), "email": (2, 2)}
    assert account.unreached() == {"ann"}


def test_a_preview_without_a_named_audience_says_what_it_does_not_know(account: Account) -> None:
    made = connector.make_connection(document(opt_out()))
    previewed = connector.preview(made, [event("ann")])
    assert not list(previewed)
    [failure] = previewed.failures
    assert (failure.outcome, failure.code) == ("skipped", "no_audience")
    assert failure.reason == (
        "the connection names no audience to remove the person from; 'send' asks for the account's"
    )
    assert previewed.reasons == {("skipped", "no_audience", failure.reason): 1}


def test_many_audiences_are_not_prepared_at_once(account: Account) -> None:
    """Memory does not grow with the number of audiences times that of events."""
    routes = [to({"value": f"a{number}"}, IN, f"in{number}") for number in range(50)]
    made = connector.make_connection(document(*routes, opt_out(OUT)))
    events = [event("ann", out=1)] * 2_000
    from connector.model import Event
    from connector.pipeline.pipeline import Pipeline

    pipeline = Pipeline(made)
    parts = list(pipeline._parts_of([Event(n, one) for n, one in enumerate(events)], 0.0))
    assert max(map(len, parts)) <= 200
    assert sum(map(len, parts)) == 2_000


def test_a_json_body_with_an_audience_is_opted_out_too(account: Account) -> None:
    """Where the audience stands in the body, and not in the URL."""
    made = connector.make_connection(
        {
            "destination": "iterable_lists",
            "routes": [
                {
                    "name": "in",
                    "action": "add_person",
                    "when": IN,
                    "map": {"list_id": {"audience": "Loyal customers"}, "email": {"from": "email"}},
                },
                {
                    "name": "gone",
                    "action": "remove_person",
                    "when": OUT,
                    "opt_out": True,
                    "map": {"email": {"from": "email"}},
                },
            ],
        }
    )
    previewed = connector.preview(made, [event("ann"), event("bob", out=1)], clock=FakeClock())
    bodies: list[Any] = [json.loads(one.body) for one in previewed]
    assert [body["listId"] for body in bodies] == ["<audience:Loyal customers>"] * 2
