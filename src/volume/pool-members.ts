/**
 * What making a pool and recovering one have in common: the options, the drives as members, and what people are told.
 */

import type { Drive } from "../../drivers/drive/drive.ts";
import type { JournalFile } from "../../drivers/journal-file/journal-file.ts";
import { firstPoolEpoch } from "../../drivers/shared-memory/epoch.ts";
import type { GlobalMemory } from "../../drivers/shared-memory/global-memory.ts";
import type { FramePool } from "../cache/frame-pool.ts";
import { driveNames, type PoolConfig } from "../config/config.ts";
import type { BulkWork } from "../raid/bulk-work.ts";
import type { DriveHealth } from "../raid/drive-health.ts";
import { ObservedDrive } from "../raid/observed-drive.ts";
import { type FormerDrive, isTrusted, isWritable, type Member, type RaidGroup } from "../raid/raid-group.ts";
import type { HealingSettings } from "./healing-settings.ts";
import type { MemberDocument, Verdict } from "./pool-document.ts";
import type { BayDrive, PoolCure } from "./pool-parts.ts";
import { type PoolRuntime, pause } from "./runtime.ts";

/** Map pages in memory: 8,192 pages of 1,024 blocks map 32 GiB and take 32 MiB; others are read when they are needed. */
export const MAP_PAGES_MAX = 8192;
/** So long after a drive had no room it is tried again. */
export const NO_SPACE_RETRY_MILLISECONDS = 5000;

/** The pool can't be opened, and why: people must do something. Nothing was changed. */
export class PoolRefusedError extends Error {
  /** A sentence. */
  readonly reason: string;

  constructor(pool: string, reason: string, volumes: readonly string[], options?: ErrorOptions) {
    const sentence = reason.endsWith(".") ? reason : `${reason}.`;
    const named = volumes.length === 0 ? "" : ` Volumes concerned: ${volumes.join(", ")}.`;
    super(`pool ${pool} is not opened: ${sentence}${named}`, options);
    this.name = "PoolRefusedError";
    this.reason = sentence;
  }
}

/** More of its drives are gone than it can do without: it may be opened for reading (`openReadOnlyPool`). */
export class BeyondRedundancyError extends PoolRefusedError {}

/** Where the pool's journal file is. */
export interface JournalBay {
  /** Undefined: there is no such file. */
  open(): JournalFile | undefined;
  /** Makes a new file, in the place of any that is there. */
  create(): JournalFile;
  /** Where the second copy is, if the journal is to have one. */
  readonly mirror?: JournalBay;
}

export interface OpenPoolOptions {
  readonly config: PoolConfig;
  readonly global: GlobalMemory;
  readonly frames: FramePool;
  /** One for each of the pool's drives and then of its spares, as the configuration lists them. Blank drives were formatted by now. */
  readonly bays: readonly BayDrive[];
  readonly journal: JournalBay;
  readonly runtime: PoolRuntime;
  /** Where stripes are worked on in bulk; in place when there is none. */
  readonly bulk?: BulkWork;
  readonly ageSeconds: number;
  /** What the pool does about its drives by itself; HEALING_SETTINGS unless given. */
  readonly healing?: HealingSettings;
  /** Pages of the map in memory; MAP_PAGES_MAX unless given. */
  readonly mapPagesMax?: number;
  /** Takeover within one process: see RecoveryHooks. */
  readonly pagesKept?: boolean;
  /** Told of each request of another director, in this process, of which the journal has a part: it is executed, and must not be repeated. */
  readonly onRecovered?: (request: RecoveredRequest) => void;
  /** Once it is open: it can't be served any more. */
  readonly onFailed?: (cure: PoolCure) => void;
}

/** Told of what a record has, and of the epoch of the owner that wrote it. */
export type RecoveredHook = (request: RecoveredRequest, epoch: number) => void;

/**
 * What owners before in this process had executed. Directors count their requests and their own epochs from 1 in each process,
 * so that what another process left in the journal says nothing about the requests of this one.
 */
export function recoveredHook({ config, global, onRecovered }: OpenPoolOptions): RecoveredHook | undefined {
  if (onRecovered === undefined) return undefined;
  const first = firstPoolEpoch(global, config.index);
  return (request, epoch) => {
    if (epoch >= first) onRecovered(request);
  };
}

/** Who asked for what a journal entry has: requester's epoch (16 bits) and number are unique together with its director, in one process. */
export interface RecoveredRequest {
  readonly nexus: number;
  readonly requesterEpoch: number;
  readonly request: number;
}

/** The options with drives that tell how they do. */
export interface ObservedOptions extends OpenPoolOptions {
  readonly driveHealth: DriveHealth;
}

export function observedBays({ bays, runtime }: OpenPoolOptions, health: DriveHealth): BayDrive[] {
  const now = () => runtime.nowMilliseconds();
  return bays.map((bay) =>
    bay.state !== "blank" && bay.drive !== undefined ? { ...bay, drive: new ObservedDrive(bay.drive, health, now) } : bay,
  );
}

export function openMembers(options: OpenPoolOptions, verdict: Verdict): Member[] {
  return verdict.document.members.map((member, position) => {
    const { state, driveId, reason, bay: bayIndex, hasMap = false } = verdict.members[position]!;
    const bay = bayIndex === undefined ? undefined : options.bays[bayIndex];
    const drive: Drive | undefined = bay?.state === "open" ? bay.drive : undefined;
    const name = bayIndex === undefined ? member.name : driveNames(options.config)[bayIndex]!;
    return {
      position,
      name,
      driveId,
      state,
      reason,
      drive: isWritable(state) ? drive : undefined,
      hasMap,
      former: state === "rebuilding" && driveId === member.driveId ? formerOf(options, member) : undefined,
    };
  });
}

/** The drive that held the position, away or there; which zones it has is found when the zones are looked at. */
function formerOf({ bays, config }: OpenPoolOptions, { driveId, former }: MemberDocument): FormerDrive | undefined {
  if (former === undefined || former.driveId === driveId) return undefined;
  const index = bays.findIndex((bay) => bay.state === "open" && bay.driveId === former.driveId);
  const bay = bays[index];
  if (bay?.state !== "open")
    return { name: former.name, driveId: former.driveId, drive: undefined, hasMap: false, hasZone: () => false };
  const name = driveNames(config)[index]!;
  return { name, driveId: former.driveId, drive: bay.drive, hasMap: former.hasMap === true, hasZone: () => false };
}

/** Of positions whose copy of the map may be an older one: nobody there counts as having it, until it is copied to them. */
export function disownMaps({ members }: RaidGroup, positions: readonly number[], reason: string): void {
  for (const position of positions) {
    const member = members[position]!;
    if (isTrusted(member.state)) {
      member.state = "rebuilding";
      member.reason = reason;
    } else if (member.hasMap === true) member.hasMap = false;
    else if (member.former !== undefined) member.former.hasMap = false;
  }
}

/** People are told each time it is tried again: that is how they see that it goes on. */
export function tellNoSpace({ config, runtime }: OpenPoolOptions, member: Member): Promise<void> {
  runtime.raise({
    severity: "critical",
    type: "drive.noSpace",
    subject: `drive ${member.name}`,
    message: `the disk below pool ${config.name} is full: make room there. Nothing is lost; writes wait until there is some`,
  });
  return pause(runtime, NO_SPACE_RETRY_MILLISECONDS);
}
