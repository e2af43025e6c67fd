"""The OpenAPI document of the service."""

from __future__ import annotations

from typing import Any

from connector import __version__
from connector.service.body import MAX_BODY_BYTES, MAX_EVENTS

_CODES = {
    "400": "the request, or all of its events, cannot be read",
    "401": "the token is missing or wrong",
    "403": "without a token only this machine is answered",
    "404": "there is no such connection, or nothing at this path",
    "408": "the body did not come in time",
    "409": "a post with this Idempotency-Key is being handled",
    "413": f"more than {MAX_BODY_BYTES:,} bytes, also unpacked, or {MAX_EVENTS:,} events",
    "415": "another Content-Encoding or charset",
    "422": "the Idempotency-Key was used for another body",
    "429": "as many records are pending as may be; see Retry-After",
    "500": "a defect of the service",
    "503": "not now; see Retry-After",
}
_RETRY_AFTER = {
    "description": "in how many seconds the request may come again",
    "required": True,
    "schema": {"type": "integer", "minimum": 1},
}
_COUNT = {"type": "integer", "minimum": 0}
_TEXT = {"type": "string"}
_OBJECT = {"type": "object"}


def _object(**members: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(members), "properties": members}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _responses(good: dict[str, Any], *codes: str) -> dict[str, Any]:
    responses = dict(good)
    for code in (*codes, "401", "403", "500", "503"):
        responses[code] = {"$ref": f"#/components/responses/{code}"}
    return dict(sorted(responses.items()))


def _problems() -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for code, description in _CODES.items():
        schema = {"$ref": "#/components/schemas/Problem"}
        content = {"application/problem+json": {"schema": schema}}
        responses[code] = {"description": description, "content": content}
    for code in ("409", "429", "503"):
        responses[code]["headers"] = {"Retry-After": _RETRY_AFTER}
    return responses


_CONNECTION = {
    "name": "connection",
    "in": "query",
    "description": "a connection, by the name of its file without the ending; default: all",
    "schema": {"type": "array", "items": _TEXT},
    "explode": True,
}
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "a post that comes again with its key within 24 hours is answered as before",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
}
_EVENTS = {"type": "array", "items": _OBJECT, "minItems": 1, "maxItems": MAX_EVENTS}
_REJECTED = _object(position=_COUNT, code=_TEXT, reason=_TEXT)
# With several connections: which of them rejects the event.
_REJECTED["properties"]["connection"] = _TEXT
_TAKEN = _object(accepted=_COUNT, skipped=_COUNT, rejected={"type": "array", "items": _REJECTED})
_FLUSHED = _object(flushed={"type": "array", "items": _TEXT})
_STATUS = _object(at=_TEXT, connections=_OBJECT)
_ALIVE = _object(status=_TEXT)

DOCUMENT: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "Audience connector", "version": __version__},
    "security": [{"token": []}],
    "components": {
        "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        "schemas": {
            "Problem": _object(
                type=_TEXT, title=_TEXT, status={"type": "integer"}, code=_TEXT, detail=_TEXT
            )
        },
        "responses": _problems(),
    },
    "paths": {
        "/v1/events": {
            "post": {
                "operationId": "postEvents",
                "summary": "Take events; they are on disk once this is answered",
                "parameters": [_CONNECTION, _KEY],
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": {"schema": {"oneOf": [_OBJECT, _EVENTS]}},
                        "application/x-ndjson": {"schema": _TEXT},
                    },
                },
                "responses": _responses(
                    {"202": {"description": "taken", "content": _json(_TAKEN)}},
                    *("400", "404", "408", "409", "413", "415", "422", "429"),
                ),
            }
        },
        "/v1/flush": {
            "post": {
                "operationId": "flush",
                "summary": "Send what is taken so far without waiting for full requests",
                "parameters": [_CONNECTION],
                "responses": _responses(
                    {"200": {"description": "done", "content": _json(_FLUSHED)}}, "400", "404"
                ),
            }
        },
        "/v1/status": {
            "get": {
                "operationId": "status",
                "summary": "What is pending, dead and stopped, by connection and lane",
                "responses": _responses(
                    {"200": {"description": "the status", "content": _json(_STATUS)}}, "400"
                ),
            }
        },
        "/metrics": {
            "get": {
                "operationId": "metrics",
                "summary": "Metrics for Prometheus",
                "responses": _responses(
                    {"200": {"description": "metrics", "content": {"text/plain": {}}}}
                ),
            }
        },
        "/healthz": {
            "get": {
                "operationId": "healthz",
                "summary": "Whether the process lives",
                "security": [],
                "responses": {"200": {"description": "it does", "content": _json(_ALIVE)}},
            }
        },
        "/readyz": {
            "get": {
                "operationId": "readyz",
                "summary": "Whether posts are taken",
                "security": [],
                "responses": {
                    "200": {"description": "they are", "content": _json(_ALIVE)},
                    "503": {"$ref": "#/components/responses/503"},
                },
            }
        },
    },
}
