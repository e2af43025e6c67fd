"""From the resolved documents of a destination to its typed values.

The documents are checked against the meta-schemas before, so that every member has its form.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from connector._util import times
from connector.definitions.model import (
    Action,
    Api,
    AuthChoice,
    AuthConfig,
    BatchLimits,
    BodySignature,
    Check,
    Destination,
    Field,
    FromNow,
    FromParameter,
    Identifier,
    Limits,
    Rate,
    ResponseRule,
    SandboxConfig,
    SharedValue,
    Source,
    Split,
)

if TYPE_CHECKING:
    from connector.definitions.resolve import Document

Members = Mapping[str, Any]


def read_destination(
    name: str, document: Document, actions: Mapping[str, Document], templates: Path
) -> Destination:
    """Return a destination of its documents."""
    members = document.content["destination"]
    auth = read_auth(members["auth"])
    api = members["api"]

    destination_actions = {}
    for action_id, action_document in actions.items():
        destination_actions[action_id] = _read_action(action_id, action_document, members, auth)

    return Destination(
        id=name,
        document=document,
        schema=document.content,
        settings=_fields(document.content),
        actions=destination_actions,
        templates=templates,
        api=Api(api["name"], api["version"], _required_source(api)),
        docs=members.get("docs", ""),
        base_url_template=members["base_url"],
        auth=auth,
        headers=members.get("headers", {}),
        more_headers=members.get("more_headers", ""),
        limits=_batch_limits(members.get("limits", {})),
        rates=tuple(_rate(rate) for rate in members.get("rate", ())),
        responses=_responses(members),
        sandbox=_sandbox(members.get("sandbox", {})),
    )


def _read_action(name: str, document: Document, defaults: Members, auth: AuthChoice) -> Action:
    """Return an action; `defaults` are the members of the destination."""
    schema = document.content
    members = schema["action"]
    own_limits = _batch_limits(members["limits"]) if "limits" in members else None
    shared_limits = _batch_limits(defaults.get("limits", {}))
    own_responses = _responses(members)
    key_in_body = any(scheme.key_in == "body" for scheme in auth.schemes.values())

    return Action(
        id=name,
        document=document,
        schema=schema,
        parameters=_fields(schema),
        operation=members["operation"],
        method=members["method"],
        path=members["path"],
        query=members.get("query", {}),
        headers=_lower_case({**defaults.get("headers", {}), **members.get("headers", {})}),
        own_headers=members.get("headers", {}),
        audience=members.get("audience", ""),
        item=members.get("item", ""),
        envelope=members.get("envelope", ""),
        group=_shared_values(members.get("group", {})),
        request=_shared_values(members.get("request", {})),
        split=_split(members.get("split")),
        checks=tuple(_check(check) for check in members.get("checks", ())),
        responses=own_responses + _responses(defaults),
        own_responses=own_responses,
        limits=(own_limits or BatchLimits()).over(shared_limits),
        own_limits=own_limits,
        sandbox=_sandbox({**defaults.get("sandbox", {}), **members.get("sandbox", {})}),
        own_sandbox=_sandbox(members.get("sandbox", {})),
        accepts=members.get("accepts"),
        more_headers=defaults.get("more_headers", ""),
        key_in_body=key_in_body,
        source=_source(members),
    )


def _lower_case(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): text for name, text in headers.items()}


def _source(members: Members) -> Source | None:
    return _required_source(members) if "source" in members else None


def _required_source(members: Members) -> Source:
    source = members["source"]
    return Source(source["read"], source.get("note", ""), source.get("url", ""))


def _fields(schema: Members) -> dict[str, Field]:
    required = schema.get("required", ())
    fields = {}
    for name, field_schema in schema.get("properties", {}).items():
        fields[name] = Field(
            name=name,
            schema=field_schema,
            required=name in required,
            source=_source(field_schema),
            identifier=_identifier(name, field_schema.get("identifier")),
        )
    return fields


def _identifier(name: str, members: Members | None) -> Identifier | None:
    if members is None:
        return None
    prehashed = members.get("prehashed", False)
    flag = prehashed["flag"] if isinstance(prehashed, dict) else None

    steps: list[tuple[str, Any]] = []
    for step in members.get("normalize", ()):
        steps.append((step, "") if isinstance(step, str) else next(iter(step.items())))

    return Identifier(
        parameter=name,
        wire=members.get("wire", name),
        normalize=tuple(steps),
        hash=members["hash"],
        prehashed=False if flag else prehashed,
        flag=flag,
        source=_source(members),
        alone=members.get("alone", True),
    )


def read_limits(members: Members) -> Limits:
    """Return limits as they are written in a file. Raise ValueError for an invalid size or span."""
    return Limits(
        records=members.get("records"),
        groups=members.get("groups"),
        bytes=times.size(members["bytes"]) if "bytes" in members else None,
        age=times.span(members["age"]) if "age" in members else None,
    )


def _batch_limits(members: Members) -> BatchLimits:
    return BatchLimits(
        caps=read_limits(members.get("caps", {})),
        defaults=read_limits(members.get("defaults", {})),
        source=_source(members),
    )


def _rate(members: Members) -> Rate:
    return Rate(
        requests=members["requests"],
        per=times.span(members["per"]),
        scope=members["scope"],
        source=_source(members),
    )


def read_auth(members: Members) -> AuthChoice:
    """Return the authentication schemes of a destination's `auth`."""
    if "schemes" not in members:
        return AuthChoice("", {"": _auth_config(members, "")})
    schemes = {}
    for value, scheme in members["schemes"].items():
        schemes[value] = _auth_config(scheme, f"/schemes/{value}")
    return AuthChoice(members["setting"], schemes)


