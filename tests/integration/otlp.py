"""A collector that keeps what it is sent: OTLP over HTTP, decoded as the standard's own protobuf messages."""

import gzip
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from tests.servers import free_port, until


@dataclass(frozen=True, slots=True)
class Span:
    """A span as it was received; ids in hex, "" where there is none."""

    service: str
    name: str
    trace: str
    id: str
    parent: str
    attributes: dict[str, Any]
    text: str


class Collector:
    """Use it as a context manager. `env` makes a process send its spans here."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.url = f"http://127.0.0.1:{free_port()}"
        spans = self.spans

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                assert self.path == "/v1/traces", self.path
                spans.extend(_read(ExportTraceServiceRequest.FromString(body)))
                answer = ExportTraceServiceResponse().SerializeToString()
                self.send_response(200)
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", int(self.url.rpartition(":")[2])), Handler)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, name="collector", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def env(self) -> dict[str, str]:
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": self.url, "OTEL_BSP_SCHEDULE_DELAY": "200"}

    def named(self, service: str, name: str, *, at_least: int = 1, seconds: float = 20.0) -> list[Span]:
        """The spans of a name, once so many have come. Raises TimeoutError."""

        def found() -> list[Span]:
            return [span for span in self.spans if (span.service, span.name) == (service, name)]

        came = sorted({(span.service, span.name) for span in self.spans})
        until(lambda: len(found()) >= at_least, seconds, f"{at_least} spans {name} of {service} came, not {came}")
        return found()


def _read(request: ExportTraceServiceRequest) -> list[Span]:
    return [
        Span(
            service=next(a.value.string_value for a in part.resource.attributes if a.key == "service.name"),
            name=span.name,
            trace=span.trace_id.hex(),
            id=span.span_id.hex(),
            parent=span.parent_span_id.hex(),
            attributes={a.key: a.value.string_value or a.value.int_value for a in span.attributes},
            text=str(span),
        )
        for part in request.resource_spans
        for scope in part.scope_spans
        for span in scope.spans
    ]
