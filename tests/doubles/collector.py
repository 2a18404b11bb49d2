"""A collector of traces outside the company."""

from __future__ import annotations

import gzip
from typing import Any

from fastapi import FastAPI, Request, Response
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Collector:
    """An OTLP endpoint that remembers the spans."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.app = FastAPI()

        @self.app.post("/v1/traces")
        async def take(request: Request) -> Response:  # pyright: ignore[reportUnusedFunction] - a route
            body = await request.body()
            if request.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            found = ExportTraceServiceRequest.FromString(body)
            self.spans += [span for one in found.resource_spans for scope in one.scope_spans for span in scope.spans]
            return Response(b"", media_type="application/x-protobuf")
