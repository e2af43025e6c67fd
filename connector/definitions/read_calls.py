"""The calls of a destination: from their documents to typed values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from connector.definitions.derive import call_schema
from connector.definitions.documents import checked_references, documents_of
from connector.definitions.model import Call, Destination, ResponseRule
from connector.definitions.pages import (
    CallSandbox,
    CursorPages,
    LinkedPages,
    NumberedPages,
    Pages,
    PageSize,
    StartPages,
)
from connector.definitions.read import Reader, declared_sources, read_contract

if TYPE_CHECKING:
    from connector.definitions.resolve import Document

Members = Mapping[str, Any]

#: The code of an answer that is a success for HTTP, and not what the definition calls one.
NOT_CONFIRMED = "not_confirmed"

_SENT = re.compile(r"\bsent\b")

_NOT_CONFIRMED = "the answer does not say that it was done"


def read_calls(destination: Destination) -> dict[str, Call]:
    """Return the calls of a destination by their ids. Raise DefinitionError with every problem."""
    folder = destination.document.folder
    documents = documents_of(folder, "call")["call"]
    reader = Reader(declared_sources(destination.document))
    defaults = destination.document.content["destination"]
    read = {}
    with checked_references(folder, documents.values()):
        for name, document in sorted(documents.items()):
            read[name] = _call(reader, name, document, defaults, destination.templates)
    return read


def _call(
    reader: Reader, name: str, document: Document, defaults: Members, templates: Path
) -> Call:
    """Return a call; `defaults` are the members of the destination."""
    schema = call_schema(document.content)
    members = schema["action"]
    headers = {**defaults.get("headers", {}), **members.get("headers", {})}
    sandbox = members.get("sandbox", {})
    answers = reader.sandbox({**defaults.get("sandbox", {}), **sandbox}, templates)

    return Call(
        id=name,
        document=document,
        schema=schema,
        parameters=reader.fields(schema),
        method=members["method"],
        reads=members["method"] == "GET" or "reads" in members,
        path=members["path"],
        query=members.get("query", {}),
        headers={name.lower(): text for name, text in headers.items()},
        more_headers=defaults.get("more_headers", ""),
        body=members.get("body", ""),
        accepts=read_contract(document),
        result=members.get("result", ""),
        fields=members.get("fields", {}),
        pages=_pages(members.get("pages")),
        responses=_responses(reader, members, defaults),
        own_responses=_responses(reader, members, {}),
        # What the destination answers counts people.
        answers=replace(answers, success=sandbox.get("success", "")),
        sandbox=_sandbox(sandbox),
        source=reader.required_source(members),
    )


def _responses(reader: Reader, own: Members, defaults: Members) -> tuple[ResponseRule, ...]:
    """Return the rules of a call and, after them, those of its destination that fit.

    What the destination calls a success counts people, and so does its hint for any other 2xx.
    """
    shared_rules = []
    for rule in defaults.get("responses", ()):
        if rule["then"] != "delivered" and not _SENT.search(rule["when"]):
            shared_rules.append(rule)
    shared = {**defaults, "responses": shared_rules, "hints": _of_failures(defaults)}
    shared.pop("success", None)
    own_failures = {**own, "hints": _of_failures(own)}
    success = own_failures.pop("success", None)

    rules = reader.responses(own_failures, shared)
    return (*rules, *_success(reader, success, own)) if success else rules


def _of_failures(members: Members) -> dict[str, str]:
    hints = {}
    for status, reason in members.get("hints", {}).items():
        if not status.startswith("2"):
            hints[status] = reason
    return hints


def _success(reader: Reader, success: Members, own: Members) -> list[ResponseRule]:
    """Return the rules of a `success`: no 2xx for which it does not hold is one."""
    holds = {
        "when": f"200 <= status < 300 and ({success['when']})",
        "then": "delivered",
        "source": success["source"],
    }
    other = {
        "when": "200 <= status < 300",
        "then": "stop",
        "code": NOT_CONFIRMED,
        "reason": own.get("hints", {}).get("2xx", _NOT_CONFIRMED),
    }
    if "detail" in own:
        other["detail"] = own["detail"]
    return [reader.response_rule(holds, "/success"), reader.response_rule(other, "/success")]


def _pages(written: Members | None) -> Pages | None:
    if written is None:
        return None
    size = _size(written.get("size"))
    if "cursor" in written:
        return CursorPages(written["cursor"], written["parameter"], size)
    if "next" in written:
        return LinkedPages(written["next"], size)
    if "page" in written:
        return NumberedPages(written["page"], written.get("first", 1), written["last"], size)
    assert size is not None, "the meta-schema asks for it"
    return StartPages(written["start"], size, written["total"])


def _size(written: Members | None) -> PageSize | None:
    return None if written is None else PageSize(written["parameter"], written.get("value"))


def _sandbox(written: Members) -> CallSandbox:
    return CallSandbox(
        does=written.get("does", ""),
        collection=written.get("collection", ""),
        where=written.get("where", ""),
        given=written.get("given", ""),
        unique=written.get("unique", ""),
        at_most=written.get("at_most", 0),
        ids=written.get("ids", "letters"),
        id=written.get("id", ""),
    )
