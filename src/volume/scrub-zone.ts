/**
 * Scrubs one zone: reads all that its drives have of it, and judges every strip, every block, parity and copies.
 *
 *   runs of stripes ─▶ checked in bulk (verify-stripes.ts) ─▶ stripes with something wrong ─▶ looked at one by one: does
 *     anything live in it, and is all of that to be had? ─▶ findings, blocks that are lost
 *
 * Runs on: the owning director's thread; the checking itself on its thread pool.
 * Invariants:
 *  1. Nothing here writes to a drive: what is wrong is moved afterwards, whole zones at a time (scrub.ts).
 *  2. A zone can't be removed while one of its runs is read (`reading`); between two runs it may be. One in which nothing
 *     lives any more is let be: a drive that was rebuilt since does without it.
 *  3. Nothing is waited for but reads and checks while a region of staging is held.
 */
import { DriveError } from "../../drivers/drive/drive.ts";
import type { Address } from "../../drivers/shared-memory/global-memory.ts";
import { MASK_FULL } from "../cache/frame-pool.ts";
import { PAGE_BLOCKS, PAGE_NOT_LOADED } from "../map/map-pages.ts";
import { ZONE_STATE } from "../map/zone-table.ts";
import { placeOf } from "../raid/geometry.ts";
import { isFenced } from "../raid/raid-group.ts";
import { blockProof, PADDING_VOLUME, readTag } from "../raid/strip.ts";
import { type ScanRun, StripeScan } from "../raid/stripe-scan.ts";
import { NO_STRIPS, SCRATCH_STRIPS } from "../raid/stripes-job.ts";
import type { StripFinding } from "../raid/verify-stripes.ts";
import { type BackgroundPace, LANES } from "./background-pace.ts";
import { POOL_COUNT } from "./pool-counters.ts";
import type { PoolParts } from "./pool-parts.ts";

export interface LostBlock {
  readonly volume: number;
  readonly block: number;
}

export interface ZoneFindings {
  /** By drive position: strips of stripes in which something lives that are not what they should be. */
  readonly badStrips: Map<number, number>;
  /** Blocks that live, and that nothing has any more. */
  readonly lost: LostBlock[];
  /** Blocks that live, and that no drive proves: those, and such as memory has. */
  unproven: number;
  /** Strips of data of which not even a tag is to be had: what lived in them is not known. */
  lostStrips: number;
  bytesRead: number;
}

/** What a strip says that it holds, at its place. */
interface NamedBlock extends LostBlock {
  readonly place: number;
  /** The stripe proves it. */
  readonly isGood: boolean;
}

/** A stripe that is not all as it should be. */
interface Doubtful {
  readonly zone: number;
  readonly stripe: number;
  readonly findings: readonly StripFinding[];
  readonly found: ZoneFindings;
}

export interface ScrubZoneOptions {
  readonly pool: PoolParts;
  readonly pace: BackgroundPace;
  /** Before each run: resolves when it may go on; false: no more. */
  readonly mayGoOn: () => Promise<boolean>;
}

export class ScrubZone {
  readonly #options: ScrubZoneOptions;
  readonly #pool: PoolParts;
  readonly #scan: StripeScan;
  /** Stripes of a run: all drives' strips of it, and what checking needs, fit a region of staging. */
  readonly #stripesPerRun: number;

  constructor(options: ScrubZoneOptions) {
    const { geometry, staging } = options.pool;
    this.#options = options;
    this.#pool = options.pool;
    this.#scan = new StripeScan(options.pool);
    const strips = staging.batchStripes * geometry.stripCount - SCRATCH_STRIPS;
    this.#stripesPerRun = Math.max(1, Math.min(staging.batchStripes, Math.floor(strips / geometry.driveCount)));
    if (strips < geometry.driveCount) throw new Error("invariant: a region of staging holds a stripe and what checks it");
  }

