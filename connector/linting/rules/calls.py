"""The rules of lint on calls: what they ask for and read, and what the sandbox does for them.

What calls have in common with actions, such as titles and patterns, is checked by the rules on
these.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from connector.calls.answer import FIELD_NAMES, RESULT_NAMES
from connector.calls.run import rows
from connector.connection.model import Connection
from connector.definitions.headers import NOT_IN_DEFINITIONS
from connector.definitions.model import Call, Destination, Limits
from connector.definitions.uri_template import placeholders
from connector.errors import CallError, ConfigError, nearest
from connector.linting import syntax
from connector.linting.examples import ExampleRun
from connector.linting.location import Location, of_call
from connector.linting.rule import Problems, make_present, rule, split_hint
from connector.model import Request, Response
from connector.sandbox.services import GIVEN_NAMES, WHERE_NAMES, id_name
from connector.sandbox.vendor import Answer, Vendor
from connector.templating.data import ExpressionError
from connector.templating.expressions import compile_expression

# In which order the calls of a collection are tried: an object has to be there first.
_ORDER = ("create", "answer", "list", "get", "update", "delete")


@rule("D203", stage="documents", blocks=True)
def placeholder_of_call(destination: Destination) -> Problems:
    """Find a `{name}` in a call's path, query or header that nothing can fill.

    The call could not be sent, or that member never would. Name a setting or a parameter; in a path
    or a header it has to have a value always, and be no list. A path may need a setting that other
    requests do without.
    """
    for call in destination.calls.values():
        for location, text, may_be_absent in _texts(call):
            for name in placeholders(text):
                in_path = location.pointer.endswith("/path")
                message, hint = _unfilled(
                    name, call, destination, may_be_absent=may_be_absent, in_path=in_path
                )
                if message:
                    yield location.problem(f"{{{name}}} {message}", hint)


def _texts(call: Call) -> Iterator[tuple[Location, str, bool]]:
    """Yield the texts of a call with placeholders, and whether their values may be absent."""
    own = of_call(call)
    yield own / "path", call.path, False
    for name, text in call.query.items():
        yield own / "query" / name, text, True
    for name in own.content.get("headers", ()):
        yield own / "headers" / name, call.headers[name.lower()], False


def _unfilled(
    name: str, call: Call, destination: Destination, *, may_be_absent: bool, in_path: bool
) -> tuple[str, str]:
    field = destination.settings.get(name) or call.parameters.get(name)
    if field is None:
        known = [*destination.settings, *call.parameters]
        return "is neither a setting nor a parameter", nearest(name, known)
    if may_be_absent:
        return "", ""
    # Of a setting in a path, who calls without it is told; nobody else needs it.
    is_told = name in destination.settings and in_path
    if not field.always_present and not is_told:
        return "may be absent: it has no default and is not required", make_present(name)
    if "array" in field.types or "object" in field.types:
        return "may be more than text, and only text is allowed here", "give it another type"
    return "", ""


@rule("D232", stage="documents")
def own_header_of_call(destination: Destination) -> Problems:
    """Find a header of a call that the connector sets itself.

    It would hold a credential, or break the request. Remove it.
    """
    for call in destination.calls.values():
        for name in of_call(call).content.get("headers", ()):
            if name.lower() in NOT_IN_DEFINITIONS:
                yield (of_call(call) / "headers" / name).problem(
                    "the connector sets this header itself",
                    "remove it; 'auth' says how requests are signed",
                )


@rule("D249", stage="documents", blocks=True)
def call_expression(destination: Destination) -> Problems:
    """Find an invalid expression in a call.

    Its answer could not be read, or the sandbox could not tell objects apart. Correct the
    expression.
    """
    for call in destination.calls.values():
        known = {"params": list(call.parameters), "query": _query_names(call)}
        known["path"] = placeholders(call.path)
        for location, source, names in _expressions(call):
            yield from _invalid(location, source, names, known)


def _expressions(call: Call) -> Iterator[tuple[Location, str, Collection[str]]]:
    """Yield every expression of a call with the names that it may use."""
    own = of_call(call)
    if call.result:
        yield own / "result", call.result, RESULT_NAMES
    for name, source in call.fields.items():
        yield own / "fields" / name, source, FIELD_NAMES

    written: Mapping[str, Any] = own.content.get("pages", {})
    for name in ("cursor", "next", "last", "total"):
        if name in written:
            yield own / "pages" / name, written[name], RESULT_NAMES
    if call.sandbox.where:
        yield own / "sandbox" / "where", call.sandbox.where, WHERE_NAMES
    if call.sandbox.given:
        yield own / "sandbox" / "given", call.sandbox.given, GIVEN_NAMES


def _query_names(call: Call) -> list[str]:
    """Return what an expression of the sandbox may read of a query."""
    names = []
    for member, template in call.query.items():
        name = template[1:-1]
        names.append(name if template == f"{{{name}}}" else member)
    return names


def _invalid(
    location: Location, source: str, names: Collection[str], known: syntax.Members
) -> Problems:
    try:
        compile_expression(source, names)
    except ExpressionError as error:
        message, hint = split_hint(error)
        yield location.problem(message, hint)
        return
    for member in syntax.unknown_members(syntax.expression_tree(source), known):
        message = f"unknown member '{member.name}' of '{member.root}'"
        yield location.problem(message, nearest(member.name, known[member.root]))


@rule("D250", stage="documents")
def without_effect(destination: Destination) -> Problems:
    """Find a parameter of a call that nothing uses, and a size of pages that nobody gives.

    It would have no effect, and mislead whoever gives it. Use it, or remove it.
    """
    for call in destination.calls.values():
        used = _used(call, destination)
        for name in call.parameters:
            if name not in used:
                yield (Location(call.document) / "properties" / name).problem(
                    "has no effect: neither the path, the query, a header nor the body uses it",
                    f"write {{{name}}} in one of them, or remove the parameter",
                )
        size = call.pages.size if call.pages else None
        if size is not None and size.value is None and size.parameter not in call.query:
            yield (of_call(call) / "pages" / "size").problem(
                f"nothing says the size: 'query' has no '{size.parameter}'",
                "add 'value', or that member of 'query'",
            )


def _used(call: Call, destination: Destination) -> set[str]:
    """Return the parameters that a request has somewhere; all of them for an unreadable body."""
    used: set[str] = set()
    for text in (call.path, *call.query.values(), *call.headers.values()):
        used.update(placeholders(text))
    if call.body:
        try:
            source = (destination.templates / call.body).read_text("utf-8")
        except (OSError, UnicodeDecodeError):
            return set(call.parameters)
        # Which of them a template does not know is what this finds.
        tree = syntax.template_tree(source)
        used.update(member.name for member in syntax.unknown_members(tree, {"params": ()}))
    return used


@rule("D251", stage="examples")
def sandbox_of_call(run: ExampleRun) -> Problems:
    """Find a call whose sandbox does not answer what the call reads.

    What is tried there would go another way at the vendor. Correct the template, the expressions or
    the examples.
    """
    calls = [call for call in run.destination.calls.values() if call.sandbox.does]
    calls.sort(key=lambda call: _ORDER.index(call.sandbox.does))
    trial = _Trial(run)
    for call in calls:
        yield from trial.problems(call)


class _Trial:
    """Calls on one sandbox, with the examples of their parameters."""

    def __init__(self, run: ExampleRun) -> None:
        destination = run.destination
        # Who may ask is not what is tried.
        self._vendor = Vendor(destination)
        self._connection = Connection(
            file="lint",
            destination=destination,
            settings=destination.example_settings,
            credentials={},
            base_url=destination.base_url(destination.example_settings),
            limits=Limits(),
            event_id=None,
            routes=(),
        )
        # The id of the last object of each collection.
        self._ids: dict[str, str] = {}
        # Collections with a mistake: it would show in their other calls as well.
        self._wrong: set[str] = set()

    def problems(self, call: Call) -> Problems:
        """Yield what goes wrong with a call, once for each collection."""
        values = self._values(call)
        if values is None or call.sandbox.collection in self._wrong:
            return
        for problem in self._tried(call, values):
            self._wrong.add(call.sandbox.collection)
            yield problem

    def _tried(self, call: Call, values: Mapping[str, Any]) -> Problems:
        try:
            found = list(rows(self._connection, call.id, values, self._answer, retries=0))
        except (CallError, ConfigError) as error:
            message = f"the sandbox does not answer what is read: {error}"
            yield (of_call(call) / "sandbox").problem(message, "seen with the examples")
            return

        if not found:
            if call.sandbox.does == "list" and call.sandbox.collection in self._ids:
                message = "the sandbox lists nothing, and there is an object"
                yield (of_call(call) / "sandbox").problem(message, "correct 'where' or 'result'")
        elif "id" in call.fields:
            own = found[-1]["id"]
            if own is None:
                message = "'id' is absent from what the sandbox answers"
                yield (of_call(call) / "fields" / "id").problem(message)
            self._ids[call.sandbox.collection] = str(own)

    def _answer(self, request: Request) -> Response:
        answer = self._vendor.answer(request.method, request.url, request.headers, request.body)
        assert isinstance(answer, Answer), "there are no faults here"
        return Response.parsed(answer.status, answer.headers, answer.body)

    def _values(self, call: Call) -> dict[str, Any] | None:
        """Return what the call needs at least; None when there is no example of it."""
        values = {}
        for parameter in call.parameters.values():
            if not parameter.required or parameter.has_default:
                continue
            examples = [*parameter.examples, *parameter.allowed]
            if (
                parameter.name == (id_name(call) or call.sandbox.id)
                and call.sandbox.collection in self._ids
            ):
                examples.insert(0, self._ids[call.sandbox.collection])
            if not examples:
                return None
            values[parameter.name] = examples[0]
        return values
