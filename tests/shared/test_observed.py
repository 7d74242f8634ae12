"""Around a request: counted by route, traced when asked for, written down when it failed; ids and queries nowhere."""

import httpx
import pytest
from fastapi import FastAPI, Response
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from scraped import shown
from structlog.testing import CapturingLogger

from shared import telemetry
from shared.observed import Observed
from shared.telemetry import Spans

PERSON = "99092619500101123X"
GIVEN = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Desk:
    """A small app behind the middleware, with what it left behind."""

    def __init__(self, service: str, *, traced: bool = True, every: bool = False) -> None:
        self.exporter, self.lines = InMemorySpanExporter(), CapturingLogger()
        self.seen: list[str | None] = []
        app = FastAPI()

        @app.get("/people/{id}")
        async def person(id: str) -> dict[str, str]:
            self.seen.append(telemetry.current())
            return {}

        @app.get("/broken/{id}")
        async def broken(id: str) -> Response:
            return Response(status_code=503)

        @app.get("/funds/livez")
        async def livez() -> dict[str, str]:
            return {}

        spans = Spans(service, SimpleSpanProcessor(self.exporter) if traced else None)
        whole = Observed(app, service=service, spans=spans, log=self.lines, every=every)
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(whole), base_url="http://daohu")

    def left_behind(self) -> str:
        spans = "".join(span.to_json() for span in self.exporter.get_finished_spans())
        return spans + repr(self.lines.calls) + repr(shown())


async def test_requests_are_counted_and_timed_by_route():
    desk = Desk("observed-a", traced=False)
    for id in ("1", "2"):
        await desk.http.get(f"/people/{id}")
    now = shown("observed-a")
    assert now[("daohu_http_requests_total", "GET", "/people/{id}", "observed-a", "200")] == 2.0
    assert now[("daohu_http_request_seconds_count", "GET", "/people/{id}", "observed-a")] == 2.0


async def test_addresses_and_methods_nobody_knows_do_not_make_new_series():
    desk = Desk("observed-b", traced=False)
    for n in range(3):
        await desk.http.request(f"BREW{n}", f"/nowhere/{n}")
    counts = [key for key in shown("observed-b") if key[0] == "daohu_http_requests_total"]
    assert counts == [("daohu_http_requests_total", "other", "unrouted", "observed-b", "404")]


async def test_a_request_is_a_span_of_the_callers_trace_named_by_its_route():
    desk = Desk("observed-c")
    await desk.http.get("/people/1", headers={"traceparent": GIVEN})
    (span,) = desk.exporter.get_finished_spans()
    assert (span.name, span.kind) == ("GET /people/{id}", SpanKind.SERVER)
    assert f"{span.context.trace_id:032x}" in GIVEN
    assert dict(span.attributes) == {
        "http.request.method": "GET",
        "http.route": "/people/{id}",
        "http.response.status_code": 200,
    }
    assert desk.seen == [f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-01"]


async def test_nothing_of_the_address_or_the_query_is_left_behind():
    desk = Desk("observed-d", every=True)
    await desk.http.get(f"/people/{PERSON}", params={"id_no": PERSON}, headers={"x-person": PERSON})
    await desk.http.get(f"/nowhere/{PERSON}")
    assert PERSON not in desk.left_behind()
    assert len(desk.lines.calls) == 2


@pytest.mark.parametrize(("path", "lines"), [("/people/1", 0), ("/broken/1", 1), ("/funds/livez", 0)])
async def test_only_what_failed_is_written_down(path, lines):
    desk = Desk("observed-e", traced=False)
    await desk.http.get(path)
    assert len(desk.lines.calls) == lines


async def test_a_failed_request_is_a_failed_span_and_a_health_check_none():
    desk = Desk("observed-f")
    await desk.http.get("/broken/1")
    await desk.http.get("/funds/livez")
    (span,) = desk.exporter.get_finished_spans()
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes["error.type"] == "503"
