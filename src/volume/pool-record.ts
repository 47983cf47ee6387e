/**
 * The pool's document and the records of its volumes as they stand on its drives, and their changes: each written to all
 * online drives in one atomic batch, one after the other.
 *
 * Runs on: the owning director's thread. Owns: document and records.
 * Invariants:
 *  1. `document` and `volumes` are what the online drives hold.
 *  2. A change writes the document and at most one volume's record, however many volumes there are.
 */
import type { MetadataOperation } from "../../drivers/drive/drive.ts";
import { encodeDocument, type MetadataStore } from "../map/metadata-store.ts";
import type { Member } from "../raid/raid-group.ts";
import { POOL_KEY, type PoolDocument, type PoolVolumeDocument } from "./pool-document.ts";
import { digestAfter, volumeKey } from "./volume-records.ts";

export class PoolRecord {
  readonly #store: MetadataStore;
  #document: PoolDocument;
  readonly #volumes: Map<number, PoolVolumeDocument>;
  #lock: Promise<unknown> = Promise.resolve();

  constructor(store: MetadataStore, document: PoolDocument, volumes: readonly PoolVolumeDocument[]) {
    this.#store = store;
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

  /** Puts it on record which members are trusted. */
  updateMembers(members: readonly Member[]): Promise<void> {
    return this.update((old) => ({ ...old, members: membersOf(members, old) }));
  }

  async #write(changed: PoolDocument, operations: readonly MetadataOperation[]): Promise<void> {
    const document = { ...changed, version: this.#document.version + 1 };
    await this.#store.putDocument(POOL_KEY, document, operations);
    this.#document = document;
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const run = this.#lock.then(work);
    this.#lock = run.catch(() => undefined);
    return run;
  }
}

export function membersOf(members: readonly Member[], old: PoolDocument): PoolDocument["members"] {
  return members.map((member, position) => ({
    name: old.members[position]!.name,
    driveId: old.members[position]!.driveId,
    state: member.state,
    ...(member.reason === undefined ? {} : { reason: member.reason }),
  }));
}
