/**
 * Reads all that a pool has on its drives, on a schedule and on command, and mends what it finds before a second fault meets
 * the first.
 *
 *   due, or commanded ─▶ open zones finished ─▶ zone by zone, in the order of their numbers (scrub-zone.ts)
 *     ─▶ nothing wrong: the next ─▶ last: finished, on record
 *     ─▶ something wrong: told, and what lives in the zone moved to new stripes whole (Compactor.evacuate)
 *
 * Zones never change: so a bad strip is not written again where it was, and a pass has seen everything that was on the drives
 * when it began, once it has seen all zones with a number below the next one of then. That is also how a pass goes on after
 * a restart or a takeover: from the first zone that is not on record as done. A pause ends with the director.
 *
 * The schedule counts the time that the pool is served: nothing here knows the time of day.
 *
 * Runs on: the owning director's thread; a share of its time while hosts are active, and none while a drive is rebuilt.
 * Invariant: what is found and can't be mended is told, by volume and blocks; it stays a medium error.
 */
import type { ScrubResult, ScrubStatus } from "../control/contract.ts";
import { ZONE_STATE } from "../map/zone-table.ts";
import type { ZoneAppender } from "../raid/zone-appender.ts";
import { BackgroundPace } from "./background-pace.ts";
import { BLOCK_BYTES } from "./block-io.ts";
import type { Compactor } from "./compactor.ts";
import type { HealingSettings } from "./healing-settings.ts";
import { PoolClosedError } from "./pool-closed-error.ts";
import { POOL_COUNT } from "./pool-counters.ts";
import type { ScrubDocument } from "./pool-document.ts";
import type { PoolParts } from "./pool-parts.ts";
import type { PoolRecord } from "./pool-record.ts";
import { pause } from "./runtime.ts";
import { type LostBlock, ScrubZone, type ZoneFindings } from "./scrub-zone.ts";

/** How often the record is brought up to date: what a restart repeats of a pass, or forgets of the schedule. */
const RECORD_PASS_MILLISECONDS = 60_000;
const RECORD_IDLE_MILLISECONDS = 3_600_000;
const WAIT_MILLISECONDS = 1000;
/** Ranges that are told of one by one; beyond, how many more there are. */
const LOST_EVENTS_MAX = 16;
const HOUR_MILLISECONDS = 3_600_000;

export interface ScrubOptions {
  readonly pool: PoolParts;
  readonly record: PoolRecord;
  readonly compactor: Compactor;
  readonly settings: HealingSettings;
  readonly appenders: readonly ZoneAppender[];
  /** What is more urgent goes first. */
  readonly isRebuilding: () => boolean;
}

/** What one pass has found by now. A restart forgets it; what was told stays told. */
interface Tally {
  bytesRead: number;
  badStrips: number;
  movedZones: number;
  lostBlocks: number;
  lostStrips: number;
  /** LOST_EVENTS_MAX of a pass. */
  events: number;
}

export class Scrub {
  readonly pace: BackgroundPace;
  readonly #options: ScrubOptions;
  readonly #pool: PoolParts;
  readonly #zones: ScrubZone;
  #document: ScrubDocument;
  #running: Promise<void> | undefined;
  #tally = newTally();
  #isPaused = false;
  #cancelled = false;
  #stopping = false;
  #zonesDone = 0;
  #zonesTotal = 0;
  /** Of this pass, since it began or went on here. */
  #since = 0;
  #recordedAt: number;

  constructor(options: ScrubOptions) {
    const { pool, settings, record } = options;
    this.#options = options;
    this.#pool = pool;
    this.pace = new BackgroundPace(pool, settings.scrubSharePercent);
    this.#zones = new ScrubZone({ pool, pace: this.pace, mayGoOn: () => this.#mayGoOn() });
    this.#document = record.document.scrub ?? { sinceHours: 0 };
    this.#recordedAt = pool.runtime.nowMilliseconds();
  }

