"""What the sandbox does for a call: it lists, finds, creates, changes and deletes objects."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit

from connector.definitions.coercion import Coerce, ParameterError, compile_parameter
from connector.definitions.model import Call, Destination
from connector.definitions.pages import CursorPages, LinkedPages, NumberedPages, StartPages
from connector.definitions.uri_template import placeholders
from connector.sandbox.answers import Answers, ReadTemplate
from connector.sandbox.contract import Contract, for_settings
from connector.sandbox.objects import Object, Objects, Stored, change
from connector.sandbox.refusals import RefusalError
from connector.templating.data import ExpressionError
from connector.templating.expressions import compile_expression
from connector.templating.template import RenderError

#: The names that `where` and `given` see.
WHERE_NAMES = ("object", "query", "path", "body")
GIVEN_NAMES = ("query", "path", "body")

# What is done with one object.
_OF_ONE = ("get", "update", "delete")

# Rows of a page, where neither the call nor the request says how many.
_PAGE = 100
# The member of the query in a link to the next page.
_AFTER = "after"

#: Gives the number of people in an audience by what a path says of it.
People = Callable[[Mapping[str, str]], int]


class Asked(NamedTuple):
    """A request for a call; `body` is parsed."""

    url: str
    path: Mapping[str, str]
    body: Any
    now: float


class _Page(NamedTuple):
    """What a template sees of a page beside its objects."""

    number: int = 1
    last: int = 1
    total: int = 0
    next: str | None = None


class Service:
    """Answers one call."""

    def __init__(
        self,
        call: Call,
        settings: Mapping[str, Any],
        read: ReadTemplate,
        own_query: Collection[str],
        id_name: str,
    ) -> None:
        """`own_query`: the members of a query that authentication adds.

        `id_name`: the parameter of a path that names one object of the collection, "" when no call
        has one.
        """
        self.contract = Contract(
            True if call.accepts is None else for_settings(call.accepts, settings)
        )
        self.answers = Answers(call.answers, read, "result")
        #: The members of a query that say which of several calls of one path is meant.
        self.fixed: dict[str, str] = {}
        for member, template in call.query.items():
            if not placeholders(template):
                self.fixed[member] = template
        self._call = call
        self._settings = settings
        self._does = call.sandbox.does
        self._where = compile_expression(call.sandbox.where or "not object.deleted", WHERE_NAMES)
        given = call.sandbox.given
        self._given = compile_expression(given, GIVEN_NAMES) if given else None
        self.id_name = id_name
        self._query = _Query(call, own_query)

    @property
    def collection(self) -> str:
        """The name of its collection."""
        return self._call.sandbox.collection

    def answer(self, asked: Asked, objects: Objects, people: People) -> bytes:
        """Do what is asked and return the body of the answer. Raise RefusalError."""
        query = self._query.read(asked.url)
        if not self.contract.holds(asked.body):
            raise RefusalError("invalid", *self.contract.explain(asked.body))
        scope = {"query": query, "path": asked.path, "body": asked.body}

        found: list[Stored] = []
        page = _Page()
        if self._does == "list":
            found = list(self._found(objects, asked, scope))
            found, page = self._page(found, query, asked.url)
        elif self._does == "create":
            found = [self._create(objects, asked, scope)]
        elif self._does != "answer":
            found = [self._one(objects, asked, scope)]
        return self._rendered([self._shown(one, people) for one in found], page, scope)

    def _found(self, objects: Objects, asked: Asked, scope: Mapping[str, Any]) -> Iterator[Stored]:
        """Yield the objects that a request means."""
        for stored in objects.within(self.collection, self._scope(asked)):
            own = asked.path.get(self.id_name)
            is_meant = own is None or str(stored.members["id"]) == own
            if is_meant and self._evaluated(self._where, {**scope, "object": stored.members}):
                yield stored

    def _one(self, objects: Objects, asked: Asked, scope: Mapping[str, Any]) -> Stored:
        stored = next(self._found(objects, asked, scope), None)
        if stored is None:
            raise RefusalError("not_found", "there is no such object")
        if self._does == "update":
            given = self._members(scope)
            self._check_unique(objects, asked, given, stored)
            change(stored, given, asked.now)
        elif self._does == "delete":
            change(stored, {}, asked.now, deleted=True)
        return stored

    def _create(self, objects: Objects, asked: Asked, scope: Mapping[str, Any]) -> Stored:
        given = self._members(scope)
        self._check_unique(objects, asked, given, None)
        at_most = self._call.sandbox.at_most
        existing = list(objects.within(self.collection, self._scope(asked)))
        if at_most and sum(not one.members["deleted"] for one in existing) >= at_most:
            message = f"already exists: there can be {at_most} and no more"
            raise RefusalError("invalid", message)
        form = self._call.sandbox.ids
        return objects.create(self.collection, self._scope(asked), given, form, asked.now)

    def _check_unique(
        self, objects: Objects, asked: Asked, given: Object, own: Stored | None
    ) -> None:
        name = self._call.sandbox.unique
        if not name or name not in given:
            return
        for stored in objects.within(self.collection, self._scope(asked)):
            if stored is not own and stored.members.get(name) == given[name]:
                raise RefusalError("invalid", f"already exists: '{name}' has to be unique")

    def _members(self, scope: Mapping[str, Any]) -> Object:
        """Return the members that a request gives an object."""
        if self._given is not None:
            given = self._evaluated(self._given, scope)
            if not isinstance(given, dict):
                raise RefusalError("invalid", "the body does not hold an object")
            return given
        body = scope["body"]
        query: Object = scope["query"]
        return {**query, **body} if isinstance(body, dict) else dict(query)

    def _scope(self, asked: Asked) -> dict[str, str]:
        return {name: value for name, value in asked.path.items() if name != self.id_name}

    def _shown(self, stored: Stored, people: People) -> Object:
        """Return an object as a template sees it, with the people of an audience of that id."""
        members = stored.members
        values = {**stored.scope, self.id_name: str(members["id"])}
        return {**members, "people": people(values)}

    def _page(
        self, found: list[Stored], query: Mapping[str, Any], url: str
    ) -> tuple[list[Stored], _Page]:
        """Return the objects of the page that is asked for. Raise RefusalError."""
        pages = self._call.pages
        total = len(found)
        if pages is None:
            return found, _Page(total=total)

        size = self._query.size(query)
        last = max(1, -(-total // size))
        start = self._start(query, size)
        number = start // size + 1
        if isinstance(pages, NumberedPages):
            number += pages.first - 1
            last += pages.first - 1

        following = start + size
        link = None
        if following < total and isinstance(pages, CursorPages):
            link = _cursor(following)
        elif following < total and isinstance(pages, LinkedPages):
            link = _link(url, following)
        return found[start:following], _Page(number, last, total, link)

    def _start(self, query: Mapping[str, Any], size: int) -> int:
        match self._call.pages:
            case CursorPages(_, parameter):
                return _start_of(query.get(parameter))
            case LinkedPages():
                return _start_of(query.get(_AFTER))
            case NumberedPages(parameter, first, _):
                return max(0, _whole(query.get(parameter, first)) - first) * size
            case StartPages(parameter, _, _):
                return _whole(query.get(parameter, 0))
        return 0

    def _evaluated(self, expression: Callable[[Mapping[str, Any]], Any], scope: Any) -> Any:
        try:
            return expression(scope)
        except ExpressionError as error:
            message = f"an expression of the sandbox fails: {error}"
            raise RefusalError("internal", message) from None

    def _rendered(self, shown: list[Object], page: _Page, scope: Mapping[str, Any]) -> bytes:
        context = {
            "objects": shown,
            "object": shown[0] if shown and self._does != "list" else None,
            "page": page.number,
            "last": page.last,
            "total": page.total,
            "next": page.next,
            "settings": self._settings,
            **scope,
        }
        try:
            return self.answers.success.render(context)
        except RenderError as error:
            message = f"the template of success fails ({error.category})"
            raise RefusalError("internal", message) from None


def services_of(
    destination: Destination,
    settings: Mapping[str, Any],
    read: ReadTemplate,
    own_query: Collection[str],
) -> list[tuple[Call, Service]]:
    """Return what the sandbox does for each call that it knows."""
    calls = [call for call in destination.calls.values() if call.sandbox.does]
    id_names: dict[str, str] = {}
    for call in calls:
        name = id_name(call) or call.sandbox.id
        if name:
            id_names.setdefault(call.sandbox.collection, name)

    services = []
    for call in calls:
        own = id_names.get(call.sandbox.collection, "")
        services.append((call, Service(call, settings, read, own_query, own)))
    return services


def id_name(call: Call) -> str:
    """Return the parameter of a path that names the object a call is about, "" without one."""
    names = [name for name in placeholders(call.path) if name in call.parameters]
    return names[-1] if call.sandbox.does in _OF_ONE and names else ""


class _Query:
    """Reads the query of a call as its definition describes it."""

    def __init__(self, call: Call, own: Collection[str]) -> None:
        self._own = frozenset(own)
        self._size = call.pages.size if call.pages else None
        self._parameters: dict[str, str] = {}
        self._coerce: dict[str, Coerce] = {}
        self._required: set[str] = set()
        self._lists: set[str] = set()
        self._plain = set(call.query)
        for member, template in call.query.items():
            name = template[1:-1]
            parameter = call.parameters.get(name)
            if parameter is None or template != f"{{{name}}}":
                continue
            self._parameters[member] = name
            self._coerce[member] = compile_parameter(name, parameter.schema)
            if parameter.required:
                self._required.add(member)
            if parameter.types == ("array",):
                self._lists.add(member)
        self._plain |= _of_pages(call)

    def read(self, url: str) -> dict[str, Any]:
        """Return the members of a query by the names of their parameters. Raise RefusalError."""
        values: dict[str, Any] = {}
        written = parse_qsl(urlsplit(url).query, keep_blank_values=True)
        for member, text in written:
            if member in self._own:
                continue
            if member not in self._plain:
                raise RefusalError("invalid", "the query has an unknown parameter")
            name = self._parameters.get(member, member)
            if name in values:
                raise RefusalError("invalid", f"the query has '{member}' twice")
            values[name] = self._value(member, text)

        for member in sorted(self._required):
            if self._parameters[member] not in values:
                raise RefusalError("invalid", f"the parameter '{member}' is missing")
        return values

    def size(self, query: Mapping[str, Any]) -> int:
        """Return how many rows a page has. Raise RefusalError."""
        if self._size is None:
            return _PAGE
        name = self._parameters.get(self._size.parameter, self._size.parameter)
        size = _whole(query.get(name, self._size.value or _PAGE))
        if size < 1:
            raise RefusalError("invalid", "a page has at least one row")
        return size

    def _value(self, member: str, text: str) -> Any:
        if member not in self._coerce:
            return text
        raw: Any = text.split(",") if member in self._lists else text
        try:
            return self._coerce[member](raw)
        except ParameterError as error:
            raise RefusalError("invalid", str(error)) from None


def _of_pages(call: Call) -> set[str]:
    """Return the members of a query that paging adds."""
    members: set[str] = set()
    if call.pages is None:
        return members
    if call.pages.size is not None:
        members.add(call.pages.size.parameter)
    if isinstance(call.pages, LinkedPages):
        members.add(_AFTER)
    else:
        members.add(call.pages.parameter)
    return members


def _cursor(start: int) -> str:
    """Return a cursor: a client has no business reading it."""
    return urlsafe_b64encode(f"after {start}".encode()).decode().rstrip("=")


def _start_of(cursor: Any) -> int:
    if cursor is None:
        return 0
    try:
        text = urlsafe_b64decode(str(cursor) + "==").decode()
        return int(text.removeprefix("after "))
    except ValueError:
        raise RefusalError("invalid", "the cursor is not one of this list") from None


def _link(url: str, start: int) -> str:
    """Return the URL of a page: that of the request with another member in its query."""
    parts = urlsplit(url)
    members = dict(parse_qsl(parts.query, keep_blank_values=True))
    members[_AFTER] = _cursor(start)
    return parts._replace(query=urlencode(members)).geturl()


def _whole(value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        raise RefusalError("invalid", "a page is given by whole numbers") from None
