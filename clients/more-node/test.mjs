// Vercel's `ai` with its OpenAI-compatible provider against the real server; `clients/more.py` starts both server and upstream.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const provider = createOpenAICompatible({ name: "anyrouter", baseURL: process.env.BASE_URL, apiKey: process.env.KEY, includeUsage: true });
const version = JSON.parse(readFileSync(new URL("./node_modules/ai/package.json", import.meta.url))).version;
const TEXT = "One two three.";
const get_weather = tool({ description: "The weather", inputSchema: z.object({ city: z.string(), unit: z.string().optional() }), execute: async () => "22 degrees" });

const checks = (id) => {
  const model = provider(id);
  return {
    async chats() {
      const { text, usage, finishReason } = await generateText({ model, prompt: "hello" });
      assert.deepEqual([text, usage.totalTokens, finishReason], [TEXT, 13, "stop"]);
    },
    async streams() {
      const stream = streamText({ model, prompt: "hello" });
      let text = "";
      for await (const piece of stream.textStream) text += piece;
      assert.deepEqual([text, (await stream.usage).totalTokens], [TEXT, 13]);
    },
    async toolsInALoop() {
      const { text, steps } = await generateText({ model, prompt: "weather", tools: { get_weather }, stopWhen: stepCountIs(3) });
      assert.deepEqual([text, steps.length, steps[0].toolCalls[0].input], [TEXT, 2, { city: "Paris", unit: "celsius" }]);
    },
    async streamedToolsInParallel() {
      const stream = streamText({ model, prompt: "both", tools: { get_weather }, stopWhen: stepCountIs(1) });
      await stream.consumeStream();
      assert.equal((await stream.toolCalls).length, 2);
    },
    async errors() {
      await assert.rejects(generateText({ model: provider("no/such"), prompt: "hello", maxRetries: 0 }), (e) => e.statusCode === 404 && /no model/.test(e.message));
    },
    async aborts() {
      const abort = new AbortController();
      const stream = streamText({ model, prompt: "wait", abortSignal: abort.signal, onError() {} });
      for await (const part of stream.fullStream) {
        if (part.type === "text-delta") abort.abort();
        if (part.type === "abort") return;
      }
      assert.fail("it did not end in an abort");
    },
  };
};

let passed = 0, failed = 0;
console.log(`ai ${version}`);
for (const model of ["lab/open", "lab/anth"]) {
  for (const [name, check] of Object.entries(checks(model))) {
    try {
      await check();
      passed += 1;
      console.log(`  ok    ${model} ${name}`);
    } catch (e) {
      failed += 1;
      console.log(`  FAIL  ${model} ${name}: ${e}`);
    }
  }
}
console.log(`\n${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
