/**
 * What the drives of a pool know of it before anything is written: their copies of its document, judged, and the records of its
 * volumes.
 *
 * Runs on: the owning director's thread, at every opening of the pool.
 */
import { DriveError } from "../../drivers/drive/drive.ts";
import { driveNames } from "../config/config.ts";
import { decodeDocument } from "../map/metadata-store.ts";
import { isFenced, isWritable } from "../raid/raid-group.ts";
import { raidLevel } from "../raid/raid-levels.ts";
import {
  type DocumentCopy,
  judgeCopies,
  POOL_FORMATS_KNOWN,
  POOL_KEY,
  type PoolDocument,
  type PoolVolumeDocument,
  type Unavailable,
  type Verdict,
} from "./pool-document.ts";
import { type OpenPoolOptions, PoolRefusedError } from "./pool-members.ts";
import { decodeVolumes, readVolumeRecords } from "./volume-records.ts";

/** @param unavailable - gets the drives that can't be opened: the pool does without them, if it can */
export async function readCopies(
  options: OpenPoolOptions,
  epoch: number,
  unavailable: Map<number, Unavailable>,
): Promise<DocumentCopy[]> {
  const copies: DocumentCopy[] = [];
  await Promise.all(
    options.bays.map(async (bay, position) => {
      if (bay.state !== "open") return;
      let value: Uint8Array | undefined;
      try {
        await bay.drive.open(epoch);
        value = await bay.drive.metadataGet(POOL_KEY).catch((error: unknown) => {
          if (error instanceof DriveError && error.kind === "unrecoveredRead") return undefined;
          throw error;
        });
      } catch (error) {
        if (isFenced(error) || !(error instanceof DriveError)) throw error;
        unavailable.set(position, { state: error.kind === "unreachable" ? "missing" : "failed", reason: error.message });
        return;
      }
      const document = value === undefined ? undefined : (decodeDocument(value) as PoolDocument | undefined);
      copies.push({ position, driveId: bay.driveId, document });
    }),
  );
  options.bays.forEach((bay, index) => {
    if (bay.state === "unavailable") unavailable.set(index, { state: bay.memberState, reason: bay.reason });
    if (bay.state === "blank") unavailable.set(index, { state: "missing", reason: "the drive is blank" });
  });
  for (const { document } of copies) {
    if (document !== undefined && !POOL_FORMATS_KNOWN.includes(document.formatVersion)) {
      throw new PoolRefusedError(
        options.config.name,
        `its drives have format version ${document.formatVersion}, this program knows ${POOL_FORMATS_KNOWN.join(" and ")}`,
        [],
      );
    }
  }
  return copies;
}

/** What the drives know of the pool, and its volumes. */
export interface KnownPool {
  readonly verdict: Verdict;
  readonly volumes: readonly PoolVolumeDocument[];
}

/**
 * The newest document that stands on some drive with the records of all volumes whole. Drives with a newer one and without them
 * have lost what they were told to write, and count as failed: had that document been acknowledged, the others would have it.
 * @param unavailable - gets those drives
 * @returns undefined when no drive has a document: the pool was never made
 * @throws PoolRefusedError
 */
export async function knownPool(
  options: OpenPoolOptions,
  copies: readonly DocumentCopy[],
  unavailable: Map<number, Unavailable>,
): Promise<KnownPool | undefined> {
  const { config } = options;
  const judged = (of: readonly DocumentCopy[]): Verdict | undefined =>
    judgeCopies({ name: config.name, bays: driveNames(config), copies: of, unavailable });
  const verdict = judged(copies);
  if (verdict === undefined) return undefined;
  const newest = verdict.document;
  const without: string[] = [];
  const volumes = await volumesOf(options, newest, copies, without);
  if (volumes !== undefined) return { verdict, volumes };
  const isDamaged = ({ document }: DocumentCopy): boolean =>
    document?.poolId === newest.poolId && document.version === newest.version;
  const whole = copies.filter((copy) => !isDamaged(copy));
  for (const { position } of copies.filter(isDamaged))
    unavailable.set(position, { state: "failed", reason: "its records of the pool's volumes are not what was written" });
  const before = judged(whole);
  const volumesBefore = before === undefined ? undefined : await volumesOf(options, before.document, whole);
  const out = before?.members.flatMap(({ state }, position) => (isWritable(state) ? [] : [position])) ?? [];
  const isNext = before?.document.poolId === newest.poolId && before.document.version + 1 === newest.version;
  if (before !== undefined && volumesBefore !== undefined && isNext && raidLevel(before.document.raid).survives(out))
    return { verdict: before, volumes: volumesBefore };
  const reason =
    `no drive has the records of all its ${newest.volumeCount} volumes whole (${without.join("; ")}). ` +
    "Bring back a drive that is missing, or one that can't be read";
  throw new PoolRefusedError(config.name, reason, []);
}

/**
 * The volumes that the document was written with, from the first drive with it that has all their records whole.
 * @param without - gets why each of the others is not that drive
 */
async function volumesOf(
  options: OpenPoolOptions,
  of: PoolDocument,
  copies: readonly DocumentCopy[],
  without: string[] = [],
): Promise<readonly PoolVolumeDocument[] | undefined> {
  if (of.volumes !== undefined) return of.volumes;
  for (const { position, document } of copies) {
    const bay = options.bays[position]!;
    if (bay.state !== "open" || document?.poolId !== of.poolId || document.version !== of.version) continue;
    try {
      const records = await readVolumeRecords(bay.drive);
      const volumes = decodeVolumes(records, of);
      if (volumes !== undefined) return volumes;
      without.push(`drive ${bay.drive.name} has ${records.size} records, which are not what was written`);
    } catch (error) {
      // A drive that can't be read now is found out, and lost on record, when it is written to.
      if (isFenced(error) || !(error instanceof DriveError)) throw error;
      without.push(error.message);
    }
  }
  return undefined;
}
