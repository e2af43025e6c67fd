"""Templates that build values, not text.

Each `{{ expression }}` is a *value hole*: `finalize` keeps the value and leaves a mark that no JSON text can hold. The
text around is parsed as JSON, then the values are put in. So no content of any field can change the structure.

Item templates are *lifted*: rendered once for each shape (which wire keys, how many values) with symbols in place of
the identifiers; later records of that shape only fill the holes. A template that looks into a value cannot be lifted
and is rendered for every record; the bytes are the same either way.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import orjson
from jinja2 import (
    StrictUndefined,
    TemplateError,
    TemplateSyntaxError,
    UndefinedError,
    meta,
    nodes,
    pass_context,
)
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment

from connector.errors import nearest
from connector.templating.expressions import FILTERS, TESTS, ExpressionError

#: No rendered text may be longer than this, whatever its loops do.
MAX_TEXT = 50_000_000

_HOLES = " holes"  # no template can spell this name
_MARK = re.compile("\x02(\\d+)\x03")
_TOKEN = re.compile(rb'"h\\u0002(\d+)"')
_LOOP_MEMBERS = frozenset({"first", "last", "index", "index0", "length"})

_ALLOWED: tuple[type[nodes.Node], ...] = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.If, nodes.For, nodes.Name, nodes.Const, nodes.Getattr,
    nodes.Getitem, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.CondExpr, nodes.Concat,
    nodes.Add, nodes.Sub, nodes.Neg, nodes.List, nodes.Tuple, nodes.Dict, nodes.Pair, nodes.Filter, nodes.Test,
)  # fmt: skip


class RenderError(ValueError):
    """A template is not allowed, or fails; the text never quotes data.

    `file` and `line` (from 1) say where; "" and 0 when that is not known.
    """

    def __init__(self, kind: str, message: str, line: int = 0, *, file: str = "") -> None:
        super().__init__(message)
        self.kind = kind
        self.line = line
        self.file = file


class _UnliftableError(Exception):
    """A template looked into a symbol."""


class _Environment(ImmutableSandboxedEnvironment):
    """Members of data only: no method, no attribute of any Python object, no global."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, LoopContext) and attribute in _LOOP_MEMBERS:
            return getattr(obj, attribute)
        return self._member(obj, attribute, f"there is no member '{attribute}'")

    def getitem(self, obj: Any, argument: Any) -> Any:
        # the argument may be data: no message names it
        return self._member(obj, argument, "there is no such member")

    def _member(self, obj: Any, key: Any, otherwise: str) -> Any:
        if isinstance(obj, dict | list | tuple | Symbol):
            try:
                return obj[key]
            except (LookupError, TypeError):
                pass
        return self.undefined(otherwise)


@pass_context
def _keep(context: Context, value: Any) -> str:
    if isinstance(value, StrictUndefined):
        str(value)  # raises
    holes: list[Any] = context.parent[_HOLES]
    holes.append(value)
    return f"\x02{len(holes) - 1}\x03"


def _environment() -> _Environment:
    environment = _Environment(
        undefined=StrictUndefined, finalize=_keep, autoescape=False, cache_size=0
    )
    environment.globals = {}
    environment.filters = dict(FILTERS)
    environment.tests = dict(TESTS)
    return environment


_ENVIRONMENT = _environment()


