"""Deliver people's identifiers to ad audiences.

Audience destinations are described by files, which say how to map, hash, batch and deliver.

    connection = connector.load_connection("connection.yaml")
    for request in connector.preview(connection, "events.ndjson"):
        print(request.method, request.url, request.body)
    report = connector.send(connection, "events.ndjson", transport=connector.Sandbox(connection))

Names are loaded when they are first used, so that the import itself takes next to no time.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from connector.audiences.check import Check
    from connector.connection.model import Connection
    from connector.delivery.clock import Clock, SystemClock
    from connector.delivery.report import Counts, Failure, Report
    from connector.delivery.seal import Seal
    from connector.errors import (
        CallError,
        ConfigError,
        ConnectorError,
        DefinitionError,
        Problem,
        SendError,
        SourceError,
        UnauthorizedError,
        UnreachableError,
    )
    from connector.library import (
        Preview,
        PreviewedRequest,
        call,
        check,
        export,
        http_transport,
        lint,
        load_connection,
        make_connection,
        open_audiences,
        preview,
        send,
    )
    from connector.model import Request, Response
    from connector.sandbox.local import Sandbox

__version__ = "0.1.0"

__all__ = [
    "CallError",
    "Check",
    "Clock",
    "ConfigError",
    "Connection",
    "ConnectorError",
    "Counts",
    "DefectError",
    "DefinitionError",
    "Failure",
    "Preview",
    "PreviewedRequest",
    "Problem",
    "Report",
    "Request",
    "Response",
    "Sandbox",
    "Seal",
    "SendError",
    "SourceError",
    "SystemClock",
    "UnauthorizedError",
    "UnreachableError",
    "call",
    "check",
    "export",
    "http_transport",
    "lint",
    "load_connection",
    "make_connection",
    "open_audiences",
    "preview",
    "send",
]

_MODULES = {
    "connector.audiences.check": ("Check",),
    "connector.connection.model": ("Connection",),
    "connector.delivery.clock": ("Clock", "SystemClock"),
    "connector.delivery.report": ("Counts", "DefectError", "Failure", "Report"),
    "connector.delivery.seal": ("Seal",),
    "connector.errors": (
        "CallError",
        "ConfigError",
        "ConnectorError",
        "DefinitionError",
        "Problem",
        "SendError",
        "SourceError",
        "UnauthorizedError",
        "UnreachableError",
    ),
    "connector.library": (
        "Preview",
        "PreviewedRequest",
        "call",
        "check",
        "export",
        "http_transport",
        "lint",
        "load_connection",
        "make_connection",
        "open_audiences",
        "preview",
        "send",
    ),
    "connector.model": ("Request", "Response"),
    "connector.sandbox.local": ("Sandbox",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Load a name of `__all__` (PEP 562)."""
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module 'connector' has no attribute '{name}'")

    value = getattr(import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
