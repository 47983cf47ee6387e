#!/usr/bin/env node
/** The `varray` command: launches the CLI, built first if need be. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { ensureBuilt, ensureInstalled, ROOT, requireNode } from "./setup.mjs";

const CLI = join(ROOT, "dist", "src", "control", "cli.js");

requireNode();
// A built image has no sources to compare with: only a clone builds.
if (!existsSync(CLI)) {
  ensureInstalled();
  ensureBuilt();
}
await import(`file://${CLI}`);
