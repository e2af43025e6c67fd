"""The measured mapping as a good programmer writes it by hand, for exactly this.

It refuses what has not the form, as the definition does; a simpler form does for these events.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import orjson

_EMAIL = re.compile(r"[a-z0-9_+.-]+@[a-z0-9.-]+\.[a-z]{2,}").fullmatch
_HANDLE = re.compile(r"[a-z0-9_]{1,20}").fullmatch
_E164 = re.compile(r"\+[1-9][0-9]{6,14}").fullmatch


def by_hand(path: Path) -> Iterator[bytes]:
    """Yield the same bodies, written by hand for exactly this mapping."""
    users: list[dict[str, list[str]]] = []
    with path.open("rb") as file:
        for line in file:
            traits = orjson.loads(line).get("traits") or {}
            user = _user(traits.get("email"), traits.get("phone"), traits.get("handle"))
            if user:
                users.append(user)
            if len(users) == 1000:
                yield _body(users)
                users = []
    if users:
        yield _body(users)


def _user(email: str | None, phone: str | None, handle: str | None) -> dict[str, list[str]]:
    user = {}
    if email and _EMAIL(email := email.strip().lower()):
        user["email"] = [sha256(email.encode()).hexdigest()]
    if phone and _E164(phone := phone.strip()):
        user["phone_number"] = [sha256(phone.encode()).hexdigest()]
    if handle and _HANDLE(handle := handle.strip().lstrip("@").lower()):
        user["handle"] = [sha256(handle.encode()).hexdigest()]
    return user


def _body(users: list[dict[str, list[str]]]) -> bytes:
    return orjson.dumps([{"operation_type": "Update", "params": {"users": users}}])
