"""The worker of a process: takes lanes that nobody holds, and lets each of them go on.

One thread decides and reads; requests are sent by the threads of the channels. Any number of
processes may have a worker on one outbox: each lane has one holder.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterable, Mapping, Sequence

from connector.delivery.clock import SystemClock
from connector.delivery.outbox.model import Lease, Outbox, OutboxError, Post, Status
from connector.delivery.worker.bundles import Offered
from connector.delivery.worker.channel import Channel
from connector.delivery.worker.holding import Holding
from connector.delivery.worker.lane import HeldLane
from connector.delivery.worker.terms import Events, Terms

#: What counts the requests to send without waiting, in the counts of a connection.
FLUSHES = "flushes"

# How many lanes are taken in one step, and how many are known whose records are all settled.
_LEASES = 100
_RESTING = 1_000
# Seconds between two looks at the lanes: the shortest, while requests are on their way, and else.
_SHORTEST = 0.01
_SOON = 0.05
_LONGEST = 0.5
# How long it rests after a look, in times of what that took; and in seconds at most.
_REST = 2.0
_LONGEST_REST = 0.25
# Seconds between two looks for lanes of others, and for what others put into lanes held here.
_TAKE = 1.0
_LOOK = 2.0
# Seconds without anything after the outbox could not be used.
_PAUSE = 2.0

_Key = tuple[str, str]


class Worker:
    """Delivers what an outbox holds for its channels, until its clock ends."""

    def __init__(
        self,
        name: str,
        outbox: Outbox,
        channels: Iterable[Channel],
        clock: SystemClock,
        terms: Terms,
        events: Events | None = None,
    ) -> None:
        """`name`: what the holder of its lanes is called in the outbox."""
        self._name = name
        self._outbox = outbox
        self._channels = {channel.name: channel for channel in channels}
        self._clock = clock
        self._terms = terms
        self._events = events or Events()

        self._lanes: dict[_Key, HeldLane] = {}
        # Lanes whose records are all settled, with what is known of the vendor's answers.
        self._resting: dict[_Key, HeldLane] = {}
        # By connection: how often it was asked to flush, and when last, by the database's clock.
        self._flushes: dict[str, int] = {}
        self._flushed_at: dict[str, float] = {}
        # Seconds that the database's clock is ahead of this machine's.
        self._ahead = 0.0
        self._take_at = self._look_at = 0.0
        # Seconds that the last turn took.
        self._took = 0.0

        self._changed = threading.Condition()
        self._is_woken = False
        # What was accepted since the last look, and how many records that is.
        self._offered: dict[_Key, list[Offered]] = {}
        self._offered_records = 0
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)

    def start(self) -> None:
        """Begin to deliver. Raise OutboxError.

        Nobody knows when the outbox was flushed before: what it holds now does not wait then.
        """
        self._look()
        self._thread.start()

    def wake(self) -> None:
        """Look at the lanes now."""
        with self._changed:
            self._is_woken = True
            self._changed.notify()

    def offer(self, bundles: Iterable[Offered]) -> None:
        """Deliver bundles that were accepted a moment ago, in the order of their commits."""
        with self._changed:
            for bundle in bundles:
                offered = self._offered.setdefault((bundle.connection, bundle.lane), [])
                self._offered_records += len(bundle.records)
                if self._offered_records > self._terms.records:
                    # These are read from the outbox, when it is their turn.
                    bundle = bundle._replace(records=())  # noqa: PLW2901
                offered.append(bundle)
            self._is_woken = True
            self._changed.notify()

    def flush(self, connections: Collection[str]) -> None:
        """Send what is accepted so far without waiting, whoever holds its lane. Raise OutboxError.

        It is counted in the outbox, where the workers of other processes see it.
        """
        counts = {(name, FLUSHES): 1 for name in connections}
        self._outbox.accept([Post((), counts)])
        self._look_at = 0.0
        self.wake()

    @property
    def is_alive(self) -> bool:
        """Whether it works."""
        return self._thread.is_alive()

    def stop(self, seconds: float) -> None:
        """End: wait so long for the requests in flight, then give them up."""
        self._clock.end()
        self.wake()
        self._thread.join(seconds)
        if self._thread.is_alive():
            for channel in self._channels.values():
                channel.cut()
            self._clock.cut()
            self._thread.join()
        for channel in self._channels.values():
            channel.close()

    def _run(self) -> None:
        while not (self._clock.ending and not self._lanes):
            try:
                self._turn()
            except OutboxError as error:
                self._fail(error)
            except Exception as error:  # noqa: BLE001 - the lanes are taken again
                self._fail(error)
                self._lanes.clear()

    def _fail(self, error: Exception) -> None:
        self._events.failed(error)
        if self._clock.ending:
            # Leases end by themselves.
            self._lanes.clear()
        self._clock.sleep(_PAUSE)

    def _turn(self) -> None:
        """Let every lane go on, take further ones, and wait."""
        offered = self._wait()
        began = time.perf_counter()
        moment = self._clock.monotonic()
        if not self._clock.ending:
            if moment >= self._look_at:
                self._look()
            is_free = not offered.keys() <= self._lanes.keys()
            if self._room() > 0 and (moment >= self._take_at or is_free):
                self._take()
        self._hand_on(offered)
        self._advance()
        self._took = time.perf_counter() - began

    def _wait(self) -> dict[_Key, list[Offered]]:
        """Wait until there may be something to do; return what is new, by lane."""
        busy = not all(lane.is_idle for lane in self._lanes.values())
        with self._changed:
            self._changed.wait_for(lambda: self._is_woken, _SOON if busy else _LONGEST)
            self._is_woken = False
        # What happens at the same time is looked at together. Thousands of lanes take long to look
        # at; that leaves the processor to others most of the time.
        time.sleep(min(max(_SHORTEST, _REST * self._took), _LONGEST_REST))
        with self._changed:
            offered = self._offered
            self._offered = {}
            self._offered_records = 0
        return offered

    def _hand_on(self, offered: Mapping[_Key, Sequence[Offered]]) -> None:
        room = self._room()
        for key, bundles in offered.items():
            lane = self._lanes.get(key)
            if lane is None:
                continue
            before = lane.held
            lane.offer(bundles, room)
            room -= lane.held - before

    def _look(self) -> None:
        """Learn what others did: their clock, their records, and that nothing is to wait."""
        status = self._outbox.status()
        self._ahead = status.now - self._clock.now()
        self._look_at = self._clock.monotonic() + _LOOK
        for name, one in status.connections.items():
            flushes = one.counts.get(FLUSHES, 0)
            if flushes != self._flushes.get(name, 0):
                self._flushes[name] = flushes
                self._flushed_at[name] = status.now
        self._find_more(status)

    def _find_more(self, status: Status) -> None:
        for name, one in status.connections.items():
            for found in one.lanes:
                lane = self._lanes.get((name, found.lane))
                if lane is not None and found.pending > lane.held:
                    lane.has_more = True

    def _take(self) -> None:
        """Take lanes that nobody holds."""
        self._take_at = self._clock.monotonic() + _TAKE
        seconds = self._terms.lease
        while True:
            asked_at = self._clock.monotonic()
            leases = self._outbox.lease(self._name, self._channels.keys(), seconds, _LEASES)
            for lease in leases:
                self._begin(Holding(self._outbox, lease, seconds, self._clock, asked_at))
            if len(leases) < _LEASES:
                return

    def _begin(self, holding: Holding) -> None:
        lease: Lease = holding.lease
        key = (lease.connection, lease.lane)
        lane = self._resting.pop(key, None)
        if lane is not None:
            lane.begin(holding)
        else:
            channel = self._channels[lease.connection]
            lane = HeldLane(
                channel,
                self._outbox,
                self._clock,
                holding,
                self._terms,
                self._events,
                self.wake,
            )
        self._lanes[key] = lane

    def _advance(self) -> None:
        now = self._clock.now() + self._ahead
        room = self._room()
        for key, lane in list(self._lanes.items()):
            flushed_at = self._flushed_at.get(key[0], 0.0)
            before = lane.held
            can_be_left = lane.advance(now, flushed_at, room)
            room -= lane.held - before
            if can_be_left:
                self._leave(key, lane)

        if room <= 0:
            # What waits for its time fills the memory: the oldest of it goes now.
            waiting = [lane for lane in self._lanes.values() if lane.is_idle]
            if waiting:
                min(waiting, key=lambda lane: lane.waits_since).flush()

    def _leave(self, key: _Key, lane: HeldLane) -> None:
        del self._lanes[key]
        if lane.leave():
            self._resting[key] = lane
            if len(self._resting) > _RESTING:
                del self._resting[next(iter(self._resting))]
        elif lane.is_lost and not self._clock.ending:
            self._take_at = self._clock.monotonic() + _PAUSE

    def _room(self) -> int:
        return self._terms.records - sum(lane.held for lane in self._lanes.values())
