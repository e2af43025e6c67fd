"""What people's data holds instead of identifiers, and what becomes of it at every destination that ships.

`python -m tests.kit.junk > docs/junk.md` writes the table again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from connector.connection.model import Connection, Constant, FromPaths, Route
from connector.definitions.catalog import Catalog
from connector.definitions.model import Action, Destination, Identifier, Limits
from connector.model import Event, Record, Rejection
from connector.pipeline.pipeline import Pipeline
from tests.kit.clock import NOW

ZEROS = "00000000-0000-0000-0000-000000000000"


def wide(text: str) -> str:
    """Return a text in letters and digits of full width, as East Asian keyboards write them."""
    return "".join(chr(ord(char) + 0xFEE0) if "!" <= char <= "~" else char for char in text)


class Kind(NamedTuple):
    """A kind of identifier: the standard one that it is made of, and values of it.

    junk: nobody. spelled: somebody, whose usual spelling is the first. country: the one that is
    mapped.
    """

    title: str
    junk: list[Any]
    spelled: list[Any]
    country: str = ""


KINDS = {
    "email": Kind(
        "Email addresses",
        [
            "foo", "-", "@", "foo(at)example.com", "user5@example.com,", "a@example.com; b@example.com", "ann smith@example.com",
            "User5 <user5@example.com>", "<user5@example.com>", "victim+x@evil@gmail.com", "ann@example.com.", "ann@example", "@example.com",
            "ann@", "...@example.com", "ann@192.0.2.1", "ann@example..com", "ann@example.com\x00", "“ann@example.com", "mailto:ann%2Bx@example.com",
            '"ann smith"@example.com', "ann@example.com\nben@example.com", "NULL", "n/a", "#REF!", "undefined", True, 1.5,
        ],
        [
            "ann@example.com", " Ann@Example.COM\t", "'ann@example.com'", "“ann@example.com”", "mailto:ann@example.com", "a\u200bnn@exam\u00adple.com",
            "\u202aann@example.com\u202c", "\ufeffann@example.com", wide("ann@example.com"),
        ],
    ),
    "phone": Kind(
        "Phone numbers",
        [
            "+1 202 555 XXXX", "+1 2O2 555 0123", "+1 202 555 0123 home", "+1 202 555 0123 ext. 5", "+1 202 555 0123x5", "030 901820", "07700 900106",
            "+49 30 901820 901820 9018", "+1202555", "+999 12345678", "+0000000000", "+", "-", "NULL", r"\N", "0",
            "+1 555 0123", "4,91512E+12",
        ],
        ["+49 30 901820", "+4930901820", "0049 30 901820", "+49 (0)30 901820", "+49030901820", wide("+49 30 901820"), "+49\u00a030\u2011901820"],
    ),
    "national_phone": Kind(
        "Phone numbers with the country DE",
        [
            "10", "030", "49", "112", "030 XXXX", "01.02.2027", "1.2.27", "2027-02-01", "2027-02-01 00:00:00", "15123456789.0", "4,91512E+12", "0",
            "k.A.", "#WERT!",
        ],
        [
            "+49 1512 3456789", "01512 3456789", "01512/3456789", "(01512) 345 67 89", "1512 3456789", "15123456789", "4915123456789", 4915123456789,
            "0049 1512 3456789", "+49 (0)1512 3456789",
        ],
        country="DE",
    ),
    "advertising_id": Kind(
        "Advertising ids",
        [ZEROS, ZEROS.replace("-", ""), "not-an-id", "4b61639e47cc4056a16ac8217e029462", "{4b61639e-47cc-4056-a16a-c8217e029462}", "-", "<NA>"],
        ["4b61639e-47cc-4056-a16a-c8217e029462", " 4B61639E-47CC-4056-A16A-C8217E029462\n", "\u200b4b61639e-47cc-4056-a16a-c8217e029462"],
    ),
    "external_id": Kind(
        "Ids of your own",
        [r"\N", "#N/A", "#REF!", "<NA>", "NaT", "(not set)", ZEROS, "-", "null", "NULL", " ", "(none)", "customer\x00", 1.5, "#NV", "#WERT!", "k.A.", "1,23E+15"],
        ["customer-0042", " customer-0042 ", "\ufeffcustomer-0042", "customer-\u200b0042"],
    ),
}  # fmt: skip

#: The parameters of the standard identifiers, where they are called differently.
_PARAMETERS = {
    "phone": ("phone", "phone_number"),
    "national_phone": ("phone", "phone_number"),
    "advertising_id": ("device_id", "ios_ad_id", "mobile_id", "google_advertising_id"),
    "external_id": ("external_id", "user_id", "crm_id", "partner_user_id"),
}


def identifiers_of(destination: Destination, kind: str) -> Iterator[tuple[Action, Identifier]]:
    """Yield the identifiers of a kind that a destination's first action with one takes."""
    for action in destination.actions.values():
        for identifier in action.identifiers:
            names = _PARAMETERS.get(kind, (kind,))
            if identifier.parameter in names and identifier.prehashed is not True:
                yield action, identifier
                return


