/**
 * What a pool knows of itself, kept on each of its drives: membership, identity of the journal, digest of its volumes.
 *
 * Every start raises `epoch` and `version` and writes the document to all drives that are trusted. So a drive whose copy
 * is more than one version behind was not there, whatever it says of itself. One that is a single version behind was there
 * when the array stopped, or is an older copy: what it holds tells (zone-check.ts, and the map's own checkpoint).
 */
import type { ScrubResult, VolumeDocument } from "../control/contract.ts";
import { isWritable, type MemberState } from "../raid/raid-group.ts";
import type { RaidLevel, RaidShape } from "../raid/raid-level.ts";
import type { RecordsDigest } from "./volume-records.ts";

export const POOL_KEY = "pool";
/** Version 1 had the volumes in the document itself; it is read, and written anew as what it is now. */
export const POOL_FORMAT_VERSION = 2;
export const POOL_FORMATS_KNOWN: readonly number[] = [1, POOL_FORMAT_VERSION];
export const ARRAY_KEY = "array";
/** Version of the document that a pool is made with; its first opening raises it. */
export const FIRST_VERSION = 1;
/** A crash while the document is written leaves some drives one version behind. */
const VERSIONS_BEHIND_MAX = 1;
const CUT_OFF = "it has just become a member, and is rebuilt";
/** Past this the oldest are forgotten: they were replaced long ago. */
const RETIRED_MAX = 64;

export interface MemberDocument {
  readonly name: string;
  readonly driveId: string;
  /** As last recorded. "online" and "predictive" are trusted; any other has missed writes. */
  readonly state: MemberState;
  readonly reason?: string;
  /** Of one that is being rebuilt: it has all of the map. */
  readonly hasMap?: boolean;
  /** Of one that is being rebuilt: the drive that held the position, good for what the zones before have, and perhaps for the map. */
  readonly former?: { readonly name: string; readonly driveId: string; readonly hasMap?: boolean };
}

export interface JournalCopyDocument {
  readonly state: "online" | "lost";
  readonly reason?: string;
  /** Of a lost one that missed that the journal was made anew: the journal that it was last a copy of. */
  readonly journalId?: string;
}

export interface PoolVolumeDocument extends VolumeDocument {
  /** Its blocks are being given back; gone when that is done. */
  readonly deleting?: boolean;
}

export interface ScrubDocument {
  /** Hours that the pool was served since the last scrub ended, or since it was made. */
  readonly sinceHours: number;
  /** Under way: zones with a lower number than `nextZone` are done. */
  readonly pass?: { readonly nextZone: number; readonly untilZone: number };
  readonly last?: ScrubResult;
}

export interface PoolDocument extends RecordsDigest {
  readonly formatVersion: number;
  readonly version: number;
  readonly poolId: string;
  readonly name: string;
  readonly epoch: number;
  /** 32 hexadecimal digits. */
  readonly journalId: string;
  /** False only after a clean stop with an empty journal: then, and only then, the journal may be missing. */
  readonly journalLive: boolean;
  /** Of a journal that has, or had, a mirror: the file itself, then its mirror. One that is lost has missed writes. */
  readonly journalCopies?: readonly JournalCopyDocument[];
  readonly raid: RaidShape;
  readonly geometry: { readonly blocksPerStrip: number; readonly stripesPerZone: number; readonly zoneSlots: number };
  readonly members: readonly MemberDocument[];
  /** Drives that failed as members, or were suspect: not taken again until people replace them. At most RETIRED_MAX. */
  readonly retired?: readonly { readonly driveId: string; readonly name: string; readonly reason: string }[];
  /** Of the schedule of scrubs, and of the one that is under way. */
  readonly scrub?: ScrubDocument;
  /** The map's log was durable up to here when this was written: a map that ends before is an older one. */
  readonly mapSequence?: number;
  /** More drives were lost than the level makes good: what is gone is answered with medium errors, the rest is served. */
  readonly lossy?: boolean;
  /** Zones with strips that can't be had, until what they held is on record in the map (losses.ts). */
  readonly damagedZones?: readonly number[];
  /** Of version 1 only: since then each volume has a record of its own (volume-records.ts). */
  readonly volumes?: readonly PoolVolumeDocument[];
}

