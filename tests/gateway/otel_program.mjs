// A program that the OpenTelemetry SDK for Node instruments: an agent that asks a model and a tool, exported over OTLP
// by the exporters as they are. `node otel_program.mjs json|protobuf none|gzip ADDRESS TOKEN` prints the ids it made.
import { SpanKind, SpanStatusCode, diag, DiagLogLevel } from "@opentelemetry/api";
import { OTLPTraceExporter as JsonExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { OTLPTraceExporter as ProtobufExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BatchSpanProcessor, NodeTracerProvider } from "@opentelemetry/sdk-trace-node";

const [form, compression, address, token] = process.argv.slice(2);
const problems = [];
const note = (...words) => problems.push(words.join(" ").slice(0, 500));
diag.setLogger({ error: note, warn: note, info() {}, debug() {}, verbose() {} }, DiagLogLevel.WARN);

const Exporter = form === "json" ? JsonExporter : ProtobufExporter;
const exporter = new Exporter({ url: `${address}/v1/traces`, headers: { "x-surefoot-token": token }, compression });
const provider = new NodeTracerProvider({
  resource: resourceFromAttributes({ "service.name": "shop" }), spanProcessors: [new BatchSpanProcessor(exporter)] });
provider.register();
const tracer = provider.getTracer("shop.agent", "1.2");
const agent = { "gen_ai.agent.name": "support" };
const part = (role, content) => ({ role, parts: [{ type: "text", content }] });

const ids = [];
for (let turn = 0; turn < 3; turn += 1) {
  const session = { "gen_ai.conversation.id": `${form}-${compression}`, "user.id": "u-3" };
  tracer.startActiveSpan("invoke_agent support", {
    attributes: { ...agent, ...session, "gen_ai.operation.name": "invoke_agent", "surefoot.slices.tenant": "acme" },
  }, (top) => {
    const chat = tracer.startSpan("chat m-1", { kind: SpanKind.CLIENT, attributes: {
      ...agent, "gen_ai.operation.name": "chat", "gen_ai.request.model": "m-1", "gen_ai.usage.input_tokens": 12,
      "gen_ai.usage.output_tokens": 5, "gen_ai.response.finish_reasons": ["stop"] } });
    chat.end();
    tracer.startSpan("execute_tool refund", { attributes: {
      ...agent, "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "refund" } }).end();
    top.setAttribute("gen_ai.input.messages", JSON.stringify([part("user", `May I return no ${turn}? ✓ ü 漢`)]));
    top.setAttribute("gen_ai.output.messages", JSON.stringify([part("assistant", "Yes.")]));
    if (turn === 2) top.setStatus({ code: SpanStatusCode.ERROR, message: "the tool broke" });
    top.end();
    ids.push({ trace: top.spanContext().traceId, agent: top.spanContext().spanId, chat: chat.spanContext().spanId });
  });
}
await provider.shutdown().catch((error) => note(String(error?.stack ?? error)));
console.log(JSON.stringify({ ids, problems }));
