"""Settings of every test run: how many examples a law tries, and a collector that leaves what is loaded alone."""

from __future__ import annotations

import gc
import os

import pytest
from hypothesis import settings

# A law tries as many examples as its mutations need (see the settings of each); "thorough" is for a night.
settings.register_profile("default", max_examples=60, deadline=None)
settings.register_profile("thorough", max_examples=1_000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Let the garbage collector never look again at what collecting has loaded."""
    gc.collect()
    gc.freeze()