export interface DocumentCopy {
  /** Number of the bay that the drive is in. */
  readonly position: number;
  readonly driveId: string;
  readonly document: PoolDocument | undefined;
}

interface MemberVerdict {
  readonly state: MemberState;
  /** Which drive has the position: the one on record, or the one that it is built from, where it is not there any more. */
  readonly driveId: string;
  /** Unless it is online. */
  readonly reason?: string;
  /** Where the drive is, if it is to be used. */
  readonly bay?: number;
  /** Of one that is rebuilt. */
  readonly hasMap?: boolean;
}

export interface Verdict {
  readonly document: PoolDocument;
  /** For each position: the state to open it in. What the drives hold is looked at later (zone-check.ts). */
  readonly members: readonly MemberVerdict[];
}

/** The document with one more drive that is not taken again. */
export function withRetired(
  document: PoolDocument,
  { driveId, name, reason }: { driveId: string; name: string; reason: string },
): PoolDocument {
  const others = (document.retired ?? []).filter((drive) => drive.driveId !== driveId);
  return { ...document, retired: [...others, { driveId, name, reason }].slice(-RETIRED_MAX) };
}

/** A bay whose drive can't be opened. */
export interface Unavailable {
  readonly state: MemberState;
  readonly reason: string;
}

export interface JudgedBays {
  /** The pool's name: a drive of another pool has no say. */
  readonly name: string;
  /** Names of the bays: a member is looked for by its identity first, then in the bay of its name. */
  readonly bays: readonly string[];
  /** One for each bay whose drive could be opened. */
  readonly copies: readonly DocumentCopy[];
  readonly unavailable: ReadonlyMap<number, Unavailable>;
}

/**
 * Chooses the newest document and says which drives may be trusted.
 * @returns undefined when no drive has a document: the pool was never made
 */
export function judgeCopies(judged: JudgedBays): Verdict | undefined {
  const newest = newestDocument(judged);
  if (newest === undefined) return undefined;
  const members = newest.members.map((member) => {
    const verdict = { ...judgeMember(judged, newest, member), driveId: member.driveId };
    return isWritable(verdict.state) ? verdict : (formerVerdict(judged, member) ?? verdict);
  });
  return { document: newest, members };
}

/** Of the pool that the most of the drives are members of, by their own word: a stray drive of another one does not decide. */
function newestDocument({ copies, name }: JudgedBays): PoolDocument | undefined {
  const votes = new Map<string, number>();
  for (const { document, driveId } of copies) {
    if (document === undefined) continue;
    const isMember = document.name === name && document.members.some((member) => member.driveId === driveId);
    votes.set(document.poolId, (votes.get(document.poolId) ?? 0) + (isMember ? 1 : 0));
  }
  const most = Math.max(...votes.values());
  let newest: PoolDocument | undefined;
  for (const { document } of copies) {
    if (document === undefined || votes.get(document.poolId) !== most) continue;
    if (newest === undefined || isLater(document, newest)) newest = document;
  }
  return newest;
}

/** Versions count from what a start found: one that some drive was away from gives the same again, under a higher epoch. */
function isLater(one: PoolDocument, other: PoolDocument): boolean {
  return one.epoch > other.epoch || (one.epoch === other.epoch && one.version > other.version);
}

/**
 * The drive that a member was built from has its place again where the member itself can't be used: what it has of zones and
 * the map is looked at. (What the others lack may be on it alone.)
 */
function formerVerdict(judged: JudgedBays, { name, former }: MemberDocument): MemberVerdict | undefined {
  if (former === undefined) return undefined;
  const copy = judged.copies.find(({ driveId }) => driveId === former.driveId);
  if (copy === undefined) return undefined;
  const reason = `drive ${name}, which was built from it, can't be used, and it has its place again`;
  return { state: "rebuilding", driveId: former.driveId, reason, bay: copy.position, hasMap: former.hasMap === true };
}

