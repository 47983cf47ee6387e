/**
 * What the benchmark has started and made: ended and removed when it ends, however it ends.
 *
 * Invariants:
 *  1. Only processes that were started here are ever signalled.
 *  2. Nothing is left after a normal end, an error, Ctrl-C or SIGTERM. (After `kill -9` the folders are; nothing can help that.)
 */
import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";

const running = new Set<ChildProcess>();
/** Those that have started something themselves, and end it when they are asked to end. */
const asked = new WeakSet<ChildProcess>();
const folders = new Set<string>();

process.on("exit", endAll);
for (const [signal, number] of [
  ["SIGINT", 2],
  ["SIGTERM", 15],
  ["SIGHUP", 1],
] as const) {
  process.on(signal, () => process.exit(128 + number));
}

/** Runs at exit, so nothing is waited for: data folders are temporary, nobody needs a clean stop. */
function endAll(): void {
  for (const child of running) child.kill(asked.has(child) ? "SIGTERM" : "SIGKILL");
  for (const folder of folders) rmSync(folder, { recursive: true, force: true, maxRetries: 3, retryDelay: 100 });
}

export function start(program: string, args: readonly string[], options: SpawnOptions): ChildProcess {
  const child = spawn(program, args, options);
  running.add(child);
  child.once("exit", () => running.delete(child));
  child.once("error", () => running.delete(child));
  return child;
}

/** Asks it to end by `signal`, and ends it by force when it has not after `patienceMilliseconds`. */
export async function end(child: ChildProcess, signal: NodeJS.Signals, patienceMilliseconds: number): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once("exit", resolve));
  const force = setTimeout(() => child.kill("SIGKILL"), patienceMilliseconds);
  child.kill(signal);
  await ended;
  clearTimeout(force);
}

export function temporaryFolder(parent: string): string {
  const folder = mkdtempSync(join(parent, "varray-bench-"));
  folders.add(folder);
  return folder;
}

export function removeFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
  folders.delete(folder);
}

export interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end. Past `millisecondsMax` it is killed, and its status is null. */
export function run(
  program: string,
  args: readonly string[],
  options: {
    readonly env?: NodeJS.ProcessEnv;
    readonly cwd?: string;
    readonly millisecondsMax: number;
    readonly patienceAtEnd?: boolean;
  },
): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = start(program, args, {
      stdio: ["ignore", "pipe", "pipe"],
      ...(options.env && { env: options.env }),
      ...(options.cwd && { cwd: options.cwd }),
    });
    if (options.patienceAtEnd === true) asked.add(child);
    let stdout = "";
    let stderr = "";
    child.stdout!.setEncoding("utf8").on("data", (text) => (stdout += text));
    child.stderr!.setEncoding("utf8").on("data", (text) => (stderr += text));
    const late = setTimeout(() => child.kill(asked.has(child) ? "SIGTERM" : "SIGKILL"), options.millisecondsMax);
    child.once("error", (error) => {
      clearTimeout(late);
      reject(error);
    });
    child.once("close", (status) => {
      clearTimeout(late);
      resolve({ status, stdout, stderr });
    });
  });
}
