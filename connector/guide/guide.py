"""The setup guide of a destination, as Markdown: all that its definition says, for the person who connects it.

The layout and the standing texts are in `guide.md.j2`. Every value that goes into it is escaped, unless it is Markdown.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import resources
from typing import Any

import yaml
from jinja2 import Environment, StrictUndefined

from connector._util.pretty_json import as_written
from connector.definitions.model import Action, Destination, Field, Limits, ResponseRule
from connector.guide.example_connection import (
    starter_connection,
    starter_event,
    starter_events,
    starter_route,
    unused_credentials,
)
from connector.guide.identifier_words import identifier_rules
from connector.guide.markdown import Markdown, block, code, codes, prose, table
from connector.guide.requests import MOMENT, apart, requests_of
from connector.guide.sources import sources, tally
from connector.guide.words import (
    OTHERWISE,
    auth_words,
    credential_rows,
    limit_table,
    rate_words,
    sent_words,
    split_words,
    then_words,
)
from connector.pipeline.normalise import STEPS

Row = Sequence[object]

# A paragraph that says at its beginning what it is about, such as "Before you start: …".
_HEADED = re.compile(r"([A-Z]\w*(?: \w+){0,3}): (?=\S)")


def guide(destination: Destination) -> str:
    """Return the setup guide."""
    source = (resources.files(__package__) / "guide.md.j2").read_text("utf-8")
    environment = Environment(  # noqa: S701 - `finalize` escapes, for Markdown
        undefined=StrictUndefined,
        finalize=prose,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=False,
    )
    environment.filters |= {"code": code, "table": table}
    text = environment.from_string(source).render(_destination(destination))
    return re.sub(r"\n{3,}", "\n\n", text)


def _destination(destination: Destination) -> dict[str, Any]:
    """Return what the template shows."""
    actions = destination.actions.values()
    intro, chapters = _chapters(destination.description)
    usual, caps = destination.limits.defaults, destination.limits.caps
    found = sources(destination)
    connection, events = starter_connection(destination), list(starter_events(destination))
    return {
        "title": destination.title,
        "intro": intro,
        "chapters": chapters,
        "api": destination.api,
        "base_url": destination.base_url_template,
        "docs": destination.docs,
        "limits": limit_table(usual.over(caps), caps, groups=_grouped(actions)),
        "capped": any(action.caps != Limits() for action in actions),
        "rates": [rate_words(rate) for rate in destination.rates],
        "settings": [
            [*_about(setting, destination.schema)] for setting in destination.settings.values()
        ],
        "schemes": list(_schemes(destination)),
        "connection": _yaml(connection),
        "unused": codes(
            f"{name}: {{env: {ref['env']}}}"
            for name, ref in unused_credentials(destination).items()
        ),
        "events": block("\n".join(map(_json, events)), "json"),
        "splits": any(action.split for action in actions),
        "apart": apart(destination, connection["routes"], events),
        "moment": MOMENT,
        "overview": [[code(a.id), a.title, a.operation, a.description] for a in actions],
        "actions": [_action(destination, action) for action in actions],
        "steps": list(_steps(actions)),
        "answers": list(_answers(destination.responses)),
        "otherwise": OTHERWISE,
        "tally": tally(found),
        "sources": found,
    }


def _chapters(description: str) -> tuple[str, list[tuple[str, list[str]]]]:
    """Return the first paragraph, and the others under their headings."""
    intro, *rest = [line.strip() for line in description.split("\n") if line.strip()] or [""]
    chapters: list[tuple[str, list[str]]] = []
    for paragraph in rest:
        headed = _HEADED.match(paragraph)
        if headed:
            text = paragraph[headed.end() :]
            chapters.append((headed[1], [text[:1].upper() + text[1:]]))
        elif chapters:
            chapters[-1][1].append(paragraph)
        else:
            chapters.append(("How it works", [paragraph]))
    return intro, chapters


def _schemes(destination: Destination) -> Iterator[dict[str, Any]]:
    """Yield the authentication, or each that a setting can choose."""
    for choice, scheme in destination.auth.schemes.items():
        yield {
            "choice": code(f"{destination.auth.setting}: {choice}") if choice else "",
            "words": auth_words(scheme),
            "credentials": credential_rows(scheme),
        }


def _action(destination: Destination, action: Action) -> dict[str, Any]:
    route = starter_route(action, fullest=True)
    event = starter_event(action, fullest=True)
    return {
        "id": code(action.id),
        "title": action.title,
        "description": action.description,
        "operation": action.operation,
        "request": code(f"{action.method} {destination.base_url_template}{action.path}"),
        "remarks": list(_remarks(action)),
        "parameters": [
            [*_about(parameter, action.schema), sent_words(destination, action, parameter.name)]
            for parameter in action.parameters.values()
        ],
        "identifiers": list(_identifiers(action)),
        "checks": [[code(check.code), check.message] for check in action.checks],
        "limits": _own_limits(destination, action),
        "answers": list(_answers(action.own_responses)),
        "route": _yaml({"routes": [route]}),
        "event": block(_json(event), "json"),
        "requests": requests_of(destination, route, event),
    }


def _remarks(action: Action) -> Iterator[str]:
    for keyword, words in (("anyOf", "At least one"), ("oneOf", "Exactly one")):
        alternatives = [
            codes(one["required"], " and ") for one in _alternatives(action.schema, keyword)
        ]
        if len(alternatives) > 1:
            yield Markdown(f"{words} of: {', '.join(alternatives)}")
    if action.audience:
        yield Markdown(f"Audience: {code(action.audience)}")
    if action.split:
        yield from split_words(action.split)


def _alternatives(schema: Mapping[str, Any], keyword: str) -> list[Mapping[str, Any]]:
    """Return the sets of parameters of which one is needed."""
    return [one for one in schema.get(keyword, ()) if "required" in one]


def _required(schema: Mapping[str, Any]) -> set[str]:
    """Return what is always needed: also what the only alternative names."""
    only = [
        found[0] for kind in ("anyOf", "oneOf") if len(found := _alternatives(schema, kind)) == 1
    ]
    return {name for one in (schema, *only) for name in one.get("required", ())}


def _own_limits(destination: Destination, action: Action) -> Markdown:
    """Return the limits of an action that has some of its own."""
    if action.own_limits in (None, destination.limits):
        return Markdown()
    return limit_table(action.default_limits, action.caps, groups=_grouped([action]))


def _grouped(actions: Iterable[Action]) -> bool:
    """Say whether records are grouped in some request."""
    return any(action.group for action in actions)


def _about(field: Field, schema: Mapping[str, Any]) -> Iterator[object]:
    """Yield name, title, description, whether it is required, and an example of a setting or parameter."""
    yield code(field.name)
    yield field.title
    yield Markdown(" ".join(_described(field)))
    yield "yes" if field.name in _required(schema) else "no"
    yield codes(map(as_written, field.examples[:2]))


def _described(field: Field) -> Iterator[str]:
    yield prose(field.description)
    if field.deprecated:
        yield "New connections should not use it."
    if field.allowed:
        yield f"Allowed: {codes(map(as_written, field.allowed))}."
    if field.has_default:
        yield f"Default: {code(as_written(field.default))}."


def _identifiers(action: Action) -> Iterator[Row]:
    for rule in identifier_rules(action):
        steps = codes(rule["steps"], " → ")
        first: list[object] = [code(rule["parameter"]), steps, _hashed(rule), code(rule["wire"])]
        for example in rule["examples"] or [{"in": "", "out": ""}]:
            becomes = (
                code(example["out"])
                if example["out"] is not None
                else f"dropped: {example['dropped']}"
            )
            yield [*first, code(as_written(example["in"])), becomes]
            first = [""] * len(first)


def _hashed(rule: Mapping[str, Any]) -> str:
    if rule["hash"] == "none":
        return "not hashed"
    if isinstance(rule["prehashed"], dict):
        return Markdown(
            f"{prose(rule['hash'])}, with {code(rule['prehashed']['flag'])} a digest already"
        )
    words = {True: "a {} digest already", "auto": "{}, unless it is a digest already", False: "{}"}
    return words[rule["prehashed"]].format(rule["hash"])


def _answers(rules: Iterable[ResponseRule]) -> Iterator[Row]:
    for rule in rules:
        yield [
            code(rule.when),
            then_words(rule),
            code(rule.code),
            rule.reason,
        ]


def _steps(actions: Iterable[Action]) -> Iterator[Row]:
    """Yield the steps that are used, with what they do."""
    used = {
        name
        for action in actions
        for identifier in action.identifiers
        for name, _ in identifier.normalize
    }
    yield from ([code(name), step.words] for name, step in STEPS.items() if name in used)


def _yaml(document: Mapping[str, Any]) -> Markdown:
    text = yaml.safe_dump(
        document,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=None,
        width=_UNBROKEN,
        indent=2,
    )
    return block(text, "yaml")


_UNBROKEN = 10_000


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
