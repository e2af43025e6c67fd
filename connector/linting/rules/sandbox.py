"""The rules of lint on a definition's sandbox: it has to read what is sent, and be understood."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import orjson

from connector.definitions.model import SandboxConfig
from connector.definitions.uri_template import placeholders
from connector.errors import Problem
from connector.linting.examples import NOW, Bench, BenchRule, Sample
from connector.linting.rule import at
from connector.linting.rules.items import losses
from connector.model import Delivered, Response
from connector.sandbox.audiences import identifiers_of
from connector.sandbox.endpoints import TEMPLATE_NAMES
from connector.sandbox.refusals import REFUSALS
from connector.templating.template import RenderError, Template

_NOTHING = Template("{}", ())

# Operation, people (each a set of wire keys with a value) and audience, as sent or as read.
_Group = tuple[Any, list[frozenset[tuple[str, str]]], Any]


def sandbox(bench: Bench) -> Iterator[Problem]:
    """Find a sandbox that does not read what is sent, or whose answers are taken for what they are not.

    Cases and `send --sandbox` would show something else than the vendor does. Mend its templates, or the rules.
    """
    lossy = {
        action.id
        for action in bench.destination.actions.values()
        if next(losses(bench, action), None)
    }
    for sample in bench.samples:
        if sample.action.sandbox != SandboxConfig() and not sample.refused:
            trial = _Trial(bench, sample)
            parts = {"reads": trial.reads, "success": trial.success, "refusal": trial.refusal}
            if sample.action.id in lossy:  # what is not sent cannot be read
                del parts["reads"]
            for name, part in parts.items():
                try:
                    yield from part()
                except RenderError as error:
                    yield trial.problem(
                        name,
                        f"cannot be rendered: {error}",
                        bench.seen_with(sample.action, sample.place),
                    )


class _Trial:
    """The sandbox templates of one action, tried on one request."""

    def __init__(self, bench: Bench, sample: Sample) -> None:
        self._bench = bench
        self._sample = sample
        self._named = sample.action.sandbox.templates
        values = {**sample.batch.target.params, **bench.settings}
        self._path = {name: str(values[name]) for name in placeholders(sample.action.path)}
        audience = sample.batch.lane if sample.action.audience else None
        self._groups = [
            (
                target.operation,
                [frozenset(zip(record.wires, record.ids, strict=True)) for record in records],
                audience,
            )
            for target, records in sample.batch.groups()
        ]
        self._sent = len(sample.batch.records)

    def reads(self) -> Iterator[Problem]:
        """Yield where `reads` differs from what was sent."""
        if "reads" not in self._named:
            return
        request = self._sample.request
        headers = {name.lower(): text for name, text in request.headers.items()}
        context = {
            "body": self._sample.body,
            "path": self._path,
            "method": request.method,
            "headers": headers,
        }
        read, sent = _as_read(self._rendered("reads", context)), self._groups
        apart = self._sample.action.caps.groups is None
        if apart:
            read, sent = _one_by_one(read), _one_by_one(sent)
        if read != sent:
            hint = 'it has to give [{"operation": "add", "people": [{wire: [values]}]}], with an entry for each group'
            if self._sample.action.audience:
                hint = hint.replace('"people"', '"audience": …, "people"')
            hint += f"; {_difference(sent, read, self._sample.action.wires, 'people' if apart else 'groups')}"
            hint += f"; {self._bench.seen_with(self._sample.action, self._sample.place)}"
            yield self.problem("reads", "does not give back what was sent", hint)

    def success(self) -> Iterator[Problem]:
        """Yield when success is not taken for a delivery, or fewer people than were sent are."""
        answers: list[Any] = []
        for missing in (0, 1):
            groups = [
                {"operation": op, "sent": len(people), "accepted": len(people)}
                for op, people, _ in self._groups
            ]
            groups[0]["accepted"] = len(self._groups[0][1]) - missing
            context = {"groups": groups, "sent": self._sent, "accepted": self._sent - missing}
            answers.append(self._rendered("success", {**context, **self._shared()}))
        whole, short = answers
        if not self._delivered(200, whole):
            hint = "mend the template, or the rule whose 'then' is delivered"
            yield self.problem("success", "is not taken for a delivery by the response rules", hint)
        if short != whole and self._delivered(200, short):
            message = "is taken for a delivery by the response rules when fewer people are accepted than were sent"
            yield self.problem("success", message, "let the rule compare with 'sent'")

    def refusal(self) -> Iterator[Problem]:
        """Yield when a refusal cannot be rendered, or is taken for a delivery."""
        errors: list[list[dict[str, Any]]] = [
            [{"message": "is not allowed", "parameter": None}] for _ in self._groups
        ]
        shared = {"message": "is not allowed", "errors": [], **self._shared()}
        contexts = [{**shared, "status": status, "code": code} for code, status in REFUSALS.items()]
        contexts += [{**contexts[-1], "errors": errors}, {**contexts[0], "path": {}, "body": None}]
        fixed = self._sample.action.sandbox.refusal_status
        believed = [
            context
            for context in contexts
            if self._delivered(fixed or context["status"], self._rendered("refusal", context))
        ]
        if believed:
            words = ", ".join(
                dict.fromkeys(f"{context['code']} ({context['status']})" for context in believed)
            )
            message = f"is taken for a delivery by the response rules: {words}"
            yield self.problem("refusal", message, "let the rules look at 'status'")

    def _shared(self) -> dict[str, Any]:
        return {"path": self._path, "body": self._sample.body}

    def _delivered(self, status: int, body: Any) -> bool:
        classify = self._sample.batch.endpoint.classify
        return isinstance(classify(Response(status, {}, body), self._sent, NOW), Delivered)

    def _rendered(self, name: str, context: Mapping[str, Any]) -> Any:
        file = self._named.get(name)
        template = self._bench.template(file, TEMPLATE_NAMES[name]) if file else _NOTHING
        return orjson.loads(template.render(context))

    def problem(self, name: str, message: str, hint: str = "") -> Problem:
        """Return a problem of one of the sandbox's templates, still without a code."""
        file = self._named.get(name)
        if file is None:
            named = f"without a template for '{name}', {{}} is answered; it {message}"
            return at(self._bench.destination.document, "/destination/sandbox", named, hint)
        return Problem("", str(self._bench.destination.templates / file), "", message, hint)