  /** @returns undefined when it was stopped, or the zone went away meanwhile */
  async run(slot: number): Promise<ZoneFindings | undefined> {
    const { map, zoneUse } = this.#pool;
    const zone = map.zones.zone[slot]!;
    const stripes = map.zones.stripes[slot]!;
    const found: ZoneFindings = { badStrips: new Map(), lost: [], unproven: 0, lostStrips: 0, bytesRead: 0 };
    const doubtful: StripFinding[] = [];
    let next = 0;
    let whole = true;
    const lives = (): boolean => map.zones.live[slot]! > 0 || zoneUse.uncommitted[slot]! > 0;
    const isThere = (): boolean => map.zones.zone[slot] === zone && map.zones.state[slot] === ZONE_STATE.sealed && lives();
    const lane = async (): Promise<void> => {
      while (whole && next < stripes) {
        if (!(await this.#options.mayGoOn()) || !isThere()) {
          whole = false;
          return;
        }
        const began = await this.#options.pace.turn();
        // It may have gone meanwhile: nothing holds it but a read.
        if (!isThere()) whole = false;
        if (!whole || next >= stripes) return;
        const firstStripe = next;
        const count = Math.min(this.#stripesPerRun, stripes - firstStripe);
        next += count;
        doubtful.push(...(await zoneUse.whileReading(slot, () => this.#check({ zone, firstStripe, count, found }))));
        this.#options.pace.took(began);
      }
    };
    await Promise.all(Array.from({ length: LANES }, lane));
    for (const [stripe, findings] of groupByStripe(doubtful)) {
      if (!whole || !(await this.#options.mayGoOn()) || !isThere()) return undefined;
      await this.#look(slot, { zone, stripe, findings, found });
    }
    return whole ? found : undefined;
  }

  /** Reads a run and has it checked. */
  async #check({
    zone,
    firstStripe,
    count,
    found,
  }: {
    zone: number;
    firstStripe: number;
    count: number;
    found: ZoneFindings;
  }): Promise<StripFinding[]> {
    const { bulk, counters, geometry, staging } = this.#pool;
    const { level, shape } = geometry;
    const late: Promise<void>[] = [];
    const base = await staging.batches.take();
    try {
      const laneBytes = count * shape.stripBytes;
      const strips = await Promise.all(
        Array.from({ length: level.driveCount }, (_, position) =>
          this.#read({ zone, firstStripe, count, position, address: base + position * laneBytes, late }),
        ),
      );
      const bytesRead = strips.filter((address) => address !== NO_STRIPS).length * laneBytes;
      found.bytesRead += bytesRead;
      counters[POOL_COUNT.scrubbedBytes]! += bytesRead;
      const { config: raid } = level;
      const scratch = base + level.driveCount * laneBytes;
      return await bulk.verify({ raid, blocksPerStrip: shape.blocksPerStrip, zone, firstStripe, count, strips, scratch });
    } finally {
      staging.batches.giveLanded(base, late);
    }
  }

  /** Where the strips of a drive are; a strip that it does not give is zeros there. NO_STRIPS: the drive is not there. */
  async #read(run: {
    readonly zone: number;
    readonly firstStripe: number;
    readonly count: number;
    readonly position: number;
    readonly address: Address;
    readonly late: Promise<void>[];
  }): Promise<Address> {
    const { group, geometry, global } = this.#pool;
    const { stripBytes } = geometry.shape;
    const { zone, firstStripe, count, position, address, late } = run;
    const drive = group.readable(position, zone);
    if (drive === undefined) return NO_STRIPS;
    const read = async (n: number, strips: number): Promise<boolean> => {
      const at = address + n * stripBytes;
      try {
        await drive.readStrips({
          zone,
          firstStrip: firstStripe + n,
          count: strips,
          address: at,
          strideBytes: stripBytes,
          mayLack: true,
        });
        return true;
      } catch (error) {
        if (isFenced(error) || !(error instanceof DriveError)) throw error;
        if (error.landed !== undefined) late.push(error.landed);
        if (error.kind !== "notFound" && error.kind !== "unrecoveredRead") await group.lose(position, error, drive);
        return false;
      }
    };
    if (await read(0, count)) return address;
    // One that is not there hides the others.
    for (let n = 0; n < count && group.readable(position, zone) === drive; n++) {
      if (count === 1 || !(await read(n, 1))) global.kernels.fill(address + n * stripBytes, 0, stripBytes);
    }
    return group.readable(position, zone) === drive ? address : NO_STRIPS;
  }

  /** A stripe with something wrong: counts only if something lives in it. */
  async #look(slot: number, { zone, stripe, findings, found }: Doubtful): Promise<void> {
    const { map, reader, zoneUse } = this.#pool;
    const { named, lostStrips } = await zoneUse.whileReading(slot, () => this.#named(slot, zone, stripe));
    const living: NamedBlock[] = [];
    for (const block of named) if ((await this.#mapped(block)) === block.place) living.push(block);
    // What the slot holds by now is none of this.
    if (map.zones.zone[slot] !== zone) return;
    // Of a strip that is gone without a trace nobody here can say whether something lives in it.
    found.lostStrips += lostStrips;
    if (living.length === 0) return;
    const unproven = living.filter(({ isGood }) => !isGood);
    found.unproven += unproven.length;
    found.lost.push(...unproven.filter((block) => !this.#isInMemory(block)));
    for (const position of new Set(findings.map((finding) => finding.position))) {
      found.badStrips.set(position, (found.badStrips.get(position) ?? 0) + 1);
      // What no source proves any more is held against nobody: it may have been written so.
      if (unproven.length === 0 && lostStrips === 0) reader.blame(position, { zone, stripe });
    }
  }

  /** What the stripe's strips say that they hold, and how many of them are gone without a trace. */
  async #named(slot: number, zone: number, stripe: number): Promise<{ named: NamedBlock[]; lostStrips: number }> {
    const { geometry, staging } = this.#pool;
    const base = await staging.batches.take();
    try {
      const run: ScanRun = { zone, firstStripe: stripe, count: 1, base, copy: 0 };
      await this.#scan.read(run);
      const named: NamedBlock[] = [];
      let lostStrips = 0;
      for (let column = 0; column < geometry.dataDrives; column++) {
        if (await this.#scan.restore(run, 0, column)) named.push(...this.#namedBy({ slot, run, column }));
        else lostStrips += 1;
      }
      return { named, lostStrips };
    } finally {
      staging.batches.giveLanded(base, this.#scan.late.splice(0));
    }
  }

  #namedBy({ slot, run, column }: { slot: number; run: ScanRun; column: number }): NamedBlock[] {
    const { geometry, global, map } = this.#pool;
    const { shape } = geometry;
    const strip = this.#scan.addressOf(run, 0, column);
    const named: NamedBlock[] = [];
    for (let index = 0; index < shape.blocksPerStrip; index++) {
      const { volume, block } = readTag(global, strip, shape, index);
      if (volume === PADDING_VOLUME || !map.pages.hasVolume(volume)) continue;
      const place = placeOf(geometry, { slot, stripe: run.firstStripe, column, index });
      named.push({ volume, block, place, isGood: blockProof(global, strip, shape, index, run.zone) === "good" });
    }
    return named;
  }

  /** Where the block lives: a part of the map that is not in memory is brought there, as what is dead must not count. */
  async #mapped({ volume, block }: LostBlock): Promise<number> {
    const { map } = this.#pool;
    for (;;) {
      const place = map.lookup(volume, block);
      if (place !== PAGE_NOT_LOADED) return place;
      await map.loadPage(volume, Math.floor(block / PAGE_BLOCKS));
    }
  }

  /** From there it is written anew (losses.ts). */
  #isInMemory({ volume, block }: LostBlock): boolean {
    const { cache, frames } = this.#pool;
    const frame = cache.find(volume, block);
    return frame >= 0 && frames.mask[frame] === MASK_FULL && frames.poisoned[frame] === 0;
  }
}

function groupByStripe(findings: readonly StripFinding[]): Map<number, StripFinding[]> {
  const groups = new Map<number, StripFinding[]>();
  for (const finding of findings) {
    const group = groups.get(finding.stripe);
    if (group === undefined) groups.set(finding.stripe, [finding]);
    else group.push(finding);
  }
  return groups;
}
