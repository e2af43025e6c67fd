"""How syrupy keeps the snapshots of cases.

There is one text file for each case and one folder for each case file.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING

from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode

from connector.testing.case import slug

if TYPE_CHECKING:
    from syrupy.assertion import SnapshotAssertion
    from syrupy.location import PyTestLocation
    from syrupy.types import SnapshotIndex

_UPDATE = "connector test --update (or pytest --snapshot-update)"


class CaseSnapshots(SingleFileSnapshotExtension):
    """Keeps a snapshot in `__snapshots__/<stem of the case file>/<slug of the case>.txt`."""

    _write_mode = WriteMode.TEXT
    # syrupy 4 knows the second name, later ones the first.
    file_extension = _file_extension = "txt"

    @classmethod
    def get_snapshot_name(
        cls,
        *,
        test_location: PyTestLocation,
        index: SnapshotIndex = 0,  # noqa: ARG003 - syrupy passes it by name
    ) -> str:
        """Return the slug of the case: a case has one snapshot."""
        return slug(test_location.testname)


def mismatch(snapshot: SnapshotAssertion, text: str) -> str | None:
    """Compare a text with its snapshot, or save it in update mode.

    Return the difference in words, None when there is none.
    """
    kept = snapshot.use_extension(CaseSnapshots)
    if kept == text:
        return None

    result = kept.executions[0]
    if result.exception is not None:
        return f"its snapshot cannot be read: {result.exception}"
    if result.recalled_data is None:
        return f"it has no snapshot yet. Review this; if it is right, run {_UPDATE}.\n\n{text}"

    name = Path(result.snapshot_location).name
    diff = difflib.unified_diff(
        str(result.recalled_data).splitlines(),
        text.splitlines(),
        fromfile=f"{name} (kept)",
        tofile=f"{name} (now)",
        lineterm="",
    )
    return "\n".join(["it differs from its snapshot.", "", *diff])


def mark_as_used(snapshot: SnapshotAssertion) -> None:
    """Leave the snapshot of a case that failed before the comparison, and count it as used."""
    kept = snapshot.use_extension(CaseSnapshots)
    kept.update_snapshots = False
    kept.update_new_snapshots_only = False
    _ = kept == ""
