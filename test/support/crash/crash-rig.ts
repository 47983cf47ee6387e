/**
 * The crash test: an array under load through a real initiator, kill -9, restart, and the question what is still there.
 *
 *   fill both LUNs ─▶ round: load ─▶ kill -9 ─▶ (kill -9 during recovery) ─▶ restart ─▶ read everything ─▶ next round
 *
 * It says what it found and asserts nothing: the suite wants no violations of the product, and some of its mutants.
 */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { poolMetric, type RunningArray, startArray } from "../array.ts";
import { PipelinedSession } from "../pipelined-session.ts";
import { Random } from "../random.ts";
import type { MadeArray } from "../small-array.ts";
import { cdb16, expectGood, fill, type LoadCounts, type LoadOptions, noCounts, runReader, runWorker } from "./crash-load.ts";
import { type PoolAtDeath, type RoundReport, replayedText } from "./crash-report.ts";
import { SLOW_REBUILD_PERCENT } from "./crash-states.ts";
import { type HealingAtKill, HealingDriver, type HealingPlan, type HealingSeen } from "./healing-driver.ts";
import { FOUND, SECTOR_BYTES, StampedData } from "./sector-stamp.ts";
import { type Violation, WriteHistory } from "./write-history.ts";

const LUNS = [0, 1];
/** By LUN. */
const POOLS = ["A", "B"];
/** One of each pool. */
const DRIVES_TO_LOSE = ["01", "06"];
const LUN_BYTES = 96 * 2 ** 20;
const WORKERS_PER_LUN_AND_SESSION = 8;
const VERIFY_SECTORS = 512;
const VERIFY_DEPTH = 8;
const LOAD_MILLISECONDS: Bounds = { least: 300, most: 2500 };
const ANY_MOMENT_SHARE = 0.3;
const LOOKS_MAX = 5;
/** A restart that is killed again, after so long. */
const RECOVERY_KILL_MILLISECONDS: Bounds = { least: 100, most: 900 };
const RECOVERY_KILL_SHARE = 0.25;

/** Small in every way, so that destage never rests, the journal wraps and compaction runs. */
const BUSY_ENV = {
  VARRAY_MEMORY_FRAMES: "64MiB",
  VARRAY_JOURNAL_BYTES: "8MiB",
  VARRAY_DRIVE_CAPACITY: "64MiB",
  VARRAY_DRIVE_ZONE: "4MiB",
  VARRAY_DESTAGE_AGE_SECONDS: "1",
  // Another suite may keep the machine busy: a director that is late is not what is looked for here.
  VARRAY_FAILOVER_HANG_MILLISECONDS: "60000",
  VARRAY_DESTAGE_DIRTY_PERCENT_MAX: "5",
  VARRAY_INITIAL_VOLUMES_0_SIZE: `${LUN_BYTES}`,
  VARRAY_INITIAL_VOLUMES_1_SIZE: `${LUN_BYTES}`,
} as const;

export interface CrashOptions {
  readonly seed: number;
  /** Another build than dist/. */
  readonly dist?: string;
  /** Over BUSY_ENV. */
  readonly env?: Readonly<Record<string, string>>;
  readonly loadMilliseconds?: Bounds;
  /** An array that was made for it (crash-states.ts); else BUSY_ENV's, in a folder of its own. */
  readonly made?: MadeArray;
  /** What its pools are to be about at each kill. */
  readonly healing?: HealingPlan;
}

interface Bounds {
  readonly least: number;
  readonly most: number;
}

export class CrashRig {
  readonly #random: Random;
  readonly #array: RunningArray;
  readonly #histories: readonly WriteHistory[];
  #sequence = 0;
  readonly #loadMilliseconds: Bounds;
  readonly #healing: readonly HealingDriver[];
  #round = 0;

  private constructor(array: RunningArray, { seed, loadMilliseconds = LOAD_MILLISECONDS, made, healing }: CrashOptions) {
    this.#random = new Random(seed);
    this.#array = array;
    this.#loadMilliseconds = loadMilliseconds;
    const lunBytes = (lun: number): number => made?.pools.get(POOLS[lun]!)?.lunBytes ?? LUN_BYTES;
    this.#histories = LUNS.map((lun) => new WriteHistory({ lun, seed, sectors: lunBytes(lun) / SECTOR_BYTES }));
    this.#healing =
      made === undefined || healing === undefined
        ? []
        : [...made.pools].map(
            ([pool, { drives }]) =>
              new HealingDriver(array, { pool, plan: healing, homes: drives, slowPercent: SLOW_REBUILD_PERCENT }),
          );
  }

