/**
 * An array of the benchmark's own: the built product with its default configuration, started as `npm start` does, in a
 * temporary folder and on free ports. Everything that is asked of it goes through its API and /metrics, as for anybody.
 */
import type { ChildProcess } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { freePort } from "./free-port.ts";
import { parseScrape, parseSeries, type Scrape } from "./prometheus-text.ts";
import { end, removeFolder, start, temporaryFolder } from "./started.ts";

/** Of the repository; this file runs from dist/bench. */
export const ROOT = fileURLToPath(new URL("../..", import.meta.url));

const READY_MILLISECONDS_MAX = 120_000;
const STOP_MILLISECONDS_MAX = 10_000;
const TARGET = "iqn.2026-11.io.varray:array";
const CONTROL_POOLS = ["A", "B"] as const;
const QUIET_MILLISECONDS_MAX = 20_000;
const QUIET_WINDOW_MILLISECONDS = 200;
/** Timers and heartbeats take a percent or two. */
const QUIET_CPU_SHARE = 0.05;
/** `sysconf(_SC_CLK_TCK)` wherever Node runs. */
const CLOCK_TICKS_PER_SECOND = 100;

export interface MemoryUse {
  readonly anonymousBytes: number;
  readonly sharedBytes: number;
}

export class ArrayUnderTest {
  readonly #child: ChildProcess;
  readonly #folder: string;
  readonly #ports: { readonly api: number; readonly portals: readonly number[] };

  private constructor(child: ChildProcess, folder: string, ports: { api: number; portals: readonly number[] }) {
    this.#child = child;
    this.#folder = folder;
    this.#ports = ports;
  }

  /**
   * @param parent - the folder below which its data goes: the disk that is measured
   * @param settings - VARRAY_ variables beside the folder, the ports and a quiet log
   */
  static async start(parent: string, settings: Readonly<Record<string, string>> = {}): Promise<ArrayUnderTest> {
    const folder = temporaryFolder(parent);
    const ports = { api: await freePort(), portals: [await freePort(), await freePort()] };
    const child = start(process.execPath, [...launchFlags(), join(ROOT, "dist/directors/main.js")], {
      env: {
        ...process.env,
        ...launchEnvironment(),
        VARRAY_DATA: folder,
        VARRAY_LOG_LEVEL: "warn",
        VARRAY_API_PORT: `${ports.api}`,
        VARRAY_PORTALS_1A_PORT: `${ports.portals[0]}`,
        VARRAY_PORTALS_1B_PORT: `${ports.portals[1]}`,
        ...settings,
      },
      stdio: ["ignore", "ignore", "inherit"],
    });
    const array = new ArrayUnderTest(child, folder, ports);
    await array.#whenReady();
    return array;
  }

  async #whenReady(): Promise<void> {
    const deadline = performance.now() + READY_MILLISECONDS_MAX;
    while (performance.now() < deadline) {
      if (this.#child.exitCode !== null) throw new Error(`the array ended with status ${this.#child.exitCode}`);
      const answer = await fetch(`http://127.0.0.1:${this.#ports.api}/healthz`).catch(() => undefined);
      if (answer?.ok && (await this.#touched())) return;
      await sleep(100);
    }
    throw new Error("the array did not come up");
  }

  /** Memory is touched in the background after the start: first touches in a measured run would be counted as I/O. */
  async #touched(): Promise<boolean> {
    const scrape = await this.scrape();
    let left = 0;
    for (const [text, value] of scrape) {
      const { name } = parseSeries(text);
      if (name === "varray_memory_to_touch_bytes") left += value;
      if (name === "varray_memory_touched_bytes") left -= value;
    }
    return left <= 0;
  }

  get pid(): number {
    return this.#child.pid!;
  }

  get apiPort(): number {
    return this.#ports.api;
  }

  /** Where the array keeps everything. */
  get folder(): string {
    return this.#folder;
  }

  /** LUN `unit` through a director's portal (0: 1A, 1: 1B). LUN 0 belongs to director 0, LUN 1 to director 1. */
  url(director: number, unit = 0): string {
    return `iscsi://127.0.0.1:${this.#ports.portals[director]}/${TARGET}/${unit}`;
  }

  /** What proves to the API that the benchmark is the admin. */
  get authorization(): { readonly authorization: string } {
    return { authorization: `Bearer ${readFileSync(join(this.#folder, "api-token"), "utf8").trim()}` };
  }

  async api(method: "GET" | "POST" | "PATCH", path: string, body?: object): Promise<unknown> {
    const answer = await fetch(`http://127.0.0.1:${this.#ports.api}${path}`, {
      method,
      headers: { ...this.authorization, ...(body === undefined ? {} : { "content-type": "application/json" }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  }

  async scrape(): Promise<Scrape> {
    const answer = await fetch(`http://127.0.0.1:${this.#ports.api}/metrics`);
    return parseScrape(await answer.text());
  }

  /** Resolves when nothing is dirty and the journals are empty. */
  async makeClean(): Promise<void> {
    for (const pool of CONTROL_POOLS) await this.api("POST", `/api/v1/pools/${pool}/destage`);
  }

  /** Resolves when the array does nothing of itself any more (destage after a run of writes), or after a bounded time. */
  async whenQuiet(): Promise<void> {
    const deadline = performance.now() + QUIET_MILLISECONDS_MAX;
    for (let before = this.#cpuSeconds(); performance.now() < deadline; ) {
      await sleep(QUIET_WINDOW_MILLISECONDS);
      const now = this.#cpuSeconds();
      if ((now - before) / (QUIET_WINDOW_MILLISECONDS / 1000) <= QUIET_CPU_SHARE) return;
      before = now;
    }
  }

  #cpuSeconds(): number {
    const text = readFileSync(`/proc/${this.pid}/stat`, "latin1");
    const [user, system] = text
      .slice(text.lastIndexOf(")") + 2)
      .split(" ")
      .slice(11, 13);
    return (Number(user) + Number(system)) / CLOCK_TICKS_PER_SECOND;
  }

  memoryUse(): MemoryUse {
    const text = readFileSync(`/proc/${this.pid}/status`, "latin1");
    const kibibytes = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(text)?.[1] ?? 0);
    return { anonymousBytes: kibibytes("RssAnon") * 1024, sharedBytes: kibibytes("RssShmem") * 1024 };
  }

  async stop(): Promise<void> {
    await end(this.#child, "SIGTERM", STOP_MILLISECONDS_MAX);
    removeFolder(this.#folder);
  }
}

/** What `npm start` puts before Node: the benchmark must run as the product does. */
function startScript(): string {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as { scripts: { start: string } };
  return scripts.start;
}

function launchEnvironment(): Record<string, string> {
  return Object.fromEntries([...startScript().matchAll(/([A-Z_]+)=(\S+)/g)].map(([, name, value]) => [name!, value!]));
}

function launchFlags(): string[] {
  return (
    startScript()
      .match(/ --\S+/g)
      ?.map((flag) => flag.trim()) ?? []
  );
}
