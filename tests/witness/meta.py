"""What the three normalisers of Meta's libraries are given, and what we send for it."""

from __future__ import annotations

from functools import cache
from typing import Any

from tests.witness.values import Sender

#: The kinds of our parameters, and the fields of the conversions API, of which the libraries know no others.
KINDS = {
    "email": "email",
    "phone": "phone",
    "first_name": "first_name",
    "last_name": "last_name",
    "first_initial": "first_initial",
    "gender": "gender",
    "birth_year": "birth_year",
    "birth_month": "birth_month",
    "birth_day": "birth_day",
    "city": "city",
    "state": "state",
    "zip": "postal_code",
    "country": "country",
}
FIELDS = {
    "email": "em",
    "phone": "ph",
    "first_name": "fn",
    "last_name": "ln",
    "first_initial": "fi",
    "gender": "ge",
    "birth_year": "doby",
    "birth_month": "dobm",
    "birth_day": "dobd",
    "city": "ct",
    "state": "st",
    "zip": "zp",
    "country": "country",
}


@cache
def sent(parameter: str, value: str) -> str | None:
    """Return the wire value that is sent to Meta, which is asked for by each comparison."""
    return sender()(parameter, value)


@cache
def sender() -> Sender:
    """Return what sends a value to Meta, beside an id, so that nothing has to name a person."""
    parameters = ["external_id", *KINDS]
    mapped = {name: {"from": name} for name in parameters}
    route = {"action": "add_user", "map": {"custom_audience_id": {"value": "9"}, **mapped}}
    return Sender("meta_custom_audiences", {}, route, {"external_id": "crm-7"}, _person_of)


def _person_of(body: Any) -> dict[str, str]:
    payload = body["payload"]
    [row] = payload["data"]
    return dict(zip(payload["schema"], row, strict=True))
