"""Posts: as they came, and as they are committed.

Posts that came at the same time share a transaction, and those without an idempotency key also
their bundles: many posts of one event cost little more than one post of many.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import orjson

from connector.delivery.outbox.model import Idempotency, Post
from connector.delivery.worker.bundles import Written
from connector.delivery.worker.mapping import Mapped, Mapper
from connector.model import Event, Unreadable


@dataclass(slots=True, eq=False)
class Incoming:
    """A post as it came. `key`: the digest of its idempotency key, "" without one."""

    body: bytes
    content_type: str
    encoding: str
    connections: Sequence[str]
    key: str = ""

    events: list[Event] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)
    mapped: dict[str, Mapped] = field(default_factory=dict)
    answer: bytes = b""
    counts: dict[str, int] = field(default_factory=dict)

    def forget(self) -> None:
        """Free what it was made of, once it is sure to be committed or refused as it is."""
        self.events.clear()
        self.mapped.clear()


class Commit(NamedTuple):
    """Posts that are committed as a whole or not at all. `post`: what the outbox is given."""

    posts: Sequence[Incoming]
    written: Sequence[Written]
    post: Post

    @property
    def records(self) -> int:
        """How many records it has."""
        return sum(len(one.records) for one in self.written)


def commits_of(group: Sequence[Incoming], mappers: Mapping[str, Mapper]) -> list[Commit]:
    """Return mapped posts as they are committed, with their answers.

    A post with a key stands alone: it may have been committed before. Posts for other connections
    do, too: one of these may be full.
    """
    alone = []
    together: dict[tuple[str, ...], list[Incoming]] = {}
    for incoming in group:
        if incoming.key:
            alone.append([incoming])
        else:
            together.setdefault(tuple(incoming.connections), []).append(incoming)

    commits = []
    for posts in (*alone, *together.values()):
        commits.append(_commit(posts, mappers))
    return commits


def _commit(posts: Sequence[Incoming], mappers: Mapping[str, Mapper]) -> Commit:
    written: list[Written] = []
    for name in posts[0].connections:
        written += mappers[name].write([incoming.mapped[name] for incoming in posts])

    counts: Counter[tuple[str, str]] = Counter()
    for incoming in posts:
        for name, mapped in incoming.mapped.items():
            for key, count in mapped.counts(name).items():
                counts[key] += count
        _answer(incoming)
    bundles = [one.bundle for one in written]
    return Commit(posts, written, Post(bundles, counts, _idempotency(posts[0])))


def _answer(incoming: Incoming) -> None:
    """Make the answer to a post of what was mapped."""
    accepted: set[int] = set()
    rejected = []
    for position, reason in incoming.unreadable:
        rejected.append({"position": position, "code": "unreadable", "reason": reason})
    for name, mapped in incoming.mapped.items():
        accepted |= mapped.accepted
        for position, code, reason in mapped.rejected:
            line = {"position": position, "code": code, "reason": reason}
            if len(incoming.connections) > 1:
                line["connection"] = name
            rejected.append(line)

    refused = {line["position"] for line in rejected}
    events = len(incoming.events) + len(incoming.unreadable)
    skipped = events - len(accepted | refused)
    incoming.counts = {
        "accepted": len(accepted),
        "skipped": skipped,
        "rejected": len(refused - accepted),
    }
    rejected.sort(key=_position)
    answer = {"accepted": len(accepted), "skipped": skipped, "rejected": rejected}
    incoming.answer = orjson.dumps(answer)


def _position(line: Mapping[str, object]) -> int:
    position = line["position"]
    assert isinstance(position, int)
    return position


def _idempotency(incoming: Incoming) -> Idempotency | None:
    if not incoming.key:
        return None
    digest = hashlib.sha256(incoming.body).hexdigest()
    return Idempotency(incoming.key, digest, incoming.answer)