class Template:
    """One checked template over the given names."""

    def __init__(self, source: str, names: Collection[str]) -> None:
        """Raises RenderError for the first thing that is not allowed; `problems` gives all of them."""
        for problem in problems(source, names):
            raise problem
        self._template = _ENVIRONMENT.from_string(source)
        self.uses = frozenset(meta.find_undeclared_variables(_ENVIRONMENT.parse(source)))

    def render(self, context: Mapping[str, Any]) -> bytes:
        """Return compact JSON. Raises RenderError."""
        literals, holes = self.parts(context)
        return b"".join(_interleave(literals, [_dumps(hole) for hole in holes]))

    def parts(self, context: Mapping[str, Any]) -> tuple[list[bytes], list[Any]]:
        """Return the literal chunks and, one fewer, the hole values between them. Raises RenderError."""
        holes: list[Any] = []
        text = self._text({**context, _HOLES: holes})
        if "\x02" in text:
            text = _MARK.sub(r'"h\\u0002\1"', text)
        try:
            compact = orjson.dumps(orjson.loads(text))
        except orjson.JSONDecodeError as error:
            raise RenderError("json", f"what it renders is not JSON: {error.msg}") from None
        pieces = _TOKEN.split(compact)
        order = [int(number) for number in pieces[1::2]]
        if sorted(order) != list(range(len(holes))):
            raise RenderError("json", "a key stands twice in one object")
        literals = pieces[0::2]
        values = [holes[number] for number in order]
        for literal, value in zip(literals[1:], values, strict=True):
            if literal.startswith(b":") and not isinstance(value, str):
                raise RenderError("json", "the hole in a key's place is not text")
        return literals, values

    def _text(self, context: dict[str, Any]) -> str:
        chunks: list[str] = []
        size = 0
        try:
            for chunk in self._template.generate(context):
                size += len(chunk)
                if size > MAX_TEXT:
                    raise RenderError("size", f"it renders more than {MAX_TEXT} characters")
                chunks.append(chunk)
        except UndefinedError as error:
            raise RenderError("undefined", str(error.message)) from None
        except (TemplateError, ExpressionError, TypeError, ValueError, LookupError) as error:
            if isinstance(error, RenderError):
                raise
            raise RenderError(
                "value", f"the values do not fit the template ({type(error).__name__})"
            ) from None
        return "".join(chunks)


def _interleave(literals: Sequence[Any], holes: Sequence[Any]) -> Iterator[Any]:
    for literal, hole in zip(literals, holes, strict=False):
        yield literal
        yield hole
    yield literals[-1]


def problems(source: str, names: Collection[str]) -> Iterator[RenderError]:
    """Yield everything that is not allowed in a template: syntax, constructs, names, holes inside a string."""
    try:
        tree = _ENVIRONMENT.parse(source)
    except TemplateSyntaxError as error:
        yield RenderError("syntax", f"not a template: {error.message}", error.lineno)
        return
    found = [*_forbidden(tree), *_unknown_functions(tree)]
    # Jinja can only tell a template's names when it knows all of its filters
    yield from found or _unknown_names(tree, names)
    yield from _holes_in_strings(source)


def _forbidden(tree: nodes.Template) -> Iterator[RenderError]:
    for node in tree.find_all(nodes.Node):
        if not isinstance(node, _ALLOWED) and not isinstance(node, nodes.Keyword):
            allowed = "allowed: {{ value }}, if, for, literals, comparisons, and/or/not, filters"
            yield RenderError(
                "construct",
                f"'{type(node).__name__}' is not allowed in a template; {allowed}",
                node.lineno,
            )
        elif isinstance(node, nodes.Keyword) or (isinstance(node, nodes.For) and node.recursive):
            yield RenderError(
                "construct", "keyword arguments and recursive loops are not allowed", node.lineno
            )


def _unknown_names(tree: nodes.Template, names: Collection[str]) -> Iterator[RenderError]:
    used = meta.find_undeclared_variables(tree) | {
        node.name for node in tree.find_all(nodes.Name) if node.name == "self"
    }
    for name in sorted(used - set(names)):
        line = next((node.lineno for node in tree.find_all(nodes.Name) if node.name == name), 0)
        yield RenderError("name", f"unknown name '{name}'; {nearest(name, names)}", line)


