"""Mistakes before the first request: status 2, a message on stderr that says what and how to mend it, nothing sent."""

from __future__ import annotations

import errno
import gzip
import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from connector.cli import app as command_line
from tests.kit.cli import SECRETS, Done, at_once, connection, environment, ndjson, person, run
from tests.kit.http_vendor import Vendor

SECRET = "wJalrXUtnFEMI-0123456789"  # stands in a file where it should not


def refused(done: Done, *says: str) -> None:
    """The command ended with status 2 and said so much on stderr, each on a line of its own."""
    assert done.status == 2, done.text
    assert not done.out
    for pattern in says:
        assert re.search(pattern, done.err, re.MULTILINE), (pattern, done.err)
    assert len(done.err.splitlines()) == len(says), done.err


@pytest.fixture
def made(tmp_path: Path) -> Path:
    ndjson(tmp_path, [person(1)])
    return connection(tmp_path)


def changed(made: Path, **changes: str) -> Path:
    """The connection with other values for its credentials."""
    text = made.read_text("utf-8")
    for name, value in changes.items():
        text = text.replace(f"{{env: X_{name.upper()}}}", value)
    made.write_text(text, "utf-8")
    return made


def send(made: Path, *options: str | Path) -> Done:
    return run("send", made, made.parent / "events.ndjson", *options)


# Secrets --------------------------------------------------------------------------------------------------------------


def test_a_secret_in_the_file_is_refused_and_not_repeated(made: Path) -> None:
    written = {
        "consumer_key": SECRET,
        "consumer_secret": f"[{SECRET}]",
        "access_token": f"{{value: {SECRET}}}",
    }
    done = send(changed(made, **written, access_token_secret=f"{{env: {SECRET}}}"), "--sandbox")
    refused(
        done,
        r"^C203 .*connection\.yaml#/credentials/consumer_key: literal secret in the file; write {env: NAME}, {file: PATH} or {stored: NAME} instead",
        r"^C203 .*connection\.yaml#/credentials/consumer_secret: literal secret in the file",
        r"^C102 .*connection\.yaml#/credentials/access_token: unknown key; known: env, file",
        r"^C106 .*connection\.yaml#/credentials/access_token_secret/env: .*the name of an environment variable",
    )
    assert SECRET not in done.err


def test_every_credential_without_its_environment_variable_is_named_at_once(made: Path) -> None:
    with Vendor() as vendor:
        variables = environment(X_ACCESS_TOKEN=None, X_CONSUMER_KEY="", X_CONSUMER_SECRET=None)
        made = connection(made.parent, base_url=vendor.base_url)
        done = run("send", made, made.parent / "events.ndjson", env=variables)
        assert not vendor.seen
    names = ("ACCESS_TOKEN", "CONSUMER_KEY", "CONSUMER_SECRET")
    missing = [
        f"^C216 .*#/credentials/{n.lower()}: the environment variable is not set or empty"
        for n in names
    ]
    refused(done, *missing)


def test_secret_files_that_cannot_be_used(made: Path) -> None:
    folder = made.parent
    (folder / "empty").write_bytes(b" \n")
    (folder / "binary").write_bytes(b"\xff\xfe")
    changed(
        made,
        consumer_key=f"{{file: {folder}/nowhere}}",
        consumer_secret=f"{{file: {folder}/empty}}",
    )
    changed(
        made, access_token=f"{{file: {folder}/binary}}", access_token_secret=f"{{file: {folder}}}"
    )
    refused(
        send(made),
        "^C216 .*/consumer_key: the file does not exist; write the secret to it",
        "^C216 .*/consumer_secret: the file is empty; write the secret to it",
        "^C216 .*/access_token: the file is not UTF-8 text; write the secret to it as text",
        "^C216 .*/access_token_secret: the file cannot be read",
    )


def test_a_secret_from_a_file_is_used(made: Path) -> None:
    (made.parent / "secret").write_text("key-of-a-file\n", "utf-8")
    with Vendor() as vendor:
        changed(made, consumer_key=f"{{file: {made.parent / 'secret'}}}")
        assert send(made, "--set", f"base_url={vendor.base_url}").status == 0
        assert 'oauth_consumer_key="key-of-a-file"' in vendor.seen[0].headers["authorization"]


def test_a_sandbox_needs_no_secrets(made: Path) -> None:
    bare = environment(**dict.fromkeys(SECRETS))
    assert run("send", "--sandbox", made, made.parent / "events.ndjson", env=bare).status == 0


# The connection -------------------------------------------------------------------------------------------------------

