"""The container file's commands, in an empty environment: there is no daemon here, and no network.

Each stage has a folder for its root. What comes from a package index there comes from the environment
of the tests here; the versions have to be those of constraints.txt all the same.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.kit import ROOT
from tests.kit.http_vendor import Vendor, people

pytest.importorskip("uvicorn", reason="needs the extra 'serve'")
pytest.importorskip("psycopg", reason="needs the extra 'postgres'")

FOLDER = ROOT / "examples" / "service"
FILE = FOLDER / "Containerfile"
IGNORE = FOLDER / "Containerfile.dockerignore"
TOKEN = "0123456789abcdef0123456789abcdef"
CREDENTIALS = ("consumer_key", "consumer_secret", "access_token", "access_token_secret")
#: Absolute paths of the image: these folders, where a path begins.
ABSOLUTE = re.compile(r"""(?<![^\s"'=:])/(?=(?:etc|opt|run|src|var)\b)""")


class Line(NamedTuple):
    instruction: str
    text: str


def lines() -> list[Line]:
    """The instructions of the file."""
    text = re.sub(r"^#.*\n", "", FILE.read_text("utf-8"), flags=re.MULTILINE)
    found = []
    for line in text.replace("\\\n", "").splitlines():
        instruction, _, rest = line.partition(" ")
        if instruction:
            found.append(Line(instruction, rest.strip()))
    return found


def words(instruction: str) -> list[str]:
    """What an instruction in its exec form says; the last one of its kind counts."""
    [*_, text] = [line.text for line in lines() if line.instruction == instruction]
    _, _, command = text.rpartition("CMD ")
    found = json.loads(command)
    assert isinstance(found, list)
    return found


class Image:
    """Builds the stages, each below a folder."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.env: dict[str, str] = {}
        self.workdir = "/"
        self._folder = folder
        self._stages: dict[str, Path] = {}
        self._stage = ""
        # The image has a python on its path.
        self._tools = folder / "tools"
        self._tools.mkdir()
        python = self._tools / "python"
        python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n', "utf-8")
        python.chmod(0o755)
        for line in lines():
            if hasattr(self, line.instruction):
                getattr(self, line.instruction)(line.text)

    def inside(self, text: str) -> str:
        """The text with its absolute paths below the root."""
        return ABSOLUTE.sub(f"{self.root}/", text)

    def FROM(self, text: str) -> None:  # noqa: N802 - an instruction is called as it is
        if self.root.exists():
            kept = self._folder / self._stage
            self.root.rename(kept)
            self._stages[self._stage] = kept
        image, _, self._stage = text.partition(" AS ")
        assert image.endswith("python:3.11-slim")
        self.root.mkdir()
        self.env = {"PATH": f"{self._tools}:/usr/bin:/bin"}
        self.workdir = str(self.root)

    def WORKDIR(self, text: str) -> None:  # noqa: N802
        self.workdir = self.inside(text)
        Path(self.workdir).mkdir(parents=True, exist_ok=True)

    def ENV(self, text: str) -> None:  # noqa: N802
        name, _, value = self.inside(text).partition("=")
        self.env[name] = value.replace(f"${name}", self.env.get(name, ""))

    def COPY(self, text: str) -> None:  # noqa: N802
        *sources, target = text.split()
        context, ignored = ROOT, patterns()
        if sources[0].startswith("--from="):
            context = self._stages[sources.pop(0).removeprefix("--from=")]
            ignored = []
        place = Path(self.workdir) / self.inside(target)
        for source in sources:
            path = context / source.lstrip("/")
            if path.is_dir():
                unwanted = shutil.ignore_patterns(*ignored)
                shutil.copytree(path, place, symlinks=True, ignore=unwanted)
            else:
                shutil.copy(path, place)

    def RUN(self, text: str) -> None:  # noqa: N802
        # Nobody but root may give files away, so they are given to whoever runs the tests.
        own = f"{os.getuid()}:{os.getgid()}"
        command = self.inside(re.sub(r"\b\d+:\d+\b", own, text))
        offline = " install --no-index --no-build-isolation "
        done = subprocess.run(
            ["/bin/sh", "-c", command.replace(" install ", offline)],
            cwd=self.workdir,
            env={**self.env, "HOME": str(self._folder)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        for packages in self.root.glob("opt/*/lib/*/site-packages"):
            stand_in(packages)


def patterns() -> list[str]:
    """What is left out of each folder that is copied."""
    given = IGNORE.read_text("utf-8").splitlines()
    return [line.removeprefix("**/") for line in given if line.startswith("**/")]


def stand_in(packages: Path) -> None:
    """Let an environment have the packages of this one: they stand for those of an index."""
    mine = [path for path in sys.path if path.endswith("site-packages")]
    (packages / "index.pth").write_text("\n".join(mine) + "\n", "utf-8")


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    return Image(tmp_path_factory.mktemp("image"))


@pytest.fixture(scope="module")
def vendor() -> Iterator[Vendor]:
    with Vendor() as one:
        yield one


def mount(image: Image, vendor: Vendor) -> None:
    """Put there what whoever starts the container mounts."""
    made = (FOLDER / "connection.yaml").read_text("utf-8")
    connection = image.root / "etc" / "connector" / "connection.yaml"
    connection.write_text(f"{made}base_url: {vendor.base_url}\n", "utf-8")
    for name in (*CREDENTIALS, "token"):
        (Path(image.workdir) / name).write_text(f"{TOKEN}\n", "utf-8")


def test_the_service_starts_takes_a_post_and_ends(image: Image, vendor: Vendor) -> None:
    mount(image, vendor)
    command = [image.inside(word) for word in (*words("ENTRYPOINT"), *words("CMD"))]
    process = subprocess.Popen(
        [*command, "--port", "0"],  # the one of the file may be taken
        cwd=image.workdir,
        env=image.env,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    with process.stderr:
        try:
            first = process.stderr.readline()
            assert first.startswith("{"), first + process.stderr.read()
            port = json.loads(first)["url"].rpartition(":")[2]
            use(image, f"http://127.0.0.1:{port}")
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)
        assert process.returncode == 0
        events = [json.loads(line)["event"] for line in process.stderr]
    assert events == ["stopping", "stopped"]

    # It runs what was installed, not this checkout.
    [home] = image.root.glob("opt/connector/lib/*/site-packages/connector")
    assert (home / "_data" / "schemas").is_dir()
    [wrote] = image.root.glob("var/lib/connector/*.db")
    assert wrote.stat().st_mode & 0o777 == 0o600
    assert sum(map(people, vendor.seen)) == 1


def use(image: Image, url: str) -> None:
    """What the probes, a caller and an operator do."""
    assert answer(f"{url}/healthz") == (200, {"status": "alive"})
    assert answer(f"{url}/readyz") == (200, {"status": "ready"})
    assert answer(f"{url}/v1/status")[0] == 401
    event = {"id": "e1", "type": "entered", "audience": "1nmth", "email": "ann@example.com"}
    posted = answer(f"{url}/v1/events", json.dumps(event).encode(), TOKEN)
    assert posted == (202, {"accepted": 1, "skipped": 0, "rejected": []})

    check = []
    for word in words("HEALTHCHECK"):
        check.append(image.inside(word.replace("http://127.0.0.1:8080", url)))
    assert inside(image, check).returncode == 0
    assert inside(image, ["connector", "flush", "--url", url, "--token", "file:token"]).stdout == (
        "flushed: connection\n"
    )
    state = image.inside("/var/lib/connector")
    counts: dict[str, int] = {}
    ends = time.monotonic() + 20
    while counts.get("delivered") != 1:
        assert time.monotonic() < ends
        status = inside(image, ["connector", "status", "--state", state, "--format", "json"])
        counts = json.loads(status.stdout)["connections"]["connection"]["counts"]


def inside(image: Image, command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a command in the container."""
    text = shlex.join(command)
    done = subprocess.run(
        ["/bin/sh", "-c", text],
        cwd=image.workdir,
        env=image.env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done


def answer(url: str, body: bytes | None = None, token: str = "") -> tuple[int, object]:
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=10) as given:
            return given.status, json.loads(given.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def test_nobody_is_root_and_the_state_is_theirs() -> None:
    texts = {line.instruction: line.text for line in lines()}
    user = texts["USER"]
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", user)
    state = words("CMD")[words("CMD").index("--state") + 1]
    assert texts["VOLUME"] == state
    assert f"mkdir -p -m 700 {state} && chown {user} {state}" in texts["RUN"]


def test_only_what_is_copied_goes_to_the_builder() -> None:
    copied = set()
    for line in lines():
        if line.instruction == "COPY" and not line.text.startswith("--from="):
            copied.update(line.text.split()[:-1])
    given = IGNORE.read_text("utf-8").splitlines()
    assert given[1] == "*"
    assert {line[1:] for line in given if line.startswith("!")} == copied
