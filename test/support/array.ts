/**
 * A whole array in a process of its own, from the build in dist/, on free ports and in a folder of its own.
 *
 *   const array = await startArray();
 *   … array.lunUrl(0), array.api("/api/v1/…") …
 *   await array.kill9(); await array.restart();
 *   await array.remove();
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** What `npm run build` made. */
export const DIST = fileURLToPath(new URL("../../dist", import.meta.url));
/** As `npm start` and the container set them: they must be known before Node starts. */
const LAUNCH_ENV = {
  UV_THREADPOOL_SIZE: "16",
  MALLOC_ARENA_MAX: "2",
  MALLOC_MMAP_THRESHOLD_: "131072",
  MALLOC_TRIM_THRESHOLD_: "262144",
};
const READY_MILLISECONDS_MAX = 60_000;
const LOG_CHARS_MAX = 2 ** 20;
const TOKEN = "test-token-0123456789abcdef";
const TARGET = "iqn.2026-11.io.varray:array";

export interface StartArray {
  /** Settings beside the ports, folder and token that are chosen here. */
  readonly env?: Readonly<Record<string, string>>;
  /** A folder that outlives the array; else one is made, and removed by `remove`. */
  readonly dataFolder?: string;
  /** Directors 1A, 1B, 2A …; two unless given, and VARRAY_ENGINES follows. */
  readonly engines?: number;
  /** Another build than dist/: a mutant of it. */
  readonly dist?: string;
  /** How the process is started and signalled, where it is not a child of its own: under a tracer. */
  readonly launch?: Launch;
}

export type Launch = (
  command: readonly string[],
  env: NodeJS.ProcessEnv,
) => { readonly child: ChildProcess; readonly kill: (signal: NodeJS.Signals) => void };

export interface Ended {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly milliseconds: number;
}

/** What of a pool the suites look at. */
export interface PoolSeen {
  readonly state: string;
  readonly reason?: string;
  readonly dirtyBytes: number;
  readonly journalLiveBytes: number;
  /** Members in the order of their places, then those that stand by or are out. */
  readonly drives: readonly { readonly name: string; readonly state: string; readonly reason?: string }[];
  readonly rebuild?: RebuildSeen;
  readonly lost?: LostSeen;
}

interface RebuildSeen {
  readonly drive: string;
  /** The drive that it is copied from. */
  readonly from?: string;
  readonly zonesDone: number;
  readonly zonesTotal: number;
}

export interface LostSeen {
  readonly lostBytes: number;
  readonly unlistedBytes: number;
  readonly ranges: readonly LostRangeSeen[];
}

interface LostRangeSeen {
  readonly volume: number;
  readonly name: string;
  readonly logicalBlockBytes: number;
  readonly firstLba: number;
  readonly lbaCount: number;
}

/** @throws Error with the log when it does not come up */
export async function startArray(options: StartArray = {}): Promise<RunningArray> {
  const array = await prepareArray(options);
  try {
    await array.restart();
  } catch (error) {
    await array.remove();
    throw error;
  }
  return array;
}

/** An array with its ports and folder, not started yet: for tests of the start itself. */
export async function prepareArray(options: StartArray = {}): Promise<RunningArray> {
  const engines = options.engines ?? 1;
  const ports = await freePorts(2 * engines + 1);
  const ownFolder = options.dataFolder === undefined;
  const dataFolder = options.dataFolder ?? mkdtempSync(join(tmpdir(), "varray-array-"));
  return new RunningArray({
    dataFolder,
    ownFolder,
    apiPort: ports[0]!,
    portalPorts: ports.slice(1),
    env: options.env ?? {},
    dist: options.dist ?? DIST,
    launch: options.launch ?? launchChild,
  });
}

interface Prepared {
  readonly dataFolder: string;
  readonly ownFolder: boolean;
  readonly apiPort: number;
  readonly portalPorts: readonly number[];
  readonly env: Readonly<Record<string, string>>;
  readonly dist: string;
  readonly launch: Launch;
}

