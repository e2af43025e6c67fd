"""The rules of lint on a definition's sandbox.

It has to read what is sent, and its answers have to be understood.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import orjson

from connector.definitions.uri_template import placeholders
from connector.errors import Problem
from connector.linting.examples import NOW, ExampleRequest, ExampleRun
from connector.linting.location import Location, of_destination, problem_in
from connector.linting.rule import Problems, rule
from connector.linting.rules.contracts import place_of_people
from connector.linting.rules.items import losses
from connector.model import Delivered, Response
from connector.sandbox.answers import TEMPLATE_NAMES, templates_of
from connector.sandbox.endpoints import (
    Endpoint,
    Operation,
    endpoints_of,
    holding_operation,
)
from connector.sandbox.refusals import REFUSALS
from connector.templating.template import RenderError, Template
from connector.validation.explain import lookup
from connector.validation.explain import pointer as json_pointer

# What the sandbox answers without a template.
_NOTHING = Template("{}", ())

_MOST_SHOWN = 3

_CORRECT = "correct the annotations, or the template"
_ONE_OPERATION = (
    "the vendor may apply them in this order, and then a person is in the wrong set; "
    "let the envelope render 'items' and 'share' instead of 'groups', so that no request has both"
)

_Person = frozenset[tuple[str, str]]


class _Group(NamedTuple):
    """People of one operation and audience, as sent or as read.

    A person is a set of (wire key, value) pairs; None is an audience that is not named.
    """

    operation: str
    people: list[_Person]
    audience: str | None


@rule("D228", stage="examples")
def sandbox(run: ExampleRun) -> Problems:
    """Find a sandbox that does not read what is sent, or whose answers are misunderstood.

    Cases and `send --sandbox` would show something else than the vendor does. Correct the contract
    or the templates, or the response rules.
    """
    lossy_actions = set()
    for action in run.destination.actions.values():
        if any(losses(run, action)):
            lossy_actions.add(action.id)

    base_url = run.destination.base_url(run.settings)
    prefix = urlsplit(base_url).path.rstrip("/")
    read = templates_of(run.destination.templates)
    endpoints = endpoints_of(run.destination, prefix, run.settings, read)

    for request in run.requests:
        if request.failures:
            continue
        trial = _Trial(run, request)
        # what is not sent cannot be read
        if request.action.id not in lossy_actions:
            yield from trial.reading(endpoints)
        for purpose, check in (("success", trial.success), ("refusal", trial.refusal)):
            try:
                yield from check()
            except RenderError as error:
                hint = f"seen with {request.location}"
                yield trial.problem(purpose, f"cannot be rendered: {error}", hint)


class _Trial:
    """The sandbox of one action, tried on one request."""

    def __init__(self, run: ExampleRun, request: ExampleRequest) -> None:
        self._run = run
        self._request = request
        self._action = request.action
        self._files = request.action.sandbox.templates

        values = {**request.batch.target.params, **run.settings}
        self._path = {}
        for name in placeholders(request.action.path):
            self._path[name] = str(values[name])

        audience = request.batch.lane if request.action.audience else ""
        self._groups: list[_Group] = []
        for target, records in request.batch.groups():
            people = []
            for record in records:
                identifiers = zip(record.wires, record.ids, strict=True)
                people.append(frozenset(identifiers))
            self._groups.append(_Group(target.operation, people, audience))
        self._sent = len(request.batch.records)

    def reading(self, endpoints: Sequence[Endpoint]) -> Problems:
        """Yield where what the contract reads differs from what was sent."""
        people = place_of_people(self._action)
        if people is None:
            return
        reader = self._reader(endpoints)
        body = self._request.body
        sent = reader.sent(self._groups)
        read = reader.read(body)
        if read is not None and read != sent and _in_order(read) == _in_order(sent):
            message = "additions and removals change places in the body"
            hint = f"{_ONE_OPERATION}; seen with {self._request.location}"
            yield people.problem(message, hint)
            return
        if read != sent:
            yield self._misread(people, sent, read, "are not read as they were sent")
            return
        read = reader.read(_reversed(body))
        if read != sent:
            message = "are read differently when the members have another order"
            yield self._misread(people, sent, read, message)
            return

        for place, less, gone in _without_each_member(body):
            read = reader.read(less)
            if read is not None and not _follows(sent, read, gone, reader.audiences_unsaid):
                message = f"are misread in a body without the optional {place}"
                yield self._misread(people, sent, read, message)
                return

    def _reader(self, endpoints: Sequence[Endpoint]) -> _Reader:
        """Return what reads the bodies of the request's endpoint."""
        path = urlsplit(self._request.request.url).path
        method = self._request.request.method
        for endpoint in endpoints:
            values = endpoint.match("" if path == "/" else path)
            if values is not None and method in endpoint.methods:
                return _Reader(endpoint.methods[method], values, self._action.caps.groups)
        raise AssertionError("every request has an endpoint")

    def _misread(
        self, people: Location, sent: list[_Group], read: list[_Group] | None, what: str
    ) -> Problem:
        entries = "people" if self._action.caps.groups is None else "groups"
        difference = _difference(sent, read, self._action.naming_wires, entries)
        hint = f"{_CORRECT}; {difference}; seen with {self._request.location}"
        return people.problem(f"people {what}", hint)

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
        groups: list[dict[str, Any]] = []
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
        return isinstance(classify(response, self._sent, NOW, ()), Delivered)

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
        return location.problem(message, f"write the template sandbox_{purpose}.json.j2; {hint}")


