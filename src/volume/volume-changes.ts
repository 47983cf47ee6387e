/**
 * Changes of a pool's volumes: made, grown, deleted, switched to write-through. Durable when they resolve.
 *
 * Runs on: the owning director's thread.
 * Invariant: a volume that is being deleted is on record as such until its last block is given back; a stop on the way
 * only means that the next start goes on.
 */
import type { VolumeDocument } from "../control/contract.ts";
import { PAGE_BLOCKS } from "../map/map-pages.ts";
import { BLOCK_BYTES } from "./block-io.ts";
import { unmapRange } from "./destager.ts";
import type { PoolVolumeDocument } from "./pool-document.ts";
import type { PoolParts, VolumeState } from "./pool-parts.ts";
import type { PoolRecord } from "./pool-record.ts";

/** Blocks given back in one step. */
const UNMAP_BLOCKS = 8 * PAGE_BLOCKS;

export class PoolChangeError extends Error {
  readonly code: "conflict" | "notFound" | "spaceExhausted" | "failed";
  constructor(code: PoolChangeError["code"], message: string) {
    super(message);
    this.name = "PoolChangeError";
    this.code = code;
  }
}

export interface VolumeChangesHooks {
  /** Resolves when everything acknowledged so far survives power loss. */
  readonly journalDurable: () => Promise<void>;
  /** Dirty blocks have gone without being destaged: the journal may need less. */
  readonly trim: () => void;
}

export class VolumeChanges {
  readonly #parts: PoolParts;
  readonly #record: PoolRecord;
  readonly #hooks: VolumeChangesHooks;
  #stopped = false;

  constructor(parts: PoolParts, record: PoolRecord, hooks: VolumeChangesHooks) {
    this.#parts = parts;
    this.#record = record;
    this.#hooks = hooks;
  }

  /** Goes on with what was being deleted when the array stopped. */
  start(): void {
    for (const volume of this.#record.document.volumes) if (volume.deleting === true) this.#giveBack(volume);
  }

  stop(): void {
    this.#stopped = true;
  }

  async setWriteCache(volume: number, enabled: boolean): Promise<void> {
    if (!enabled) await this.#hooks.journalDurable();
    await this.#change(volume, (document) => ({ ...document, writeCacheEnabled: enabled }));
    // Until the change was on record, writes were acknowledged as before.
    if (!enabled) await this.#hooks.journalDurable();
  }

  async create(document: VolumeDocument): Promise<void> {
    const { map, volumes } = this.#parts;
    if (this.#record.document.volumes.some((other) => other.volume === document.volume)) {
      throw new PoolChangeError("conflict", `volume number ${document.volume} is taken`);
    }
    const blockCount = Math.ceil(document.sizeBytes / BLOCK_BYTES);
    await this.#record.update((old) => ({ ...old, volumes: [...old.volumes, document] }));
    map.pages.addVolume(document.volume, blockCount, true);
    volumes.set(document.volume, { document, blockCount });
  }

  async grow(volume: number, sizeBytes: number): Promise<void> {
    const state = this.#volume(volume);
    if (sizeBytes < state.document.sizeBytes) throw new PoolChangeError("conflict", "a volume can grow, not shrink");
    await this.#change(volume, (document) => ({ ...document, sizeBytes }));
    state.blockCount = Math.ceil(sizeBytes / BLOCK_BYTES);
    this.#parts.map.pages.growVolume(volume, state.blockCount);
  }

  /** The volume is gone when this resolves; its space is given back in the background, also over restarts. */
  async delete(volume: number): Promise<void> {
    const { volumes, cache, zeros } = this.#parts;
    const state = this.#volume(volume);
    volumes.delete(volume);
    try {
      await this.#record.updateVolume(volume, (document) => ({ ...document, deleting: true }));
    } catch (error) {
      volumes.set(volume, state);
      throw error;
    }
    cache.removeRange(volume, 0, state.blockCount);
    zeros.removeVolume(volume);
    this.#hooks.trim();
    this.#giveBack(state.document);
  }

  #giveBack(document: PoolVolumeDocument): void {
    const { map, health } = this.#parts;
    const work = async (): Promise<void> => {
      const blockCount = Math.ceil(document.sizeBytes / BLOCK_BYTES);
      for (let block = 0; block < blockCount && !this.#stopped; block += UNMAP_BLOCKS) {
        await unmapRange(map, document.volume, block, Math.min(blockCount, block + UNMAP_BLOCKS));
      }
      if (this.#stopped) return;
      await map.dropVolume(document.volume);
      await this.#record.update((old) => ({
        ...old,
        volumes: old.volumes.filter((other) => other.volume !== document.volume),
      }));
    };
    work().catch((error: unknown) => health.fail(error));
  }

  async #change(volume: number, change: (old: PoolVolumeDocument) => PoolVolumeDocument): Promise<void> {
    const state = this.#volume(volume);
    await this.#record.updateVolume(volume, change);
    state.document = change(state.document);
  }

  #volume(volume: number): VolumeState {
    const state = this.#parts.volumes.get(volume);
    if (state === undefined) throw new PoolChangeError("notFound", `pool ${this.#parts.name} has no volume ${volume}`);
    return state;
  }
}
