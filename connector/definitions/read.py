"""From the resolved documents of a destination to its typed values.

The documents are checked against the meta-schemas before, so that every member has its form.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from connector._util import times
from connector.definitions.derive import (
    credentials_of,
    optional_credentials_of,
    settings_schema,
    values_schema,
)
from connector.definitions.login import read_login
from connector.definitions.model import (
    Action,
    Api,
    AuthChoice,
    AuthConfig,
    BatchLimits,
    BodySignature,
    Check,
    Codes,
    Concurrency,
    Destination,
    Field,
    FromNow,
    FromParameter,
    Identifier,
    JsonSchema,
    Later,
    Limits,
    Rate,
    ResponseRule,
    RetrySchedule,
    SandboxConfig,
    SharedValue,
    Source,
    Split,
)
from connector.definitions.statuses import CODES, exceptions_of, then_of
from connector.errors import DefinitionError, Problem

if TYPE_CHECKING:
    from connector.definitions.resolve import Document

Members = Mapping[str, Any]

#: What a source may refer to without a declaration: how a fact is known that stands on no page.
PLAIN_SOURCES = ("vendor", "peer", "assumed")

_NOT_CONFIRMED = "the response does not confirm that everything was delivered"

# An envelope that names `groups` renders what is shared once for each group.
_GROUPS = re.compile(r"\bgroups\b")
_COMMENT = re.compile(r"\{#.*?#\}", re.DOTALL)


class UnknownSourceError(LookupError):
    """A source refers to something that `sources` does not have."""


def read_destination(
    name: str,
    document: Document,
    actions: Mapping[str, Document],
    templates: Path,
    later: Later,
) -> Destination:
    """Return a destination of its documents; `later` reads the rest of them.

    Raise UnknownSourceError, BrokenContractError, and DefinitionError for its guide.
    """
    reader = Reader(declared_sources(document))
    schema = settings_schema(document.content)
    members = schema["destination"]
    api = members["api"]
    auth = reader.auth(members["auth"])

    destination_actions = {}
    for action_id, action_document in actions.items():
        destination_actions[action_id] = reader.action(
            action_id, action_document, members, auth, templates
        )

    return Destination(
        id=name,
        document=document,
        schema=schema,
        settings=reader.fields(schema),
        actions=destination_actions,
        templates=templates,
        api=Api(api["name"], api["version"], reader.required_source(api)),
        docs=_docs(members),
        guide=_guide(document),
        base_url_template=members["base_url"],
        auth=auth,
        headers=members.get("headers", {}),
        more_headers=members.get("more_headers", ""),
        limits=reader.batch_limits(members.get("limits", {})),
        rates=tuple(reader.rate(rate) for rate in members.get("rate", ())),
        concurrency=reader.concurrency(members),
        retry=reader.retry(members["retry"]) if "retry" in members else None,
        responses=reader.responses({}, members),
        sandbox=reader.sandbox(members.get("sandbox", {}), templates),
        later=later,
    )


def _docs(members: Members) -> str:
    """Return the vendor's documentation: the page that is named, else the first of the sources."""
    if "docs" in members:
        return str(members["docs"])
    for page in members.get("sources", {}).values():
        return str(page if isinstance(page, str) else page["url"])
    return ""


def declared_sources(document: Document) -> dict[str, Members]:
    """Return the sources that a destination's files may refer to, by name."""
    sources: dict[str, Members] = {name: {"read": name} for name in PLAIN_SOURCES}
    for name, page in document.content["destination"].get("sources", {}).items():
        sources[name] = {"url": page, "read": "vendor"} if isinstance(page, str) else page
    return sources


def read_limits(members: Members) -> Limits:
    """Return limits as they are written in a file. Raise ValueError for an invalid size or span."""
    return Limits(
        records=members.get("records"),
        groups=members.get("groups"),
        bytes=times.size(members["bytes"]) if "bytes" in members else None,
        age=times.span(members["age"]) if "age" in members else None,
        concurrency=members.get("concurrency"),
    )


