"""What a command line's exit status says of a run, and `connector status` of an outbox."""

from __future__ import annotations

import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from connector.cli.options import Format
from connector.cli.status import status as show
from connector.cli.summary import summary_text
from connector.cli.words import detailed_status
from connector.delivery.outbox.sqlite import SqliteOutbox
from connector.delivery.report import Counts, OutboxUse, Report
from connector.delivery.state.folder import delivering


@pytest.mark.parametrize(
    ("counts", "interrupted", "status"),
    [
        (Counts(rejected=1), False, 3),
        (Counts(rejected=1, undelivered=1), False, 4),
        (Counts(undelivered=1), True, 5),
        (Counts(), True, 5),
        (Counts(), False, 1),
    ],
)
def test_a_failure_in_detail(counts: Counts, interrupted: bool, status: int) -> None:
    report = Report(counts, interrupted=interrupted)
    assert detailed_status(report, 1) == status
    assert detailed_status(report, 0) == 0


@pytest.mark.parametrize("is_terminal", [True, False])
def test_only_a_terminal_is_cleared(
    is_terminal: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with delivering(tmp_path / "state") as lock, closing(SqliteOutbox(tmp_path / "state", lock)):
        pass
    looks = []

    def sleep(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", sleep)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: is_terminal)
    show(tmp_path / "state", None, watch=True, form=Format.TEXT)
    out = capsys.readouterr().out
    assert out.count("nothing was accepted yet\n") == 2
    assert out.count("\x1b") == (4 if is_terminal else 0)


@pytest.mark.parametrize(
    ("count", "lines"),
    [
        (1, ["1 request, 0 bytes", "1 undelivered record is kept in DIR", "1 new dead letter: "]),
        (2, ["2 requests, 0 bytes", "2 undelivered records are kept", "2 new dead letters: "]),
    ],
)
def test_one_is_no_plural(count: int, lines: list[str]) -> None:
    use = OutboxUse("DIR", 0, 0, count, count, input_lost=False, earlier_input_lost=False)
    text = summary_text(Report(Counts(requests=count), outbox=use), [], None)
    for line in lines:
        assert f"\n{line}" in text
