"""The titles of X's actions and parameters, as the setup guide of a peer (Tealium) has them.

Customers move from one system to the other by these words. The guide says "Twitter Handle" in
three actions and "X Handle" in the fourth.
"""

from __future__ import annotations

import pytest

from connector.definitions.catalog import Catalog

TIMES = ("Effective At", "Expired At")
ONE = (
    "Custom Audience",
    "Email",
    "Phone Number",
    "Device ID",
    "Twitter Handle",
    "Twitter ID",
    "Partner User ID",
    *TIMES,
    "User Identifier Hashing",
)


def pairs(*titles: str) -> list[str]:
    both = []
    for title in titles:
        both += [f"{title} (apply SHA256 hash)", f"{title} (already SHA256 hashed)"]
    return both


def many(handle: str, number: str) -> tuple[str, ...]:
    identifiers = pairs("Email", "Phone Number", "Device ID", handle, number)
    return ("Custom Audience", *identifiers, "Partner User ID", *TIMES)


# Phone numbers and a time are X's own, beside what the guide has.
DO_NOT_REACH = ("Do Not Reach List", *pairs("Email", "Phone Number"), "Expired At")

TITLES = {
    "add_user": ("Add User To Custom Audience", ONE),
    "add_user_multi": (
        "Add User to Custom Audience (multiple identifiers)",
        many("Twitter Handle", "Twitter ID"),
    ),
    "remove_user": ("Remove User From Custom Audience", ONE),
    "remove_user_multi": (
        "Remove User from Custom Audience (multiple identifiers)",
        many("X Handle", "X ID"),
    ),
    "add_to_do_not_reach_list": ("Add User to Do Not Reach List", DO_NOT_REACH),
    "remove_from_do_not_reach_list": ("Remove User from Do Not Reach List", DO_NOT_REACH),
}


@pytest.mark.parametrize("name", TITLES)
def test_the_titles_are_those_of_the_guide(name: str) -> None:
    action = Catalog().load("x_custom_audiences").actions[name]
    title, parameters = TITLES[name]
    assert action.title == title
    assert sorted(field.title for field in action.parameters.values()) == sorted(parameters)


def test_these_are_all_actions() -> None:
    assert Catalog().load("x_custom_audiences").actions.keys() == TITLES.keys()


def test_the_setting_is_that_of_the_guide() -> None:
    x = Catalog().load("x_custom_audiences")
    setting = x.settings["account_id"]
    assert (setting.title, setting.required) == ("Ad Account ID", True)
    assert "1234abcd in https://ads.x.com/accounts/1234abcd/" in setting.description
