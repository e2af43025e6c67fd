"""The intake: posts become committed records, many posts at a time.

One thread unpacks, parses and maps what has come meanwhile; another commits it in one transaction.
So small posts share the costs of both; the posts after large ones are mapped during their commit.
A post is answered once its records are on disk.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from connector.delivery.outbox.model import (
    Accepted,
    Answer,
    Conflict,
    Outbox,
    OutboxError,
)
from connector.delivery.worker.bundles import Offered, offered
from connector.delivery.worker.mapping import Mapper
from connector.model import Event, Unreadable
from connector.service.body import entries_of, looks_packed, to_caller
from connector.service.posts import Commit, Incoming, commits_of
from connector.service.problems import Problem, ProblemError, later
from connector.service.traces import OFF, Traces

# What is handled together: so many posts or bytes of bodies.
_POSTS = 500
_BYTES = 1024 * 1024
# The next group is mapped while one of so many records is committed.
_LARGE = 1_000
# So many of the lines that cannot be read are named when none can.
_NAMED = 20

# Seconds after which a post may come again.
_FULL_WAIT = 10
_FAILED_WAIT = 5
# Seconds after a commit that failed in which the service takes no posts by its own account: a
# balancer sends none then, and none would ever show that commits succeed again.
_FAILING = 10.0

NO_EVENT = Problem(400, "no_event", "the body holds no event; post a JSON object, array or lines")


@dataclass(frozen=True, slots=True)
class Taken:
    """A post was committed; `counts` are those of its events, none when it had been before."""

    answer: bytes
    counts: Mapping[str, int] = field(default_factory=dict)


Result = Taken | Problem
#: Called with what became of posts, from a thread of the intake.
Done = Callable[[Sequence[tuple[Incoming, Result]]], None]
#: Called with why a commit failed.
Failed = Callable[[Exception], None]
#: Called with what was committed, in the order of the commits.
Offer = Callable[[Sequence[Offered]], None]


class Intake:
    """Takes posts, until it is closed."""

    def __init__(
        self,
        outbox: Outbox,
        mappers: Mapping[str, Mapper],
        done: Done,
        offer: Offer,
        failed: Failed,
        traces: Traces = OFF,
    ) -> None:
        self._outbox = outbox
        self._mappers = mappers
        self._done = done
        self._offer = offer
        self._failed = failed
        self._traces = traces
        self._posts: queue.SimpleQueue[Incoming | None] = queue.SimpleQueue()
        self._groups: queue.SimpleQueue[list[Commit] | None] = queue.SimpleQueue()
        # Until a group is handed on, posts gather for the next one: larger groups cost less for
        # each post. And few are held: one of a large post is some hundred megabytes.
        self._free = threading.Semaphore()
        self._failed_at: float | None = None
        self._threads = [
            threading.Thread(target=self._map_posts, name="mapper", daemon=True),
            threading.Thread(target=self._commit_groups, name="commits", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, post: Incoming) -> None:
        """Take a post; `done` is called with it later."""
        self._posts.put(post)

    @property
    def is_failing(self) -> bool:
        """Whether the last commit failed. After a while without another, nobody knows."""
        failed_at = self._failed_at
        return failed_at is not None and time.monotonic() < failed_at + _FAILING

    def close(self) -> None:
        """End once everything that was submitted is done."""
        self._posts.put(None)
        for thread in self._threads:
            thread.join()

    # Mapping.

    def _map_posts(self) -> None:
        is_open = True
        while is_open:
            group, is_open = self._waiting()
            readable = []
            refused: list[tuple[Incoming, Result]] = []
            for incoming in group:
                problem = _parse(incoming)
                if problem is None:
                    readable.append(incoming)
                else:
                    refused.append((incoming, problem))
            if refused:
                self._done(refused)
            commits = self._map_group(readable) if readable else []
            self._groups.put(commits)
        self._groups.put(None)

    def _waiting(self) -> tuple[list[Incoming], bool]:
        """Return what has come, and whether more may come."""
        group = []
        size = 0
        incoming = self._posts.get()
        self._free.acquire()
        while incoming is not None:
            group.append(incoming)
            size += len(incoming.body)
            if len(group) >= _POSTS or size >= _BYTES:
                return group, True
            try:
                incoming = self._posts.get_nowait()
            except queue.Empty:
                return group, True
        return group, False

    def _map_group(self, group: list[Incoming]) -> list[Commit]:
        try:
            commits = self._map(group)
        except Exception as error:  # noqa: BLE001 - a defect must not end the service
            commits = []
            if len(group) > 1:
                for incoming in group:
                    incoming.mapped.clear()
                    commits += self._map_group([incoming])
            else:
                self._done([(group[0], _defect(error))])
            return commits
        for incoming in group:
            incoming.forget()
        return commits

    def _map(self, group: Sequence[Incoming]) -> list[Commit]:
        now = time.time()
        for name, mapper in self._mappers.items():
            posts = [incoming for incoming in group if name in incoming.connections]
            if not posts:
                continue
            mapped = mapper.map([incoming.events for incoming in posts], now)
            for incoming, its in zip(posts, mapped, strict=True):
                incoming.mapped[name] = its
        return commits_of(group, self._mappers)

    # Committing.

    def _commit_groups(self) -> None:
        group = self._groups.get()
        while group is not None:
            is_large = sum(commit.records for commit in group) >= _LARGE
            if is_large:
                self._free.release()
            if group:
                self._commit(group)
            if not is_large:
                self._free.release()
            group = self._groups.get()

    def _commit(self, group: Sequence[Commit]) -> None:
        try:
            with self._traces.commit(group):
                answers = self._outbox.accept([commit.post for commit in group])
        except OutboxError as error:
            self._failed_at = time.monotonic()
            self._failed(error)
            self._refuse(group, _unavailable())
            return
        except Exception as error:  # noqa: BLE001 - a defect must not end the service
            if len(group) > 1:
                for commit in group:
                    self._commit([commit])
            else:
                self._refuse(group, _defect(error))
            return

        self._failed_at = None
        results: list[tuple[Incoming, Result]] = []
        bundles: list[Offered] = []
        for commit, answer in zip(group, answers, strict=True):
            for incoming in commit.posts:
                results.append((incoming, _result(incoming, answer)))
            if isinstance(answer, Accepted) and not answer.repeated:
                bundles += offered(commit.written, answer)
        if bundles:
            self._offer(bundles)
        self._done(results)

    def _refuse(self, group: Sequence[Commit], problem: Problem) -> None:
        refused: list[tuple[Incoming, Result]] = []
        for commit in group:
            for incoming in commit.posts:
                refused.append((incoming, problem))
        self._done(refused)


def _parse(incoming: Incoming) -> Problem | None:
    """Find the events of a post; return why it is refused as a whole."""
    try:
        entries = entries_of(incoming.body, incoming.content_type, incoming.encoding)
    except ProblemError as error:
        return error.problem
    incoming.events = [entry for entry in entries if isinstance(entry, Event)]
    if len(incoming.events) < len(entries):
        for entry in entries:
            if isinstance(entry, Unreadable):
                incoming.unreadable.append(to_caller(entry))
    if incoming.events:
        return None
    if not incoming.unreadable:
        return NO_EVENT

    rejected = []
    for position, reason in incoming.unreadable[:_NAMED]:
        rejected.append({"position": position, "code": "unreadable", "reason": reason})
    detail = "no event of the body can be read; see 'rejected', and post JSON objects"
    if looks_packed(incoming.body, incoming.encoding):
        detail = "the body is packed with gzip; post it with Content-Encoding: gzip"
    return Problem(400, "unreadable", detail, more={"rejected": rejected})


def _result(incoming: Incoming, answer: Answer) -> Result:
    if isinstance(answer, Accepted):
        if answer.repeated:
            return Taken(answer.answer)
        return Taken(incoming.answer, incoming.counts)
    if isinstance(answer, Conflict):
        return Problem(
            422,
            "other_body",
            "the Idempotency-Key was used for another body; give each post a key of its own",
        )
    return later(
        429,
        "full",
        f"{answer.pending:,} records of connection '{answer.connection}' are pending, as many as "
        "--max-pending allows; post again later, and see /v1/status for why they are not delivered",
        _FULL_WAIT,
    )


def _unavailable() -> Problem:
    detail = (
        "the events could not be kept, or nobody knows whether they were; post them again, best "
        "with the same Idempotency-Key"
    )
    return later(503, "not_kept", detail, _FAILED_WAIT)


def _defect(error: Exception) -> Problem:
    return Problem(500, "internal", f"internal error: {type(error).__name__}")
