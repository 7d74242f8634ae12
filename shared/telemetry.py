"""Traces (OpenTelemetry): one trace follows a request through outbox, bus and handler into the next service.

On when the standard variables name an exporter (OTEL_EXPORTER_OTLP_ENDPOINT); else nothing is recorded and the context that a
caller brought is only passed on. Spans hold names, codes and counts: no id of a person, no text, no query. Decision 0014.
"""

import asyncio
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from contextvars import ContextVar
from functools import cache
from importlib.metadata import version
from os import environ
from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanContext, SpanKind, StatusCode, TraceFlags

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor

MAX_LINKS = 32
"""Links of one span: of a longer batch the first ones are named."""

FLUSH_SECONDS = 3.0
"""A stop waits so long for the collector to take the last spans."""

Attribute = str | int | bool
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_NOTHING: AbstractContextManager[None] = nullcontext()


class _Later:
    """The span of a job, begun only when something happens in it: a look at the clock every second is no trace."""

    def __init__(self, tracer: trace.Tracer, name: str) -> None:
        self._tracer, self._name, self._started = tracer, name, time.time_ns()
        self.span: Span | None = None

    def begun(self) -> Span:
        if self.span is None:
            self.span = self._tracer.start_span(self._name, Context(), start_time=self._started)
        return self.span


_later: ContextVar[_Later | None] = ContextVar("later", default=None)


class Spans:
    """The spans of one service. Without a processor each call costs one comparison."""

    def __init__(self, service: str, processor: "SpanProcessor | None" = None) -> None:
        self._tracer: trace.Tracer | None = None
        if processor is not None:
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider

            named = {
                "service.namespace": "daohu",
                "service.name": f"daohu-{service}",
                "service.version": version("daohu"),
            }
            # The sampler is the standard's: OTEL_TRACES_SAMPLER. What is left at the end is flushed by `flush`, bounded.
            provider = TracerProvider(resource=Resource.create(named), shutdown_on_exit=False)
            provider.add_span_processor(processor)
            self._tracer = provider.get_tracer("daohu")

    @property
    def on(self) -> bool:
        return self._tracer is not None

    def span(
        self,
        name: str,
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        parent: str | None = None,
        links: Sequence[str] = (),
        attributes: Mapping[str, Attribute] | None = None,
    ) -> AbstractContextManager[Span | None]:
        """A span around a block: a child of `parent` (a traceparent), else of the span at work, else a new trace.

        `links` are traceparents of others it works for. An error is named by its type: its text may quote a person's data.
        """
        if self._tracer is None:
            return _NOTHING
        return self._around(name, kind, parent, links, attributes)

    @contextmanager
    def _around(
        self,
        name: str,
        kind: SpanKind,
        parent: str | None,
        links: Sequence[str],
        attributes: Mapping[str, Attribute] | None,
    ) -> Iterator[Span]:
        assert self._tracer is not None
        span = self._tracer.start_span(name, _context(parent), kind, attributes, _links(links))
        with trace.use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
            try:
                yield span
            except BaseException as error:
                failed(span, type(error).__name__)
                raise

    def together(
        self,
        name: str,
        parents: Sequence[str],
        *,
        kind: SpanKind,
        attributes: Mapping[str, Attribute] | None = None,
    ) -> AbstractContextManager[object]:
        """One piece of work for several traces at once: once it is done, a span over its time in each of them.

        For a single parent it is a span like any other, and what is done inside is inside of it. "" is a parent without trace.
        """
        if self._tracer is None:
            return _NOTHING
        if len(parents) == 1:
            return self._around(name, kind, parents[0], (), attributes)
        return self._in_each(name, parents, kind, attributes)

    @contextmanager
    def _in_each(
        self, name: str, parents: Sequence[str], kind: SpanKind, attributes: Mapping[str, Attribute] | None
    ) -> Iterator[None]:
        assert self._tracer is not None
        started = time.time_ns()
        yield
        for parent in filter(None, parents):
            self._tracer.start_span(name, _context(parent), kind, attributes, start_time=started).end()

    @contextmanager
    def job(self, name: str) -> Iterator[None]:
        """A trace of its own for a job, if anything in it records a fact or calls out."""
        if self._tracer is None:
            yield
            return
        later = _Later(self._tracer, name)
        token = _later.set(later)
        try:
            yield
        except BaseException as error:
            if later.span is not None:
                failed(later.span, type(error).__name__)
            raise
        finally:
            _later.reset(token)
            if later.span is not None:
                later.span.end()


