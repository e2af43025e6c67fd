"""Definitions of one's own, as their users have them: in a folder, or in an installed package."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from connector.definitions.installed import ENTRY_POINTS
from connector.scaffold.answers import Answers
from connector.scaffold.scaffold import scaffold, write
from tests.kit import ROOT
from tests.kit.cli import Done, call, succeed

EXAMPLE = Answers(
    "acme", "https://api.acme.example", "api-key-header", ("email",), "/lists/{list_id}/members"
)


def variables(installed: Path | None = None) -> dict[str, str]:
    paths = [str(path) for path in (ROOT, installed) if path]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def run(*arguments: str | Path, cwd: Path, installed: Path | None = None) -> Done:
    return call(*arguments, env=variables(installed), folder=cwd)


def ok(*arguments: str | Path, cwd: Path, installed: Path | None = None) -> str:
    return succeed(*arguments, env=variables(installed), folder=cwd)


def from_the_start(
    module: str, *arguments: str, cwd: Path, installed: Path | None = None
) -> tuple[int, str]:
    """Run a module by an interpreter of its own; return its status and what it prints."""
    command = [sys.executable, "-m", module, *arguments]
    env = variables(installed)
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout


def destination(folder: Path, title: str = "Acme") -> Path:
    write(folder, scaffold(EXAMPLE))
    path = folder / "schemas" / "acme" / "destination.json"
    path.write_text(
        path.read_text("utf-8").replace('"title": "Acme"', f'"title": "{title}"'), "utf-8"
    )
    return folder


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A customer's folder with a connection, events and cases, and no definitions."""
    folder = tmp_path / "customer"
    write(
        folder,
        {
            path: text
            for path, text in scaffold(EXAMPLE).items()
            if path.parts[0] not in ("schemas", "templates")
        },
    )
    return folder


def everything(cwd: Path, *more: str | Path, installed: Path | None = None) -> None:
    """Run every command about the destination."""

    def said(*arguments: str) -> str:
        return ok(*arguments, *more, cwd=cwd, installed=installed)

    names = [one["destination"] for one in json.loads(said("list", "--format", "json"))]
    assert {"acme", "x_custom_audiences"} <= set(names)
    assert "Add Person to List" in said("show", "acme.add_person")
    assert "ACME_API_KEY" in said("docs", "acme")
    assert said("lint", ".") == "no problems\n"
    assert "POST https://api.acme.example/lists/42/members" in said("preview", *EVENTS)
    assert "2 people" in said("send", "--sandbox", *EVENTS)
    assert "2 passed" in said("test")


EVENTS = ("acme.connection.yaml", "acme.events.ndjson")


# --definitions --------------------------------------------------------------------------------------------------------


def test_a_folder_of_definitions(tmp_path: Path, elsewhere: Path) -> None:
    folder = destination(tmp_path / "ours")
    everything(elsewhere, "--definitions", "../ours")
    assert "2 passed" in ok("test", elsewhere / "cases", "--definitions", folder, cwd=tmp_path)


def test_plain_pytest_finds_a_folder_of_definitions(
    tmp_path: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1"
    )  # named below, whether the package is installed or not
    destination(tmp_path / "ours")
    plugins = ("-p", "syrupy", "-p", "connector.testing.plugin", "-p", "no:cacheprovider")
    options = (*plugins, "-q", "--definitions", "../ours")
    status, shown = from_the_start("pytest", *options, cwd=elsewhere)
    assert status == 0
    assert "2 passed" in shown
    _, shown = from_the_start("pytest", *options[:-2], cwd=elsewhere)
    assert "unknown destination 'acme'" in shown


def test_the_first_folder_wins_and_all_count(tmp_path: Path) -> None:
    first, second = (
        destination(tmp_path / "first", "First"),
        destination(tmp_path / "second", "Second"),
    )
    write(second, scaffold(EXAMPLE._replace(destination="other")))
    both = ("--definitions", first, "--definitions", second)
    assert ok("docs", "acme", *both, cwd=tmp_path).startswith("# First: setup guide")
    assert ok("docs", "other", *both, cwd=tmp_path).startswith("# Other: setup guide")
    names = [
        one["destination"]
        for one in json.loads(ok("list", "--format", "json", *both, cwd=tmp_path))
    ]
    assert names.count("acme") == 1


def test_without_the_folder_the_error_says_what_to_do(elsewhere: Path) -> None:
    done = run("preview", *EVENTS, cwd=elsewhere)
    assert done.status == 2
    assert "C201 acme.connection.yaml#/destination: unknown destination 'acme'" in done.err
    assert "for your own definitions, pass --definitions FOLDER" in done.err


