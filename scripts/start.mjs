/**
 * `npm start`: installs and builds what is missing, then runs the array in this very process, so that a signal to the
 * process reaches the array, and a `kill -9` of it is one of the array.
 */
import { readFileSync } from "node:fs";
import { ensureBuilt, ensureInstalled, ROOT, requireNode } from "./setup.mjs";

const PARENT_CHECK_MILLISECONDS = 500;

requireNode();
ensureInstalled();
ensureBuilt();
if (process.env.npm_lifecycle_event !== undefined) stopWhenOrphaned();
await import(new URL("dist/directors/main.js", `file://${ROOT}`).href);

/** Under npm: when npm is gone (even by `kill -9`), nobody is left to stop us, so we stop as on SIGTERM. */
function stopWhenOrphaned() {
  const before = ancestors();
  const timer = setInterval(() => {
    if (ancestors().join() === before.join()) return;
    clearInterval(timer);
    process.stderr.write("varray: npm, which started this process, has gone: stopping.\n");
    process.kill(process.pid, "SIGTERM");
  }, PARENT_CHECK_MILLISECONDS);
  timer.unref();
}

/** Our parent, and its parent where the system tells (Linux): npm may run us through a shell. */
function ancestors() {
  const parent = process.ppid;
  try {
    const stat = readFileSync(`/proc/${parent}/stat`, "latin1");
    const shell = /^\d+ \((?:sh|dash|bash)\)/.test(stat);
    return shell ? [parent, Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1])] : [parent];
  } catch {
    return [parent];
  }
}
