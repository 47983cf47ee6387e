/**
 * Opens a pool: makes it on its first start, recovers it on every other. Restart and takeover are this one path
 * (architecture, invariant 9): journal and drives are the truth, global memory is not looked at.
 *
 *   drives' documents ─▶ who is trusted ─▶ journal found to be the right one ─▶ new epoch, drives fenced ─▶ journal claimed
 *     ─▶ document written (epoch, members) ─▶ map: checkpoint and log ─▶ zones put in order ─▶ journal replayed into the cache
 *
 * Runs on: the director that owns the pool from now on.
 */
import { type Drive, DriveError } from "../../drivers/drive/drive.ts";
import type { JournalFile } from "../../drivers/journal-file/journal-file.ts";
import { counterBlock } from "../../drivers/shared-memory/counters.ts";
import { notePoolOwner, poolEpoch, raisePoolEpoch } from "../../drivers/shared-memory/epoch.ts";
import { BlockCache } from "../cache/block-cache.ts";
import { driveNames, type PoolConfig } from "../config/config.ts";
import { Journal } from "../journal/journal.ts";
import { JournalError } from "../journal/journal-reader.ts";
import { encodeDocument, MetadataStore } from "../map/metadata-store.ts";
import { MapDamagedError, PoolMap } from "../map/pool-map.ts";
import { inlineBulkWork } from "../raid/bulk-work.ts";
import { DriveHealth } from "../raid/drive-health.ts";
import { groupGeometry } from "../raid/geometry.ts";
import {
  isAway,
  isFenced,
  isTrusted,
  isWritable,
  type Member,
  RaidGroup,
  type RaidGroupHooks,
  setAway,
} from "../raid/raid-group.ts";
import { raidLabel, raidLevel } from "../raid/raid-levels.ts";
import { Staging } from "../raid/staging.ts";
import { StripeReader } from "../raid/stripe-reader.ts";
import { BLOCK_BYTES } from "./block-io.ts";
import { DriveShelf, documentOn, type ShelfDrive } from "./drive-shelf.ts";
import { HEALING_SETTINGS } from "./healing-settings.ts";
import { findJournal } from "./journal-claim.ts";
import { tellJournalFull } from "./journal-room.ts";
import { knownPool, readCopies } from "./known-pool.ts";
import { PendingZeros } from "./pending-zeros.ts";
import { type OpeningMembers, Pool } from "./pool.ts";
import {
  type DocumentCopy,
  isNewestOfAll,
  POOL_FORMAT_VERSION,
  POOL_KEY,
  type PoolDocument,
  type PoolVolumeDocument,
  positionsGivenBack,
  type Unavailable,
  unsurePositions,
  type Verdict,
  withRetired,
} from "./pool-document.ts";
import { makePool } from "./pool-make.ts";
import {
  BeyondRedundancyError,
  disownMaps,
  MAP_PAGES_MAX,
  type ObservedOptions,
  type OpenPoolOptions,
  observedBays,
  openMembers,
  PoolRefusedError,
  recoveredHook,
  tellNoSpace,
} from "./pool-members.ts";
import { PoolHealth, type PoolParts, type VolumeState, ZoneUse } from "./pool-parts.ts";
import { membersOf, type RecordedMember } from "./pool-record.ts";
import { putZonesInOrder, replayJournal } from "./recovery.ts";
import { Space } from "./space.ts";
import { differences, digestOf, encodeVolumes, readVolumeRecords, type VolumeRecords } from "./volume-records.ts";
import { checkZones, lostZones } from "./zone-check.ts";

export async function openPool(given: OpenPoolOptions): Promise<Pool> {
  const { config, global } = given;
  const driveHealth = new DriveHealth(config.driveHealth);
  const options: ObservedOptions = { ...given, bays: observedBays(given, driveHealth), driveHealth };
  const floor = poolEpoch(global, config.index);
  const unavailable = new Map<number, Unavailable>();
  const copies = await readCopies(options, floor, unavailable);
  const known = await knownPool(options, copies, unavailable);
  if (known === undefined) return recoverPool(options, { verdict: await makePool(options, unavailable), copies, volumes: [] });
  return recoverPool(options, { ...known, copies });
}

