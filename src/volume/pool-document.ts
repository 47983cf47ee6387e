/**
 * What a pool knows of itself, kept on each of its drives: membership, identity of the journal, digest of its volumes.
 *
 * Every start raises `epoch` and `version` and writes the document to all drives that are trusted. So a drive whose copy
 * is more than one version behind was not there, whatever it says of itself.
 */
import type { VolumeDocument } from "../control/contract.ts";
import { isTrusted, type MemberState } from "../raid/raid-group.ts";
import type { RaidShape } from "../raid/raid-level.ts";
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

export interface MemberDocument {
  readonly name: string;
  readonly driveId: string;
  /** As last recorded. "online" and "predictive" are trusted; any other has missed writes. */
  readonly state: MemberState;
  readonly reason?: string;
}

export interface JournalCopyDocument {
  readonly state: "online" | "lost";
  readonly reason?: string;
}

export interface PoolVolumeDocument extends VolumeDocument {
  /** Its blocks are being given back; gone when that is done. */
  readonly deleting?: boolean;
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
  /** Of version 1 only: since then each volume has a record of its own (volume-records.ts). */
  readonly volumes?: readonly PoolVolumeDocument[];
}

export interface DocumentCopy {
  readonly position: number;
  readonly driveId: string;
  readonly document: PoolDocument | undefined;
}

export interface Verdict {
  readonly document: PoolDocument;
  /** For each position: the state to open it in, with a reason unless it is online. */
  readonly members: readonly { readonly state: MemberState; readonly reason?: string }[];
}

/**
 * Chooses the newest document and says which drives may be trusted.
 * @param copies - one for each position whose drive could be opened
 * @param unavailable - why the others could not
 * @returns undefined when no drive has a document: the pool was never made
 */
export function judgeCopies(
  copies: readonly DocumentCopy[],
  unavailable: ReadonlyMap<number, { state: MemberState; reason: string }>,
): Verdict | undefined {
  let newest: PoolDocument | undefined;
  for (const { document } of copies) {
    if (document !== undefined && (newest === undefined || document.version > newest.version)) newest = document;
  }
  if (newest === undefined) return undefined;
  const chosen = newest;
  const members = chosen.members.map((member, position) => {
    const missing = unavailable.get(position);
    if (missing !== undefined) return missing;
    const copy = copies.find((candidate) => candidate.position === position);
    if (copy === undefined) return { state: "missing" as const, reason: "the drive is not there" };
    if (copy.driveId !== member.driveId) {
      return { state: "foreign" as const, reason: `another drive (${copy.driveId}) is in its place; expected ${member.driveId}` };
    }
    if (!isTrusted(member.state)) {
      return { state: member.state, reason: member.reason ?? "it missed writes and has not been rebuilt" };
    }
    // Its making was cut off while the first document was written: nothing else is on any drive yet.
    if (copy.document === undefined && chosen.version === FIRST_VERSION) return { state: "online" as const };
    if (copy.document === undefined || copy.document.poolId !== chosen.poolId) {
      return { state: "foreign" as const, reason: "its record of the pool is missing, damaged or of another pool" };
    }
    if (chosen.version - copy.document.version > VERSIONS_BEHIND_MAX) {
      return {
        state: "foreign" as const,
        reason: `it holds an older copy (version ${copy.document.version}, current ${chosen.version})`,
      };
    }
    return member.reason === undefined ? { state: member.state } : { state: member.state, reason: member.reason };
  });
  return { document: chosen, members };
}
