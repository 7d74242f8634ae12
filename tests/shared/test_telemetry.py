"""One trace through everything; spans without personal data; nothing recorded where nobody asked for it."""

import io
import json
import logging

import pytest
import structlog
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from shared import observability, telemetry
from shared.telemetry import Spans

GIVEN = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE, PARENT = int("0af7651916cd43dd8448eb211c80319c", 16), int("b7ad6b7169203331", 16)


@pytest.fixture
def exporter():
    return InMemorySpanExporter()


@pytest.fixture
def spans(exporter):
    return Spans("funds", SimpleSpanProcessor(exporter))


@pytest.fixture
def variables(monkeypatch):
    for name in ("OTEL_SDK_DISABLED", "OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_a_span_goes_on_with_the_trace_it_was_given(spans, exporter):
    with spans.span("process", kind=SpanKind.CONSUMER, parent=GIVEN):
        carried = telemetry.current()
    (span,) = exporter.get_finished_spans()
    assert (span.context.trace_id, span.parent.span_id, span.kind) == (TRACE, PARENT, SpanKind.CONSUMER)
    assert carried == f"00-{TRACE:032x}-{span.context.span_id:016x}-01"


@pytest.mark.parametrize(
    "given", ["", "nonsense", "00-" + "0" * 32 + "-" + "0" * 16 + "-01", GIVEN.upper(), GIVEN + "\n"]
)
def test_what_is_no_traceparent_begins_a_trace(spans, exporter, given):
    with spans.span("GET", parent=given):
        pass
    (span,) = exporter.get_finished_spans()
    assert span.parent is None
    assert span.context.trace_id != TRACE


def test_a_trace_that_its_caller_does_not_record_is_passed_on_unrecorded(spans, exporter):
    with spans.span("GET", parent=GIVEN[:-1] + "0"):
        carried = telemetry.current()
    assert exporter.get_finished_spans() == ()
    assert carried is not None
    assert carried.startswith(GIVEN[:36])
    assert carried.endswith("-00")


def test_an_error_is_named_by_its_type_only(spans, exporter):
    with pytest.raises(ValueError, match="张三"), spans.span("process"):
        raise ValueError("张三 99092619500101123X")
    (span,) = exporter.get_finished_spans()
    assert span.status.status_code is StatusCode.ERROR
    assert (span.status.description, span.events, dict(span.attributes)) == (None, (), {"error.type": "ValueError"})


def test_work_for_several_traces_is_a_span_in_each_of_them(spans, exporter):
    parents = [f"00-{n + 1:032x}-{PARENT:016x}-01" for n in range(3)]
    with spans.together("process", [*parents, ""], kind=SpanKind.CONSUMER):
        assert telemetry.current() is None
    assert [span.context.trace_id for span in exporter.get_finished_spans()] == [1, 2, 3]


def test_work_for_one_trace_is_inside_of_it(spans, exporter):
    with spans.together("process", [GIVEN], kind=SpanKind.CONSUMER), spans.span("store"):
        pass
    store, process = exporter.get_finished_spans()
    assert store.parent.span_id == process.context.span_id
    assert process.context.trace_id == TRACE


def test_links_are_limited(spans, exporter):
    parents = [f"00-{n + 1:032x}-{PARENT:016x}-01" for n in range(telemetry.MAX_LINKS + 5)]
    with spans.span("write ledger batch", links=[parents[0], *parents]):
        pass
    (batch,) = exporter.get_finished_spans()
    assert [link.context.trace_id for link in batch.links] == [n + 1 for n in range(telemetry.MAX_LINKS)]


def test_a_job_in_which_nothing_happens_leaves_no_trace(spans, exporter):
    with spans.job("job seal"):
        telemetry.ids()
    assert exporter.get_finished_spans() == ()


def test_what_a_job_does_is_one_trace(spans, exporter):
    with spans.job("job prompts"):
        carried = telemetry.current()
        with spans.span("submit SMS", kind=SpanKind.CLIENT):
            pass
    submit, job = exporter.get_finished_spans()
    assert (job.name, job.parent) == ("job prompts", None)
    assert submit.parent.span_id == job.context.span_id
    assert carried is not None
    assert f"{job.context.span_id:016x}" in carried
    assert telemetry.current() is None


def test_a_service_says_its_name_also_when_several_share_a_process(exporter):
    for service in ("funds", "notify"):
        with Spans(service, SimpleSpanProcessor(exporter)).span("x"):
            pass
    names = [span.resource.attributes["service.name"] for span in exporter.get_finished_spans()]
    assert names == ["daohu-funds", "daohu-notify"]


def test_without_an_exporter_nothing_begins():
    off = Spans("funds")
    with off.span("GET", parent=GIVEN) as span, off.job("job seal"):
        assert span is None
        assert telemetry.current() is None


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "OTEL_SDK_DISABLED": "true"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "OTEL_TRACES_EXPORTER": "none"}, False),
    ],
)
def test_the_standard_variables_decide(variables, given, wanted):
    for name, value in given.items():
        variables.setenv(name, value)
    assert telemetry.wanted() is wanted


def test_a_line_of_the_log_names_the_trace(spans):
    with spans.span("x"):
        at = telemetry.ids()
        entry = observability.with_trace(None, "info", {"event": "x"})
    assert at == (entry["trace_id"], entry["span_id"])
    assert observability.with_trace(None, "info", {"event": "x"}) == {"event": "x"}


def test_what_a_library_logs_is_a_line_of_json_without_numbers_of_people(monkeypatch):
    before = structlog.get_config()
    handlers = logging.getLogger().handlers
    out = io.StringIO()
    monkeypatch.setattr("sys.stderr", out)
    try:
        observability.configure_logs()
        logging.getLogger("uvicorn.error").warning(
            "no answer of %s\nfuture: <Task exception=ValueError('王某')>", "19900123456"
        )
        logging.getLogger("uvicorn.error").info("not said")
    finally:
        structlog.configure(**before)
        logging.getLogger().handlers = handlers
    (line,) = out.getvalue().splitlines()
    entry = json.loads(line)
    assert (entry["event"], entry["library"], entry["level"]) == ("library", "uvicorn.error", "warning")
    assert entry["said"] == "no answer of [number]"
