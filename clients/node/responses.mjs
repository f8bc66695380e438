// Responses in the real `openai` package of Node against the real server; `clients/run.py` starts both server and upstream.
import assert from "node:assert/strict";
import OpenAI from "openai";
import { run } from "./run.mjs";

const client = new OpenAI({ baseURL: process.env.BASE_URL, apiKey: process.env.KEY, maxRetries: 0 });
const ARGUMENTS = { city: "Paris", unit: "celsius" };
const tools = [{ type: "function", name: "get_weather", strict: false, parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] } }];

await run("openai", (model) => {
  const ask = (input, more = {}) => client.responses.create({ model, input, ...more });
  return {
    async response() {
      const answer = await ask("hello", { instructions: "Be kind." });
      assert.equal(answer.output_text, "One two three.");
      assert.equal(answer.usage.total_tokens, 13);
    },
    async stream() {
      let text = "";
      const stream = client.responses.stream({ model, input: "hello" });
      for await (const event of stream) {
        text += event.type === "response.output_text.delta" ? event.delta : "";
      }
      assert.equal(text, "One two three.");
      assert.equal((await stream.finalResponse()).output_text, text);
    },
    async toolsBothWays() {
      const answer = await ask("weather", { tools });
      const call = answer.output.at(-1);
      assert.deepEqual(JSON.parse(call.arguments), ARGUMENTS);
      const input = [{ role: "user", content: "weather" }, ...answer.output, { type: "function_call_output", call_id: call.call_id, output: "22 degrees" }];
      assert.equal((await ask(input, { tools })).output_text, "One two three.");
    },
    async streamedParallelTools() {
      const stream = client.responses.stream({ model, input: "both", tools });
      const { output } = await stream.finalResponse();
      assert.deepEqual(output.map((item) => JSON.parse(item.arguments)), [ARGUMENTS, ARGUMENTS]);
    },
    async structuredOutput() {
      const schema = { type: "object", properties: { name: { type: "string" }, day: { type: "string" } }, required: ["name", "day"], additionalProperties: false };
      const answer = await client.responses.parse({ model, input: "event", text: { format: { type: "json_schema", name: "event", strict: true, schema } } });
      assert.deepEqual(answer.output_parsed, { name: "Science fair", day: "Friday" });
    },
    async errorsAsTheirOwnClasses() {
      await assert.rejects(client.responses.retrieve("resp_1"), OpenAI.NotFoundError);
      await assert.rejects(ask("hello", { previous_response_id: "resp_1" }), OpenAI.BadRequestError);
      await assert.rejects(ask("fail 400"), OpenAI.BadRequestError);
    },
  };
});
