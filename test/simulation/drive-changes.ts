/**
 * Drives of one pool that fail, vanish, come back, are replaced, swapped and rolled back, so that the pool heals itself: a
 * run's other kind of trouble (trouble.ts), with spares.
 *
 *   while the process is down   taken out, put back, swapped, replaced by a blank one, rolled back, an old one found in a drawer,
 *                               one of their zones deleted
 *   while it runs               out of reach for a while, failed for good, suspect: members, spares, those that are being built;
 *                               strips of a stripe rot; and, where the run says so, one drive more than the level can do
 *                               without, while another is built, so that what it lacks is lost (loss.ts)
 *
 * Invariant: but for that, never more positions are bad at a time than the level can do without. A position is bad while its drive is ill
 * or away, or what it holds may be old, and as long as the array, or any copy of its document that the next start may find,
 * does not say that the drive has everything, or with a strip that rots. So the array is taken at its word: once it says that a spare is a full
 * member, another drive may go.
 */
import type { DriveFaultSettings } from "../../drivers/drive/drive-faults.ts";
import { decodeDocument } from "../../src/map/metadata-store.ts";
import { ZONE_STATE } from "../../src/map/zone-table.ts";
import { isTrusted, type Member } from "../../src/raid/raid-group.ts";
import type { RaidLevel } from "../../src/raid/raid-level.ts";
import type { HealingSettings } from "../../src/volume/healing-settings.ts";
import type { Pool } from "../../src/volume/pool.ts";
import { POOL_KEY, type PoolDocument } from "../../src/volume/pool-document.ts";
import type { Random } from "../support/random.ts";
import type { PoolMedia } from "./director.ts";
import type { Engine } from "./engine.ts";
import type { HostVolume } from "./host.ts";
import { Loss } from "./loss.ts";
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

/** Of the eleven that a pool has, one more that can be neither emptied nor given up would leave no room for what hosts overwrite. */
const KEPT_ZONES_MAX = 1;

export class DriveChanges {
  readonly settings: HealingSettings;
  /** Names of places in which something was ever wrong. */
  readonly touched = new Set<string>();
  readonly seen: Record<string, number> = {};
  readonly loss: Loss;
  /** Whether more may be lost than the level makes good. */
  readonly #loses: boolean;
  /** A drive too many went, and whether that is on record yet is not known. */
  #isBeyond = false;
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
  /** Which drive is built from which, by the newest document that any drive has. */
  #built = { version: 0, pairs: new Set<string>() };

  constructor(engine: Engine, level: RaidLevel) {
    const { random } = engine;
    this.#engine = engine;
    this.#random = random;
    this.#level = level;
    this.#loses = random.chance(0.5);
    this.loss = new Loss({
      engine,
      isFailed: (drive) => this.#ill.get(drive) === "failed",
      isWell: (drive) => this.isWell(drive),
    });
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
    this.hasErred = this.loss.rottenDrives.size > 0;
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
    } else if (dice < 0.94) this.#fromDrawer(media);
    else if (this.#mayLose(media, undefined, [drive])) this.#losesZone(drive);
  }