export class RunningArray {
  readonly dataFolder: string;
  readonly portalPorts: readonly number[];
  /** "127.0.0.1:port", in the order of directors. */
  readonly portals: readonly string[];
  readonly apiUrl: string;
  readonly token: string = TOKEN;
  readonly targetName: string;
  readonly env: Readonly<Record<string, string>>;
  readonly #ownFolder: boolean;
  readonly #dist: string;
  readonly #launch: Launch;
  #process: ChildProcess | undefined;
  #kill: (signal: NodeJS.Signals) => void = () => undefined;
  #ended: Promise<Ended> = Promise.resolve({ status: null, signal: null, milliseconds: 0 });
  #log = "";

  constructor(prepared: Prepared) {
    const { portalPorts, apiPort, dataFolder } = prepared;
    this.dataFolder = dataFolder;
    this.#ownFolder = prepared.ownFolder;
    this.#dist = prepared.dist;
    this.#launch = prepared.launch;
    this.portalPorts = portalPorts;
    this.portals = portalPorts.map((port) => `127.0.0.1:${port}`);
    this.apiUrl = `http://127.0.0.1:${apiPort}`;
    const directors = portalPorts.map((_, index) => `${Math.floor(index / 2) + 1}${index % 2 === 0 ? "A" : "B"}`);
    this.env = {
      VARRAY_DATA: dataFolder,
      VARRAY_ENGINES: `${portalPorts.length / 2}`,
      VARRAY_API_PORT: `${apiPort}`,
      VARRAY_API_TOKEN: TOKEN,
      VARRAY_MEMORY_FRAMES: "128MiB",
      VARRAY_JOURNAL_BYTES: "64MiB",
      VARRAY_TARGET: TARGET,
      ...Object.fromEntries(directors.map((name, index) => [`VARRAY_PORTALS_${name}_PORT`, `${portalPorts[index]}`])),
      ...prepared.env,
    };
    this.targetName = this.env.VARRAY_TARGET!;
  }

  get pid(): number {
    const pid = this.#process?.pid;
    if (pid === undefined) throw new Error("the array does not run");
    return pid;
  }

  /** What it wrote to stdout and stderr since it was started last. */
  get log(): string {
    return this.#log;
  }

  /** Resolves when the process has ended, however it did. */
  get ended(): Promise<Ended> {
    return this.#ended;
  }

  /** An iscsi:// URL as libiscsi and qemu take it. */
  lunUrl(lun: number, portal = 0): string {
    return `iscsi://${this.portals[portal]}/${this.targetName}/${lun}`;
  }