class Reader:
    """Reads what files say; `sources` are those that they may refer to."""

    def __init__(self, sources: Mapping[str, Members]) -> None:
        self._sources = sources

    def action(
        self,
        name: str,
        document: Document,
        defaults: Members,
        auth: AuthChoice,
        templates: Path,
    ) -> Action:
        """Return an action; `defaults` are the members of the destination."""
        schema = values_schema(document.content)
        members = schema["action"]
        own_limits = self.batch_limits(members["limits"]) if "limits" in members else None
        shared_limits = self.batch_limits(defaults.get("limits", {}))
        key_in_body = any(scheme.key_in == "body" for scheme in auth.schemes.values())
        split = _split(members.get("split"), schema)
        group, request = _shared(members, split, templates)

        return Action(
            id=name,
            document=document,
            schema=schema,
            parameters=self.fields(schema, members["operation"]),
            operation=members["operation"],
            method=members["method"],
            path=members["path"],
            query=members.get("query", {}),
            headers=_lower_case({**defaults.get("headers", {}), **members.get("headers", {})}),
            own_headers=members.get("headers", {}),
            audience=members.get("audience", ""),
            item=members.get("item", ""),
            envelope=members.get("envelope", ""),
            group=group,
            request=request,
            split=split,
            prefer=members.get("prefer", ""),
            together={wire: tuple(names) for wire, names in members.get("together", {}).items()},
            checks=tuple(self._check(check) for check in members.get("checks", ())),
            responses=self.responses(members, defaults),
            own_responses=self.responses(members, {}),
            codes=self._codes(defaults.get("codes")),
            limits=(own_limits or BatchLimits()).over(shared_limits),
            own_limits=own_limits,
            concurrency=self.concurrency(defaults).requests,
            sandbox=self.sandbox(
                {**defaults.get("sandbox", {}), **members.get("sandbox", {})}, templates
            ),
            own_sandbox=self.sandbox(members.get("sandbox", {}), templates),
            accepts=read_contract(document),
            more_headers=defaults.get("more_headers", ""),
            key_in_body=key_in_body,
            source=self._source(members),
        )

    def fields(self, schema: Members, operation: str = "") -> dict[str, Field]:
        """Return the fields of a schema, those of an action for its operation."""
        required = schema.get("required", ())
        fields = {}
        for name, field_schema in schema["properties"].items():
            ignored = field_schema.get("only", operation) != operation
            fields[name] = Field(
                name=name,
                schema=field_schema,
                required=name in required and not ignored,
                source=self._source(field_schema),
                identifier=self._identifier(name, field_schema.get("identifier")),
                ignored=ignored,
            )
        return fields

    def batch_limits(self, members: Members) -> BatchLimits:
        """Return the ceilings and the defaults of `limits`."""
        return BatchLimits(
            caps=read_limits(members.get("caps", {})),
            defaults=read_limits(members.get("defaults", {})),
            source=self._source(members),
        )

    def rate(self, members: Members) -> Rate:
        """Return one rate limit."""
        return Rate(
            requests=members["requests"],
            per=times.span(members["per"]),
            source=self._source(members),
        )

    def concurrency(self, members: Members) -> Concurrency:
        """Return how many requests for one audience there may be side by side: one if not said."""
        written = members.get("concurrency")
        if written is None:
            return Concurrency()
        return Concurrency(written["requests"], self._source(written))

    def retry(self, members: Members) -> RetrySchedule:
        """Return when a request is sent again, and when no longer."""
        return RetrySchedule(
            waits=tuple(map(_wait, members.get("schedule", ()))),
            deadline=times.span(members["deadline"]) if "deadline" in members else None,
            source=self._source(members),
            unanswered=members.get("unanswered", "again"),
            refusals=members.get("refusals"),
        )

    def auth(self, members: Members) -> AuthChoice:
        """Return the authentication schemes of a destination's `auth`."""
        if "schemes" not in members:
            return AuthChoice("", {"": self._auth_config(members, "")})
        schemes = {}
        for value, scheme in members["schemes"].items():
            schemes[value] = self._auth_config(scheme, f"/schemes/{value}")
        return AuthChoice(members["setting"], schemes)

    def responses(self, own: Members, shared: Members) -> tuple[ResponseRule, ...]:
        """Return the rules of an action and, after them, of its destination.

        Where a definition says what success is, no other 2xx is one.
        """
        hints = {**shared.get("hints", {}), **own.get("hints", {})}
        detail = own.get("detail") or shared.get("detail", "")
        rules: list[ResponseRule] = []
        for members in (own, shared):
            for index, written in enumerate(members.get("responses", ())):
                rule = self.response_rule(written, f"/responses/{index}")
                status = rule.when.removeprefix("status == ")
                if not rule.reason and status in hints:
                    # The rule says what happens, and the hint why.
                    reason = hints.pop(status)
                    rule = replace(rule, reason=reason, detail=rule.detail or detail)
                rules.append(rule)

        success = own.get("success") or shared.get("success")
        if success:
            rules.append(self._success(success))

        if "2xx" not in hints and any(rule.then == "delivered" for rule in rules):
            hints["2xx"] = _NOT_CONFIRMED
        rules.extend(self._hints(hints, detail))
        return tuple(rules)

    def response_rule(self, members: Members, pointer: str = "") -> ResponseRule:
        """Return one response rule as it is written."""
        return ResponseRule(
            when=members["when"],
            then=members["then"],
            reason=members.get("reason", ""),
            code=members.get("code", ""),
            detail=members.get("detail", ""),
            at=members.get("at", ""),
            after=_after(members.get("after")),
            each=members.get("each", ""),
            by=members.get("by", ""),
            error=members.get("error", ""),
            position=members.get("position", ""),
            later=members.get("later", ""),
            scope=members.get("scope", "lane"),
            source=self._source(members),
            pointer=pointer,
        )

    def sandbox(self, members: Members, templates: Path) -> SandboxConfig:
        """Return how the sandbox answers: by templates that are named, or have the usual names."""
        return SandboxConfig(
            success=members.get("success") or _existing(templates, "sandbox_success.json.j2"),
            refusal=members.get("refusal") or _existing(templates, "sandbox_refusal.json.j2"),
            headers=_lower_case(members.get("headers", {})),
            refusal_status=members.get("refusal_status"),
            rate_headers=_rate_headers(members.get("rate_headers", {})),
            requires=_lower_case(members.get("requires", {})),
            members_in=tuple(members.get("members_in", ())),
            source=self._source(members),
        )

    def required_source(self, members: Members) -> Source:
        """Return where a fact comes from. Raise UnknownSourceError."""
        reference, _, note = members["source"].partition(":")
        if reference not in self._sources:
            raise UnknownSourceError(reference)
        page = self._sources[reference]
        return Source(page["read"], note.strip(), page.get("url", ""))

    def _source(self, members: Members) -> Source | None:
        return self.required_source(members) if "source" in members else None

    def _identifier(self, name: str, members: Members | None) -> Identifier | None:
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
            source=self._source(members),
            alone=members.get("alone", True),
        )

    def _auth_config(self, members: Members, pointer: str) -> AuthConfig:
        login = members.get("login")
        return AuthConfig(
            scheme=members["scheme"],
            credentials=tuple(credentials_of(members)),
            optional=tuple(optional_credentials_of(members)),
            headers=members.get("headers", {}),
            body_signatures=_body_signatures(members.get("body_signature")),
            key_in=members.get("in", ""),
            key_name=members.get("name", ""),
            key_prefix=members.get("prefix", ""),
            grant=members.get("grant", ""),
            token_url=members.get("token_url", ""),
            scope=members.get("scope", ""),
            login=read_login(login) if login else None,
            login_source=self._source(login) if login else None,
            source=self._source(members),
            pointer=pointer,
        )

    def _codes(self, members: Members | None) -> Codes:
        if members is None:
            return Codes()
        words = frozenset(members.get("words", ()))
        return Codes(words, members.get("pattern", ""), self._source(members))

    def _success(self, members: Members) -> ResponseRule:
        return ResponseRule(
            when=f"200 <= status < 300 and ({members['when']})",
            then="delivered",
            source=self._source(members),
            pointer="/success",
        )

    def _hints(self, hints: Members, detail: str) -> Iterator[ResponseRule]:
        """Yield the rules that give HTTP's own outcomes the definition's words."""
        source = self._source(hints)
        # A single status goes before its class.
        for status in sorted(hints.keys() - {"source"}):
            for when, then, code in _hinted(status):
                yield ResponseRule(
                    when=when,
                    then=then,
                    reason=hints[status],
                    code=code,
                    detail=detail,
                    source=source,
                    pointer=f"/hints/{status}",
                )

    def _check(self, members: Members) -> Check:
        return Check(
            code=members["code"],
            message=members["message"],
            require=members["require"],
            condition=members.get("if", ""),
            source=self._source(members),
        )


