/** The crash sites in the code: read from the code itself, so that one that is added is part of every full run. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { SIMULATION_SITES } from "./crash-plan.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const CALL = /reached\("([a-zA-Z]+\.[a-zA-Z]+)"\)/g;

/** Those in src/, sorted, then those of the simulation. */
export function crashSites(): string[] {
  const found = new Set<string>();
  for (const file of readdirSync(join(ROOT, "src"), { recursive: true, encoding: "utf8" })) {
    if (!/\.(ts|js)$/.test(file)) continue;
    for (const [, site] of readFileSync(join(ROOT, "src", file), "utf8").matchAll(CALL)) found.add(site!);
  }
  return [...[...found].sort(), ...SIMULATION_SITES];
}
