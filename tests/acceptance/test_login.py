"""`connector login` and `logout` against a sandbox with a browser: what is kept, what is refused, and no token anywhere."""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import stat
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from connector.auth.schemes import scheme_of
from connector.connection.store import Store
from connector.definitions.catalog import Catalog
from connector.guide.example_connection import example_connection
from connector.sandbox.local import Sandbox
from connector.sandbox.vendor import Answer
from tests.kit import browser
from tests.kit.cli import COMMAND, Done, call, environment

X = "x_custom_audiences"
#: Destinations with a page that gives a code, and what a connection chooses to have it.
CODES: dict[str, dict[str, str]] = {
    "google_customer_match": {"authentication": "refresh_token"},
    "microsoft_customer_lists": {},
    "linkedin_audiences": {"authentication": "access_token"},
}


class Place:
    """A folder with a connection and a store of logins, and a sandbox to sign in at."""

    def __init__(self, folder: Path, destination: str, settings: dict[str, str]) -> None:
        self.folder, self.store, self.path = folder, folder / "store", folder / "c.yaml"
        described = Catalog().load(destination)
        document = example_connection(described)
        document["settings"] = {**document.get("settings", {}), **settings}
        auth = described.auth_of({**described.example_settings, **document["settings"]})
        self.given = scheme_of(auth).SIGNED_IN
        names = [
            name for name in auth.credentials if name != "client_secret" or "google" in destination
        ]

        self.secrets = {name: f"the-{name}-of-the-app" for name in names}
        self.box = Sandbox(described, secrets=self.secrets)
        self.server = self.box.serve()
        self.log: list[str] = []
        self.box.vendor.log = self.log.append

        document["credentials"] = {
            name: {"stored": "me"} if name in self.given else {"env": name.upper()}
            for name in names
        }
        document["base_url"] = self.server.base_url
        document["login_url"] = self.server.login_url
        if self.server.token_url:
            document["token_url"] = self.server.token_url
        document["limits"] = {"records": 1}
        document["routes"] = document["routes"][:1]
        self.document = document
        self.write()
        lines = [
            json.dumps({"type": "entered", "traits": {"email": f"p{n}@example.com"}})
            for n in range(3)
        ]
        (folder / "events.ndjson").write_text("\n".join(lines), "utf-8")

    def write(self, **changes: Any) -> None:
        """Write the connection with some members changed."""
        self.document |= changes
        self.path.write_text(yaml.safe_dump(self.document), "utf-8")

    def refer(self, **references: Any) -> None:
        """Let some credentials be elsewhere."""
        self.write(credentials={**self.document["credentials"], **references})

    def run(
        self, *arguments: str | Path, mode: str = "yes", stdin: str = "", **variables: str
    ) -> Done:
        """Run a command with a browser; neither a token nor a secret is in what it prints, or in the log."""
        before = self.tokens()
        done = call(
            *arguments,
            env=self.environment(mode, **variables),
            folder=self.folder,
            stdin=stdin.encode(),
        )
        for token in {*before, *self.tokens()}:
            assert token not in done.text
            assert not any(token in line for line in self.log)
        return done

    def environment(self, mode: str = "yes", **variables: str) -> dict[str, str]:
        secrets = {
            name.upper(): text for name, text in self.secrets.items() if name not in self.given
        }
        store = {"CONNECTOR_STORE": str(self.store), "BROWSER": browser.command(mode)}
        return environment(**{**secrets, **store, **variables})

    def login(self, *options: str, mode: str = "yes", stdin: str = "", **variables: str) -> Done:
        return self.run("login", "c.yaml", *options, mode=mode, stdin=stdin, **variables)

    def signed_in(self, *options: str) -> Any:
        done = self.login(*options, "--format", "json")
        assert done.status == 0, done.err
        return done.json

    def send(self) -> Any:
        return self.run("send", "c.yaml", "events.ndjson", "--format", "json").json

    def kept(self, name: str = "me") -> dict[str, str]:
        return dict(Store(self.store).read(name).credentials) if self.store.exists() else {}

    def tokens(self) -> list[str]:
        """Everything secret: of the app, and in the store. An app's id stands in the address of its page."""
        found = [text for name, text in self.secrets.items() if name != "client_id"]
        for file in self.store.glob("*.json"):
            found += json.loads(file.read_text("utf-8"))["credentials"].values()
        return found


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Callable[..., Place]]:
    made: list[Place] = []

    def make(destination: str = X, **settings: str) -> Place:
        made.append(Place(tmp_path, destination, settings))
        made[-1].server.__enter__()
        return made[-1]

    yield make
    for one in made:
        one.server.close()


