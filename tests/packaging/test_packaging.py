"""Wheel and sdist hold what an installed connector needs; each is tried in an environment of its own."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
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


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the sdist, and the wheel from that sdist."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    return folder


def fresh_python(folder: Path) -> Path:
    """Make an environment that has the dependencies of this one, but not this project."""
    venv.create(folder, with_pip=False)
    [site_packages] = folder.glob("lib/*/site-packages")
    # a plain path: editable installs of the surrounding environment are not followed
    (site_packages / "dependencies.pth").write_text(
        sysconfig.get_paths()["purelib"] + "\n", "utf-8"
    )
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
    assert "_data" in run(
        python,
        "-c",
        "from connector.definitions.metaschema import own_folder; print(own_folder())",
        cwd=tmp_path,
    )


def test_the_wheel_holds_definitions_types_and_the_licence(built: Path) -> None:
    [wheel] = built.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    for file in [*ROOT.glob("schemas/**/*.json"), *ROOT.glob("templates/**/*.j2")]:
        assert f"connector/_data/{file.relative_to(ROOT)}" in names
    assert {
        str(file.relative_to(ROOT)) for file in ROOT.glob("connector/scaffold/files/**/*.*")
    } <= names
    assert {"connector/py.typed", "connector/guide/guide.md.j2"} <= names
    assert any(name.endswith("licenses/LICENSE") for name in names)
