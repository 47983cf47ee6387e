/**
 * The pools of a running director: opened when main says that they are this director's now, and handed over on command.
 *
 *   openPool ─▶ (recovery) ─▶ served ─ preparePool ─▶ what is dirty goes to the drives ─ closePool ─▶ tasks end ─▶ let go ─▶ gone
 *
 * Runs on: the director's thread. Owns: what is open for each pool.
 * Invariants:
 *  1. One thing at a time happens to a pool: main's messages are worked on in their order.
 *  2. A pool is let go of only when no task for it is in and no drive has a request of it any more.
 */
import type { PoolOpened, PoolStatus } from "../src/control/contract.ts";
import type { DeviceServer } from "../src/scsi/device-server.ts";
import type { PoolCure } from "../src/volume/pool-parts.ts";
import type { PoolService } from "../src/volume/pool-service.ts";
import { type PoolRuntime, pause } from "../src/volume/runtime.ts";
import {
  type DrivesLost,
  drivesLostOf,
  endsAsItIs,
  type OpenPools,
  type OwnedPool,
  openOwnedPool,
} from "./back-end/owned-pool.ts";
import type { DirectorPool, FromDirector } from "./director-messages.ts";

/** So long does a pool that is to move destage while it still serves; what is dirty after that is in the journal. */
const PREPARE_MILLISECONDS_MAX = 10_000;

export interface PoolMovesOptions {
  readonly open: OpenPools;
  readonly runtime: PoolRuntime;
  readonly directorIndex: number;
  /** There once the director serves. */
  readonly served: () => { readonly pools: PoolService; readonly deviceServer: DeviceServer };
  readonly tellMain: (message: FromDirector) => void;
  readonly tellControl: (opened: PoolOpened) => void;
}

export class PoolMoves {
  readonly #options: PoolMovesOptions;
  readonly #owned = new Map<number, OwnedPool>();
  readonly #failed = new Map<number, PoolStatus>();
  /** Pools that main was told to be open. */
  readonly #announced = new Set<number>();
  /** Pools that were served, and have lost drives: how each is opened next. */
  readonly #drivesLost = new Map<number, DrivesLost>();
  /** To be opened anew, and main has not been told that they are open. */
  readonly #returned = new Set<number>();
  #last: Promise<void> = Promise.resolve();

  constructor(options: PoolMovesOptions) {
    this.#options = options;
  }

  /** Pools that could not be opened, as people see them. */
  get failed(): readonly PoolStatus[] {
    return [...this.#failed.values()];
  }

  /** Main knows that the pools are open; those that have failed since are told of now, others when they do. */
  announce(): void {
    for (const index of this.#owned.keys()) {
      if (this.#announced.has(index)) continue;
      this.#announced.add(index);
      const { health } = this.#owned.get(index)!.pool.parts;
      if (health.failed) this.#onFailed(index, health.cure);
      else if (this.#returned.has(index)) this.#reopens(index);
    }
  }

  #onFailed(index: number, cure: PoolCure): void {
    if (!this.#announced.has(index)) return;
    const { pool } = this.#owned.get(index)!;
    if (cure === "drives" && !pool.readOnly) this.#drivesLost.set(index, drivesLostOf(pool));
    // One that was for reading already is closed then: too little is left of it.
    const reopens = cure === "reopening" || (cure === "drives" && !pool.readOnly);
    if (reopens) this.#reopens(index);
    else this.#options.tellMain({ type: "poolFailed", pool: index });
    if (cure === "path") void this.#watchPath(index);
  }

  #reopens(pool: number): void {
    this.#returned.add(pool);
    if (this.#announced.has(pool)) this.#options.tellMain({ type: "poolReopens", pool });
  }

  async #watchPath(pool: number): Promise<void> {
    const owned = this.#owned.get(pool)!;
    if (await owned.reachable(() => this.#owned.get(pool) !== owned || !this.#announced.has(pool)))
      this.#options.tellMain({ type: "poolReachable", pool });
  }

  /** At start: opens all, one after the other. */
  async openFirst(pools: readonly DirectorPool[]): Promise<readonly OwnedPool[]> {
    for (const pool of pools) await this.#open(pool);
    return [...this.#owned.values()];
  }

  open(pool: DirectorPool): void {
    this.#inTurn(async () => {
      const { served, tellMain, tellControl, directorIndex } = this.#options;
      const owned = await this.#open(pool, (request) => served().deviceServer.executed.found(request));
      if (owned === undefined) {
        const status = this.#failed.get(pool.index)!;
        tellControl({ director: directorIndex, status, volumes: [], array: undefined });
      } else {
        const { pools, deviceServer } = served();
        // Before the first task: with what hosts were told at the owner before.
        deviceServer.adopt(volumesOf(owned));
        pools.add(owned.pool);
        const [array] = (await owned.pool.arrayDocumentCopies()).sort((a, b) => b.version - a.version);
        tellControl({ director: directorIndex, status: owned.pool.status(), volumes: owned.pool.foundVolumes(), array });
      }
      tellMain({ type: "opened", pool: pool.index, served: owned !== undefined });
      this.announce();
    });
  }

  /** Not in turn: another pool may be on its way meanwhile. */
  async prepare(pool: number): Promise<void> {
    const { runtime, tellMain } = this.#options;
    const owned = this.#owned.get(pool);
    if (owned !== undefined && !owned.pool.readOnly) {
      const destaged = owned.pool.destageAll().catch(() => {}); // a pool that has failed moves as it is
      await Promise.race([destaged, pause(runtime, PREPARE_MILLISECONDS_MAX)]);
    }
    tellMain({ type: "prepared", pool });
  }

  close(index: number): void {
    this.#inTurn(async () => {
      const { served, tellMain } = this.#options;
      const owned = this.#owned.get(index);
      this.#announced.delete(index);
      if (owned !== undefined) {
        const { pools, deviceServer } = served();
        await new Promise<void>((released) => deviceServer.release(volumesOf(owned), released));
        pools.remove(index);
        await owned.pool.stop().catch(endsAsItIs);
        await owned.letGo();
        this.#owned.delete(index);
      }
      this.#failed.delete(index);
      tellMain({ type: "closed", pool: index });
    });
  }

  async #open(pool: DirectorPool, onRecovered: NonNullable<OpenPools["onRecovered"]> = () => {}): Promise<OwnedPool | undefined> {
    this.#failed.delete(pool.index);
    this.#returned.delete(pool.index);
    const drivesLost = this.#drivesLost.get(pool.index);
    this.#drivesLost.delete(pool.index);
    const { open, tellMain } = this.#options;
    const hooks = {
      onRecovered,
      onFailed: (index: number, cure: PoolCure): void => this.#onFailed(index, cure),
      onUnreachable: (index: number): void => tellMain({ type: "poolFailed", pool: index }),
      onReturn: (index: number): void => this.#reopens(index),
    };
    const opened = await openOwnedPool({ ...open, ...hooks }, pool, drivesLost);
    if ("state" in opened) {
      this.#failed.set(pool.index, opened);
      return undefined;
    }
    this.#owned.set(pool.index, opened);
    return opened;
  }

  /** What it throws is a bug, and ends the thread as an unhandled rejection. */
  #inTurn(work: () => Promise<void>): void {
    this.#last = this.#last.then(work);
  }
}

function volumesOf({ pool }: OwnedPool): number[] {
  return pool.foundVolumes().map(({ volume }) => volume);
}