FORM = """
destination: x_custom_audiences
setings: {account_id: 18ce54d4x5t}
limits: {age: 5 weeks}
routes:
  - action: add_user
    map: {email: {form: email}}
"""
CONTENT = """
destination: x_custom_audiences
settings: {acount_id: 18ce54d4x5t}
base_url: http://ads.example.com
limits: {bytes: 7MB}
credentials: {consumer_kye: {env: A}, consumer_secret: {env: A}, access_token: {env: A}, access_token_secret: {env: A}}
routes:
  - {action: add_user_mutli, map: {}}
  - action: add_user_multi
    map: {custom_audience_id: {from: audience}, emial: {from: email}, handle: {from: a..b}, email: {expr: event.}}
  - action: add_user_multi
    map: {custom_audience_id: {value: NOT-AN-ID}}
  - action: add_user_multi
    map: {email: {from: email}}
"""
WRONG = {
    FORM: (
        r"^C102 .*#/setings: unknown key 'setings'; .*did you mean 'settings'\?",
        r"^C106 .*#/limits/age: has an invalid format; allowed: a whole number and its unit",
        r"^C102 .*#/routes/0/map/email/form: unknown key 'form'; .*from",
    ),
    CONTENT: (
        r"^C202 .*#/settings: missing setting 'account_id'",
        r"^C202 .*#/settings/acount_id: unknown setting 'acount_id'; .*did you mean 'account_id'\?",
        r"^C204 .*#/credentials/consumer_kye: unknown credential 'consumer_kye'; .*did you mean 'consumer_key'\?",
        r"^C204 .*#/credentials: missing credential 'consumer_key'",
        r"^C205 .*#/base_url: https is required: identifiers would be sent unencrypted",
        r"^C206 .*#/limits/bytes: is above the vendor's cap of 5,000,000 for add_user_multi; allowed: at most 5000000",
        r"^C207 .*#/routes/0/action: unknown action 'add_user_mutli'; .*did you mean 'add_user_multi'\?",
        r"^C208 .*#/routes/1/map/emial: unknown parameter 'emial'; .*did you mean 'email'\?",
        r"^C211 .*#/routes/1/map/handle/from: ",
        r"^C212 .*#/routes/1/map/email/expr: ",
        r"^C213 .*#/routes/2/map/custom_audience_id/value: custom_audience_id has an invalid format",
        r"^C210 .*#/routes/2/map: ",
        r"^C209 .*#/routes/3/map: required parameter 'custom_audience_id' is not mapped",
    ),
    "destination: x_custom_audience\nroutes: [{action: add_user, map: {}}]\n": (
        r"^C201 .*#/destination: unknown destination 'x_custom_audience'; .*did you mean 'x_custom_audiences'\?",
    ),
    "destination: [x": (r"^C101 .*connection\.yaml: invalid YAML: .*line \d+, column \d+",),
    "destination: a\ndestination: b\nroutes: []\n": (r"^C101 .*connection\.yaml: .*'destination'",),
    "just text": (r"^C105 .*connection\.yaml: must be an object, got text",),
    "": (r"^C105 .*connection\.yaml: must be an object, got null",),
}


def test_every_mistake_in_a_connection_is_named_with_its_place(tmp_path: Path) -> None:
    events = ndjson(tmp_path, [person(1)])

    def attempt(text: str, number: int) -> Done:
        (tmp_path / str(number)).mkdir()
        made = tmp_path / str(number) / "connection.yaml"
        made.write_text(text, "utf-8")
        return run("send", made, events)

    dones = at_once([partial(attempt, text, number) for number, text in enumerate(WRONG)])
    for done, says in zip(dones, WRONG.values(), strict=True):
        refused(done, *says)


def test_a_connection_that_is_not_there_or_plain_http_elsewhere(made: Path) -> None:
    events = made.parent / "events.ndjson"
    hosts = ("10.0.0.1", "localhost.example.com", "127.0.0.1.example.com", "0.0.0.0")
    works = [partial(send, made, "--set", f"base_url=http://{host}") for host in hosts]
    works += [
        partial(run, "send", made.parent / "nope.yaml", events),
        partial(run, "send", made.parent, events),
    ]
    *elsewhere, missing, folder = at_once(works)
    for done in elsewhere:
        refused(
            done,
            r"^C205 .*#/base_url: https is required: identifiers would be sent unencrypted; http is allowed on",
        )
    refused(missing, r"^C101 .*nope\.yaml: cannot be read: No such file")
    refused(folder, "^C101 .*: cannot be read: Is a directory")


# Files ----------------------------------------------------------------------------------------------------------------


def test_a_report_that_cannot_be_written_is_told_before_anything_is_sent(made: Path) -> None:
    with Vendor() as vendor:
        for place, why in (("nowhere/report", "No such file"), (".", "Is a directory")):
            done = send(
                made, "--report", made.parent / place, "--set", f"base_url={vendor.base_url}"
            )
            refused(done, f"C013 .*: cannot write the report: {why}")
        assert not vendor.seen


def test_a_run_that_cannot_begin_leaves_the_last_report(made: Path) -> None:
    report = made.parent / "report"
    report.write_text("of the run before\n", "utf-8")
    done = run(
        "send",
        made,
        made.parent / "events.ndjson",
        "--report",
        report,
        env=environment(X_ACCESS_TOKEN=None),
    )
    assert done.status == 2
    assert report.read_text("utf-8") == "of the run before\n"


