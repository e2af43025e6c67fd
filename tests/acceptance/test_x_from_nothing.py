"""X from an empty account on: every step through the command line, at one sandbox over HTTP.

The script signs in, checks, creates audiences, sends what each front end ships, lists, renames, takes somebody out of
everything, deletes and signs out; after each step the sandbox says who is where.
"""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import connector
from connector.sandbox.faults import parse_fault
from tests.kit import browser
from tests.kit.accounts import document, to
from tests.kit.cli import Done, call, environment, ndjson, report_lines
from tests.kit.front_ends import ANN, MEMBERS, Identifier, people_sent, sent

ACCOUNT = "/accounts/18ce54d4x5t"
APP = {"consumer_key": "the-key-of-the-app", "consumer_secret": "the-secret-of-the-app"}
NO_REACH = ("--kind", "do_not_reach_list_id")
LOYAL = "Loyal customers"
DO_NOT_REACH = "do_not_reach_lists"

CONNECTION = """\
destination: x_custom_audiences
credentials:
  consumer_key: {env: CONSUMER_KEY}
  consumer_secret: {env: CONSUMER_SECRET}
  access_token: {stored: me}
  access_token_secret: {stored: me}
base_url: BASE
login_url: BASE
event_id: id
routes:
  - name: loyal
    action: add_user_multi
    when: event.out is undefined
    map: {custom_audience_id: {audience: Loyal customers}, email: {from: email}}
  - name: gone
    action: remove_user_multi
    when: event.out is defined
    opt_out: {do_not_reach: true}
    map: {email: {from: email}}
"""


