"""The same people, sent to the sandbox of every destination, end in the same audience, whatever the wire format."""

from __future__ import annotations

import hashlib
import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from connector.connection.load import Connection, load_connection
from connector.definitions.catalog import Catalog
from connector.delivery.clock import SystemClock
from connector.delivery.http import HttpSender
from connector.delivery.ledger import Ledger
from connector.delivery.retry import RetryPolicy
from connector.delivery.run import Run
from connector.pipeline.pipeline import Pipeline
from connector.sandbox.server import SandboxServer
from connector.sandbox.vendor import Vendor
from connector.sources.files import open_source
from tests.kit.auth import auth as auth_with
from tests.kit.cli import run

BAD = {
    "email": ["  ", "undefined", "null"],
    "phone": ["555-0100", "+000", "   "],
    "device": [" ", "undefined", "N/A"],
}


class Person(NamedTuple):
    """One person: what each event about them holds, and which of it can be used."""

    fields: dict[str, str]
    usable: frozenset[str]


def person(number: int, rng: random.Random) -> Person:
    good = {
        "email": f" Ann.B{number}+News@Gmail.com" if number % 2 else f"bo{number}@example.com",
        "phone": f"+1 (202) 555-{number:04d}",
        "device": f"38400000-8CF0-11BD-B23E-10B96E4{number:05d}",
    }
    kinds = {name: rng.choice(["good", "good", "missing", "bad"]) for name in good}
    fields = {
        name: good[name] if kind == "good" else rng.choice(BAD[name])
        for name, kind in kinds.items()
        if kind != "missing"
    }
    return Person(fields, frozenset(name for name, kind in kinds.items() if kind == "good"))


RNG = random.Random(7)
PEOPLE = [person(number, RNG) for number in range(60)]
STEPS = [
    (RNG.randrange(len(PEOPLE)), RNG.choice(["entered", "entered", "left"])) for _ in range(150)
]
INSIDE = {number for number, status in dict(STEPS).items() if status == "entered"}

# Destination → for each pair of actions: what tells the audience, and which parameter takes which field.
ROUTES: dict[str, list[tuple[str, str, dict[str, str], dict[str, str]]]] = {
    "braze_audiences": [
        ("add_person", "remove_person", {"attribute": "loyal"}, {"email": "email"})
    ],
    "google_customer_match": [
        (
            "add_contact",
            "remove_contact",
            {"audience_id": "111"},
            {"email": "email", "phone": "phone"},
        ),
        ("add_mobile_id", "remove_mobile_id", {"audience_id": "222"}, {"mobile_id": "device"}),
    ],
    "iterable_lists": [
        ("add_person", "remove_person", {"list_id": "9007199254740993"}, {"email": "email"})
    ],
    "linkedin_audiences": [
        (
            "add_user",
            "remove_user",
            {"segment_id": "10804"},
            {"email": "email", "google_advertising_id": "device"},
        )
    ],
    "meta_custom_audiences": [
        (
            *("add_user", "remove_user", {"custom_audience_id": "23846000000000001"}),
            {"email": "email", "phone": "phone", "device_id": "device"},
        )
    ],
    "microsoft_customer_lists": [
        (
            "add_user",
            "remove_user",
            {"customer_list_id": "9007199254740993"},
            {"email": "email", "crm_id": "device"},
        )
    ],
    "snapchat_audiences": [
        (
            *("add_user", "remove_user", {"segment_id": "5677923948298240"}),
            {"email": "email", "phone": "phone", "device_id": "device"},
        )
    ],
    "tiktok_audiences": [
        (
            *("add_user", "remove_user", {"audience_id": "7178918106775994370"}),
            {"email": "email", "phone": "phone", "android_ad_id": "device"},
        )
    ],
    "webhook": [
        (
            "add_person",
            "remove_person",
            {"audience": "loyal"},
            {"email": "email", "phone": "phone", "device_id": "device"},
        )
    ],
    "x_custom_audiences": [
        (
            *("add_user_multi", "remove_user_multi", {"custom_audience_id": "1nmth"}),
            {"email": "email", "phone_number": "phone", "device_id": "device"},
        )
    ],
}


