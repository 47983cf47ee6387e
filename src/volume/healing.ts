/**
 * What a pool does about its drives by itself: spares taken, drives rebuilt, copies made of those that are suspect, and the
 * places given back to drives that were replaced.
 *
 *   member lost ─▶ a spare (a drive in its own place first) ─▶ wiped ─▶ all open zones finished ─▶ it is the member, on record,
 *     rebuilding: every new zone goes to it ─▶ Rebuild ─▶ online, on record
 *   member lost while another is rebuilt ─▶ the same between two zones, then both are rebuilt in turn
 *   member suspect ─▶ the same, and the suspect is read for what the spare lacks until it has all
 *   member in a spare's place, and a new drive in its own ─▶ the same back; then the spare is wiped, and stands by again
 *   member there again that was missing ─▶ rebuilding: only the zones that it lacks
 *   the spare's disk is full ─▶ it stands by, and is tried again; another is taken, if there is one
 *   the drive that is rebuilt fails ─▶ the next spare, or back to the drive before
 *   the drive that it is built from is away ─▶ waited for as for a member, then the rest is made of the others
 *
 * Runs on: the owning director's thread. One drive at a time: each reads all others.
 * Invariants:
 *  1. A drive is on record as rebuilding before the first write to it that counts.
 *  2. No zone is open when a drive becomes a member: it has each zone whole from its beginning, or lacks it.
 *  3. A drive that fails as a member is not taken again until people replace it.
 *  4. A member that works gives its place up only while the group can do without it: until its successor is built, the
 *     position counts for nothing that is kept outside of zones (the map), and only its successor gets what is new.
 */
import { type Drive, DriveError } from "../../drivers/drive/drive.ts";
import { poolEpoch } from "../../drivers/shared-memory/epoch.ts";
import type { RebuildStatus } from "../control/contract.ts";
import { ZONE_STATE } from "../map/zone-table.ts";
import { type FormerDrive, isAway, isFenced, isTrusted, isWritable, type Member } from "../raid/raid-group.ts";
import type { ZoneAppender } from "../raid/zone-appender.ts";
import { BackgroundPace } from "./background-pace.ts";
import type { Compactor } from "./compactor.ts";
import { type DriveShelf, documentOn, type ShelfDrive } from "./drive-shelf.ts";
import type { HealingSettings } from "./healing-settings.ts";
import type { Losses } from "./losses.ts";
import { PoolClosedError } from "./pool-closed-error.ts";
import { ARRAY_KEY, withRetired } from "./pool-document.ts";
import { NO_SPACE_RETRY_MILLISECONDS } from "./pool-members.ts";
import type { PoolParts } from "./pool-parts.ts";
import type { PoolRecord } from "./pool-record.ts";
import { Rebuild } from "./rebuild.ts";
import { pause } from "./runtime.ts";
import { lostZones } from "./zone-check.ts";

/** Between two zones of a spare that is wiped: the drive thread has others to serve. */
const WIPE_REST_MILLISECONDS = 50;
/** How often drives that are away are asked whether they are there again. */
const ASK_MILLISECONDS = 5000;
const READ_POLL_MILLISECONDS = 5;

export interface HealingOptions {
  readonly pool: PoolParts;
  readonly record: PoolRecord;
  readonly compactor: Compactor;
  readonly losses: Losses;
  readonly shelf: DriveShelf;
  readonly settings: HealingSettings;
  /** Streams of new stripes: a drive becomes a member while none of them has an open zone. */
  readonly appenders: readonly ZoneAppender[];
  /** Positions that have the map. */
  readonly mapPositions: () => readonly number[];
  /** Copies of a document, as a drive that becomes a member must have them too. */
  readonly document: (key: string) => Promise<Uint8Array | undefined>;
}

