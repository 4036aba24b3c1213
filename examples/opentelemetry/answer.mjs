// An instrumented program for Node: an agent that asks a model. Where its spans go, the environment says.
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { BatchSpanProcessor, NodeTracerProvider } from "@opentelemetry/sdk-trace-node";

const provider = new NodeTracerProvider({ spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter())] });
provider.register();
const tracer = provider.getTracer("shop");
const agent = { "gen_ai.agent.name": "support" };

function answer(question, session) {
  return tracer.startActiveSpan("invoke_agent support", { attributes: {
    ...agent, "gen_ai.operation.name": "invoke_agent", "gen_ai.conversation.id": session, "input.value": question,
  } }, (span) => {
    tracer.startSpan("chat m-1", { attributes: {
      ...agent, "gen_ai.operation.name": "chat", "gen_ai.request.model": "m-1", "gen_ai.usage.input_tokens": 12 } }).end();
    const said = question.includes("money") ? "refund" : "other"; // a real program would ask its model
    span.setAttribute("output.value", said);
    span.end();
    return `${said} (${span.spanContext().traceId})`;
  });
}

console.log(answer("I want my money back", "s-0"));
console.log(answer("Where are you?", "s-1"));
await provider.shutdown();
