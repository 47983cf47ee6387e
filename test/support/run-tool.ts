/** Runs a program beside what the test itself does meanwhile (a proxy, an array's log): `runTool` of tools.ts blocks. */
import { spawn } from "node:child_process";
import type { ToolResult } from "./tools.ts";

const OUTPUT_CHARS_MAX = 2 ** 24;

/** To its end, or until it is killed at the time limit (status null). stdout and stderr together. */
export function runToolBeside(
  program: string,
  args: readonly string[],
  options: { timeoutMilliseconds?: number; env?: Readonly<Record<string, string>> } = {},
): Promise<ToolResult> {
  const { timeoutMilliseconds = 60_000, env = {} } = options;
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin`, ...env },
      stdio: ["ignore", "pipe", "pipe"],
      timeout: timeoutMilliseconds,
    });
    let output = "";
    const keep = (chunk: Buffer): void => {
      if (output.length < OUTPUT_CHARS_MAX) output += chunk.toString();
    };
    child.stdout.on("data", keep);
    child.stderr.on("data", keep);
    child.on("error", reject);
    child.on("close", (status) => resolve({ status, output }));
  });
}
