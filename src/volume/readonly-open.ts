/**
 * Opens a pool for reading that has lost more drives than its level makes good. Nothing is written: no document, no claim, no
 * zone. So whatever comes back later finds all as it left it, and the next whole opening is as if this had not been.
 *
 *   documents ─▶ the newest of all? ─▶ map, of a drive that has it ─▶ what the drives have of the zones ─▶ the journal laid over it
 *
 * Runs on: the director that owns the pool.
 * Invariants:
 *  1. What is stale is never served. The newest document that is there must be the newest of all: by what the drives that
 *     are away can't have done without these (`isNewestOfAll`), or because this director wrote it (`knownVersion`). The map must be
 *     of a drive that this document trusts, and the journal of that document's owner.
 *  2. What can't be proved is refused, with the reason, as a whole opening would be.
 */
import { DriveError } from "../../drivers/drive/drive.ts";
import { notePoolOwner, poolEpoch, raisePoolEpoch } from "../../drivers/shared-memory/epoch.ts";
import { driveNames } from "../config/config.ts";
import { JournalError } from "../journal/journal-reader.ts";
import { MetadataStore } from "../map/metadata-store.ts";
import { MapDamagedError } from "../map/pool-map.ts";
import { DriveHealth } from "../raid/drive-health.ts";
import { GroupFailedError, isFenced, RaidGroup } from "../raid/raid-group.ts";
import { raidLevel } from "../raid/raid-levels.ts";
import { knownPool, readCopies } from "./known-pool.ts";
import { isNewestOfAll, type PoolDocument, type Unavailable } from "./pool-document.ts";
import {
  disownMaps,
  MAP_PAGES_MAX,
  type ObservedOptions,
  type OpenPoolOptions,
  observedBays,
  openMembers,
  PoolRefusedError,
} from "./pool-members.ts";
import { assembleParts, checkShape, openFormer } from "./pool-open.ts";
import type { PoolParts } from "./pool-parts.ts";
import { NoJournalFile, readJournal } from "./readonly-journal.ts";
import { ReadOnlyPool } from "./readonly-pool.ts";
import { surveyZones } from "./zone-check.ts";

export interface ReadOnlyOpening {
  /** Why it is not opened whole: a sentence. */
  readonly why: string;
  /** Version of the pool's document up to which this director knows that there is no newer one. */
  readonly knownVersion?: number | undefined;
  /** It is worth to be opened anew. */
  readonly onReturn: () => void;
}

/** @throws PoolRefusedError where it can't be read either */
export async function openReadOnlyPool(given: OpenPoolOptions, opening: ReadOnlyOpening): Promise<ReadOnlyPool> {
  const { config, global } = given;
  const { why } = opening;
  const driveHealth = new DriveHealth(config.driveHealth);
  // What the log changes of the map can't be written, and stays in memory: beside it there is as much room as ever.
  const mapPagesMax = 2 * (given.mapPagesMax ?? MAP_PAGES_MAX);
  const options: ObservedOptions = { ...given, mapPagesMax, bays: observedBays(given, driveHealth), driveHealth };
  const unavailable = new Map<number, Unavailable>();
  const copies = await readCopies(options, poolEpoch(global, config.index), unavailable);
  const known = await knownPool(options, copies, unavailable);
  if (known === undefined) throw new PoolRefusedError(config.name, why, []);
  const { verdict, volumes } = known;
  const volumeNames = volumes.map(({ name }) => name);
  const refuse = (nor: string) => new PoolRefusedError(config.name, `${why} Nor can it be read: ${nor}.`, volumeNames);
  checkShape(config, verdict.document, volumeNames);
  const level = raidLevel(verdict.document.raid);
  if (verdict.document.version < (opening.knownVersion ?? Number.POSITIVE_INFINITY) && !isNewestOfAll(verdict, copies, level))
    throw refuse("the drives that are away may have gone on without those that are there");
  const box: { pool: ReadOnlyPool | undefined } = { pool: undefined };
  const group = new RaidGroup(openMembers(options, verdict), level, {
    readOnly: true,
    onMemberLost: async (member) => box.pool?.memberLost(member),
    onNoSpace: () => Promise.reject(new Error("invariant: a pool that is read-only has no room for what it writes")),
    onMismatch: (member) => driveHealth.found(member.name, "mismatch", options.runtime.nowMilliseconds()),
  });
  const store = new MetadataStore(group);
  const epoch = raisePoolEpoch(global, config.index, verdict.document.epoch + 1);
  notePoolOwner(global, config.index, epoch);
  await takeDrives(group, epoch);
  await openFormer(group.members, epoch);
  if (!store.hasMap) throw refuse("no drive that has all of its map is there");
  const document = { ...verdict.document, epoch };
  const assembled = assembleParts(options, { document, volumes, group, store, file: new NoJournalFile(), box });
  try {
    const { journal, overlay, mapSequence } = await readJournal(options, {
      document: verdict.document,
      epoch,
      volumeNames,
      hasVolume: (volume) => assembled.volumes.has(volume),
      onFailure: (error) => assembled.health.fail(error),
    });
    const parts: PoolParts = { ...assembled, journal, zeros: overlay.zeros };
    await loadMap(parts, Math.max(mapSequence, verdict.document.mapSequence ?? 0));
    await surveyZones(parts);
    const { capacityBytes } = options.bays.find((bay) => bay.state === "open")!;
    const {
      bays,
      config: { owner },
    } = options;
    const { onReturn } = opening;
    box.pool = new ReadOnlyPool({
      parts,
      store,
      overlay,
      ownerIndex: owner,
      epoch,
      driveCapacityBytes: capacityBytes,
      bays,
      driveIds: drivesCountedOn(
        verdict.document,
        (name) => unavailable.get(driveNames(config).indexOf(name))?.state === "failed",
      ),
      why,
      onReturn,
    });
  } catch (error) {
    assembled.frames.removeReclaimer(assembled.cache);
    if (error instanceof JournalError || error instanceof MapDamagedError || error instanceof GroupFailedError)
      throw refuse(error.message);
    throw error;
  }
  box.pool.start();
  return box.pool;
}

function drivesCountedOn({ members }: PoolDocument, hasFailed: (name: string) => boolean): string[] {
  return members.flatMap(({ driveId, former }) =>
    former === undefined || hasFailed(former.name) ? [driveId] : [driveId, former.driveId],
  );
}

/** Who can't be reached any more is lost, here and now. */
async function takeDrives(group: RaidGroup, epoch: number): Promise<void> {
  const take = async (position: number): Promise<void> => {
    const { drive } = group.members[position]!;
    try {
      await drive?.open(epoch);
    } catch (error) {
      if (isFenced(error) || !(error instanceof DriveError)) throw error;
      await group.lose(position, error, drive);
    }
  };
  await Promise.all(group.positions.map(take));
}

/** A drive whose copy of the map may be an older one is read for the zones that it has, and not for the map. */
async function loadMap({ group, map, name }: PoolParts, durable: number): Promise<void> {
  await map.load((positions) => {
    disownMaps(group, positions, "its copy of the map is not the newest");
    return Promise.resolve();
  });
  if (map.logSequence >= durable) return;
  const ends = `it ends at record ${map.logSequence}, and record ${durable} was durable`;
  throw new MapDamagedError(`the map that the drives of pool ${name} have is an older copy: ${ends}`);
}
