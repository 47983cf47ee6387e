/**
 * What is done to the pool of one RAID level under load, and what the array says of it. A story asserts nothing: it says what it found.
 *
 *   lost together, as many as may be:  spares rebuilt, all there
 *   beyond redundancy:                 strips of one drive more than may be bad │ one drive more while spares are rebuilt
 *                                      ─▶ lost: what hosts see, what the array lists ─▶ written anew
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { FaultRule } from "../../../drivers/drive/drive-faults.ts";
import { raidLevel } from "../../../src/raid/raid-levels.ts";
import type { LostSeen, PoolSeen, RunningArray } from "../array.ts";
import { BLOCK_SECTORS } from "../crash/write-history.ts";
import { isHealed, moveDrive, setRebuildShare, untilPool } from "../healed.ts";
import { type LevelCase, lostColumns } from "./level-cases.ts";
import { LevelHost } from "./level-host.ts";

const BLOCK_BYTES = 4096;
const STRIP_BLOCKS = 4;
/** Nothing works any more: the first write has it out. */
const BROKEN: readonly FaultRule[] = [{ fault: "writeError" }, { fault: "readError" }];
const FAST_PERCENT = 100;
/** So many zones a spare can't be given before one drive more is lost: neither the oldest, which go first, nor what is still in memory. */
const ZONES_HELD = 3;
const AGREE_MILLISECONDS_MAX = 120_000;
const AGREE_LOOK_MILLISECONDS = 500;
const BAD_STRIPE = 8;
const BAD_STRIPES = 2;
/** A stripe of which as many strips are bad as may be. */
const HALF_BAD_STRIPE = 24;
const FRESH_BLOCKS = 256;
/** Of the LUN, from its beginning on: what load keeps to while something is beyond redundancy. The rest stays as it was. */
const WORKED_SHARE = 0.25;
const ZONE_NAME = /^\d+$/;

export interface LossSeen {
  /** Blocks of 4 KiB that answer MEDIUM ERROR. */
  readonly unreadable: ReadonlySet<number>;
  /** Blocks that the array lists, and how many bytes it says in all. */
  readonly listed: ReadonlySet<number>;
  readonly lostBytes: number;
  readonly unlistedBytes: number;
}

export class LevelStory {
  readonly level: LevelCase;
  readonly host: LevelHost;
  readonly #array: RunningArray;

  constructor(array: RunningArray, level: LevelCase, options: { lun: number; bytes: number; seed: number }) {
    this.#array = array;
    this.level = level;
    this.host = new LevelHost(array, options);
  }

  async fill(): Promise<void> {
    await this.host.fill();
    await this.#array.destage(this.level.pool);
  }

  /** As many drives as may be, pulled and broken in turn, while hosts write and read. Resolves when spares have all of it. */
  async loseAsMany(): Promise<PoolSeen> {
    await this.host.start();
    await this.host.goesOn();
    await this.#lose(this.level.lose);
    await this.host.goesOn();
    const healed = await this.#until("spares are rebuilt", isHealed);
    await this.host.goesOn();
    await this.host.stop();
    await this.#array.destage(this.level.pool);
    return healed;
  }

