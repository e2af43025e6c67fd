"""The page on signing in: its connection loads, its options and callbacks are those that there are."""

from __future__ import annotations

import re
from pathlib import Path

import typer

from connector.cli.app import app
from connector.connection.load import load_connection
from connector.definitions.catalog import Catalog
from connector.login.plan import plan
from tests.kit import ROOT

PAGE = (ROOT / "docs" / "login.md").read_text("utf-8")


def test_the_connection_of_the_page_is_signed_in_for(tmp_path: Path) -> None:
    [text] = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    path = tmp_path / "connection.yaml"
    path.write_text(text, "utf-8")
    planned = plan(load_connection(path, Catalog()))
    assert planned.given == ("access_token", "access_token_secret")
    assert (planned.pasted, set(planned.kept_in.values())) == ((), {"x_loyalty"})


def test_the_options_of_the_page_are_those_of_the_command() -> None:
    command = typer.main.get_command(app).commands["login"]  # type: ignore[attr-defined]
    options = {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
    shared = {"--set", "--definitions", "--format", "--browser", "connection"}
    [table] = re.findall(r"\| option of `login` \|.*?\n\n", PAGE, re.DOTALL)
    assert set(re.findall(r"\| `(--[a-z-]+)", table)) == options - shared


def test_every_page_to_sign_in_on_is_in_the_table() -> None:
    [table] = re.findall(r"\| destination \| kind of app.*?\n\n", PAGE, re.DOTALL)
    rows = dict(re.findall(r"^\| `(\w+)`(.*)$", table, re.MULTILINE))
    for name in Catalog().ids():
        logins = [scheme.login for scheme in Catalog().load(name).schemes() if scheme.login]
        assert bool(logins) == (name in rows), name
        for login in logins:
            shown = login.callback.removesuffix(":0")
            assert f"`{shown}`" in rows[name] or "| none |" in rows[name]
