"""Templates that build values, not text.

Each `{{ expression }}` is a *value hole*: `finalize` keeps the value and leaves a mark, a JSON
string that no template may hold. The text is parsed as JSON, then the values are put in. So no
content of any field can change the structure.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import lru_cache
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
from jinja2 import Template as CompiledTemplate
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment

from connector.errors import nearest
from connector.templating.data import FAILURES
from connector.templating.filters import FILTERS, TESTS, filter_problem
from connector.templating.syntax import TOO_DEEP, TOO_LARGE, size_problem
from connector.templating.values import Symbol, UnwritableError, dumps

#: No rendered text may be longer than this, whatever its loops do.
MAX_TEXT = 50_000_000
_TOO_LONG = f"the rendered text has more than {MAX_TEXT} characters"

_HOLES = " holes"  # no template can spell this name
_MARK = '"h\\u0002%d"'
_MARKS = re.compile(rb'"h\\u0002(\d+)"')
_QUOTE = re.compile(r'(?<!\\)(?:\\\\)*"')

# All of a JSON text but the commas before a closing bracket. A comma without a value before it is
# an error, so it stays. Possessive quantifiers (`++`, `*+`) never go back: no text takes longer
# than in proportion to its length.
_BUT_LAST_COMMAS = re.compile(
    r"""
    (?:
        [^",\[{]++                                # numbers, words, closing brackets, white space
      | " (?: [^"\\]++ | \\. )*+ "?               # a string, whatever it holds
      | (?: [\[{] | , (?! \s* [\]}] ) ) [\s,]*+   # an opening bracket, or a comma between values
    )++
    """,
    re.VERBOSE,
)
_LOOP_MEMBERS = frozenset({"first", "last", "index", "index0", "length"})

_ALLOWED: tuple[type[nodes.Node], ...] = (
    nodes.Template,
    nodes.Output,
    nodes.TemplateData,
    nodes.If,
    nodes.For,
    nodes.Name,
    nodes.Const,
    nodes.Getattr,
    nodes.Getitem,
    nodes.Compare,
    nodes.Operand,
    nodes.And,
    nodes.Or,
    nodes.Not,
    nodes.CondExpr,
    nodes.Concat,
    nodes.Add,
    nodes.Sub,
    nodes.Neg,
    nodes.List,
    nodes.Tuple,
    nodes.Dict,
    nodes.Pair,
    nodes.Filter,
    nodes.Test,
)
_ALLOWED_HINT = "allowed: {{ value }}, if, for, literals, comparisons, and/or/not, filters"


class RenderError(ValueError):
    """A template is not allowed, or fails; the text never quotes data.

    `category` is a word for programs. `file` and `line` (from 1) say where; "" and 0 when that is
    not known.
    """

    def __init__(self, category: str, message: str, line: int = 0, *, file: str = "") -> None:
        super().__init__(message)
        self.category = category
        self.line = line
        self.file = file


class _Environment(ImmutableSandboxedEnvironment):
    """Give access to members of data only.

    No method, no attribute of any Python object and no global can be reached.
    """

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, LoopContext) and attribute in _LOOP_MEMBERS:
            return getattr(obj, attribute)
        return self._member(obj, attribute, f"unknown member '{attribute}'")

    def getitem(self, obj: Any, argument: Any) -> Any:
        # the argument may be data: no message names it
        return self._member(obj, argument, "unknown member")

    def _member(self, obj: Any, key: Any, message: str) -> Any:
        if isinstance(obj, dict | list | tuple | Symbol):
            try:
                return obj[key]
            except (LookupError, TypeError):
                pass
        return self.undefined(message)


@pass_context
def _keep(context: Context, value: Any) -> str:
    """Keep the value of a hole; return the mark that represents it in the text."""
    if isinstance(value, StrictUndefined):
        str(value)  # raises
    holes: list[Any] = context.parent[_HOLES]
    holes.append(value)
    return _MARK % (len(holes) - 1)


def _environment() -> _Environment:
    environment = _Environment(
        undefined=StrictUndefined, finalize=_keep, autoescape=False, cache_size=0
    )
    environment.globals = {}
    environment.filters = dict(FILTERS)
    environment.tests = dict(TESTS)
    return environment


_ENVIRONMENT = _environment()


# Compiling takes most of a short run's time, and the actions of a destination share templates.
@lru_cache(maxsize=256)
def _compiled(source: str, names: frozenset[str]) -> tuple[CompiledTemplate, frozenset[str]]:
    """Return a checked template, compiled, and the names that it uses. Raises RenderError."""
    for problem in problems(source, names):
        raise problem
    uses = meta.find_undeclared_variables(_ENVIRONMENT.parse(source))
    return _ENVIRONMENT.from_string(source), frozenset(uses)


class Template:
    """One checked template over the given names."""

    def __init__(self, source: str, names: Collection[str]) -> None:
        """Raise RenderError for the first thing that is not allowed; `problems` yields them all."""
        self._template, self.uses = _compiled(source, frozenset(names))

    def render(self, context: Mapping[str, Any]) -> bytes:
        """Return compact JSON. Raise RenderError."""
        literals, holes = self.parts(context)
        return join(literals, holes)

    def parts(self, context: Mapping[str, Any]) -> tuple[list[bytes], list[Any]]:
        """Return the literal chunks, and the hole values between them. Raise RenderError."""
        holes: list[Any] = []
        text = self._text({**context, _HOLES: holes})
        pieces = _MARKS.split(_compact(text))
        literals = pieces[0::2]
        order = list(map(int, pieces[1::2]))
        if sorted(order) != list(range(len(holes))):
            # a later member has replaced an earlier one with its holes
            raise RenderError("json", "duplicate key in an object")

        values = [holes[number] for number in order]
        for literal, value in zip(literals[1:], values, strict=True):
            if literal.startswith(b":") and not isinstance(value, str):
                raise RenderError("json", "expected text as an object's key")
        return literals, values

    def _text(self, context: dict[str, Any]) -> str:
        chunks: list[str] = []
        size = 0
        try:
            for chunk in self._template.generate(context):
                size += len(chunk)
                if size > MAX_TEXT:
                    break
                chunks.append(chunk)
        except UndefinedError as error:
            raise RenderError("undefined", str(error.message)) from None
        except (TemplateError, *FAILURES) as error:
            # the error's own text may quote data
            message = f"the template fails on these values ({type(error).__name__})"
            raise RenderError("value", message) from None
        if size > MAX_TEXT:
            raise RenderError("size", _TOO_LONG)
        return "".join(chunks)


def _compact(text: str) -> bytes:
    """Return rendered text as compact JSON; a comma may end a list or an object.

    Raise RenderError.
    """
    try:
        return orjson.dumps(orjson.loads(text))
    except orjson.JSONDecodeError:
        # most often because a comma ends a list or an object
        text = "".join(_BUT_LAST_COMMAS.findall(text))
    try:
        return orjson.dumps(orjson.loads(text))
    except orjson.JSONDecodeError as error:
        raise RenderError("json", f"the template renders invalid JSON: {error.msg}") from None


def join(literals: Sequence[bytes], holes: Sequence[Any]) -> bytes:
    """Return JSON of literal chunks and, one fewer, the hole values between them.

    Raise RenderError.
    """
    parts = [b""] * (2 * len(holes) + 1)
    parts[0::2] = literals
    size = 0
    try:
        for position, value in enumerate(holes):
            part = dumps(value)
            parts[2 * position + 1] = part
            size += len(part)
            if size > MAX_TEXT:
                raise RenderError("size", _TOO_LONG)
    except UnwritableError:
        raise RenderError("value", "the value of {{ … }} cannot be written as JSON") from None
    return b"".join(parts)


def problems(source: str, names: Collection[str]) -> Iterator[RenderError]:
    """Yield everything that is not allowed in a template.

    That is: syntax, constructs, unknown names, holes inside a string.
    """
    try:
        tree = _ENVIRONMENT.parse(source)
    except TemplateSyntaxError as error:
        yield RenderError("syntax", f"invalid template: {error.message}", error.lineno)
        return
    except RecursionError:
        yield RenderError("syntax", f"invalid template: {TOO_DEEP}")
        return
    except ValueError:
        yield RenderError("syntax", f"invalid template: {TOO_LARGE}")
        return

    problem = size_problem(tree)
    if problem:
        yield RenderError("syntax", f"invalid template: {problem}")
        return

    forbidden = [*_forbidden(tree), *_unknown_functions(tree)]
    if forbidden:
        yield from forbidden
    else:
        # Jinja can only tell a template's names when it knows all of its filters
        yield from _unknown_names(tree, names)
    yield from _holes_in_strings(source)


def _forbidden(tree: nodes.Template) -> Iterator[RenderError]:
    for node in tree.find_all(nodes.Node):
        is_recursive = isinstance(node, nodes.For) and node.recursive
        if isinstance(node, nodes.Keyword) or is_recursive:
            message = "keyword arguments and recursive loops are not allowed"
            yield RenderError("construct", message, node.lineno)
        elif not isinstance(node, _ALLOWED):
            message = f"'{type(node).__name__}' is not allowed in a template; {_ALLOWED_HINT}"
            yield RenderError("construct", message, node.lineno)


def _unknown_functions(tree: nodes.Template) -> Iterator[RenderError]:
    for node in tree.find_all(nodes.Filter):
        message = filter_problem(node.name, node.args)
        if message:
            yield RenderError("name", message, node.lineno)

    for test in tree.find_all(nodes.Test):
        if test.name not in TESTS:
            message = f"unknown test '{test.name}'; {nearest(test.name, TESTS)}"
            yield RenderError("name", message, test.lineno)


def _unknown_names(tree: nodes.Template, names: Collection[str]) -> Iterator[RenderError]:
    used = meta.find_undeclared_variables(tree)
    lines: dict[str, int] = {}
    for node in tree.find_all(nodes.Name):
        lines.setdefault(node.name, node.lineno)
        if node.name == "self":
            # Jinja declares it, and gives it no data
            used.add("self")

    for name in sorted(used.difference(names)):
        message = f"unknown name '{name}'; {nearest(name, names)}"
        yield RenderError("name", message, lines.get(name, 0))


def _holes_in_strings(source: str) -> Iterator[RenderError]:
    if "\\u0002" in source or "\x02" in source:
        yield RenderError("construct", "the control character U+0002 is not allowed in a template")

    in_string = False
    for line, lexeme, text in _ENVIRONMENT.lex(source):
        if lexeme == "data":
            quotes = len(_QUOTE.findall(text))
            in_string ^= quotes % 2 == 1
        elif lexeme == "variable_begin" and in_string:
            message = (
                "{{ … }} inside a string, but it renders a whole value; "
                "remove the quotes, and join text with ~"
            )
            yield RenderError("string", message, line)


def read_template(folder: Path, name: str | None, default: str, names: Collection[str]) -> Template:
    """Return the template of a file, or of the default text when no file is named.

    Raise RenderError, with the file when there is one.
    """
    if not name:
        return Template(default, names)
    path = folder / name
    try:
        source = path.read_text("utf-8")
    except OSError as error:
        message = f"the template cannot be read: {error.strerror}"
        raise RenderError("file", message, file=str(path)) from None
    try:
        return Template(source, names)
    except RenderError as error:
        error.file = str(path)
        raise
