// The real `openai` package of Node against the real server; `clients/run.py` starts both server and upstream.
import assert from "node:assert/strict";
import OpenAI from "openai";
import { run } from "./run.mjs";

const client = new OpenAI({ baseURL: process.env.BASE_URL, apiKey: process.env.KEY, maxRetries: 0 });
const ARGUMENTS = { city: "Paris", unit: "celsius" };
const tools = [{ type: "function", function: { name: "get_weather", parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] } } }];

await run("openai", (model) => {
  const ask = (content, more = {}) => client.chat.completions.create({ model, messages: [{ role: "user", content }], ...more });
  return {
    async chat() {
      const answer = await ask("hello");
      assert.equal(answer.choices[0].message.content, "One two three.");
      assert.equal(answer.usage.total_tokens, 13);
    },
    async quickstartStream() {
      let text = "";
      const stream = await client.chat.completions.create({
        model,
        messages: [{ role: "user", content: "Say this is a test" }],
        stream: true,
      });
      for await (const chunk of stream) {
        text += chunk.choices[0]?.delta?.content || "";
      }
      assert.equal(text, "One two three.");
    },
    async toolsBothWays() {
      const answer = await ask("weather", { tools });
      const message = answer.choices[0].message;
      assert.deepEqual(JSON.parse(message.tool_calls[0].function.arguments), ARGUMENTS);
      const again = await client.chat.completions.create({ model, tools, messages: [{ role: "user", content: "weather" }, message, { role: "tool", tool_call_id: message.tool_calls[0].id, content: "22 degrees" }] });
      assert.equal(again.choices[0].message.content, "One two three.");
    },
    async streamedParallelTools() {
      const runner = client.chat.completions.stream({ model, messages: [{ role: "user", content: "both" }], tools });
      const final = await runner.finalChatCompletion();
      assert.deepEqual(final.choices[0].message.tool_calls.map((c) => JSON.parse(c.function.arguments)), [ARGUMENTS, ARGUMENTS]);
    },
    async structuredOutput() {
      const schema = { type: "object", properties: { name: { type: "string" }, day: { type: "string" } }, required: ["name", "day"], additionalProperties: false };
      const answer = await client.chat.completions.parse({ model, messages: [{ role: "user", content: "event" }], response_format: { type: "json_schema", json_schema: { name: "event", strict: true, schema } } });
      assert.deepEqual(JSON.parse(answer.choices[0].message.content), { name: "Science fair", day: "Friday" });
    },
    async errorsAsTheirOwnClasses() {
      const stranger = new OpenAI({ baseURL: process.env.BASE_URL, apiKey: "sk-ar-v1-no", maxRetries: 0 });
      await assert.rejects(stranger.chat.completions.create({ model, messages: [] }), OpenAI.AuthenticationError);
      await assert.rejects(client.chat.completions.create({ model: "no/such", messages: [] }), OpenAI.NotFoundError);
      await assert.rejects(ask("fail 400"), OpenAI.BadRequestError);
    },
    async abortInMidStream() {
      const stream = await ask("wait", { stream: true });
      for await (const _ of stream) {
        stream.controller.abort();
        break;
      }
    },
  };
});
