"""The file that says whom a sandbox holds: its form, and that no answer is sent before it says so."""

from __future__ import annotations

import hashlib
import json
import stat
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from connector.sandbox.holdings_file import HoldingsFile
from connector.sandbox.local import Sandbox
from tests.kit.destination import NO_AUTH, define_people

JSON = {"content-type": "application/json"}


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def held(path: Path) -> dict[str, Any]:
    document = json.loads(path.read_text("utf-8"))
    assert list(document) == ["audiences"]
    audiences: dict[str, Any] = document["audiences"]
    return audiences


@pytest.fixture
def box(tmp_path: Path) -> Sandbox:
    return Sandbox(define_people(tmp_path, NO_AUTH).load("tiny"))


def add(box: Sandbox, *people: dict[str, Any]) -> int:
    body = json.dumps({"people": people}).encode()
    answer = box.vendor.answer("POST", "https://api.example.com/people", JSON, body)
    return int(answer.status)  # type: ignore[arg-type]


def test_values_are_digests_in_a_stable_order(box: Sandbox, tmp_path: Path) -> None:
    path = tmp_path / "held.json"
    file = HoldingsFile(box.vendor, path)
    assert held(path) == {}
    sent = digest("ann@example.com")
    loud = sent.upper()
    assert add(box, {"email": [sent, "+12025550123", "1"]}, {"email": loud}) == 200
    assert add(box, {"email": "José@example.com"}) == 200
    file.update()
    members = [
        {"email": sorted([sent, digest("+12025550123"), digest("1")])},
        {"email": [loud]},
        {"email": [digest("José@example.com")]},
    ]
    members.sort(key=lambda member: json.dumps(member, separators=(",", ":")))
    assert held(path) == {"/people": {"people": 3, "identifiers": 5, "members": members}}
    assert "@" not in path.read_text("utf-8")
    first = path.read_bytes()

    other = Sandbox(define_people(tmp_path, NO_AUTH).load("tiny"))
    add(other, {"email": "José@example.com"}, {"email": loud})
    add(other, {"email": ["1", "+12025550123", sent]})
    HoldingsFile(other.vendor, path).update()
    assert path.read_bytes() == first


def test_only_its_owner_reads_it_and_nothing_else_is_left(box: Sandbox, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "real.json").write_text("what was there", "utf-8")
    (folder / "link.json").symlink_to("real.json")
    file = HoldingsFile(box.vendor, folder / "link.json")
    add(box, {"email": "a"})
    file.update()
    assert held(folder / "real.json")["/people"]["people"] == 1
    assert stat.S_IMODE((folder / "real.json").stat().st_mode) == 0o600
    assert sorted(one.name for one in folder.iterdir()) == ["link.json", "real.json"]
    assert (folder / "link.json").is_symlink()


@pytest.mark.parametrize("name", ["nowhere/held.json", "folder", "/dev/null"])
def test_a_file_that_cannot_be_written(box: Sandbox, tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match=r"regular file|No such file"):
        HoldingsFile(box.vendor, tmp_path / name)
    assert not [one for one in tmp_path.iterdir() if one.name.startswith(".")]


def test_what_changes_nothing_writes_nothing(box: Sandbox, tmp_path: Path) -> None:
    path = tmp_path / "held.json"
    file = HoldingsFile(box.vendor, path)
    assert add(box, {"email": "a"}) == 200
    file.update()
    path.write_text("still the same", "utf-8")
    assert add(box, {}) == 400
    file.update()
    assert path.read_text("utf-8") == "still the same"


def counting(file: HoldingsFile, wait: Callable[[], object]) -> list[int]:
    """Count how often the file is replaced, each time after a wait."""
    counts = [0]
    replace = file._replace

    def replace_and_count() -> None:
        counts[0] += 1
        wait()
        replace()

    file._replace = replace_and_count  # type: ignore[method-assign]
    return counts


def test_requests_that_wait_share_one_writing(box: Sandbox, tmp_path: Path) -> None:
    file = HoldingsFile(box.vendor, tmp_path / "held.json")
    go_on = threading.Event()
    counts = counting(file, lambda: go_on.wait(10))
    started = threading.Barrier(21)

    def request(number: int) -> None:
        assert add(box, {"email": f"person{number}"}) == 200
        started.wait(10)
        file.update()

    with ThreadPoolExecutor(20) as pool:
        done = [pool.submit(request, number) for number in range(20)]
        started.wait(10)
        go_on.set()
    assert not [one for one in done if one.exception()]
    assert held(tmp_path / "held.json")["/people"]["people"] == 20
    assert counts[0] == 1


def test_no_answer_comes_before_the_file_says_what_changed(box: Sandbox, tmp_path: Path) -> None:
    path = tmp_path / "held.json"
    file = HoldingsFile(box.vendor, path)
    with box.serve() as server, httpx.Client(trust_env=False) as client:
        server.before_answer(file.update)

        def request(number: int) -> None:
            for turn in range(10):
                email = f"person{number}-{turn}"
                body = {"people": [{"email": email}]}
                answer = client.post(server.base_url + "/people", json=body)
                assert answer.status_code == 200
                assert {"email": [digest(email)]} in held(path)["/people"]["members"]

        with ThreadPoolExecutor(8) as pool:
            done = [pool.submit(request, number) for number in range(8)]
    assert not [one.exception() for one in done if one.exception()]
    assert held(path)["/people"]["people"] == 80


def test_without_the_file_there_is_no_answer(box: Sandbox, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    file = HoldingsFile(box.vendor, folder / "held.json")
    with box.serve() as server:
        server.before_answer(file.update)
        (folder / "held.json").unlink()
        folder.rmdir()
        body = {"people": [{"email": "a"}]}
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.post(server.base_url + "/people", json=body, trust_env=False)
        folder.mkdir()
        answer = httpx.post(server.base_url + "/people", json=body, trust_env=False)
        assert answer.status_code == 200
    assert held(folder / "held.json")["/people"]["people"] == 1


def test_a_dropped_connection_after_applying_is_in_the_file(tmp_path: Path) -> None:
    destination = define_people(tmp_path, NO_AUTH).load("tiny")
    box = Sandbox(destination, faults=["applied-drop"])
    file = HoldingsFile(box.vendor, tmp_path / "held.json")
    with box.serve() as server:
        server.before_answer(file.update)
        body = {"people": [{"email": "a"}]}
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.post(server.base_url + "/people", json=body, trust_env=False)
        assert held(tmp_path / "held.json")["/people"]["people"] == 1
