"""The page on the contract: its connection loads, and its table of filters is that of the filters."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from yaml import safe_load

from connector.connection.load import load_connection, make_connection
from connector.connection.model import AfterNow, AllPaths, Constant, FromPaths, OptOut, Route
from connector.templating.filters import FILTERS
from tests.kit import ROOT
from tests.kit.records import catalog

PAGE = (ROOT / "docs" / "contract.md").read_text("utf-8")


def test_the_connection_of_the_page_loads(tmp_path: Path) -> None:
    [text, *_] = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    # this destination asks for no token
    text = re.sub(r"(?m)^token_url: .*$", "", text)
    path = tmp_path / "connection.yaml"
    path.write_text(text, "utf-8")
    loaded = load_connection(path, catalog())
    assert loaded.name == "loyalty to X"
    route = loaded.routes[1]
    assert (route.each, route.when) == ("added", "item.optin")
    assert route.map == {
        "custom_audience_id": Constant("1nmth"),
        "email": FromPaths(("item.email",), prehashed="auto"),
        "phone_number": FromPaths(("item.phone",), country=Constant("DE")),
        "device_id": AllPaths(("item.ids[type=IDFA].value", "item.ids[type=GAID].value")),
        "expires_at": AfterNow("P30D"),
    }


def test_the_audiences_and_the_opt_out_of_the_page_load() -> None:
    entries = re.findall(r"(?m)^((?:custom|do_not)\w+): (\{audience: .*?\})(?: +#.*)?$", PAGE)
    assert len(entries) == 3
    for parameter, source in entries:
        action = "add_user_multi" if parameter.startswith("custom") else "add_to_do_not_reach_list"
        mapped = {parameter: safe_load(source), "email": {"from": "email"}}
        load({"action": action, "map": mapped})
    [text] = re.findall(r"```yaml\n(- name: objections\n.*?)```", PAGE, re.DOTALL)
    [route] = safe_load(text)
    assert load(route).opt_out == OptOut(do_not_reach=True)


def load(route: dict[str, Any]) -> Route:
    settings = {"account_id": "18ce54d4x5t"}
    document = {"destination": "x_custom_audiences", "settings": settings, "routes": [route]}
    return make_connection(document, "connection.yaml", catalog()).routes[0]


def test_the_exports_of_the_page_load(tmp_path: Path) -> None:
    [text] = [
        text for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL) if "exports:" in text
    ]
    path = tmp_path / "connection.yaml"
    settings = "destination: x_custom_audiences\nsettings: {account_id: 18ce54d4x5t}\n"
    path.write_text(settings + text, "utf-8")
    loaded = load_connection(path, catalog())
    assert loaded.routes == ()
    assert loaded.exports["full_data_match"].map["company"] == Constant("Acme")


def test_every_filter_is_in_the_table() -> None:
    [table] = re.findall(r"\| filter \| gives \|\n\|---\|---\|\n(.*?)\n\n", PAGE, re.DOTALL)
    rows = [row.split("|")[1] for row in table.splitlines()]
    names = set(re.findall(r"`([a-z_]+)(?:\(.*?\))?`", " ".join(rows)))
    assert names == set(FILTERS)