  /**
   * Strips of as many drives as may be, and elsewhere of one more, can't be read any more.
   * @returns how many blocks that makes
   */
  async spoilStrips(): Promise<number> {
    const { lose, oneMore, pool } = this.level;
    const zone = this.#lastFullZone();
    const names = (await this.#array.pool(pool)).drives.map(({ name }) => name);
    const bad = (firstStrip: number, stripCount: number): FaultRule => ({
      ...{ fault: "readError", operations: ["read"], zone, firstStrip, stripCount },
    });
    const tooMany = [...lose, oneMore];
    for (const position of tooMany) {
      const few = position === oneMore ? [] : [bad(HALF_BAD_STRIPE, 1)];
      await this.#setFaults(names[position]!, [bad(BAD_STRIPE, BAD_STRIPES), ...few]);
    }
    let columns = 0;
    for (let n = 0; n < BAD_STRIPES; n++) columns += lostColumns(this.level, BAD_STRIPE + n, tooMany);
    return columns * STRIP_BLOCKS;
  }

  async soundAgain(): Promise<void> {
    for (const { name } of (await this.#array.pool(this.level.pool)).drives) await this.#setFaults(name, []);
  }

  /**
   * One drive more than may be, while spares are rebuilt, under load.
   * @returns blocks that were written after the spares had their places: all drives have those
   */
  async loseOneMore(): Promise<ReadonlySet<number>> {
    const { lose, oneMore, pool } = this.level;
    await setRebuildShare(this.#array, pool, FAST_PERCENT);
    // A rebuild waits for room as long as it takes: so it is under way for sure, however busy the machine is.
    const held = this.#zones().slice(-2 * ZONES_HELD, -ZONES_HELD);
    const spares = (await this.#array.pool(pool)).drives.filter(({ state }) => state === "spare");
    for (const { name } of spares)
      await this.#setFaults(
        name,
        held.map((zone) => ({ fault: "noSpace", zone })),
      );
    // What is not read stays out of memory, from where it would be written anew.
    const { workedSectors } = this;
    await this.host.start({ workedSectors, readSectors: workedSectors });
    await this.#lose(lose);
    await this.#until("a spare is rebuilt", ({ rebuild }) => rebuild !== undefined && rebuild.zonesTotal > 0);
    await this.host.goesOn();
    const fresh = new Set(Array.from({ length: FRESH_BLOCKS }, (_, n) => this.#blocks - FRESH_BLOCKS + n));
    await this.host.rewrite(fresh);
    await this.#array.destage(pool);
    const seen = await this.#array.pool(pool);
    if (seen.rebuild === undefined) throw new Error(`pool ${pool}: the rebuild was over too soon`);
    this.host.mediumErrorsAllowed = true;
    const { name: broken } = seen.drives[oneMore]!;
    await this.#setFaults(broken, BROKEN);
    // Its spare may have its place by then.
    await this.#until("one drive more is out", ({ drives }) =>
      drives.some(({ name, state }) => name === broken && state === "failed"),
    );
    await this.host.goesOn();
    for (const { name } of spares) await this.#setFaults(name, []);
    await this.#until("spares are rebuilt", isHealed);
    await this.host.goesOn();
    await this.host.stop();
    return fresh;
  }

  /** What is lost, once what hosts see and what the array says agree; or when they don't for long. */
  async loss(): Promise<LossSeen> {
    const until = performance.now() + AGREE_MILLISECONDS_MAX;
    for (;;) {
      const unreadable = await this.host.readAll();
      const { lost } = await this.#array.pool(this.level.pool);
      const found = { unreadable, ...listedOf(lost) };
      const agree = unreadable.size * BLOCK_BYTES === found.lostBytes;
      if (agree || performance.now() > until) return found;
      await sleep(AGREE_LOOK_MILLISECONDS);
    }
  }

  /** Hosts write what is lost anew, as whole blocks. */
  async heal(blocks: ReadonlySet<number>): Promise<void> {
    await this.host.rewrite(blocks);
    this.host.mediumErrorsAllowed = false;
    await this.#array.destage(this.level.pool);
  }

  get workedSectors(): number {
    return WORKED_SHARE * this.host.history.sectors;
  }

  state(): Promise<PoolSeen> {
    return this.#array.pool(this.level.pool);
  }

  get #blocks(): number {
    return this.host.history.sectors / BLOCK_SECTORS;
  }

  /** Resolves when other drives have their places. */
  async #lose(positions: readonly number[]): Promise<void> {
    const { drives } = await this.#array.pool(this.level.pool);
    const names = positions.map((position) => drives[position]!.name);
    for (const [n, name] of names.entries()) {
      // One out of its slot, the next one there and broken; of a pair's, a copy's or a parity's drives each once.
      if ((n + positions[0]!) % 2 === 0) await moveDrive(this.#array, name, "pull");
      else await this.#setFaults(name, BROKEN);
    }
    await this.#untilReplaced(names);
  }

  async #untilReplaced(names: readonly string[]): Promise<void> {
    const { driveCount } = raidLevel(this.level.raid);
    await this.#until("spares have the places", ({ drives }) => {
      return !drives.slice(0, driveCount).some(({ name }) => names.includes(name));
    });
  }

  /** Written whole, and full of what nobody has overwritten: not the last, which was closed early. */
  #lastFullZone(): number {
    return this.#zones().at(-2)!;
  }

  /** Numbers of the zones on the drives, rising. */
  #zones(): number[] {
    const drives = join(this.#array.dataFolder, "drives");
    const prefix = this.level.pool.toLowerCase();
    const zones = new Set<number>();
    for (const drive of readdirSync(drives).filter((name) => name.startsWith(prefix)))
      for (const zone of readdirSync(join(drives, drive, "zones"))) if (ZONE_NAME.test(zone)) zones.add(Number(zone));
    return [...zones].sort((a, b) => a - b);
  }

  async #setFaults(drive: string, rules: readonly FaultRule[]): Promise<void> {
    const path = `/api/v1/faults/drives/${drive}`;
    const request = rules.length === 0 ? { method: "DELETE" } : { method: "PUT", body: { seed: 1, rules } };
    const response = await this.#array.api(path, request);
    if (response.status !== 200) throw new Error(`faults of drive ${drive}: ${response.status} ${await response.text()}`);
  }

  #until(what: string, is: (seen: PoolSeen) => boolean): Promise<PoolSeen> {
    return untilPool(this.#array, this.level.pool, what, is);
  }
}

function listedOf(lost: LostSeen | undefined): { listed: Set<number>; lostBytes: number; unlistedBytes: number } {
  const listed = new Set<number>();
  for (const { firstLba, lbaCount, logicalBlockBytes } of lost?.ranges ?? []) {
    const perBlock = BLOCK_BYTES / logicalBlockBytes;
    for (let lba = firstLba; lba < firstLba + lbaCount; lba += perBlock) listed.add(lba / perBlock);
  }
  return { listed, lostBytes: lost?.lostBytes ?? 0, unlistedBytes: lost?.unlistedBytes ?? 0 };
}