# Installed packages ---------------------------------------------------------------------------------------------------


def installed(folder: Path, package: str, title: str = "Acme") -> Path:
    """Lay out what pip makes of a package whose pyproject.toml names it under the entry point group."""
    destination(folder / package, title)
    info = folder / f"{package}-1.0.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0.0\n", "utf-8"
    )
    (info / "entry_points.txt").write_text(f"[{ENTRY_POINTS}]\nacme = {package}\n", "utf-8")
    return folder


def test_an_installed_package(tmp_path: Path, elsewhere: Path) -> None:
    everything(elsewhere, installed=installed(tmp_path / "site", "acme_destination"))


def test_the_python_of_an_installed_package_is_not_run(tmp_path: Path) -> None:
    site = installed(tmp_path / "site", "acme_destination")
    (site / "acme_destination" / "__init__.py").write_text(
        "raise SystemExit('this was run')\n", "utf-8"
    )
    status, shown = from_the_start("connector", "docs", "acme", cwd=tmp_path, installed=site)
    assert status == 0
    assert shown.startswith("# Acme: setup guide")


def test_a_folder_wins_over_an_installed_package(tmp_path: Path) -> None:
    site = installed(tmp_path / "site", "acme_destination", "Installed")
    ours = destination(tmp_path / "ours", "Ours")
    assert ok("docs", "acme", cwd=tmp_path, installed=site).startswith("# Installed: setup guide")
    assert ok("docs", "acme", "--definitions", ours, cwd=tmp_path, installed=site).startswith(
        "# Ours: setup guide"
    )


def shipped_in_a_package(site: Path, package: str, title: str) -> Path:
    """Lay out an installed package that brings a destination which ships with the connector."""
    installed(site, package)
    name = "webhook"
    for folder in ("schemas", "templates"):
        shutil.copytree(ROOT / folder / name, site / package / folder / name)
    path = site / package / "schemas" / name / "destination.json"
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), "title": title}), "utf-8")
    return site / package


def test_an_installed_package_never_replaces_a_shipped_destination_in_silence(
    tmp_path: Path,
) -> None:
    site = tmp_path / "site"
    package = shipped_in_a_package(site, "acme_destination", "Foreign")
    error = (
        f"C022 the entry points of {ENTRY_POINTS}: 'webhook' is in 'audience-connector' and in "
        f"'acme_destination'; choose with --definitions {ROOT} or --definitions {package}\n"
    )

    done = run("show", "webhook", cwd=tmp_path, installed=site)
    assert (done.status, done.out, done.err) == (2, "", error)

    # The others are not affected, and nobody overlooks what is left out.
    done = run("list", "--format", "json", cwd=tmp_path, installed=site)
    names = [one["destination"] for one in json.loads(done.out)]
    assert (done.status, done.err) == (0, error)
    assert "webhook" not in names
    assert {"acme", "x_custom_audiences"} <= set(names)

    # A given folder decides, and then there is nothing to warn of.
    for folder, title in ((package, "Foreign"), (ROOT, "Webhook")):
        done = run("list", "--definitions", folder, cwd=tmp_path, installed=site)
        assert (done.status, done.err) == (0, "")
        assert f"webhook  {title}" in done.out


def test_two_installed_packages_with_one_destination_are_both_named(tmp_path: Path) -> None:
    site = installed(tmp_path / "site", "acme_destination")
    installed(site, "beta_destination")
    done = run("docs", "acme", cwd=tmp_path, installed=site)
    assert (done.status, done.out) == (2, "")
    for package in ("acme_destination", "beta_destination"):
        assert f"'{package}'" in done.err
        assert f"--definitions {site / package}" in done.err


def test_a_package_that_two_entry_points_name_is_no_conflict(tmp_path: Path) -> None:
    site = installed(tmp_path / "site", "acme_destination")
    [file] = site.glob("*.dist-info/entry_points.txt")
    file.write_text(file.read_text("utf-8") + "again = acme_destination\n", "utf-8")
    done = run("docs", "acme", cwd=tmp_path, installed=site)
    assert (done.status, done.err) == (0, "")


def test_a_folder_inside_a_package_is_found_without_running_the_package(tmp_path: Path) -> None:
    site = installed(tmp_path / "site", "acme")
    (site / "acme" / "destinations").mkdir()
    for folder in ("schemas", "templates"):
        (site / "acme" / folder).rename(site / "acme" / "destinations" / folder)
    (site / "acme" / "__init__.py").write_text("raise SystemExit('this was run')\n", "utf-8")
    [file] = site.glob("*.dist-info/entry_points.txt")
    file.write_text(f"[{ENTRY_POINTS}]\nacme = acme.destinations\n", "utf-8")
    assert ok("docs", "acme", cwd=tmp_path, installed=site).startswith("# Acme: setup guide")


