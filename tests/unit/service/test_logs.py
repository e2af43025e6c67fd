"""The log of a service: a disk that is full takes no thread of it along."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

import pytest

pytest.importorskip("structlog", reason="needs the extra 'serve'")

from connector.service.logs import open_log

FULL = Path("/dev/full")


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
def test_a_line_that_cannot_be_written_is_lost(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log = open_log()
    full = FULL.open("w")
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stderr", full)
        log.error("lost")
    with suppress(OSError):
        full.close()
    log.error("kept")
    assert '"event": "kept"' in capsys.readouterr().err
