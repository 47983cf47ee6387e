/**
 * Opens a pool: makes it on its first start, recovers it on every other. Restart and takeover are this one path
 * (architecture, invariant 9): journal and drives are the truth, global memory is not looked at.
 *
 *   drives' documents ─▶ who is trusted ─▶ new epoch, drives fenced ─▶ journal found to be the right one
 *     ─▶ document written (epoch, members) ─▶ map: checkpoint and log ─▶ zones put in order ─▶ journal replayed into the cache
 *
 * Runs on: the director that owns the pool from now on.
 */
import { randomBytes } from "node:crypto";
import type { Drive } from "../../drivers/drive/drive.ts";
import type { JournalFile } from "../../drivers/journal-file/journal-file.ts";
import { counterBlock } from "../../drivers/shared-memory/counters.ts";
import { poolEpoch, raisePoolEpoch } from "../../drivers/shared-memory/epoch.ts";
import type { GlobalMemory } from "../../drivers/shared-memory/global-memory.ts";
import { BlockCache } from "../cache/block-cache.ts";
import type { FramePool } from "../cache/frame-pool.ts";
import type { PoolConfig } from "../config/config.ts";
import { FORMAT_VERSION } from "../control/contract.ts";
import { Journal } from "../journal/journal.ts";
import { decodeDocument, MetadataStore } from "../map/metadata-store.ts";
import { PoolMap } from "../map/pool-map.ts";
import { type GroupGeometry, groupGeometry } from "../raid/geometry.ts";
import { type Member, RaidGroup } from "../raid/raid-group.ts";
import { Staging } from "../raid/staging.ts";
import { StripeReader } from "../raid/stripe-reader.ts";
import { BLOCK_BYTES } from "./block-io.ts";
import { PendingZeros } from "./pending-zeros.ts";
import { membersOf, Pool } from "./pool.ts";
import { type DocumentCopy, judgeCopies, POOL_KEY, type PoolDocument, type Verdict } from "./pool-document.ts";
import { type BayDrive, PoolHealth, type PoolParts, type VolumeState, ZoneUse } from "./pool-parts.ts";
import { putZonesInOrder, replayJournal } from "./recovery.ts";
import type { PoolRuntime } from "./runtime.ts";
import { Space } from "./space.ts";

/** RAID-5 goes on without one drive. */
const TOLERANCE = 1;
/** Map pages in memory: 4,096 pages of 1,024 blocks map 16 GiB and take 16 MiB. */
const MAP_PAGES_MAX = 8192;
const NO_SPACE_RETRY_MILLISECONDS = 5000;

/** The pool can't be opened, and why: people must do something. Nothing was changed. */
export class PoolRefusedError extends Error {
  constructor(pool: string, reason: string, volumes: readonly string[]) {
    const named = volumes.length === 0 ? "" : ` Volumes concerned: ${volumes.join(", ")}.`;
    super(`pool ${pool} is not opened: ${reason}${named}`);
    this.name = "PoolRefusedError";
  }
}

/** Where the pool's journal file is. */
export interface JournalBay {
  /** Undefined: there is no such file. */
  open(): JournalFile | undefined;
  /** Makes a new file, in the place of any that is there. */
  create(): JournalFile;
}

export interface OpenPoolOptions {
  readonly config: PoolConfig;
  readonly global: GlobalMemory;
  readonly frames: FramePool;
  /** One for each drive of the pool, in RAID position order. Blank drives were formatted by now. */
  readonly bays: readonly BayDrive[];
  readonly journal: JournalBay;
  readonly runtime: PoolRuntime;
  readonly ageSeconds: number;
}

export async function openPool(options: OpenPoolOptions): Promise<Pool> {
  const { config, global } = options;
  const floor = poolEpoch(global, config.index);
  const copies = await readCopies(options, floor);
  const unavailable = new Map<number, { state: Member["state"]; reason: string }>();
  options.bays.forEach((bay, position) => {
    if (bay.state === "unavailable") unavailable.set(position, { state: bay.memberState, reason: bay.reason });
    if (bay.state === "blank") unavailable.set(position, { state: "missing", reason: "the drive is blank" });
  });
  const verdict = judgeCopies(copies, unavailable);
  if (verdict === undefined) return makePool(options, unavailable);
  return recoverPool(options, verdict);
}

async function readCopies(options: OpenPoolOptions, epoch: number): Promise<DocumentCopy[]> {
  const copies: DocumentCopy[] = [];
  await Promise.all(
    options.bays.map(async (bay, position) => {
      if (bay.state !== "open") return;
      await bay.drive.open(epoch);
      const value = await bay.drive.metadataGet(POOL_KEY).catch(() => undefined);
      const document = value === undefined ? undefined : (decodeDocument(value) as PoolDocument | undefined);
      copies.push({ position, driveId: bay.driveId, document });
    }),
  );
  for (const { document } of copies) {
    if (document !== undefined && document.formatVersion !== FORMAT_VERSION) {
      throw new PoolRefusedError(
        options.config.name,
        `its drives have format version ${document.formatVersion}, this program knows ${FORMAT_VERSION}`,
        [],
      );
    }
  }
  return copies;
}

