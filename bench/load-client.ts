/** The load client (client/load.c): compiled once a run, started for each measurement; its one line of JSON, typed. */
import { join } from "node:path";
import { ROOT } from "./array-under-test.ts";
import { run } from "./started.ts";

const COMPILE_MILLISECONDS_MAX = 60_000;
/** Beyond what it was asked to measure. */
const CLIENT_MILLISECONDS_MAX = 120_000;
const SOURCES = ["load.c", "proc-usage.c"].map((name) => join(ROOT, "bench/client", name));

/** What a test does, whoever serves it. */
export interface LoadSpec {
  readonly mode: string;
  readonly bytes: number;
  readonly depth: number;
  readonly fua?: boolean;
}

export interface LoadOptions {
  readonly urls: readonly string[];
  readonly spanMebibytes: number;
  /** Timed, unless a number of operations is given. */
  readonly seconds: number;
  readonly warmSeconds?: number;
  readonly ops?: number;
  readonly sessions?: number;
  /** Whose use of the machine is measured. */
  readonly pids?: readonly number[];
}

export interface ThreadUse {
  readonly pid: number;
  readonly tid: number;
  readonly name: string;
  readonly cpuSeconds: number;
  readonly readCalls: number;
  readonly writeCalls: number;
  readonly readBytes: number;
  readonly writeBytes: number;
  readonly voluntarySwitches: number;
  readonly involuntarySwitches: number;
}

export interface LoadResult {
  readonly seconds: number;
  readonly ops: number;
  readonly refused: number;
  readonly iops: number;
  readonly bytesPerSecond: number;
  readonly meanMicroseconds: number;
  readonly p50Microseconds: number;
  readonly p99Microseconds: number;
  readonly p999Microseconds: number;
  readonly maxMicroseconds: number;
  readonly clientCpuSeconds: number;
  readonly machineCpuSeconds: number;
  readonly threads: readonly ThreadUse[];
  readonly processes: readonly { readonly pid: number; readonly diskReadBytes: number; readonly diskWriteBytes: number }[];
}

export class LoadClient {
  readonly #program: string;

  private constructor(program: string) {
    this.#program = program;
  }

  static async compile(folder: string): Promise<LoadClient> {
    const program = join(folder, "load");
    const compiler = process.env.CC ?? "cc";
    const { status, stderr } = await run(compiler, ["-O2", ...SOURCES, "-liscsi", "-o", program], {
      millisecondsMax: COMPILE_MILLISECONDS_MAX,
    });
    if (status !== 0) throw new Error(`the load client does not compile (libiscsi-dev installed?):\n${stderr}`);
    return new LoadClient(program);
  }

  /** @throws Error with the client's own words when the run failed */
  async run(spec: LoadSpec, options: LoadOptions): Promise<LoadResult> {
    const args = ["-m", spec.mode, "-b", `${spec.bytes}`, "-q", `${spec.depth}`, "-S", `${options.spanMebibytes}`];
    args.push("-t", `${options.seconds}`, "-w", `${options.warmSeconds ?? 0.3}`);
    if (spec.fua) args.push("-f");
    if (options.ops !== undefined) args.push("-n", `${options.ops}`);
    if (options.sessions !== undefined) args.push("-s", `${options.sessions}`);
    if (options.pids?.length) args.push("-p", options.pids.join());
    const millisecondsMax = CLIENT_MILLISECONDS_MAX + options.seconds * 1000;
    const { status, stdout, stderr } = await run(this.#program, [...args, ...options.urls], { millisecondsMax });
    if (status !== 0) throw new Error(`${specName(spec)}: ${stderr.trim() || `the client ended with status ${status}`}`);
    return JSON.parse(stdout) as LoadResult;
  }
}

/** `randread:4096:32`, as tests are named on the command line. */
export function specName({ mode, bytes, depth, fua }: LoadSpec): string {
  return `${mode}:${bytes}:${depth}${fua ? ":fua" : ""}`;
}

/** @throws RangeError when it is none */
export function parseSpec(text: string): LoadSpec {
  const match = /^(randread|randwrite|randmix[1-9]\d?|seqread|seqwrite):(\d+):(\d+)(:fua)?$/.exec(text);
  if (match === null)
    throw new RangeError(`"${text}" is no test: mode:bytes:depth, such as randread:4096:32 or randwrite:4096:32:fua`);
  const [, mode, bytes, depth, fua] = match;
  return { mode: mode!, bytes: Number(bytes), depth: Number(depth), ...(fua && { fua: true }) };
}