  /** Every second. */
  tick(): void {
    if (this.#stopping || this.#pool.health.failed || this.#running !== undefined) return;
    const { scrubIntervalHours } = this.#options.settings;
    const isDue = scrubIntervalHours > 0 && this.#sinceHours() >= scrubIntervalHours;
    if (this.#document.pass !== undefined || isDue) this.#begin();
    else if (this.#pool.runtime.nowMilliseconds() - this.#recordedAt >= RECORD_IDLE_MILLISECONDS) this.#note();
  }

  /** On command: a pass begins now; one that is paused goes on. */
  start(): void {
    this.#isPaused = false;
    if (this.#running === undefined && !this.#stopping && !this.#pool.health.failed) this.#begin();
  }

  /** False: none is under way. */
  hold(): boolean {
    if (this.#running === undefined) return false;
    this.#isPaused = true;
    return true;
  }

  /** Gives the pass up; the next begins anew. False: none is under way. */
  async cancel(): Promise<boolean> {
    if (this.#running === undefined) return false;
    this.#cancelled = true;
    this.#isPaused = false;
    await this.#running;
    return true;
  }

  /** Comes to rest at the next step. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#running;
  }

  get status(): ScrubStatus {
    const { scrubIntervalHours } = this.#options.settings;
    const { last } = this.#document;
    const isRunning = this.#running !== undefined;
    const seconds = (this.#pool.runtime.nowMilliseconds() - this.#since) / 1000;
    const left = this.#zonesDone > 0 ? Math.ceil((seconds / this.#zonesDone) * (this.#zonesTotal - this.#zonesDone)) : undefined;
    return {
      state: isRunning ? (this.#isPaused ? "paused" : "running") : "idle",
      sharePercent: this.pace.sharePercent,
      intervalHours: scrubIntervalHours,
      hoursSinceLast: Math.round(this.#sinceHours() * 100) / 100,
      ...(isRunning ? { zonesDone: this.#zonesDone, zonesTotal: this.#zonesTotal, found: resultOf(this.#tally) } : {}),
      ...(isRunning && left !== undefined ? { secondsLeft: left } : {}),
      ...(last === undefined ? {} : { last }),
    };
  }

  #begin(): void {
    const { counters, health } = this.#pool;
    this.#cancelled = false;
    counters[POOL_COUNT.scrubActive] = 1;
    this.#running = this.#run()
      .catch((error: unknown) => {
        if (!(error instanceof PoolClosedError)) health.fail(error);
      })
      .finally(() => {
        this.#running = undefined;
        this.#isPaused = false;
        counters[POOL_COUNT.scrubActive] = 0;
      });
  }

  async #run(): Promise<void> {
    const { map, name, runtime } = this.#pool;
    this.#tally = newTally();
    this.#since = runtime.nowMilliseconds();
    const goesOn = this.#document.pass;
    if (goesOn === undefined) {
      await this.#record({ pass: { nextZone: 1, untilZone: await this.#closed() } });
      runtime.reached("scrub.begun");
    }
    const pass = this.#document.pass!;
    this.#zonesDone = 0;
    const how = goesOn === undefined ? "begins" : `goes on at zone ${pass.nextZone}`;
    this.#event("info", "scrub.started", `pool ${name}: the scrub of all zones below ${pass.untilZone} ${how}`);
    for (;;) {
      const { nextZone, untilZone } = this.#document.pass!;
      const todo = this.#slotsFrom(nextZone, untilZone);
      this.#zonesTotal = this.#zonesDone + todo.length;
      const slot = todo[0];
      if (slot === undefined) break;
      if (!(await this.#mayGoOn())) return this.#cut();
      const zone = map.zones.zone[slot]!;
      await this.#zone(slot);
      if (this.#stopping || this.#cancelled || this.#pool.health.failed) return this.#cut();
      runtime.reached("scrub.zoneDone");
      this.#zonesDone += 1;
      this.#document = { ...this.#document, pass: { nextZone: zone + 1, untilZone } };
      if (runtime.nowMilliseconds() - this.#recordedAt >= RECORD_PASS_MILLISECONDS) await this.#record({});
    }
    await this.#finish();
  }

  async #zone(slot: number): Promise<void> {
    const { counters, driveHealth, group, map, space } = this.#pool;
    const zone = map.zones.zone[slot]!;
    const found = await this.#zones.run(slot);
    if (found === undefined) return;
    counters[POOL_COUNT.scrubbedZones]! += 1;
    this.#tally.bytesRead += found.bytesRead;
    const isBad = found.badStrips.size > 0 || found.unproven > 0;
    if (!isBad && found.lostStrips === 0) return;
    if (isBad) this.#tell(zone, found);
    // Not all of it can be moved: it is looked into (losses.ts).
    if (found.unproven > 0) driveHealth.damagedZones.add(zone);
    // Whether something lives in what is gone without a trace shows as it is moved. Where a drive is away that may have it, that may
    // take room, and give none: then there must be enough.
    const isDoubtful = found.lostStrips > 0 && group.mayComeBack && space.freeZones <= space.freeZonesWanted;
    if (!isDoubtful) await this.#options.compactor.evacuate(slot);
    // All that the map names in the zone was had: nothing lived in what is gone without a trace. (Drives that were rebuilt one
    // after the other have none of the stripes that were dead by then.)
    if (map.zones.zone[slot] !== zone || map.zones.state[slot] === ZONE_STATE.free) this.#tally.movedZones += 1;
    else this.#tally.lostStrips += found.lostStrips;
  }

  #tell(zone: number, found: ZoneFindings): void {
    const { counters, group, name } = this.#pool;
    let strips = 0;
    const drives: string[] = [];
    for (const [position, count] of found.badStrips) {
      strips += count;
      drives.push(`${count} of drive ${group.members[position]!.name}`);
    }
    this.#tally.badStrips += strips;
    this.#tally.lostBlocks += found.lost.length;
    counters[POOL_COUNT.scrubBadStrips]! += strips;
    counters[POOL_COUNT.scrubLostBlocks]! += found.lost.length;
    const what = `pool ${name}: zone ${zone} has ${strips} strips that are not what was written (${drives.join(", ")})`;
    this.#event("warning", "scrub.found", `${what}; what lives in it is moved to new stripes`);
    for (const range of rangesOf(found.lost)) this.#tellLost(range);
  }

  #tellLost({ volume, firstBlock, blockCount }: LostRange): void {
    const document = this.#pool.volumes.get(volume)?.document;
    this.#tally.events += 1;
    if (document === undefined || this.#tally.events > LOST_EVENTS_MAX) return;
    const perBlock = BLOCK_BYTES / document.logicalBlockBytes;
    const [first, last] = [firstBlock * perBlock, (firstBlock + blockCount) * perBlock - 1];
    this.#pool.runtime.raise({
      severity: "critical",
      type: "scrub.lost",
      subject: `volume ${document.name}`,
      message: `volume ${document.name}: logical blocks ${first} to ${last} are lost; they answer MEDIUM ERROR until they are written again`,
    });
  }

  async #finish(): Promise<void> {
    const { name } = this.#pool;
    const result = resultOf(this.#tally);
    this.#document = { sinceHours: 0, last: result };
    this.#recordedAt = this.#pool.runtime.nowMilliseconds();
    await this.#record({});
    this.#pool.runtime.reached("scrub.finished");
    const { badStrips, lostBlocks, lostStrips, movedZones } = result;
    const unsaid = this.#tally.events - LOST_EVENTS_MAX;
    const found =
      badStrips === 0 && lostBlocks === 0 && lostStrips === 0
        ? "everything is as it should be"
        : `${badStrips} bad strips, ${movedZones} zones moved, ${lostBlocks} blocks lost${unsaid > 0 ? ` (${unsaid} ranges are not told one by one)` : ""}${lostStrips > 0 ? `, ${lostStrips} strips of which nothing is known` : ""}`;
    this.#event(
      lostBlocks + lostStrips > 0 ? "critical" : badStrips > 0 ? "warning" : "info",
      "scrub.finished",
      `pool ${name}: the scrub of ${this.#zonesDone} zones is finished: ${found}`,
    );
  }

  /** Stopped: the next start goes on. Cancelled: it is forgotten. */
  async #cut(): Promise<void> {
    if (this.#cancelled) {
      const { pass: _, ...rest } = this.#document;
      this.#document = rest;
      this.#event("info", "scrub.cancelled", `pool ${this.#pool.name}: the scrub was cancelled`);
    }
    if (!this.#pool.health.failed) await this.#record({});
  }

  /** Zones below the answer have all that was written before, and are sealed. */
  async #closed(): Promise<number> {
    const { nextZone } = this.#pool.map.zones;
    for (const appender of this.#options.appenders) await appender.closed(() => Promise.resolve());
    return nextZone;
  }

  /** Sealed zones of the pass, in the order of their numbers. */
  #slotsFrom(nextZone: number, untilZone: number): number[] {
    const { map, zoneUse } = this.#pool;
    const { zones } = map;
    const slots: number[] = [];
    for (let slot = 0; slot < zones.slotCount; slot++) {
      const zone = zones.zone[slot]!;
      if (zones.state[slot] !== ZONE_STATE.sealed) continue;
      if (zones.live[slot] === 0 && zoneUse.uncommitted[slot] === 0) continue;
      if (zone >= nextZone && zone < untilZone) slots.push(slot);
    }
    return slots.sort((a, b) => zones.zone[a]! - zones.zone[b]!);
  }

  /** Waits while it is paused or a drive is rebuilt. False: it ends here. */
  async #mayGoOn(): Promise<boolean> {
    const isOver = (): boolean => this.#stopping || this.#cancelled || this.#pool.health.failed;
    while (!isOver() && (this.#isPaused || this.#options.isRebuilding())) await pause(this.#pool.runtime, WAIT_MILLISECONDS);
    return !isOver();
  }

  #sinceHours(): number {
    return this.#document.sinceHours + (this.#pool.runtime.nowMilliseconds() - this.#recordedAt) / HOUR_MILLISECONDS;
  }

  #note(): void {
    this.#record({}).catch((error: unknown) => this.#pool.health.fail(error));
  }

  async #record(change: Partial<ScrubDocument>): Promise<void> {
    const sinceHours = this.#sinceHours();
    this.#document = { ...this.#document, sinceHours, ...change };
    this.#recordedAt = this.#pool.runtime.nowMilliseconds();
    const scrub = this.#document;
    await this.#options.record.update((old) => ({ ...old, scrub }));
  }

  #event(severity: "info" | "warning" | "critical", type: string, message: string): void {
    this.#pool.runtime.raise({ severity, type, subject: `pool ${this.#pool.name}`, message });
  }
}

interface LostRange {
  readonly volume: number;
  readonly firstBlock: number;
  readonly blockCount: number;
}

/** Blocks that follow each other, together. */
function rangesOf(lost: readonly LostBlock[]): LostRange[] {
  const sorted = [...lost].sort((a, b) => a.volume - b.volume || a.block - b.block);
  const ranges: { volume: number; firstBlock: number; blockCount: number }[] = [];
  for (const { volume, block } of sorted) {
    const range = ranges.at(-1);
    if (range !== undefined && range.volume === volume && block <= range.firstBlock + range.blockCount) {
      range.blockCount = block - range.firstBlock + 1;
    } else ranges.push({ volume, firstBlock: block, blockCount: 1 });
  }
  return ranges;
}

function newTally(): Tally {
  return { bytesRead: 0, badStrips: 0, movedZones: 0, lostBlocks: 0, lostStrips: 0, events: 0 };
}

function resultOf({ bytesRead, badStrips, movedZones, lostBlocks, lostStrips }: Tally): ScrubResult {
  return { bytesRead, badStrips, movedZones, lostBlocks, lostStrips };
}
