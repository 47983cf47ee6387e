/**
 * Whether a director reaches a pool's drive thread itself, or through its partner: one word for each path (drive-relay.ts).
 *
 *   direct ─(fault: director)─▶ cutting ─(drive thread, which has answered all)─▶ relayed
 *     ▲                                                                               │ (the fault is over: director)
 *     └──────────────(partner, which has answered all)── restoring ◀──────────────────┘
 *
 * Invariant: a ring has one producer and one consumer. While "direct" and "cutting" the drive thread has its ends of the path's
 * rings, while "relayed" and "restoring" the partner has.
 */
import type { GlobalMemory } from "./global-memory.ts";
import type { DrivePath } from "./layout.ts";

export const RELAY = { direct: 0, cutting: 1, relayed: 2, restoring: 3 } as const;
export type RelayState = (typeof RELAY)[keyof typeof RELAY];

export function relayState(global: GlobalMemory, path: DrivePath): RelayState {
  return Atomics.load(global.i32, path.relay / 4) as RelayState;
}

/** False: it was in another state. */
export function moveRelay(global: GlobalMemory, path: DrivePath, from: RelayState, to: RelayState): boolean {
  return Atomics.compareExchange(global.i32, path.relay / 4, from, to) === from;
}
