// Runs the checks of a package, for a model at a provider of each protocol.
import { readFileSync } from "node:fs";

/** `checks` returns the checks for a model, by name. */
export async function run(name, checks) {
  const { version } = JSON.parse(readFileSync(new URL(`./node_modules/${name}/package.json`, import.meta.url)));
  let passed = 0;
  let failed = 0;
  console.log(`${name} for Node ${version}`);
  for (const model of ["lab/open", "lab/anth", "lab/resp", "lab/goog"]) {
    for (const [check, does] of Object.entries(checks(model))) {
      try {
        await does();
        passed += 1;
        console.log(`  ok    ${model} ${check}`);
      } catch (e) {
        failed += 1;
        console.log(`  FAIL  ${model} ${check}: ${e}`);
      }
    }
  }
  console.log(`\n${passed} passed, ${failed} failed`);
  process.exit(failed ? 1 : 0);
}