  /** Somebody deletes a folder, or a file system was repaired: the rest of the drive is as it was left. */
  #losesZone(drive: SimDriveState): void {
    const finished = [...drive.zones].filter(([, zone]) => zone.finished);
    if (finished.length === 0) return;
    const [zone] = this.#any(finished);
    drive.zones.delete(zone);
    this.#did("lost a zone", drive.identity.name, String(zone));
    this.touched.add(drive.identity.name);
    this.#doubtful.add(drive);
  }

  /** A drive that nobody ever used in the place of one that may be spared. */
  #replace(media: PoolMedia, bay: number): void {
    const old = media.drives[bay]!;
    const name = media.names[bay]!;
    const { driveId: _, name: __, ...geometry } = old.identity;
    const drive = new SimDriveState({ name, driveId: `id-${name}-${this.#nextDrive++}`, geometry });
    drive.slowness = old.slowness;
    drive.onMetadata = old.onMetadata;
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

  /** Something happens to a drive while the pool is open. True: more may be lost by it than the level makes good. */
  act(media: PoolMedia, pool: Pool, volumes: readonly HostVolume[]): boolean {
    const random = this.#random;
    const { drives } = media;
    const back = [...drives.keys()].filter((bay) => this.#ill.get(drives[bay]!) === "unreachable");
    const target = pool.parts.group.members.find(({ state }) => state === "rebuilding");
    const dice = random.next();
    if (dice < 0.4) {
      if (back.length > 0) this.#heals(media, this.#any(back));
    } else if (dice < 0.56) {
      this.#falls(media, random.between(0, drives.length - 1), this.#anIllness(), pool);
    } else if (dice < 0.68) {
      const of = target === undefined ? undefined : random.chance(0.5) ? target.driveId : target.former?.driveId;
      const bay = drives.findIndex(({ identity }) => identity.driveId === of);
      if (bay >= 0) this.#falls(media, bay, this.#anIllness(), pool);
    } else if (dice < 0.75) {
      if (target === undefined || !this.#loses || !this.#goesBeyond(media, pool, target)) this.#rots(media, pool, volumes);
      this.#mark(media, pool, volumes);
      return this.#loses;
    } else if (dice < 0.9) {
      const { health } = pool.parts;
      const member = this.#any(pool.parts.group.members);
      if (health.failed || member.state !== "online" || !this.#mayLose(media, pool, [])) return false;
      this.#did("suspect", member.name);
      this.touched.add(member.name);
      for (let n = 0; n < FINDINGS; n++) pool.parts.driveHealth.found(member.name, "mismatch", this.#engine.now);
    }
    return false;
  }

  /** Strips of one stripe rot: of as many drives as the level makes good, or more. */
  #rots(media: PoolMedia, pool: Pool, volumes: readonly HostVolume[]): void {
    const random = this.#random;
    const at = this.loss.aStripe(pool, volumes);
    if (at === undefined) return;
    // Zones with something lost are kept while a drive is away that may have it: of the few here too many, and no write has room.
    const { zone, state } = pool.parts.map.zones;
    const kept = zone.filter((number, slot) => state[slot] !== ZONE_STATE.free && this.loss.zones.has(number)).length;
    if (this.#loses && mayComeBack(pool) && kept >= KEPT_ZONES_MAX) return;
    const { members, level } = pool.parts.group;
    const drives = new Set<SimDriveState>();
    const positions = new Set<number>();
    const isBeyond = this.#loses && random.chance(0.7);
    for (let n = random.between(1, level.tolerance); isBeyond ? level.survives([...positions]) : n > 0; n--) {
      const { driveId, position } = this.#any(members);
      const drive = media.drives.find(({ identity }) => identity.driveId === driveId);
      positions.add(position);
      if (drive !== undefined) drives.add(drive);
    }
    if (!this.#loses && !this.#mayLose(media, pool, [...drives])) return;
    for (const drive of drives) {
      if (!this.loss.rot(drive, at.zone, at.stripe)) continue;
      if (this.#loses) this.loss.zones.add(at.zone);
      this.#did("rotten", drive.identity.name, `${at.zone}/${at.stripe}`);
      this.touched.add(drive.identity.name);
      this.hasErred = true;
    }
  }

  /**
   * While a drive is built of the others, one of them goes: the pool can write, and has lost what the new one lacks. Not its
   * last whole copy of the map.
   */
  #goesBeyond(media: PoolMedia, pool: Pool, target: Member): boolean {
    const { group, map, zoneUse, health } = pool.parts;
    const member = this.#any(group.members);
    const bay = media.drives.findIndex(({ identity }) => identity.driveId === member.driveId);
    const bad = this.bad(media, pool);
    if (this.#isThere(media, target.driveId)) bad.delete(target.position);
    const hasMap = group.positions.slice(0, group.level.tolerance + 1).some((at) => at !== member.position && group.trusted(at));
    if (health.failed || bad.size > 0 || target.former !== undefined || bay < 0 || !this.isWell(media.drives[bay]!)) return false;
    const unwritten = group.positions.filter((at) => at === member.position || group.writable(at) === undefined);
    if (!isTrusted(member.state) || !group.level.survives(unwritten) || !hasMap) return false;
    for (let slot = 0; slot < map.zones.slotCount; slot++)
      if (zoneUse.uncommitted[slot]! > 0 && target.hasZone?.(map.zones.zone[slot]!) !== true) return false;
    for (let slot = 0; slot < map.zones.slotCount; slot++) this.loss.zones.add(map.zones.zone[slot]!);
    this.#becomes(media, bay, this.#anIllness());
    this.#did("beyond", media.names[bay]!);
    this.#isBeyond = true;
    return true;
  }

  #mark(media: PoolMedia, pool: Pool, volumes: readonly HostVolume[]): void {
    if (this.#loses) this.loss.mark({ pool, media, volumes });
  }

  /** The pool does not open as too much is lost: people bring back what went. False: nothing went that could come back. */
  bringBack(media: PoolMedia): boolean {
    const gone = [...media.drives.keys()].filter((bay) => !this.isWell(media.drives[bay]!));
    if (!this.#isBeyond || gone.length === 0) return false;
    this.#isBeyond = false;
    media.absent = [];
    for (const bay of gone) this.#heals(media, bay);
    return true;
  }

  /** A spare is about to take the place of a member that is well: now and then another member goes right then. */
  spareIsReady(media: PoolMedia, pool: Pool): void {
    const random = this.#random;
    if (!random.chance(0.3)) return;
    const bay = random.between(0, media.drives.length - 1);
    this.#engine.after(this.#engine.latency(2), undefined, () => this.#falls(media, bay, this.#anIllness(), pool));
  }

  /** Metadata are on a drive. Of a document: no member may have given up its place while the pool could not do without it. */
  heard(key: string, value: Uint8Array): void {
    const document = key === POOL_KEY ? decoded(value) : undefined;
    if (document === undefined || document.version < this.#built.version) return;
    const { version, members } = document;
    const before = this.#built.pairs;
    const pairs = members.flatMap(({ driveId, former }) => (former === undefined ? [] : [`${driveId} from ${former.driveId}`]));
    this.#built = { version, pairs: new Set(pairs) };
    const begun = members.flatMap(({ driveId, former }, position) =>
      former !== undefined && !before.has(`${driveId} from ${former.driveId}`) ? [position] : [],
    );
    const others = members.flatMap(({ state }, position) => (isTrusted(state) || begun.includes(position) ? [] : [position]));
    const isUnsafe = begun.some((position) => !this.#level.survives([...others, position]));
    if (isUnsafe) this.#engine.fail(`a drive gave its place up while the pool could not do without it: ${pairs.join(", ")}`);
  }

  #anIllness(): Illness {
    return this.#random.chance(0.6) ? "unreachable" : "failed";
  }

  /** Unless the pool could not do without it. */
  #falls(media: PoolMedia, bay: number, illness: Illness, pool?: Pool): void {
    const drive = media.drives[bay]!;
    if (!this.isWell(drive) || !this.#mayLose(media, pool, [drive])) return;
    this.#becomes(media, bay, illness);
  }

  #becomes(media: PoolMedia, bay: number, illness: Illness): void {
    const drive = media.drives[bay]!;
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
    // Nothing is given up while a drive is away that may come back.
    if (pool.losses.isBusy && !mayComeBack(pool)) return "what is lost is looked for";
    if (pool.scrub.status.state !== "idle") return "a scrub is at work";
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
    // It was lost, and the array ended before that was on record: what it missed since says so.
    const isBehind = (driveId: string): boolean => {
      const drive = media.drives.find(({ identity }) => identity.driveId === driveId);
      return drive !== undefined && (documentOf(drive)?.version ?? 0) < newest - 1;
    };
    const { rottenDrives } = this.loss;
    for (const { version, members } of documents) {
      if (version < newest - 1) continue;
      members.forEach(({ driveId, state, former }, position) => {
        if (!isTrusted(state) || former !== undefined || !this.#isThere(media, driveId) || isBehind(driveId)) bad.add(position);
        if ([...rottenDrives].some(({ identity }) => identity.driveId === driveId)) bad.add(position);
      });
    }
    if (pool === undefined) return bad;
    this.#note(pool);
    for (const { position, state, former, driveId } of pool.parts.group.members) {
      if (!isTrusted(state) || former !== undefined || !this.#isThere(media, driveId)) bad.add(position);
    }
    return bad;
  }

  /** A pool is served no more: what it has found of its drives may not be on record yet. */
  ended(pool: Pool, media: PoolMedia): void {
    for (const { driveId, state } of pool.parts.group.members) {
      const drive = media.drives.find(({ identity }) => identity.driveId === driveId);
      if (!isTrusted(state) && drive !== undefined) this.#doubtful.add(drive);
    }
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
    const newestMembers = documents.find(({ version }) => version === newest)?.members ?? [];
    const drivesOf = (pool?.parts.group.members ?? newestMembers).map(({ driveId }) =>
      media.drives.find(({ identity }) => identity.driveId === driveId),
    );
    return this.#level.survives([...bad]) && !this.loss.goesOn(drivesOf, bad, this.#level);
  }

  #any<T>(of: readonly T[]): T {
    return of[this.#random.between(0, of.length - 1)]!;
  }

  #did(what: string, ...names: string[]): void {
    this.seen[`drives ${what}`] = (this.seen[`drives ${what}`] ?? 0) + 1;
    this.#engine.trace("drive", what, ...names);
  }
}

/** Whether something that can't be had now may be had once a drive is there again. */
export function mayComeBack(pool: Pool): boolean {
  return pool.parts.group.members.some(
    ({ state, former }) => state === "missing" || state === "foreign" || (former !== undefined && former.drive === undefined),
  );
}

function documentOf(drive: SimDriveState): PoolDocument | undefined {
  const value = drive.metadata.get(POOL_KEY);
  return value === undefined ? undefined : decoded(value);
}

function decoded(value: Uint8Array): PoolDocument | undefined {
  return decodeDocument(value) as PoolDocument | undefined;
}
