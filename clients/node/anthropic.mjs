// The real `@anthropic-ai/sdk` package of Node against the real server; `clients/run.py` starts both server and upstream.
import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";
import { run } from "./run.mjs";

const baseURL = process.env.BASE_URL.replace(/\/v1$/, "");
const client = new Anthropic({ baseURL, apiKey: process.env.KEY, maxRetries: 0 });
const ARGUMENTS = { city: "Paris", unit: "celsius" };
const tools = [{ name: "get_weather", input_schema: { type: "object", properties: { city: { type: "string" } }, required: ["city"] } }];

await run("@anthropic-ai/sdk", (model) => {
  const body = (content, more = {}) => ({ model, max_tokens: 100, messages: [{ role: "user", content }], ...more });
  return {
    async message() {
      const answer = await client.messages.create(body("hello"));
      assert.equal(answer.content[0].text, "One two three.");
      assert.deepEqual([answer.model, answer.stop_reason, answer.usage.input_tokens, answer.usage.output_tokens], [model, "end_turn", 9, 4]);
    },
    async stream() {
      let text = "";
      const stream = client.messages.stream(body("hello")).on("text", (piece) => (text += piece));
      const final = await stream.finalMessage();
      assert.deepEqual([text, final.stop_reason, final.usage.output_tokens], ["One two three.", "end_turn", 4]);
    },
    async toolsBothWays() {
      const answer = await client.messages.create(body("weather", { tools }));
      const [call] = answer.content;
      assert.deepEqual(call.input, ARGUMENTS);
      const again = await client.messages.create({ model, max_tokens: 100, tools, messages: [{ role: "user", content: "weather" }, { role: "assistant", content: answer.content }, { role: "user", content: [{ type: "tool_result", tool_use_id: call.id, content: "22 degrees" }] }] });
      assert.equal(again.content[0].text, "One two three.");
    },
    async streamedParallelTools() {
      const final = await client.messages.stream(body("both", { tools })).finalMessage();
      assert.deepEqual(final.content.map((block) => block.input), [ARGUMENTS, ARGUMENTS]);
    },
    async errorsAsTheirOwnClasses() {
      const stranger = new Anthropic({ baseURL, apiKey: "sk-ar-v1-no", maxRetries: 0 });
      await assert.rejects(stranger.messages.create(body("hello")), Anthropic.AuthenticationError);
      await assert.rejects(client.messages.create({ ...body("hello"), model: "no/such" }), Anthropic.NotFoundError);
      await assert.rejects(client.messages.create(body("fail 400")), (e) => e instanceof Anthropic.BadRequestError && e.requestID.startsWith("req_"));
    },
    async abortInMidStream() {
      const stream = await client.messages.create(body("wait", { stream: true }));
      for await (const _ of stream) {
        stream.controller.abort();
        break;
      }
    },
    async countTokens() {
      const { input_tokens } = await client.messages.countTokens({ model, messages: [{ role: "user", content: "x".repeat(400) }] });
      assert.ok(input_tokens >= 100 && input_tokens <= 110, `${input_tokens}`);
    },
  };
});