function judgeMember(judged: JudgedBays, newest: PoolDocument, member: MemberDocument): Omit<MemberVerdict, "driveId"> {
  const home = judged.bays.indexOf(member.name);
  const own = judged.copies.filter(({ driveId }) => driveId === member.driveId);
  const copy = own.find(({ position }) => position === home) ?? own[0];
  if (copy === undefined) {
    const missing = judged.unavailable.get(home);
    if (missing !== undefined) return missing;
    const other = judged.copies.find(({ position }) => position === home);
    if (other === undefined) return { state: "missing", reason: "the drive is not there" };
    return {
      state: "foreign",
      reason: `another drive (${other.driveId}) is in its place; expected ${member.driveId}`,
    };
  }
  const bay = copy.position;
  // What failed is not taken for sound because it answers again: people replace it, or a spare does.
  if (member.state === "failed") {
    return { state: member.state, reason: member.reason ?? "it missed writes and has not been rebuilt" };
  }
  // Its making was cut off while the first document was written: nothing else is on any drive yet.
  if (copy.document === undefined && newest.version === FIRST_VERSION) return { state: "online", bay };
  // It became a member, and the first that it should have had of it was cut off: what it has of zones is looked at.
  if (copy.document === undefined && (member.state === "rebuilding" || member.state === "missing"))
    return { state: "rebuilding", reason: CUT_OFF, bay };
  if (copy.document === undefined || copy.document.poolId !== newest.poolId) {
    return { state: "foreign", reason: "its record of the pool is missing, damaged or of another pool" };
  }
  // Of one in whose place another was nothing was given up either.
  if (member.state === "missing" || member.state === "foreign")
    return { state: "rebuilding", reason: "it was missing, and is brought up to date", bay };
  const behind = newest.version - copy.document.version;
  if (member.state === "rebuilding") {
    const hasMap = member.hasMap === true && behind <= VERSIONS_BEHIND_MAX;
    return { state: "rebuilding", reason: member.reason ?? "it is being rebuilt", bay, hasMap };
  }
  if (behind > VERSIONS_BEHIND_MAX) {
    const versions = `version ${copy.document.version}, current ${newest.version}`;
    return { state: "rebuilding", reason: `it holds an older copy (${versions}), and is brought up to date`, bay };
  }
  return member.state === "predictive"
    ? { state: member.state, reason: member.reason ?? "it should be replaced", bay }
    : { state: "online", bay };
}

/**
 * Whether the newest document that was found is the newest that counts, however many drives are not there: a later one is on
 * drives that went on without each of those that have this one, and so many they can't have been without.
 */
export function isNewestOfAll({ document, members }: Verdict, copies: readonly DocumentCopy[], level: RaidLevel): boolean {
  const without: number[] = [];
  members.forEach(({ bay, driveId }, position) => {
    const isMember = driveId === document.members[position]!.driveId;
    const copy = copies.find((candidate) => isMember && candidate.position === bay);
    const behind = document.version - (copy?.document?.version ?? Number.NEGATIVE_INFINITY);
    if (!isWritable(document.members[position]!.state) || behind <= VERSIONS_BEHIND_MAX) without.push(position);
  });
  return !level.survives(without);
}

/** Positions that a drive has again as the one that was built from it can't be used. */
export function positionsGivenBack({ document, members }: Verdict): number[] {
  return members.flatMap(({ driveId }, position) => (driveId === document.members[position]!.driveId ? [] : [position]));
}

/**
 * Positions whose drives are not there, or were not there of late: so many must be made good by the others, as nothing but
 * the map tells what of them is current. A drive on record as being rebuilt is not among them: its zones tell.
 */
export function unsurePositions({ document, members }: Verdict): number[] {
  const unsure: number[] = [];
  members.forEach((verdict, position) => {
    const recorded = document.members[position]!.state;
    if (!isWritable(verdict.state) || (verdict.state === "rebuilding" && recorded !== "rebuilding")) unsure.push(position);
  });
  return unsure;
}