class _Reader:
    """Reads bodies as the sandbox does.

    Where the vendor does not limit groups, it need not tell them apart: each person is one then.
    """

    def __init__(
        self, operations: Sequence[Operation], path: Mapping[str, str], cap: int | None
    ) -> None:
        self._operations = operations
        self._path = path
        self._tells_groups = cap is not None
        self.audiences_unsaid = {operation.audience(path, (), "") for operation in operations}

    def read(self, body: Any) -> list[_Group] | None:
        """Return who is in a body, None when no contract allows it."""
        operation = holding_operation(self._operations, body)
        if operation is None:
            return None
        groups = []
        for group in operation.read(body).groups:
            kind = operation.kind(group)
            for params, people in group.changes.items():
                audience = operation.audience(self._path, params, "")
                groups.append(_Group(kind, list(map(frozenset, people)), audience))
        return self._arranged(groups)

    def sent(self, groups: Sequence[_Group]) -> list[_Group]:
        """Return what was sent, without what names nobody by itself."""
        naming = []
        wires = set[str]().union(*(operation.wires for operation in self._operations))
        for group in groups:
            people = []
            for person in group.people:
                people.append(frozenset(one for one in person if one[0] in wires))
            naming.append(group._replace(people=people))
        return self._arranged(naming)

    def _arranged(self, groups: list[_Group]) -> list[_Group]:
        return groups if self._tells_groups else _one_by_one(groups)


def _in_order(groups: Sequence[_Group]) -> list[_Group]:
    """Return the people by their operation, those of one operation in their order."""
    return sorted(_one_by_one(groups), key=lambda group: group.operation)


def _reversed(value: Any) -> Any:
    """Return a value with the members of all objects in reverse order."""
    if isinstance(value, list):
        return list(map(_reversed, value))
    if isinstance(value, dict):
        return {name: _reversed(value[name]) for name in reversed(value)}
    return value


def _without_each_member(body: Any) -> Iterator[tuple[str, Any, set[str]]]:
    """Yield a body without one member, for each member of each object.

    With it come the member's place and the texts that are gone with it. Of the elements of a list
    the first stands for all.
    """
    seen = set()
    for pointer in _members(body, ""):
        place = re.sub(r"/\d+", "/0", pointer)
        if place not in seen:
            seen.add(place)
            less = orjson.loads(orjson.dumps(body))
            container, _, name = pointer.rpartition("/")
            gone = lookup(less, container).pop(_unescaped(name))
            yield pointer, less, set(_texts(gone))


def _members(value: Any, pointer: str) -> Iterator[str]:
    """Yield the JSON pointers of all members of objects."""
    if isinstance(value, dict):
        for name, part in value.items():
            below = pointer + json_pointer([name])
            yield below
            yield from _members(part, below)
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from _members(part, f"{pointer}/{index}")


def _unescaped(name: str) -> str:
    return name.replace("~1", "/").replace("~0", "~")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from _texts(part)
    else:
        yield str(value)


def _follows(
    sent: list[_Group], read: list[_Group], gone: set[str], unsaid: set[str | None]
) -> bool:
    """Return whether a body was read rightly in which some texts are gone.

    Identifiers that are gone are not read, and a person without one is not there. An operation or
    an audience may be missing, and must not be another; `unsaid` is the audience of who names none.
    """
    rest = _one_by_one(read)
    for group in _one_by_one(sent):
        [person] = group.people
        left = frozenset(one for one in person if one[1] not in gone)
        following = _first_match(group, left, rest)
        if following is not None:
            if following.audience not in {group.audience, *unsaid}:
                return False
            rest.remove(following)
        elif left:
            return False
    return not rest


def _first_match(group: _Group, left: _Person, read: Sequence[_Group]) -> _Group | None:
    """Return the first who was read and may be a group's person, with what is left of them."""
    [person] = group.people
    for other in read:
        same_operation = other.operation in (group.operation, "")
        if same_operation and left <= other.people[0] <= person:
            return other
    return None


def _one_by_one(groups: Sequence[_Group]) -> list[_Group]:
    """Return a group for each person who has an identifier."""
    single = []
    for operation, people, audience in groups:
        for person in people:
            if person:
                single.append(_Group(operation, [person], audience))
    return single


def _difference(
    sent: list[_Group], read: list[_Group] | None, wires: Collection[str], entries: str
) -> str:
    """Describe the first entries that differ, without any value."""
    if read is None:
        return "no contract of its endpoint allows it"
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

    audience = "" if group.audience == "" else " with an audience"
    if group.audience is None:
        audience = " without an audience"
    operation = group.operation or "no operation"
    return f"{operation} [{', '.join(people)}]{audience}"
