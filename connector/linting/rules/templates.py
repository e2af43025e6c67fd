"""The rules of lint on templates, before any of them is rendered, and on files that nothing uses."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from connector._util.json_file import read_json
from connector.definitions.metaschema import kind_of
from connector.definitions.model import Action, Destination
from connector.definitions.resolve import Document, references
from connector.definitions.uri_template import placeholders
from connector.errors import Problem, nearest
from connector.linting import syntax
from connector.linting.rule import Rule, at, said, told_names
from connector.sandbox.endpoints import TEMPLATE_NAMES
from connector.templating.envelope import Envelope
from connector.templating.items import ItemRenderer
from connector.templating.template import RenderError, problems


class Role(NamedTuple):
    """A template where a document names it: the names it sees and, of some of them, the members there are.

    `list[]` has the members of the elements of `list`.
    """

    document: Document
    place: str
    path: Path
    names: Collection[str]
    members: Mapping[str, Collection[str]]

    @property
    def source(self) -> str | None:
        """The text of the file, None when it cannot be read."""
        try:
            return self.path.read_text("utf-8")
        except (OSError, UnicodeDecodeError):
            return None

    def known(self, root: str) -> Collection[str]:
        """Return the members of a name or of a loop variable."""
        lists = (known for name, known in self.members.items() if name.endswith("[]"))
        return self.members.get(root) or next(lists, ())


def missing_template(destination: Destination) -> Iterator[Problem]:
    """Find a template whose file cannot be read: nothing could be rendered. Write the file, or mend its name."""
    there = [path.name for path in destination.templates.glob("*.json.j2")]
    for role in roles(destination):
        if role.source is None:
            message, hint = f"'{role.path.name}' is not UTF-8 text", "save it as UTF-8"
            if not role.path.is_file():
                message, hint = (
                    f"there is no template '{role.path.name}'",
                    nearest(role.path.name, there),
                )
            yield at(role.document, role.place, message, hint)


def hole_in_string(destination: Destination) -> Iterator[Problem]:
    """Find a hole inside a string: a hole is a whole value. Take away the quotes around {{ … }}, and join with ~."""
    return _refused(destination, "string")


def construct(destination: Destination) -> Iterator[Problem]:
    """Find a construct that templates do not have: only what cannot run code is allowed. Do it with what there is."""
    return _refused(destination, "construct")


def template_syntax(destination: Destination) -> Iterator[Problem]:
    """Find a template that Jinja cannot read: nothing could be rendered. Mend the line."""
    return _refused(destination, "syntax")


def unknown_name(destination: Destination) -> Iterator[Problem]:
    """Find a name, member, filter or test that there is none of: rendering would fail. Mend the name."""
    yield from _refused(destination, "name")
    for role in roles(destination):
        source = role.source or ""
        for member in syntax.unknown_members(syntax.template_tree(source), role.members):
            message = f"'{member.root}' has no member '{member.name}'"
            yield _in_template(
                role, member.line, message, nearest(member.name, role.known(member.root))
            )


def template_duration(destination: Destination) -> Iterator[Problem]:
    """Find a duration in a template that is none: rendering would fail. Write it like P12M or P30D."""
    for role in roles(destination):
        for message, line in syntax.wrong_durations(syntax.template_tree(role.source or "")):
            yield _in_template(role, line, message, "")


def unused_file(destination: Destination) -> Iterator[Problem]:
    """Find a file that nothing uses: whoever changes it changes nothing. Take it away, or name it where it belongs."""
    used = {role.path.name for role in roles(destination)}
    for path in sorted(destination.templates.glob("*.j2")):
        if path.name not in used:
            yield Problem(
                "",
                str(path),
                "",
                "no action uses this template",
                "name it in an action, or take it away",
            )
    schemas = Path(destination.document.origin("")[0]).parent
    reached = _reached(schemas)
    for path in sorted(schemas.glob("*.json")):
        if path.name not in reached:
            yield Problem(
                "",
                str(path),
                "",
                "no action refers to this file",
                'refer to it with "$ref", or take it away',
            )


def _reached(schemas: Path) -> set[str]:
    """Return the files that actions and the destination lead to, with these."""
    todo = [path for path in schemas.glob("*.json") if kind_of(path) in ("action", "destination")]
    reached = {path.name for path in todo}
    while todo:
        named = (
            {reference.partition("#")[0] for reference in references(read_json(todo.pop()))}
            - reached
            - {""}
        )
        reached |= named
        todo += [schemas / name for name in named]
    return reached


def _refused(destination: Destination, kind: str) -> Iterator[Problem]:
    for role in roles(destination):
        for problem in _problems(role.source or "", tuple(role.names)):
            if problem.category == kind:
                yield _in_template(role, problem.line, *said(problem))


@lru_cache(maxsize=64)
def _problems(source: str, names: tuple[str, ...]) -> tuple[RenderError, ...]:
    """Return what several rules look at and many actions share."""
    return tuple(problems(source, names))


def _in_template(role: Role, line: int, message: str, hint: str) -> Problem:
    return Problem("", str(role.path), "", f"line {line}: {message}" if line else message, hint)


def roles(destination: Destination) -> Iterator[Role]:
    """Yield every use of a template file."""
    for action in destination.actions.values():
        yield from _action_roles(action, destination)
    for name, file in destination.sandbox.templates.items():
        place = f"/destination/sandbox/{name}"
        yield Role(
            destination.document, place, destination.templates / file, TEMPLATE_NAMES[name], _GROUPS
        )


def _action_roles(action: Action, destination: Destination) -> Iterator[Role]:
    document, folder = action.document, destination.templates
    settings = list(destination.settings)
    group = [*action.group, "items"]
    texts = (action.path, *action.query.values(), *action.headers.values())
    shared = [name for text in texts for name in placeholders(text) if name not in settings]
    members: dict[str, tuple[Collection[str], Mapping[str, Collection[str]]]] = {
        "item": (
            ItemRenderer.NAMES,
            {"ids": action.wires, "params": told_names(action), "settings": settings},
        ),
        "envelope": (
            Envelope.NAMES,
            {
                "groups[]": group,
                "params": shared,
                "request": list(action.request),
                "settings": settings,
            },
        ),
    }
    for name, (names, known) in members.items():
        file = getattr(action, name)
        if file:
            yield Role(document, f"/action/{name}", folder / file, names, known)
    for name, file in action.own_sandbox.templates.items():
        known = {**_GROUPS, "path": placeholders(action.path)}
        yield Role(document, f"/action/sandbox/{name}", folder / file, TEMPLATE_NAMES[name], known)


_GROUPS = {"groups[]": ("operation", "sent", "accepted")}


#: Code and rule.
RULES: list[tuple[str, Rule]] = [
    ("D212", missing_template),
    ("D213", hole_in_string),
    ("D214", construct),
    ("D215", template_syntax),
    ("D216", unknown_name),
    ("D219", unused_file),
    ("D223", template_duration),
]
