"""Opening the outbox of a service, by a folder or by the URL of a database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from connector.delivery.outbox.model import MAX_PENDING
from connector.delivery.state.folder import delivering
from connector.errors import ConfigError, Problem
from connector.service.references import reference_in

if TYPE_CHECKING:
    from connector.delivery.outbox.store import SqlOutbox

_REFERENCES = ("env:", "file:")
_SCHEMES = ("postgresql://", "postgres://")


@dataclass(frozen=True)
class Place:
    """Where an outbox is: `folder` of `--state`, else `store`, a URL or a reference to one."""

    folder: Path | None
    store: str | None

    @property
    def is_shared(self) -> bool:
        """Whether several processes may deliver from it."""
        return self.folder is None

    def check(self) -> None:
        """Raise ConfigError (C046) unless one of them is given."""
        if (self.folder is None) == (self.store is None):
            message = "exactly one of --state and --store says where the records are"
            hint = "--state DIR for one process, --store env:NAME for a database of several"
            raise ConfigError([Problem("C046", "--state", "", message, hint)])


@contextmanager
def opened(place: Place, *, delivers: bool, max_pending: int = MAX_PENDING) -> Iterator[SqlOutbox]:
    """Yield the outbox. `delivers`: whether this process does; one at a time may with a folder.

    Raise ConfigError, OutboxError and StateFolderError.
    """
    place.check()
    if place.folder is None:
        with closing(_database(place.store or "", max_pending)) as outbox:
            yield outbox
        return

    from connector.delivery.outbox.sqlite import SqliteOutbox

    if not delivers:
        with closing(SqliteOutbox(place.folder, None, max_pending=max_pending)) as outbox:
            yield outbox
        return
    with (
        delivering(place.folder) as lock,
        closing(SqliteOutbox(place.folder, lock, max_pending=max_pending)) as outbox,
    ):
        yield outbox


def _database(store: str, max_pending: int) -> SqlOutbox:
    # It may hold a password, so it is not quoted.
    url = reference_in(store, "--store") if store.startswith(_REFERENCES) else store
    if not url.startswith(_SCHEMES):
        message = "is no URL of a database: it must begin with postgresql://, or be a reference"
        hint = "write postgresql://USER@HOST/DATABASE, or env:NAME or file:PATH where it stands"
        raise ConfigError([Problem("C046", "--store", "", message, hint)])
    try:
        from connector.delivery.outbox.postgres import PostgresOutbox
    except ImportError:
        message = "a database needs psycopg, which is not installed"
        hint = "install it with: pip install 'audience-connector[postgres]'"
        raise ConfigError([Problem("C046", "--store", "", message, hint)]) from None
    return PostgresOutbox(url, max_pending=max_pending)
