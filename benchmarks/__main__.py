"""`python -m benchmarks`: all figures, in about three minutes.

Exits with 1 when one misses its bound.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from connector.delivery.run import quiet_collector
from connector.pipeline.pipeline import Pipeline

from .by_hand import by_hand
from .mapping import connection, declarative, write_connection, write_events

ROOT = Path(__file__).resolve().parents[1]

SECRETS = dict.fromkeys(
    ("X_CONSUMER_KEY", "X_CONSUMER_SECRET", "X_ACCESS_TOKEN", "X_ACCESS_TOKEN_SECRET"), "benchmark"
)

#: Rows of name, value and bound.
Figures = Iterator[tuple[str, float, float]]


def main() -> int:
    """Print each figure with its bound; return how many miss it, as an exit status."""
    quiet_collector()  # as `send` does; both sides of each ratio
    measures = (mapping, scaling, memory, sending, durability, latency, start_up)
    return print_figures("python -m benchmarks", __doc__, measures)


def print_figures(
    program: str, description: str | None, measures: Sequence[Callable[[Path], Figures]]
) -> int:
    """Print figures in the form that the command line asks for; return the exit status."""
    parser = argparse.ArgumentParser(prog=program, description=description)
    parser.add_argument("--format", choices=["text", "json"], default="text")
    form = parser.parse_args().format
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        for measure in measures:
            for name, value, bound in measure(Path(folder)):
                figures.append(
                    {"figure": name, "value": round(value, 3), "bound": bound, "ok": value <= bound}
                )
                if form == "text":
                    missed = "" if value <= bound else "  MISSED"
                    print(f"{name:<72} {value:>9.3f}  at most {bound:g}{missed}", flush=True)
    if form == "json":
        print(json.dumps(figures))
    return int(not all(figure["ok"] for figure in figures))


def mapping(folder: Path) -> Figures:
    """Bytes of input to bytes of bodies, against the function written by hand.

    The two take turns.
    """
    events = folder / "events.ndjson"
    write_events(events, 50_000)
    pipeline = Pipeline(connection())
    if list(declarative(pipeline, events)) != list(by_hand(events)):
        raise SystemExit("the two mappings differ")
    ratios = sorted(
        _cpu(lambda: drain(declarative(pipeline, events))) / _cpu(lambda: drain(by_hand(events)))
        for _ in range(9)
    )
    yield "mapping: CPU time against a function written by hand, median of 9", ratios[4], 1.5


def scaling(folder: Path) -> Figures:
    """Time per record at 1 million records against 10 thousand."""
    small, large = folder / "small.ndjson", folder / "large.ndjson"
    write_events(small, 10_000)
    write_events(large, 1_000_000)
    pipeline = Pipeline(connection())
    # before and after, because a machine does not stay as fast as it was
    runs = [_cpu(lambda: drain(declarative(pipeline, small))) for _ in range(21)]
    after = _cpu(lambda: drain(declarative(pipeline, large))) / 1_000_000
    runs += [_cpu(lambda: drain(declarative(pipeline, small))) for _ in range(21)]
    before = statistics.median(runs) / 10_000
    yield "scaling: time per record at 1,000,000 records against 10,000", after / before, 1.1


def memory(folder: Path) -> Figures:
    """The largest resident memory of `send` to a vendor that answers at once, in MB."""
    sizes = {}
    with vendor() as base_url:
        for count in (100_000, 1_000_000):
            write_events(folder / "memory.ndjson", count)
            sizes[count] = _run(send_command(folder, base_url, "memory.ndjson")).ru_maxrss / 1000
    grown = sizes[1_000_000] / sizes[100_000]
    yield "memory: resident MB of `send` at 1,000,000 records", sizes[1_000_000], 150
    yield "memory: the same against 100,000 records", grown, 1.1


def sending(folder: Path) -> Figures:
    """CPU time of `send` against a script that makes and posts the same bodies with httpx.

    Start-up is included.
    """
    write_events(folder / "sending.ndjson", 150_000)
    with vendor() as base_url:
        script = [
            sys.executable,
            "-m",
            "benchmarks.script",
            str(folder / "sending.ndjson"),
            base_url,
        ]
        ours = send_command(folder, base_url, "sending.ndjson")
        ratios = [cpu_of(ours) / cpu_of(script) for _ in range(5)]
    yield (
        "send: CPU time against a script with httpx, 150,000 events, median of 5",
        sorted(ratios)[2],
        2.0,
    )


def durability(folder: Path) -> Figures:
    """CPU time of `send --state` against `send`, each time with a new state."""
    write_events(folder / "durable.ndjson", 150_000)
    ratios = []
    with vendor() as base_url:
        plain = send_command(folder, base_url, "durable.ndjson")
        for number in range(5):
            durable = [*plain, "--state", str(folder / f"state-{number}")]
            ratios.append(cpu_of(durable) / cpu_of(plain))
    yield (
        "state: CPU time of `send --state` against `send`, 150,000 events, median of 5",
        sorted(ratios)[2],
        1.15,
    )


def latency(folder: Path) -> Figures:
    """Wall time of `send` to one audience of a vendor that takes 300 ms for each answer.

    It is compared with what X's rate allows: 1,500 requests in a minute.
    """
    requests = 150
    write_events(folder / "latency.ndjson", 1000 * requests)
    with vendor(0.3) as base_url:
        start = time.perf_counter()
        _run(send_command(folder, base_url, "latency.ndjson"))
        seconds = time.perf_counter() - start
    allowed = requests / 25
    yield (
        "latency: `send` to one audience at 300 ms, against the vendor's rate",
        seconds / allowed,
        1.11,
    )


def start_up(folder: Path) -> Figures:
    """CPU seconds of commands that do nothing yet."""
    for command in ("--help", "list"):
        runs = sorted(cpu_of([sys.executable, "-m", "connector", command]) for _ in range(5))
        yield f"start-up: CPU seconds of `connector {command}`, median of 5", runs[2], 0.3


@contextmanager
def vendor(wait: float = 0.0) -> Iterator[str]:
    """Run the vendor in a process of its own; give its base URL."""
    command = [sys.executable, "-m", "benchmarks.vendor", str(wait)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
    finally:
        process.terminate()
        process.communicate()


def send_command(folder: Path, base_url: str, events: str) -> list[str]:
    """Return the command that sends a file of the folder."""
    path = write_connection(folder, f"base_url: {base_url}\n")
    return [
        sys.executable,
        "-m",
        "connector",
        "send",
        str(path),
        str(folder / events),
        "--no-progress",
    ]


def drain(bodies: Iterable[bytes]) -> None:
    """Make all bodies and forget them."""
    for _ in bodies:
        pass


def _cpu(work: Callable[[], None]) -> float:
    gc.collect()
    start = time.process_time()
    work()
    return time.process_time() - start


def _run(command: list[str]) -> resource.struct_rusage:
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, env={**os.environ, **SECRETS}
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return usage


def cpu_of(command: list[str]) -> float:
    """Return the seconds of CPU that a command takes."""
    return _seconds(_run(command))


def _seconds(usage: resource.struct_rusage) -> float:
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    sys.exit(main())
