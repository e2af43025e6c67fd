"""Everything about a destination or an action, as text."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from connector._util.pretty_json import as_written
from connector.cli.list import action_lines
from connector.cli.output import on_one_line

if TYPE_CHECKING:
    from rich.table import Table

_WIDTH = 100
_INDENT = 11

# Examples in the table are cut to the first of these lengths with which it fits.
_EXAMPLE_LENGTHS = (18, 12)
# What an answer means to a call, which has no records; anything else is an error.
_OF_A_CALL = {"delivered": "success", "retry": "retry"}
# Wide enough for the name of every step.
_STEPS_WIDTH = 20


def show_text(description: dict[str, Any]) -> str:
    """Return the description of a destination, an action, a call or an export as text."""
    if "action" in description:
        return "\n".join(_action_lines(description))
    if "call" in description:
        return "\n".join(_call_lines(description))
    if "export" in description:
        return "\n".join(_export_lines(description))
    return "\n".join(_destination_lines(description))


def _destination_lines(destination: dict[str, Any]) -> Iterator[str]:
    api = destination["api"]
    limits = destination["limits"]
    version = f"{api.get('name', '')} {api.get('version', '')}"

    yield f"{destination['destination']}  {on_one_line(destination['title'])}"
    yield from _wrapped(destination["description"])
    yield ""
    yield f"api        {on_one_line(version)} at {on_one_line(destination['base_url'])}"
    yield f"docs       {on_one_line(destination['docs'])}"
    yield from _auth_lines(destination["auth"])
    yield f"caps       {_pairs(limits.get('caps', {}))}"
    yield f"defaults   {_pairs(limits.get('defaults', {}))}"
    yield from _source_lines(limits)
    for rate in destination["rate"]:
        yield f"rate       {rate['requests']} requests in {rate['per']}"
        yield from _source_lines(rate)
    concurrency = destination["concurrency"]
    yield f"at once    {concurrency['requests']} requests for one audience"
    yield from _source_lines(concurrency)

    yield from ("", "settings")
    for setting in destination["settings"]:
        yield from _parameter_lines(setting)

    yield from ("", "answers")
    shown = None
    for rule in destination["responses"]:
        yield f"  {rule['then']:<10} when {on_one_line(rule['when'])}"
        # The hints have one source for all of them.
        if rule.get("source") != shown:
            shown = rule.get("source")
            yield from _source_lines(rule)

    yield from ("", "actions")
    yield from action_lines(destination["actions"])
    if destination["calls"]:
        yield from ("", "calls")
        yield from action_lines(destination["calls"])
    if "exports" in destination:
        yield from ("", "exports")
        yield from action_lines(destination["exports"])

    if destination["presets"]:
        command = f"connector new {destination['destination']} --from NAME"
        yield from ("", f"presets ({command})")
        yield from action_lines(destination["presets"])


def _auth_lines(auth: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each scheme that a connection can choose."""
    heading = "auth"
    for choice, scheme in auth.get("schemes", {"": auth}).items():
        line = str(scheme["scheme"])
        if scheme.get("credentials"):
            line += f": {', '.join(scheme['credentials'])}"
        if choice:
            line += f" (with {auth['setting']}: {choice})"

        yield f"{heading:<10} {line}"
        heading = ""


def _action_lines(action: dict[str, Any]) -> Iterator[str]:
    yield f"{action['action']}  {on_one_line(action['title'])}"
    yield from _wrapped(action["description"])
    yield ""
    yield f"request    {on_one_line(action['request'])}"
    yield f"operation  {action['operation']}"
    for name in ("audience", "split", "prefer", "together"):
        if name in action:
            yield f"{name:<10} {on_one_line(as_written(action[name]))}"
    yield f"caps       {_pairs(action['caps'])}"
    yield f"defaults   {_pairs(action['defaults'])}"
    yield from _source_lines(action)

    yield from _form_lines(action)
    if action["checks"]:
        yield from ("", "checks")
    for check in action["checks"]:
        yield f"  {check['code']}: {on_one_line(check['message'])}"


def _call_lines(call: dict[str, Any]) -> Iterator[str]:
    yield f"{call['call']}  {on_one_line(call['title'])}"
    yield from _wrapped(call["description"])
    yield ""
    yield f"request    {on_one_line(call['request'])}"
    if call["query"]:
        yield from _wrapped(f"query      {', '.join(call['query'])}")
    if call["pages"]:
        yield f"pages      {on_one_line(as_written(call['pages']))}"
    if call["fields"]:
        yield from _wrapped(f"returns    {', '.join(call['fields'])}")
    yield from _source_lines(call)

    if call["parameters"]:
        yield from ("", "parameters")
    for parameter in call["parameters"]:
        yield from _parameter_lines(parameter)
    if call["responses"]:
        yield from ("", "answers")
    for rule in call["responses"]:
        meaning = _OF_A_CALL.get(rule["then"], "error")
        yield f"  {meaning:<10} when {on_one_line(rule['when'])}"


def _form_lines(form: dict[str, Any]) -> Iterator[str]:
    """Yield the parameters and identifiers of an action or an export."""
    yield from ("", "parameters")
    for parameter in form["parameters"]:
        yield from _parameter_lines(parameter)

    if form["identifiers"]:
        yield from ("", "identifiers")
        for line in _identifier_table(form["identifiers"]):
            yield f"  {line}"
        for note in form["notes"]:
            yield from _wrapped(note, 2)


