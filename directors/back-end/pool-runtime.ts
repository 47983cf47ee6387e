/** What a director lends the storage logic of its pools: turns, timers, and the way to raise events. */
import { randomBytes } from "node:crypto";
import type { ArrayEvent } from "../../src/control/contract.ts";
import type { PoolRuntime } from "../../src/volume/runtime.ts";
import type { TurnEnd } from "../turn-end.ts";

export function poolRuntime(turnEnd: TurnEnd, post: (event: ArrayEvent) => void): PoolRuntime {
  return {
    atTurnEnd: (work) => turnEnd.defer("storage", work),
    nextTurn: (work) => void setImmediate(work),
    every: (milliseconds, work) => {
      const timer = setInterval(work, milliseconds);
      return () => clearInterval(timer);
    },
    nowMilliseconds: () => performance.now(),
    raise: (event) => post({ time: new Date().toISOString(), ...event }),
    newIdentity: () => randomBytes(16).toString("hex"),
    reached: () => undefined,
  };
}