def _as_read(groups: Any) -> Any:
    """Return what `reads` gave: (operation, people, audience), a person being a set of (wire key, value); else None."""
    try:
        return [
            (
                group["operation"],
                [frozenset(identifiers_of(person)) for person in group["people"]],
                group.get("audience"),
            )
            for group in groups
        ]
    except (TypeError, LookupError, AttributeError):
        return None


def _one_by_one(groups: Any) -> Any:
    """Return a group for each person: where groups have no cap, a vendor need not tell them apart."""
    return groups and [
        (operation, [person], audience)
        for operation, people, audience in groups
        for person in people
    ]


def _difference(
    sent: list[_Group], read: list[_Group] | None, wires: Collection[str], entries: str
) -> str:
    """Return what the first entries that differ hold, without any value."""
    if read is None:
        return "what it gives is not of that form"
    if len(sent) != len(read):
        return f"{entries} that were sent: {len(sent)}; that were read: {len(read)}"
    expected, found = next(pair for pair in zip(sent, read, strict=True) if pair[0] != pair[1])
    texts = [_without_values(group, wires) for group in (expected, found)]
    if texts[0] != texts[1]:
        return f"sent was {texts[0]}; read was {texts[1]}"
    what = "another audience" if expected[2] != found[2] else "other values"
    return f"sent was {texts[0]}; read was the same with {what}"


def _without_values(group: _Group, wires: Collection[str]) -> str:
    """Return a group in words that hold no value, though a template may have put one where a word is due."""
    operation, people, audience = group
    counts = [
        Counter(wire if wire in wires else "unknown key" for wire, _ in person) for person in people
    ]
    shown = [
        ", ".join(f"{wire} {count}" for wire, count in sorted(one.items()))
        for one in counts[:_MOST_SHOWN]
    ]
    more = ["…"] if len(counts) > _MOST_SHOWN else []
    known = operation if operation in ("add", "remove") else "unknown operation"
    named = "no audience" if audience is None else "an audience"
    return f"{known} [{', '.join([*(f'{{{text}}}' for text in shown), *more])}] with {named}"


_MOST_SHOWN = 3


#: Code and rule.
RULES: list[tuple[str, BenchRule]] = [("D228", sandbox)]
