"""Settings of every test run."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest
from hypothesis import settings

from tests.kit.warm import close_warm_python

#: A folder that is nowhere.
NOWHERE = Path(__file__).parent / "no-logins"

# The laws say themselves how many examples they need (`tests.kit.records.tries`).
settings.register_profile("connector", max_examples=60, deadline=None)
settings.load_profile("connector")


def pytest_configure(config: pytest.Config) -> None:
    """Let no test see the logins of whoever runs it, or touch their keyring."""
    os.environ["CONNECTOR_STORE"] = str(NOWHERE)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Let the garbage collector never look again at what collecting has loaded."""
    gc.collect()
    gc.freeze()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """End the process that forks for commands, if one was started."""
    close_warm_python()
