/**
 * `npm run failover -- --rounds N --seed S [--journal SIZE]`: a director is killed, hung, and cut off from its drive threads, so many times each,
 * while hosts use both paths (docs/testing.md). The seed repeats the load's choices, not the machine's timing.
 */
import { join } from "node:path";
import { parseArgs } from "node:util";
import { ensureBuilt, ensureInstalled, ROOT, requireNode, run } from "./setup.mjs";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "50" },
    seed: { type: "string", default: `${Math.floor(Math.random() * 2 ** 31)}` },
    journal: { type: "string", default: "64MiB" },
  },
});
const rounds = Number(values.rounds);
const seed = Number(values.seed);
if (!Number.isInteger(rounds) || rounds < 1 || !Number.isInteger(seed) || seed < 0) {
  process.stderr.write("usage: npm run failover -- [--rounds N] [--seed S] [--journal SIZE]\n");
  process.exit(2);
}
requireNode();
ensureInstalled();
ensureBuilt();
process.env.VARRAY_FAILOVER_ROUNDS = `${rounds}`;
process.env.VARRAY_FAILOVER_SEED = `${seed}`;
process.env.VARRAY_FAILOVER_JOURNAL = values.journal;
process.exitCode = run(join(ROOT, "node_modules", ".bin", "vitest"), ["run", "test/conformance/two-paths.test.ts"]);
