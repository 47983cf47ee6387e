/**
 * The pool's document and the records of its volumes as they stand on its drives, and their changes: each written to all
 * online drives in one atomic batch, one after the other.
 *
 * Runs on: the owning director's thread. Owns: document and records.
 * Invariants:
 *  1. `document` and `volumes` are what the online drives hold.
 *  2. A change writes the document and at most one volume's record, however many volumes there are.
 */
import type { Drive, MetadataOperation } from "../../drivers/drive/drive.ts";
import { encodeDocument, type MetadataStore } from "../map/metadata-store.ts";
import type { Member } from "../raid/raid-group.ts";
import { type MemberDocument, POOL_KEY, type PoolDocument, type PoolVolumeDocument } from "./pool-document.ts";
import { differences, digestAfter, encodeVolumes, readVolumeRecords, volumeKey } from "./volume-records.ts";

export class PoolRecord {
  readonly #store: MetadataStore;
  readonly #mapSequence: () => number;
  #document: PoolDocument;
  readonly #volumes: Map<number, PoolVolumeDocument>;
  #lock: Promise<unknown> = Promise.resolve();

  /** @param mapSequence - how far the map's log is durable */
  constructor(store: MetadataStore, document: PoolDocument, volumes: readonly PoolVolumeDocument[], mapSequence: () => number) {
    this.#store = store;
    this.#mapSequence = mapSequence;
    this.#document = document;
    this.#volumes = new Map(volumes.map((volume) => [volume.volume, volume]));
  }

  get document(): PoolDocument {
    return this.#document;
  }

  /** By number, those included that are being deleted. */
  get volumes(): ReadonlyMap<number, PoolVolumeDocument> {
    return this.#volumes;
  }

  /** Durable when it resolves. */
  update(change: (old: PoolDocument) => PoolDocument): Promise<void> {
    return this.#inTurn(() => this.#write(change(this.#document), []));
  }

  /** Adds a volume, or changes one that is there. Durable when it resolves; a volume that is not there is left at that. */
  updateVolume(volume: number, change: (old: PoolVolumeDocument | undefined) => PoolVolumeDocument | undefined): Promise<void> {
    return this.#inTurn(async () => {
      const old = this.#volumes.get(volume);
      const fresh = change(old);
      if (fresh === undefined && old === undefined) return;
      const key = volumeKey(volume);
      const before = old === undefined ? undefined : encodeDocument(old);
      const value = fresh === undefined ? undefined : encodeDocument(fresh);
      const operation: MetadataOperation = value === undefined ? { type: "delete", key } : { type: "put", key, value };
      await this.#write({ ...this.#document, ...digestAfter(this.#document, before, value) }, [operation]);
      if (fresh === undefined) this.#volumes.delete(volume);
      else this.#volumes.set(volume, fresh);
    });
  }

  /**
   * A drive becomes a member: `join` makes it one, once it has the records of all volumes, so that the change that follows
   * finds it like the others.
   * @param join - undefined: it is not to be one after all
   */
  joinMember(drive: Drive, join: () => readonly Member[] | undefined): Promise<void> {
    return this.#inTurn(async () => {
      const missing = differences(await readVolumeRecords(drive), encodeVolumes([...this.#volumes.values()]));
      if (missing.length > 0) await drive.metadataBatch(missing);
      const members = join();
      if (members !== undefined) await this.#write({ ...this.#document, members: membersOf(members) }, []);
    });
  }

  /**
   * Puts it on record which members are trusted.
   * @param lossy - whether something can't be had from the drives that are left; as it was unless given
   */
  updateMembers(members: readonly RecordedMember[], lossy?: boolean): Promise<void> {
    return this.update(({ lossy: before, ...old }) => ({
      ...old,
      members: membersOf(members),
      ...((lossy ?? before) === true ? { lossy: true } : {}),
    }));
  }

  async #write(changed: PoolDocument, operations: readonly MetadataOperation[]): Promise<void> {
    const document = { ...changed, version: this.#document.version + 1, mapSequence: this.#mapSequence() };
    await this.#store.putDocument(POOL_KEY, document, operations);
    this.#document = document;
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const run = this.#lock.then(work);
    this.#lock = run.catch(() => undefined);
    return run;
  }
}

/** As much of a member as stands on record. */
export type RecordedMember = Pick<Member, "name" | "driveId" | "state"> & {
  readonly reason?: string | undefined;
  readonly hasMap?: boolean;
  readonly former?: { readonly name: string; readonly driveId: string; readonly hasMap?: boolean } | undefined;
};

export function membersOf(members: readonly RecordedMember[]): PoolDocument["members"] {
  return members.map(({ name, driveId, state, reason, former, hasMap }) => ({
    name,
    driveId,
    state,
    ...(reason === undefined ? {} : { reason }),
    ...(state === "rebuilding" && hasMap === true ? { hasMap } : {}),
    ...(former === undefined ? {} : { former: formerOnRecord(former) }),
  }));
}

function formerOnRecord({ name, driveId, hasMap }: NonNullable<RecordedMember["former"]>): NonNullable<MemberDocument["former"]> {
  return { name, driveId, ...(hasMap === true ? { hasMap } : {}) };
}
