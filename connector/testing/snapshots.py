"""How syrupy keeps the snapshots of cases: one text file for each case, in a folder for each case file."""

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


_KEEP = "connector test --update (or pytest --snapshot-update)"


class CaseSnapshots(SingleFileSnapshotExtension):
    """Keeps a case's snapshot in `__snapshots__/<stem of the case file>/<slug of the case>.txt`."""

    _write_mode = WriteMode.TEXT
    # the second name is that of syrupy 4
    file_extension = _file_extension = "txt"

    @classmethod
    def get_snapshot_name(cls, *, test_location: PyTestLocation, index: SnapshotIndex = 0) -> str:  # noqa: ARG003
        """Return the slug of the case: a case has one snapshot."""
        return slug(test_location.testname)


def mismatch(snapshot: SnapshotAssertion, text: str) -> str | None:
    """Compare a text with the snapshot that is kept, or keep it when asked to; return the difference in words."""
    kept = snapshot.use_extension(CaseSnapshots)
    if kept == text:
        return None
    result = kept.executions[0]
    if result.exception is not None:
        return f"its snapshot cannot be read: {result.exception}"
    if result.recalled_data is None:
        return f"it has no snapshot yet. Read this; if it is right, keep it with {_KEEP}.\n\n{text}"
    name = Path(result.snapshot_location).name
    rows = (str(result.recalled_data).splitlines(), text.splitlines())
    lines = difflib.unified_diff(*rows, f"{name} (kept)", f"{name} (now)", lineterm="")
    return "\n".join(["it differs from its snapshot.", "", *lines])


def keep(snapshot: SnapshotAssertion) -> None:
    """Leave the snapshot as it is, and let it count as used: the case failed before it could be compared."""
    kept = snapshot.use_extension(CaseSnapshots)
    kept.update_snapshots = kept.update_new_snapshots_only = False
    _ = kept == ""