def test_a_report_never_overwrites_the_input(made: Path) -> None:
    events = made.parent / "events.ndjson"
    before = events.read_bytes()
    done = send(made, "--sandbox", "--report", events)
    assert events.read_bytes() == before
    assert done.status == 2


UNREADABLE = {
    "nope.ndjson": "file not found; check the path",
    "folder.ndjson": "the folder holds no file; name another",
    "events.txt": r"unknown file format '\.txt'; expected \.ndjson, \.jsonl, \.json, \.csv \(each optionally \.gz or \.zst\) or \.parquet",
    "events": "the name has no file extension; expected",
    "not_packed.ndjson.gz": "not gzip data although its name ends in .gz",
    "twice.csv": "columns 1 and 2 have the same name; rename one of them",
    "no_table.parquet": "",
}


def test_events_that_cannot_be_read(made: Path) -> None:
    folder = made.parent
    (folder / "folder.ndjson").mkdir()
    for text in ("events.txt", "events", "not_packed.ndjson.gz", "no_table.parquet"):
        (folder / text).write_text('{"email": "plain@example.com"}\n', "utf-8")
    (folder / "twice.csv").write_text("email,email\nplain@example.com,b\n", "utf-8")
    dones = at_once([partial(run, "send", "--sandbox", made, folder / name) for name in UNREADABLE])
    for done, (name, says) in zip(dones, UNREADABLE.items(), strict=True):
        refused(done, f"{re.escape(name)}: .*{says}")
        assert "example.com" not in done.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_events_that_may_not_be_read(made: Path) -> None:
    (made.parent / "events.ndjson").chmod(0)
    refused(send(made, "--sandbox"), "permission denied; make the file readable for this user")


def test_what_may_not_be_entered_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse() -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "kept/state/outbox.db")

    monkeypatch.setattr(command_line, "app", refuse)
    with pytest.raises(SystemExit) as ended:
        command_line.main()
    assert ended.value.code == 2
    says = "let this user enter its folder, or run as the owner"
    assert capsys.readouterr().err == f"kept/state/outbox.db: Permission denied; {says}\n"


def test_damaged_gzip_keeps_what_is_before_the_damage(made: Path) -> None:
    packed = gzip.compress((made.parent / "events.ndjson").read_bytes() * 2_000, mtime=0)
    (made.parent / "cut.ndjson.gz").write_bytes(packed[: len(packed) // 2])
    done = run("send", "--sandbox", made, made.parent / "cut.ndjson.gz", "--format", "json")
    assert done.status == 1
    assert done.json["delivered"] + done.json["superseded"] > 0
    assert done.json["rejected"] == 1


def test_another_host_is_allowed_by_whoever_runs_it(tmp_path: Path) -> None:
    made = connection(tmp_path, base_url="https://proxy.example.com")
    events = ndjson(tmp_path, [person(1)])
    for command in (("lint", made), ("preview", made, events), ("send", made, events)):
        done = run(*command)
        text = "leads to proxy.example.com, which is no host of the destination"
        assert (done.status, text in done.text) == (1 if command[0] == "lint" else 2, True)

    preview = ("preview", made, events)
    for allowed in (
        run("--allow-host", "other.example.com", "--allow-host", "*.example.com", *preview),
        run(*preview, env=environment(CONNECTOR_ALLOW_HOSTS="proxy.example.com")),
    ):
        assert allowed.status == 0
        assert "POST https://proxy.example.com/" in allowed.out


# Full disks and closed pipes ------------------------------------------------------------------------------------------

needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")


def shell(made: Path, script: str) -> bytes:
    """What a script says on stderr; $P is Python, $C and $E the two files."""
    variables = {
        **environment(),
        "P": sys.executable,
        "C": str(made),
        "E": str(made.parent / "events.ndjson"),
    }
    done = subprocess.run(
        ["sh", "-c", script], capture_output=True, check=False, env=variables, timeout=30
    )
    return done.stderr


@needs_full
def test_a_full_disk_under_the_report_ends_no_run(made: Path) -> None:
    events = ndjson(made.parent, [{"id": str(i), "audience": "1nmth"} for i in range(2_000)])
    done = run("send", "--sandbox", made, events, "--report", "/dev/full")
    assert done.status == 1
    assert "rejected 2,000 x " in done.out
    assert "the report is incomplete: No space left on device" in done.out


@needs_full
def test_a_full_disk_under_the_summary_is_no_traceback(made: Path) -> None:
    assert b"Traceback" not in shell(made, '"$P" -m connector send --sandbox "$C" "$E" > /dev/full')


def test_a_reader_that_has_seen_enough_is_no_traceback(made: Path) -> None:
    ndjson(made.parent, [person(i, audience=str(i)) for i in range(300)])
    assert shell(made, '"$P" -m connector preview "$C" "$E" | head -c 1') == b""


def test_a_port_in_use_is_no_traceback() -> None:
    with Vendor() as vendor:
        refused(
            run("sandbox", "x_custom_audiences", "--port", vendor.base_url.rpartition(":")[2]),
            "in use",
        )
