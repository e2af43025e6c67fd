"""Audiences by name in routes: found or created once for a run, remembered, and what becomes of records without one."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

import connector
from connector.errors import ConfigError, UnreachableError
from connector.model import Request, Response
from tests.kit.accounts import LISTS, Account, document, event, opt_out, refusal, to
from tests.kit.clock import NOW, FakeClock

LOYAL = {"audience": "Loyal customers"}
CREATED = {"audience": {"create": "Loyal customers"}}
BY_SLUG = {"audience": {"create": "Lytics {{ event.slug }}"}}
DATED = {"audience": {"create": "Lytics {{ event.slug }} {{ now | format('%Y%m%d_%H%M%S') }}"}}
DAY = 86_400


@pytest.fixture
def account() -> Account:
    return Account()


def refused(do: Callable[[], Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        do()
    return str(caught.value)


def outcomes(report: connector.Report) -> list[tuple[str | None, str, str]]:
    return [(one.event, one.outcome, one.code) for one in report.failures]


# --- a name that is there ---


def test_an_audience_that_is_there_is_looked_up_once(account: Account) -> None:
    own = account.create("Loyal customers")
    account.create("Loyal customers 2")
    events = [event("ann"), event("bob"), event("ann", other=True)]
    routes = [to(LOYAL, "not event.other"), to(LOYAL, "event.other", "other")]
    report = account.send(routes, events)
    assert (report.counts.records, report.counts.rejected, report.counts.undelivered) == (3, 0, 0)
    assert account.people(own) == {"ann", "bob"}
    assert account.calls() == ["GET /custom_audiences?q=Loyal customers&count=1000"]


def test_an_audience_that_is_not_there_is_an_error_before_anything_is_sent(
    account: Account,
) -> None:
    for name in ("Loyal customer", "Former customers"):
        account.create(name)
    routes = [to({"value": "1nmth"}), to(LOYAL, name="other"), to({"audience": "x"}, name="third")]
    error = refused(lambda: account.send(routes, [event("ann")]))
    first, second = error.splitlines()
    assert first == (
        "C244 connection#/routes/1/map/custom_audience_id/audience: there is no custom audience "
        "'Loyal customers' in this account; known: Former customers, Loyal customer; did you mean "
        "'Loyal customer'?; create it with 'connector audiences create connection --name "
        '"Loyal customers"\', or write {create: NAME}, which creates what is missing'
    )
    assert "/routes/2/" in second
    assert {request.method for request in account.sent} == {"GET"}


def test_of_many_names_the_nearest_are_shown(account: Account) -> None:
    for number in range(30):
        account.create(f"Audience {number}")
    account.create("Loyal customer")
    error = refused(lambda: account.send([to(LOYAL)], [event("ann")]))
    assert "did you mean 'Loyal customer'?" in error
    assert error.count("Audience ") == 19


def answers_403(account: Account) -> None:
    account.answer = lambda request: refusal(403, "FORBIDDEN")


def answers_401(account: Account) -> None:
    account.answer = lambda request: refusal(401, "UNAUTHORIZED_ACCESS")


def does_not_answer(account: Account) -> None:
    def answer(request: Request) -> Response:
        raise UnreachableError("cannot connect")

    account.answer = answer


@pytest.mark.parametrize("entry", [LOYAL, CREATED])
@pytest.mark.parametrize(
    ("fails", "code", "says", "asks"),
    [
        (answers_401, "unauthorized", "X refused the credentials; check consumer key", 1),
        (does_not_answer, "gave_up", "cannot connect", 11),
        (answers_403, "forbidden", "X does not allow this app or user to do this; check", 2),
    ],
)
def test_what_the_vendor_does_not_tell_keeps_its_own_records(
    account: Account,
    entry: dict[str, Any],
    fails: Callable[[Account], None],
    code: str,
    says: str,
    asks: int,
) -> None:
    """As when the vendor cannot be reached in the middle of a run; each of two names is told."""
    fails(account)
    other = {"audience": {"create": "Others"}}
    routes = [to(entry, "event.slug is undefined"), to(other, "event.slug is defined", "other")]
    clock = FakeClock()
    report = account.send(routes, [event("ann"), event("bob", slug="x")], clock=clock)
    assert outcomes(report) == [("0", "undelivered", code), ("1", "undelivered", code)]
    for failure in report.failures:
        assert failure.reason.startswith(f"its audience is not known: {says}")
    assert (report.counts.delivered, report.counts.requests) == (0, 0)
    # one that does not answer is not waited for twice
    assert len(account.sent) == asks


def test_what_needs_no_name_is_delivered_all_the_same(account: Account) -> None:
    account.answer = lambda request: refusal(403, "FORBIDDEN") if "?" in request.url else None
    routes = [to(LOYAL, "event.loyal"), to({"value": "1nmth"}, "not event.loyal", "other")]
    report = account.send(routes, [event("ann", loyal=True), event("bob")])
    assert outcomes(report) == [("0", "undelivered", "forbidden")]
    assert account.people("1nmth") == {"bob"}


def test_a_name_of_an_event_tells_how_to_sign_in_again(account: Account) -> None:
    """What a reason recommends is kept, apart from another name: the event has a part in it."""
    account.answer = lambda request: refusal(401, "UNAUTHORIZED_ACCESS")
    report = account.send([to(BY_SLUG)], [event("ann", slug="vip")])
    [failure] = report.failures
    assert "; check consumer key" in failure.reason
    assert "vip" not in failure.reason


# --- a name that is created ---


def test_an_audience_is_created_once_and_found_at_the_next_run(account: Account) -> None:
    for who in ("ann", "bob"):
        report = account.send([to(CREATED)], [event(who), event("cy")])
        assert report.counts.delivered == 2
    assert account.people(account.names()["Loyal customers"]) == {"ann", "bob", "cy"}
    assert account.calls("POST") == ["POST /custom_audiences?name=Loyal customers"]


def test_nothing_is_created_before_somebody_is_to_be_in_it(account: Account) -> None:
    routes = [to(CREATED, "event.x"), to(BY_SLUG, "event.slug is defined", "slug")]
    early = event("ann", slug="vip")
    early["expires"] = "yesterday"
    routes[1]["map"]["expires_at"] = {"from": "expires"}
    report = account.send(routes, [event("ann"), early])
    assert (report.counts.skipped, report.counts.rejected) == (1, 1)
    assert not account.names()


NOBODY: list[dict[str, Any]] = [
    {"slug": "vip"},
    {"slug": "vip", "email": "no address"},
    {"slug": "vip", "email": "k.A."},
]


def test_nothing_is_created_for_nobody(account: Account) -> None:
    """Whom nothing identifies is no record, and what is counted of them is counted once."""
    report = account.send([to(BY_SLUG), to(CREATED, name="all")], NOBODY)
    assert [one.code for one in report.failures if one.outcome == "rejected"] == [
        "no_identifier"
    ] * 6
    assert report.dropped == {("email", "not_of_the_form"): 2, ("email", "placeholder"): 2}
    found = {one.route: (one.of, one.found) for one in report.fill if one.parameter == "email"}
    assert found == {"in": (3, 2), "all": (3, 2)}
    assert not account.calls("POST")
    assert report.audiences == ()


def test_the_first_record_creates_it_whoever_comes_before(account: Account) -> None:
    events = [*NOBODY, event("ann", slug="vip"), *NOBODY, event("bob", slug="vip")]
    report = account.send([to(BY_SLUG), to(CREATED, name="all")], events)
    assert (report.counts.delivered, report.counts.rejected) == (4, 12)
    names = account.names()
    for name in ("Lytics vip", "Loyal customers"):
        assert account.people(names[name]) == {"ann", "bob"}
    assert len(account.calls("POST")) == 2


def test_do_not_reach_is_not_created_for_nobody(account: Account) -> None:
    report = account.send([opt_out(also={"do_not_reach": True})], NOBODY)
    assert report.counts.rejected == 3
    assert not account.calls("POST")


@pytest.mark.parametrize("limit", [None, 3])
def test_a_run_creates_so_many_and_loses_nobody(account: Account, limit: int | None) -> None:
    entry = {"create": "Lytics {{ event.slug }}", **({"limit": limit} if limit else {})}
    allowed = limit or 10
    last = account.create("Lytics last")
    slugs = [*(f"s{number}" for number in range(allowed + 2)), "last", "s0", "s99"]
    events = [event("ann", slug=slug) for slug in slugs]
    events[-2] = event("bob", slug="s0")
    report = account.send([to({"audience": entry})], events)
    assert len(account.calls("POST")) == allowed
    assert report.counts.delivered == allowed + 2
    assert {(one.outcome, one.code) for one in report.failures} == {
        ("undelivered", "too_many_audiences")
    }
    assert report.failures[0].reason == (
        f"this run has created {allowed} audiences of such names, as many as it may; if each is "
        "meant, set 'limit' beside 'create' in the route, and send these events again"
    )
    assert account.people(last)
    # what is there is looked for in one list, however many names there are
    assert len(account.calls("GET")) == allowed + 1

    again = [events[int(one.event or "")] for one in report.failures]
    report = account.send([to({"audience": entry})], again)
    assert report.complete


def test_the_limit_is_for_names_of_events(account: Account) -> None:
    routes = [
        to({"audience": {"create": f"Loyal {number}"}}, name=f"r{number}") for number in range(12)
    ]
    assert account.send(routes, [event("ann")]).complete
    assert len(account.calls("POST")) == 12


def used(report: connector.Report) -> list[tuple[str, str | None, str | None]]:
    return [(one.status, one.name, one.gone) for one in report.audiences]


def test_a_report_has_the_audiences_that_were_found_and_created(
    account: Account, tmp_path: Path
) -> None:
    own = account.create("Loyal customers")
    routes = [to(LOYAL), to(BY_SLUG, name="slug"), opt_out("event.x", also={"do_not_reach": True})]
    events = [event("ann", slug="vip"), event("ann", slug="vip"), event("bob", slug="new", x="yes")]
    report = account.send(routes, events, state=tmp_path)
    assert used(report) == [
        ("found", "Loyal customers", None),
        ("created", "Lytics vip", None),
        ("created", "Lytics new", None),
        ("created", None, None),
    ]
    assert report.audiences[0].id == own
    assert [one.title for one in report.audiences[2:]] == ["custom audience", "Do Not Reach list"]
    names = account.names()
    assert [one.id for one in report.audiences[:3]] == list(names.values())

    gone = names["Lytics vip"]
    account.manager().delete(gone)
    account.manager().rename(own, "Loyal people")
    events = [event("ann", slug="new"), event("bob", slug="vip")]
    dated = to({"audience": {"create": "Lytics {{ event.slug }}"}}, name="slug")
    report = account.send([to(LOYAL), dated], events, state=tmp_path)
    # X keeps the name of an audience that was deleted
    assert [one.code for one in report.failures] == ["name_kept"]
    assert used(report) == [
        ("remembered", "Loyal customers", None),
        ("remembered", "Lytics new", None),
    ]


def test_what_is_created_anew_says_what_is_gone(account: Account, tmp_path: Path) -> None:
    first = account.send([to(DATED)], [event("ann", slug="vip")], state=tmp_path)
    [before] = first.audiences
    account.manager().delete(before.id)
    clock = FakeClock(now=NOW + DAY)
    report = account.send([to(DATED)], [event("ann", slug="vip")], clock=clock, state=tmp_path)
    assert used(report) == [("created", "Lytics vip 20260116_000000", before.id)]


def test_events_give_names_each_created_once(account: Account) -> None:
    account.create("Lytics old")
    slugs = ["vip", "old", "vip", "new", "old", "vip"]
    events = [
        event(who, slug=slug) for who, slug in zip(["ann", "bob", "cy"] * 2, slugs, strict=True)
    ]
    report = account.send([to(BY_SLUG)], events)
    assert report.counts.delivered + report.counts.superseded == 6
    created = [call.rpartition(" ")[2] for call in account.calls("POST")]
    assert created == ["vip", "new"]
    names = account.names()
    assert account.people(names["Lytics vip"]) == {"ann", "cy"}
    assert account.people(names["Lytics old"]) == {"bob"}
    assert account.people(names["Lytics new"]) == {"ann"}


def test_a_name_that_cannot_be_rejects_its_own_records(account: Account) -> None:
    slugs: list[Any] = ["a/b", "vip", "x" * 300, "", None, ["vip"], " ", "a\nb"]
    events = [event("ann", slug=slug) for slug in slugs]
    report = account.send([to(BY_SLUG)], events)
    invalid = ("rejected", "invalid_audience_name")
    absent = ("rejected", "invalid_parameter")
    expected = {
        "0": invalid,
        "2": invalid,
        "3": absent,
        "4": absent,
        "5": absent,
        "6": invalid,
        "7": invalid,
    }
    assert {one: (outcome, code) for one, outcome, code in outcomes(report)} == expected
    assert report.counts.delivered == 1
    assert list(account.names()) == ["Lytics vip"]
    for one in report.failures:
        assert "a/b" not in one.reason
        assert "xxx" not in one.reason


def test_what_is_not_created_keeps_its_own_records(account: Account) -> None:
    def answer(request: Request) -> Response | None:
        wanted = request.method == "POST" and "Lytics%20vip" in request.url
        return refusal(403, "UNAUTHORIZED_CLIENT_APPLICATION") if wanted else None

    account.answer = answer
    events = [event("ann", slug="vip"), event("bob", slug="new"), event("cy", slug="vip")]
    clock = FakeClock()
    report = account.send([to(BY_SLUG)], events, clock=clock)
    assert outcomes(report) == [
        ("0", "undelivered", "forbidden"),
        ("2", "undelivered", "forbidden"),
    ]
    counts = report.counts
    assert (counts.records, counts.delivered, counts.undelivered, counts.rejected) == (3, 1, 2, 0)
    assert len([call for call in account.calls("POST") if call.endswith("vip")]) == 1
    assert "vip" not in report.failures[0].reason


def test_a_deleted_audience_keeps_its_name_and_its_records_wait(account: Account) -> None:
    account.manager().delete(account.create("Lytics vip"))
    report = account.send([to(BY_SLUG)], [event("ann", slug="vip")])
    assert outcomes(report) == [("0", "undelivered", "name_kept")]
    assert "vip" not in report.failures[0].reason

    constant = {"audience": {"create": "Lytics vip"}}
    report = account.send([to(constant)], [event("ann")])
    # nothing of an event is in this name
    assert "'Lytics vip 2' is free" in report.failures[0].reason


def test_an_id_of_another_form_is_refused(account: Account) -> None:
    def change(request: Request, response: Response) -> Response:
        if "/users" in request.url or not response.body.get("data"):
            return response
        text = json.dumps(response.body).replace(account.names()["Lytics vip"], "NO/ID")
        return Response.parsed(response.status, response.headers, text.encode())

    account.create("Lytics vip")
    account.change = change
    report = account.send([to(BY_SLUG)], [event("ann", slug="vip")])
    assert outcomes(report) == [("0", "rejected", "invalid_parameter")]


def test_the_only_list_is_found_or_created(account: Account) -> None:
    route = {
        "name": "dnr",
        "action": "add_to_do_not_reach_list",
        "map": {"do_not_reach_list_id": {"audience": {"only": True}}, "email": {"from": "email"}},
    }
    for who in ("ann", "bob"):
        report = account.send([route], [event(who)])
        assert report.counts.delivered == 1
    assert account.unreached() == {"ann", "bob"}
    assert len(account.calls("POST")) == 1


# --- a name with the time, and what is remembered ---


def test_a_name_with_the_time_needs_a_folder(account: Account, tmp_path: Path) -> None:
    error = refused(lambda: account.send([to(DATED)], [event("ann", slug="vip")]))
    assert error == (
        "C243 connection#/routes/0/map/custom_audience_id/audience: a name with the time would be "
        "another audience at every run; give 'send' a folder that remembers it: --state DIR"
    )
    assert not account.sent


def test_a_name_with_the_time_is_remembered_without_it(account: Account, tmp_path: Path) -> None:
    state = tmp_path / "a" / "state"
    for day, who in enumerate(("ann", "bob")):
        events = [event(who, slug="vip"), event("cy", slug=f"day{day}"), event("dee", slug="vip")]
        clock = FakeClock(now=NOW + day * DAY)
        report = account.send([to(DATED)], events, clock=clock, state=state)
        assert report.counts.delivered == 3
    names = account.names()
    assert list(names) == [
        "Lytics vip 20260115_000000", "Lytics day0 20260115_000000", "Lytics day1 20260116_000000",
    ]  # fmt: skip
    assert account.people(names["Lytics vip 20260115_000000"]) == {"ann", "bob", "dee"}

    assert [path.name for path in state.iterdir()] == ["audiences.json"]
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert stat.S_IMODE((state / "audiences.json").stat().st_mode) == 0o600
    held = json.loads((state / "audiences.json").read_text("utf-8"))
    assert held["audiences"][0] == {
        "destination": "x_custom_audiences",
        "base_url": "https://ads-api.x.com",
        "settings": {"account_id": "18ce54d4x5t"},
        "parameter": "custom_audience_id",
        "key": "Lytics vip {{ now }}",
        "name": "Lytics vip 20260115_000000",
        "id": names["Lytics vip 20260115_000000"],
    }


def test_the_time_passes_within_a_run(account: Account, tmp_path: Path) -> None:
    clock = FakeClock()

    def answer(request: Request) -> None:
        clock.set(clock.now() + DAY)

    account.answer = answer
    # more than a chunk of events
    events = [event("ann", slug="vip")] * 25_000
    account.send([to(DATED)], events, clock=clock, state=tmp_path / "state")
    assert len(account.names()) == 1


def test_another_account_has_other_audiences(account: Account, tmp_path: Path) -> None:
    account.send([to(DATED)], [event("ann", slug="vip")], state=tmp_path)
    other = Account()
    clock = FakeClock(now=NOW + DAY)
    proxy = "https://proxy.example.com"
    made = other.sandbox
    other.sandbox = lambda request: made(  # type: ignore[assignment]
        Request(
            request.method,
            request.url.replace(proxy, "https://ads-api.x.com"),
            request.headers,
            request.body,
        )
    )
    report = other.send(
        [to(DATED)], [event("ann", slug="vip")], clock=clock, state=tmp_path, base_url=proxy
    )
    assert report.counts.delivered == 1
    other.sandbox = made
    assert list(other.names()) == ["Lytics vip 20260116_000000"]
    held = json.loads((tmp_path / "audiences.json").read_text("utf-8"))["audiences"]
    assert [one["base_url"] for one in held] == ["https://ads-api.x.com", proxy]


def test_a_remembered_audience_that_was_deleted_is_created_again(
    account: Account, tmp_path: Path
) -> None:
    for day in (0, 1):
        clock = FakeClock(now=NOW + day * DAY)
        account.send([to(DATED)], [event("ann", slug="vip")], clock=clock, state=tmp_path)
        account.manager().delete(next(iter(account.names().values())))
    assert list(account.names(deleted=True)) == [
        "Lytics vip 20260115_000000",
        "Lytics vip 20260116_000000",
    ]
    held = json.loads((tmp_path / "audiences.json").read_text("utf-8"))["audiences"]
    assert [one["name"] for one in held] == ["Lytics vip 20260116_000000"]


def test_what_to_do_when_a_remembered_audience_is_gone_and_its_name_is_kept(
    account: Account, tmp_path: Path
) -> None:
    fixed = to({"audience": {"create": "Fixed list"}}, name="fixed")
    own = account.create("Loyal customers")
    account.send([to(LOYAL)], [event("ann")], state=tmp_path)
    account.send([fixed], [event("ann")], state=tmp_path)
    for there in account.names().values():
        account.manager().delete(there)

    error = refused(lambda: account.send([to(LOYAL)], [event("ann")], state=tmp_path))
    assert (
        f"'Loyal customers' in this account any more: the remembered one, {own}, is gone" in error
    )
    assert error.endswith(
        "; if the name cannot be used again, write another one, and pass --restart if a run is "
        "unfinished"
    )
    [failure] = account.send([fixed], [event("ann")], state=tmp_path).failures
    assert failure.code == "name_kept"
    assert failure.reason.endswith(
        "choose another: 'Fixed list 2' is free; an unfinished run needs --restart after that"
    )


def test_a_remembered_audience_may_be_renamed(account: Account, tmp_path: Path) -> None:
    own = account.create("Loyal customers")
    account.send([to(LOYAL)], [event("ann")], state=tmp_path)
    account.manager().rename(own, "Loyal people")
    account.send([to(LOYAL)], [event("bob")], state=tmp_path)
    assert account.people(own) == {"ann", "bob"}


@pytest.mark.parametrize("content", ["", "[]", '{"version": 2, "audiences": []}', '{"version": 1}',
                                     '{"version": 1, "audiences": [{"id": "1"}]}', "{"])  # fmt: skip
def test_a_file_that_is_another_one_is_left_alone(
    account: Account, tmp_path: Path, content: str
) -> None:
    path = tmp_path / "audiences.json"
    path.write_text(content, "utf-8")
    path.chmod(0o600)
    error = refused(lambda: account.send([to(DATED)], [event("ann", slug="vip")], state=tmp_path))
    assert error.startswith(f"C247 {path}: is not what 'connector send --state' writes")
    made = connector.make_connection(document(to(DATED)))
    assert refused(lambda: connector.preview(made, [], state=tmp_path)) == error
    assert path.read_text("utf-8") == content
    assert not account.sent


def test_a_folder_that_is_a_file_is_an_error(account: Account, tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.write_text("", "utf-8")
    error = refused(lambda: account.send([to(CREATED)], [event("ann")], state=path))
    assert error == (f"C247 {path}: is no folder; name a folder: audiences.json is written into it")
    made = connector.make_connection(document(to(CREATED)))
    assert refused(lambda: connector.preview(made, [], state=path)) == error
    assert not account.sent


def test_a_folder_below_a_file_is_an_error(account: Account, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    state = tmp_path / "file" / "state"
    error = refused(lambda: account.send([to(CREATED)], [event("ann")], state=state))
    assert error.startswith(f"C247 {state}: cannot be used: ")
    assert not account.sent


def test_a_folder_that_is_there_keeps_its_rights_and_the_file_is_its_owners_alone(
    account: Account, tmp_path: Path
) -> None:
    tmp_path.chmod(0o755)
    path = tmp_path / "audiences.json"
    account.send([to(CREATED)], [event("ann")], state=tmp_path)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755
    assert stat.S_IMODE(path.stat().st_mode) == 0o600

    path.chmod(0o644)
    account.sent.clear()
    error = refused(lambda: account.send([to(CREATED)], [event("ann")], state=tmp_path))
    assert error == (
        f"C247 {path}: can be read or changed by others; take the rights away: chmod go= {path}"
    )
    assert not account.sent


def test_a_folder_that_cannot_be_written_to_is_an_error(
    account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # whoever runs the tests may be allowed to write anywhere
    monkeypatch.setattr("os.access", lambda path, mode: path != tmp_path)
    error = refused(lambda: account.send([to(CREATED)], [event("ann")], state=tmp_path))
    assert error == f"C247 {tmp_path}: cannot be written to"
    assert not account.sent


def test_what_cannot_be_remembered_keeps_its_records(account: Account, tmp_path: Path) -> None:
    state = tmp_path / "state"

    def answer(request: Request) -> None:
        if request.method == "POST" and request.url.startswith(f"https://ads-api.x.com{LISTS}?"):
            state.rename(tmp_path / "moved")

    account.answer = answer
    report = account.send([to(DATED)], [event("ann", slug="vip")], state=state)
    assert outcomes(report) == [("0", "undelivered", "audience_not_kept")]


# --- two runs at once ---


@pytest.mark.parametrize("kept", [False, True])
def test_runs_that_race_make_one_audience(account: Account, tmp_path: Path, kept: bool) -> None:
    """Without a folder the vendor decides; with one the folder does, also where the names differ."""
    runs = 6
    together = Barrier(runs)
    entry = DATED if kept else BY_SLUG
    options = {"state": tmp_path / "state"} if kept else {}

    def one(number: int) -> int:
        together.wait()
        clock = FakeClock(now=NOW + number)
        who = ("ann", "bob", "cy")[number % 3]
        report = account.send([to(entry)], [event(who, slug="vip")], clock=clock, **options)
        return report.counts.delivered

    with ThreadPoolExecutor(runs) as pool:
        assert list(pool.map(one, range(runs))) == [1] * runs
    [own] = account.names().values()
    assert account.people(own) == {"ann", "bob", "cy"}


# --- offline ---


def urls(*routes: dict[str, Any], events: list[dict[str, Any]], **options: Any) -> list[str]:
    made = connector.make_connection(document(*routes))
    previewed = connector.preview(made, events, clock=FakeClock(), **options)
    return [
        one.url.removeprefix("https://ads-api.x.com" + LISTS.rpartition("/")[0])
        for one in previewed
    ]


def test_a_preview_shows_names_in_the_place_of_ids(account: Account, tmp_path: Path) -> None:
    routes = [
        to(LOYAL, "event.slug is undefined"),
        to({"audience": {"create": "50 percent {{ event.slug }}!"}}, "event.slug is defined", "b"),
        to(DATED, "event.slug is defined", "c"),
    ]
    events = [event("ann"), event("ann", slug="vip")]
    assert urls(*routes, events=events) == [
        "/custom_audiences/<audience:Loyal customers>/users",
        "/custom_audiences/<audience:50 percent vip!>/users",
        "/custom_audiences/<audience:Lytics vip 20260115_000000>/users",
    ]

    account.create("Loyal customers")
    account.send([to(LOYAL), to(DATED, name="c")], [event("ann", slug="vip")], state=tmp_path)
    names = account.names()
    assert urls(*routes, events=events, state=tmp_path) == [
        f"/custom_audiences/{names['Loyal customers']}/users",
        "/custom_audiences/<audience:50 percent vip!>/users",
        f"/custom_audiences/{names['Lytics vip 20260115_000000']}/users",
    ]
    assert urls(*routes, events=events, state=tmp_path / "none")[0].startswith(
        "/custom_audiences/<"
    )


def test_a_preview_rejects_names_that_cannot_be(account: Account) -> None:
    made = connector.make_connection(document(to(BY_SLUG)))
    previewed = connector.preview(made, [event("ann", slug="a/b"), event("ann")])
    assert not list(previewed)
    assert [one.code for one in previewed.failures] == [
        "invalid_audience_name",
        "invalid_parameter",
    ]


# --- check ---


def test_check_looks_for_names(account: Account) -> None:
    account.create("Loyal customers")
    only = {
        "name": "only",
        "action": "add_to_do_not_reach_list",
        "map": {"do_not_reach_list_id": {"audience": {"only": True}}, "email": {"from": "email"}},
    }
    routes = [
        to(LOYAL, name="a"),
        to(LOYAL, name="b"),
        to({"audience": "Former customers"}, name="c"),
        to({"audience": {"create": "Spring list"}}, name="d"),
        to(DATED, name="e"),
        to({"audience": {"create": "{{ now | format('%Y') }}"}}, name="f"),
        only,
    ]
    made = connector.make_connection(document(*routes))
    found = list(connector.check(made, transport=account))
    shown = {one.name: f"{one.status}: {one.message}" for one in found if one.status != "skipped"}
    assert shown["custom audience 'Loyal customers'"].startswith("warning: 'Loyal customers', size")
    assert shown["custom audience 'Former customers'"] == (
        "error: does not exist in this account, or was deleted (routes: c)"
    )
    assert shown["custom audience 'Spring list'"] == "warning: is not there yet (routes: d)"
    assert shown["Do Not Reach list"] == "warning: is not there yet (routes: only)"
    skipped = [one.message for one in found if one.status == "skipped" and "route" in one.message]
    assert skipped == ["route 'e' names it by each event", "route 'f' names it by the time"]
    assert {request.method for request in account.sent} == {"GET"}


def checked(account: Account, *routes: dict[str, Any], **options: Any) -> dict[str, str]:
    made = connector.make_connection(document(*routes))
    account.sent.clear()
    found = list(connector.check(made, transport=account, **options))
    assert {request.method for request in account.sent} == {"GET"}
    named = [
        one for one in found if one.name not in ("settings", "credentials", "clock", "permissions")
    ]
    return {one.name: "; ".join([f"{one.status}: {one.message}", one.fix]) for one in named}


def test_check_finds_what_send_remembers(account: Account, tmp_path: Path) -> None:
    by_time = {"audience": {"create": "Day {{ now | format('%Y%m%d') }}"}}
    routes = [to(LOYAL), to(by_time, name="day")]
    own = account.create("Loyal customers")
    assert checked(account, *routes)["custom audience"] == (
        "skipped: route 'day' names it by the time; "
        "--state DIR has what 'send --state DIR' remembers"
    )
    label = "custom audience 'Day {{ now }}'"
    assert checked(account, *routes, state=tmp_path)[label] == (
        "warning: is not there yet (routes: day); the first person creates it"
    )

    account.send(routes, [event("ann")], state=tmp_path)
    account.manager().rename(own, "Loyal people")
    assert "does not exist" in checked(account, *routes)["custom audience 'Loyal customers'"]
    found = checked(account, *routes, state=tmp_path)
    assert found["custom audience 'Loyal customers'"].startswith("warning: 'Loyal people', ")
    assert found[label].startswith("warning: 'Day 20260115', ")

    day = account.names()["Day 20260115"]
    account.manager().delete(day)
    account.manager().delete(own)
    found = checked(account, *routes, state=tmp_path)
    assert found[label] == (
        f"warning: the remembered one, {day}, is gone (routes: day); "
        "the first person creates another"
    )
    (tmp_path / "audiences.json").write_text("{", "utf-8")
    assert "C247" in refused(lambda: checked(account, *routes, state=tmp_path))


def test_check_says_what_an_opt_out_would_change(account: Account) -> None:
    plain, also = opt_out(), opt_out(name="dnr", also={"do_not_reach": True})
    assert checked(account, plain, also) == {
        "opt-out 'gone'": (
            "warning: the account has no custom audience to take people out of; "
            "who opts out is skipped until it has one"
        ),
        "opt-out 'dnr'": (
            "ok: takes people out of 0 custom audiences; "
            "puts them on the Do Not Reach list, which the first person creates; "
        ),
    }
    own = account.create("Own")
    account.create("Other")
    listed = account.manager("do_not_reach_list_id").only()["id"]
    found = checked(account, to({"value": own}), to({"value": "1nmth"}, name="b"), also)
    assert found["opt-out 'dnr'"] == (
        "ok: takes people out of 3 custom audiences; "
        f"puts them on the Do Not Reach list, {listed}; "
    )

    def change(request: Request, response: Response) -> Response:
        for row in response.body["data"] if isinstance(response.body.get("data"), list) else []:
            row["permission_level"] = "READ_ONLY" if row["id"] == own else "READ_WRITE"
        return response

    account.change = change
    assert (
        checked(account, plain)["opt-out 'gone'"] == "ok: takes people out of 1 custom audience; "
    )

    account.answer = lambda request: (
        refusal(403, "FORBIDDEN") if "do_not_reach" in request.url else None
    )
    assert checked(account, also)["opt-out 'dnr'"].startswith("error: ")


def test_a_setting_that_calls_need_is_missed_before_anything_is_sent() -> None:
    route = {
        "action": "add_user",
        "map": {"custom_audience_id": BY_SLUG, "email": {"from": "email"}},
    }
    made = connector.make_connection({"destination": "meta_custom_audiences", "routes": [route]})
    sent: list[Request] = []

    def send(request: Request) -> Response:
        sent.append(request)
        raise AssertionError

    with pytest.raises(ConfigError, match=r"C202 .* missing setting 'ad_account_id'"):
        connector.send(made, [event("ann", slug="vip")], transport=send)
    assert not sent


def test_check_says_which_setting_looking_for_a_name_needs() -> None:
    mapped = {"custom_audience_id": LOYAL, "email": {"from": "email"}}
    route = {"action": "add_user", "map": mapped}
    made = connector.make_connection({"destination": "meta_custom_audiences", "routes": [route]})
    [found] = [
        one
        for one in connector.check(made, transport=lambda request: Response(200, {}, {}))
        if one.name.endswith("'Loyal customers'")
    ]
    assert found.status == "error"
    assert found.message.startswith("missing setting 'ad_account_id'")
