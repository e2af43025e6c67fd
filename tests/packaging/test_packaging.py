"""Wheel and sdist hold what an installed connector needs; each is tried in an environment of its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from tests.kit import ROOT


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# What lies around in a working folder and must not be published.
STRAYS = (".env", "key.pem", ".app.py.swp", "#notes.md#", "secrets.yaml", "people.csv")
PLACES = (
    "",
    "connector",
    "connector/scaffold/files",
    "schemas",
    "schemas/webhook",
    "templates",
    "tests",
    "examples",
)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the checkout, without .gitignore, and leave strays in it."""
    folder = tmp_path_factory.mktemp("source") / "checkout"
    unwanted = shutil.ignore_patterns(".*", "__pycache__", "dist", "build")
    shutil.copytree(ROOT, folder, ignore=unwanted)
    for place in PLACES:
        for name in STRAYS:
            (folder / place / name).write_text("SECRET=hunter2\n", "utf-8")
    return folder


@pytest.fixture(scope="module")
def built(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the sdist, and the wheel from that sdist."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, checkout, cwd=folder)
    return folder


def wheel_names(built: Path) -> set[str]:
    [wheel] = built.glob("*.whl")
    return set(zipfile.ZipFile(wheel).namelist())


def sdist_names(built: Path) -> set[str]:
    """Return the names of the sdist's files, without its one folder."""
    [sdist] = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        return {name.partition("/")[2] for name in archive.getnames()}


def files_of(*folders: str) -> set[str]:
    """Return the files of some folders of the checkout, but for hidden and compiled ones."""
    paths = [path for folder in folders for path in (ROOT / folder).rglob("[!.]*")]
    return {
        str(path.relative_to(ROOT)) for path in paths if path.is_file() and path.suffix != ".pyc"
    }


def fresh_python(folder: Path) -> Path:
    """Make an environment that has the dependencies of this one, but not this project."""
    venv.create(folder, with_pip=False)
    [site_packages] = folder.glob("lib/*/site-packages")
    # plain paths: editable installs of the surrounding environment are not followed
    packages = [path for path in sys.path if path.endswith("site-packages")]
    (site_packages / "dependencies.pth").write_text("\n".join(packages) + "\n", "utf-8")
    return folder / "bin" / "python"


@pytest.mark.parametrize("kind", ["whl", "tar.gz"])
def test_an_installed_connector_fills_a_sandbox(built: Path, tmp_path: Path, kind: str) -> None:
    [package] = built.glob(f"*.{kind}")
    python = fresh_python(tmp_path / "env")
    pip = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check"]
    run(*pip, "install", "--quiet", "--no-deps", "--no-build-isolation", package, cwd=tmp_path)
    events, connection = ROOT / "examples" / "events.ndjson", ROOT / "examples" / "connection.yaml"
    shown = run(python, "-m", "connector", "send", "--sandbox", connection, events, cwd=tmp_path)
    assert "3 people" in shown
    assert "## Batch limits" in run(
        python, "-m", "connector", "docs", "x_custom_audiences", cwd=tmp_path
    )
    flags = ("--base-url", "https://api.acme.example", "--auth", "bearer", "--identifier", "email")
    run(python, "-m", "connector", "new", "acme", *flags, "--into", "acme", cwd=tmp_path)
    assert "no problems" in run(
        python, "-m", "connector", "lint", "acme", "--definitions", "acme", cwd=tmp_path
    )
    assert "2 passed" in run(
        python, "-m", "connector", "test", "acme", "--definitions", "acme", cwd=tmp_path
    )
    run(python, "-m", "connector", "new", "x_custom_audiences", "--from", "adobe", cwd=tmp_path)
    assert "4 passed" in run(python, "-m", "connector", "test", "adobe.case.yaml", cwd=tmp_path)
    assert "_data" in run(
        python,
        "-c",
        "from connector.definitions.metaschema import own_folder; print(own_folder())",
        cwd=tmp_path,
    )


def test_the_wheel_holds_definitions_types_and_the_licence(built: Path) -> None:
    names = wheel_names(built)
    assert files_of("connector") <= names
    assert {f"connector/_data/{name}" for name in files_of("schemas", "templates")} <= names
    assert {"connector/py.typed", "connector/guide/guide.md.j2"} <= names
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_sdist_holds_what_a_contributor_needs(built: Path) -> None:
    names = sdist_names(built)
    folders = ("connector", "schemas", "templates", "tests", "benchmarks", "docs", "examples")
    assert files_of(*folders) <= names
    assert {"CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "constraints.txt"} <= names


def test_nothing_stray_is_published(built: Path) -> None:
    for names in (wheel_names(built), sdist_names(built)):
        assert {name for name in names if name.rpartition("/")[2] in STRAYS} == set()
