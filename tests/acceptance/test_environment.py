"""The machine never changes a result: not its time zone, its locale or the seed of its hashes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.kit import ROOT

CONNECTION = """
destination: x_custom_audiences
settings: {account_id: 18ce54d4x5t}
routes:
  - name: in
    action: add_user_multi
    when: event.op == "in"
    map: &person
      custom_audience_id: {from: audience}
      email: {from: [mail, mails]}
      phone_number: {from: phone}
      handle: {from: handle}
      partner_user_id: {from: partner}
      effective_at: {from: start}
      expires_at: {from: end}
  - {name: out, action: remove_user_multi, when: event.op == "out", map: *person}
"""
EVENTS = [
    {
        "op": "in",
        "audience": "aaa",
        "mail": " ÄNN@Example.com ",
        "end": "2099-03-29T02:30:00+02:00",
    },
    {
        "op": "in",
        "audience": "bbb",
        "mails": ["b@example.com", "İ@example.com"],
        "phone": "+44 20 7946 0123",
    },
    {"op": "out", "audience": "aaa", "handle": "@Éva", "partner": "größe-1"},
    {
        "op": "in",
        "audience": "aaa",
        "mail": "c@example.com",
        "start": "2099-01-01T00:00:00Z",
        "end": "2099-02-01T00:00:00Z",
    },
    {"op": "in", "audience": "aaa", "mail": "d@example.com", "end": "2099-02-01T00:00:00"},
    {"op": "in", "audience": "aaa", "phone": "555", "mail": True},
    {"op": "none"},
]
PLAIN = {"TZ": "UTC", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "0"}
MACHINES = [
    {**PLAIN, "TZ": "Pacific/Kiritimati"},
    {**PLAIN, "TZ": "America/St_Johns", "PYTHONHASHSEED": "1"},
    {**PLAIN, "LC_ALL": "C", "LANG": "C", "PYTHONHASHSEED": "2"},
    {**PLAIN, "LC_ALL": "tr_TR.UTF-8", "LANG": "tr_TR.UTF-8", "PYTHONHASHSEED": "3"},
]


def preview(folder: Path, machine: dict[str, str]) -> bytes:
    """Return what a preview prints on such a machine."""
    (folder / "c.yaml").write_text(CONNECTION, "utf-8")
    (folder / "e.ndjson").write_text(
        "".join(json.dumps(e, ensure_ascii=False) + "\n" for e in EVENTS), "utf-8"
    )
    kept = {
        name: os.environ[name]
        for name in ("PATH", "SYSTEMROOT", "VIRTUAL_ENV")
        if name in os.environ
    }
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "connector", "preview", "--format", "json", "c.yaml", "e.ndjson"],
        env={**kept, **machine, "PYTHONPATH": str(ROOT)}, cwd=folder, capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    return done.stdout


def test_a_preview_is_the_same_bytes_on_every_machine(tmp_path: Path) -> None:
    folders = [tmp_path / str(number) for number in range(len(MACHINES) + 1)]
    for folder in folders:
        folder.mkdir()
    with ThreadPoolExecutor(3) as pool:
        first, *others = pool.map(preview, folders, [PLAIN, *MACHINES])
    assert first.count(b'"method"') == 2
    assert first.count(b'"rejected"') == 2
    assert "größe-1".encode() in first
    assert others == [first] * len(MACHINES)


def test_an_output_that_is_not_utf_8_changes_nothing(tmp_path: Path) -> None:
    assert preview(tmp_path, {**PLAIN, "PYTHONIOENCODING": "ascii"}) == preview(tmp_path, PLAIN)
