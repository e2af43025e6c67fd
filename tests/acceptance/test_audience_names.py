"""Audiences by name and opt-outs through the command line, to a sandbox over HTTP."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from connector.delivery.report import Report
from connector.library import load_connection, send
from connector.sandbox.local import Sandbox
from connector.sandbox.server import SandboxServer
from tests.kit import ROOT
from tests.kit.accounts import LISTS, event
from tests.kit.cli import SECRETS, Done, at_once, connection, ndjson, run

CREDENTIALS = {name.removeprefix("X_").lower(): secret for name, secret in SECRETS.items()}
ROUTES = """
  - name: slug
    action: add_user_multi
    when: event.slug is defined
    map:
      custom_audience_id: {audience: {create: "Lytics {{ event.slug }} {{ now | format('%Y%m%d_%H%M%S') }}"}}
      email: {from: email}
  - name: loyal
    action: add_user_multi
    when: event.loyal is defined
    map: {custom_audience_id: {audience: Loyal customers}, email: {from: email}}
  - name: gone
    action: remove_user_multi
    when: event.out is defined
    opt_out: {do_not_reach: true}
    map: {email: {from: email}}
"""


class Place:
    """A folder with a connection to a sandbox, and events."""

    def __init__(self, folder: Path, server: SandboxServer) -> None:
        self.folder = folder
        path = connection(folder, base_url=server.base_url)
        head = path.read_text("utf-8").partition("routes:")[0]
        path.write_text(f"{head}routes:{ROUTES}", "utf-8")
        self.connection = path
        self.state = folder / "state"

    def call(self, command: str, *options: str | Path, events: list[dict[str, object]]) -> Done:
        numbered = [{"id": f"e{number}", **one} for number, one in enumerate(events)]
        path = ndjson(self.folder, numbered, f"{len(list(self.folder.iterdir()))}.ndjson")
        return run(command, self.connection, path, *options)

    def audiences(self) -> dict[str, str]:
        done = run("audiences", "list", self.connection, "--format", "json")
        assert done.status == 0, done.text
        return {row["name"]: row["id"] for row in done.json}

    def create(self, name: str) -> str:
        done = run("audiences", "create", self.connection, "--name", name, "--format", "json")
        return str(done.json["id"])


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    return Sandbox(load_connection(connection(tmp_path)), secrets=CREDENTIALS)


@pytest.fixture
def place(tmp_path: Path, sandbox: Sandbox) -> Iterator[Place]:
    with sandbox.serve() as server:
        yield Place(tmp_path, server)


def people(sandbox: Sandbox, own: str) -> int:
    return len(sandbox.vendor.members(f"{LISTS}/{own}/users"))


def test_from_names_to_opt_out(place: Place, sandbox: Sandbox) -> None:
    events = [event("ann", slug="vip"), event("bob", slug="vip", loyal=1), event("cy", slug="new")]

    done = place.call("send", events=events)
    assert done.status == 2
    assert done.err.startswith("C243 ")
    assert "--state DIR" in done.err

    done = place.call("send", "--state", place.state, events=events)
    assert done.status == 2
    assert "there is no custom audience 'Loyal customers' in this account; known: none" in done.err
    assert f'connector audiences create {place.connection} --name "Loyal customers"' in done.err
    assert not sandbox.holdings()

    loyal = place.create("Loyal customers")
    done = place.call("send", "--state", place.state, "--format", "json", events=events)
    assert (done.status, done.json["delivered"]) == (0, 4)
    names = place.audiences()
    shown = [(one["status"], one["name"], one["id"]) for one in done.json["audiences"]]
    assert shown[0] == ("found", "Loyal customers", loyal)
    assert {(name, own) for _, name, own in shown} == set(names.items())
    assert list(done.json["audiences"][0]) == ["parameter", "id", "name", "status", "gone"]
    [vip] = [own for name, own in names.items() if name.startswith("Lytics vip 20")]
    assert (people(sandbox, loyal), people(sandbox, vip), len(names)) == (1, 2, 3)

    shown = place.call("preview", "--state", place.state, events=events)
    assert f"/custom_audiences/{vip}/users" in shown.out
    shown = place.call(
        "preview", "--format", "json", events=[event("ann", loyal=1), event("ann", out=1)]
    )
    lines = [json.loads(line) for line in shown.out.splitlines()]
    assert lines[0]["url"].endswith("/custom_audiences/<audience:Loyal customers>/users")
    assert lines[-1]["notes"][0].startswith("route 'gone': the audiences that the connection names")

    done = place.call(
        "send", "--state", place.state, "--format", "json", events=[event("bob", out=1)]
    )
    assert (done.status, done.json["delivered"]) == (0, 4)
    assert (people(sandbox, loyal), people(sandbox, vip)) == (0, 1)
    assert place.audiences() == names
    [path] = [one.path for one in sandbox.holdings() if "do_not_reach" in one.path]
    assert len(sandbox.vendor.members(path)) == 1


def test_what_is_found_and_created_is_printed(place: Place) -> None:
    loyal = place.create("Loyal customers")
    events = [event("ann", slug="vip", loyal=1), event("bob", out=1)]
    done = place.call("send", "--state", place.state, events=events)
    names = place.audiences()
    [vip, vips_id] = next(one for one in names.items() if one[0].startswith("Lytics vip 20"))
    lines = done.out.splitlines()
    first = lines.index(f"custom audience {vips_id} created: {vip}")
    assert lines[first + 1].startswith("Do Not Reach list ")
    assert lines[first + 1].endswith(" created")
    assert lines[first + 2] == f"custom audience {loyal} found: Loyal customers"

    run("audiences", "delete", place.connection, vips_id, "--yes")
    time.sleep(1.1)  # of a deleted audience X keeps the name, which has the second in it
    done = place.call("send", "--state", place.state, events=events)
    [again] = [own for name, own in place.audiences().items() if name.startswith("Lytics vip 20")]
    line = (
        f"custom audience {again} created in the place of {vips_id}, which is gone: Lytics vip 20"
    )
    assert any(one.startswith(line) for one in done.out.splitlines())
    assert f"custom audience {loyal} remembered: Loyal customers" in done.out


def test_a_finished_run_whose_audience_is_gone_is_unfinished_again(place: Place) -> None:
    """X keeps the name, so that what the file has more at its end stays undelivered."""
    routes = place.connection.read_text("utf-8")
    place.connection.write_text(routes.replace("Loyal customers}", "{create: Loyal customers}}"))
    first = [{"id": "e1", "loyal": True, "email": "ann@example.com"}]
    path = ndjson(place.folder, first)
    options = ("send", place.connection, path, "--state", place.state)
    assert run(*options).status == 0
    for own in place.audiences().values():
        assert run("audiences", "delete", place.connection, own, "--yes").status == 0

    ndjson(place.folder, [*first, {"id": "e2", "loyal": True, "email": "ben@example.com"}])
    done = run(*options)
    assert done.status == 1
    assert "unfinished; the same command goes on with it\n" in done.out
    assert "undelivered 1 x name_kept: " in done.out


def test_what_cannot_be_named_is_in_the_report(place: Place) -> None:
    place.create("Loyal customers")
    report = place.folder / "report.ndjson"
    events = [event("ann", slug="a/b"), event("ann", slug="vip"), event("ann", slug=None)]
    done = place.call("send", "--state", place.state, "--report", report, events=events)
    assert done.status == 1
    lines = [json.loads(line) for line in report.read_text("utf-8").splitlines()]
    assert [(line["event"], line["outcome"], line["code"]) for line in lines] == [
        ("e0", "rejected", "invalid_audience_name"),
    ]


def test_runs_that_race_make_one_audience(
    place: Place, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.create("Loyal customers")
    for name, secret in SECRETS.items():
        monkeypatch.setenv(name, secret)

    def deliver(who: str) -> Report:
        # A file or a pipe would need the folder for its process alone.
        events = iter([{"id": who, **event(who, slug="vip")}])
        return send(load_connection(place.connection), events, state=place.state)

    done = at_once([lambda who=who: deliver(who) for who in ("ann", "bob", "cy", "dee")])  # type: ignore[misc]
    assert [one.complete for one in done] == [True] * 4, [one.reasons for one in done]
    names = place.audiences()
    [vip] = [own for name, own in names.items() if name.startswith("Lytics vip 20")]
    assert people(sandbox, vip) == 4
    held = json.loads((place.state / "audiences.json").read_text("utf-8"))["audiences"]
    assert sorted(one["id"] for one in held) == sorted(names.values())


def test_names_of_events_that_come_through_a_pipe(place: Place, sandbox: Sandbox) -> None:
    place.create("Loyal customers")
    for status, who in (("created", "ann"), ("remembered", "bob")):
        events = [event(who, slug="vip"), event(who, out=True)]
        content = "".join(f"{json.dumps(one)}\n" for one in events).encode()
        done = run("send", place.connection, "-", "--state", place.state, stdin=content)
        assert done.status == 0, done.text
        names = place.audiences()
        [vip] = [own for name, own in names.items() if name.startswith("Lytics vip 20")]
        assert f"custom audience {vip} {status}: Lytics vip 20" in done.out
        assert people(sandbox, vip) == 0


def test_an_opt_out_without_any_audience_is_said(place: Place) -> None:
    text = place.connection.read_text("utf-8").partition("  - name: slug")[0]
    gone = ROUTES.partition("  - name: gone")[2].replace("{do_not_reach: true}", "true")
    place.connection.write_text(f"{text}  - name: gone{gone}", "utf-8")
    report = place.folder / "report.ndjson"
    events = [event("ann", out=1), event("bob", out=1), event("cy")]
    done = place.call("send", "--report", report, events=events)
    assert (done.status, done.err) == (0, "")
    line = "skipped 2 x no_audience: the account has no audience to remove the person from"
    assert line in done.out.splitlines()
    assert "no event matched" not in done.out
    lines = [json.loads(line) for line in report.read_text("utf-8").splitlines()]
    assert [(line["event"], line["outcome"]) for line in lines] == [
        ("e0", "skipped"),
        ("e1", "skipped"),
    ]
    done = place.call("send", "--format", "json", events=events)
    assert (done.json["skipped"], done.json["records"], done.json["warnings"]) == (3, 0, [])

    shown = place.call("preview", events=events)
    assert shown.status == 0
    assert "(route gone): skipped, no_audience: the connection names no audience" in shown.out
    assert "values found, of 2 taken by gone: email 2" in shown.out


def test_a_preview_of_an_opt_out_takes_what_it_shows(place: Place) -> None:
    """Where only names of events, and the list of whom nothing reaches, are known."""
    text = place.connection.read_text("utf-8")
    loyal = text[text.index("  - name: loyal") : text.index("  - name: gone")]
    place.connection.write_text(text.replace(loyal, ""), "utf-8")
    shown = place.call("preview", events=[event("ann", slug="vip"), event("ann", out=1)])
    assert "<audience:only>" in shown.out
    assert "values found, of 1 taken by gone: email 1" in shown.out
    assert "nothing taken by" not in shown.out


def test_the_sandbox_needs_no_folder_and_touches_none(place: Place, sandbox: Sandbox) -> None:
    events = [event("ann", slug="vip"), event("bob", loyal=1), event("ann", out=1)]
    for options in ([], ["--state", place.state]):
        done = place.call("send", "--sandbox", "--format", "json", *options, events=events)
        assert done.status == 0, done.text
        holds = {one["path"].split("/")[-3]: one["people"] for one in done.json["sandbox"]}
        assert sorted(holds) == ["custom_audiences", "do_not_reach_lists"]
    assert not place.state.exists()
    assert not sandbox.holdings()

    done = place.call("send", "--sandbox", "--fail", "429:2", events=events)
    assert done.status == 0
    assert run("lint", place.connection).status == 0


def test_the_routes_of_the_page_work(place: Place, sandbox: Sandbox) -> None:
    page = (ROOT / "docs" / "audiences.md").read_text("utf-8")
    [routes] = re.findall(r"^```yaml\n(routes:\n.*?)^```$", page, re.MULTILINE | re.DOTALL)
    head = place.connection.read_text("utf-8").partition("routes:")[0]
    place.connection.write_text(head + routes, "utf-8")
    place.create("Loyal customers")
    events = [event("ann", slug="vip", loyal="yes"), event("ann", objects="yes")]
    done = place.call("send", "--state", place.state, "--format", "json", events=events)
    assert done.status == 0, done.text
    assert len(place.audiences()) == 2
    assert {people(sandbox, own) for own in place.audiences().values()} == {0}


def test_who_joins_again_stays_unreached_until_they_consent(place: Place, sandbox: Sandbox) -> None:
    page = (ROOT / "docs" / "audiences.md").read_text("utf-8")
    [consents] = re.findall(
        r"^```yaml\n(  - name: consents.*?)^```$", page, re.MULTILINE | re.DOTALL
    )
    text = place.connection.read_text("utf-8")
    place.connection.write_text(text + consents, "utf-8")
    loyal, other = place.create("Loyal customers"), place.create("Other")

    def unreached() -> int:
        [path] = {one.path for one in sandbox.holdings() if "do_not_reach" in one.path} or [""]
        return len(sandbox.vendor.members(path)) if path else 0

    events = [event("ann", loyal=1), event("ann", out=1), event("ann", loyal=1)]
    assert place.call("send", "--state", place.state, events=events).status == 0
    assert (people(sandbox, loyal), people(sandbox, other), unreached()) == (1, 0, 1)
    events = [event("ann", consents="yes")]
    assert place.call("send", "--state", place.state, events=events).status == 0
    assert (people(sandbox, loyal), unreached()) == (1, 0)


def test_a_folder_of_another_kind_is_an_error(place: Place) -> None:
    place.state.mkdir()
    (place.state / "audiences.json").write_text("[]", "utf-8")
    (place.state / "audiences.json").chmod(0o600)
    for command in ("send", "preview"):
        done = place.call(command, "--state", place.state, events=[event("ann", slug="vip")])
        assert done.status == 2
        assert done.err.startswith(f"C247 {place.state / 'audiences.json'}: is not what ")