  static async start(options: CrashOptions): Promise<CrashRig> {
    const { dist, env, made } = options;
    const array = await startArray({
      env: { ...BUSY_ENV, ...made?.env, ...env },
      ...(dist === undefined ? {} : { dist }),
      ...(made === undefined ? {} : { dataFolder: made.dataFolder }),
    });
    return new CrashRig(array, options);
  }

  /** Writes everything once, so that the pools are as full as they stay, and compaction has something to do. */
  async fill(): Promise<void> {
    const violations: Violation[] = [];
    const sessions = await this.#openSessions();
    const options = this.#loadOptions(violations, () => false);
    await Promise.all(this.#histories.map((history, n) => fill(sessions[n]!, history, options)));
    for (const session of sessions) session.close();
  }

  async round(): Promise<RoundReport> {
    this.#round += 1;
    const violations: Violation[] = [];
    const sessions = await this.#openSessions();
    let isOver = false;
    const options = this.#loadOptions(violations, () => isOver);
    const workers = sessions.flatMap((session) =>
      this.#histories.flatMap((history) => [
        ...Array.from({ length: WORKERS_PER_LUN_AND_SESSION }, () => runWorker(session, history, options)),
        runReader(session, history, options),
      ]),
    );
    const load = Promise.all(workers);
    // Looked at when the array is dead.
    load.catch(() => undefined);
    await Promise.all(this.#healing.map((driver) => driver.begin()));
    const loadMilliseconds = this.#between(this.#loadMilliseconds);
    await Promise.race([sleep(loadMilliseconds), load]);
    const { pools, healing } = await this.#atKill();
    await this.#array.kill9();
    isOver = true;
    await load;
    for (const session of sessions) {
      session.close();
      if (session.error !== undefined) throw session.error;
    }
    const killedInRecovery = this.#random.chance(RECOVERY_KILL_SHARE);
    if (killedInRecovery) {
      this.#array.spawn();
      await sleep(this.#between(RECOVERY_KILL_MILLISECONDS));
      await this.#array.kill9();
    }
    const startedAt = performance.now();
    await this.#array.restart();
    const readyAt = performance.now();
    const violationsInLoad = violations.length;
    const healingAtKill = await this.#healingAfter(healing);
    await this.#verifyAll(violations);
    return {
      round: this.#round,
      loadMilliseconds,
      counts: options.counts,
      pools,
      replayed: replayedText(this.#array.log),
      recoveryMilliseconds: Math.round(readyAt - startedAt),
      verifyMilliseconds: Math.round(performance.now() - readyAt),
      killedInRecovery,
      diedInDestage: pools.some((pool) => pool.batchesActive > 0),
      diedInCompaction: pools.some((pool) => pool.compactionActive > 0),
      healing: healingAtKill,
      violationsInLoad,
      violations,
    };
  }

  /**
   * Takes a drive of each pool away for good, and reads everything: what comes back is rebuilt, so it shows that parity
   * agrees with data after all the kills. Rounds after this are degraded ones.
   */
  async loseDrives(names: readonly string[] = DRIVES_TO_LOSE): Promise<readonly Violation[]> {
    await this.#array.kill9();
    for (const name of names) rmSync(join(this.#array.dataFolder, "drives", name), { recursive: true });
    await this.#array.restart();
    const violations: Violation[] = [];
    await this.#verifyAll(violations);
    return violations;
  }

  /**
   * Lets what is brought up to date come to its end, then does without as many other drives as each pool can: what was
   * rebuilt through all the kills proves itself.
   */
  async loseDrivesNotRebuilt(tolerance: (pool: string) => number): Promise<readonly Violation[]> {
    const names = await Promise.all(this.#healing.map((driver, n) => driver.end(tolerance(POOLS[n]!))));
    return this.loseDrives(names.flat());
  }

  /** @param keepData - for looking at what is wrong in it */
  async remove(keepData = false): Promise<void> {
    if (keepData) {
      await this.#array.kill9();
      process.stdout.write(`crash test: the data is kept in ${this.#array.dataFolder}\n`);
    } else await this.#array.remove();
  }

  #between({ least, most }: Bounds): number {
    return this.#random.between(least, most);
  }

  /** Two through each portal: one that sends its data along, one that is asked for it. Both LUNs are used through all. */
  async #openSessions(): Promise<PipelinedSession[]> {
    const { portalPorts, targetName } = this.#array;
    const sessions = await Promise.all(
      [false, true].flatMap((solicited) => portalPorts.map((port) => PipelinedSession.open({ port, targetName, solicited }))),
    );
    for (const session of sessions) for (const lun of LUNS) await session.testUnitReady(lun);
    return sessions;
  }

  #loadOptions(violations: Violation[], isOver: () => boolean): LoadOptions & { readonly counts: LoadCounts } {
    const counts = noCounts();
    const nextSequence = (): number => {
      this.#sequence += 1;
      return this.#sequence;
    };
    return { random: this.#random, nextSequence, counts, violations, isOver };
  }

  /** A pool that was refused leaves its LUN not ready: told as a violation, with the pool's reason. */
  async #verifyAll(violations: Violation[]): Promise<void> {
    const pools = await Promise.all(POOLS.map((name) => this.#array.pool(name)));
    pools.forEach(({ state, reason = "" }, lun) => {
      if (state === "failed") violations.push({ kind: "unreachable", lun, sector: 0, detail: reason });
    });
    if (pools.some(({ state }) => state === "failed")) return;
    await Promise.all(this.#histories.map((history) => this.#verify(history, violations)));
  }

  /** Reads the whole LUN, pieces through either portal in turn, and goes on from what is there. */
  async #verify(history: WriteHistory, violations: Violation[]): Promise<void> {
    const sequences = new Uint32Array(history.sectors);
    const sessions = await this.#openSessions();
    let next = 0;
    const reader = async (): Promise<void> => {
      while (next < history.sectors) {
        const firstSector = next;
        next += VERIFY_SECTORS;
        const sectors = Math.min(VERIFY_SECTORS, history.sectors - firstSector);
        const session = sessions[(firstSector / VERIFY_SECTORS + this.#round) % sessions.length]!;
        const askedAt = history.now();
        const { lun } = history;
        const answer = await session.execute(cdb16(0x88, firstSector, sectors), { lun, readBytes: sectors * SECTOR_BYTES });
        expectGood(answer, `read of LUN ${lun} sectors ${firstSector} + ${sectors} after the restart`);
        violations.push(...history.check(answer.data, firstSector, askedAt));
        const found = new StampedData(answer.data, { lun, seed: history.seed, firstSector });
        for (let n = 0; n < sectors; n++) sequences[firstSector + n] = found.kind(n) === FOUND.stamp ? found.sequence(n) : 0;
      }
    };
    try {
      await Promise.all(Array.from({ length: VERIFY_DEPTH }, reader));
    } finally {
      for (const session of sessions) session.close();
    }
    history.settle(sequences);
  }

  /** Mostly the kill waits a moment for a destage batch to be under way; else it comes when it comes. */
  async #atKill(): Promise<{ pools: PoolAtDeath[]; healing: HealingSeen[] }> {
    let looks = this.#random.chance(ANY_MOMENT_SHARE) ? 1 : LOOKS_MAX;
    for (;;) {
      const healing = await Promise.all(this.#healing.map((driver) => driver.look()));
      const pools = await this.#poolsNow();
      looks -= 1;
      if (looks === 0 || pools.some((pool) => pool.batchesActive > 0))
        return { pools, healing: healing.filter((seen) => seen !== undefined) };
    }
  }

  #healingAfter(before: readonly HealingSeen[]): Promise<HealingAtKill[]> {
    return Promise.all(before.map((seen) => this.#healing[POOLS.indexOf(seen.pool)]!.after(seen)));
  }

  async #poolsNow(): Promise<PoolAtDeath[]> {
    const response = await this.#array.api("/metrics");
    const text = await response.text();
    return POOLS.map((pool) => ({
      journalLiveBytes: poolMetric(text, "varray_journal_live_bytes", pool),
      dirtyBlocks: poolMetric(text, "varray_write_pending_blocks", pool),
      batchesActive: poolMetric(text, "varray_destage_batches_active", pool),
      compactionActive: poolMetric(text, "varray_compaction_active", pool),
    }));
  }
}
