"""Which action is suggested for an unknown one."""

from __future__ import annotations

import pytest

from connector.connection.action_names import nearest_action
from tests.kit.records import catalog

X = catalog().load("x_custom_audiences").actions


@pytest.mark.parametrize(
    ("unknown", "meant"),
    [
        ("delete_user_multi", "remove_user_multi"),
        ("delete_user", "remove_user"),
        ("Delete-User", "remove_user"),
        ("insert_user_multi", "add_user_multi"),
        ("erase_user", "remove_user"),
        ("drop_from_do_not_reach", "remove_from_do_not_reach_list"),
        ("add_user_mutli", "add_user_multi"),
        ("user_multi", "add_user_multi"),
    ],
)
def test_what_it_does_goes_before_how_it_is_spelt(unknown: str, meant: str) -> None:
    assert nearest_action(unknown, X).endswith(f"; did you mean '{meant}'?")


@pytest.mark.parametrize("unknown", ["delete_everything_at_once", "zzz"])
def test_nothing_near_is_suggested_as_nothing(unknown: str) -> None:
    assert "did you mean" not in nearest_action(unknown, X)
