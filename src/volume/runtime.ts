/**
 * What the embedded storage logic needs of the thread that it runs on: time and turns. Nothing in src/ reads a clock or
 * sets a timer by itself, so that the whole of it can run under a virtual clock.
 */
import type { ArrayEvent } from "../control/contract.ts";

export interface PoolRuntime {
  /** Runs `work` once at the end of this turn of the event loop, before answers go out. */
  atTurnEnd(work: () => void): void;
  /** Runs `work` in the next turn of the event loop: after what hosts have sent meanwhile. */
  nextTurn(work: () => void): void;
  /** Calls `work` at intervals until the answer is called. */
  every(milliseconds: number, work: () => void): () => void;
  /** Monotonic. */
  nowMilliseconds(): number;
  /** Raises an event (architecture, invariant 10). */
  raise(event: Omit<ArrayEvent, "time">): void;
  /** 32 hexadecimal digits that were never there before: the name of a pool or of a journal. */
  newIdentity(): string;
  /**
   * A step of an order that crashes must not break is done, and the next has not begun. Nothing happens here in the
   * product; in the simulation the director may stop (it throws, and nothing that the director does outlives that). Sites
   * are named `part.step` in one literal at the call, each once, and a full run of the simulation comes by all of them.
   */
  reached(site: string): void;
}

/** Resolves in the next turn of the event loop: between two slices of work that would hold hosts up in one piece. */
export function breathe(runtime: PoolRuntime): Promise<void> {
  return new Promise((resolve) => runtime.nextTurn(resolve));
}

/** Resolves once, `milliseconds` from now. */
export function pause(runtime: PoolRuntime, milliseconds: number): Promise<void> {
  return new Promise((resolve) => {
    const cancel = runtime.every(milliseconds, () => {
      cancel();
      resolve();
    });
  });
}
