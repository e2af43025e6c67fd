"""The rules of lint on templates, before any of them is rendered, and on unused files."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from connector._util.json_file import read_json
from connector.calls.request import BODY_NAMES
from connector.definitions.metaschema import definition_files, kind_of
from connector.definitions.model import Action, Call, Destination
from connector.definitions.resolve import references
from connector.definitions.uri_template import placeholders
from connector.errors import Problem, nearest
from connector.linting import syntax
from connector.linting.location import Location, of_action, of_call, of_destination, problem_in
from connector.linting.rule import Problems, rule, split_hint, template_params
from connector.sandbox.answers import TEMPLATE_NAMES
from connector.templating.envelope import Envelope
from connector.templating.items import ItemRenderer
from connector.templating.template import RenderError, problems

# The members of the groups that a sandbox's success sees.
_ANSWERED_GROUPS = {"groups[]": ("operation", "sent", "accepted")}


class Use(NamedTuple):
    """A template where a document refers to it, with the names that it sees.

    `members` are those of some names; `list[]` has the members of the elements of `list`.
    """

    location: Location
    path: Path
    names: Collection[str]
    members: syntax.Members

    @property
    def source(self) -> str | None:
        """The text of the file, None when it cannot be read."""
        try:
            return self.path.read_text("utf-8")
        except (OSError, UnicodeDecodeError):
            return None

    def members_of(self, root: str) -> Collection[str]:
        """Return the members of a name or of a loop variable."""
        if root in self.members:
            return self.members[root]
        for name, members in self.members.items():
            if name.endswith("[]"):
                return members
        return ()

    def problem(self, line: int, message: str, hint: str = "") -> Problem:
        """Return a problem on a line of the template, 0 when it has none; still without a code."""
        if line:
            message = f"line {line}: {message}"
        return problem_in(self.path, message, hint)


@rule("D212", stage="documents", blocks=True)
def missing_template(destination: Destination) -> Problems:
    """Find a template whose file cannot be read.

    Nothing could be rendered. Write the file, or correct its name.
    """
    known = [path.name for path in destination.templates.glob("*.json.j2")]
    for use in template_uses(destination):
        name = use.path.name
        if not use.path.is_file():
            yield use.location.problem(
                f"unknown template '{name}'",
                nearest(name, known),
            )
        elif use.source is None:
            yield use.location.problem(
                f"'{name}' is not UTF-8 text",
                "save it as UTF-8",
            )


@rule("D213", stage="documents", blocks=True)
def hole_in_string(destination: Destination) -> Problems:
    """Find a hole inside a string.

    A value could change the shape of the body. Remove the quotes around {{ … }}, and join with ~.
    """
    yield from _not_allowed(destination, "string")


@rule("D214", stage="documents", blocks=True)
def construct(destination: Destination) -> Problems:
    """Find a construct that is not allowed in templates.

    Templates must not run code. Use holes, `if`, `for`, comparisons and filters.
    """
    yield from _not_allowed(destination, "construct")


@rule("D215", stage="documents", blocks=True)
def template_syntax(destination: Destination) -> Problems:
    """Find a template that Jinja cannot parse.

    Nothing could be rendered. Correct the line.
    """
    yield from _not_allowed(destination, "syntax")


@rule("D216", stage="documents", blocks=True)
def unknown_name(destination: Destination) -> Problems:
    """Find an unknown name, member, filter or test in a template.

    Rendering would fail, perhaps only for some records. Correct the name.
    """
    yield from _not_allowed(destination, "name")
    for use in template_uses(destination):
        tree = syntax.template_tree(use.source or "")
        for member in syntax.unknown_members(tree, use.members):
            message = f"unknown member '{member.name}' of '{member.root}'"
            hint = nearest(member.name, use.members_of(member.root))
            yield use.problem(member.line, message, hint)


@rule("D219", stage="documents")
def unused_file(destination: Destination) -> Problems:
    """Find a template, fragment or contract that no action uses.

    Whoever changes it changes nothing. Delete it, or refer to it.
    """
    used = {use.path.name for use in template_uses(destination)}
    for path in sorted(destination.templates.glob("*.j2")):
        if path.name not in used:
            hint = "refer to it in an action or a call, or delete it"
            yield problem_in(path, "nothing uses this template", hint)

    schemas = Path(destination.document.origin("")[0]).parent
    reached = _reached_files(schemas)
    for path in sorted(schemas.glob("*.json")):
        if path.name not in reached:
            hint = "extend it or name it in 'accepts', or delete it"
            yield problem_in(path, "nothing refers to this file", hint)


def _reached_files(schemas: Path) -> set[str]:
    """Return the names of the actions, the destination and the files that are referred to."""
    todo = []
    for path in definition_files(schemas):
        if kind_of(path) not in ("fragment", "contract"):
            todo.append(path)

    reached = {path.name for path in todo if path.parent == schemas}
    while todo:
        for reference in references(read_json(todo.pop())):
            name = reference.partition("#")[0]
            if name and name not in reached:
                reached.add(name)
                todo.append(schemas / name)
    return reached


def _not_allowed(destination: Destination, category: str) -> Problems:
    """Yield the problems of one category in all templates."""
    for use in template_uses(destination):
        for error in _errors(use.source or "", tuple(use.names)):
            if error.category == category:
                message, hint = split_hint(error)
                yield use.problem(error.line, message, hint)


@lru_cache(maxsize=64)
def _errors(source: str, names: tuple[str, ...]) -> tuple[RenderError, ...]:
    """Return what is wrong with a template; many actions share one, and several rules ask."""
    return tuple(problems(source, names))


def template_uses(destination: Destination) -> Iterator[Use]:
    """Yield every use of a template."""
    folder = destination.templates
    for action in destination.actions.values():
        if action.item:
            yield _item_use(action, destination)
        if action.envelope:
            yield _envelope_use(action, destination)

        sandbox = of_action(action) / "sandbox"
        members = {**_ANSWERED_GROUPS, "path": placeholders(action.path)}
        for name, file in action.own_sandbox.templates.items():
            names = TEMPLATE_NAMES[name]
            yield Use(sandbox / name, folder / file, names, members)

    for call in destination.calls.values():
        yield from _call_uses(call, destination)

    sandbox = of_destination(destination) / "sandbox"
    for name, file in destination.sandbox.templates.items():
        names = TEMPLATE_NAMES[name]
        yield Use(sandbox / name, folder / file, names, _ANSWERED_GROUPS)


def _call_uses(call: Call, destination: Destination) -> Iterator[Use]:
    """Yield the templates of a call: that of its body, and those of its sandbox."""
    own = of_call(call)
    settings = list(destination.settings)
    if call.body:
        members = {"params": list(call.parameters), "settings": settings}
        yield Use(own / "body", destination.templates / call.body, BODY_NAMES, members)

    written = own.content.get("sandbox", {})
    for name, purpose in (("success", "result"), ("refusal", "refusal")):
        if name in written:
            path = destination.templates / written[name]
            members = {"path": placeholders(call.path), "settings": settings}
            yield Use(own / "sandbox" / name, path, TEMPLATE_NAMES[purpose], members)


def _item_use(action: Action, destination: Destination) -> Use:
    members = {
        "ids": action.wires,
        "params": template_params(action),
        "settings": list(destination.settings),
    }
    location = of_action(action) / "item"
    path = destination.templates / action.item
    return Use(location, path, ItemRenderer.NAMES, members)


def _envelope_use(action: Action, destination: Destination) -> Use:
    shared_params = []
    texts = [action.path, *action.query.values(), *action.headers.values()]
    for text in texts:
        for name in placeholders(text):
            if name not in destination.settings:
                shared_params.append(name)

    members = {
        "groups[]": [*action.group, "items"],
        "params": shared_params,
        "share": list(action.request),
        "settings": list(destination.settings),
    }
    location = of_action(action) / "envelope"
    path = destination.templates / action.envelope
    return Use(location, path, Envelope.NAMES, members)
