"""What a command line's exit status says of a run."""

from __future__ import annotations

import pytest

from connector.cli.words import detailed_status
from connector.delivery.report import Counts, Report


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
