"""The window of a lane: when it opens, halves and grows again."""

from __future__ import annotations

import threading

from connector.delivery.window import Window
from tests.kit.clock import FakeClock


def window(most: int = 16, *, opened: bool = True) -> tuple[Window, FakeClock]:
    clock = FakeClock()
    made = Window(most, clock, threading.Condition())
    if opened:
        made.open()
    return made, clock


def test_it_opens_with_the_first_answer_that_accepts_somebody() -> None:
    made, _ = window(opened=False)
    assert made.size() == 1
    made.open()
    assert made.size() == 16


def test_a_push_back_halves_it_to_one_at_least() -> None:
    made, clock = window(10)
    sizes = []
    for _ in range(5):
        clock.sleep(1.0)
        made.push_back(clock.now())
        sizes.append(made.size())
    assert sizes == [5, 2, 1, 1, 1]


def test_requests_that_were_on_their_way_together_halve_it_once() -> None:
    made, clock = window()
    sent_at = clock.now()
    for _ in range(16):
        clock.sleep(0.1)
        made.push_back(sent_at)
    assert made.size() == 8
    clock.sleep(0.1)
    made.push_back(clock.now())
    assert made.size() == 4


def test_each_quiet_minute_adds_one_up_to_what_the_vendor_takes() -> None:
    made, clock = window(8)
    clock.sleep(1000.0)
    made.push_back(clock.now())
    assert made.size() == 4
    clock.sleep(59.0)
    assert made.size() == 4
    clock.sleep(1.0)
    assert made.size() == 5
    clock.sleep(90.0)
    assert made.size() == 6
    # a push-back begins the minute anew
    made.push_back(clock.now())
    clock.sleep(59.0)
    assert made.size() == 3
    clock.sleep(3600.0)
    assert made.size() == 8


def test_what_is_sent_again_keeps_to_the_halved_window() -> None:
    made, clock = window(4)
    made.push_back(clock.now())  # two
    inside: list[int] = []
    most: list[int] = []
    lock = threading.Lock()
    begin = threading.Barrier(4)

    def send() -> None:
        begin.wait(10)
        with made.request():
            with lock:
                inside.append(1)
                most.append(len(inside))
            threading.Event().wait(0.005)
            with lock:
                inside.pop()

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert max(most) == 2