class Script:
    """A folder, a sandbox with an account that has nothing, and the ids of what is created."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._offline = connector.make_connection(document(to({"value": "1nmth"})))
        tokens = {"access_token": "nobody's", "access_token_secret": "nobody's"}
        self.sandbox = connector.Sandbox(self._offline, secrets={**APP, **tokens})
        self.log: list[str] = []
        self.sandbox.vendor.log = self.log.append
        self.server = self.sandbox.serve()
        #: By the names that the script has for them.
        self.ids: dict[str, str] = {}
        self.file = folder / "c.yaml"
        self.file.write_text(CONNECTION.replace("BASE", self.server.base_url), "utf-8")

    def run(self, *arguments: str | Path) -> Done:
        """Run a command, which neither shows a secret nor has one in its arguments."""
        variables = {name.upper(): text for name, text in APP.items()}
        store = {"CONNECTOR_STORE": str(self.folder / "store"), "BROWSER": browser.command("yes")}
        env = environment(**variables, **store)
        self.log.clear()
        done = call(*arguments, env=env, folder=self.folder)
        for file in self.folder.glob("store/*.json"):
            kept = json.loads(file.read_text("utf-8"))["credentials"].values()
            assert not any(secret in done.text for secret in [*kept, *APP.values()])
        return done

    def json(self, *arguments: str | Path, status: int = 0) -> Any:
        done = self.run(*arguments, "--format", "json")
        assert done.status == status, done.text
        return done.json

    def audiences(self, *options: str) -> dict[str, Any]:
        """Return the rows that `audiences list` shows, by their names."""
        return {row["name"]: row for row in self.json("audiences", "list", "c.yaml", *options)}

    def own(self, beginning: str) -> str:
        """Return the id of the audience whose name begins like this, as the sandbox has it."""
        found = connector.call(
            self._offline, "list_custom_audiences", {"q": beginning}, transport=self.sandbox
        )
        [row] = found
        return str(row["id"])

    def send(self, *events: dict[str, Any], status: int = 0) -> Any:
        path = ndjson(self.folder, events)
        options = ("--report", self.folder / "report.ndjson")
        return self.json("send", "c.yaml", path, *options, status=status)

    def fail(self, fault: str, *, after: int) -> None:
        """Let a request fail, after so many that do not."""
        served = parse_fault(f"slow=0:{after}")
        self.sandbox.vendor.inject([served, parse_fault(fault)])

    def report(self) -> list[tuple[str, str, str]]:
        """Return whose records failed, and why."""
        lines = report_lines(self.folder / "report.ndjson")
        return sorted((line["event"], line["outcome"], line["code"]) for line in lines)

    def people(self, name: str) -> set[frozenset[Identifier]]:
        """Return who is in an audience, or on the Do Not Reach list."""
        path = f"/12{ACCOUNT}/custom_audiences/{self.ids[name]}/users"
        if name == DO_NOT_REACH:
            path = f"/12/batch{ACCOUNT}/{name}/{self.ids[name]}/users"
        return set(self.sandbox.vendor.members(path))

    def calls(self, path: str) -> list[str]:
        """Return what the last command asked for at a path, with the status of each answer."""
        wanted = f" /12{ACCOUNT}/{path} "
        found = [line.replace(wanted, " ") for line in self.log if wanted in line]
        return [" ".join(line.split()[:2]) for line in found]


def test_from_an_empty_account(tmp_path: Path) -> None:
    script = Script(tmp_path)
    with script.server:
        sign_in(script)
        check_and_create(script)
        send_with_rows_that_fail(script)
        for name in MEMBERS:
            send_a_front_end(script, name)
        list_page_by_page(script)
        rename(script)
        opt_out(script)
        delete(script)
        sign_out(script)


def sign_in(script: Script) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    told = script.json("login", "c.yaml", "--callback", f"http://127.0.0.1:{port}/")
    assert told["settings"] == {"account_id": "18ce54d4x5t"}
    assert script.log[-1] == "GET /12/accounts 200"
    text = script.file.read_text("utf-8")
    script.file.write_text(f"settings: {json.dumps(told['settings'])}\n{text}", "utf-8")
    assert script.audiences() == {}


def check_and_create(script: Script) -> None:
    """What `check` says is missing is what has to be created."""
    found = {one["name"]: one for one in script.json("check", "c.yaml", status=1)}
    for name in ("settings", "credentials", "clock", "permissions"):
        assert found[name]["status"] == "ok"
    missing = found[f"custom audience '{LOYAL}'"]
    assert (missing["status"], "connector audiences create" in missing["fix"]) == ("error", True)

    loyal = script.json("audiences", "create", "c.yaml", "--name", LOYAL)
    assert (loyal["size"], loyal["state"]) == (None, "PROCESSING, TOO_SMALL")
    script.ids[LOYAL] = loyal["id"]
    assert script.own(LOYAL) == loyal["id"]
    assert script.people(LOYAL) == set()
    found = {one["name"]: one for one in script.json("check", "c.yaml")}
    assert found[f"custom audience '{LOYAL}'"]["status"] == "warning"

    created = script.json("audiences", "create", "c.yaml", *NO_REACH)
    script.ids[DO_NOT_REACH] = created["id"]
    assert script.people(DO_NOT_REACH) == set()


def send_with_rows_that_fail(script: Script) -> None:
    """A row that nobody can be found in, and one that the vendor refuses; all others are in."""
    people = [{"id": f"e{number}", "email": f"p{number}@example.com"} for number in range(4)]
    # the first two requests ask for the audience, and for all that opt-outs are about
    script.fail("person", after=2)
    summary = script.send(*people, {"id": "e4", "email": "nobody"}, status=1)
    assert (summary["delivered"], summary["rejected"], summary["undelivered"]) == (3, 2, 0)
    assert script.report() == [
        ("e0", "rejected", "request_refused"),
        ("e4", "rejected", "no_identifier"),
    ]
    left: list[set[Identifier]] = [{("email", f"p{number}@example.com")} for number in (1, 2, 3)]
    assert script.people(LOYAL) == people_sent(left)


def send_a_front_end(script: Script, name: str) -> None:
    """The preset as `connector new` writes it, with an audience of its own, and its sample events."""
    script.json("new", "x_custom_audiences", "--from", name, "--into", name)
    path = script.folder / name / "connection.yaml"
    text = path.read_text("utf-8").replace("4kzrq", script.ids[DO_NOT_REACH])
    # Lytics' creates its own already
    text = text.replace("{value: 1nmth}", f"{{audience: {{create: From {name}}}}}")
    for secret in APP:
        text = text.replace(f"{{env: X_{secret.upper()}}}", f"{{env: {secret.upper()}}}")
    for token in ("access_token", "access_token_secret"):
        text = text.replace(f"{{env: X_{token.upper()}}}", "{stored: me}")
    address = script.server.base_url
    path.write_text(f"base_url: {address}\nlogin_url: {address}\n{text}", "utf-8")

    events = path.with_name("events.ndjson")
    summary = script.json("send", path, events, "--state", "state")
    assert (summary["rejected"], summary["undelivered"], summary["warnings"]) == (0, 0, [])
    script.ids[name] = script.own(
        "Lytics loyal_customers 20" if name == "lytics" else f"From {name}"
    )
    for place, people in MEMBERS[name].items():
        held = script.people(DO_NOT_REACH if DO_NOT_REACH in place else name)
        assert held == people_sent(people)


def list_page_by_page(script: Script) -> None:
    """Six audiences by two are three pages; one is asked for again when the limit allows it."""
    script.fail("429", after=1)
    rows = script.audiences("count=2")
    assert script.calls("custom_audiences") == ["GET 200", "GET 429", "GET 200", "GET 200"]
    sizes = {LOYAL: 3, "tealium": 3, "lytics": 2, "adobe": 2, "segment": 2, "rudderstack": 3}
    expected = {script.ids[name]: size for name, size in sizes.items()}
    assert {row["id"]: row["size"] for row in rows.values()} == expected
    assert all(row["state"] == "TOO_SMALL" for row in rows.values())
    [no_reach] = script.json("audiences", "list", "c.yaml", *NO_REACH)
    assert (no_reach["id"], no_reach["size"]) == (script.ids[DO_NOT_REACH], 1)


def rename(script: Script) -> None:
    own, people = script.ids["adobe"], script.people("adobe")
    taken = script.run("audiences", "rename", "c.yaml", own, "--name", "From segment")
    assert taken.status == 1
    assert taken.err == (
        "update_custom_audience failed (name_taken): there is a custom audience of that name "
        f"already, {script.ids['segment']}; use it, or choose another name\n"
    )
    script.json("audiences", "rename", "c.yaml", own, "--name", "Adobe people")
    assert script.own("Adobe people") == own
    assert script.people("adobe") == people


def opt_out(script: Script) -> None:
    """Ann came by each front end; she leaves all audiences, with all that was known of her."""
    before = {name: script.people(name) for name in script.ids}
    assert sum(sent(ANN) in person for people in before.values() for person in people) == 5
    summary = script.send({"id": "out", "email": " ANN@example.com", "out": "yes"})
    assert summary["delivered"] == 7
    for name, people in before.items():
        expected = {person for person in people if sent(ANN) not in person}
        if name == DO_NOT_REACH:
            expected.add(frozenset([sent(ANN)]))
        assert script.people(name) == expected


def delete(script: Script) -> None:
    """What is deleted is not listed any more, keeps its name, and takes nobody; all others stay."""
    rows = script.audiences()
    assert rows["Adobe people"]["size"] == 1
    assert rows[LOYAL]["size"] == 3
    for name in (LOYAL, "adobe"):
        done = script.json("audiences", "delete", "c.yaml", script.ids[name], "--yes")
        assert (done["id"], done["state"]) == (script.ids[name], "deleted")
    script.json("audiences", "delete", "c.yaml", script.ids[DO_NOT_REACH], "--yes", *NO_REACH)
    listed = script.audiences("--deleted")
    assert listed.keys() == rows.keys()
    assert {name for name, row in listed.items() if row["deleted"]} == {LOYAL, "Adobe people"}

    path = ndjson(script.folder, [{"id": "e", "email": "a@example.com"}])
    gone = script.run("send", "c.yaml", path)
    assert gone.status == 2
    assert f"there is no custom audience '{LOYAL}' in this account; known: From r" in gone.err


def sign_out(script: Script) -> None:
    assert script.run("logout", "c.yaml").status == 0
    assert script.log[-1] == "POST /1.1/oauth/invalidate_token 200"
    assert not list((script.folder / "store").iterdir())
    done = script.run("audiences", "list", "c.yaml")
    assert (done.status, script.log) == (2, [])
    assert (
        "there is no login of this name; known: none; sign in: connector login c.yaml" in done.err
    )