class Sender:
    """One parameter of an action, which is sent value by value."""

    def __init__(
        self, destination: Destination, action: Action, parameter: str, country: str = ""
    ) -> None:
        people = {identifier.parameter for identifier in action.identifiers}
        others = [name for name in action.parameters if name not in people]
        example = next(iter(action.schema["examples"]))
        self._event = {name: example.get(name) for name in others}

        mapped = {name: FromPaths((name,)) for name in others}
        mapped[parameter] = FromPaths((parameter,), country=Constant(country) if country else None)
        route = Route(action.id, action, None, mapped)
        shown = destination.example_settings
        base_url = destination.base_url(shown)
        self._parameter = parameter
        self._pipeline = Pipeline(
            Connection("", destination, shown, {}, base_url, Limits(), None, (route,))
        )

    def becomes(self, value: Any) -> str:
        """Return the value that is sent, or why none is."""
        before = self._pipeline.dropped.copy()
        [found] = self._pipeline.prepare([Event(1, {**self._event, self._parameter: value})], NOW)
        if isinstance(found, Record):
            return found.ids[0]
        assert isinstance(found, Rejection)
        [(_, reason)] = self._pipeline.dropped - before
        return reason


def table(kind: str) -> dict[str, dict[str, str]]:
    """Return what becomes of each value of a kind, by destination."""
    values = (*KINDS[kind].junk, *KINDS[kind].spelled)
    found: dict[str, dict[str, str]] = {ascii(value): {} for value in values}
    for name in Catalog(()).ids():
        destination = Catalog(()).load(name)
        for action, identifier in identifiers_of(destination, kind):
            sender = Sender(destination, action, identifier.parameter, KINDS[kind].country)
            for value in values:
                found[ascii(value)][name] = sender.becomes(value)
    return found


def page() -> str:
    """Return the page that shows the tables."""
    lines = [
        "# What becomes of odd values",
        "",
        "What people's data holds instead of identifiers, sent through every destination of this package. A test makes this",
        "page (`python -m tests.kit.junk > docs/junk.md`), so it is what happens. Values are written as in Python.",
    ]
    for kind in KINDS:
        lines += ["", *_section(kind)]
    return "\n".join(lines) + "\n"


def _section(kind: str) -> Iterator[str]:
    title, junk, spelled, _ = KINDS[kind]
    found = table(kind)
    names = list(next(iter(found.values())))
    yield f"## {title}"
    yield ""
    yield f"{len(names)} destinations take them: {', '.join(names)}."
    yield ""
    yield "| value | what becomes of it |"
    yield "|---|---|"
    for value in junk:
        yield f"| {code(value)} | {_outcomes(found[ascii(value)])} |"
    usual = found[ascii(spelled[0])]
    for value in spelled:
        others = [name for name in names if found[ascii(value)][name] != usual[name]]
        but = f"; as another value: {', '.join(others)}" if others else ""
        yield f"| {code(value)} | sent as {code(spelled[0])}{but} |"


def _outcomes(by_destination: dict[str, str]) -> str:
    """Return the outcome when it is one, else that of each destination."""
    outcomes = set(by_destination.values())
    if len(outcomes) == 1:
        return f"dropped everywhere: `{outcomes.pop()}`"
    return "; ".join(f"{name}: `{outcome}`" for name, outcome in by_destination.items())


def code(value: Any) -> str:
    """Return a value as Python writes it, for a table of Markdown."""
    return "`" + ascii(value).replace("|", "\\|") + "`"


if __name__ == "__main__":
    print(page(), end="")