def _unknown_functions(tree: nodes.Template) -> Iterator[RenderError]:
    for node in tree.find_all((nodes.Filter, nodes.Test)):
        known = FILTERS if isinstance(node, nodes.Filter) else TESTS
        kind = "filter" if isinstance(node, nodes.Filter) else "test"
        if node.name not in known:
            yield RenderError(
                "name", f"unknown {kind} '{node.name}'; {nearest(node.name, known)}", node.lineno
            )


def _holes_in_strings(source: str) -> Iterator[RenderError]:
    if "\\u0002" in source or "\x02" in source:
        yield RenderError("construct", "the control character U+0002 is not allowed in a template")
    quoted = False
    for line, kind, value in _ENVIRONMENT.lex(source):
        if kind == "data":
            quoted ^= len(re.findall(r'(?<!\\)(?:\\\\)*"', value)) % 2 == 1
        elif kind == "variable_begin" and quoted:
            message = "a hole stands inside a string; a hole is a whole value: write {{ … }} without quotes, join with ~"
            yield RenderError("string", message, line)


def read_template(folder: Path, name: str | None, default: str, names: Collection[str]) -> Template:
    """Return the template of a file, or of the default text when no file is named. Raises RenderError."""
    file = str(folder / name) if name else ""
    try:
        return Template((folder / name).read_text("utf-8") if name else default, names)
    except RenderError as error:
        error.file = file
        raise
    except OSError as error:
        raise RenderError(
            "file", f"the template cannot be read: {error.strerror}", file=file
        ) from None


class Ids(dict[str, list[Any]]):
    """Wire key → values of one record. A known key that the record lacks is []; an unknown one is undefined."""

    __slots__ = ("known",)

    def __init__(self, known: Collection[str], wires: Sequence[str], values: Sequence[Any]) -> None:
        super().__init__()
        self.known = known
        for wire, value in zip(wires, values, strict=True):
            self.setdefault(wire, []).append(value)

    def __missing__(self, key: str) -> list[Any]:
        if key in self.known:
            return []
        raise KeyError(key)


class Symbol:
    """Stands for the text of one identifier while a template is lifted; whoever looks into it is not lifted."""

    __slots__ = ("index",)

    def __init__(self, index: int) -> None:
        self.index = index

    def _look(self, *_: Any) -> Any:
        raise _UnliftableError

    __str__ = __eq__ = __ne__ = __hash__ = __len__ = __iter__ = __getitem__ = __contains__ = _look
    __lt__ = __le__ = __gt__ = __ge__ = __add__ = __radd__ = __sub__ = __rsub__ = __neg__ = (
        __html__
    ) = _look


#: Renders items, each from its wire values in the order of the shape's wires.
RenderItems = Callable[[Sequence[tuple[str, ...]]], list[bytes]]


class ItemRenderer:
    """Makes, for each shape, the function that renders its items.

    `plain` are the wire keys whose values are not digests and so have to be written as JSON text.
    """

    NAMES = ("ids", "operation", "params", "settings")

    def __init__(
        self,
        template: Template,
        wires: Sequence[str],
        plain: Collection[str],
        shared: Mapping[str, Any],
    ) -> None:
        """`shared`: `operation` and `settings`, which are the same for all records."""
        self._template = template
        self._wires = tuple(wires)
        self._plain = frozenset(plain)
        self._shared = shared

    @property
    def uses_params(self) -> bool:
        """Whether the item depends on parameters, so that a shape's function holds for one target only."""
        return "params" in self._template.uses

    def shape(self, wires: tuple[str, ...], params: Mapping[str, Any]) -> RenderItems:
        """Return the function for records whose values have these wire keys. Raises RenderError."""
        try:
            pieces = self._lift(wires, params)
        except (_UnliftableError, RenderError):
            return self._slow(wires, params)
        return _filler(pieces, [wire in self._plain for wire in wires])

    def _render(
        self, wires: tuple[str, ...], values: Sequence[Any], params: Mapping[str, Any]
    ) -> tuple[list[bytes], list[Any]]:
        ids = Ids(self._wires, wires, values)
        return self._template.parts({"ids": ids, "params": params, **self._shared})

    def _lift(self, wires: tuple[str, ...], params: Mapping[str, Any]) -> list[str]:
        literals, holes = self._render(wires, [Symbol(i) for i in range(len(wires))], params)
        filled = [_dumps(hole) for hole in holes]
        return _MARK.split(b"".join(_interleave(literals, filled)).decode())

    def _slow(self, wires: tuple[str, ...], params: Mapping[str, Any]) -> RenderItems:
        def render(values: tuple[str, ...]) -> bytes:
            literals, holes = self._render(wires, values, params)
            return b"".join(_interleave(literals, [_dumps(hole) for hole in holes]))

        return lambda items: [render(values) for values in items]