Make = Callable[..., Place]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def callback() -> str:
    return f"http://127.0.0.1:{free_port()}/back"


# --- in, and out again ---


def test_sign_in_send_and_sign_out(place: Make) -> None:
    x = place()
    done = x.login("--callback", callback())
    said = f"signed in as sandbox; kept in {x.store / 'me.json'}\nsettings:\n  account_id: 18ce54d4x5t\n"
    assert (done.status, done.out) == (0, said)
    assert done.err.startswith(f"sign in here: {x.server.login_url}/oauth/authorize?oauth_token=")
    assert sorted(x.kept()) == ["access_token", "access_token_secret"]
    assert stat.S_IMODE(x.store.stat().st_mode) == 0o700
    assert [stat.S_IMODE(file.stat().st_mode) for file in x.store.iterdir()] == [0o600]
    assert x.send()["delivered"] == 3

    done = x.run("logout", "c.yaml")
    assert (done.status, done.out) == (
        0,
        "removed the login 'me' of sandbox; the vendor took its token back\n",
    )
    assert not list(x.store.iterdir())
    assert x.log[-1] == "POST /1.1/oauth/invalidate_token 200"
    done = x.run("logout", "c.yaml")
    assert (done.status, done.err) == (1, "c.yaml refers to no login that there is\n")
    done = x.run("send", "c.yaml", "events.ndjson")
    assert done.status == 2
    line = "C216 c.yaml#/credentials/access_token: there is no login of this name; known: none; sign in: connector login c.yaml"
    assert line in done.err.splitlines()


def test_a_connection_finds_the_nearest_login(place: Make) -> None:
    x = place()
    x.signed_in("--callback", callback())
    x.refer(access_token={"stored": "mee"}, access_token_secret={"stored": "mee"})
    done = x.run("send", "c.yaml", "events.ndjson")
    assert done.status == 2
    assert "known: me; did you mean 'me'?; sign in: connector login c.yaml" in done.err


@pytest.mark.parametrize("right", [True, False])
def test_a_pin(place: Make, right: bool) -> None:
    x = place()
    command = [*COMMAND, "login", "c.yaml", "--pin", "--no-browser"]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    env = x.environment()
    with subprocess.Popen(command, env=env, cwd=x.folder, text=True, **pipes) as process:  # type: ignore[call-overload]
        address = process.stderr.readline().split()[-1]
        page, location = browser.decide(address, "yes")
        pin = browser.pin_on(page)
        assert location == ""
        out, err = process.communicate(f"{pin if right else int(pin) ^ 1}\n")
    assert pin not in out + err + "".join(x.log)
    if right:
        assert (process.returncode, bool(x.kept())) == (0, True)
        return
    assert (process.returncode, out) == (1, "")
    assert (
        err
        == "the vendor refuses the PIN (HTTP 401); each one works once, and not for long: start again\n"
    )
    assert not x.store.exists()


def test_a_label_and_a_description_are_kept(place: Make) -> None:
    x = place()
    x.signed_in("--callback", callback())
    kept = Store(x.store).read("me")
    assert kept.label == "sandbox"
    assert kept.description.startswith("X Custom Audiences, signed in on 20")

    words = ("--label", "Loyalty", "--description", "For the spring campaign")
    told = x.signed_in("--callback", callback(), *words)
    kept = Store(x.store).read("me")
    assert (told["label"], kept.label) == ("Loyalty", "Loyalty")
    assert kept.description == "For the spring campaign"


@pytest.mark.parametrize("destination", CODES)
def test_a_code_with_pkce(place: Make, destination: str) -> None:
    made = place(destination, **CODES[destination])
    # a browser that first asks for other pages of the port, as browsers do
    done = made.login("--label", "Ann", "--format", "json", mode="curious")
    assert (done.status, done.json["label"], done.json["logins"]) == (0, "Ann", ["me"]), done.err
    assert tuple(made.kept()) == made.given
    assert made.kept()[made.given[0]] != made.secrets[made.given[0]]
    assert made.send()["delivered"] == 3
    assert made.run("logout", "c.yaml").status == 0
    assert not list(made.store.iterdir())


