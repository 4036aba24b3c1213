"""An instrumented program: an agent that asks a model and a tool. Where its spans go, the environment says."""

import sys

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Status, StatusCode

AGENT = {"gen_ai.agent.name": "support"}
provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)
tracer = trace.get_tracer("shop")


def answer(question: str, session: str) -> str:
    """Answer a question; a real program would ask its model here."""
    about = {**AGENT, "gen_ai.operation.name": "invoke_agent", "gen_ai.conversation.id": session}
    with tracer.start_as_current_span("invoke_agent support", attributes=about) as top:
        top.set_attribute("input.value", question)
        chat = {
            **AGENT,
            "gen_ai.operation.name": "chat",
            "gen_ai.request.model": "m-1",
            "gen_ai.usage.input_tokens": 12,
        }
        with tracer.start_as_current_span("chat m-1", attributes=chat):
            said = "refund" if "money" in question else "other"
        if "urgent" in question:
            top.set_status(Status(StatusCode.ERROR, "nobody was there to ask"))
        top.set_attribute("output.value", said)
        return f"{said} ({top.get_span_context().trace_id:032x})"


def main() -> int:
    """Answer three questions, and send all spans before the end."""
    for number, question in enumerate(("I want my money back", "Where are you?", "urgent: call me")):
        print(answer(question, session=f"s-{number}"))
    provider.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
