/**
 * Rounds of one kind of fault of directors, over one array: load through both paths, until the drives have all that they can
 * do ─▶ the fault, in turn at 1A and 1B ─▶ everything is back ─▶ what hosts saw is judged ─▶ the next round.
 *
 * It says what it found and asserts nothing.
 */
import { poolMetric, type RunningArray, startArray } from "../array.ts";
import type { FaultKind, FaultRound } from "./failover-report.ts";
import { sleep } from "./path-host.ts";
import { TwoPathLoad } from "./two-path-load.ts";

/** By director: the pool that it owns when all is well. */
const DIRECTORS = ["1A", "1B"] as const;
const POOL_OF = { "1A": "A", "1B": "B" } as const;
/** A director that died so often that it stays down until it is told to start: told here. */
const STATE_DOWN = "down";
const BUSY_LOOKS_MAX = 200;
const LOOK_MILLISECONDS = 25;
const AFTER_MILLISECONDS = 300;
const RETURN_MILLISECONDS_MAX = 60_000;

export interface FailoverOptions {
  readonly seed: number;
  /** As VARRAY_JOURNAL_BYTES. */
  readonly journal: string;
  /** The fault comes no sooner after the load began. */
  readonly beforeMilliseconds: number;
}

interface DirectorSeen {
  readonly name: string;
  readonly state: string;
}

export class FailoverRig {
  readonly #array: RunningArray;
  readonly #load: TwoPathLoad;
  readonly #options: FailoverOptions;
  #round = 0;

  private constructor(array: RunningArray, load: TwoPathLoad, options: FailoverOptions) {
    this.#array = array;
    this.#load = load;
    this.#options = options;
  }

  static async start(options: FailoverOptions): Promise<FailoverRig> {
    const array = await startArray({ env: { VARRAY_JOURNAL_BYTES: options.journal } });
    const load = new TwoPathLoad({
      ports: array.portalPorts,
      targetName: array.targetName,
      luns: [0, 1],
      sectors: 512,
      fillSectors: 131_072,
      hosts: 3,
      workersPerHost: 3,
      seed: options.seed,
    });
    const rig = new FailoverRig(array, load, options);
    try {
      await load.open();
    } catch (error) {
      await rig.remove();
      throw error;
    }
    return rig;
  }

  get log(): string {
    return this.#array.log;
  }

  async round({ body }: FaultKind): Promise<FaultRound> {
    const director = DIRECTORS[this.#round % DIRECTORS.length]!;
    this.#round += 1;
    this.#load.start();
    await sleep(this.#options.beforeMilliseconds);
    const { drivesBusy, journalLiveBytes } = await this.#atFullLoad(POOL_OF[director]);
    await this.#post(`faults/directors/${director}`, body);
    const faultEnds = performance.now() + (body.kind === "cutOff" ? body.seconds * 1000 : 0);
    await sleep(AFTER_MILLISECONDS);
    await this.#allBack();
    await sleep(Math.max(0, faultEnds - performance.now()) + AFTER_MILLISECONDS);
    const { violations, figures } = await this.#load.stopAndJudge();
    return { round: this.#round, director, drivesBusy, journalLiveBytes, violations, figures };
  }

  async remove(): Promise<void> {
    this.#load.close();
    await this.#array.remove();
  }

  /** Waits for a moment with batches under way to the drives of the pool that is hit. */
  async #atFullLoad(pool: string): Promise<{ drivesBusy: boolean; journalLiveBytes: number }> {
    for (let look = 1; ; look++) {
      const metrics = await (await this.#array.api("/metrics")).text();
      const drivesBusy = poolMetric(metrics, "varray_destage_batches_active", pool) > 0;
      if (drivesBusy || look === BUSY_LOOKS_MAX)
        return { drivesBusy, journalLiveBytes: poolMetric(metrics, "varray_journal_live_bytes", pool) };
      await sleep(LOOK_MILLISECONDS);
    }
  }

  async #allBack(): Promise<void> {
    const until = performance.now() + RETURN_MILLISECONDS_MAX;
    for (;;) {
      const seen = await this.#directors().catch(() => []);
      if (seen.length > 0 && seen.every(({ state }) => state === "active") && this.#load.allPathsUp) return;
      if (performance.now() > until) throw new Error(`not all is back: ${JSON.stringify(seen)}\n${this.log.slice(-4000)}`);
      // Refused while its partner is at work on its pools: it is asked again.
      for (const { name } of seen.filter(({ state }) => state === STATE_DOWN))
        await this.#post(`directors/${name}/restart`).catch(() => undefined);
      await sleep(LOOK_MILLISECONDS);
    }
  }

  async #directors(): Promise<readonly DirectorSeen[]> {
    const seen = (await (await this.#array.api("/api/v1/directors")).json()) as DirectorSeen[] | { directors: DirectorSeen[] };
    return Array.isArray(seen) ? seen : seen.directors;
  }

  async #post(path: string, body?: object): Promise<void> {
    const response = await this.#array.api(`/api/v1/${path}`, { method: "POST", ...(body === undefined ? {} : { body }) });
    if (response.status !== 200) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  }
}