def test_a_refresh_token_that_rotates_is_kept(place: Make) -> None:
    made = place("microsoft_customer_lists")
    made.signed_in()
    first = made.kept()
    assert made.send()["delivered"] == 3
    second = made.kept()
    assert made.send()["delivered"] == 3
    tokens = [first["refresh_token"], second["refresh_token"], made.kept()["refresh_token"]]
    assert len(set(tokens)) == 3

    # somebody else has used it up: only signing in helps
    Store(made.store).renew("me", "refresh_token", tokens[0])
    summary = made.send()
    assert summary["undelivered"] == 3
    assert "invalid_grant" in summary["reasons"][0]["reason"]
    assert summary["reasons"][0]["reason"].endswith("; sign in again: connector login c.yaml")
    made.signed_in()
    assert made.send()["delivered"] == 3


def test_a_renewed_token_that_cannot_be_kept_stops_the_run(place: Make) -> None:
    made = place("microsoft_customer_lists")
    made.signed_in()
    file = made.store / "me.json"
    text = file.read_text("utf-8")
    made.box.vendor.log = lambda line: file.chmod(0o644)  # others could read it now
    summary = made.send()
    [stopped, first] = summary["reasons"]
    assert (summary["undelivered"], first["code"], stopped["code"]) == (
        3,
        "unauthorized",
        "unauthorized",
    )
    message = "the vendor sent a new 'refresh_token', which cannot be kept: the login in the store can be read by others"
    assert first["reason"].startswith(message)
    assert first["reason"].endswith("; sign in again: connector login c.yaml")
    assert file.read_text("utf-8") == text


def test_a_token_that_is_revoked_in_the_middle_of_a_run(place: Make) -> None:
    x = place()
    x.signed_in("--callback", callback())

    def revoke(line: str) -> None:
        if "/users 200" in line:
            x.box.vendor._verifier._scheme.revoke(x.kept()["access_token"])  # type: ignore[attr-defined]

    x.box.vendor.log = revoke
    done = x.run("send", "c.yaml", "events.ndjson", "--format", "json")
    assert (done.status, done.json["delivered"], done.json["undelivered"]) == (1, 1, 2)
    # whether both were on their way already or one of them waited
    assert sum(reason["count"] for reason in done.json["reasons"]) == 2
    revoked = (
        "X takes this access token no more: it was revoked, or made anew; access_token and "
        "access_token_secret have to be new; sign in again: connector login c.yaml"
    )
    for reason in done.json["reasons"]:
        assert (reason["outcome"], reason["code"]) == ("undelivered", "unauthorized")
        assert reason["reason"] in {revoked, f"its lane was stopped: {revoked}"}


def test_logging_out_of_what_is_revoked_already(place: Make) -> None:
    x = place()
    x.signed_in("--callback", callback())
    x.box.vendor._verifier._scheme.revoke(x.kept()["access_token"])  # type: ignore[attr-defined]
    done = x.run("logout", "c.yaml")
    assert (done.status, done.err.partition(":")[0]) == (
        1,
        "the vendor does not take the token back (HTTP 401)",
    )
    assert x.kept()
    done = x.run("logout", "c.yaml", "--forget", "--format", "json")
    assert done.json == {"removed": [{"login": "me", "label": "sandbox", "revoked": False}]}


# --- which account ---


def test_the_first_time_nobody_knows_the_account(place: Make) -> None:
    x = place()
    del x.document["settings"]
    x.write()
    done = x.run("send", "c.yaml", "events.ndjson")
    assert (done.status, "C202 c.yaml#/settings: missing setting 'account_id'" in done.err) == (
        2,
        True,
    )
    told = x.signed_in("--callback", callback())
    assert told["accounts"] == [{"id": "18ce54d4x5t", "name": "Sandbox"}]
    x.write(settings=told["settings"])
    assert x.send()["delivered"] == 3


def test_several_accounts_without_anybody_to_ask(place: Make) -> None:
    x = place()
    several = {
        "data": [{"id": "a1", "name": "One\x1b[31m"}, {"id": "a2"}, {"id": "a3", "deleted": True}]
    }
    x.box.vendor.answer = answering(x, json.dumps(several))  # type: ignore[method-assign]
    done = x.login("--callback", callback())
    shown = "accounts, of which one is to be set:\n  a1  One\\u001b[31m\n  a2\n"
    assert (done.status, done.out.partition("\n")[2]) == (0, shown)
    told = x.signed_in("--callback", callback())
    assert ([account["id"] for account in told["accounts"]], told["settings"]) == (["a1", "a2"], {})