def current() -> str | None:
    """The traceparent of the span at work; None when there is none."""
    span = _here()
    return None if span is None else _text(span.get_span_context())


def at_work(given: str | None) -> str | None:
    """The traceparent to pass on: of the span at work, else the caller's `given`, unless that is none. It is stored and sent, so
    nothing else may stand in its place.
    """
    return current() or (given if given is not None and _read(given) is not None else None)


def ids() -> tuple[str, str] | None:
    """Trace and span id of the span at work, for logs. It begins no trace."""
    at = trace.get_current_span().get_span_context()
    return (f"{at.trace_id:032x}", f"{at.span_id:016x}") if at.is_valid else None


def failed(span: Span, error: str) -> None:
    """Marks a span as failed, by the kind of the error."""
    span.set_status(StatusCode.ERROR)
    span.set_attribute("error.type", error)


def _here() -> Span | None:
    span = trace.get_current_span()
    if span.get_span_context().is_valid:
        return span
    later = _later.get()
    return later.begun() if later is not None else None


def _text(at: SpanContext) -> str:
    return f"00-{at.trace_id:032x}-{at.span_id:016x}-{int(at.trace_flags):02x}"


def _read(traceparent: str) -> SpanContext | None:
    found = _TRACEPARENT.fullmatch(traceparent)
    if found is None:
        return None
    at = SpanContext(int(found[1], 16), int(found[2], 16), is_remote=True, trace_flags=TraceFlags(int(found[3], 16)))
    return at if at.is_valid else None


def _context(parent: str | None) -> Context:
    if parent is not None and (at := _read(parent)) is not None:
        return trace.set_span_in_context(NonRecordingSpan(at), Context())
    span = _here() if parent is None else None
    return Context() if span is None else trace.set_span_in_context(span, Context())


def _links(traceparents: Sequence[str]) -> list[Link]:
    found = (_read(traceparent) for traceparent in dict.fromkeys(traceparents))
    return [Link(at) for at in found if at is not None][:MAX_LINKS]


def wanted() -> bool:
    """Whether the standard variables ask for traces to be sent."""
    disabled = environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or environ.get("OTEL_TRACES_EXPORTER") == "none"
    named = environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    return bool(named) and not disabled


@cache
def spans(service: str) -> Spans:
    """The spans of a service of this process, as the environment asks for them."""
    return Spans(service, _exporting() if wanted() else None)


@cache
def _exporting() -> "SpanProcessor":
    """One queue and one connection to the collector, whatever runs in this process. A full queue drops spans, never a request."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    return BatchSpanProcessor(OTLPSpanExporter())


async def flush() -> None:
    """Sends what waits in the queue. Bounded: a collector that is away does not hold up a stop."""
    if not wanted():
        return
    loop, done = asyncio.get_running_loop(), asyncio.Event()

    def send() -> None:
        _exporting().force_flush()
        with suppress(RuntimeError):  # nobody waits any more: the loop is closed
            loop.call_soon_threadsafe(done.set)

    # Not the loop's own pool of threads: its end would be waited for when the loop closes.
    threading.Thread(target=send, name="flush-spans", daemon=True).start()
    with suppress(TimeoutError):
        await asyncio.wait_for(done.wait(), FLUSH_SECONDS)
