"""The accounts of who signed in: rows of whatever lists them, and the setting for one of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple


class Account(NamedTuple):
    """One account: its id, and its name where it has one."""

    id: str
    name: str


def accounts_of(rows: Iterable[Mapping[str, Any]]) -> list[Account]:
    """Return the accounts that rows with `id` and `name` are; one without an id is none."""
    accounts = []
    for row in rows:
        identity = row.get("id")
        if identity not in (None, "") and not row.get("deleted"):
            accounts.append(Account(str(identity), str(row.get("name") or "")))
    return accounts
