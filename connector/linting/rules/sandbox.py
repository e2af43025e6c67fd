"""The rules of lint on a definition's sandbox.

It has to read what is sent, and its answers have to be understood.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from connector.definitions.model import SandboxConfig
from connector.definitions.uri_template import placeholders
from connector.errors import Problem
from connector.linting.examples import NOW, ExampleRequest, ExampleRun
from connector.linting.location import of_destination, problem_in
from connector.linting.rule import Problems, rule
from connector.linting.rules.items import losses
from connector.model import Delivered, Response
from connector.sandbox.audiences import identifiers_of
from connector.sandbox.endpoints import TEMPLATE_NAMES
from connector.sandbox.refusals import REFUSALS
from connector.templating.template import RenderError, Template

# What the sandbox answers without a template.
_NOTHING = Template("{}", ())

_MOST_SHOWN = 3

_Person = frozenset[tuple[str, str]]


class _Group(NamedTuple):
    """People of one operation and audience, as sent or as read.

    A person is a set of (wire key, value) pairs.
    """

    operation: Any
    people: list[_Person]
    audience: Any


@rule("D228", stage="examples")
def sandbox(run: ExampleRun) -> Problems:
    """Find a sandbox that does not read what is sent, or whose answers are misunderstood.

    Cases and `send --sandbox` would show something else than the vendor does. Correct its
    templates, or the response rules.
    """
    lossy_actions = set()
    for action in run.destination.actions.values():
        if any(losses(run, action)):
            lossy_actions.add(action.id)

    for request in run.requests:
        action = request.action
        if action.sandbox == SandboxConfig() or request.failures:
            continue
        trial = _Trial(run, request)
        checks = {
            "reads": trial.reads,
            "success": trial.success,
            "refusal": trial.refusal,
        }
        if action.id in lossy_actions:
            # what is not sent cannot be read
            del checks["reads"]

        for purpose, check in checks.items():
            try:
                yield from check()
            except RenderError as error:
                hint = f"seen with {request.location}"
                yield trial.problem(purpose, f"cannot be rendered: {error}", hint)


class _Trial:
    """The sandbox templates of one action, tried on one request."""

    def __init__(self, run: ExampleRun, request: ExampleRequest) -> None:
        self._run = run
        self._request = request
        self._action = request.action
        self._files = request.action.sandbox.templates

        values = {**request.batch.target.params, **run.settings}
        self._path = {}
        for name in placeholders(request.action.path):
            self._path[name] = str(values[name])

        audience = request.batch.lane if request.action.audience else None
        self._groups: list[_Group] = []
        for target, records in request.batch.groups():
            people = []
            for record in records:
                identifiers = zip(record.wires, record.ids, strict=True)
                people.append(frozenset(identifiers))
            self._groups.append(_Group(target.operation, people, audience))
        self._sent = len(request.batch.records)

    def reads(self) -> Problems:
        """Yield where `reads` differs from what was sent."""
        if "reads" not in self._files:
            return
        headers = {}
        for name, text in self._request.request.headers.items():
            headers[name.lower()] = text
        context = {
            "body": self._request.body,
            "path": self._path,
            "method": self._request.request.method,
            "headers": headers,
        }

        sent = self._groups
        read = _groups_read(self._render("reads", context))
        entries = "groups"
        if self._action.caps.groups is None:
            # without a cap, the vendor need not tell groups apart
            entries = "people"
            sent = _one_by_one(sent)
            read = _one_by_one(read) if read else read
        if read == sent:
            return

        audience = ' "audience": …,' if self._action.audience else ""
        form = f'[{{"operation": "add",{audience} "people": [{{wire: [values]}}]}}]'
        difference = _difference(sent, read, self._action.wires, entries)
        example = self._request.location
        hint = f"expected {form}, an entry for each group; {difference}; seen with {example}"
        yield self.problem("reads", "does not return what was sent", hint)

    def success(self) -> Problems:
        """Yield when success is not read as a delivery, or acceptance of fewer people is."""
        complete = self._success(missing=0)
        if not self._is_delivered(200, complete):
            yield self.problem(
                "success",
                "is not read as a delivery by the response rules",
                "correct the template, or the rule whose 'then' is delivered",
            )

        incomplete = self._success(missing=1)
        if incomplete != complete and self._is_delivered(200, incomplete):
            message = (
                "is read as a delivery by the response rules "
                "even when fewer people are accepted than were sent"
            )
            yield self.problem("success", message, "compare with 'sent' in the rule")

    def _success(self, *, missing: int) -> Any:
        """Return the body of a success, some people of the first group missing."""
        groups = []
        for operation, people, _ in self._groups:
            count = len(people)
            groups.append({"operation": operation, "sent": count, "accepted": count})
        groups[0]["accepted"] -= missing

        accepted = self._sent - missing
        context = {"groups": groups, "sent": self._sent, "accepted": accepted, **self._shared()}
        return self._render("success", context)

    def refusal(self) -> Problems:
        """Yield when a refusal cannot be rendered, or is read as a delivery."""
        fixed_status = self._action.sandbox.refusal_status
        delivered: dict[str, None] = {}
        for context in self._refusals():
            body = self._render("refusal", context)
            if self._is_delivered(fixed_status or context["status"], body):
                delivered[f"{context['code']} ({context['status']})"] = None

        if delivered:
            yield self.problem(
                "refusal",
                f"is read as a delivery by the response rules: {', '.join(delivered)}",
                "check 'status' in the rules",
            )

    def _refusals(self) -> Iterator[dict[str, Any]]:
        """Yield what a refusal's template sees: each code, one with errors, one without a body."""
        message = "is not allowed"
        shared = {"message": message, "errors": [], **self._shared()}
        for code, status in REFUSALS.items():
            yield {**shared, "status": status, "code": code}

        errors = [[{"message": message, "parameter": None}] for _ in self._groups]
        yield {**shared, "status": 400, "code": "invalid", "errors": errors}
        yield {**shared, "status": 401, "code": "unauthorized", "path": {}, "body": None}

    def _shared(self) -> dict[str, Any]:
        return {"path": self._path, "body": self._request.body}

    def _is_delivered(self, status: int, body: Any) -> bool:
        response = Response(status, {}, body)
        classify = self._request.batch.endpoint.classify
        return isinstance(classify(response, self._sent, NOW), Delivered)

    def _render(self, purpose: str, context: Mapping[str, Any]) -> Any:
        template = _NOTHING
        if purpose in self._files:
            file = self._files[purpose]
            template = self._run.template(file, TEMPLATE_NAMES[purpose])
        return orjson.loads(template.render(context))

    def problem(self, purpose: str, message: str, hint: str) -> Problem:
        """Return a problem of one of the sandbox's templates, still without a code."""
        destination = self._run.destination
        if purpose in self._files:
            file = self._files[purpose]
            return problem_in(destination.templates / file, message, hint)
        location = of_destination(destination) / "sandbox"
        message = f"without a template for '{purpose}' the answer is {{}}: it {message}"
        return location.problem(message, hint)


