// The unmodified OpenAI client for Node, asked for everything an app asks for; prints what came back as one JSON object.
import OpenAI from "openai";

const [url, token] = process.argv.slice(2);
const client = new OpenAI({ apiKey: token, baseURL: `${url}/v1`, maxRetries: 0, timeout: 20_000 });
const model = "support";
const user = (content) => [{ role: "user", content }];
const tools = [{ type: "function", function: {
  name: "weather", parameters: { type: "object", properties: { city: { type: "string" } } } } }];

async function failing(work) {
  try {
    await work();
    return { name: "nothing was raised" };
  } catch (error) {
    return { name: error.constructor.name, status: error.status ?? null, code: error.code ?? null, type: error.type ?? null };
  }
}

async function streamed(body) {
  let text = "", finish = null, usage = null, chunks = 0;
  const calls = {};
  for await (const chunk of await client.chat.completions.create({ model, stream: true, ...body })) {
    chunks += 1;
    usage = chunk.usage ?? usage;
    const choice = chunk.choices[0];
    text += choice?.delta?.content ?? "";
    finish = choice?.finish_reason ?? finish;
    for (const call of choice?.delta?.tool_calls ?? []) {
      const known = (calls[call.index] ??= { name: "", arguments: "" });
      known.name += call.function?.name ?? "";
      known.arguments += call.function?.arguments ?? "";
    }
  }
  return { text, finish, usage, chunks, calls: Object.values(calls) };
}

const asked = {
  async chat() {
    const { data, response } = await client.chat.completions.create({ model, messages: user("hello") }).withResponse();
    return { text: data.choices[0].message.content, total: data.usage.total_tokens, model: data.model,
      version: response.headers.get("x-surefoot-version"), trace: response.headers.get("x-surefoot-trace-id") };
  },
  stream: () => streamed({ messages: user("a b c"), stream_options: { include_usage: true } }),
  async tools() {
    const first = await client.chat.completions.create({ model, messages: user("weather?"), tools });
    const message = first.choices[0].message;
    const second = await client.chat.completions.create({ model, tools, messages: [
      ...user("weather?"), message, { role: "tool", tool_call_id: message.tool_calls[0].id, content: "rain" }] });
    return { call: message.tool_calls[0].function, finish: second.choices[0].finish_reason };
  },
  toolStream: () => streamed({ messages: user("weather?"), tools }),
  async json() {
    const answer = await client.chat.completions.create({ model, messages: user("sort"),
      response_format: { type: "json_object" } });
    return JSON.parse(answer.choices[0].message.content);
  },
  bad: () => failing(() => client.chat.completions.create({ model, messages: user("fault:400") })),
  key: () => failing(() => client.chat.completions.create({ model, messages: user("fault:401") })),
  limit: () => failing(() => client.chat.completions.create({ model, messages: user("fault:429") })),
  broken: () => failing(() => client.chat.completions.create({ model, messages: user("fault:500") })),
  cut: () => failing(() => streamed({ messages: user("fault:cut a b c") })),
  stranger: () => failing(() => new OpenAI({ apiKey: "sf_nobody", baseURL: `${url}/v1`, maxRetries: 0 })
    .chat.completions.create({ model, messages: user("hi") })),
  nobody: () => failing(() => client.chat.completions.create({ model: "helper", messages: user("hi") })),
  timeout: () => failing(() => client.chat.completions.create({ model, messages: user("fault:hang") }, { timeout: 1500 })),
  async abort() {
    const gone = new AbortController();
    return failing(async () => {
      const stream = await client.chat.completions.create(
        { model, messages: user("fault:slow " + "word ".repeat(400)), stream: true }, { signal: gone.signal });
      for await (const chunk of stream) gone.abort();
    }).then((raised) => ({ aborted: gone.signal.aborted, ...raised }));
  },
  async responses() {
    const whole = await client.responses.create({ model, input: "hello" });
    const kinds = [];
    for await (const event of await client.responses.create({ model, input: "hello", stream: true })) kinds.push(event.type);
    return { text: whole.output_text, kinds };
  },
  async embeddings() {
    return (await client.embeddings.create({ model, input: "hello", encoding_format: "float" })).data[0].embedding;
  },
  async models() {
    return (await client.models.list()).data.map((one) => one.id);
  },
  async fifty() {
    const said = await Promise.all([...Array(50).keys()].map((n) => n % 2
      ? streamed({ messages: user(`no ${n}`), user: `u${n}` }).then((one) => one.text)
      : client.chat.completions.create({ model, messages: user(`no ${n}`), user: `u${n}` })
        .then((one) => one.choices[0].message.content)));
    return said.map((text) => text.split("] ")[1].trim());
  },
};

const told = { node: process.version };
for (const [name, ask] of Object.entries(asked)) {
  try {
    told[name] = await ask();
  } catch (error) {
    told[name] = { surprise: String(error?.stack ?? error) };
  }
}
console.log(JSON.stringify(told));
process.exit(0);
