/**
 * What a director does once at the end of each turn of its event loop, in order: what other threads sent meanwhile, storage,
 * the channel to the other directors, the front end.
 *
 *   first `defer` ─▶ … the turn's other events … ─▶ inbox ─▶ storage ─▶ channel ─▶ front end
 *                                                             └─ rounds while there is work ─┘
 *
 * Runs on: a director's thread; one for each director. System calls are the cost of an I/O (docs/performance.md), so the
 * journal's group commit and the answers to all hosts go out once for everything that arrived in a turn.
 * Invariants:
 *  1. In one turn every `storage` callback runs before any `channel` callback, and these before any `frontEnd` callback: the
 *     commit completes writes, their answers go along; another director works while the answers to hosts are sent.
 *  2. A callback deferred twice before it runs, runs twice: callers keep a flag.
 *  3. Work deferred by the callbacks themselves runs in the same turn, for at most ROUNDS_MAX rounds; the rest waits for the next.
 *  4. The inbox is looked into once in a turn, at its end and not after it: what comes later makes a turn of its own, or
 *     answers would go out one by one (docs/performance/channel.md).
 */
import type { TurnStages } from "./turn-stages.ts";

export type TurnPhase = "storage" | "channel" | "frontEnd";

const ROUNDS_MAX = 4;

export class TurnEnd {
  readonly #deferred: Record<TurnPhase, (() => void)[]> = { storage: [], channel: [], frontEnd: [] };
  #spare: (() => void)[] = [];
  #armed = false;
  #takeInbox: () => void = () => {};
  readonly #schedule: (run: () => void) => void;
  readonly #stages: TurnStages | undefined;
  readonly #run = (): void => this.#turn();
  /** Called before a turn's work is begun. */
  onBegin: () => void = () => {};
  /** Called when a turn's work is done. */
  onEnd: () => void = () => {};

  /** @param schedule - runs its argument once this turn's I/O callbacks are done: setImmediate, but in tests */
  constructor(schedule: (run: () => void) => void = setImmediate, stages?: TurnStages) {
    this.#schedule = schedule;
    this.#stages = stages;
  }

  /** @param take - takes what other threads have sent, a bounded amount: it goes along with the turn */
  setInbox(take: () => void): void {
    this.#takeInbox = take;
  }

  defer(phase: TurnPhase, callback: () => void): void {
    this.#deferred[phase].push(callback);
    if (this.#armed) return;
    this.#armed = true;
    this.#stages?.begin();
    this.#schedule(this.#run);
  }

  get #hasWork(): boolean {
    const { storage, channel, frontEnd } = this.#deferred;
    return storage.length + channel.length + frontEnd.length > 0;
  }

  #turn(): void {
    this.onBegin();
    this.#takeInbox();
    this.#stages?.turnEnds();
    for (let round = 0; round < ROUNDS_MAX && this.#hasWork; round += 1) {
      for (let again = 0; again < ROUNDS_MAX && this.#deferred.storage.length > 0; again += 1) this.#drain("storage");
      this.#stages?.stored();
      this.#drain("channel");
      this.#drain("frontEnd");
      this.#stages?.answered();
    }
    this.#stages?.done();
    this.#armed = this.#hasWork;
    if (this.#armed) {
      this.#stages?.begin();
      this.#schedule(this.#run);
    }
    this.onEnd();
  }

  /** Runs what a phase has; what comes meanwhile goes into the spare array, and this one is the next spare. */
  #drain(phase: TurnPhase): void {
    const callbacks = this.#deferred[phase];
    this.#deferred[phase] = this.#spare;
    for (const callback of callbacks) callback();
    callbacks.length = 0;
    this.#spare = callbacks;
  }
}
