/**
 * Runs an array below strace, which writes down every change of its files, with marks of what its hosts were told.
 *
 *   strace ─▶ sh ─┬▶ the array
 *                 └▶ opens a file that is not there for each line of its input: a mark
 *
 * A mark is written to the shell's input after the host's answer came, so it stands in the trace after the system calls
 * that the answer stood on.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { type Launch, type RunningArray, startArray } from "../array.ts";
import { MARK_FOLDER, TRACED_BYTES_MAX, TRACED_CALLS } from "./system-calls.ts";

// The shell goes on when the array ends, until its input does. `true` fails for want of the file, and that is all it does.
const SHELL = `"$@" </dev/null & echo "pid $!"; while read -r mark; do true <${MARK_FOLDER}$mark; echo "marked"; done 2>/dev/null; wait`;
const PID_LINE = /^pid (\d+)$/;

export interface TracedArray {
  readonly array: RunningArray;
  /** Resolves when the mark stands in the trace. */
  mark(text: string): Promise<void>;
  /** Ends the shell and strace; the array must be gone. Resolves when the trace is whole. */
  end(): Promise<void>;
}

export async function startTraced(options: {
  readonly folder: string;
  readonly trace: string;
  readonly env: Readonly<Record<string, string>>;
  readonly dist?: string;
}): Promise<TracedArray> {
  let tracer: ChildProcess | undefined;
  let pid: number | undefined;
  const marking: (() => void)[] = [];
  const launch: Launch = (command, env) => {
    const child = spawn("strace", [...traceArguments(options.trace), "sh", "-c", SHELL, "sh", ...command], {
      env,
      stdio: ["pipe", "pipe", "pipe"],
    });
    createInterface({ input: child.stdout }).on("line", (line) => {
      if (line === "marked") marking.shift()?.();
      else pid ??= Number(PID_LINE.exec(line)?.[1] ?? Number.NaN) || undefined;
    });
    child.stdin.on("error", () => undefined);
    tracer = child;
    return {
      child,
      kill: (signal) => {
        if (pid !== undefined) process.kill(pid, signal);
        child.stdin.end();
      },
    };
  };
  const { folder: dataFolder, env, dist } = options;
  const array = await startArray({ dataFolder, env, launch, ...(dist === undefined ? {} : { dist }) });
  return {
    array,
    mark: (text) =>
      new Promise((resolve) => {
        marking.push(resolve);
        tracer!.stdin!.write(`${text}\n`);
      }),
    end: async () => {
      tracer?.stdin?.end();
      await array.ended;
    },
  };
}

function traceArguments(trace: string): string[] {
  const bytes = ["-s", `${TRACED_BYTES_MAX}`];
  return ["-f", "--seccomp-bpf", "-qq", "-xx", "-y", ...bytes, "-e", "signal=none", "-e", `trace=${TRACED_CALLS}`, "-o", trace];
}
