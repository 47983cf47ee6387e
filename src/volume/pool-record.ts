/**
 * The pool's document as it stands on its drives, and its changes: written to all online drives, one after the other.
 *
 * Runs on: the owning director's thread. Owns: the document.
 * Invariant: `document` is what the online drives hold.
 */
import type { MetadataStore } from "../map/metadata-store.ts";
import type { Member } from "../raid/raid-group.ts";
import { POOL_KEY, type PoolDocument, type PoolVolumeDocument } from "./pool-document.ts";

export class PoolRecord {
  readonly #store: MetadataStore;
  #document: PoolDocument;
  #lock: Promise<unknown> = Promise.resolve();

  constructor(store: MetadataStore, document: PoolDocument) {
    this.#store = store;
    this.#document = document;
  }

  get document(): PoolDocument {
    return this.#document;
  }

  /** Durable when it resolves. */
  update(change: (old: PoolDocument) => PoolDocument): Promise<void> {
    const run = this.#lock.then(async () => {
      const document = { ...change(this.#document), version: this.#document.version + 1 };
      await this.#store.putDocument(POOL_KEY, document);
      this.#document = document;
    });
    this.#lock = run.catch(() => undefined);
    return run;
  }

  updateVolume(volume: number, change: (old: PoolVolumeDocument) => PoolVolumeDocument): Promise<void> {
    return this.update((old) => ({
      ...old,
      volumes: old.volumes.map((document) => (document.volume === volume ? change(document) : document)),
    }));
  }

  /** Puts it on record which members are trusted. */
  updateMembers(members: readonly Member[]): Promise<void> {
    return this.update((old) => ({ ...old, members: membersOf(members, old) }));
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
