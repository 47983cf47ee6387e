/**
 * Changes of a pool's volumes: made, grown, deleted, switched to write-through. Durable when they resolve.
 *
 * Runs on: the owning director's thread.
 * Invariant: a volume that is being deleted is on record as such until its last block is given back; a stop on the way
 * only means that the next start goes on.
 */
import { VOLUME_BYTES_MAX, type VolumeDocument } from "../control/contract.ts";
import { PAGE_BLOCKS } from "../map/map-pages.ts";
import { BLOCK_BYTES } from "./block-io.ts";
import { unmapRange } from "./destager.ts";
import type { PoolVolumeDocument } from "./pool-document.ts";
import type { PoolParts, VolumeState } from "./pool-parts.ts";
import type { PoolRecord } from "./pool-record.ts";

/** Pages of blocks given back in one step. */
const UNMAP_PAGES = 8;

export class PoolChangeError extends Error {
  readonly code: "conflict" | "notFound" | "spaceExhausted" | "failed";
  constructor(code: PoolChangeError["code"], message: string) {
    super(message);
    this.name = "PoolChangeError";
    this.code = code;
  }
}

/** @throws PoolChangeError where the numbers of its blocks would not fit */
function blockCountOf(sizeBytes: number): number {
  if (sizeBytes > VOLUME_BYTES_MAX)
    throw new PoolChangeError("conflict", `a volume has at most ${VOLUME_BYTES_MAX} bytes, not ${sizeBytes}`);
  return Math.ceil(sizeBytes / BLOCK_BYTES);
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
  /** Blocks of deleted volumes are given back by these. */
  readonly #givingBack = new Set<Promise<void>>();

  constructor(parts: PoolParts, record: PoolRecord, hooks: VolumeChangesHooks) {
    this.#parts = parts;
    this.#record = record;
    this.#hooks = hooks;
  }

  /** Goes on with what was being deleted when the array stopped. */
  start(): void {
    for (const volume of this.#record.volumes.values()) if (volume.deleting === true) this.#giveBack(volume);
  }

  /** Resolves when nothing is given back any more. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#givingBack);
  }

  async setWriteCache(volume: number, enabled: boolean): Promise<void> {
    if (!enabled) await this.#hooks.journalDurable();
    await this.#change(volume, (document) => ({ ...document, writeCacheEnabled: enabled }));
    // Until the change was on record, writes were acknowledged as before.
    if (!enabled) await this.#hooks.journalDurable();
  }

  async create(document: VolumeDocument): Promise<void> {
    const { map, volumes } = this.#parts;
    if (this.#record.volumes.has(document.volume)) {
      throw new PoolChangeError("conflict", `volume number ${document.volume} is taken`);
    }
    const blockCount = blockCountOf(document.sizeBytes);
    await this.#record.updateVolume(document.volume, () => document);
    this.#parts.runtime.reached("volume.created");
    map.pages.addVolume(document.volume, blockCount, true);
    volumes.set(document.volume, { document, blockCount });
  }

  async grow(volume: number, sizeBytes: number): Promise<void> {
    const state = this.#volume(volume);
    if (sizeBytes < state.document.sizeBytes) throw new PoolChangeError("conflict", "a volume can grow, not shrink");
    const blockCount = blockCountOf(sizeBytes);
    await this.#change(volume, (document) => ({ ...document, sizeBytes }));
    state.blockCount = blockCount;
    this.#parts.map.pages.growVolume(volume, state.blockCount);
  }

  /** The volume is gone when this resolves; its space is given back in the background, also over restarts. */
  async delete(volume: number): Promise<void> {
    const { volumes, cache, zeros } = this.#parts;
    const state = this.#volume(volume);
    volumes.delete(volume);
    try {
      await this.#record.updateVolume(volume, (document) => document && { ...document, deleting: true });
    } catch (error) {
      volumes.set(volume, state);
      throw error;
    }
    this.#parts.runtime.reached("volume.deleting");
    cache.removeRange(volume, 0, state.blockCount);
    zeros.removeVolume(volume);
    this.#hooks.trim();
    this.#giveBack(state.document);
  }

  #giveBack(document: PoolVolumeDocument): void {
    const { map, health, runtime } = this.#parts;
    const work = async (): Promise<void> => {
      const { volume } = document;
      const blockCount = Math.ceil(document.sizeBytes / BLOCK_BYTES);
      const pageCount = Math.ceil(blockCount / PAGE_BLOCKS);
      for (let page = 0; !this.#stopped; page += UNMAP_PAGES) {
        page = await map.nextUsedPage(volume, page, pageCount);
        if (page >= pageCount) break;
        await unmapRange(map, volume, page * PAGE_BLOCKS, Math.min(blockCount, (page + UNMAP_PAGES) * PAGE_BLOCKS));
        runtime.reached("volume.unmapped");
      }
      if (this.#stopped) return;
      await map.dropVolume(document.volume);
      await this.#record.updateVolume(document.volume, () => undefined);
      runtime.reached("volume.forgotten");
    };
    // Where the pool has stopped, the next start goes on, whatever came of it here.
    const done = work()
      .catch((error: unknown) => {
        if (!this.#stopped) health.fail(error);
      })
      .finally(() => this.#givingBack.delete(done));
    this.#givingBack.add(done);
  }

  async #change(volume: number, change: (old: PoolVolumeDocument) => PoolVolumeDocument): Promise<void> {
    const state = this.#volume(volume);
    await this.#record.updateVolume(volume, (document) => document && change(document));
    this.#parts.runtime.reached("volume.changed");
    state.document = change(state.document);
  }

  #volume(volume: number): VolumeState {
    const state = this.#parts.volumes.get(volume);
    if (state === undefined) throw new PoolChangeError("notFound", `pool ${this.#parts.name} has no volume ${volume}`);
    return state;
  }
}
