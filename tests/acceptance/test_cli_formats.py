"""The same events in every format end with the same people in the sandbox."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.kit import ROOT
from tests.kit.cli import at_once, connection, ndjson, person, run

EVENTS = [
    person(i, do=("add_user_multi", "remove_user_multi")[i % 5 == 4], partner=str(9_007_199_254_740_993 + i // 2))
    | ({"phone": f"+1 415 555-01{i % 100:02}"} if i % 2 else {})
    | {"handle": f'@Zoë, "{i}"'}
    for i in range(120)
]  # fmt: skip
COLUMNS = ["id", "audience", "email", "do", "partner", "phone", "handle"]


def write_json(path: Path) -> None:
    path.write_text(json.dumps(EVENTS, indent=1, ensure_ascii=False), "utf-8")


def write_csv(path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, COLUMNS)
        table.writeheader()
        table.writerows(EVENTS)


def write_ndjson(path: Path) -> None:
    ndjson(path.parent, EVENTS, path.name)


def write_parquet(path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    source = path.with_name("of_parquet.ndjson")
    write_ndjson(source)
    duckdb.sql(f"COPY (SELECT * FROM read_json('{source}')) TO '{path}' (FORMAT parquet)")


WRITERS: dict[str, Callable[[Path], None]] = {
    ".ndjson": write_ndjson,
    ".json": write_json,
    ".csv": write_csv,
    ".parquet": write_parquet,
}
NAMES = [*WRITERS, *(f"{end}.gz" for end in (".ndjson", ".csv"))]


@pytest.fixture(scope="module")
def summaries(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("formats")
    made = connection(folder, actions=["add_user_multi", "remove_user_multi"])
    for end, write in WRITERS.items():
        write(folder / f"events{end}")
    for name in NAMES:
        if name.endswith(".gz"):
            plain = folder / f"events{name.removesuffix('.gz')}"
            plain.with_name(f"events{name}").write_bytes(gzip.compress(plain.read_bytes()))
    works = [
        partial(run, "send", "--sandbox", made, folder / f"events{name}", "--format", "json")
        for name in NAMES
    ]
    works.append(
        partial(
            run,
            "send",
            "--sandbox",
            made,
            "-",
            "--format",
            "json",
            stdin=(folder / "events.ndjson").read_bytes(),
        )
    )
    return {name: done.json for name, done in zip([*NAMES, "-"], at_once(works), strict=True)}


@pytest.mark.parametrize("name", [*NAMES, "-"])
def test_every_format_ends_the_same(summaries: dict[str, dict[str, Any]], name: str) -> None:
    same = (
        "events",
        "records",
        "delivered",
        "superseded",
        "rejected",
        "requests",
        "bytes",
        "sandbox",
    )
    assert {key: summaries[name][key] for key in same} == {
        key: summaries[".ndjson"][key] for key in same
    }
    assert summaries[name]["events"] == 120
    assert summaries[name]["sandbox"]


def test_csv_with_paths_as_columns_feeds_the_example(tmp_path: Path) -> None:
    example = ROOT / "examples"
    given = [
        json.loads(line) for line in (example / "events.ndjson").read_text("utf-8").splitlines()
    ]
    with (tmp_path / "events.csv").open("w", encoding="utf-8", newline="") as file:
        names = [
            "message_id",
            "type",
            "status",
            "traits.email",
            "traits.mobile",
            "traits.phone",
            "traits.handle",
        ]
        table = csv.DictWriter(file, names)
        table.writeheader()
        for event in given:
            traits = {f"traits.{name}": text for name, text in event.pop("traits").items()}
            table.writerow({**event, **traits})
    send = partial(run, "send", "--sandbox", example / "connection.yaml")
    lines, table_ = at_once(
        [
            partial(send, path, "--format", "json")
            for path in (example / "events.ndjson", tmp_path / "events.csv")
        ]
    )
    own: dict[str, object] = {"seconds": 0, "run": ""}
    assert lines.json | own == table_.json | own