def test_every_destination_is_tried() -> None:
    assert sorted(ROUTES) == sorted(Catalog(()).ids())


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("people") / "events.ndjson"
    lines = [json.dumps({"status": status, **PEOPLE[number].fields}) for number, status in STEPS]
    file.write_text("\n".join(lines), "utf-8")
    return file


def connection_file(name: str, order: str, folder: Path) -> Path:
    """Write a connection with a route for each action, whose settings are the definition's example."""
    destination = Catalog(()).load(name)
    routes = [
        {
            "action": action,
            "when": f"event.status == '{status}'",
            "map": {
                **{parameter: {"value": value} for parameter, value in fixed.items()},
                **{parameter: {"from": field} for parameter, field in people.items()},
            },
        }
        for add, remove, fixed, people in ROUTES[name]
        for action, status in ((add, "entered"), (remove, "left"))
    ]
    file = folder / "connection.yaml"
    raw = {
        "destination": name,
        "settings": dict(destination.example_settings),
        "order": order,
        "routes": routes,
    }
    file.write_text(yaml.safe_dump(raw), "utf-8")
    return file


def delivered(connection: Connection, events: Path) -> tuple[Vendor, Ledger]:
    """Deliver to a sandbox of its own, as `send --sandbox` does; return it to look into."""
    destination = connection.destination
    auth = destination.auth_of(connection.settings)
    secrets = {name: f"secret-{name}" for name in auth.credentials}
    box = Vendor(destination, settings=connection.settings, verifier=auth_with(auth, secrets))
    with SandboxServer(box) as server, open_source(str(events)) as source:
        reached = replace(connection, base_url=server.base_url, token_url=server.token_url)
        with HttpSender(auth_with(reached.auth(), secrets), connections=8) as sender:
            ledger = Ledger()
            Run(
                Pipeline(reached), destination.rates, sender, SystemClock(), RetryPolicy(), ledger
            ).deliver(source)
    return box, ledger


def forms(field: str, text: str) -> set[str]:
    """Return every form in which a vendor may be sent a field: none of them is another person's."""
    low = text.strip().lower()
    local, _, domain = low.partition("@")
    tagless = f"{local.partition('+')[0]}@{domain}"
    dotless = f"{local.partition('+')[0].replace('.', '')}@{domain}"
    digits = "".join(filter(str.isdigit, text))
    plain = {
        "email": {low, tagless, dotless},
        "phone": {digits, f"+{digits}"},
        "device": {text, low, low.upper()},
    }[field]
    return plain | {hashlib.sha256(form.encode()).hexdigest() for form in plain}


WHOSE = {
    form: number
    for number, one in enumerate(PEOPLE)
    for field in one.usable
    for form in forms(field, one.fields[field])
}


# In the strict order a stream that alternates is many requests, and some vendors take only ten in a second.
STRICT = [
    (name, "strict")
    for name in ("google_customer_match", "iterable_lists", "meta_custom_audiences")
]


@pytest.mark.parametrize(
    ("name", "order"), [*((name, "identifiers") for name in sorted(ROUTES)), *STRICT]
)
def test_the_same_people_end_in_the_same_audience(
    name: str, order: str, events: Path, tmp_path: Path
) -> None:
    file = connection_file(name, order, tmp_path)
    box, ledger = delivered(load_connection(file, Catalog(())), events)
    held = {
        WHOSE[value]
        for holding in box.holdings()
        for one in box.members(holding.path)
        for _, value in one
    }
    taken = {field for _, _, _, people in ROUTES[name] for field in people.values()}
    assert held == {number for number in INSIDE if PEOPLE[number].usable & taken}

    summary = ledger.counts
    ends = (summary.delivered, summary.superseded, summary.rejected, summary.undelivered)
    assert summary.records == sum(ends)
    assert summary.undelivered == 0

    done = run("send", "--sandbox", file, events, "--format", "json")
    shown: dict[str, Any] = done.json
    assert shown["records"] == sum(
        shown[end] for end in ("delivered", "superseded", "rejected", "undelivered")
    )
    # not the requests: one that comes too early for the rate is sent again
    names = ("events", "records", "delivered", "superseded", "rejected", "undelivered", "skipped")
    assert {name: shown[name] for name in names} == {name: getattr(summary, name) for name in names}
    assert done.status == (1 if shown["rejected"] else 0)