export class Healing {
  readonly pace: BackgroundPace;
  readonly #options: HealingOptions;
  readonly #pool: PoolParts;
  #running: Promise<void> | undefined;
  #again = false;
  #stopping = false;
  #rebuild: Rebuild | undefined;
  #rebuildSince = 0;
  /** Those whose rebuild was told of. */
  readonly #begun = new WeakSet<Member>();
  /** When a member, or the drive that one is built from, was first found missing. */
  readonly #missingSince = new Map<number, number>();
  readonly #awaySince = new Map<FormerDrive, number>();
  #askedAt = Number.NEGATIVE_INFINITY;

  constructor(options: HealingOptions) {
    this.#options = options;
    this.#pool = options.pool;
    this.pace = new BackgroundPace(options.pool, options.settings.rebuildSharePercent);
  }

  /** Every second, and when a member was lost: looks whether there is something to do. */
  poke(): void {
    if (this.#stopping || this.#pool.health.failed) return;
    if (this.#running !== undefined) {
      this.#again = true;
      return;
    }
    this.#again = false;
    this.#running = this.#run()
      .catch((error: unknown) => {
        if (!(error instanceof PoolClosedError)) this.#pool.health.fail(error);
      })
      .finally(() => {
        this.#running = undefined;
        if (this.#again) this.poke();
      });
  }

  /** Comes to rest at the next step. What was rebuilt stays; the next start goes on. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#rebuild?.stop();
    await this.#running;
  }

  /** A drive was put into a place by people: it is looked at anew, and used for what is wanted there. */
  async placed(name: string): Promise<void> {
    const shelf = this.#options.shelf.named(name);
    if (shelf === undefined) return;
    const member = this.#memberAt(shelf);
    if (member !== undefined && isWritable(member.state)) return;
    this.#pool.driveHealth.forget(name);
    await this.look(shelf);
    this.poke();
  }

  get shelf(): DriveShelf {
    return this.#options.shelf;
  }

  /** On command: nobody waits for a drive that is missing to come back. */
  async hurry(): Promise<void> {
    for (const member of this.#pool.group.members) {
      if (member.state === "missing") this.#missingSince.set(member.position, Number.NEGATIVE_INFINITY);
      if (isAway(member.former)) this.#awaySince.set(member.former!, Number.NEGATIVE_INFINITY);
    }
    for (const shelf of this.#options.shelf.drives) {
      if (shelf.state !== "used" && shelf.state !== "spare" && !this.#isMember(shelf)) await this.look(shelf);
    }
    this.poke();
  }

  get isBusy(): boolean {
    return this.#running !== undefined;
  }

  /** Says what a drive that is no member is good for. */
  look(shelf: ShelfDrive): Promise<void> {
    const { members } = this.#pool.group;
    return this.#options.shelf.look(shelf, this.#epoch(), (id) => {
      const member = members.find(({ driveId, former }) => driveId === id || former?.driveId === id);
      if (member !== undefined) return member.driveId === id && member.state === "foreign" ? "foreign" : "member";
      return this.#isRetired(id) ? "retired" : undefined;
    });
  }

  get status(): RebuildStatus | undefined {
    const rebuild = this.#rebuild;
    if (rebuild === undefined) return undefined;
    const { zonesDone, zonesTotal, writtenBytes, lostStrips } = rebuild.progress;
    const seconds = (this.#pool.runtime.nowMilliseconds() - this.#rebuildSince) / 1000;
    const left = zonesDone > 0 ? Math.ceil((seconds / zonesDone) * (zonesTotal - zonesDone)) : undefined;
    return {
      drive: rebuild.member.name,
      position: rebuild.member.position,
      ...(rebuild.member.former === undefined ? {} : { from: rebuild.member.former.name }),
      zonesDone,
      zonesTotal,
      writtenBytes,
      lostStrips,
      sharePercent: this.pace.sharePercent,
      ...(left === undefined ? {} : { secondsLeft: left }),
    };
  }

  async #run(): Promise<void> {
    for (;;) {
      await this.#askMissing();
      const step = this.#next();
      if (step === undefined || this.#stopping) return;
      await step();
    }
  }

  /** The most urgent thing to do: what is lost before what may be. */
  #next(): (() => Promise<void>) | undefined {
    const { group, health, runtime } = this.#pool;
    const { shelf, settings } = this.#options;
    const now = runtime.nowMilliseconds();
    if (health.failed || this.#stopping) return undefined;
    // It failed before it was begun to be built.
    for (const member of group.members)
      if (!isWritable(member.state) && member.former?.drive !== undefined) return () => this.#fallBack(member);
    for (const member of group.members) if (this.#isFormerGivenUp(member)) return () => this.#dropFormer(member);
    const lost = this.#lost();
    if (lost !== undefined) return () => this.#replace(lost.member, lost.free);
    for (const member of group.members)
      if (member.state === "rebuilding" && !isAway(member.former)) return () => this.#bringUp(member);
    for (const member of group.members) {
      if (member.state === "predictive" && group.canDoWithout(member.position)) {
        const free = shelf.freeFor(member.position, now);
        if (free !== undefined) return () => this.#take(member, free, formerOf(member));
      }
    }
    for (const member of settings.copyBack ? group.members : []) {
      const home = shelf.ready(now).find((drive) => drive.home === member.position);
      if (isTrusted(member.state) && home !== undefined && group.canDoWithout(member.position))
        return () => this.#take(member, home, formerOf(member));
    }
    // Last, and in small steps: whatever is more urgent comes between. While anything is missing, it is there for people.
    const used = shelf.ready(now).find(({ holdsOld }) => holdsOld);
    if (used === undefined || !group.members.every(({ state }) => isTrusted(state)) || lostZones(this.#pool).length > 0)
      return undefined;
    return () => this.#wipeSome(used);
  }

  /** A member that is given up, and the drive that is to have its place. */
  #lost(): { readonly member: Member; readonly free: ShelfDrive } | undefined {
    for (const member of this.#pool.group.members) {
      if (isWritable(member.state) || member.former !== undefined || !this.#isGivenUp(member)) continue;
      const free = this.#options.shelf.freeFor(member.position, this.#pool.runtime.nowMilliseconds());
      if (free !== undefined) return { member, free };
    }
    return undefined;
  }

  /** See `#replace`. */
  async #dropFormer(member: Member): Promise<void> {
    await this.#askMissing(true);
    if (isAway(member.former)) await this.#giveUpFormer(member);
  }

  /** One that was only away may be there again: it was not asked while another was rebuilt, and what it has may be nowhere else. */
  async #replace(member: Member, free: ShelfDrive): Promise<void> {
    if (member.state === "missing" || member.state === "foreign") await this.#askMissing(true);
    if (this.#pool.group.members[member.position] === member) await this.#take(member, free, undefined);
  }

  /** A spare that was a member: what it still has takes room, and is of no use to whoever takes it. */
  async #wipeSome(shelf: ShelfDrive): Promise<void> {
    try {
      await this.#options.shelf.wipeSome(shelf, this.#epoch());
    } catch (error) {
      if (isFenced(error) || !(error instanceof DriveError)) throw error;
      this.#spareErred(shelf, error);
    }
    await pause(this.#pool.runtime, WIPE_REST_MILLISECONDS);
  }

  /** A full disk says nothing against the drive: others may be taken meanwhile. */
  #spareErred(spare: ShelfDrive, error: DriveError): void {
    const { name, runtime } = this.#pool;
    if (error.kind !== "noSpace") {
      this.#options.shelf.lose(spare, error, this.#pool);
      return;
    }
    spare.fullUntil = runtime.nowMilliseconds() + NO_SPACE_RETRY_MILLISECONDS;
    runtime.raise({
      severity: "critical",
      type: "drive.noSpace",
      subject: `drive ${spare.name}`,
      message: `the disk below drive ${spare.name}, which stands by in pool ${name}, is full: make room there. It is of use once there is some`,
    });
  }

  #isGivenUp({ state, position }: Member): boolean {
    return state !== "missing" || this.#isLongAway(this.#missingSince, position);
  }

  #isFormerGivenUp({ former }: Member): boolean {
    return former !== undefined && isAway(former) && this.#isLongAway(this.#awaySince, former);
  }

  #isLongAway<K>(since: Map<K, number>, who: K): boolean {
    const now = this.#pool.runtime.nowMilliseconds();
    const from = since.get(who) ?? now;
    since.set(who, from);
    return now - from >= this.#options.settings.missingSeconds * 1000;
  }

