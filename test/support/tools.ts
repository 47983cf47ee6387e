/** Programs that some suites need: real initiators and alike. `npm test` installs them where it may. */
import { spawnSync } from "node:child_process";

const PATH = `${process.env.PATH}:/usr/sbin:/sbin`;

/** For `describe.skipIf(!hasTools("iscsi-ls"))`. */
export function hasTools(...programs: string[]): boolean {
  return programs.every((program) => spawnSync("which", [program], { env: { ...process.env, PATH } }).status === 0);
}

export interface ToolResult {
  readonly status: number | null;
  readonly output: string;
}

/** Runs a program to its end; stdout and stderr together. */
export function runTool(program: string, args: readonly string[], options: { timeoutMilliseconds?: number } = {}): ToolResult {
  const { timeoutMilliseconds = 60_000 } = options;
  const { status, stdout, stderr, error } = spawnSync(program, args, {
    env: { ...process.env, PATH },
    encoding: "utf8",
    timeout: timeoutMilliseconds,
    maxBuffer: 2 ** 26,
  });
  if (error !== undefined) throw error;
  return { status, output: stdout + stderr };
}
