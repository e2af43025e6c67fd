"""What a definition need not say, because it follows from what it says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from connector.definitions.uri_template import placeholders

#: The JSON type of every identifier: one value or several, ids also as numbers.
_IDENTIFIER_TYPE = {
    "type": ["string", "integer", "array"],
    "items": {"type": ["string", "integer"]},
}

#: The credentials of every authentication scheme; a refresh token comes with its grant.
SCHEME_CREDENTIALS: Mapping[str, tuple[str, ...]] = {
    "none": (),
    "bearer": ("access_token",),
    "basic": ("username", "password"),
    "api_key": ("api_key",),
    "oauth1": ("consumer_key", "consumer_secret", "access_token", "access_token_secret"),
    "oauth2": ("client_id", "client_secret"),
}

_CHOICE_OF_SCHEME = {
    "title": "Authentication",
    "description": "How requests are authenticated.",
}

# How a digest is brought into one spelling.
_DIGEST_STEPS = ["trim", "lowercase"]

# The digest of nothing that anybody knows.
_EXAMPLE_DIGEST = "5f8c2a3b1d4e6f7089abcdef0123456789abcdef0123456789abcdef01234567"


def values_schema(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of an action's parameters or a destination's settings.

    It is the content of the file with what it leaves out: types, the twins of identifiers that may
    be hashed already, that what the URL needs is required and one identifier too, that nothing else
    is allowed, and examples of an action.
    """
    action = content.get("action", {})
    texts = [action.get("path", ""), action.get("audience", ""), *action.get("query", {}).values()]
    schema = _form(content, _all_fields(content), _named_in(texts))
    properties = schema["properties"]
    together = action.get("together", {})
    sufficient = [[name] for name in _sufficient(properties)] + list(together.values())
    if sufficient and "oneOf" not in content:
        schema["anyOf"] = [{"required": names} for names in sufficient]
    if sufficient and "examples" not in content:
        examples = list(_examples(schema, sufficient))
        if examples:
            schema["examples"] = examples
    return schema


def call_schema(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a call's parameters, as `values_schema` does.

    What only the query needs may be absent: that member is left out then.
    """
    properties: dict[str, Any] = {}
    for name, field in content.get("properties", {}).items():
        properties[name] = {"type": "string", **field}
    return _form(content, properties, placeholders(content["action"]["path"]))


def export_schema(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON Schema of an export's parameters, as `values_schema` does an action's.

    Required is what is listed, what the URL and the file's name are made of, and an identifier
    that is a column of its own.
    """
    properties = _all_fields(content)
    members = content["export"]
    sufficient = list(_sufficient(properties))
    needed = _named_in([members.get("url", ""), members.get("file", "")])
    needed += [name for name in members.get("columns", ()) if name in sufficient]
    schema = _form(content, properties, needed)
    alternatives = [name for name in sufficient if name not in schema["required"]]
    if alternatives:
        schema["anyOf"] = [{"required": [name]} for name in alternatives]
    return schema


def _form(
    content: Mapping[str, Any], properties: Mapping[str, Any], needed: Iterable[str]
) -> dict[str, Any]:
    """Return the schema of these fields: required is what is listed, and what is needed."""
    required = list(content.get("required", ()))
    for name in needed:
        field = properties.get(name)
        if field is not None and "default" not in field and name not in required:
            required.append(name)
    return {
        **content,
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def _named_in(texts: Iterable[str]) -> list[str]:
    """Return the names in the braces of some texts."""
    names = []
    for text in texts:
        names += placeholders(text)
    return names


def _examples(schema: Mapping[str, Any], sufficient: list[list[str]]) -> Iterator[dict[str, Any]]:
    """Yield what a route gives at least, and all that it may give."""
    properties = schema["properties"]
    if "oneOf" in schema:
        sufficient = [schema["oneOf"][0]["required"]]
    shown = set[str]().union(*sufficient)
    needed = {*schema["required"], *sufficient[0]}

    least = {}
    most = {}
    for name, field in properties.items():
        is_alternative = "identifier" in field and field["identifier"].get("alone", True)
        if is_alternative and name not in shown:
            continue
        values = [*field.get("examples", ()), *field.get("enum", ())]
        if not values:
            continue
        most[name] = values[0]
        if name in needed:
            least[name] = values[0]
    if needed <= least.keys():
        yield least
        if most != least:
            yield most


def settings_schema(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON Schema of a destination's settings, with the one that chooses the scheme."""
    auth = content["destination"]["auth"]
    properties = content.get("properties", {})
    name = auth.get("setting")
    if name is not None and name not in properties:
        schemes = list(auth["schemes"])
        choice = {**_CHOICE_OF_SCHEME, "enum": schemes, "default": schemes[0]}
        content = {**content, "properties": {name: choice, **properties}}
    return values_schema(content)


def credentials_of(auth: Mapping[str, Any]) -> list[str]:
    """Return the names of all credentials that a scheme of `auth` uses, each once."""
    names = [*SCHEME_CREDENTIALS[auth["scheme"]]]
    if auth.get("grant") == "refresh_token":
        names.append("refresh_token")
    if _signs_in_for_a_token(auth):
        names.append("client_id")
    names.extend(auth.get("headers", {}).values())

    signatures = auth.get("body_signature", [])
    for signature in signatures if isinstance(signatures, list) else [signatures]:
        names.append(signature["credential"])
    return list(dict.fromkeys(names))


def optional_credentials_of(auth: Mapping[str, Any]) -> list[str]:
    """Return the credentials that a connection may leave out."""
    optional = list(auth.get("optional", ()))
    if _signs_in_for_a_token(auth) and "client_id" not in optional:
        # nothing that is sent needs it, only signing in does
        optional.append("client_id")
    return optional


def _signs_in_for_a_token(auth: Mapping[str, Any]) -> bool:
    return auth["scheme"] == "bearer" and "login" in auth


def twin_of(identifier: Mapping[str, Any]) -> str | None:
    """Return the name of the parameter for digests, None when there is none."""
    prehashed = identifier.get("prehashed")
    return prehashed.get("twin") if isinstance(prehashed, dict) else None


def _all_fields(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a file with what follows from them, and their twins."""
    properties: dict[str, Any] = {}
    for name, field in content.get("properties", {}).items():
        properties.update(_fields(name, field))
    return properties


def _fields(name: str, field: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield a field with what follows from it, and its twin."""
    identifier = field.get("identifier")
    if identifier is None:
        yield name, {"type": "string", **field}
        return

    twin = twin_of(identifier)
    if twin is None:
        yield name, {**field, **_IDENTIFIER_TYPE}
        return

    title = field["title"]
    description = field["description"]
    shared = {**identifier, "wire": identifier.get("wire", name)}
    plain = {
        "title": f"{title} (apply SHA256 hash)",
        "description": f"{description} In plain text: it is normalised and hashed here.",
        "identifier": {**shared, "prehashed": False},
    }
    hashed = {
        "title": f"{title} (already SHA256 hashed)",
        "description": f"{description} As a SHA-256 digest: 64 hexadecimal digits.",
        "examples": [_EXAMPLE_DIGEST],
        "identifier": {**shared, "normalize": _DIGEST_STEPS, "prehashed": True},
    }
    yield name, {**field, **_IDENTIFIER_TYPE, **plain}
    yield twin, {**field, **_IDENTIFIER_TYPE, **hashed}


def _sufficient(properties: Mapping[str, Any]) -> Iterator[str]:
    """Yield the identifiers of which one is enough."""
    for name, field in properties.items():
        identifier = field.get("identifier")
        if identifier is not None and identifier.get("alone", True):
            yield name
