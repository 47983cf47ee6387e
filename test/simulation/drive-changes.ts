/**
 * Drives of one pool that fail, vanish, come back, are replaced, swapped and rolled back, so that the pool heals itself: a
 * run's other kind of trouble (trouble.ts), with spares.
 *
 *   while the process is down   taken out, put back, swapped, replaced by a blank one, rolled back, an old one found in a drawer
 *   while it runs               out of reach for a while, failed for good, suspect: members, spares, those that are being built
 *
 * Invariant: never more positions are bad at a time than the level can do without. A position is bad while its drive is ill
 * or away, or what it holds may be old, and as long as the array, or any copy of its document that the next start may find,
 * does not say that the drive has everything. So the array is taken at its word: once it says that a spare is a full
 * member, another drive may go.
 */
import type { DriveFaultSettings } from "../../drivers/drive/drive-faults.ts";
import { decodeDocument } from "../../src/map/metadata-store.ts";
import { isTrusted } from "../../src/raid/raid-group.ts";
import type { RaidLevel } from "../../src/raid/raid-level.ts";
import type { HealingSettings } from "../../src/volume/healing-settings.ts";
import type { Pool } from "../../src/volume/pool.ts";
import { POOL_KEY, type PoolDocument } from "../../src/volume/pool-document.ts";
import type { Random } from "../support/random.ts";
import type { PoolMedia } from "./director.ts";
import type { Engine } from "./engine.ts";
import { SimDriveState } from "./sim-drive.ts";

/** away: not there at all in this life of the process. */
type Illness = "unreachable" | "failed" | "away";

const FAULTS: Readonly<Record<Illness, DriveFaultSettings | undefined>> = {
  unreachable: { seed: 1, rules: [{ fault: "unreachable" }] },
  failed: { seed: 1, rules: [{ fault: "readError" }, { fault: "writeError" }] },
  away: undefined,
};
const DRAWER_MAX = 3;
/** Findings that make a drive suspect, and do not fail it. */
const FINDINGS = 12;

export class DriveChanges {
  readonly settings: HealingSettings;
  /** Names of places in which something was ever wrong. */
  readonly touched = new Set<string>();
  readonly seen: Record<string, number> = {};
  /** A drive returned errors in this life of the process: then blocks are repaired. */
  hasErred = false;
  readonly #engine: Engine;
  readonly #random: Random;
  readonly #level: RaidLevel;
  readonly #ill = new Map<SimDriveState, Illness>();
  /** Their content may be old, and the array has not said since that it is not. */
  readonly #doubtful = new Set<SimDriveState>();
  readonly #snapshots = new Map<SimDriveState, () => void>();
  readonly #drawer: SimDriveState[] = [];
  #nextDrive = 1;

  constructor(engine: Engine, level: RaidLevel) {
    const { random } = engine;
    this.#engine = engine;
    this.#random = random;
    this.#level = level;
    this.settings = {
      rebuildSharePercent: random.between(20, 100),
      missingSeconds: random.chance(0.5) ? 0.02 : 2 * random.next(),
      copyBack: random.chance(0.7),
      scrubSharePercent: 10,
      scrubIntervalHours: 0,
    };
  }

  /** Whether the drive does what it is told. */
  isWell(drive: SimDriveState): boolean {
    return !this.#ill.has(drive);
  }

