"""Audiences by name and opt-outs: whatever the events, the account ends as if they had come one by one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from connector.delivery.report import Counts
from tests.kit.accounts import PEOPLE, Account, event, opt_out, refusal, to
from tests.kit.records import tries

SLUGS = ("vip", "new", "a/b", None)
#: What an event does: adds somebody by a name, by an id, by a name for all, or opts somebody out.
KINDS = ("slug", "id", "name", "out")
ROUTES = {
    "slug": to({"audience": {"create": "Lytics {{ event.slug }}"}}, "event.kind == 'slug'", "slug"),
    "id": to({"value": "1nmth"}, "event.kind == 'id'", "id"),
    "name": to({"audience": {"create": "Everybody"}}, "event.kind == 'name'", "name"),
    "out": opt_out("event.kind == 'out'", "out", also={"do_not_reach": True}),
}
EVENTS = st.lists(
    st.tuples(st.sampled_from(KINDS), st.sampled_from(PEOPLE), st.sampled_from(SLUGS)), max_size=14
)


def expected(events: list[tuple[str, str, str | None]]) -> dict[str, set[str]]:
    """Return who is in each audience when the events are applied one by one."""
    held: dict[str, set[str]] = {}
    for kind, who, slug in events:
        if kind == "out":
            for people in held.values():
                people.discard(who)
        elif kind == "id":
            held.setdefault("1nmth", set()).add(who)
        elif kind == "name":
            held.setdefault("Everybody", set()).add(who)
        elif slug in ("vip", "new"):
            held.setdefault(f"Lytics {slug}", set()).add(who)
    return held


def made(events: list[tuple[str, str, str | None]]) -> list[dict[str, Any]]:
    return [event(who, kind=kind, **({"slug": slug} if slug else {})) for kind, who, slug in events]


def held_by(account: Account) -> dict[str, set[str]]:
    held = {name: account.people(own) for name, own in account.names().items()}
    return {**held, "1nmth": account.people("1nmth")}


def add_up(counts: Counts) -> bool:
    ended = counts.delivered + counts.superseded + counts.rejected + counts.undelivered
    return counts.records == ended


def without_empty(held: Mapping[str, set[str]]) -> dict[str, set[str]]:
    return {name: people for name, people in held.items() if people}


@tries(25)
@given(EVENTS, st.permutations(KINDS))
def test_the_account_ends_as_if_events_came_one_by_one(
    events: list[tuple[str, str, str | None]], order: list[str]
) -> None:
    account = Account()
    report = account.send([ROUTES[kind] for kind in order], made(events))
    assert add_up(report.counts)
    assert report.counts.undelivered == 0
    invalid = [one for one in events if one[0] == "slug" and one[2] in ("a/b", None)]
    assert report.counts.rejected == len(invalid)
    assert without_empty(held_by(account)) == without_empty(expected(events))
    assert account.unreached() == {who for kind, who, _ in events if kind == "out"}
    # an audience is created for somebody, and only once
    names = [call.partition("name=")[2] for call in account.calls("POST") if "name=" in call]
    assert sorted(names) == sorted(expected(events).keys() - {"1nmth"})


@tries(25)
@given(EVENTS, st.sampled_from([403, 500]), st.sampled_from(["vip", "new"]))
def test_what_has_no_audience_is_kept_and_the_rest_is_delivered(
    events: list[tuple[str, str, str | None]], status: int, slug: str
) -> None:
    account = Account()
    failing = f"name=Lytics%20{slug}"
    account.answer = lambda request: refusal(status, "NO") if failing in request.url else None
    routes = [ROUTES[kind] for kind in KINDS]
    report = account.send(routes, made(events), retries=0)
    assert add_up(report.counts)

    without = [one for one in events if one[0] == "slug" and one[2] == slug]
    assert report.counts.undelivered == len(without)
    rest = [one for one in events if one not in without]
    assert without_empty(held_by(account)) == without_empty(expected(rest))
    # asked once: what comes later does not overtake it
    assert len([call for call in account.calls("POST") if failing in call.replace(" ", "%20")]) <= 1


def test_a_second_run_changes_nothing() -> None:
    account = Account()
    events = [("slug", "ann", "vip"), ("name", "bob", None), ("id", "cy", None)]
    for _ in range(2):
        assert account.send([ROUTES[kind] for kind in KINDS], made(events)).complete
    assert held_by(account) == {"Lytics vip": {"ann"}, "Everybody": {"bob"}, "1nmth": {"cy"}}
