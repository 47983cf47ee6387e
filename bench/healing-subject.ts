/** An array whose drives are taken away, rebuilt, given back and scrubbed, through its API and as its hosts see it. */
import { setTimeout as sleep } from "node:timers/promises";
import { ArrayUnderTest } from "./array-under-test.ts";
import type { LoadClient, LoadResult, LoadSpec } from "./load-client.ts";
import { parseSeries } from "./prometheus-text.ts";

const FILL: LoadSpec = { mode: "seqwrite", bytes: 1 << 20, depth: 4 };
const HOST: LoadSpec = { mode: "randmix30", bytes: 4096, depth: 8 };
/** What is not in the cache: so it is noticed at once that a drive is gone. */
const MISSES: LoadSpec = { mode: "randread", bytes: 4096, depth: 8 };
const MISS_COUNT = 256;
const HOST_SPAN_MEBIBYTES = 64;
const HOST_SECONDS = 5;
/** Hosts are active, and a drive is taken away, before anything of theirs is counted. */
const WARM_SECONDS = 2;
const TAKEN_AFTER_MILLISECONDS = 300;
const WAIT_MILLISECONDS_MAX = 120_000;
const POLL_MILLISECONDS = 20;

interface PoolSeen {
  readonly rebuild?: { readonly drive: string };
  readonly scrub: { readonly state: string };
  readonly drives: readonly { readonly name: string; readonly state: string }[];
}

const WORKS = {
  rebuild: "varray_rebuilt_bytes_total",
  scrub: "varray_scrubbed_bytes_total",
} as const;

/** All drives are in their places before and after each of these, but between `rebuild` and `copyBack`. */
export class HealingSubject {
  readonly #client: LoadClient;
  readonly #array: ArrayUnderTest;
  readonly #spanMebibytes: number;

  private constructor(client: LoadClient, array: ArrayUnderTest, spanMebibytes: number) {
    this.#client = client;
    this.#array = array;
    this.#spanMebibytes = spanMebibytes;
  }

  static async start(options: {
    readonly client: LoadClient;
    readonly dataFolder: string;
    /** Of LUN 0: filled, so that there is something to rebuild. */
    readonly spanMebibytes: number;
  }): Promise<HealingSubject> {
    const array = await ArrayUnderTest.start(options.dataFolder, { VARRAY_HEALING_MISSING_SECONDS: "0" });
    return new HealingSubject(options.client, array, options.spanMebibytes);
  }

  stop(): Promise<void> {
    return this.#array.stop();
  }

  async fill(): Promise<void> {
    await this.#client.run(FILL, {
      urls: [this.#array.url(0)],
      spanMebibytes: this.#spanMebibytes,
      seconds: 0,
      ops: this.#spanMebibytes,
    });
    await this.#rest();
  }

  hosts(): Promise<LoadResult> {
    return this.#client.run(HOST, {
      urls: [this.#array.url(0)],
      spanMebibytes: HOST_SPAN_MEBIBYTES,
      seconds: HOST_SECONDS,
      warmSeconds: WARM_SECONDS,
    });
  }

  /** Bytes a second that are read and checked. */
  async scrub(): Promise<number> {
    await this.#startScrub();
    return this.#rate("scrub", () => this.#isScrubbed());
  }

  /** Bytes a second that a spare gets; then drive 01 is out. */
  async rebuild(): Promise<number> {
    await this.#takeDrive();
    return this.#rate("rebuild", () => this.#isOnline("08"));
  }

  /** Bytes a second that the new drive 01 gets, so that the spare is free again. */
  async copyBack(): Promise<number> {
    await this.#array.api("POST", "/api/v1/drives/01/replace");
    return this.#rate("rebuild", () => this.#isOnline("01"));
  }

  /** While hosts are as fast as they can; until they end, or the work does. */
  async beside(work: "rebuild" | "scrub", share: number): Promise<{ bytesPerSecond: number; hosts: LoadResult }> {
    await this.#rest();
    await this.#array.api("PATCH", "/api/v1/pools/A/healing", { [`${work}SharePercent`]: share });
    let ended = false;
    const hosts = this.hosts().finally(() => {
      ended = true;
    });
    await sleep(TAKEN_AFTER_MILLISECONDS);
    if (work === "rebuild") await this.#takeDrive();
    else await this.#startScrub();
    const isDone = async (): Promise<boolean> => {
      if (ended) return true;
      if (work === "rebuild") return this.#isOnline("08");
      if (await this.#isScrubbed()) await this.#startScrub();
      return false;
    };
    const bytesPerSecond = await this.#rate(work, isDone);
    const seen = await hosts;
    await until(() => (work === "rebuild" ? this.#isOnline("08") : this.#isScrubbed()));
    if (work === "rebuild") await this.copyBack();
    return { bytesPerSecond, hosts: seen };
  }

  async #takeDrive(): Promise<void> {
    await this.#array.api("POST", "/api/v1/drives/01/pull");
    await this.#client.run(MISSES, {
      urls: [this.#array.url(0)],
      spanMebibytes: this.#spanMebibytes,
      seconds: 0,
      ops: MISS_COUNT,
    });
    await until(async () => (await this.#pool()).rebuild?.drive === "08");
  }

  async #startScrub(): Promise<void> {
    await this.#array.api("POST", "/api/v1/pools/A/scrub", { action: "start" });
  }

  async #rate(work: keyof typeof WORKS, isDone: () => Promise<boolean>): Promise<number> {
    const before = await this.#bytes(work);
    const began = performance.now();
    await until(isDone);
    const seconds = (performance.now() - began) / 1000;
    return ((await this.#bytes(work)) - before) / seconds;
  }

  async #bytes(work: keyof typeof WORKS): Promise<number> {
    let total = 0;
    for (const [text, value] of await this.#array.scrape()) if (parseSeries(text).name === WORKS[work]) total += value;
    return total;
  }

  async #isScrubbed(): Promise<boolean> {
    return (await this.#pool()).scrub.state === "idle";
  }

  async #isOnline(drive: string): Promise<boolean> {
    return (await this.#pool()).drives.some(({ name, state }) => name === drive && state === "online");
  }

  async #pool(): Promise<PoolSeen> {
    return (await this.#array.api("GET", "/api/v1/pools/A")) as PoolSeen;
  }

  async #rest(): Promise<void> {
    await this.#array.makeClean();
    await this.#array.whenQuiet();
  }
}

async function until(is: () => Promise<boolean>): Promise<void> {
  for (const deadline = performance.now() + WAIT_MILLISECONDS_MAX; !(await is()); await sleep(POLL_MILLISECONDS)) {
    if (performance.now() > deadline) throw new Error("it is not done within two minutes");
  }
}
