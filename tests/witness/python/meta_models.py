"""The values that we send to Meta, by the two normalisers of its own library for Python."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version

from tests.witness.kit import Client, needs
from tests.witness.meta import FIELDS, KINDS, sender, sent
from tests.witness.values import Comparison, comparison_of

needs("facebook-business", "facebook_business")

from facebook_business.adobjects.customaudience import CustomAudience
from facebook_business.adobjects.serverside.normalize import Normalize


@cache
def of_audiences() -> Comparison:
    return comparison_of(_client("CustomAudience"), KINDS, sent, _of_audiences)


@cache
def of_events() -> Comparison:
    kinds = dict(KINDS)
    del kinds["gender"]  # it takes only its own constants
    return comparison_of(_client("serverside"), kinds, sent, _of_events)


def _client(part: str) -> Client:
    package = "facebook-business"
    return Client("Meta", f"`{part}` of `{package}`", version(package), "Python")


def _of_audiences(parameter: str, value: str) -> str:
    keys = [sender().wires[parameter]]
    params = CustomAudience.format_params(keys, [[value]], is_raw=True)
    [[cell]] = params["payload"]["data"]
    return cell


def _of_events(parameter: str, value: str) -> str | None:
    return Normalize.normalize_field(FIELDS[parameter], value)
