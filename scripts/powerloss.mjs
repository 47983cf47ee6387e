/**
 * `npm run powerloss -- --images N --seed S [--per-run M] [--keep]`: the power-loss test (docs/testing.md) with so many images of real
 * runs, M of each.
 * The seed repeats the choices of load and images, not the machine's timing.
 */
import { join } from "node:path";
import { parseArgs } from "node:util";
import { ensureBuilt, ensureInstalled, ROOT, requireNode, run } from "./setup.mjs";

const { values } = parseArgs({
  options: {
    images: { type: "string", default: "1000" },
    "per-run": { type: "string", default: "50" },
    seed: { type: "string", default: `${Math.floor(Math.random() * 2 ** 31)}` },
    keep: { type: "boolean", default: false },
  },
});
const images = Number(values.images);
const perRun = Number(values["per-run"]);
const seed = Number(values.seed);
if (![images, perRun].every((count) => Number.isInteger(count) && count >= 1) || !Number.isInteger(seed) || seed < 0) {
  process.stderr.write("usage: npm run powerloss -- [--images N] [--per-run M] [--seed S] [--keep]\n");
  process.exit(2);
}
requireNode();
ensureInstalled();
ensureBuilt();
process.env.VARRAY_POWERLOSS_IMAGES = `${images}`;
process.env.VARRAY_POWERLOSS_PER_RUN = `${perRun}`;
process.env.VARRAY_POWERLOSS_SEED = `${seed}`;
process.env.VARRAY_POWERLOSS_KEEP = values.keep ? "1" : "0";
process.exitCode = run(join(ROOT, "node_modules", ".bin", "vitest"), ["run", "test/conformance/powerloss.test.ts"]);