// — every start —

async function recoverPool(
  options: ObservedOptions,
  known: { readonly verdict: Verdict; readonly copies: readonly DocumentCopy[]; readonly volumes: readonly PoolVolumeDocument[] },
): Promise<Pool> {
  const { config, global } = options;
  const { verdict, copies, volumes } = known;
  const { document } = verdict;
  const volumeNames = volumes.map((volume) => volume.name);
  checkShape(config, document, volumeNames);
  const members = openMembers(options, verdict);
  const box: PoolBox<Pool> = { pool: undefined };
  const group = new RaidGroup(members, raidLevel(document.raid), groupHooks(options, box));
  checkMembers(config, group, { verdict, copies, volumeNames });
  const recorded = new Undecided(document, group);
  const { runtime } = options;
  const found = findJournal(options, document, volumeNames);
  const epoch = raisePoolEpoch(global, config.index, found.lastEpoch + 1);
  notePoolOwner(global, config.index, epoch);
  runtime.reached("recovery.epochRaised");
  await group.onEach(group.positions, (drive) => drive.open(epoch));
  await openFormer(members, epoch);
  runtime.reached("recovery.drivesFenced");

  const journal = await found.claim(epoch);
  runtime.reached("recovery.journalClaimed");
  const store = new MetadataStore(group);
  const records = encodeVolumes(volumes);
  const { volumes: _, ...kept } = document;
  const chosen: PoolDocument = { ...kept, ...digestOf(records), formatVersion: POOL_FORMAT_VERSION };
  const { journalCopies: __, ...rest } = chosen;
  const journalCopies = journal.documents;
  const current: PoolDocument = {
    ...rest,
    version: document.version + 1,
    epoch,
    journalId: journal.journalId,
    journalLive: true,
    ...(journalCopies === undefined ? {} : { journalCopies }),
    members: membersOf(recorded.members),
  };
  await writeDocuments({ group, records, chosen, current, reached: (site) => runtime.reached(site) });
  runtime.reached("recovery.documentWritten");

  const parts = assembleParts(options, { document: current, volumes, group, store, file: journal.file, box });
  const shelf = shelfOf(options, current, group);
  const { capacityBytes } = options.bays.find((bay) => bay.state === "open")!;
  const pool = new Pool({
    parts,
    store,
    document: current,
    volumes,
    ownerIndex: config.owner,
    ageSeconds: options.ageSeconds,
    driveCapacityBytes: capacityBytes,
    shelf,
    healing: options.healing ?? config.healing ?? HEALING_SETTINGS,
    opening: recorded,
  });
  box.pool = pool;
  try {
    // A drive that was lost since `current` was made up: nobody could put that on record until now.
    if (recorded.members.some(({ state }, position) => state !== current.members[position]!.state))
      await pool.record.updateMembers(recorded.members);
    await journal.attach(pool.record);
    await loadMap(parts, pool, { durable: found.mapSequence, recorded });
    runtime.reached("recovery.mapLoaded");
    // Side by side: the one waits for drives, the other reads the journal. Destage, which makes zones, waits for both.
    const zonesInOrder = orderZones({ parts, pool, document, recorded, volumeNames });
    const replayed = replayJournal(parts, {
      press: async () => {
        await zonesInOrder;
        pool.press();
      },
      onRecovered: recoveredHook(options),
      pagesKept: options.pagesKept ?? false,
    });
    // Both have ended, however they did, before the pool is given up: nothing of it goes on.
    const ends = await Promise.allSettled([zonesInOrder, replayed]);
    for (const end of ends) if (end.status === "rejected") throw end.reason as Error;
    runtime.reached("recovery.journalReplayed");
    await journal.mend(parts.journal);
    for (const drive of shelf.drives) if (drive.state === "missing" && drive.drive !== undefined) await pool.healing.look(drive);
  } catch (error) {
    pool.hasFailed();
    pool.letGo();
    if (error instanceof JournalError || error instanceof MapDamagedError) {
      throw new PoolRefusedError(config.name, error.message, volumeNames, { cause: error });
    }
    throw error;
  }
  tellDegraded(parts);
  pool.start();
  return pool;
}

