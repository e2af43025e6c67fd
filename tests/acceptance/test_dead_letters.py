"""`connector dead`, `status` and `flush` beside a service; and that nobody is found where nobody has to be."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import Any

import pytest

from connector.auth.base import Message
from tests.kit.cli import AUDIENCE, SECRETS, Done, connection, environment, run
from tests.kit.http_vendor import Reply, Vendor, reply, success
from tests.kit.service import Served

pytest.importorskip("uvicorn", reason="needs the extra 'serve'")

#: Whatever names a person in what is posted here.
CANARY = "canary"
TOKEN = "canary-token-0123456789abcdef"


def address(name: str) -> str:
    return f"{CANARY}.{name}@example.com"


def digest(name: str) -> str:
    return hashlib.sha256(address(name).encode()).hexdigest()


def event(number: int, name: str, **more: Any) -> dict[str, Any]:
    return {"id": f"e{number}", "audience": AUDIENCE, "email": address(name), **more}


class Picky(Vendor):
    """Refuses a request with somebody of `refused`, names them, and quotes them."""

    def __init__(self) -> None:
        super().__init__(self._answer_to)
        self.refused: set[str] = set()
        self.people: set[str] = set()

    def _answer_to(self, seen: Message) -> Reply:
        operations = json.loads(seen.body)
        errors = []
        for operation in operations:
            [person] = operation["params"]["users"][0]["email"]
            bad = person in self.refused
            errors.append([{"code": "INVALID", "message": f"bad {person}"}] if bad else [])
        if any(errors):
            return reply(400, {"operation_errors": errors})
        for operation in operations:
            for user in operation["params"]["users"]:
                people = set(user["email"])
                if operation["operation_type"] == "Update":
                    self.people |= people
                else:
                    self.people -= people
        return success(seen)


def dead(*arguments: str | Path) -> Done:
    done = run("dead", *arguments)
    assert done.status == 0, done.err
    return done


RETRIED = (
    "2 retried; 1 was overtaken by a newer record, and stays\n"
    "they are sent within the 'age' of the connection's 'limits'; "
    "'connector flush' sends them now\n"
)


def do_nothing(known: str, *state: str | Path) -> None:
    """Ask for dead letters that are not there, beside one that is."""
    assert run("dead", "show", "9-9", *state).status == 1
    for verb in ("retry", "purge"):
        done = run("dead", verb, known, "9-9", "x", *state)
        words = "there are no dead letters '9-9', 'x'; nothing was done"
        assert (done.status, done.err[: len(words)]) == (1, words)
        done = run("dead", verb, "--connection", "other", *state)
        words = "the outbox knows no connection 'other'; it knows: connection\n"
        assert (done.status, done.err) == (1, words)
        done = run("dead", verb, known, "--all", *state)
        assert (done.status, done.err[:4]) == (2, "C051")
    assert len(dead("list", *state, "--format", "json").json) == 3


def test_dead_letters_from_their_death_to_their_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = ("--state", tmp_path / "state")
    monkeypatch.setenv("SERVICE_TOKEN", TOKEN)
    actions = ["add_user_multi", "remove_user_multi"]
    with Picky() as vendor:
        made = connection(
            tmp_path,
            base_url=vendor.base_url,
            actions=actions,
            changes="limits: {records: 1, age: 1h}",
        )
        vendor.refused = {digest("a"), digest("b"), digest("c")}
        with Served(made, *state, "--token", "env:SERVICE_TOKEN") as served:
            served.headers = {"Authorization": f"Bearer {TOKEN}"}
            add = {"do": "add_user_multi"}
            served.post(event(0, "good", **add))
            served.drain()
            served.post(*[event(n, name, **add) for n, name in enumerate("abc", 1)])
            served.drain()

            rows = dead("list", *state, "--format", "json").json
            assert [row["code"] for row in rows] == ["operation_refused"] * 3
            assert [row["overtaken"] for row in rows] == [False] * 3
            assert all(row["attempts"] >= 1 for row in rows)
            text = dead("list", *state, "--limit", "1").out
            assert ("operation_refused" in text, len(text.splitlines())) == (True, 2)
            first = rows[0]["id"]
            shown = dead("show", first, *state, "--format", "json").json
            assert (shown["event"], shown["route"]) == ("e1", "add_user_multi")
            do_nothing(first, *state)

            # what came later for a person overtakes what is dead of them
            vendor.refused = {digest("c")}
            served.post(event(4, "b", do="remove_user_multi"))
            served.drain()
            done = dead("retry", "--all", *state).out
            assert done == RETRIED
            flushed = flush("--url", served.url, "--token", "env:SERVICE_TOKEN")
            assert (flushed.status, flushed.out) == (0, "flushed: connection\n")
            served.drain()
            assert vendor.people == {digest("good"), digest("a")}
            found = run("status", *state, "--format", "json").json["connections"]["connection"]
            assert (found["pending"], found["dead"]) == (0, 2)
            assert run("status", *state).out.startswith("connection: 0 pending, 2 dead letters")
            metrics = served.call("/metrics").body
            status = served.call("/v1/status").body
            bare = flush("--url", served.url)
            assert (bare.status, "send the token of the service" in bare.err) == (1, True)

            old = dead("purge", "--older-than", "1h", *state).out
            assert old == "0 purged\n"
            assert dead("purge", "--code", "operation_refused", *state).out == "2 purged\n"
            served.stop()
            log = json.dumps(served.lines).encode()

        unreachable = flush("--url", served.url)
        assert (unreachable.status, "cannot be reached" in unreachable.err) == (1, True)

    everything = [log, metrics, status, json.dumps(rows).encode(), text.encode()]
    files = [file for file in (tmp_path / "state").iterdir() if file.is_file()]
    everything += [file.read_bytes() for file in files]
    assert_nobody(everything)


def assert_nobody(everything: list[bytes]) -> None:
    """Nobody is in there: not even as a digest, once they are purged."""
    for content in everything:
        for secret in (CANARY, digest("b"), digest("c"), *SECRETS.values()):
            assert secret.encode() not in content


def flush(*arguments: str | Path) -> Done:
    return run("flush", *arguments, env=environment())


def test_what_is_pending_names_nobody_in_the_clear(tmp_path: Path) -> None:
    with Vendor() as vendor:
        made = connection(tmp_path, base_url=vendor.base_url)
        with Served(made, "--state", tmp_path / "state") as served:
            served.post(*[event(number, str(number)) for number in range(20)])
            bad = [event(1, "x\n"), {**event(2, "y"), "audience": f"{CANARY} x"}]
            answer = served.post(*bad)
            assert (answer.json["accepted"], len(answer.json["rejected"])) == (0, 2)
            assert CANARY.encode() not in answer.body
            served.kill()
        files = [file for file in (tmp_path / "state").iterdir() if file.is_file()]
        assert any(digest("7").encode() in file.read_bytes() for file in files)
        for file in files:
            assert CANARY.encode() not in file.read_bytes()


def test_old_dead_letters_are_purged(tmp_path: Path) -> None:
    with Picky() as vendor:
        vendor.refused = {digest("a")}
        made = connection(
            tmp_path, base_url=vendor.base_url, changes="limits: {records: 1, age: 1h}"
        )
        options = (made, "--state", tmp_path / "state")
        with Served(*options) as served:
            served.post(event(0, "good"), event(1, "a"))
            served.drain()
            assert served.status()["dead"] == 1
        time.sleep(1.1)
        with Served(*options, "--keep-dead", "1s") as served:
            ends = time.monotonic() + 10
            while served.status()["dead"]:
                assert time.monotonic() < ends
                time.sleep(0.02)
            served.stop()
        assert {"purged"} <= {line["event"] for line in served.lines}


def test_mistakes(tmp_path: Path) -> None:
    nothing = run("dead", "list", "--state", tmp_path)
    assert (nothing.status, "there is no outbox in this folder" in nothing.err) == (2, True)
    wrong = {
        ("status",): "C046 --state: exactly one of --state and --store",
        ("dead", "retry", "--state", str(tmp_path)): "C051 ID: nothing is chosen",
        ("dead", "purge", "1-1", "--lane", "x", "--state", str(tmp_path)): "C051 ID: ids are asked",
        ("flush", "--url", "localhost:8080"): "C050 --url: is no URL of a service",
        ("flush", "--token", "secret"): "C045 --token: is not a reference to a secret",
    }
    for arguments, words in wrong.items():
        done = run(*arguments)
        assert (done.status, done.err[: len(words)]) == (2, words)