  /** What it had alone is made of the others from now on; what they can't make is lost, also for the next start. */
  async #giveUpFormer(member: Member): Promise<void> {
    this.#awaySince.delete(member.former!);
    member.former = undefined;
    const isLossy = lostZones(this.#pool).length > 0;
    await this.#options.record.updateMembers(this.#pool.group.members, isLossy || undefined);
  }

  /** Called by the RAID group, of the drive that a member is built from. */
  formerLost({ name }: FormerDrive, error: unknown): void {
    const shelf = this.#options.shelf.named(name);
    if (shelf !== undefined && error instanceof DriveError) this.#options.shelf.erred(shelf, error);
  }

  /** Makes a drive of the shelf the member at a position. */
  async #take(member: Member, shelf: ShelfDrive, former: FormerDrive | undefined): Promise<void> {
    const { runtime, name } = this.#pool;
    try {
      await this.#options.shelf.wipe(shelf, this.#epoch());
      await this.#copyArrayDocument(shelf);
      runtime.reached("spare.wiped");
      // On record before it is let go: it is not to come back as a spare.
      if (member.state === "predictive") await this.#retire(member, SUSPECT_REASON);
      else if (!isTrusted(member.state) && member.state !== "missing") await this.#retire(member, member.reason ?? "it failed");
      if (!(await this.#join(member, { name: shelf.name, driveId: shelf.driveId, drive: shelf.drive! }, former))) return;
    } catch (error) {
      if (isFenced(error) || !(error instanceof DriveError)) throw error;
      this.#spareErred(shelf, error);
      return;
    }
    const isCopied = this.#pool.group.members[member.position]!.former !== undefined;
    shelf.state = "used";
    this.#missingSince.delete(member.position);
    const before = this.#options.shelf.named(member.name);
    if (!isCopied && before !== undefined && before !== shelf) {
      // In its place may be another drive by now, which is as good as it was found.
      if (before.driveId === member.driveId) {
        before.state = member.state === "missing" ? "missing" : "failed";
        before.reason = member.reason;
      }
    }
    const subject = `drive ${shelf.name}`;
    if (member.state === "online") {
      const message = `pool ${name}: drive ${shelf.name} gets its place back from drive ${member.name}, which stands by again when that is done`;
      runtime.raise({ severity: "info", type: "copyBack.started", subject, message });
    } else {
      const message = `pool ${name}: drive ${shelf.name} takes the place of drive ${member.name}, which is ${member.state}`;
      runtime.raise({ severity: "warning", type: "spare.taken", subject, message });
    }
    runtime.reached("spare.taken");
  }

  /**
   * Invariant 2. False: the position has changed meanwhile.
   * @throws DriveError of the drive, which can't take part: the position is as it was
   */
  async #join(
    member: Member,
    fresh: { readonly name: string; readonly driveId: string; readonly drive: NonNullable<Member["drive"]> },
    former: FormerDrive | undefined,
  ): Promise<boolean> {
    const { group, map } = this.#pool;
    const [first, ...others] = this.#options.appenders;
    let joined = false;
    let erred: DriveError | undefined;
    // Another may have been lost since this one was chosen.
    const isStillWanted = (): boolean =>
      group.members[member.position] === member && (!isTrusted(member.state) || group.canDoWithout(member.position));
    const swap = async (): Promise<void> => {
      if (!isStillWanted()) return;
      const from = map.zones.nextZone;
      try {
        await this.#options.record.joinMember(fresh.drive, () => {
          if (!isStillWanted()) return undefined;
          group.replace(successorOf(member, fresh, former, from));
          joined = true;
          return group.members;
        });
      } catch (error) {
        if (joined || isFenced(error) || !(error instanceof DriveError)) throw error;
        erred = error;
      }
    };
    const closed = others.reduce((work, appender) => () => appender.closed(work), swap);
    if (first === undefined) await closed();
    else await first.closed(closed);
    if (erred !== undefined) throw erred;
    return joined;
  }

  /** Rebuilds a member until it has everything, or fails. */
  async #bringUp(member: Member): Promise<void> {
    const { group, runtime, name } = this.#pool;
    const hasMap = this.#options.mapPositions().includes(member.position);
    const rebuild = new Rebuild({
      pool: this.#pool,
      compactor: this.#options.compactor,
      noteMap: () => this.#noteMap(member),
      noteDamage: (slot) => this.#options.losses.note(slot),
      // What is new is written to all places again before what is old.
      yields: () => this.#lost() !== undefined,
      member,
      pace: this.pace,
      hasMap,
    });
    this.#rebuild = rebuild;
    this.#rebuildSince = runtime.nowMilliseconds();
    const event = (severity: "info" | "warning", type: string, message: string): void =>
      runtime.raise({
        severity,
        type,
        subject: `drive ${member.name}`,
        message: `pool ${name}: drive ${member.name} ${message}`,
      });
    // One that goes on, as something more urgent was done meanwhile, is no news.
    if (!this.#begun.has(member))
      event("info", "rebuild.started", `is rebuilt${member.former === undefined ? "" : ` from drive ${member.former.name}`}`);
    this.#begun.add(member);
    try {
      if (!(await rebuild.run())) return;
      // Lost since the rebuild looked last, it stays lost: what it has missed by now nobody would bring it.
      if (!rebuild.isWanted) return;
      await this.#complete(member);
      const { zonesDone, lostStrips } = rebuild.progress;
      if (lostStrips > 0)
        event(
          "warning",
          "rebuild.incomplete",
          `is rebuilt, but for ${lostStrips} strips that nothing has any more: whether something lives in them is looked for`,
        );
      event("info", "rebuild.finished", `is rebuilt: ${zonesDone} zones`);
    } catch (error) {
      if (isFenced(error) || !(error instanceof DriveError)) throw error;
      // A full disk is waited for until that is not wanted any more, which says nothing against the drive.
      if (member.drive !== undefined && error.kind !== "noSpace") await group.lose(member.position, error, member.drive);
    } finally {
      this.#rebuild = undefined;
      if (!isWritable(member.state)) await this.#fallBack(member);
    }
  }

  /** On record first: until it is, the drive before gets the map's changes too. */
  async #noteMap(member: Member): Promise<void> {
    const { group } = this.#pool;
    const noted = { ...member, hasMap: true, former: member.former && { ...member.former, hasMap: false } };
    await this.#options.record.updateMembers(group.members.map((other) => (other === member ? noted : other)));
    member.hasMap = true;
    if (member.former !== undefined) member.former.hasMap = false;
  }

  async #complete(member: Member): Promise<void> {
    const { group, runtime } = this.#pool;
    const { former } = member;
    member.former = undefined;
    member.state = "online";
    member.reason = undefined;
    const lossy = lostZones(this.#pool).length > 0;
    await this.#options.record.updateMembers(group.members, lossy);
    runtime.reached("rebuild.finished");
    if (former?.drive === undefined) return;
    const shelf = this.#options.shelf.of(former.drive);
    if (shelf === undefined) return;
    // A suspect stays out; a drive in a spare's place stands by again.
    const isSuspect = this.#isRetired(former.driveId);
    shelf.state = isSuspect ? "failed" : "spare";
    shelf.holdsOld = true;
    shelf.reason = isSuspect ? SUSPECT_REASON : undefined;
  }

  #isRetired(id: string): boolean {
    return this.#options.record.document.retired?.some(({ driveId }) => driveId === id) === true;
  }

  async #retire({ driveId, name }: { driveId: string; name: string }, reason: string): Promise<void> {
    await this.#options.record.update((old) => withRetired(old, { driveId, name, reason }));
  }

  /** The drive that was being built from another is lost: the other has its place again. */
  async #fallBack(member: Member): Promise<void> {
    const { group, runtime, name } = this.#pool;
    const shelf = member.drive === undefined ? undefined : this.#options.shelf.of(member.drive);
    if (shelf !== undefined) {
      shelf.state = "failed";
      shelf.reason = member.reason;
      await this.#retire(member, member.reason ?? "it failed");
    }
    const { former } = member;
    if (former?.drive === undefined || group.members[member.position] !== member) return;
    const { drive, driveId } = former;
    try {
      await this.#removeUnknown(drive);
      if (await this.#join(member, { name: former.name, driveId, drive }, former)) await this.#removeUnknown(drive);
    } catch (error) {
      if (isFenced(error) || !(error instanceof DriveError)) throw error;
      await group.lose(member.position, error, drive);
    }
    if (isAway(member.former)) return;
    if (group.trusted(member.position) === undefined && group.writable(member.position) !== drive) {
      // Neither of the two: what the position had is rebuilt from the others.
      if (member.former !== undefined) await this.#giveUpFormer(member);
      const before = this.#options.shelf.of(drive);
      if (before !== undefined) await this.look(before);
      return;
    }
    runtime.raise({
      severity: "warning",
      type: "spare.failed",
      subject: `drive ${member.name}`,
      message: `pool ${name}: drive ${member.name} failed while it was built; drive ${former.name} has its place again`,
    });
  }

  /**
   * Of a drive that has its place again: zones that were removed while it was not written. Before it is a member, so that
   * it has room for what comes; and afterwards, when no more can be. @throws DriveError
   */
  async #removeUnknown(drive: Drive): Promise<void> {
    const { map, runtime, zoneUse } = this.#pool;
    const { zone: numbers, state } = map.zones;
    for (const { zone } of await drive.listZones()) {
      const slot = numbers.indexOf(zone);
      // On its way out: whoever removes it may have passed this drive over.
      while (state[slot] === ZONE_STATE.emptied && zoneUse.reading[slot]! > 0) await pause(runtime, READ_POLL_MILLISECONDS);
      if (slot < 0 || state[slot] === ZONE_STATE.free || state[slot] === ZONE_STATE.emptied) await drive.resetZone(zone);
    }
  }

  /** A drive that could not be reached may be there again, and only lacks what was written meanwhile. */
  async #askMissing(atOnce = false): Promise<void> {
    const { group, runtime } = this.#pool;
    const now = runtime.nowMilliseconds();
    if (now - this.#askedAt < ASK_MILLISECONDS && !atOnce) return;
    this.#askedAt = now;
    // Also where a member of that name is out: another drive may be in its place.
    for (const shelf of this.#options.shelf.drives) if (shelf.state === "missing") await this.#askAway(shelf);
    for (const member of group.members) if (isAway(member.former)) await this.#askFormer(member, member.former!);
    for (const member of group.members) {
      // Where another drive still has what the position had, that one takes it back.
      const isForeign = member.state === "foreign";
      if ((member.state !== "missing" && !isForeign) || member.former !== undefined) continue;
      const shelf = this.#options.shelf.named(member.name);
      const drive = shelf?.drive;
      if (shelf === undefined || drive === undefined) continue;
      try {
        const { driveId } = await drive.identify();
        if (driveId !== member.driveId) {
          // One that failed in that place is not tried again by itself.
          if (shelf.state !== "failed" || shelf.driveId !== driveId) await this.look(shelf);
          continue;
        }
        await drive.open(this.#epoch());
        // Without a record of the pool, as it was before it became a member, it is like any other.
        if (isForeign && (await documentOn(drive))?.poolId !== this.#options.record.document.poolId) {
          await this.look(shelf);
          continue;
        }
        await this.#removeUnknown(drive);
        const finished = await finishedZones(drive);
        if (!(await this.#join(member, { name: member.name, driveId: member.driveId, drive }, undefined))) continue;
        const again = group.members[member.position]!;
        const has = again.hasZone!.bind(again);
        again.hasZone = (zone) => has(zone) || finished.has(zone);
        again.reason = "it was missing, and is brought up to date";
        shelf.state = "used";
        this.#missingSince.delete(member.position);
        await this.#removeUnknown(drive);
      } catch (error) {
        if (isFenced(error) || !(error instanceof DriveError)) throw error;
      }
    }
  }

  async #askAway(shelf: ShelfDrive): Promise<void> {
    await this.look(shelf);
    if (shelf.state !== "spare") return;
    this.#pool.runtime.raise({
      severity: "info",
      type: "spare.back",
      subject: `drive ${shelf.name}`,
      message: `pool ${this.#pool.name}: drive ${shelf.name} is there again, and stands by`,
    });
  }

  /** It has missed changes of the map, and none of the zones that it had. */
  async #askFormer(member: Member, former: FormerDrive): Promise<void> {
    const shelf = this.#options.shelf.named(former.name);
    const drive = shelf?.drive;
    if (shelf === undefined || drive === undefined) return;
    try {
      if ((await drive.identify()).driveId !== former.driveId) return;
      await drive.open(this.#epoch());
      const finished = await finishedZones(drive);
      if (this.#pool.group.members[member.position] !== member || member.former !== former) return;
      // Nothing was written to it meanwhile, and numbers of zones are given once.
      former.hasZone = (zone) => finished.has(zone);
      former.drive = drive;
      shelf.state = "used";
      shelf.reason = undefined;
      this.#awaySince.delete(former);
    } catch (error) {
      if (isFenced(error) || !(error instanceof DriveError)) throw error;
    }
  }

  async #copyArrayDocument({ drive }: ShelfDrive): Promise<void> {
    const value = await this.#options.document(ARRAY_KEY);
    if (value !== undefined) await drive!.metadataBatch([{ type: "put", key: ARRAY_KEY, value }]);
  }

  #isMember({ name }: ShelfDrive): boolean {
    return this.#pool.group.members.some((member) => member.name === name);
  }

  #memberAt({ drive }: ShelfDrive): Member | undefined {
    return this.#pool.group.members.find((member) => member.drive !== undefined && member.drive === drive);
  }

  #epoch(): number {
    return poolEpoch(this.#pool.global, this.#pool.index);
  }
}