def test_somebody_chooses_the_account(place: Make) -> None:
    x = place()
    several = {"data": [{"id": "a1", "name": "One"}, {"id": "a2", "name": "Two"}]}
    x.box.vendor.answer = answering(x, json.dumps(several))  # type: ignore[method-assign]
    status, out, typed = at_a_terminal(
        x, {"account:": "9", "2\r\naccount:": "2"}, "--callback", callback()
    )
    assert (status, out.splitlines()[1:]) == (0, ["settings:", "  account_id: a2"])
    assert "   1  a1  One" in typed
    assert "a number from 1 to 2" in typed


def test_what_is_pasted_is_not_shown(place: Make) -> None:
    x = place()
    secrets = {name: x.secrets[name] for name in ("access_token", "access_token_secret")}
    keys = {f"{name}:": secret for name, secret in secrets.items()}
    status, _, typed = at_a_terminal(x, keys, "--paste", hidden=True)
    assert (status, x.kept()) == (0, secrets)
    assert "access_token_secret:" in typed
    for secret in secrets.values():
        assert secret not in typed


def at_a_terminal(
    x: Place, keys: dict[str, str], *options: str, hidden: bool = False
) -> tuple[int, str, str]:
    """Run `login` at a terminal, and answer each question; return status, output and what the terminal shows."""
    ours, theirs = os.openpty()
    with subprocess.Popen(
        [*COMMAND, "login", "c.yaml", *options],
        env=x.environment(), cwd=x.folder, stdin=theirs, stdout=subprocess.PIPE, stderr=theirs, start_new_session=True,
    ) as process:  # fmt: skip
        os.close(theirs)
        shown = b""
        for question, answer in keys.items():
            while not shown.rstrip(b" ").endswith(question.encode()):
                if not select.select([ours], [], [], 10)[0]:
                    process.kill()
                    pytest.fail(f"not asked: {shown!r}")
                shown += os.read(ours, 4096)
            while hidden and termios.tcgetattr(ours)[3] & termios.ECHO:
                time.sleep(0.01)  # what is typed before would be shown
            os.write(ours, f"{answer}\n".encode())
        assert process.stdout is not None
        out = process.stdout.read().decode()
    with contextlib.suppress(OSError):
        shown += os.read(ours, 4096)
    os.close(ours)
    return process.returncode, out, shown.decode()


def test_accounts_that_cannot_be_listed(place: Make) -> None:
    x = place()
    x.box.vendor.answer = answering(x, "", 503)  # type: ignore[method-assign]
    done = x.login("--callback", callback())
    assert (done.status, done.out.count("\n")) == (0, 1)
    assert (
        "signed in, but the accounts cannot be listed: list_accounts failed (gave_up)" in done.err
    )
    assert x.kept()


def answering(x: Place, accounts: str, status: int = 200) -> Callable[..., Any]:
    """Let the sandbox answer the question for accounts in another way."""
    original = x.box.vendor.answer

    def answer(method: str, url: str, headers: dict[str, str], body: bytes) -> Any:
        if "/12/accounts" in url and method == "GET":
            return Answer(status, {"content-type": "application/json"}, accounts.encode())
        return original(method, url, headers, body)

    return answer


# --- what is refused: nothing is stored ---