// — first start —

async function makePool(options: OpenPoolOptions, unavailable: ReadonlyMap<number, { reason: string }>): Promise<Pool> {
  const { config, bays } = options;
  if (unavailable.size > 0) {
    const reasons = [...unavailable].map(([position, { reason }]) => `${config.drives[position]}: ${reason}`);
    throw new PoolRefusedError(
      config.name,
      `no drive knows the pool, and it can't be made because drives are not there (${reasons.join("; ")})`,
      [],
    );
  }
  const drives = bays.map((bay) => (bay as BayDrive & { state: "open" }).drive);
  for (const drive of drives) {
    if ((await drive.listZones()).length > 0) {
      throw new PoolRefusedError(
        config.name,
        `drive ${drive.name} holds zones, but no drive has the pool's record: its metadata is lost`,
        [],
      );
    }
  }
  const identity = await drives[0]!.identify();
  const geometry = geometryOf(config, identity);
  const document: PoolDocument = {
    formatVersion: FORMAT_VERSION,
    version: 1,
    poolId: randomBytes(16).toString("hex"),
    name: config.name,
    epoch: 0,
    journalId: randomBytes(16).toString("hex"),
    // The journal is made on the way, and no record is in it: until then it may be missing.
    journalLive: false,
    raid: { level: 5, dataDrives: config.raid.dataDrives },
    geometry: {
      blocksPerStrip: geometry.shape.blocksPerStrip,
      stripesPerZone: geometry.stripesPerZone,
      zoneSlots: geometry.zoneSlots,
    },
    members: bays.map((bay, position) => ({
      name: config.drives[position]!,
      driveId: (bay as BayDrive & { state: "open" }).driveId,
      state: "online" as const,
    })),
    volumes: [],
  };
  // The pool exists from the moment that its document does: the map's first checkpoint comes before.
  const members = openMembers(options, { document, members: document.members.map(() => ({ state: "online" as const })) });
  const store = new MetadataStore(
    new RaidGroup(members, TOLERANCE, {
      onMemberLost: () => Promise.resolve(),
      onNoSpace: (member) => tellNoSpace(options, member),
    }),
  );
  await new PoolMap(store, geometry, MAP_PAGES_MAX).format();
  await store.putDocument(POOL_KEY, document);
  return recoverPool(options, { document, members: document.members.map(() => ({ state: "online" as const })) });
}

function geometryOf(config: PoolConfig, drive: { stripBytes: number; stripsPerZone: number; zoneCount: number }): GroupGeometry {
  // stripBytes = blocks × (4096 + 32) + 64: see strip.ts.
  const blocksPerStrip = Math.floor(drive.stripBytes / 4128);
  return groupGeometry({
    dataDrives: config.raid.dataDrives,
    blocksPerStrip,
    stripesPerZone: drive.stripsPerZone,
    zoneSlots: drive.zoneCount,
  });
}

// — every start —