const SUSPECT_REASON = "it was suspect, and another drive has its place: replace it";

async function finishedZones(drive: Drive): Promise<Set<number>> {
  return new Set((await drive.listZones()).filter((stat) => stat.finished).map(({ zone }) => zone));
}

/** @param from - the first zone that it gets like the others */
function successorOf(
  member: Member,
  fresh: { readonly name: string; readonly driveId: string; readonly drive: NonNullable<Member["drive"]> },
  former: FormerDrive | undefined,
  from: number,
): Member {
  // Of one that was lost meanwhile nobody knows what it missed since: it is built from the others.
  const source = former?.drive === member.drive && !isTrusted(member.state) ? undefined : former;
  // The drive that comes back to its place has what it had: it is not its own former one, on record least of all.
  const isBack = source?.driveId === fresh.driveId;
  return {
    position: member.position,
    ...fresh,
    state: "rebuilding",
    reason: `it takes the place of drive ${member.name}`,
    hasMap: isBack && source.hasMap,
    hasZone: (zone) => zone >= from || (isBack && source.hasZone(zone)),
    former: source === undefined || isBack ? undefined : { ...source, hasZone: (zone) => zone < from && source.hasZone(zone) },
  };
}

/** A member that another drive is built from. */
function formerOf({ name, driveId, drive }: Member): FormerDrive | undefined {
  return drive === undefined ? undefined : { name, driveId, drive, hasMap: true, hasZone: () => true };
}