def _groups_read(answer: Any) -> list[_Group] | None:
    """Return what `reads` rendered; None when it is not a list of groups."""
    groups = []
    try:
        for group in answer:
            people = []
            for person in group["people"]:
                people.append(frozenset(identifiers_of(person)))
            audience = group.get("audience")
            groups.append(_Group(group["operation"], people, audience))
    except (TypeError, LookupError, AttributeError):
        return None
    return groups


def _one_by_one(groups: Sequence[_Group]) -> list[_Group]:
    """Return a group for each person."""
    single = []
    for operation, people, audience in groups:
        for person in people:
            single.append(_Group(operation, [person], audience))
    return single


def _difference(
    sent: list[_Group], read: list[_Group] | None, wires: Collection[str], entries: str
) -> str:
    """Describe the first entries that differ, without any value."""
    if read is None:
        return "read: something else"
    if len(sent) != len(read):
        return f"{entries} sent: {len(sent)}, read: {len(read)}"

    for sent_group, read_group in zip(sent, read, strict=True):
        if sent_group == read_group:
            continue
        sent_text = _describe(sent_group, wires)
        read_text = _describe(read_group, wires)
        if sent_group.audience != read_group.audience and sent_text == read_text:
            read_text = "the same with another audience"
        elif sent_text == read_text:
            read_text = "the same with other values"
        return f"sent: {sent_text}; read: {read_text}"
    return ""


def _describe(group: _Group, wires: Collection[str]) -> str:
    """Return a group in words without values, though a template may have put some into keys."""
    people = []
    for person in group.people[:_MOST_SHOWN]:
        counts: Counter[str] = Counter()
        for wire, _ in person:
            counts[wire if wire in wires else "unknown key"] += 1
        texts = [f"{wire} {count}" for wire, count in sorted(counts.items())]
        people.append(f"{{{', '.join(texts)}}}")
    if len(group.people) > _MOST_SHOWN:
        people.append("…")

    operation = group.operation
    if operation not in ("add", "remove"):
        operation = "unknown operation"
    audience = "no audience" if group.audience is None else "an audience"
    return f"{operation} [{', '.join(people)}] with {audience}"
