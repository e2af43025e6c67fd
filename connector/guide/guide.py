"""The setup guide of a destination, as Markdown: what its definition says, for who connects it.

The layout and the fixed texts are in `guide.md.j2`. Every value that goes into it is escaped,
unless it is Markdown already.
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
from connector.definitions.fields import Form
from connector.definitions.model import (
    Action,
    Destination,
    Field,
    JsonSchema,
    Limits,
    ResponseRule,
)
from connector.definitions.presets import presets
from connector.guide.answer_words import otherwise, then_words
from connector.guide.auth_words import auth_words, credential_rows
from connector.guide.example_connection import (
    example_connection,
    example_event,
    example_events,
    example_route,
    optional_credentials,
)
from connector.guide.exports import export_chapters
from connector.guide.identifier_words import identifier_rules
from connector.guide.limit_words import concurrency_words, limit_table, rate_words, retry_words
from connector.guide.markdown import Markdown, block, code, codes, prose, table
from connector.guide.parameter_words import sent_words, split_words
from connector.guide.requests import MOMENT, cannot_share_requests, requests_of
from connector.guide.sources import sources, tally
from connector.pipeline.normalise import STEPS

Row = Sequence[object]

# A paragraph that says at its beginning what it is about, such as "Before you start: …".

# YAML is not wrapped.
_UNBROKEN = 10_000


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
    connection = example_connection(destination)
    events = list(example_events(destination))
    source_rows = sources(destination)
    exports = list(export_chapters(destination))

    return {
        "title": destination.title,
        "intro": destination.description,
        "guide": Markdown(destination.guide.strip()),
        "api": destination.api,
        "base_url": destination.base_url_template,
        "docs": destination.docs,
        "limits": _limits(destination),
        "capped": any(action.caps != Limits() for action in actions),
        "rates": [rate_words(rate) for rate in destination.rates],
        "concurrency": concurrency_words(destination.concurrency.requests),
        "retry": retry_words(destination.retry),
        "settings": _settings(destination),
        "schemes": list(_schemes(destination)),
        "connection": _yaml(connection),
        "unused": _optional_credentials(destination),
        "events": block("\n".join(map(_json, events)), "json"),
        "presets": _presets(destination),
        "from_preset": code(f"connector new {destination.id} --from NAME"),
        "splits": any(action.split for action in actions),
        "apart": cannot_share_requests(destination, connection["routes"], events),
        "moment": MOMENT,
        "overview": _overview(destination),
        "actions": [_action(destination, action) for action in actions],
        "calls": _calls(destination),
        "exports": [_export(one) for one in exports],
        "steps": list(_steps([*actions, *(one["export"] for one in exports)])),
        "answers": list(_answers(destination.responses)),
        "otherwise": otherwise(),
        "tally": tally(source_rows),
        "sources": source_rows,
    }


def _presets(destination: Destination) -> list[Row]:
    rows: list[Row] = []
    for preset in presets(destination.document.folder.path):
        rows.append([code(preset.name), preset.description])
    return rows


def _limits(destination: Destination) -> Markdown:
    caps = destination.limits.caps
    defaults = destination.limits.defaults.over(caps)
    return limit_table(defaults, caps, groups=_has_groups(destination.actions.values()))


def _settings(destination: Destination) -> list[Row]:
    rows: list[Row] = []
    for setting in destination.settings.values():
        rows.append(_field_cells(setting, destination.schema))
    return rows


def _schemes(destination: Destination) -> Iterator[dict[str, Any]]:
    """Yield the authentication, or each that a setting can choose."""
    for choice, scheme in destination.auth.schemes.items():
        yield {
            "choice": code(f"{destination.auth.setting}: {choice}") if choice else "",
            "words": auth_words(scheme),
            "credentials": credential_rows(scheme),
        }


def _optional_credentials(destination: Destination) -> Markdown:
    references = optional_credentials(destination).items()
    return codes(f"{name}: {{env: {reference['env']}}}" for name, reference in references)


def _overview(destination: Destination) -> list[Row]:
    rows: list[Row] = []
    for action in destination.actions.values():
        rows.append([code(action.id), action.title, action.operation, action.description])
    return rows


def _calls(destination: Destination) -> list[Row]:
    rows: list[Row] = []
    for call in destination.calls.values():
        rows.append([code(call.id), call.title, call.description, codes(call.parameters)])
    return rows


def _action(destination: Destination, action: Action) -> dict[str, Any]:
    route = example_route(action, fullest=True)
    event = example_event(action, fullest=True)
    url = destination.base_url_template + action.path
    return {
        "id": code(action.id),
        "title": action.title,
        "description": action.description,
        "operation": action.operation,
        "request": code(f"{action.method} {url}"),
        "remarks": list(_remarks(action)),
        "parameters": _parameters(destination, action),
        "identifiers": list(_identifiers(action)),
        "checks": [[code(check.code), check.message] for check in action.checks],
        "limits": _own_limits(destination, action),
        "answers": list(_answers(action.own_responses)),
        "route": _yaml({"routes": [route]}),
        "event": block(_json(event), "json"),
        "requests": requests_of(destination, route, event),
    }


def _export(chapter: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the template shows of an export."""
    export = chapter["export"]
    parameters = []
    for field in export.parameters.values():
        parameters.append(_field_cells(field, export.schema))
    return {
        **chapter,
        "parameters": parameters,
        "remarks": list(_alternative_words(export.schema)),
        "identifiers": list(_identifiers(export)),
        "connection": _yaml(chapter["connection"]),
        "event": block(_json(chapter["event"]), "json"),
    }


