/** Programs that some suites need: real initiators and alike. `npm test` installs them where it may. */
import { spawn, spawnSync } from "node:child_process";

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

/** Of the end of what a program wrote. */
const OUTPUT_CHARS_MAX = 4000;

/** Runs a program to its end while this thread goes on; the last of what it wrote. For what takes long or says much. */
export function runToolBeside(
  program: string,
  args: readonly string[],
  options: { timeoutMilliseconds?: number } = {},
): Promise<ToolResult> {
  const { timeoutMilliseconds = 300_000 } = options;
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      env: { ...process.env, PATH },
      timeout: timeoutMilliseconds,
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    const keep = (chunk: Buffer): void => {
      output = (output + chunk.toString()).slice(-OUTPUT_CHARS_MAX);
    };
    child.stdout.on("data", keep);
    child.stderr.on("data", keep);
    child.on("error", reject);
    child.on("close", (status) => resolve({ status, output }));
  });
}