def _export_lines(export: dict[str, Any]) -> Iterator[str]:
    yield f"{export['export']}  {on_one_line(export['title'])}"
    yield from _wrapped(export["description"])
    yield ""
    if "url" in export:
        yield f"line       {on_one_line(export['url'])}"
    else:
        yield f"columns    {', '.join(export['columns'])}, with a {export['delimiter']} between"
    if "file" in export:
        yield f"file       {export['file']}"
    yield from _source_lines(export)
    if "key" in export:
        key = export["key"]
        size = f" of {key['bytes']} bytes" if "bytes" in key else ""
        yield f"key        credential {key['credential']}: {key['encoding']} text{size}"
        yield from _source_lines(key)
    yield from _form_lines(export)


def _parameter_lines(parameter: dict[str, Any]) -> Iterator[str]:
    required = "  (required)" if parameter["required"] else ""
    title = on_one_line(parameter.get("title", ""))
    yield f"  {parameter['name']}{required}  {title}"
    yield from _wrapped(parameter.get("description", ""), 6)

    if "enum" in parameter:
        yield f"      allowed: {_values(parameter['enum'])}"
    if "default" in parameter:
        yield f"      default: {_values([parameter['default']])}"
    if parameter.get("examples"):
        yield f"      for example: {_values(parameter['examples'])}"

    yield from _source_lines(parameter.get("identifier", {}), 6)
    yield from _source_lines(parameter, 6)


def _values(values: Iterable[Any]) -> str:
    return on_one_line(", ".join(map(as_written, values)))


def _pairs(values: Mapping[str, Any]) -> str:
    pairs = []
    for name, value in values.items():
        is_number = isinstance(value, int)
        pairs.append(f"{value:,} {name}" if is_number else f"{name} {value}")
    return ", ".join(pairs)


def _source_lines(holder: Mapping[str, Any], indent: int = _INDENT) -> Iterator[str]:
    source = holder.get("source")
    if source:
        note = source.get("note", "")
        url = f" ({source['url']})" if "url" in source else ""
        text = f"source: {source['read']}. {note}{url}"
        yield from _wrapped(text, indent)


def _wrapped(text: str, indent: int = 0) -> Iterator[str]:
    """Yield a text as lines that fit. Its line breaks stay."""
    margin = " " * indent
    wrapper = textwrap.TextWrapper(
        width=_WIDTH,
        initial_indent=margin,
        subsequent_indent=margin,
        break_on_hyphens=False,
        break_long_words=False,
    )
    for paragraph in text.split("\n") if text else ():
        yield from wrapper.wrap(paragraph) or [""]


# The table of identifiers
# ---------------------------------------------------------------------------------------------


def _identifier_table(rules: list[dict[str, Any]]) -> list[str]:
    """Return the lines of a table: each identifier with its steps and examples."""
    from rich.console import Console, Group

    # As wide as it takes, for measuring: rich measures no more than the width of the console.
    console = Console(
        width=1_000,
        color_system=None,
        highlight=False,
        legacy_windows=False,
    )
    for example_length in _EXAMPLE_LENGTHS:
        table = _table(rules, _STEPS_WIDTH, example_length)
        spare = _WIDTH - 2 - console.measure(table).maximum
        if spare >= 0:
            break

    # The steps take what is left. No name is ever cut: rather the table is too wide.
    if spare > 0:
        steps_width = console.measure(Group(*table.columns[1].cells)).maximum
        table = _table(rules, steps_width + spare, example_length)
    with console.capture() as capture:
        console.print(table)
    return [line.rstrip() for line in capture.get().splitlines()]


def _table(rules: list[dict[str, Any]], steps_width: int, example_length: int) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="")
    for heading in ("parameter", "steps", "hash", "sent as", "example", "becomes"):
        table.add_column(heading, no_wrap=True)

    for rule in rules:
        names = [
            rule["parameter"],
            _folded(rule["steps"], steps_width),
            "given" if rule["prehashed"] is True else rule["hash"],
            rule["wire"],
        ]
        # Further examples of an identifier have rows of their own.
        for example in rule["examples"] or [{"in": "", "out": ""}]:
            becomes = example["out"] if example["out"] is not None else "dropped"
            digest = becomes if rule["hash"] != "none" else ""
            cells = []
            for value in (example["in"], becomes):
                text = on_one_line(as_written(value))
                cells.append(_shortened(text, digest, example_length))
            table.add_row(*map(Text, [*names, *cells]))
            names = [""] * len(names)
    return table


def _folded(steps: list[str], width: int) -> str:
    """Return the steps on as few lines as possible; break no step that fits on a line."""
    lines = [""]
    for number, step in enumerate(steps, 1):
        piece = on_one_line(step)
        if number < len(steps):
            piece += " →"
        if lines[-1] and len(lines[-1]) + 1 + len(piece) <= width:
            lines[-1] += f" {piece}"
        else:
            lines += textwrap.wrap(piece, width, break_on_hyphens=False)
    return "\n".join(lines[1:])


def _shortened(text: str, digest: str, length: int) -> str:
    """Return a text that fits the column, a digest shortened to its beginning."""
    if len(text) <= length:
        return text
    return f"{text[:8]}…" if text == digest else f"{text[:length]}…"
