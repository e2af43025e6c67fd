"""The file of an export: complete or not there, for its owner only, and never another's."""

from __future__ import annotations

import gzip
import os
import stat
from pathlib import Path

import pytest

from connector.errors import ConfigError, OutputError
from connector.exports.output import FileOutput


def write(path: Path, text: bytes = b"a\n", *, force: bool = False) -> None:
    with FileOutput(path, force=force) as output:
        output.write(text)
        output.complete()


def test_a_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    with FileOutput(path, force=False) as output:
        output.write(b"one\n")
        assert not path.exists()
        [hidden] = tmp_path.iterdir()
        assert hidden.name.startswith(".out.txt.")
        assert stat.S_IMODE(hidden.stat().st_mode) == 0o600
        output.write(b"two\n")
        output.complete()
        assert path.read_bytes() == b"one\ntwo\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_is_left_of_what_was_not_completed(tmp_path: Path) -> None:
    with FileOutput(tmp_path / "out.txt", force=True) as output:
        output.write(b"one\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_nothing_is_left_of_what_failed(tmp_path: Path, error: type[BaseException]) -> None:
    def fail() -> None:
        with FileOutput(tmp_path / "out.txt", force=True) as output:
            output.write(b"one\n")
            raise error

    with pytest.raises(error):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_only_replaced_by_force(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    path.write_text("old")
    with pytest.raises(ConfigError) as caught:
        write(path)
    assert str(caught.value) == (
        f"C043 {path}: exists already; name another file, or add --force to replace it"
    )
    assert path.read_text() == "old"
    write(path, b"new", force=True)
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("links", [True, False])
def test_a_file_that_appears_meanwhile_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    def link(source: Path, target: Path) -> None:
        raise PermissionError("no links here")

    if not links:
        monkeypatch.setattr(os, "link", link)
    path = tmp_path / "out.txt"
    write(tmp_path / "other.txt")
    with FileOutput(path, force=False) as output:
        path.write_text("of another")
        with pytest.raises(ConfigError, match="C043"):
            output.complete()
    assert path.read_text() == "of another"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["other.txt", "out.txt"]


def test_a_name_that_ends_in_gz_packs(tmp_path: Path) -> None:
    path = tmp_path / "out.tsv.gz"
    write(path, b"a\tb\n" * 1000)
    assert gzip.decompress(path.read_bytes()) == b"a\tb\n" * 1000
    first = path.read_bytes()
    write(path, b"a\tb\n" * 1000, force=True)
    assert path.read_bytes() == first  # no time in it


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_only_a_file_is_ever_replaced(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "out"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/null")
    with pytest.raises(ConfigError) as caught:
        write(path, force=True)
    assert str(caught.value) == (
        f"C042 {path}: is not a file; name a file, or write - for standard output"
    )
    assert list(tmp_path.iterdir()) == [path]
    assert not path.is_file()


def test_a_link_to_a_file_is_replaced_and_not_followed(tmp_path: Path) -> None:
    path = tmp_path / "out"
    other = tmp_path / "other"
    other.write_text("old")
    path.symlink_to(other)
    write(path, b"new", force=True)
    assert not path.is_symlink()
    assert (path.read_text(), other.read_text()) == ("new", "old")


def test_what_cannot_be_written_is_explained(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "out.txt"
    with pytest.raises(ConfigError) as caught:
        write(path)
    assert str(caught.value) == (
        f"C042 {path}: cannot write the export: No such file or directory; create the folder first"
    )


def test_a_full_disk_is_explained(tmp_path: Path) -> None:
    with FileOutput(tmp_path / "a", force=False) as output:
        output._file.close()
        output._file = Path("/dev/full").open("wb")  # noqa: SIM115 - closed by the output
        with pytest.raises(OutputError) as caught:
            output.write(b"a" * 100_000)
    assert "cannot write the export: No space left on device" in str(caught.value)
    assert list(tmp_path.iterdir()) == []
