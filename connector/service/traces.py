"""Traces, when the standard variables of OpenTelemetry ask for them.

A span says how many, how long and with which result: names of connections, destinations and
actions, numbers, and words of ours. No identifier, no address, no text of a request or of an
answer is in one, nor the text of an exception. Without the variables nothing is imported.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, Protocol

from connector.delivery.worker.channel import Sent
from connector.errors import ConfigError, Problem
from connector.model import Batch, Response
from connector.service.problems import ProblemError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

EXPORTER = "OTEL_TRACES_EXPORTER"
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_GROUP = "opentelemetry_traces_exporter"
_SERVICE = "audience-connector"
_LOGGER = "opentelemetry"
_PARENT = "traceparent"

# Seconds in which the last spans have to get out, and between two words that none do.
_CLOSING = 3.0
_QUIET = 60.0


class Committed(Protocol):
    """Posts that are committed as one."""

    @property
    def posts(self) -> Sequence[object]:
        """Return them."""
        ...

    @property
    def records(self) -> int:
        """How many records they have."""
        ...


class Post:
    """What is said of a post; here nothing is."""

    def taken(self, counts: Mapping[str, int]) -> None:
        """Say what became of its events; nothing of one that came again."""


class Traces:
    """Where there are no traces. Nothing is done."""

    def post(self, headers: Mapping[str, str]) -> AbstractContextManager[Post]:
        """Go round the handling of a post, whose headers may name the span of the caller."""
        return _NO_POST

    def commit(self, group: Sequence[Committed]) -> AbstractContextManager[None]:
        """Go round a commit of posts."""
        return _NO_COMMIT

    def sent(self, connection: str, destination: str) -> Sent | None:
        """Return what is called with each request to the vendor; None: nothing has to be."""
        return None

    def close(self) -> None:
        """Let out what was not exported yet."""


OFF = Traces()
_NO_POST = nullcontext(Post())
_NO_COMMIT = nullcontext()


def traces_of(variables: Mapping[str, str], failed: Callable[[], None]) -> Traces:
    """Return the traces that the environment asks for. Raise ConfigError (C052).

    `failed` is called, now and then, when spans cannot be exported.
    """
    names = _exporters(variables)
    if not names:
        return OFF
    try:
        from opentelemetry.sdk.trace import TracerProvider
    except ImportError:
        message = "traces are asked for, and opentelemetry-sdk is not installed"
        raise _error(message, "pip install 'audience-connector[otel]'") from None
    # Exporters say by logging that they fail, in plain text and with addresses.
    logger = logging.getLogger(_LOGGER)
    logger.propagate = False
    logger.addHandler(_Failures(failed))
    return _Exported(_provider(TracerProvider, names))


def _exporters(variables: Mapping[str, str]) -> list[str]:
    """Return the names of the exporters, as entry points have them."""
    if variables.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return []
    asked = variables.get(EXPORTER, "").strip()
    if not asked and any(variables.get(name, "").strip() for name in _ENDPOINTS):
        asked = "otlp"
    protocol = ""
    for name in _PROTOCOLS:
        protocol = protocol or variables.get(name, "").strip()

    names = []
    for text in asked.split(","):
        name = text.strip()
        if name == "otlp":
            name = "otlp_proto_grpc" if protocol == "grpc" else "otlp_proto_http"
        if name not in ("", "none"):
            names.append(name)
    return names


def _provider(make: type[TracerProvider], names: Sequence[str]) -> TracerProvider:
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    exporters = [_exporter(name) for name in names]
    resource = Resource.create()
    if str(resource.attributes.get(SERVICE_NAME, "")).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: _SERVICE}))
    provider = make(resource=resource, shutdown_on_exit=False)
    for exporter in exporters:
        provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


def _exporter(name: str) -> Any:
    installed: dict[str, EntryPoint] = {}
    for point in entry_points(group=_GROUP):
        installed[point.name] = point
    if name not in installed:
        message = "an exporter of traces is asked for that is not installed"
        hint = f"there are {', '.join(sorted(installed))}; pip install 'audience-connector[otel]'"
        raise _error(message, hint)
    try:
        return installed[name].load()()
    except Exception as error:  # noqa: BLE001 - it is somebody else's, and may quote its settings
        message = f"the exporter of traces cannot be begun: {type(error).__name__}"
        raise _error(message, "look at the variables OTEL_EXPORTER_…") from None


def _error(message: str, hint: str) -> ConfigError:
    return ConfigError([Problem("C052", EXPORTER, "", message, hint)])


class _Exported(Traces):
    """Spans of a provider of our own: the process around keeps its own."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer(_SERVICE)

    @contextmanager
    def post(self, headers: Mapping[str, str]) -> Iterator[Post]:
        """Make a span of it, which belongs to the caller's."""
        from opentelemetry.trace import SpanKind
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        # What else a caller may say of its span is text that could be anything.
        carrier = {_PARENT: headers.get(_PARENT, "")}
        parent = TraceContextTextMapPropagator().extract(carrier)
        span = self._tracer.start_span("connector.post", parent, SpanKind.SERVER)
        try:
            yield _PostSpan(span)
        except ProblemError as error:
            problem = error.problem
            span.set_attribute("connector.code", problem.code)
            _end(span, problem.status, is_bad=problem.status >= 500)
            raise
        except Exception:
            _end(span, 500, is_bad=True)
            raise
        except BaseException:
            span.end()  # it is given up
            raise
        _end(span, 202, is_bad=False)

    @contextmanager
    def commit(self, group: Sequence[Committed]) -> Iterator[None]:
        """Make a span of it."""
        posts = sum(len(one.posts) for one in group)
        records = sum(one.records for one in group)
        counts = {"connector.posts": posts, "connector.records": records}
        span = self._tracer.start_span("connector.commit", attributes=counts)
        try:
            yield
        except BaseException:
            _fail(span)
            raise
        finally:
            span.end()

    def sent(self, connection: str, destination: str) -> Sent:
        """Make a span of each."""
        from opentelemetry.trace import SpanKind

        named = {"connector.connection": connection, "connector.destination": destination}

        def sent(batch: Batch, response: Response | None, word: str, seconds: float) -> None:
            ended = time.time_ns()
            started = ended - round(seconds * 1e9)
            attributes: dict[str, str | int] = {
                **named,
                "connector.action": batch.target.action,
                "connector.records": len(batch.records),
                "connector.outcome": word,
            }
            if response is not None:
                attributes["http.response.status_code"] = response.status
            kind = SpanKind.CLIENT
            span = self._tracer.start_span(
                "connector.deliver", None, kind, attributes, None, started
            )
            if word != "delivered":
                _fail(span)
            span.end(ended)

        return sent

    def close(self) -> None:
        """Let out what was not exported yet, for a short while."""
        closing = threading.Thread(target=self._provider.shutdown, name="traces", daemon=True)
        closing.start()
        closing.join(_CLOSING)


class _PostSpan(Post):
    def __init__(self, span: Span) -> None:
        self._span = span

    def taken(self, counts: Mapping[str, int]) -> None:
        """Say how many events there were, and what became of them."""
        self._span.set_attribute("connector.repeated", not counts)
        if counts:
            self._span.set_attribute("connector.events", sum(counts.values()))
        for word, count in counts.items():
            self._span.set_attribute(f"connector.{word}", count)


def _end(span: Span, status: int, *, is_bad: bool) -> None:
    span.set_attribute("http.response.status_code", status)
    if is_bad:
        _fail(span)
    span.end()


def _fail(span: Span) -> None:
    from opentelemetry.trace import Status, StatusCode

    span.set_status(Status(StatusCode.ERROR))


class _Failures(logging.Handler):
    """Hears that spans are lost."""

    def __init__(self, failed: Callable[[], None]) -> None:
        super().__init__(logging.WARNING)
        self._failed = failed
        self._silent_until = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        """Say so, without the words."""
        now = time.monotonic()
        if now >= self._silent_until:
            self._silent_until = now + _QUIET
            self._failed()
