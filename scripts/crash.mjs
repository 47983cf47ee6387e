/**
 * `npm run crash -- --rounds N --seed S [--keep]`: kill -9 under load, so many rounds over the states that pools can be in
 * (docs/testing.md). The seed repeats the load's choices, not the machine's timing.
 */
import { join } from "node:path";
import { parseArgs } from "node:util";
import { ensureBuilt, ensureInstalled, ROOT, requireNode, run } from "./setup.mjs";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "200" },
    seed: { type: "string", default: `${Math.floor(Math.random() * 2 ** 31)}` },
    keep: { type: "boolean", default: false },
  },
});
const rounds = Number(values.rounds);
const seed = Number(values.seed);
if (!Number.isInteger(rounds) || rounds < 1 || !Number.isInteger(seed) || seed < 0) {
  process.stderr.write("usage: npm run crash -- [--rounds N] [--seed S] [--keep]\n");
  process.exit(2);
}
requireNode();
ensureInstalled();
ensureBuilt();
process.env.VARRAY_CRASH_STATES_ROUNDS = `${rounds}`;
process.env.VARRAY_CRASH_SEED = `${seed}`;
process.env.VARRAY_CRASH_KEEP = values.keep ? "1" : "0";
process.exitCode = run(join(ROOT, "node_modules", ".bin", "vitest"), ["run", "test/conformance/crash-states.test.ts"]);