DECLINED = "the sign-in was declined; nothing is stored"
NOT_OURS = "the browser brought an answer that does not belong to this sign-in; nothing is stored"
GOOGLE = "google_customer_match"
REFUSED: list[tuple[str, str, list[str], str, dict[str, str], int, str]] = [
    (X, "no", [], "", {}, 1, DECLINED),
    (X, "foreign", [], "", {}, 1, NOT_OURS),
    (X, "nothing", ["--wait", "0.2"], "", {}, 1, "no answer came back from the browser within 0.2 seconds; start again"),
    (X, "yes", ["--pin"], "1234567\n", {}, 1, "the vendor refuses the PIN (HTTP 401)"),
    (X, "yes", ["--pin"], "", {}, 1, DECLINED),
    (X, "nothing", [], "", {"CONSUMER_SECRET": "x"}, 1, "the vendor refuses the app (HTTP 401); check consumer_key"),
    (X, "nothing", ["--callback", "http://localhost:8765/"], "", {}, 1, "and that the app has exactly this callback: http://localhost:8765/"),
    (X, "nothing", ["--set", "login_url=http://127.0.0.1:1"], "", {}, 1, "no answer from the vendor: cannot connect to 127.0.0.1:1: "),
    (X, "nothing", ["--callback", "https://127.0.0.1:8765/"], "", {}, 2, "C027 --callback: is not on this machine, or has no port; allowed: http://127.0.0.1:PORT/"),
    (X, "nothing", ["--callback", "http://127.0.0.1/"], "", {}, 2, "C027 --callback: is not on this machine, or has no port"),
    (X, "nothing", ["--callback", "http://127.0.0.1:65536/"], "", {}, 2, "C027 --callback: is no address"),
    (X, "nothing", ["--callback", "http://127.0.0.1:8765/", "--pin"], "", {}, 2, "C027 --callback: no browser comes back to it; leave it out"),
    (X, "nothing", ["--pin", "--paste"], "", {}, 2, "--pin: it and --paste exclude each other: who pastes visits no page; leave one of them out"),
    (X, "nothing", ["--paste"], "", {}, 1, "'access_token' was not pasted as one line; nothing is stored"),
    (X, "nothing", ["--set", "login_url="], "", {}, 2, "C106"),
    (GOOGLE, "no", [], "", {}, 1, DECLINED),
    (GOOGLE, "foreign", [], "", {}, 1, NOT_OURS),
    (GOOGLE, "nothing", ["--pin"], "", {}, 2, "C027 --pin: this destination shows no PIN; leave it out"),
    (GOOGLE, "yes", [], "", {"CLIENT_SECRET": "x"}, 1, "the vendor gives no token (invalid_client, HTTP 401); check client_id and client_secret"),
    (GOOGLE, "nothing", [], "", {"CLIENT_SECRET": ""}, 2, "C216 c.yaml#/credentials/client_secret: the environment variable is not set or empty"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("destination", "mode", "options", "stdin", "variables", "status", "said"), REFUSED
)
def test_what_is_refused(
    place: Make,
    destination: str,
    mode: str,
    options: list[str],
    stdin: str,
    variables: dict[str, str],
    status: int,
    said: str,
) -> None:
    made = place(destination, **CODES.get(destination, {}))
    if destination == X and not {"--callback", "--pin", "--paste"} & {*options}:
        options = [*options, "--callback", callback()]
    # another program may use that port
    port = str(free_port())
    options = [option.replace("8765", port) for option in options]
    done = made.login(*options, mode=mode, stdin=stdin, **variables)
    assert (done.status, done.out) == (status, ""), done.err
    assert said.replace("8765", port) in done.err
    assert not made.store.exists()


def test_a_port_that_is_taken(place: Make) -> None:
    x = place()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        done = x.login("--callback", f"http://127.0.0.1:{port}/")
    assert (done.status, x.log) == (2, [])
    assert (
        f"C027 --callback: port {port} cannot be used: Address already in use; end the program"
        in done.err
    )


NOT_KEPT = [
    {"access_token": {"env": "A"}, "access_token_secret": {"env": "B"}},
    {"access_token": {"env": "A"}},
    {"access_token": {"stored": "another"}},
]


@pytest.mark.parametrize("references", NOT_KEPT)
def test_tokens_that_nothing_would_keep(place: Make, references: dict[str, Any]) -> None:
    # what stands in the place of a name is not shown: it may be the secret itself
    x = place()
    x.refer(**references)
    done = x.login()
    login = "x_custom_audiences"
    hint = f"write access_token: {{stored: {login}}}, access_token_secret: {{stored: {login}}}"
    message = "does not refer to a login for what a sign-in gives"
    assert (done.status, done.err) == (2, f"C026 c.yaml#/credentials: {message}; {hint}\n")
    assert x.log == []


def test_a_sandbox_without_a_place_to_sign_in(place: Make) -> None:
    x = place()
    del x.document["login_url"]
    x.write()
    done = x.login()
    assert done.status == 2
    said = "C217 c.yaml#/login_url: is required: base_url is on this machine, but the secrets would be sent to https://api.x.com/oauth/authorize; add it"
    assert said in done.err


UNREADABLE = [
    ("a file", lambda store: store.write_text("no folder"), "C028 CONNECTOR_STORE: the store {} cannot be used: Not a directory; make the folder yours, or name another one in CONNECTOR_STORE"),
    ("damaged", lambda store: written(store, "{"), "the login in the store is damaged (JSONDecodeError); remove its file in {}"),
    ("readable by others", lambda store: written(store, "{}").chmod(0o640), "the login in the store can be read by others; take the rights away: chmod -R go= {}"),
]  # fmt: skip


def written(store: Path, text: str) -> Path:
    store.mkdir()
    file = store / "me.json"
    file.write_text(text, "utf-8")
    file.chmod(0o600)
    return file


@pytest.mark.parametrize(
    ("spoil", "said"), [one[1:] for one in UNREADABLE], ids=[one[0] for one in UNREADABLE]
)
def test_a_store_that_cannot_be_read(place: Make, spoil: Callable[[Path], Any], said: str) -> None:
    x = place()
    spoil(x.store)
    done = call("send", "c.yaml", "events.ndjson", env=x.environment(), folder=x.folder)
    assert done.status == 2
    assert said.removeprefix("C028 CONNECTOR_STORE: ").format(x.store).partition(";")[0] in done.err
    done = call("logout", "c.yaml", env=x.environment(), folder=x.folder)
    assert done.status == 2
    assert said.format(x.store) in done.err


# --- what is pasted ---


def test_paste_where_there_is_no_page(place: Make) -> None:
    made = place("meta_custom_audiences")
    del made.document["login_url"]
    made.write()
    done = made.login(stdin=f"  {made.secrets['access_token']}\n")
    assert (done.status, done.out) == (0, f"signed in; kept in {made.store / 'me.json'}\n")
    assert made.kept() == {"access_token": made.secrets["access_token"]}
    assert made.send()["delivered"] == 3
    done = made.run("logout", "c.yaml")
    assert done.out == "removed the login 'me'; its token is not taken back\n"


@pytest.mark.parametrize("destination", [X, "meta_custom_audiences"])
def test_what_the_vendor_refuses_is_not_kept(place: Make, destination: str) -> None:
    made = place(destination)
    if destination != X:
        del made.document["login_url"]
        made.write()
    done = made.login("--paste", stdin="junk\n" * len(made.given or made.secrets))
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith("the vendor refuses what was pasted: ")
    assert done.err.endswith("; nothing is stored\n")
    assert not made.store.exists()


def test_what_cannot_be_tried_is_kept_and_said(place: Make) -> None:
    x = place()
    pasted = f"{x.secrets['access_token']}\n{x.secrets['access_token_secret']}\n"
    nowhere = ("--set", "base_url=http://127.0.0.1:1")
    done = x.login("--paste", *nowhere, stdin=pasted)
    assert done.status == 0
    kept = x.store / "me.json"
    expected = f"kept in {kept}; whether the vendor accepts it is not known: cannot connect"
    assert done.out.startswith(expected)
    done = x.login("--paste", "--format", "json", *nowhere, stdin=pasted)
    assert done.json["accepted"] is None
    assert done.json["not_tried"].startswith("cannot connect")
    done = x.login("--paste", "--format", "json", stdin=pasted)
    assert (done.json["accepted"], done.json["not_tried"]) == (True, None)


def test_the_secrets_of_the_app_may_be_in_the_store_too(place: Make) -> None:
    x = place()
    x.refer(consumer_key={"stored": "me"}, consumer_secret={"stored": "me"})
    app = f"{x.secrets['consumer_key']}\n{x.secrets['consumer_secret']}\n"
    assert x.login("--callback", callback(), stdin=app).status == 0
    assert sorted(x.kept()) == [
        "access_token",
        "access_token_secret",
        "consumer_key",
        "consumer_secret",
    ]
    before = x.kept()
    # they are there now, and nobody is asked for them again
    assert x.login("--callback", callback()).status == 0
    after = x.kept()
    assert {name for name in before if before[name] != after[name]} == {*x.given}
    assert x.send()["delivered"] == 3


def test_a_login_that_has_ended(place: Make) -> None:
    made = place("linkedin_audiences", authentication="access_token")
    made.signed_in()
    file = made.store / "me.json"
    login = json.loads(file.read_text("utf-8"))
    assert login["ends"] > 0
    file.write_text(json.dumps({**login, "ends": 1.0}), "utf-8")
    done = made.run("send", "c.yaml", "events.ndjson")
    assert done.status == 2
    assert "the login has ended; sign in again: connector login c.yaml" in done.err
    made.signed_in()
    assert made.send()["delivered"] == 3


def test_a_sandbox_for_a_connection_that_nobody_has_signed_in_for(place: Make) -> None:
    x = place()
    command = [*COMMAND, "sandbox", X, "--connection", "c.yaml"]
    with subprocess.Popen(
        command,
        env=x.environment(),
        cwd=x.folder,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            assert process.stdout is not None
            told = dict(
                line.strip().split(": ", 1)
                for line in [process.stdout.readline() for _ in range(4)][2:]
            )
            x.write(**told)
            x.signed_in("--callback", callback())
            assert x.send()["delivered"] == 3
        finally:
            process.terminate()
