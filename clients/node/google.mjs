// The real `@google/genai` package of Node against the real server; `clients/run.py` starts both server and upstream.
import assert from "node:assert/strict";
import { ApiError, GoogleGenAI } from "@google/genai";
import { run } from "./run.mjs";

const baseUrl = process.env.BASE_URL.replace(/\/v1$/, "");
const client = new GoogleGenAI({ apiKey: process.env.KEY, httpOptions: { baseUrl } });
const ARGUMENTS = { city: "Paris", unit: "celsius" };
const tools = [{ functionDeclarations: [{ name: "get_weather", parametersJsonSchema: { type: "object", properties: { city: { type: "string" } }, required: ["city"] } }] }];

await run("@google/genai", (model) => {
  const ask = (contents, config = {}) => client.models.generateContent({ model, contents, config });
  return {
    async content() {
      const answer = await ask("hello", { systemInstruction: "Be kind." });
      assert.equal(answer.text, "One two three.");
      assert.equal(answer.usageMetadata.totalTokenCount, 13);
      assert.equal(answer.candidates[0].finishReason, "STOP");
    },
    async stream() {
      let text = "";
      for await (const chunk of await client.models.generateContentStream({ model, contents: "hello" })) {
        text += chunk.text ?? "";
      }
      assert.equal(text, "One two three.");
    },
    async chat() {
      const chat = client.chats.create({ model });
      for (const message of ["hello", "again"]) {
        assert.equal((await chat.sendMessage({ message })).text, "One two three.");
      }
      assert.equal(chat.getHistory().length, 4);
    },
    async toolsBothWays() {
      const answer = await ask("weather", { tools });
      const call = answer.functionCalls[0];
      assert.deepEqual(call.args, ARGUMENTS);
      const result = { functionResponse: { id: call.id, name: call.name, response: { output: "22 degrees" } } };
      const contents = [{ role: "user", parts: [{ text: "weather" }] }, answer.candidates[0].content, { role: "user", parts: [result] }];
      assert.equal((await ask(contents, { tools })).text, "One two three.");
    },
    async streamedParallelTools() {
      const calls = [];
      for await (const chunk of await client.models.generateContentStream({ model, contents: "both", config: { tools } })) {
        calls.push(...(chunk.functionCalls ?? []));
      }
      assert.deepEqual(calls.map((call) => call.args), [ARGUMENTS, ARGUMENTS]);
    },
    async structuredOutput() {
      const responseJsonSchema = { type: "object", properties: { name: { type: "string" }, day: { type: "string" } }, required: ["name", "day"] };
      const answer = await ask("event", { responseMimeType: "application/json", responseJsonSchema });
      assert.deepEqual(JSON.parse(answer.text), { name: "Science fair", day: "Friday" });
    },
    async errorsWithTheirStatus() {
      const stranger = new GoogleGenAI({ apiKey: "sk-ar-v1-no", httpOptions: { baseUrl } });
      const fails = (status) => (e) => e instanceof ApiError && e.status === status;
      await assert.rejects(stranger.models.generateContent({ model, contents: "x" }), fails(401));
      await assert.rejects(client.models.generateContent({ model: "no/such", contents: "x" }), fails(404));
      await assert.rejects(ask("fail 400"), fails(400));
    },
    async countTokens() {
      const { totalTokens } = await client.models.countTokens({ model, contents: "x".repeat(400) });
      assert.ok(totalTokens >= 95 && totalTokens <= 110, totalTokens);
    },
    async models() {
      const names = [];
      for await (const known of await client.models.list()) {
        names.push(known.name);
      }
      assert.ok(names.includes(`models/${model}`), names);
    },
  };
});
