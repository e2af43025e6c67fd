"""What `list` and `show` print: data first, the text is made of it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from .catalog import Catalog
from .definition import Action, Destination, Limits
from .errors import ConfigError, Problem, nearest
from .json_files import read_json

_WIDTH = 100


def listing(catalog: Catalog) -> list[dict[str, Any]]:
    """Return each destination with its title and its actions; nothing is checked, so that this stays fast."""
    return [_listed(catalog, name) for name in catalog.ids()]


def _listed(catalog: Catalog, name: str) -> dict[str, Any]:
    from .forms import action_files

    folder = catalog.folder(name) / "schemas" / name
    actions = {path.stem: read_json(path).get("title", "") for path in action_files(folder)}
    return {"destination": name, "title": read_json(folder / "destination.json").get("title", ""), "actions": actions}


def listing_text(found: list[dict[str, Any]]) -> str:
    """Return the listing for people."""
    lines = []
    for one in found:
        lines.append(f"{one['destination']}  {one['title']}")
        width = max(map(len, one["actions"]), default=0)
        lines += [f"  {action:<{width}}  {title}" for action, title in one["actions"].items()]
    return "\n".join(lines)


def showing(catalog: Catalog, name: str) -> dict[str, Any]:
    """Return all that is known of a destination or an action. Raises ConfigError (C201, C207), DefinitionError."""
    destination_id, _, action_id = name.partition(".")
    destination = catalog.load(destination_id)
    if not action_id:
        return _destination(destination)
    if action_id not in destination.actions:
        message = f"unknown action '{action_id}' of {destination_id}"
        raise ConfigError([Problem("C207", name, "", message, nearest(action_id, destination.actions))])
    return _action(destination, destination.actions[action_id])


def _destination(destination: Destination) -> dict[str, Any]:
    raw = destination.raw
    return {
        "destination": destination.id,
        "title": destination.title,
        "description": destination.schema.get("description", ""),
        "api": raw.get("api", {}),
        "docs": raw.get("docs", ""),
        "base_url": raw["base_url"],
        "auth": dict(destination.auth),
        "limits": raw.get("limits", {}),
        "rate": raw.get("rate", []),
        "settings": _parameters(destination.settings, destination.schema),
        "responses": raw.get("responses", []),
        "actions": {action.id: action.title for action in destination.actions.values()},
    }


def _action(destination: Destination, action: Action) -> dict[str, Any]:
    return {
        "action": f"{destination.id}.{action.id}",
        "title": action.title,
        "description": action.schema.get("description", ""),
        "operation": action.operation,
        "request": f"{action.raw['method']} {destination.raw['base_url']}{action.raw['path']}",
        "caps": _limits(action.caps),
        "defaults": _limits(action.usual),
        "source": action.raw.get("source", {}),
        "parameters": _parameters(action.properties, action.schema),
        "checks": action.raw.get("checks", []),
    }


def _limits(limits: Limits) -> dict[str, Any]:
    found: dict[str, Any] = {"records": limits.records, "groups": limits.groups, "bytes": limits.bytes}
    found |= {"age": f"{limits.age:g}s"} if limits.age else {}
    return {name: value for name, value in found.items() if value is not None}


def _parameters(properties: Mapping[str, Mapping[str, Any]], schema: Mapping[str, Any]) -> list[dict[str, Any]]:
    required = set(schema.get("required", ()))
    keys = ("title", "description", "type", "format", "pattern", "default", "examples", "identifier", "source")
    return [
        {"name": name, "required": name in required, **{key: about[key] for key in keys if key in about}}
        for name, about in properties.items()
    ]


def showing_text(found: dict[str, Any]) -> str:
    """Return what `showing` found for people."""
    return "\n".join(_action_lines(found) if "action" in found else _destination_lines(found))


def _destination_lines(found: dict[str, Any]) -> Iterable[str]:
    yield f"{found['destination']}  {found['title']}"
    yield from _wrapped(found["description"])
    yield ""
    api = found["api"]
    yield f"api        {api.get('name', '')} {api.get('version', '')} at {found['base_url']}"
    yield f"docs       {found['docs']}"
    yield f"auth       {found['auth']['scheme']}: {', '.join(found['auth'].get('credentials', []))}"
    yield f"caps       {_pairs(found['limits'].get('caps', {}))}"
    yield f"defaults   {_pairs(found['limits'].get('defaults', {}))}"
    yield from _source(found["limits"])
    for rate in found["rate"]:
        yield f"rate       {rate['requests']} requests in {rate['per']}, counted per {rate['scope']}"
        yield from _source(rate)
    yield from ("", "settings")
    for setting in found["settings"]:
        yield from _parameter_lines(setting)
    yield from ("", "answers")
    for rule in found["responses"]:
        yield f"  {rule['then']:<10} when {rule['when']}"
        yield from _source(rule)
    yield from ("", "actions")
    yield from (f"  {action}  {title}" for action, title in found["actions"].items())


def _action_lines(found: dict[str, Any]) -> Iterable[str]:
    yield f"{found['action']}  {found['title']}"
    yield from _wrapped(found["description"])
    yield ""
    yield f"request    {found['request']}"
    yield f"operation  {found['operation']}"
    yield f"caps       {_pairs(found['caps'])}"
    yield f"defaults   {_pairs(found['defaults'])}"
    yield from _source(found)
    yield from ("", "parameters")
    for parameter in found["parameters"]:
        yield from _parameter_lines(parameter)
    if found["checks"]:
        yield from ("", "checks")
    for check in found["checks"]:
        yield f"  {check['code']}: {check['message']}"


def _parameter_lines(parameter: dict[str, Any]) -> Iterable[str]:
    required = "  (required)" if parameter["required"] else ""
    yield f"  {parameter['name']}{required}  {parameter.get('title', '')}"
    yield from _wrapped(parameter.get("description", ""), "      ")
    if "identifier" in parameter:
        yield f"      sent as {identifier_rule(parameter['name'], parameter['identifier'])}"
    if "default" in parameter:
        yield f"      default: {str(parameter['default']).lower()}"
    if parameter.get("examples"):
        yield f"      for example: {', '.join(map(str, parameter['examples']))}"
    yield from _source(parameter.get("identifier", {}), "      ")
    yield from _source(parameter, "      ")


def identifier_rule(name: str, identifier: Mapping[str, Any]) -> str:
    """Return an identifier's rule in words: its wire key, then what is done to a value, in order."""
    steps = [
        step if isinstance(step, str) else " ".join(map(str, *step.items())) for step in identifier.get("normalize", ())
    ]
    prehashed = identifier.get("prehashed", False)
    hashed = identifier["hash"]
    if hashed == "none":
        steps.append("not hashed")
    elif prehashed is True:
        steps.append(f"a {hashed} digest already")
    else:
        steps.append(hashed)
    rule = f"{identifier.get('wire', name)}: {' → '.join(steps)}"
    if isinstance(prehashed, dict):
        rule += f"; with {prehashed['flag']} a digest already"
    return rule + ("; a digest is recognised" if prehashed == "auto" else "")


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{value:,} {key}" if isinstance(value, int) else f"{key} {value}" for key, value in values.items()
    )


def _source(holder: Mapping[str, Any], indent: str = "           ") -> Iterable[str]:
    source = holder.get("source")
    if source:
        where = f" ({source['url']})" if "url" in source else ""
        yield from _wrapped(f"source: {source['read']}. {source.get('note', '')}{where}", indent)


def _wrapped(text: str, indent: str = "") -> Iterable[str]:
    wrap = partial(
        textwrap.wrap,
        width=_WIDTH,
        initial_indent=indent,
        subsequent_indent=indent,
        break_on_hyphens=False,
        break_long_words=False,
    )
    for paragraph in text.split("\n") if text else ():
        yield from wrap(paragraph) or [""]
