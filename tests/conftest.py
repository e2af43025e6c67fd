"""Settings of every test run."""

from __future__ import annotations

import gc

import pytest
from hypothesis import settings

# The laws say themselves how many examples they need (`tests.kit.records.tries`).
settings.register_profile("connector", max_examples=60, deadline=None)
settings.load_profile("connector")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Let the garbage collector never look again at what collecting has loaded."""
    gc.collect()
    gc.freeze()