function groupHooks(options: ObservedOptions, box: PoolBox<Pool>): RaidGroupHooks {
  return {
    onMemberLost: async (member) => box.pool?.memberLost(member),
    onFormerLost: async (member, former, error) => box.pool?.formerLost(member, former, error),
    onNoSpace: (member) => tellNoSpace(options, member),
    onMismatch: (member) => options.driveHealth.found(member.name, "mismatch", options.runtime.nowMilliseconds()),
  };
}

/**
 * Who is out when a pool is opened, has another drive in its place, or lacks the one that it is built from, stays on record as
 * it was until the others have shown that they have what it takes (`refuseLoss`). A start that is refused must not be what
 * keeps a drive out that is in order at the next one.
 */
class Undecided implements OpeningMembers {
  isDecided = false;
  readonly #document: PoolDocument;
  readonly #group: RaidGroup;
  readonly #asItWas: readonly boolean[];

  constructor(document: PoolDocument, group: RaidGroup) {
    this.#document = document;
    this.#group = group;
    const { members } = document;
    this.#asItWas = group.members.map(({ state, driveId }, at) => !isWritable(state) || driveId !== members[at]!.driveId);
  }

  get members(): readonly RecordedMember[] {
    const { members } = this.#group;
    if (this.isDecided) return members;
    return members.map((member, at) => (this.#asItWas[at] || isAway(member.former) ? this.#document.members[at]! : member));
  }
}

/** Drives that others are built from are read like members, so they are opened like them; one that can't be is away. */
export async function openFormer(members: readonly Member[], epoch: number): Promise<void> {
  for (const member of members) {
    try {
      await member.former?.drive?.open(epoch);
    } catch (error) {
      if (isFenced(error) || !(error instanceof DriveError)) throw error;
      setAway(member.former!);
    }
  }
}

/** A drive whose copy of the map may be an older one does not count as having it, on record, before it can look like the others. */
async function loadMap(
  parts: PoolParts,
  pool: Pool,
  { durable, recorded }: { durable: number; recorded: OpeningMembers },
): Promise<void> {
  const { group, map, name } = parts;
  await map.load(async (positions) => {
    disownMaps(group, positions, "its copy of the map is not the newest, and is made anew");
    await pool.record.updateMembers(recorded.members);
  });
  if (map.logSequence < durable) {
    const ends = `it ends at record ${map.logSequence}, and record ${durable} was durable`;
    throw new MapDamagedError(`the map that the drives of pool ${name} have is an older copy: ${ends}`);
  }
}

/** What each drive has of the zones is known, and on record, before zones are sealed and removed. */
async function orderZones(opening: {
  readonly parts: PoolParts;
  readonly pool: Pool;
  readonly document: PoolDocument;
  readonly recorded: Undecided;
  readonly volumeNames: readonly string[];
}): Promise<void> {
  const { parts, pool, recorded } = opening;
  const { group, runtime } = parts;
  await checkZones(parts, (former, error) => pool.healing.formerLost(former, error));
  refuseLoss(parts, opening.document, opening.volumeNames);
  recorded.isDecided = true;
  const onRecord = pool.record.document.members;
  const isNew = ({ state, driveId, former, position }: Member): boolean => {
    const old = onRecord[position]!;
    return state !== old.state || driveId !== old.driveId || (former?.hasMap === true) !== (old.former?.hasMap === true);
  };
  if (group.members.some(isNew)) await pool.record.updateMembers(group.members);
  // One that failed and has no place any more is not to be taken for a spare.
  for (const [position, member] of opening.document.members.entries()) {
    if (member.state !== "failed" || group.members[position]!.driveId === member.driveId) continue;
    await pool.record.update((old) => withRetired(old, { ...member, reason: member.reason ?? "it failed" }));
  }
  await putZonesInOrder(parts, (slot) => pool.compactor.removeZone(slot));
  runtime.reached("recovery.zonesInOrder");
}

/** With what was never on the drives that are there, hosts would be answered medium errors: a drive put back may have it. */
function refuseLoss(parts: PoolParts, document: PoolDocument, volumeNames: readonly string[]): void {
  if (document.lossy === true) return;
  // One on record as damaged holds what can't be had, and whatever else was in it is moved: a drive that was rebuilt does
  // without it. What a drive that is away may still have of it is not given up before that drive is (losses.ts).
  const lost = lostZones(parts).filter((zone) => document.damagedZones?.includes(zone) !== true);
  if (lost.length === 0) return;
  const drives = parts.group.members
    .filter((member) => !isTrusted(member.state))
    .map((member) => `${member.name}: ${member.state}, ${member.reason}`);
  const reason = `${lost.length} zones can't be had from the drives that are there (${drives.join("; ")}).`;
  throw new BeyondRedundancyError(parts.name, reason, volumeNames);
}

/** The drives that can be reached, and those that can't: which of them are members is known, what the others are is looked at. */
function shelfOf(options: OpenPoolOptions, document: PoolDocument, group: RaidGroup): DriveShelf {
  const { config, bays } = options;
  const used = group.members.flatMap(({ drive, former }) => [drive, former?.drive]);
  const drives = driveNames(config).map((name, n): ShelfDrive => {
    const bay = bays[n];
    const home = n < config.drives.length ? n : -1;
    if (bay?.state === "open") {
      const { drive, driveId, capacityBytes } = bay;
      const state = used.includes(drive) ? "used" : "missing";
      return { name, home, drive, driveId, capacityBytes, state, reason: undefined, holdsOld: false };
    }
    const away = bay?.state === "unavailable" ? bay.drive : undefined;
    const out = { name, home, drive: away, driveId: "", capacityBytes: 0, holdsOld: false };
    if (bay?.state === "unavailable") return { ...out, state: bay.memberState, reason: bay.reason };
    return { ...out, state: "missing", reason: "the drive is blank" };
  });
  return new DriveShelf(drives, document.poolId);
}

/** The document on all drives, each with the records of the volumes. */
async function writeDocuments(write: {
  readonly group: RaidGroup;
  readonly records: VolumeRecords;
  /** What the newest of the drives has. */
  readonly chosen: PoolDocument;
  readonly current: PoolDocument;
  readonly reached: (site: string) => void;
}): Promise<void> {
  const { group, records, chosen, current } = write;
  // In one batch on each drive: one that missed the last change, or was written by an earlier format, gets its records.
  const put = async (drive: Drive, value: PoolDocument): Promise<void> => {
    const missing = differences(await readVolumeRecords(drive), records);
    await drive.metadataBatch([{ type: "put", key: POOL_KEY, value: encodeDocument(value) }, ...missing]);
  };
  // A start that was cut off here left some drives a version behind. Cut off again, this one must not leave them two.
  const trusted = group.trustedMembers().map(({ position }) => position);
  await group.onEachUnrecorded(trusted, async (drive) => {
    if ((await documentOn(drive))?.version !== chosen.version) await put(drive, chosen);
  });
  write.reached("recovery.documentsLevel");
  await group.onEachUnrecorded(group.positions, (drive) => put(drive, current));
}

/** What people are told of a pool that has failed, by what brings it back. */
const TOLD_AS = {
  none: { type: "pool.failed" },
  path: { type: "pool.unreachable" },
  drives: { type: "pool.drivesLost" },
} as const;

/** Parts raise things that the pool must hear of, and are made before it. */
interface PoolBox<Served> {
  pool: Served | undefined;
}

export function assembleParts(
  options: ObservedOptions,
  opened: {
    document: PoolDocument;
    volumes: readonly PoolVolumeDocument[];
    group: RaidGroup;
    store: MetadataStore;
    file: JournalFile;
    box: PoolBox<Pick<Pool, "hasFailed" | "journalProgress">>;
  },
): PoolParts {
  const { config, global, frames, runtime } = options;
  const { document, group, store, box } = opened;
  const geometry = groupGeometry({ ...document.raid, ...document.geometry });
  const reached = (site: string): void => runtime.reached(site);
  const map = new PoolMap(store, geometry, options.mapPagesMax ?? MAP_PAGES_MAX, reached);
  const staging = new Staging(global.layout.staging[config.index]!, geometry);
  const health: PoolHealth = new PoolHealth((reason) => {
    const event = { severity: "critical", subject: `pool ${config.name}`, message: reason } as const;
    if (health.cure === "reopening") tellJournalFull(runtime, config.name, `the pool is opened anew (${reason})`);
    else runtime.raise({ ...event, ...TOLD_AS[health.cure ?? "none"] });
    box.pool?.hasFailed();
    options.onFailed?.(health.cure);
  });
  const volumes = new Map<number, VolumeState>();
  for (const volume of opened.volumes) {
    const blockCount = Math.ceil(volume.sizeBytes / BLOCK_BYTES);
    map.pages.addVolume(volume.volume, blockCount, false);
    if (volume.deleting !== true) volumes.set(volume.volume, { document: volume, blockCount });
  }
  return {
    index: config.index,
    name: config.name,
    global,
    geometry,
    frames,
    cache: new BlockCache(frames),
    journal: new Journal({
      file: opened.file,
      identity: document.journalId,
      epoch: document.epoch,
      onFailure: (error) => health.fail(error),
      onProgress: () => box.pool?.journalProgress(),
      reached,
    }),
    map,
    group,
    staging,
    reader: new StripeReader({ global, geometry, group, staging }),
    bulk: options.bulk ?? inlineBulkWork(global),
    zeros: new PendingZeros(),
    zoneUse: new ZoneUse(geometry.zoneSlots),
    space: new Space(geometry, map.zones),
    volumes,
    counters: counterBlock(global, "pool", config.index),
    runtime,
    health,
    driveHealth: options.driveHealth,
  };
}

/** So many drives may be away, or have been away, that the others make good what is not theirs. */
function checkMembers(
  config: PoolConfig,
  group: RaidGroup,
  { verdict, copies, volumeNames }: { verdict: Verdict; copies: readonly DocumentCopy[]; volumeNames: readonly string[] },
): void {
  const unsure = unsurePositions(verdict);
  // A drive that has its place back as its successor is gone says nothing of how the pool went on with that one.
  const withoutSuccessors = [...new Set([...unsure, ...positionsGivenBack(verdict)])];
  if (group.level.survives(withoutSuccessors)) return;
  if (group.level.survives(unsure) && isNewestOfAll(verdict, copies, group.level)) return;
  const lost = unsure.map((position) => {
    const { name, state, reason } = group.members[position]!;
    return `${name}: ${state}, ${reason}`;
  });
  const reason = `${lost.length} of its drives are lost and ${group.level.tolerance} can be (${lost.join("; ")}).`;
  throw new BeyondRedundancyError(config.name, reason, volumeNames);
}

/**
 * The drives must be those of this pool: under another name they would be recorded as lost, and the journal of that
 * name, which may hold another pool's acknowledged writes, be made anew.
 */
export function checkShape(config: PoolConfig, document: PoolDocument, volumeNames: readonly string[]): void {
  const names = document.members.map((member) => member.name);
  const refuse = (reason: string) => new PoolRefusedError(config.name, reason, volumeNames);
  if (document.name !== config.name) {
    throw refuse(`its drives ${config.drives.join(", ")} are those of pool ${document.name}: set the pools' drives back.`);
  }
  const made = raidLabel(document.raid);
  const asked = raidLabel(config.raid);
  if (made !== asked || names.length !== config.drives.length)
    throw refuse(`it was made as ${made}, the configuration says ${asked}: set it back.`);
  const configured = driveNames(config);
  if (names.some((name) => !configured.includes(name))) {
    throw refuse(
      `it was made with the drives ${names.join(", ")}, the configuration says ${configured.join(", ")}: set it back.`,
    );
  }
}

function tellDegraded(parts: PoolParts): void {
  const { group, name, runtime } = parts;
  for (const member of group.members) {
    if (isTrusted(member.state)) continue;
    const subject = `drive ${member.name}`;
    const reason = member.reason ?? "unknown reason";
    if (member.state === "rebuilding")
      runtime.raise({
        severity: "info",
        type: "drive.rebuilding",
        subject,
        message: `pool ${name} is ${group.state}, and the drive is brought up to date: ${reason}`,
      });
    else
      runtime.raise({
        severity: "critical",
        type: `drive.${member.state}`,
        subject,
        message: `pool ${name} is ${group.state} without it: ${reason}`,
      });
  }
}
