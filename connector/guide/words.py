"""What a definition says in short, as sentences of the setup guide."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from connector.auth.schemes import scheme_of
from connector.definitions.model import (
    Action,
    AuthConfig,
    Destination,
    FromNow,
    FromParameter,
    Limits,
    Rate,
    ResponseRule,
    Split,
)
from connector.definitions.uri_template import placeholders
from connector.guide.identifier_words import rule_in_words
from connector.guide.markdown import Markdown, code, codes, prose, table

OTHERWISE = (
    "An answer that fits no row: 2xx counts as delivered; 401, 3xx and 501 stop; 400, 413 and 422 are halved and sent "
    "again until the records at fault are alone; 408, 425, 429, other 5xx and a lost connection are sent again later; "
    "any other 4xx is rejected."
)

_UNITS = ((86_400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


def span_words(seconds: float) -> str:
    """Return a time in its largest whole unit."""
    size, unit = next((size, unit) for size, unit in _UNITS if seconds % size == 0 or size == 1)
    count = f"{seconds / size:g}"
    return f"{count} {unit}{'' if count == '1' else 's'}"


def size_words(size: int) -> str:
    """Return a number of bytes in its largest whole unit."""
    for unit, word in ((10**6, "MB"), (10**3, "kB")):
        if size % unit == 0:
            return f"{size // unit:,} {word}"
    return f"{size:,} bytes"


_LIMITS = {
    "records": "Records",
    "groups": "Groups of records",
    "bytes": "Size of the body",
    "age": "Age of the oldest record",
}


def limit_table(usual: Limits, caps: Limits, *, groups: bool) -> Markdown:
    """Return a row for each limit: what it is, the default and, if there is any, the vendor's cap."""
    names = [name for name in _LIMITS if name != "groups" or groups]
    head = ["Limit", "Default", "The vendor's cap"]
    rows = [
        [Markdown(f"{_LIMITS[name]} ({code(name)})"), _amount(name, usual), _amount(name, caps)]
        for name in names
    ]
    shown = 2 if caps == Limits() else 3
    return table([row[:shown] for row in rows], *head[:shown])


def _amount(name: str, limits: Limits) -> str:
    value = getattr(limits, name)
    if value is None:
        return "none"
    written = {"bytes": size_words, "age": span_words}.get(name, "{:,}".format)
    return str(written(value))


def rate_words(rate: Rate) -> str:
    """Return a rate limit as a sentence."""
    scope = "over all requests of a connection" if rate.scope == "account" else "for each URL"
    return f"At most {rate.requests:,} requests in {span_words(rate.per)}, counted {scope}."


_ROTATION = (
    "A new refresh token in an answer (some vendors rotate them) is used until the run ends, and not kept: where the "
    "old one then ends, the next run needs a fresh one."
)


def auth_words(scheme: AuthConfig) -> Markdown:
    """Return how requests are authenticated."""
    said = [prose(scheme_of(scheme).DESCRIPTION)]
    if scheme.key_name:
        after = f", after {code(scheme.key_prefix)}" if scheme.key_prefix else ""
        said.append(
            Markdown(
                f"The key stands in the {prose(scheme.key_in)}, as {code(scheme.key_name)}{after}."
            )
        )
    if scheme.grant:
        said.append(Markdown(f"The grant is {code(scheme.grant)}."))
    if scheme.token_url:
        said.append(Markdown(f"Tokens come from {code(scheme.token_url)}."))
    if scheme.scope:
        said.append(Markdown(f"The scope is {code(scheme.scope)}."))
    if scheme.grant == "refresh_token":
        said.append(Markdown(_ROTATION))
    for signed in scheme.body_signatures:
        how = f"The body is signed ({prose(signed.hash)}) in the header {code(signed.header)}"
        optional = signed.credential in scheme.optional
        said.append(
            Markdown(how + (f", when there is a {code(signed.credential)}." if optional else "."))
        )
    return Markdown(" ".join(said))


