"""A script without a library, with the shapes that TikTok's page and its partners send."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from tests.witness.kit import Client, Held, RefusedError, Visit, assert_taken, call, digest

ANN, BEN = digest("ann@example.com"), digest("ben@example.com")
DEVICE = digest("38400000-8cf0-11bd-b23e-10b96e40000d")


class CodeError(Exception):
    """A code of TikTok's that is not 0, inside an answer of 200."""


def _says(told: Any) -> str:
    if isinstance(told, CodeError):
        return f"code {told.args[0]}"
    if isinstance(told, RefusedError):
        return f"{told.status}"
    return f"code {told['code']}"


@cache
def visit() -> Visit:
    known = {
        "Ann": {("EMAIL_SHA256", ANN)},
        "Ann and her device": {("EMAIL_SHA256", ANN), ("AAID_SHA256", DEVICE)},
        "Ben": {("EMAIL_SHA256", BEN)},
    }
    client = Client("TikTok", "the shapes of its page", "", "Python")
    seen = Visit(client, "tiktok_audiences", known, _says)
    with seen.server() as server:
        _use(seen, f"{server.base_url}/open_api/v1.3/segment/mapping/")
    return seen


def _cell(value: str, *audiences: str) -> dict[str, Any]:
    return {"id": value, "audience_ids": list(audiences)}


def _use(seen: Visit, url: str) -> None:
    def mapping(
        action: str, columns: list[str], *rows: Any, token: str = seen.secrets["api_key"]
    ) -> Any:
        body = {
            "advertiser_ids": ["7178918106775994370"],
            "action": action,
            "id_schema": columns,
            "batch_data": list(rows),
        }
        answer = call("POST", url, body, Access_Token=token)
        if answer["code"]:
            raise CodeError(answer["code"])
        return answer

    emails = ["EMAIL_SHA256"]
    pair = ["EMAIL_SHA256", "AAID_SHA256"]
    two_lists = [_cell(ANN, "11")], [_cell(BEN, "12")]
    seen.adds("Ann and Ben, to a list each", lambda: mapping("add", emails, *two_lists))
    both = [_cell(ANN, "11"), _cell(DEVICE, "11")]
    seen.adds("Ann's device", lambda: mapping("add", pair, both))
    seen.removes("Ann, by her device", lambda: mapping("delete", pair, [{}, _cell(DEVICE, "11")]))
    seen.adds("Ben to two lists", lambda: mapping("add", emails, [_cell(BEN, "11", "12")]))
    seen.is_refused(
        "with a wrong token", lambda: mapping("add", emails, [_cell(ANN, "11")], token="x")
    )
    plain = [_cell("ann@example.com", "11")]
    seen.is_refused("with an e-mail address in plain text", lambda: mapping("add", emails, plain))


@pytest.mark.parametrize(
    ("step", "held"),
    [
        ("Ann and Ben, to a list each", {"11": ["Ann"], "12": ["Ben"]}),
        ("Ann's device", {"11": ["Ann and her device"], "12": ["Ben"]}),
        ("Ann, by her device", {"12": ["Ben"]}),
        ("Ben to two lists", {"11": ["Ben"], "12": ["Ben"]}),
    ],
)
def test_people_are_added_and_removed(step: str, held: Held) -> None:
    assert assert_taken(visit(), step, held)["code"] == 0


def test_what_is_wrong_is_refused_inside_a_200() -> None:
    assert visit().step("with a wrong token").error.args == (40105,)
    assert visit().step("with an e-mail address in plain text").error.args == (40002,)
