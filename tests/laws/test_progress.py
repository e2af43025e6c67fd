"""How far a run is: over any number of processes, each record is settled once, and none is lost."""

from __future__ import annotations

from collections import Counter
from operator import itemgetter
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from connector.definitions.model import Limits
from connector.delivery.state.progress import Place, Progress, packed, unpacked
from connector.model import Event, Record
from tests.kit.records import record, target, tries

LANES = [target(name, "add", "", Limits()) for name in "abc"]

#: The lane of each of an event's records, and which part of a person it is.
events = st.lists(
    st.lists(st.tuples(st.sampled_from(range(len(LANES))), st.integers(0, 1)), max_size=3),
    max_size=30,
)
Lanes = list[list[tuple[int, int]]]


class Plan(NamedTuple):
    """What a process does before it is killed: how many chunks it reads, and of each open record whether it settles."""

    chunks: int
    settles: list[bool]
    committed: int


plans = st.lists(
    st.builds(Plan, st.integers(0, 8), st.lists(st.booleans(), max_size=40), st.integers(0, 12)),
    max_size=5,
)


class Stored:
    """What is committed of a run."""

    def __init__(self) -> None:
        self.settled = self.prepared = 0
        self.lanes: dict[str, tuple[int, bytes]] = {}

    def progress(self) -> Progress:
        made = Progress(self.settled, self.prepared)
        for name, (before, beyond) in self.lanes.items():
            made.add_lane(name, before, unpacked(beyond))
        return made


class Process:
    """One process that works at a run until it is killed; `plan` is None for the one that is not."""

    def __init__(self, stored: Stored, plan: Plan | None) -> None:
        self.stored = stored
        self.plan = plan
        self.progress = stored.progress()
        self.waiting: list[Record] = []
        self.choices = iter(plan.settles if plan else ())
        self.settled: list[tuple[str, Place]] = []

    def work(self, chunks: list[list[Event]], lanes_of: Lanes) -> None:
        """Read as many chunks as planned, and settle some of the open records after each of them."""
        for index, chunk in enumerate(self.progress.remaining(chunks)):
            if self.plan and index == self.plan.chunks:
                break
            made = []
            for entry in chunk:
                for lane, part in lanes_of[entry.position - 1]:
                    made.append((part, record(LANES[lane], [], entry.position)))
            # all first parts of people come before all second ones
            made.sort(key=itemgetter(0))
            self.waiting += self.progress.take([one for _, one in made])
            self.progress.chunk_done(chunk[-1].position)
            self.waiting = [one for one in self.waiting if not self._settle(one)]

    def _settle(self, one: Record) -> bool:
        """Settle a record, and commit that; what is not committed counts as never done."""
        if self.plan:
            is_over = len(self.settled) >= self.plan.committed
            if is_over or not next(self.choices, False):
                return False

        name = one.target.lane
        place = self.progress.place(one)
        lane = self.progress.settle(name, [one], [])
        self.settled.append((name, place))
        self.stored.settled, self.stored.prepared = self.progress.settled, self.progress.prepared
        self.stored.lanes[name] = (lane.before, packed(lane.beyond))
        return True


@given(events, st.integers(1, 5), plans)
@tries(200)
def test_each_record_is_settled_once(lanes_of: Lanes, size: int, processes: list[Plan]) -> None:
    """Whatever processes are killed, and whenever: nothing is lost, and nothing is done twice."""
    entries = [Event(position, {}) for position in range(1, len(lanes_of) + 1)]
    chunks = [entries[start : start + size] for start in range(0, len(entries), size)]
    stored = Stored()
    settled: list[tuple[str, Place]] = []
    for plan in [*processes, None]:
        process = Process(stored, plan)
        process.work(chunks, lanes_of)
        settled += process.settled
    assert process.progress.finish()

    expected = []
    for position, lanes in enumerate(lanes_of, 1):
        for lane, count in Counter(lane for lane, _ in lanes).items():
            for number in range(count):
                expected.append((LANES[lane].lane, Place(position, number)))
    assert sorted(settled) == sorted(expected)


places = st.sets(st.builds(Place, st.integers(1, 60), st.integers(0, 2)))


@given(places)
@tries(50)
def test_places_are_packed(some: set[Place]) -> None:
    assert set(unpacked(packed(some))) == some