async function recoverPool(options: OpenPoolOptions, verdict: Verdict): Promise<Pool> {
  const { config, global, frames, runtime } = options;
  const { document } = verdict;
  const volumeNames = document.volumes.map((volume) => volume.name);
  checkShape(config, document, volumeNames);
  const members = openMembers(options, verdict);
  const box: { pool: Pool | undefined } = { pool: undefined };
  const group = new RaidGroup(members, TOLERANCE, {
    onMemberLost: async (member) => {
      await box.pool?.memberLost(member);
    },
    onNoSpace: (member) => tellNoSpace(options, member),
  });
  if (group.state === "failed") {
    const lost = members
      .filter((member) => member.state !== "online")
      .map((member) => `${member.name}: ${member.state}, ${member.reason}`);
    throw new PoolRefusedError(
      config.name,
      `${lost.length} of its drives are lost and ${TOLERANCE} can be (${lost.join("; ")}).`,
      volumeNames,
    );
  }
  const epoch = raisePoolEpoch(global, config.index, document.epoch + 1);
  await group.onEach(group.positions, (drive) => drive.open(epoch));

  const opened = await openJournal(options, document, volumeNames);
  const geometry = groupGeometry({ dataDrives: document.raid.dataDrives, ...document.geometry });
  const store = new MetadataStore(group);
  const current: PoolDocument = {
    ...document,
    version: document.version + 1,
    epoch,
    journalId: opened.journalId,
    journalLive: true,
    members: membersOf(members, document),
  };
  await store.putDocument(POOL_KEY, current);

  const map = new PoolMap(store, geometry, MAP_PAGES_MAX);
  const staging = new Staging(global.layout.staging[config.index]!, geometry);
  const health = new PoolHealth((reason) => {
    runtime.raise({ severity: "critical", type: "pool.failed", subject: `pool ${config.name}`, message: reason });
    box.pool?.hasFailed();
  });
  const journal = new Journal({
    file: opened.file,
    identity: opened.journalId,
    epoch,
    onFailure: (error) => health.fail(error),
    onProgress: () => box.pool?.journalProgress(),
  });
  const volumes = new Map<number, VolumeState>();
  for (const volume of document.volumes) {
    const blockCount = Math.ceil(volume.sizeBytes / BLOCK_BYTES);
    map.pages.addVolume(volume.volume, blockCount, false);
    if (volume.deleting !== true) volumes.set(volume.volume, { document: volume, blockCount });
  }
  const parts: PoolParts = {
    index: config.index,
    name: config.name,
    global,
    geometry,
    frames,
    cache: new BlockCache(frames),
    journal,
    map,
    group,
    staging,
    reader: new StripeReader({ global, geometry, group, staging }),
    zeros: new PendingZeros(),
    zoneUse: new ZoneUse(geometry.zoneSlots),
    space: new Space(geometry, map.zones),
    volumes,
    counters: counterBlock(global, "pool", config.index),
    runtime,
    health,
  };
  const drive = members.find((member) => member.drive !== undefined)!.drive!;
  const { capacityBytes } = await drive.identify();
  const pool = new Pool({
    parts,
    store,
    document: current,
    ownerIndex: config.owner,
    ageSeconds: options.ageSeconds,
    driveCapacityBytes: capacityBytes,
  });
  box.pool = pool;
  await map.load();
  await putZonesInOrder(parts, (slot) => pool.compactor.removeZone(slot));
  await replayJournal(parts, { press: () => pool.press() });
  tellDegraded(parts);
  pool.start();
  return pool;
}

/** People are told each time it is tried again: that is how they see that it goes on. */
function tellNoSpace({ config, runtime }: OpenPoolOptions, member: Member): Promise<void> {
  runtime.raise({
    severity: "critical",
    type: "drive.noSpace",
    subject: `drive ${member.name}`,
    message: `the disk below pool ${config.name} is full: make room there. Nothing is lost; writes wait until there is some`,
  });
  return new Promise((resolve) => {
    const cancel = runtime.every(NO_SPACE_RETRY_MILLISECONDS, () => {
      cancel();
      resolve();
    });
  });
}

function checkShape(config: PoolConfig, document: PoolDocument, volumeNames: readonly string[]): void {
  if (document.raid.dataDrives === config.raid.dataDrives && document.members.length === config.drives.length) return;
  throw new PoolRefusedError(
    config.name,
    `it was made with ${document.raid.dataDrives} data drives, the configuration says ${config.raid.dataDrives}: set it back`,
    volumeNames,
  );
}

function openMembers(options: OpenPoolOptions, verdict: Verdict): Member[] {
  return verdict.document.members.map((member, position) => {
    const bay = options.bays[position]!;
    const { state, reason } = verdict.members[position]!;
    const drive: Drive | undefined = bay.state === "open" ? bay.drive : undefined;
    return { position, name: member.name, driveId: member.driveId, state, reason, drive: state === "online" ? drive : undefined };
  });
}

/** The journal must be the one that the drives name, unless they say that nothing is in it. */
async function openJournal(
  options: OpenPoolOptions,
  document: PoolDocument,
  volumeNames: readonly string[],
): Promise<{ file: JournalFile; journalId: string }> {
  const file = options.journal.open();
  if (document.journalLive) {
    if (file === undefined) {
      throw new PoolRefusedError(
        options.config.name,
        "its journal is missing, and the drives say that writes were in it which hosts take for stored. Put the journal file back",
        volumeNames,
      );
    }
    return { file, journalId: document.journalId };
  }
  // A new identity: nothing that lies in the file from before can be taken for a record of this journal.
  const journalId = randomBytes(16).toString("hex");
  const fresh = file ?? options.journal.create();
  await Journal.format(fresh, journalId);
  return { file: fresh, journalId };
}

function tellDegraded(parts: PoolParts): void {
  const { group, name, runtime } = parts;
  for (const member of group.members) {
    if (member.state === "online") continue;
    runtime.raise({
      severity: "critical",
      type: `drive.${member.state}`,
      subject: `drive ${member.name}`,
      message: `pool ${name} is ${group.state} without it: ${member.reason ?? "unknown reason"}`,
    });
  }
}
