"""How a person signs in with a vendor, as a definition's `auth` describes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

#: The members that are addresses.
ADDRESSES = ("request_token_url", "authorize_url", "access_token_url", "token_url", "revoke_url")

#: The parameters of the page that `parameters` cannot set: what is safe about a sign-in is in them.
SET_BY_CONNECTOR = frozenset(
    {
        "client_id",
        "redirect_uri",
        "response_type",
        "scope",
        "state",
        "code_challenge",
        "code_challenge_method",
        "oauth_token",
    }
)


@dataclass(frozen=True, slots=True)
class Accounts:
    """The call whose rows are the accounts of who signed in, and the setting that chooses one."""

    call: str
    setting: str


@dataclass(frozen=True, slots=True)
class Login:
    """The pages and endpoints of a sign-in; what a scheme does not use is "".

    `callback` is the address on this machine that the browser comes back to, with port 0 for any
    free one. `parameters` are further ones of the page. `label` is the member of the answer that
    says who signed in. `rotates`: a renewal ends the refresh token, and brings another one.
    `sandbox` are further members of the sandbox's answer.
    """

    authorize_url: str
    callback: str
    request_token_url: str = ""
    access_token_url: str = ""
    token_url: str = ""
    revoke_url: str = ""
    scope: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    label: str = ""
    rotates: bool = False
    accounts: Accounts | None = None
    sandbox: Mapping[str, str] = field(default_factory=dict)

    def with_addresses(self, change: Callable[[str], str]) -> Login:
        """Return the same with every address that there is changed."""
        changed: dict[str, Any] = {}
        for name in ADDRESSES:
            address = getattr(self, name)
            if address:
                changed[name] = change(address)
        return replace(self, **changed)


def read_login(members: Mapping[str, Any]) -> Login:
    """Return the sign-in of a definition's `login`."""
    accounts = members.get("accounts")
    addresses = {name: members.get(name, "") for name in ADDRESSES}
    return Login(
        callback=members["callback"],
        scope=members.get("scope", ""),
        parameters=members.get("parameters", {}),
        label=members.get("label", ""),
        rotates=members.get("rotates", False),
        accounts=Accounts(accounts["call"], accounts["setting"]) if accounts else None,
        sandbox=members.get("sandbox", {}),
        **addresses,
    )
