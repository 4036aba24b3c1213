"""An instrumented program that goes on while its receiver is busy, away or gone.

`python otel_batches.py ADDRESS TOKEN` makes twelve batches of ten traces, in every fifth of which a tool broke,
prints a line after each batch that was sent, and at the end the ids of all.
"""

from __future__ import annotations

import json
import sys

from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Status, StatusCode

AGENT = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "support"}
TOOL = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "refund", "gen_ai.agent.name": "support"}


def main() -> None:
    address, token = sys.argv[1:]
    exporter = OTLPSpanExporter(
        f"{address}/v1/traces", headers={"x-surefoot-token": token}, timeout=40, compression=Compression.Gzip
    )
    provider = TracerProvider(resource=Resource.create({"service.name": "shop"}))
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=60_000))
    tracer, ids = provider.get_tracer("shop"), []
    for batch in range(12):
        for number in range(10):
            with tracer.start_as_current_span("invoke_agent", attributes=AGENT) as top:
                top.set_attribute("input.value", f"{batch}/{number}")
                with tracer.start_as_current_span("execute_tool refund", attributes=TOOL):
                    pass
                if not number % 5:
                    top.set_status(Status(StatusCode.ERROR, "the tool broke"))
            ids.append(f"{top.get_span_context().trace_id:032x}")
        provider.force_flush(60_000)
        print(f"batch {batch}", flush=True)
    provider.shutdown()
    print(json.dumps(ids), flush=True)


if __name__ == "__main__":
    main()