def _hinted(status: str) -> Iterator[tuple[str, str, str]]:
    """Yield condition, `then` and code for a hint: what happens is HTTP's own."""
    # What is a success has been said before.
    then = "retry" if status.startswith("2") else then_of(status)
    if not status.endswith("xx"):
        yield f"status == {status}", then, CODES.get(status, "")
        return

    for (other, code), statuses in exceptions_of(status).items():
        yield f"status in [{', '.join(statuses)}]", other, code
    first = int(status.replace("xx", "00"))
    yield f"{first} <= status < {first + 100}", then, ""


def _guide(document: Document) -> str:
    """Return the text of `guide.md`, "" when there is none. Raise DefinitionError (D101)."""
    path = document.folder.path / "guide.md"
    try:
        return path.read_text("utf-8")
    except OSError:
        return ""
    except UnicodeDecodeError:
        problem = Problem("D101", str(path), "", "is not UTF-8 text", "save it as UTF-8")
        raise DefinitionError([problem]) from None


def read_contract(action: Document) -> JsonSchema | None:
    """Return the contract that an action's `accepts` names, None when it names none.

    Raise BrokenContractError when it cannot be put together.
    """
    reference = action.content["action"].get("accepts")
    return None if reference is None else action.folder.contract(reference)


def _wait(text: str) -> float:
    """Return the seconds of a wait, which may be none."""
    return 0.0 if text == "0s" else times.span(text)