  /** A request to the API, with the token; the body as JSON. */
  api(path: string, options: { method?: string; body?: unknown } = {}): Promise<Response> {
    const { method = "GET", body } = options;
    return fetch(`${this.apiUrl}${path}`, {
      method,
      headers: { authorization: `Bearer ${TOKEN}`, ...(body === undefined ? {} : { "content-type": "application/json" }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  }

  /** A pool as the API shows it. */
  async pool(name: string): Promise<PoolSeen> {
    return (await (await this.api(`/api/v1/pools/${name}`)).json()) as PoolSeen;
  }

  /** Everything of a pool on the drives. @throws Error when the API says no */
  async destage(pool: string): Promise<void> {
    const response = await this.api(`/api/v1/pools/${pool}/destage`, { method: "POST" });
    if (response.status !== 200) throw new Error(`destage of pool ${pool}: ${response.status} ${await response.text()}`);
  }

  /** The value of a pool's metric, as /metrics shows it. */
  async poolMetric(name: string, pool: string): Promise<number> {
    return poolMetric(await (await this.api("/metrics")).text(), name, pool);
  }

  /** Starts it (again) and waits until it serves. @param env - on top of what it was made with, for this start only */
  async restart(env: Readonly<Record<string, string>> = {}): Promise<void> {
    this.spawn(env);
    const ready = this.waitForLog("is ready");
    const early = this.#ended.then(({ status, signal }) => {
      throw new Error(`the array ended with ${signal ?? status} before it was ready:\n${this.#log}`);
    });
    await Promise.race([ready, early]);
  }

  /** Starts the process and waits for nothing. */
  spawn(env: Readonly<Record<string, string>> = {}): void {
    const clean = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("VARRAY_")));
    this.#log = "";
    const { child, kill } = this.#launch(
      [process.execPath, "--enable-source-maps", "--max-semi-space-size=1", join(this.#dist, "directors", "main.js")],
      { ...clean, ...LAUNCH_ENV, ...this.env, ...env },
    );
    this.#process = child;
    this.#kill = kill;
    const since = performance.now();
    const keep = (chunk: Buffer) => {
      this.#log = (this.#log + chunk.toString()).slice(-LOG_CHARS_MAX);
    };
    child.stdout?.on("data", keep);
    child.stderr?.on("data", keep);
    this.#ended = new Promise((resolve) => {
      child.on("close", (status, signal) => {
        this.#process = undefined;
        resolve({ status, signal, milliseconds: performance.now() - since });
      });
    });
  }

  async waitForLog(text: string): Promise<void> {
    const until = performance.now() + READY_MILLISECONDS_MAX;
    while (!this.#log.includes(text)) {
      if (performance.now() > until) throw new Error(`no "${text}" within ${READY_MILLISECONDS_MAX / 1000} s:\n${this.#log}`);
      await new Promise((resolve) => {
        setTimeout(resolve, 25);
      });
    }
  }

  /** Pulls the plug of the process. Resolves when it is gone. */
  async kill9(): Promise<void> {
    await this.#signal("SIGKILL");
  }

  /** SIGTERM; resolves when the process is gone, and says how that went and how long it took. */
  stop(): Promise<Ended> {
    return this.#signal("SIGTERM");
  }

  /** Ends what runs and removes the folder, unless it was given. */
  async remove(): Promise<void> {
    await this.kill9();
    if (this.#ownFolder) rmSync(this.dataFolder, { recursive: true, force: true });
  }

  async #signal(signal: NodeJS.Signals): Promise<Ended> {
    const since = performance.now();
    if (this.#process !== undefined) this.#kill(signal);
    const { status, signal: by } = await this.#ended;
    return { status, signal: by, milliseconds: performance.now() - since };
  }
}

/** @throws Error when the metric is not there: a test must not take that for 0 */
export function poolMetric(metrics: string, name: string, pool: string): number {
  const line = metrics.split("\n").find((candidate) => candidate.startsWith(`${name}{`) && candidate.includes(`pool="${pool}"`));
  if (line === undefined) throw new Error(`/metrics has no ${name} of pool ${pool}`);
  return Number(line.slice(line.lastIndexOf(" ") + 1));
}

function launchChild([program, ...parameters]: readonly string[], env: NodeJS.ProcessEnv): ReturnType<Launch> {
  const child = spawn(program!, parameters, { env, stdio: ["ignore", "pipe", "pipe"] });
  return { child, kill: (signal) => void child.kill(signal) };
}

/**
 * Below the ports that clients' ends get of the system, and in a range of this test process: an array keeps its ports while it is
 * down, and nothing else may take them then.
 */
const PORTS_FROM = 20_000;
const PORTS_PER_PROCESS = 1500;
const PROCESSES_MAX = 8;
let nextPort = Math.floor(Math.random() * PORTS_PER_PROCESS);

/** Ports that were free a moment ago, each another one. */
async function freePorts(count: number): Promise<number[]> {
  const from = PORTS_FROM + PORTS_PER_PROCESS * (Number(process.env.VITEST_POOL_ID ?? 0) % PROCESSES_MAX);
  const ports: number[] = [];
  for (let tries = 0; ports.length < count; tries++) {
    if (tries > PORTS_PER_PROCESS) throw new Error(`no ${count} ports are free from ${from} on`);
    const port = from + (nextPort++ % PORTS_PER_PROCESS);
    if (await isFree(port)) ports.push(port);
  }
  return ports;
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}