def credential_rows(scheme: AuthConfig) -> list[Sequence[object]]:
    """Return a row for each credential: its name, whether it is required, what it is for."""
    use: dict[str, str] = dict(scheme_of(scheme).CREDENTIALS)
    if scheme.key_name:
        use["api_key"] = Markdown(
            f"the key, in the {prose(scheme.key_in)} as {code(scheme.key_name)}"
        )
    for header, name in scheme.headers.items():
        use[name] = Markdown(
            "; ".join([*([use[name]] if name in use else []), f"in the header {code(header)}"])
        )
    use |= {signed.credential: Markdown("signs the body") for signed in scheme.body_signatures}
    optional = scheme.optional
    return [
        [code(name), "no" if name in optional else "yes", use.get(name, "")]
        for name in scheme.credentials
    ]


_NAMED = {"group": "groups of records", "item": "records", "value": "identifiers"}


def then_words(rule: ResponseRule) -> str:
    """Return what an answer leads to."""
    named = f"the {_NAMED[rule.by]} that it names" if rule.each else ""
    later = ", or sent again later where it says so" if rule.later else ""
    if rule.then == "delivered":
        return f"Delivered, but {named} are rejected{later}." if named else "Delivered."
    if rule.then == "reject":
        return f"Rejected are {named}{later}; the others are sent again." if named else "Rejected."
    if rule.then == "retry":
        after = (
            f", after {span_words(rule.after)} unless it says when."
            if rule.after is not None
            else "."
        )
        return "Sent again later" + (", not before the time that it names." if rule.at else after)
    if rule.then == "bisect":
        return "Halved and sent again, until the records at fault are alone; these are rejected."
    return "Stopped: nothing more is sent to this audience; its records are left undelivered."


def split_words(split: Split) -> Iterator[Markdown]:
    """Yield how a person becomes several records."""
    if len(split.parts) < 2:
        pass  # one kind is all kinds
    elif all(len(wires) == 1 for wires in split.parts.values()):
        kinds = codes(wire for wires in split.parts.values() for wire in wires)
        yield Markdown(f"One kind of identifier in a record, of: {kinds}")
    else:
        parts = (f"{code(name)} ({codes(wires)})" for name, wires in split.parts.items())
        yield Markdown(f"Identifiers of one kind in a record, of: {', '.join(parts)}")
    for most, of in ((split.values, " of one identifier"), (split.identifiers, "")):
        if most:
            yield Markdown(f"At most {most:,} value{'' if most == 1 else 's'}{of} in a record")
    if len(split.parts) > 1 or split.values or split.identifiers:
        yield Markdown("A person with more becomes several records")


def sent_words(destination: Destination, action: Action, name: str) -> Markdown:
    """Return how a parameter reaches the vendor."""
    for identifier in action.identifiers:
        if identifier.parameter == name:
            return Markdown(f"as {code(identifier.wire)}: {prose(rule_in_words(identifier))}")
    places = [*_places(destination, action, name)]
    return Markdown("; ".join(dict.fromkeys(places)) or "not sent")


def _places(destination: Destination, action: Action, name: str) -> Iterator[str]:
    if name in placeholders(action.path):
        yield "in the address"
    for place, texts in (("query, as", action.query), ("header", action.headers)):
        yield from (
            f"in the {place} {code(key)}"
            for key, text in texts.items()
            if name in placeholders(text)
        )
    for value in (*action.request.values(), *action.group.values()):
        if isinstance(value, FromParameter) and value.parameter == name:
            yield "in the body" + (
                f"; without it: {_otherwise(value.default)}" if value.has_default else ""
            )
    if any(_reads(destination, file, name) for file in (action.item, action.envelope) if file):
        yield "in the body"
    if any(identifier.flag == name for identifier in action.identifiers):
        yield "not itself: it says whether identifiers are digests already"


def _otherwise(default: Any) -> Markdown:
    if isinstance(default, FromNow):
        return Markdown(f"{code(default.duration)} (ISO 8601) after the request is made")
    return code(default)


def _reads(destination: Destination, template: str, name: str) -> bool:
    """Say whether a template reads a parameter."""
    path = destination.templates / template
    text = (
        path.read_text("utf-8", errors="replace") if path.is_file() else ""
    )  # lint says that it is missing
    return any(f"params{access}" in text for access in (f".{name}", f"['{name}']", f'["{name}"]'))