def _after(written: str | None) -> float | str | None:
    """Return a span in seconds, any other text as the expression that it is."""
    if written is None:
        return None
    try:
        return times.span(written)
    except ValueError:
        return written


def _existing(templates: Path, name: str) -> str:
    return name if (templates / name).is_file() else ""


def _lower_case(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): text for name, text in headers.items()}


def _rate_headers(written: Members) -> dict[str, tuple[str, ...]]:
    headers = {}
    for member, names in written.items():
        headers[member] = (names,) if isinstance(names, str) else tuple(names)
    return headers


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


def _shared(
    members: Members, split: Split | None, templates: Path
) -> tuple[dict[str, SharedValue], dict[str, SharedValue]]:
    """Return what the records of a group share, and what those of a request share."""
    shared = {}
    for name, value in members.get("share", {}).items():
        shared[name] = _shared_value(value, members["operation"])

    by_wire: dict[str, SharedValue] = {}
    if split and split.name:
        by_wire[split.name] = FromParameter(split.name)

    if _renders_groups(members.get("envelope", ""), templates):
        return shared, by_wire
    return {}, {**shared, **by_wire}


def _renders_groups(envelope: str, templates: Path) -> bool:
    if not envelope:
        return False
    try:
        template = (templates / envelope).read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return False  # lint and the pipeline say so
    return _GROUPS.search(_COMMENT.sub("", template)) is not None


def _shared_value(value: Any, operation: str) -> SharedValue:
    if not isinstance(value, dict):
        return value  # type: ignore[no-any-return]
    if "param" not in value:
        return value[operation]  # type: ignore[no-any-return]
    if "default" not in value:
        return FromParameter(value["param"])
    default = value["default"]
    if isinstance(default, dict):
        default = FromNow(default["now"])
    return FromParameter(value["param"], default, has_default=True)


def _split(members: Members | None, schema: Members) -> Split | None:
    if members is None:
        return None
    parts = {}
    if members.get("by") == "wire":
        for name, field in schema["properties"].items():
            if "identifier" in field:
                wire = field["identifier"].get("wire", name)
                parts[wire] = (wire,)
    return Split(
        name="wire" if parts else "",
        parts=parts,
        values=members.get("values"),
        identifiers=members.get("identifiers"),
    )