def _auth_config(members: Members, pointer: str) -> AuthConfig:
    return AuthConfig(
        scheme=members["scheme"],
        credentials=tuple(members.get("credentials", ())),
        optional=tuple(members.get("optional", ())),
        headers=members.get("headers", {}),
        body_signatures=_body_signatures(members.get("body_signature")),
        key_in=members.get("in", ""),
        key_name=members.get("name", ""),
        key_prefix=members.get("prefix", ""),
        grant=members.get("grant", ""),
        token_url=members.get("token_url", ""),
        scope=members.get("scope", ""),
        client_in=members.get("client", "body"),
        source=_source(members),
        pointer=pointer,
    )


def _body_signatures(written: Any) -> tuple[BodySignature, ...]:
    if written is None:
        return ()
    if not isinstance(written, list):
        return (_body_signature(written, "/body_signature"),)
    signatures = []
    for index, members in enumerate(written):
        signatures.append(_body_signature(members, f"/body_signature/{index}"))
    return tuple(signatures)


def _body_signature(members: Members, pointer: str) -> BodySignature:
    return BodySignature(
        header=members["header"],
        hash=members["hash"],
        encoding=members["encoding"],
        credential=members["credential"],
        prefix=members.get("prefix", ""),
        pointer=pointer,
    )


def _responses(members: Members) -> tuple[ResponseRule, ...]:
    return tuple(read_response_rule(rule) for rule in members.get("responses", ()))


def read_response_rule(members: Members) -> ResponseRule:
    """Return one response rule as it is written."""
    return ResponseRule(
        when=members["when"],
        then=members["then"],
        reason=members.get("reason", ""),
        code=members.get("code", ""),
        detail=members.get("detail", ""),
        at=members.get("at", ""),
        after=times.span(members["after"]) if "after" in members else None,
        each=members.get("each", ""),
        by=members.get("by", ""),
        error=members.get("error", ""),
        position=members.get("position", ""),
        later=members.get("later", ""),
        source=_source(members),
    )


def _check(members: Members) -> Check:
    return Check(
        code=members["code"],
        message=members["message"],
        require=members["require"],
        condition=members.get("if", ""),
        source=_source(members),
    )


def _shared_values(members: Members) -> dict[str, SharedValue]:
    return {name: _shared_value(value) for name, value in members.items()}


def _shared_value(value: Any) -> SharedValue:
    if not isinstance(value, dict):
        return value  # type: ignore[no-any-return]
    if "default" not in value:
        return FromParameter(value["param"])
    default = value["default"]
    if isinstance(default, dict):
        default = FromNow(default["now"])
    return FromParameter(value["param"], default, has_default=True)


def _split(members: Members | None) -> Split | None:
    if members is None:
        return None
    parts = {}
    for name, wires in members.get("parts", {}).items():
        parts[name] = tuple(wires)
    return Split(
        name=members.get("as", ""),
        parts=parts,
        values=members.get("values"),
        identifiers=members.get("identifiers"),
    )


def _sandbox(members: Members) -> SandboxConfig:
    return SandboxConfig(
        reads=members.get("reads", ""),
        success=members.get("success", ""),
        refusal=members.get("refusal", ""),
        headers=_lower_case(members.get("headers", {})),
        refusal_status=members.get("refusal_status"),
        rate_headers=members.get("rate_headers", {}),
        source=_source(members),
    )
