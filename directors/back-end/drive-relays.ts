/**
 * A director and its partner as each other's way to the drives: brings on what a partner that is cut off asks of its drive
 * threads, and is cut off itself, on command, for a while.
 *
 * Runs on: the director's thread; one for each director.
 */
import { DriveRelay } from "../../drivers/drive/drive-relay.ts";
import { Doorbell } from "../../drivers/shared-memory/doorbell.ts";
import { moveRelay, RELAY, type RelayState } from "../../drivers/shared-memory/drive-relay-state.ts";
import type { GlobalMemory } from "../../drivers/shared-memory/global-memory.ts";
import { drivePath, threadNumber } from "../../drivers/shared-memory/layout.ts";
import type { Config } from "../../src/config/config.ts";
import type { ArrayEvent } from "../../src/control/contract.ts";
import { CHANNEL_COUNTERS } from "../channel/channel-counters.ts";

/** While nobody is cut off; then every millisecond, as nobody wakes this thread for what lies in another's ring. */
const LOOK_MILLISECONDS = 50;
const RELAY_MILLISECONDS = 1;

export interface DriveRelaysOptions {
  readonly global: GlobalMemory;
  readonly config: Config;
  readonly directorIndex: number;
  readonly owns: (pool: number) => boolean;
  readonly counters: Float64Array;
  readonly tell: (event: Pick<ArrayEvent, "severity" | "type" | "message">) => void;
}

export class DriveRelays {
  readonly #options: DriveRelaysOptions;
  readonly #relays: readonly DriveRelay[];
  #fast: NodeJS.Timeout | undefined;

  constructor(options: DriveRelaysOptions) {
    this.#options = options;
    const { global, config, directorIndex, owns, counters } = options;
    const onRelayed = (): void => {
      counters[CHANNEL_COUNTERS.slots.driveRequestsRelayed]! += 1;
    };
    this.#relays = config.pools.flatMap(({ index: pool, reachedBy }) => {
      if (!reachedBy.includes(directorIndex)) return [];
      return reachedBy
        .filter((owner) => owner !== directorIndex)
        .map((owner) => new DriveRelay(global, { pool, director: directorIndex, owner, isMine: () => owns(pool), onRelayed }));
    });
    setInterval(() => this.#look(), LOOK_MILLISECONDS).unref();
  }

  /** Part of the director's drain. */
  pump(): boolean {
    let found = false;
    for (const relay of this.#relays) if (relay.pump()) found = true;
    return found;
  }

  #look(): void {
    const active = this.#relays.some((relay) => relay.isActive);
    if (active) this.#fast ??= setInterval(() => this.pump(), RELAY_MILLISECONDS).unref();
    else {
      clearInterval(this.#fast);
      this.#fast = undefined;
    }
  }

  /** A fault on command: this director reaches no drive thread, for so long. */
  cutOff(seconds: number): void {
    const { config, directorIndex, tell } = this.#options;
    const pools = config.pools.filter(({ reachedBy }) => reachedBy.includes(directorIndex) && reachedBy.length > 1);
    const change = (from: RelayState, to: RelayState): void => {
      for (const { index } of pools) this.#move(index, from, to);
    };
    change(RELAY.direct, RELAY.cutting);
    tell({
      severity: "warning",
      type: "director.cutOff",
      message: "it does not reach its drive threads, and works through its partner",
    });
    setTimeout(() => {
      // One that was never relayed goes back as it is.
      change(RELAY.cutting, RELAY.direct);
      change(RELAY.relayed, RELAY.restoring);
      tell({ severity: "info", type: "director.reachesDrives", message: "it reaches its drive threads itself again" });
    }, seconds * 1000).unref();
  }

  #move(pool: number, from: RelayState, to: RelayState): void {
    const { global, directorIndex } = this.#options;
    moveRelay(global, drivePath(global.layout, pool, directorIndex), from, to);
    const consumer = threadNumber(global.layout, "drive", pool);
    const producer = threadNumber(global.layout, "director", directorIndex);
    new Doorbell(global, { consumer, producer }).ring();
  }
}
