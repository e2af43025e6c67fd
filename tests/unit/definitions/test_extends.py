"""A scheme of `auth` that extends another one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from connector.definitions.catalog import load
from connector.errors import DefinitionError
from tests.kit import ROOT

SCHEMES = "#/destination/auth/schemes"


def webhook(folder: Path, **changed: Any) -> Path:
    """Copy the webhook's definition with other members in its scheme `bearer`."""
    for part in ("schemas", "templates"):
        shutil.copytree(ROOT / part / "webhook", folder / part / "webhook")
    path = folder / "schemas" / "webhook" / "destination.json"
    content = json.loads(path.read_text("utf-8"))
    content["destination"]["auth"]["schemes"]["bearer"] |= changed
    path.write_text(json.dumps(content), "utf-8")
    return folder


def test_it_has_the_members_of_both(tmp_path: Path) -> None:
    schemes = load(webhook(tmp_path), "webhook").auth.schemes

    for scheme in schemes.values():
        assert scheme.body_signatures == schemes["none"].body_signatures
        assert scheme.optional == ("signing_secret",)
    assert schemes["bearer"].scheme == "bearer"
    assert schemes["bearer"].credentials == ("access_token", "signing_secret")


def test_what_the_other_one_has_and_it_must_not_have_is_found_there(tmp_path: Path) -> None:
    folder = webhook(tmp_path, extends=[f"{SCHEMES}/api_key"])

    with pytest.raises(DefinitionError) as raised:
        load(folder, "webhook")

    places = [(problem.code, problem.pointer) for problem in raised.value.problems]
    at = SCHEMES.removeprefix("#") + "/api_key"
    assert places == [("D102", f"{at}/in"), ("D102", f"{at}/name")]


def test_a_scheme_that_does_not_exist(tmp_path: Path) -> None:
    folder = webhook(tmp_path, extends=[f"{SCHEMES}/nobody"])

    with pytest.raises(DefinitionError) as raised:
        load(folder, "webhook")

    [problem] = raised.value.problems
    assert problem.code == "D108"
    assert problem.pointer == f"{SCHEMES.removeprefix('#')}/bearer/extends/0"
