import { readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { expect, test } from "vitest";

const ROOT = resolve(import.meta.dirname, "../../..");
const STATEMENT = /^(?:import|export)\s(?:[^"';]*\sfrom\s)?"([^"]+)";/gm;
const TYPES_ONLY = /^(?:import|export) type /;

/** Packages that an entry loads, itself or by what it imports. */
function packagesOf(entry: string): string[] {
  const packages = new Set<string>();
  const seen = new Set<string>();
  const queue = [join(ROOT, entry)];
  for (let file = queue.pop(); file !== undefined; file = queue.pop()) {
    if (seen.has(file)) continue;
    seen.add(file);
    for (const [statement, from] of readFileSync(file, "utf8").matchAll(STATEMENT)) {
      if (TYPES_ONLY.test(statement)) continue;
      if (from!.startsWith(".")) queue.push(join(dirname(file), from!));
      else if (!from!.startsWith("node:")) packages.add(from!);
    }
  }
  return [...packages].sort();
}

/** Each thread loads its modules by itself, before the array is ready: a schema library in the directors took a third of a start. */
test.each([
  ["directors/director.worker.ts", ["@node-rs/crc32", "piscina"]],
  ["directors/thread-pool/task.worker.ts", ["@node-rs/crc32"]],
  ["drivers/drive/drive.worker.ts", ["@node-rs/crc32", "level"]],
  ["drivers/journal-file/sync.worker.ts", []],
])("%s loads no library of the control plane's", (entry, packages) => {
  expect(packagesOf(entry)).toEqual(packages);
});
