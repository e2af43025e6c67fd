"""What a definition says in short, as sentences of the setup guide."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from . import times
from .definition import Action, Destination, Limits, Split
from .markdown import Markdown, code, codes, prose
from .placeholders import placeholders
from .rules import rule_in_words

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


def limit_rows(usual: Limits, caps: Limits) -> list[Sequence[object]]:
    """Return a row for each limit: what it is, the default, the vendor's cap."""
    names = ("records", "groups", "bytes", "age")
    words = ("Records", "Groups of records", "Size of the body", "Age of the oldest record")
    return [
        [Markdown(f"{word} ({code(name)})"), _amount(name, usual), "" if name == "age" else _amount(name, caps)]
        for name, word in zip(names, words, strict=True)
    ]


def _amount(name: str, limits: Limits) -> str:
    value = getattr(limits, name)
    if value is None:
        return "none"
    written = {"bytes": size_words, "age": span_words}.get(name, "{:,}".format)
    return str(written(value))


def rate_words(rate: Mapping[str, Any]) -> str:
    """Return a rate limit as a sentence."""
    scope = "over all requests of a connection" if rate["scope"] == "account" else "for each audience"
    return f"At most {rate['requests']:,} requests in {span_words(times.span(rate['per']))}, counted {scope}."


_SCHEMES = {
    "oauth1": "OAuth 1.0a: every request is signed anew, retries too.",
    "bearer": "A bearer token, in the header Authorization of every request.",
    "basic": "A user name and a password (HTTP Basic), in the header Authorization of every request.",
    "api_key": "A key, in every request.",
    "oauth2": "OAuth 2.0: an access token is fetched before the first request, and anew when it ends.",
    "none": "Requests carry no credentials of their own.",
}


def auth_words(scheme: Mapping[str, Any]) -> Markdown:
    """Return how requests are authenticated."""
    said = [prose(_SCHEMES.get(scheme["scheme"], f"The scheme {scheme['scheme']}."))]
    if "name" in scheme:
        after = f", after {code(scheme['prefix'])}" if "prefix" in scheme else ""
        said.append(Markdown(f"The key stands in the {prose(scheme['in'])}, as {code(scheme['name'])}{after}."))
    if "grant" in scheme:
        said.append(Markdown(f"The grant is {code(scheme['grant'])}."))
    if "token_url" in scheme:
        said.append(Markdown(f"Tokens come from {code(scheme['token_url'])}."))
    if "scope" in scheme:
        said.append(Markdown(f"The scope is {code(scheme['scope'])}."))
    if "body_signature" in scheme:
        signed = scheme["body_signature"]
        how = f"The body is signed ({prose(signed['hash'])}) in the header {code(signed['header'])}"
        optional = signed["credential"] in scheme.get("optional", ())
        said.append(Markdown(how + (f", when there is a {code(signed['credential'])}." if optional else ".")))
    return Markdown(" ".join(said))


def credential_rows(scheme: Mapping[str, Any]) -> list[Sequence[object]]:
    """Return a row for each credential: its name, whether it is required, what it is for."""
    use = {name: Markdown(f"in the header {code(header)}") for header, name in scheme.get("headers", {}).items()}
    if "body_signature" in scheme:
        use[scheme["body_signature"]["credential"]] = Markdown("signs the body")
    optional = scheme.get("optional", ())
    return [
        [code(name), "no" if name in optional else "yes", use.get(name, "the authentication itself")]
        for name in scheme.get("credentials", ())
    ]


_NAMED = {"group": "groups of records", "item": "records", "value": "identifiers"}


def then_words(rule: Mapping[str, Any]) -> str:
    """Return what an answer leads to."""
    named = f"the {_NAMED[rule['by']]} that it names" if "each" in rule else ""
    later = ", or sent again later where it says so" if "later" in rule else ""
    if rule["then"] == "delivered":
        return f"Delivered, but {named} are rejected{later}." if named else "Delivered."
    if rule["then"] == "reject":
        return f"Rejected are {named}{later}; the others are sent again." if named else "Rejected."
    if rule["then"] == "retry":
        return "Sent again later" + (", not before the time that it names." if "at" in rule else ".")
    if rule["then"] == "bisect":
        return "Halved and sent again, until the records at fault are alone; these are rejected."
    return "Stopped: nothing more is sent to this audience; its records are left undelivered."


def split_words(split: Split) -> Iterator[Markdown]:
    """Yield how a person becomes several records."""
    if all(len(wires) == 1 for wires in split.parts.values()) and split.parts:
        kinds = codes(wire for wires in split.parts.values() for wire in wires)
        yield Markdown(f"One kind of identifier in a record, of: {kinds}")
    elif split.parts:
        parts = (f"{code(name)} ({codes(wires)})" for name, wires in split.parts.items())
        yield Markdown(f"Identifiers of one kind in a record, of: {', '.join(parts)}")
    for most, of in ((split.values, " of one identifier"), (split.identifiers, "")):
        if most:
            yield Markdown(f"At most {most:,} value{'' if most == 1 else 's'}{of} in a record")
    yield Markdown("A person with more becomes several records")


def sent_words(destination: Destination, action: Action, name: str) -> Markdown:
    """Return how a parameter reaches the vendor."""
    for identifier in action.identifiers:
        if identifier.parameter == name:
            return Markdown(f"as {code(identifier.wire)}: {prose(rule_in_words(identifier))}")
    places = [*_places(destination, action, name)]
    return Markdown("; ".join(dict.fromkeys(places)) or "not sent")


def _places(destination: Destination, action: Action, name: str) -> Iterator[str]:
    raw = action.raw
    if name in placeholders(raw["path"]):
        yield "in the address"
    for place, texts in (("query, as", raw.get("query", {})), ("header", action.headers)):
        yield from (f"in the {place} {code(key)}" for key, text in texts.items() if name in placeholders(text))
    for value in (*raw.get("request", {}).values(), *raw.get("group", {}).values()):
        if isinstance(value, dict) and value.get("param") == name:
            yield "in the body" + (f"; without it: {_otherwise(value['default'])}" if "default" in value else "")
    if any(_reads(destination, raw[kind], name) for kind in ("item", "envelope") if kind in raw):
        yield "in the body"
    if any(identifier.flag == name for identifier in action.identifiers):
        yield "not itself: it says whether identifiers are digests already"


def _otherwise(default: Any) -> Markdown:
    if isinstance(default, dict):
        return Markdown(f"{code(default['now'])} (ISO 8601) after the request is made")
    return code(default)


def _reads(destination: Destination, template: str, name: str) -> bool:
    """Say whether a template reads a parameter."""
    path = destination.templates / template
    text = path.read_text("utf-8", errors="replace") if path.is_file() else ""  # lint says that it is missing
    return any(f"params{access}" in text for access in (f".{name}", f"['{name}']", f'["{name}"]'))