  /** The process is about to start. */
  beforeStart(media: PoolMedia): void {
    const random = this.#random;
    if (media.isMade) {
      for (const drive of media.drives) if (this.#ill.get(drive) === "away" && random.chance(0.6)) this.#recovers(drive);
      for (let n = random.chance(0.6) ? random.between(1, 2) : 0; n > 0; n--) this.#changeAtRest(media);
      const drive = this.#any(media.drives);
      if (random.chance(0.3)) this.#snapshots.set(drive, drive.snapshot());
    }
    media.absent = [];
    this.hasErred = false;
    for (const [bay, drive] of media.drives.entries()) {
      const illness = this.#ill.get(drive);
      if (illness === "away") media.absent = [...media.absent, bay];
      else if (illness !== undefined) media.faults[bay]!.set(FAULTS[illness]);
      if (illness === "failed") this.hasErred = true;
    }
  }

  #changeAtRest(media: PoolMedia): void {
    const random = this.#random;
    const { drives } = media;
    const bay = random.between(0, drives.length - 1);
    const drive = drives[bay]!;
    const dice = random.next();
    if (dice < 0.25) {
      if (this.#mayLose(media, undefined, [drive])) this.#falls(media, bay, "away");
    } else if (dice < 0.6) {
      // Rather those that are no good any more.
      const ill = [...drives.keys()].filter((at) => !this.isWell(drives[at]!));
      const at = ill.length > 0 && random.chance(0.7) ? this.#any(ill) : bay;
      if (this.#mayLose(media, undefined, [drives[at]!])) this.#replace(media, at);
    } else if (dice < 0.72) {
      const other = random.between(0, drives.length - 1);
      if (other === bay || !this.#mayLose(media, undefined, [drive, drives[other]!])) return;
      this.#did("swapped", media.names[bay]!, media.names[other]!);
      this.touched.add(media.names[bay]!).add(media.names[other]!);
      [drives[bay], drives[other]] = [drives[other]!, drive];
    } else if (dice < 0.86) {
      const before = this.#snapshots.get(drive);
      if (before === undefined || !this.#mayLose(media, undefined, [drive])) return;
      this.#did("rolled back", drive.identity.name);
      this.touched.add(drive.identity.name);
      before();
      this.#doubtful.add(drive);
    } else this.#fromDrawer(media);
  }

  /** A drive that nobody ever used in the place of one that may be spared. */
  #replace(media: PoolMedia, bay: number): void {
    const old = media.drives[bay]!;
    const name = media.names[bay]!;
    const { driveId: _, name: __, ...geometry } = old.identity;
    const drive = new SimDriveState({ name, driveId: `id-${name}-${this.#nextDrive++}`, geometry });
    drive.slowness = old.slowness;
    media.drives[bay] = drive;
    this.touched.add(name);
    this.#did("replaced", name);
    if (this.#drawer.length < DRAWER_MAX) this.#drawer.push(old);
    else this.#snapshots.delete(old);
  }

  #fromDrawer(media: PoolMedia): void {
    const drive = this.#drawer[0];
    if (drive === undefined) return;
    const bay = media.names.indexOf(drive.identity.name);
    const there = media.drives[bay]!;
    if (!this.#mayLose(media, undefined, [there])) return;
    this.#did("back from the drawer", drive.identity.name);
    this.touched.add(drive.identity.name);
    media.drives[bay] = drive;
    this.#drawer.shift();
    this.#drawer.push(there);
    this.#doubtful.add(drive);
    if (this.#ill.get(drive) !== "failed") this.#ill.delete(drive);
  }

  /** Something happens to a drive while the pool is open. */
  act(media: PoolMedia, pool: Pool): void {
    const random = this.#random;
    const { drives } = media;
    const back = [...drives.keys()].filter((bay) => this.#ill.get(drives[bay]!) === "unreachable");
    const target = pool.parts.group.members.find(({ state }) => state === "rebuilding");
    const dice = random.next();
    if (dice < 0.4) {
      if (back.length > 0) this.#heals(media, this.#any(back));
    } else if (dice < 0.6) {
      this.#falls(media, random.between(0, drives.length - 1), this.#anIllness(), pool);
    } else if (dice < 0.72) {
      const of = target === undefined ? undefined : random.chance(0.5) ? target.driveId : target.former?.driveId;
      const bay = drives.findIndex(({ identity }) => identity.driveId === of);
      if (bay >= 0) this.#falls(media, bay, this.#anIllness(), pool);
    } else if (dice < 0.9) {
      const { health } = pool.parts;
      const member = this.#any(pool.parts.group.members);
      if (health.failed || member.state !== "online" || !this.#mayLose(media, pool, [])) return;
      this.#did("suspect", member.name);
      this.touched.add(member.name);
      for (let n = 0; n < FINDINGS; n++) pool.parts.driveHealth.found(member.name, "mismatch", this.#engine.now);
    }
  }

  #anIllness(): Illness {
    return this.#random.chance(0.6) ? "unreachable" : "failed";
  }

  /** Unless the pool could not do without it. */
  #falls(media: PoolMedia, bay: number, illness: Illness, pool?: Pool): void {
    const drive = media.drives[bay]!;
    if (!this.isWell(drive) || !this.#mayLose(media, pool, [drive])) return;
    this.#did(illness, media.names[bay]!);
    this.touched.add(media.names[bay]!);
    this.#ill.set(drive, illness);
    if (illness === "failed") this.hasErred = true;
    media.faults[bay]?.set(FAULTS[illness]);
  }

  /** A drive that was out of reach is there again, as it was left. */
  #heals(media: PoolMedia, bay: number): void {
    this.#did("there again", media.names[bay]!);
    this.#recovers(media.drives[bay]!);
    media.faults[bay]!.set(undefined);
  }

  #recovers(drive: SimDriveState): void {
    this.#ill.delete(drive);
  }

  /** People are done: whoever can come back does. */
  calm(media: PoolMedia): void {
    for (const [bay, drive] of media.drives.entries()) if (this.#ill.get(drive) === "unreachable") this.#heals(media, bay);
  }

  /** What the pool could do about its members and has not done; undefined: nothing. */
  unhealed(media: PoolMedia, pool: Pool): string | undefined {
    const { group } = pool.parts;
    if (pool.healing.isBusy) return "healing is at work";
    this.#note(pool);
    const { retired = [] } = pool.record.document;
    const isFresh = (drive: SimDriveState, bay: number): boolean =>
      this.isWell(drive) &&
      drive.identity.name === media.names[bay] &&
      !drive.metadata.has(POOL_KEY) &&
      !retired.some(({ driveId }) => driveId === drive.identity.driveId);
    for (const member of group.members) {
      if (member.former !== undefined || member.state === "rebuilding") return `drive ${member.name} is not rebuilt`;
      if (isTrusted(member.state)) continue;
      const own = media.drives.findIndex(({ identity }) => identity.driveId === member.driveId);
      if (member.state === "missing" && own >= 0 && !media.absent.includes(own) && this.isWell(media.drives[own]!)) {
        if (media.drives[own]!.identity.name === media.names[own]) return `drive ${member.name} is there again, and not used`;
      }
      const fresh = media.drives.findIndex(
        (drive, bay) => (bay === member.position || bay >= group.members.length) && isFresh(drive, bay),
      );
      if (fresh >= 0) {
        const why = pool.status().drives.map(({ name, state, reason }) => `${name} ${state}: ${reason ?? "well"}`);
        return `drive ${member.name} is ${member.state}, and ${media.names[fresh]} does not take its place (${why.join("; ")})`;
      }
    }
    return undefined;
  }

  /** The positions that must not be counted on. */
  bad(media: PoolMedia, pool: Pool | undefined): Set<number> {
    const bad = new Set<number>();
    const documents = [...media.drives, ...this.#drawer].map(documentOf).filter((document) => document !== undefined);
    const newest = Math.max(0, ...documents.map(({ version }) => version));
    for (const { version, members } of documents) {
      if (version < newest - 1) continue;
      members.forEach(({ driveId, state, former }, position) => {
        if (!isTrusted(state) || former !== undefined || !this.#isThere(media, driveId)) bad.add(position);
      });
    }
    if (pool === undefined) return bad;
    this.#note(pool);
    for (const { position, state, former, driveId } of pool.parts.group.members) {
      if (!isTrusted(state) || former !== undefined || !this.#isThere(media, driveId)) bad.add(position);
    }
    return bad;
  }

  /** A pool that is open says of its members what they have. */
  #note(pool: Pool): void {
    for (const { driveId, state } of pool.parts.group.members) {
      if (!isTrusted(state)) continue;
      for (const drive of this.#doubtful) if (drive.identity.driveId === driveId) this.#doubtful.delete(drive);
    }
  }

  #isThere({ drives, names, absent }: PoolMedia, driveId: string): boolean {
    const bay = drives.findIndex(({ identity }) => identity.driveId === driveId);
    const drive = drives[bay];
    if (drive === undefined || absent.includes(bay) || drive.identity.name !== names[bay]) return false;
    return this.isWell(drive) && !this.#doubtful.has(drive);
  }

  /** Whether the level can do without these, beside all that is bad already. */
  #mayLose(media: PoolMedia, pool: Pool | undefined, drives: readonly SimDriveState[]): boolean {
    const bad = this.bad(media, pool);
    const ids = drives.map(({ identity }) => identity.driveId);
    const documents = [...media.drives, ...this.#drawer].map(documentOf).filter((document) => document !== undefined);
    const newest = Math.max(0, ...documents.map(({ version }) => version));
    for (const { version, members } of documents) {
      if (version < newest - 1) continue;
      for (const [position, { driveId }] of members.entries()) if (ids.includes(driveId)) bad.add(position);
    }
    for (const { position, driveId } of pool?.parts.group.members ?? []) if (ids.includes(driveId)) bad.add(position);
    return this.#level.survives([...bad]);
  }

  #any<T>(of: readonly T[]): T {
    return of[this.#random.between(0, of.length - 1)]!;
  }

  #did(what: string, ...names: string[]): void {
    this.seen[`drives ${what}`] = (this.seen[`drives ${what}`] ?? 0) + 1;
    this.#engine.trace("drive", what, ...names);
  }
}

function documentOf(drive: SimDriveState): PoolDocument | undefined {
  const value = drive.metadata.get(POOL_KEY);
  return value === undefined ? undefined : (decodeDocument(value) as PoolDocument | undefined);
}