def _parameters(destination: Destination, action: Action) -> list[Row]:
    rows: list[Row] = []
    for parameter in action.parameters.values():
        sent = sent_words(destination, action, parameter.name)
        rows.append([*_field_cells(parameter, action.schema), sent])
    return rows


def _alternative_words(schema: JsonSchema) -> Iterator[str]:
    """Yield which parameters are needed that are alternatives."""
    for keyword, words in (("anyOf", "At least one"), ("oneOf", "Exactly one")):
        alternatives = _alternatives(schema, keyword)
        if len(alternatives) > 1:
            sets = [codes(names, " and ") for names in alternatives]
            yield Markdown(f"{words} of: {', '.join(sets)}")


def _remarks(action: Action) -> Iterator[str]:
    yield from _alternative_words(action.schema)
    if action.prefer:
        yield Markdown(f"Of several, the one that {code(action.prefer)} names counts.")
    if action.audience:
        yield Markdown(f"Audience: {code(action.audience)}")
    if action.split:
        yield from split_words(action.split)


def _alternatives(schema: JsonSchema, keyword: str) -> list[Sequence[str]]:
    """Return the sets of parameters of which one is needed."""
    alternatives = schema.get(keyword, ())
    return [part["required"] for part in alternatives if "required" in part]


def _required(schema: JsonSchema) -> set[str]:
    """Return what is always needed: also what the only alternative names."""
    names = set(schema.get("required", ()))
    for keyword in ("anyOf", "oneOf"):
        alternatives = _alternatives(schema, keyword)
        if len(alternatives) == 1:
            names.update(alternatives[0])
    return names


def _own_limits(destination: Destination, action: Action) -> Markdown:
    """Return the limits of an action that has some of its own."""
    if action.own_limits in (None, destination.limits):
        return Markdown()
    return limit_table(action.default_limits, action.caps, groups=_has_groups([action]))


def _has_groups(actions: Iterable[Action]) -> bool:
    """Return whether records are grouped in some request."""
    return any(action.group for action in actions)


def _field_cells(field: Field, schema: JsonSchema) -> list[object]:
    """Return name, title, description, whether it is required, and an example."""
    return [
        code(field.name),
        field.title,
        Markdown(" ".join(_described(field))),
        "yes" if field.name in _required(schema) else "no",
        codes(map(as_written, field.examples[:2])),
    ]


def _described(field: Field) -> Iterator[str]:
    yield prose(field.description)
    if field.ignored:
        yield "Neither checked nor sent here, so that one mapping serves additions and removals."
    if field.deprecated:
        yield "Do not use it in new connections."
    if field.allowed:
        yield f"Allowed: {codes(map(as_written, field.allowed))}."
    if field.has_default:
        yield f"Default: {code(as_written(field.default))}."


def _identifiers(form: Form) -> Iterator[Row]:
    """Yield a row for each example of an identifier; only the first one has the rule."""
    for rule in identifier_rules(form):
        steps = codes(rule["steps"], " → ")
        cells: list[object] = [code(rule["parameter"]), steps, _hashed(rule), code(rule["wire"])]
        for example in rule["examples"] or [{"in": "", "out": ""}]:
            yield [*cells, code(as_written(example["in"])), _becomes(example)]
            cells = [""] * len(cells)


def _becomes(example: Mapping[str, Any]) -> str:
    if example["out"] is None:
        return f"dropped: {example['dropped']}"
    return code(example["out"])


def _hashed(rule: Mapping[str, Any]) -> str:
    name, prehashed = rule["hash"], rule["prehashed"]
    if name == "none":
        return "not hashed"
    if isinstance(prehashed, dict):
        return Markdown(f"{prose(name)}, with {code(prehashed['flag'])} a digest already")
    if prehashed == "auto":
        return f"{name}, unless it is a digest already"
    return f"a {name} digest already" if prehashed else str(name)


def _answers(rules: Iterable[ResponseRule]) -> Iterator[Row]:
    for rule in rules:
        yield [code(rule.when), then_words(rule), code(rule.code), rule.reason]


def _steps(forms: Iterable[Form]) -> Iterator[Row]:
    """Yield the steps that are used, with what they do."""
    used: set[str] = set()
    for form in forms:
        for identifier in form.identifiers:
            used.update(name for name, _ in identifier.normalize)

    for name, step in STEPS.items():
        if name in used:
            yield [code(name), step.words]


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


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