def assert_the_others_are_listed(problem: str, cwd: Path, site: Path) -> None:
    """Check that `list` prints one problem on standard error, and the destinations that ship."""
    done = run("list", cwd=cwd, installed=site)
    assert done.status == 0
    assert "x_custom_audiences" in done.out
    assert len(done.err.splitlines()) == 1
    assert done.err.startswith(problem)


@pytest.mark.parametrize(
    "value", ["no_such_package", "no.such.package", "json", "acme:definitions", "..", "a/../b"]
)
def test_an_entry_point_that_leads_nowhere_is_named_and_breaks_nothing(
    tmp_path: Path, value: str
) -> None:
    site = installed(tmp_path / "site", "acme_destination")
    [file] = site.glob("*.dist-info/entry_points.txt")
    file.write_text(f"[{ENTRY_POINTS}]\nads = {value}\n", "utf-8")
    problem = f"C010 the entry point 'ads' of {ENTRY_POINTS}: no installed package '{value}' with"
    assert_the_others_are_listed(problem, tmp_path, site)

    # Whoever asks for its destination learns why it is not there.
    done = run("show", "ads", cwd=tmp_path, installed=site)
    assert done.status == 2
    assert "unknown destination 'ads'" in done.err
    assert problem in done.err


def test_lint_counts_a_package_that_cannot_be_used(tmp_path: Path) -> None:
    site = installed(tmp_path / "site", "acme_destination")
    shutil.rmtree(site / "acme_destination" / "schemas")
    done = run("lint", cwd=tmp_path, installed=site)
    assert done.status == 1
    assert done.out.startswith("C010 the entry point 'acme'")
    assert len(done.out.splitlines()) == 1


@pytest.mark.parametrize(
    "content",
    [
        f"[{ENTRY_POINTS}]\nno equals sign\n".encode(),
        f"[{ENTRY_POINTS}]\na = \xff".encode("latin-1"),
    ],
    ids=["syntax", "encoding"],
)
def test_entry_points_that_cannot_be_read_break_nothing(tmp_path: Path, content: bytes) -> None:
    site = installed(tmp_path / "site", "acme_destination")
    [file] = site.glob("*.dist-info/entry_points.txt")
    file.write_bytes(content)
    assert_the_others_are_listed(f"C010 a package in {site}: entry_points.txt", tmp_path, site)


@pytest.mark.parametrize(("content", "listed"), [("{", False), ("[]", True)])
def test_a_broken_destination_of_a_package_breaks_no_other(
    tmp_path: Path, content: str, listed: bool
) -> None:
    site = installed(tmp_path / "site", "acme_destination")
    path = site / "acme_destination" / "schemas" / "acme" / "destination.json"
    path.write_text(content, "utf-8")
    if listed:
        # Nothing is checked here, and there is no title to show.
        assert "\nacme" in "\n" + ok("list", cwd=tmp_path, installed=site)
    else:
        assert_the_others_are_listed(f"D101 {path}: invalid JSON", tmp_path, site)


def test_an_address_from_settings_is_not_filled_in_twice(tmp_path: Path) -> None:
    raw = "settings: {url: 'https://hooks.example.com/{method}/{tenant}'}\n"
    raw += "routes: [{action: add_person, map: {email: {from: email}}}]\n"
    (tmp_path / "connection.yaml").write_text(f"destination: webhook\n{raw}", "utf-8")
    (tmp_path / "events.ndjson").write_text('{"email": "ann@example.com"}\n', "utf-8")
    shown = ok("preview", "connection.yaml", "events.ndjson", cwd=tmp_path)
    assert "POST https://hooks.example.com/{method}/{tenant}\n" in shown


def test_a_webhook_may_be_a_bare_host(tmp_path: Path) -> None:
    raw = "settings: {url: 'https://hooks.example.com'}\nroutes: [{action: add_person, map: {email: {from: email}}}]\n"
    (tmp_path / "connection.yaml").write_text(f"destination: webhook\n{raw}", "utf-8")
    (tmp_path / "events.ndjson").write_text('{"email": "ann@example.com"}\n', "utf-8")
    done = json.loads(
        ok(
            "send",
            "--sandbox",
            "connection.yaml",
            "events.ndjson",
            "--format",
            "json",
            cwd=tmp_path,
        )
    )
    assert done["delivered"] == done["sandbox"][0]["people"] == 1
