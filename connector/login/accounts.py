"""The accounts of who signed in, of which a setting names one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from connector.calls.run import rows
from connector.connection.model import Connection
from connector.definitions.login import Accounts
from connector.delivery.courier import Transport


class Account(NamedTuple):
    """One account: its id, and its name where it has one."""

    id: str
    name: str


def accounts_from(
    connection: Connection, accounts: Accounts, transport: Transport
) -> list[Account]:
    """Return the accounts that the vendor lists. Raise CallError."""
    # Somebody is waiting: a vendor that asks to come back later is not waited for.
    return accounts_of(rows(connection, accounts.call, {}, transport, retries=0))


def accounts_of(rows: Iterable[Mapping[str, Any]]) -> list[Account]:
    """Return the accounts that rows with `id` and `name` are; one without an id is none."""
    accounts = []
    for row in rows:
        identity = row.get("id")
        if identity not in (None, "") and not row.get("deleted"):
            accounts.append(Account(str(identity), str(row.get("name") or "")))
    return accounts