def _filler(pieces: list[str], plain: Sequence[bool]) -> RenderItems:
    """Return the function that fills `literal, index, literal, index, …, literal`."""
    order = [int(number) for number in pieces[1::2]]
    pick = _picker(order, plain)
    quoted = not any(plain[index] for index in order)
    if quoted:
        # a digest needs no escaping: its quotes can stand in the literals
        pieces[2::2] = ['"' + literal for literal in pieces[2::2]]
        pieces[:-1:2] = [literal + '"' for literal in pieces[:-1:2]]

    def render(items: Sequence[tuple[str, ...]]) -> list[bytes]:
        parts = pieces.copy()
        rendered = []
        for values in items:
            parts[1::2] = values if pick is None else pick(values)
            rendered.append("".join(parts).encode())
        return rendered

    return render


def _picker(
    order: list[int], plain: Sequence[bool]
) -> Callable[[tuple[str, ...]], Sequence[str]] | None:
    """Return the function that puts values in the order of the holes; None when they are in that order already."""
    if any(plain[index] for index in order):
        return lambda values: [orjson.dumps(values[index]).decode() for index in order]
    if order == list(range(len(plain))):
        return None
    return lambda values: [values[index] for index in order]


class Items(list[bytes]):
    """Items that are JSON already. As a hole they are one list; a loop gives them one by one."""


def _json(value: Any) -> Any:
    """Give orjson what it does not know: items, and the subclasses of dict that templates see."""
    if isinstance(value, Items):
        return orjson.Fragment(b"[" + b",".join(value) + b"]")
    if isinstance(value, bytes):
        return orjson.Fragment(value)
    if isinstance(value, dict):
        return dict(value)
    if isinstance(value, Symbol):
        return orjson.Fragment(f"\x02{value.index}\x03")
    raise TypeError(f"{type(value).__name__} is not JSON")


def _dumps(value: Any) -> bytes:
    if type(value) is int:
        return b"%d" % value  # of any size
    try:
        return orjson.dumps(value, default=_json, option=orjson.OPT_PASSTHROUGH_SUBCLASS)
    except TypeError:
        raise RenderError("value", "a hole's value cannot be written as JSON") from None


class Envelope:
    """Renders a body from groups of items, which are JSON already."""

    NAMES = ("groups", "items", "operation", "params", "request", "settings")

    def __init__(self, template: Template, settings: Mapping[str, Any]) -> None:
        self._template = template
        self._settings = settings

    def render(
        self, groups: Sequence[Mapping[str, Any]], shared: Mapping[str, Any], operation: str
    ) -> bytes:
        """Return the body. Each group: its keys and `items`, a list of JSON bytes. Raises RenderError.

        `shared`: what all records of the request share, as `params` and `request`.
        """
        wrapped = [{**group, "items": Items(group["items"])} for group in groups]
        items = (
            wrapped[0]["items"]
            if len(wrapped) == 1
            else Items(chain.from_iterable(group["items"] for group in groups))
        )
        context = {
            "groups": wrapped,
            "items": items,
            "operation": operation,
            "settings": self._settings,
            **shared,
        }
        return self._template.render(context)
