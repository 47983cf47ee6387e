/**
 * Who owns which pool, and what becomes of a director that dies: decided here, done by main (supervisor.ts).
 *
 *   director:  starting ─ ready ─▶ active ─ failed ─▶ joining ─ joined ─▶ dead ─ memory free, back-off over ─▶ returning ─ ready ─▶ active
 *                                    │                                      └─ died too often ─▶ down ─ restart ─▶ returning
 *                                    └─ restart ─▶ leaving (its pools move away) ─ stopped ─▶ dead
 *   pool:      opening ─ opened ─▶ serving ─ move ─▶ preparing ─ prepared ─▶ closing ─ closed ─▶ opening, at the other
 *                 ▲                   ├─ it failed ─▶ failed ─ its drives can be reached again, or it could not be opened and
 *                 ▲                   │                         it is time to try again ─▶ closing
 *                 ▲                   └─ its owner failed ─▶ orphan ─ joined ─┐
 *                 └──────────────────────────────────────────────────────────┘
 *
 * Runs on: main. Without threads, clocks and timers: events go in, actions come out, so that the simulation drives it too.
 * Invariants:
 *  1. A pool is opened only when its last owner has closed it, or is joined: never have two directors a pool.
 *  2. A director is fenced before it is ended, and is started again only when it is joined and nothing refers to its memory.
 *  3. Everything that is waited for has a bound: a join that takes too long ends the process, a hand-over its director.
 *  4. When no director that reaches a pool is left alive, the process ends: a restart recovers what a partner can't.
 *  5. A pool that was served and could not be opened again is tried again, each time after a longer wait, up to a bound;
 *     people are told each time. One that was never served is people's to see to.
 */
import type { ArrayEvent, DirectorState, Ownership, VolumeAccess } from "../src/control/contract.ts";

/** A thread in a native call can't be joined: past this the process ends, and recovers by restart. */
export const JOIN_MILLISECONDS_MAX = 5000;
/** Destage before a move has its own bound, in the director; then tasks end and drives answer. */
const HAND_OVER_MILLISECONDS_MAX = 45_000;
const STOP_MILLISECONDS_MAX = 10_000;
const RETURN_MILLISECONDS_MAX = 30_000;
/** First wait before a director that died is started again; twice as long with each death that counts. */
const BACK_OFF_MILLISECONDS = 250;
const BACK_OFF_MILLISECONDS_MAX = 30_000;
/** A dead director is not started while its pools are taken over, but for takeovers that take longer than this. */
const TAKEOVER_MILLISECONDS_MAX = 5000;
/** So many deaths within so long, and it stays down until somebody starts it. */
export const DEATHS_MAX = 5;
const DEATHS_WITHIN_MILLISECONDS = 10 * 60_000;
/** First wait before a pool that could not be opened is opened again; twice as long with each vain try. */
export const REOPEN_MILLISECONDS = 1000;
export const REOPEN_MILLISECONDS_MAX = 60_000;

export type DeathCause = "ended" | "stuck" | "killed";

export type FailoverEvent =
  /** Its first pools are open, but for those that failed. */
  | { readonly type: "ready"; readonly director: number; readonly failed: readonly number[] }
  | { readonly type: "opened"; readonly director: number; readonly pool: number; readonly served: boolean }
  | { readonly type: "prepared"; readonly director: number; readonly pool: number }
  /** A pool that it served can't be served any more; or one that it opens can't be for now, and "opened" may come late. */
  | { readonly type: "poolFailed"; readonly director: number; readonly pool: number }
  /** One that it served can't be served any more as it is in memory, or can be more fully, and is to be opened anew. */
  | { readonly type: "poolReopens"; readonly director: number; readonly pool: number }
  /** Of one that failed, whose drives could not be reached: they can again. */
  | { readonly type: "poolReachable"; readonly director: number; readonly pool: number }
  | { readonly type: "closed"; readonly director: number; readonly pool: number }
  /** Its thread ended, does not beat, or is to be killed. */
  | { readonly type: "failed"; readonly director: number; readonly cause: DeathCause; readonly reason: string }
  /** It said that it has stopped, as it was told. */
  | { readonly type: "stopped"; readonly director: number }
  /** Its thread is gone. */
  | { readonly type: "joined"; readonly director: number }
  /** Nobody refers to its frames any more. */
  | { readonly type: "memoryFree"; readonly director: number }
  /** On command, with the command's number. */
  | { readonly type: "move"; readonly pool: number; readonly to: number; readonly command: number }
  | { readonly type: "restart"; readonly director: number; readonly command: number }
  | { readonly type: "tick" };

export type FailoverAction =
  /** Raise its thread epoch, and the epochs of these pools. */
  | { readonly type: "fence"; readonly director: number; readonly pools: readonly number[] }
  | { readonly type: "terminate"; readonly director: number }
  /** Ask it to stop: answered by the event "stopped". */
  | { readonly type: "stop"; readonly director: number }
  /** It is joined: tell the others, and have its memory given back. */
  | { readonly type: "lost"; readonly director: number }
  | { readonly type: "start"; readonly director: number }
  /** It is back: tell the others. */
  | { readonly type: "returned"; readonly director: number }
  | { readonly type: "open"; readonly director: number; readonly pool: number }
  | { readonly type: "prepare"; readonly director: number; readonly pool: number }
  | { readonly type: "close"; readonly director: number; readonly pool: number }
  /** `ownership` has changed. */
  | { readonly type: "publish" }
  | { readonly type: "raise"; readonly event: Omit<ArrayEvent, "time"> }
  /** A command has ended: done, or refused with the reason. */
  | { readonly type: "ended"; readonly command: number; readonly refusal?: string }
  | { readonly type: "exit"; readonly reason: string };

type PoolPhase =
  | { readonly name: "opening" | "serving" | "failed" }
  | { readonly name: "preparing" | "closing"; readonly to: number; readonly since: number }
  /** Its owner is gone, or about to be. */
  | { readonly name: "orphan" };

interface PoolPlace {
  readonly name: string;
  readonly reachedBy: readonly number[];
  /** Where it belongs: by configuration, or by the last command. */
  home: number;
  owner: number;
  phase: PoolPhase;
  command: number | undefined;
  /** It failed, and is opened anew. */
  reopening: boolean;
  everServed: boolean;
  /** Openings that failed since it was served last, and when to try again; undefined: nothing is to be tried. */
  vainOpenings: number;
  /** Hosts are told that it is unavailable until it is served again: not of each vain try. */
  isAway: boolean;
  reopenAt: number | undefined;
  /** When its owner failed; undefined while it is served. */
  downSince: number | undefined;
}

interface DirectorPlace {
  readonly name: string;
  state: DirectorState;
  since: number;
  memoryFree: boolean;
  /** When it died, of late. */
  deaths: number[];
  command: number | undefined;
  stopping: boolean;
}

export interface FailoverOptions {
  readonly directors: readonly { readonly name: string }[];
  readonly pools: readonly { readonly name: string; readonly owner: number; readonly reachedBy: readonly number[] }[];
}

export class Failover {
  readonly #directors: readonly DirectorPlace[];
  readonly #pools: readonly PoolPlace[];
  #version = 1;
  /** Every director has been ready once. */
  #up = false;
  #now = 0;
  #actions: FailoverAction[] = [];
  #failovers = 0;
  #lastTakeoverMilliseconds = 0;

  constructor({ directors, pools }: FailoverOptions) {
    this.#directors = directors.map(({ name }) => ({
      name,
      state: "starting",
      since: 0,
      memoryFree: true,
      deaths: [],
      command: undefined,
      stopping: false,
    }));
    this.#pools = pools.map(({ name, owner, reachedBy }) => ({
      name,
      reachedBy,
      home: owner,
      owner,
      phase: { name: "opening" },
      command: undefined,
      reopening: false,
      everServed: false,
      vainOpenings: 0,
      isAway: false,
      reopenAt: undefined,
      downSince: undefined,
    }));
  }

  get ownership(): Ownership {
    return {
      version: this.#version,
      pools: this.#pools.map((pool) => ({ owner: pool.owner, access: this.#accessOf(pool) })),
      directors: this.#directors.map(({ state }) => state),
      failovers: this.#failovers,
      takeoverSeconds: this.#lastTakeoverMilliseconds / 1000,
    };
  }

  stateOf(director: number): DirectorState {
    return this.#directors[director]!.state;
  }

  /** What is to be done now, in this order. */
  take(event: FailoverEvent, nowMilliseconds: number): readonly FailoverAction[] {
    this.#now = nowMilliseconds;
    this.#actions = [];
    this.#on(event);
    this.#assignOrphans();
    this.#giveHome();
    this.#leave();
    return this.#actions;
  }

  #on(event: FailoverEvent): void {
    switch (event.type) {
      case "ready":
        this.#ready(event.director, event.failed);
        break;
      case "opened":
        this.#opened(event.director, event.pool, event.served);
        break;
      case "prepared":
        this.#prepared(event.director, event.pool);
        break;
      case "poolFailed":
        this.#poolFailed(event.director, event.pool);
        break;
      case "poolReopens":
        this.#poolReopens(event.director, event.pool);
        break;
      case "poolReachable":
        this.#poolReachable(event.director, event.pool);
        break;
      case "closed":
        this.#closed(event.director, event.pool);
        break;
      case "failed":
        this.#failed(event.director, event.cause, event.reason);
        break;
      case "stopped":
        this.#stopped(event.director);
        break;
      case "joined":
        this.#joined(event.director);
        break;
      case "memoryFree":
        this.#directors[event.director]!.memoryFree = true;
        this.#startAgain();
        break;
      case "move":
        this.#move(event.pool, event.to, event.command);
        break;
      case "restart":
        this.#restart(event.director, event.command);
        break;
      case "tick":
        this.#tick();
        break;
    }
  }

  // — directors —

  #ready(director: number, failed: readonly number[]): void {
    const place = this.#directors[director]!;
    if (place.state !== "starting" && place.state !== "returning") return;
    const first = place.state === "starting";
    this.#setState(director, "active");
    for (const [pool, { owner }] of this.#pools.entries()) {
      if (!first || owner !== director) continue;
      this.#setPhase(pool, { name: failed.includes(pool) ? "failed" : "serving" });
      this.#pools[pool]!.everServed = !failed.includes(pool);
    }
    if (this.#directors.every(({ state }) => state === "active")) this.#up = true;
    if (first) return;
    this.#do({ type: "returned", director });
    this.#raise("info", "director.returned", director, `director ${place.name} is back`);
    this.#endCommand(place, undefined);
  }

  #failed(director: number, cause: DeathCause, reason: string): void {
    const place = this.#directors[director]!;
    if (place.state === "joining" || place.state === "dead" || place.state === "down") return;
    if (!this.#up) {
      this.#do({ type: "exit", reason: `the thread "director ${place.name}" ended: ${reason}` });
      return;
    }
    const pools = this.#poolsOf(director);
    place.memoryFree = false;
    place.stopping = false;
    place.deaths = [...place.deaths.filter((at) => this.#now - at < DEATHS_WITHIN_MILLISECONDS), this.#now];
    // In this order: nothing that it does from now on counts; nobody sends it anything; it is ended.
    this.#do({ type: "fence", director, pools });
    this.#setState(director, "joining");
    for (const pool of pools) this.#orphan(pool);
    this.#do({ type: "terminate", director });
    this.#stayAll(place.name);
    const names = pools.map((pool) => this.#pools[pool]!.name);
    const what = names.length > 0 ? `; its partner takes over pool ${names.join(", ")}` : "";
    this.#raise("critical", "director.failed", director, `director ${place.name} ${CAUSE_WORDS[cause]} (${reason})${what}`);
    if (pools.length > 0) this.#failovers += 1;
    this.#endCommand(place, `director ${place.name} failed: ${reason}`);
  }

  /** Nobody leaves on command while another one is away. */
  #stayAll(lost: string): void {
    for (const [director, place] of this.#directors.entries()) {
      if (place.state !== "leaving" || place.stopping) continue;
      this.#setState(director, "active");
      this.#endCommand(place, `director ${lost} failed meanwhile`);
    }
  }

  /** It stopped as it was told: gone as a dead one is, but nobody has to take anything over. */
  #stopped(director: number): void {
    const place = this.#directors[director]!;
    if (place.state !== "leaving") return;
    this.#setState(director, "joining");
    place.memoryFree = false;
    this.#do({ type: "fence", director, pools: [] });
    this.#do({ type: "terminate", director });
  }

  #joined(director: number): void {
    const place = this.#directors[director]!;
    if (place.state !== "joining") return;
    this.#do({ type: "lost", director });
    if (place.deaths.length >= DEATHS_MAX && !place.stopping) {
      this.#setState(director, "down");
      const often = `${place.deaths.length} times within ${DEATHS_WITHIN_MILLISECONDS / 60_000} minutes`;
      this.#raise(
        "critical",
        "director.down",
        director,
        `director ${place.name} died ${often}: it stays down until it is restarted`,
      );
    } else this.#setState(director, "dead");
    const lost = this.#pools.find((pool) => pool.phase.name === "orphan" && !this.#mayBeServed(pool));
    if (lost !== undefined) this.#do({ type: "exit", reason: `no director is left that reaches pool ${lost.name}` });
  }

  #startAgain(): void {
    for (const [director, place] of this.#directors.entries()) {
      if (place.state !== "dead" || !place.memoryFree || this.#now - place.since < this.#backOff(place)) continue;
      // Hosts wait for their pools: a start would take the processor from those that open them.
      if (this.#pools.some(({ downSince }) => downSince !== undefined) && this.#now - place.since < TAKEOVER_MILLISECONDS_MAX)
        continue;
      place.stopping = false;
      this.#setState(director, "returning");
      this.#do({ type: "start", director });
    }
  }

  #backOff(place: DirectorPlace): number {
    if (place.stopping) return 0;
    return Math.min(BACK_OFF_MILLISECONDS_MAX, BACK_OFF_MILLISECONDS * 2 ** Math.max(0, place.deaths.length - 1));
  }

  #restart(director: number, command: number): void {
    const refusal = this.#restartRefusal(director);
    if (refusal !== undefined) {
      this.#end(command, refusal);
      return;
    }
    const place = this.#directors[director]!;
    place.command = command;
    if (place.state === "active") {
      this.#setState(director, "leaving");
      return;
    }
    place.deaths = [];
    this.#setState(director, "dead");
    this.#startAgain();
  }

  #restartRefusal(director: number): string | undefined {
    const place = this.#directors[director];
    if (place === undefined) return "there is no such director";
    const { name, state } = place;
    if (place.command !== undefined) return `director ${name} is being restarted`;
    if (state === "down" || state === "dead") return undefined;
    if (state !== "active" || !this.#up) return `director ${name} is ${state}`;
    const alone = this.#poolsOf(director).find((pool) => this.#partnerOf(pool, director) < 0);
    return alone === undefined ? undefined : `nobody else can serve pool ${this.#pools[alone]!.name} now`;
  }

  /** A director that is to be restarted: its pools move away, then it stops. */
  #leave(): void {
    for (const [director, place] of this.#directors.entries()) {
      if (place.state !== "leaving" || place.stopping) continue;
      const pools = this.#poolsOf(director);
      for (const pool of pools) {
        if (!this.#isSettled(pool)) continue;
        const to = this.#partnerOf(pool, director);
        if (to >= 0) this.#startMove(pool, to);
      }
      if (pools.length > 0) continue;
      place.stopping = true;
      place.since = this.#now;
      this.#do({ type: "stop", director });
    }
  }

  // — pools —

  #opened(director: number, pool: number, served: boolean): void {
    const place = this.#pools[pool]!;
    if (place.owner !== director || place.phase.name !== "opening") return;
    this.#setPhase(pool, { name: served ? "serving" : "failed" });
    this.#planReopening(place, served);
    const where = `director ${this.#directors[director]!.name}`;
    const again = place.reopenAt === undefined ? "" : `; it is tried again in ${(place.reopenAt - this.#now) / 1000} s`;
    const severity = (good: ArrayEvent["severity"]): ArrayEvent["severity"] => (served ? good : "critical");
    const raise = (event: Omit<ArrayEvent, "time">): void => this.#do({ type: "raise", event });
    if (place.downSince !== undefined) {
      const milliseconds = Math.round(this.#now - place.downSince);
      this.#lastTakeoverMilliseconds = milliseconds;
      place.downSince = undefined;
      const how = served ? `${where} serves it, ${milliseconds} ms after its owner failed` : `${where} could not open it${again}`;
      raise(poolEvent(severity("warning"), "pool.takenOver", place.name, how));
    } else if (place.reopening) {
      const how = served ? `${where} serves it again` : `${where} could not open it again${again}`;
      raise(poolEvent(severity("info"), "pool.reopened", place.name, how));
    } else {
      const how = `it was moved to ${where}${served ? "" : `, which could not open it${again}`}`;
      raise(poolEvent(severity("info"), "pool.moved", place.name, how));
    }
    place.reopening = false;
    this.#endCommand(place, served ? undefined : `${where} could not open pool ${place.name}`);
  }

  #planReopening(place: PoolPlace, served: boolean): void {
    place.everServed ||= served;
    place.vainOpenings = served ? 0 : place.vainOpenings + 1;
    place.isAway = !served;
    const wait = Math.min(REOPEN_MILLISECONDS_MAX, REOPEN_MILLISECONDS * 2 ** (place.vainOpenings - 1));
    place.reopenAt = served || !place.everServed ? undefined : this.#now + wait;
  }

  /** Every host is told at once, at every director. */
  #poolFailed(director: number, pool: number): void {
    const place = this.#pools[pool]!;
    const { name } = place.phase;
    if (place.owner !== director) return;
    if (name === "opening") {
      place.isAway = true;
      this.#changed();
    }
    if (name !== "serving" && name !== "preparing") return;
    this.#setPhase(pool, { name: "failed" });
    this.#endCommand(place, `pool ${place.name} failed meanwhile`);
  }

  /** Hosts notice a delay, as with a move; one that is on its way already is opened where it goes. */
  #poolReopens(director: number, pool: number): void {
    const { owner, phase } = this.#pools[pool]!;
    if (owner !== director) return;
    if (phase.name === "serving") this.#reopen(pool);
    else if (phase.name === "preparing") this.#prepared(director, pool);
  }

  /** The one recovery brings it back, under a new epoch: it also settles what became of what was on its way to the drives. */
  #poolReachable(director: number, pool: number): void {
    const { owner, phase } = this.#pools[pool]!;
    if (owner === director && phase.name === "failed") this.#reopen(pool);
  }

  #reopen(pool: number): void {
    const place = this.#pools[pool]!;
    place.reopening = true;
    place.reopenAt = undefined;
    this.#setPhase(pool, { name: "closing", to: place.owner, since: this.#now });
    this.#do({ type: "close", director: place.owner, pool });
  }

  #prepared(director: number, pool: number): void {
    const place = this.#pools[pool]!;
    if (place.owner !== director || place.phase.name !== "preparing") return;
    this.#setPhase(pool, { ...place.phase, name: "closing" });
    this.#do({ type: "close", director, pool });
  }

  #closed(director: number, pool: number): void {
    const place = this.#pools[pool]!;
    if (place.owner !== director || place.phase.name !== "closing") return;
    const { to } = place.phase;
    // The one that it was to go to may have died meanwhile.
    const next = this.#canOwn(to, pool) ? to : this.#canOwn(director, pool) ? director : -1;
    if (next < 0) this.#setPhase(pool, { name: "orphan" });
    else this.#open(pool, next);
  }

  #move(pool: number, to: number, command: number): void {
    const refusal = this.#moveRefusal(pool, to);
    if (refusal !== undefined) {
      this.#end(command, refusal);
      return;
    }
    const place = this.#pools[pool]!;
    place.home = to;
    if (place.owner === to) {
      this.#end(command, undefined);
      return;
    }
    place.command = command;
    this.#startMove(pool, to);
  }

  #moveRefusal(pool: number, to: number): string | undefined {
    const place = this.#pools[pool];
    if (place === undefined) return "there is no such pool";
    const target = this.#directors[to];
    if (target === undefined || !place.reachedBy.includes(to))
      return `director ${target?.name ?? to} does not reach the drives of pool ${place.name}`;
    if (!this.#isSettled(pool)) return `pool ${place.name} is on its way already`;
    const busy = [target, this.#directors[place.owner]!].find(({ state }) => state !== "active");
    return busy === undefined ? undefined : `director ${busy.name} is ${busy.state}`;
  }

  #startMove(pool: number, to: number): void {
    const { owner } = this.#pools[pool]!;
    this.#setPhase(pool, { name: "preparing", to, since: this.#now });
    this.#do({ type: "prepare", director: owner, pool });
  }

  #orphan(pool: number): void {
    const place = this.#pools[pool]!;
    this.#setPhase(pool, { name: "orphan" });
    place.downSince ??= this.#now;
    this.#endCommand(place, `director ${this.#directors[place.owner]!.name} failed meanwhile`);
  }

  /** Pools whose owner is joined go to a director that is up. */
  #assignOrphans(): void {
    for (const [pool, place] of this.#pools.entries()) {
      if (place.phase.name !== "orphan" || this.#directors[place.owner]!.state === "joining") continue;
      const next = this.#partnerOf(pool, -1);
      if (next >= 0) this.#open(pool, next);
    }
  }

  /** Pools that are served elsewhere go back to where they belong. */
  #giveHome(): void {
    for (const [pool, place] of this.#pools.entries()) {
      if (place.owner === place.home || !this.#isSettled(pool) || !this.#canOwn(place.home, pool)) continue;
      if (this.#directors[place.owner]!.state === "active") this.#startMove(pool, place.home);
    }
  }

  #open(pool: number, director: number): void {
    this.#pools[pool]!.owner = director;
    this.#setPhase(pool, { name: "opening" });
    this.#do({ type: "open", director, pool });
  }

  // — time —

  #tick(): void {
    for (const [director, place] of this.#directors.entries()) {
      const passed = this.#now - place.since;
      if (place.state === "joining" && passed > JOIN_MILLISECONDS_MAX) {
        const reason = `director ${place.name} can't be joined: it is in a native call for ${JOIN_MILLISECONDS_MAX / 1000} s`;
        this.#do({ type: "exit", reason });
      }
      if (place.state === "returning" && passed > RETURN_MILLISECONDS_MAX)
        this.#failed(director, "stuck", `it did not come up within ${RETURN_MILLISECONDS_MAX / 1000} s`);
      if (place.state === "leaving" && place.stopping && passed > STOP_MILLISECONDS_MAX)
        this.#failed(director, "stuck", `it did not stop within ${STOP_MILLISECONDS_MAX / 1000} s`);
    }
    for (const { name, owner, phase } of this.#pools) {
      if (phase.name !== "closing" && phase.name !== "preparing") continue;
      if (this.#now - phase.since > HAND_OVER_MILLISECONDS_MAX)
        this.#failed(owner, "stuck", `it did not hand over pool ${name} within ${HAND_OVER_MILLISECONDS_MAX / 1000} s`);
    }
    for (const [pool, { owner, phase, reopenAt }] of this.#pools.entries()) {
      if (phase.name === "failed" && reopenAt !== undefined && this.#now >= reopenAt && this.#canOwn(owner, pool))
        this.#reopen(pool);
    }
    this.#startAgain();
  }

  // — small —

  #poolsOf(director: number): number[] {
    return [...this.#pools.keys()].filter(
      (pool) => this.#pools[pool]!.owner === director && this.#pools[pool]!.phase.name !== "orphan",
    );
  }

  #isSettled(pool: number): boolean {
    const { name } = this.#pools[pool]!.phase;
    return name === "serving" || name === "failed";
  }

  #canOwn(director: number, pool: number): boolean {
    return this.#pools[pool]!.reachedBy.includes(director) && this.#directors[director]!.state === "active";
  }

  /** Who could have the pool, besides `not`: the one where it belongs before others; −1: nobody. */
  #partnerOf(pool: number, not: number): number {
    const { home, reachedBy } = this.#pools[pool]!;
    const able = reachedBy.filter((director) => director !== not && this.#canOwn(director, pool));
    return able.includes(home) ? home : (able[0] ?? -1);
  }

  #accessOf(place: PoolPlace): VolumeAccess {
    const { phase } = place;
    if (phase.name === "serving" || phase.name === "preparing") return "active";
    if (phase.name === "failed" || place.isAway) return "unavailable";
    if (phase.name !== "orphan") return "transitioning";
    return this.#mayBeServed(place) ? "transitioning" : "unavailable";
  }

  /** A director that reaches it serves, or will: one that is restarted on command does, one that died is not counted on. */
  #mayBeServed({ reachedBy }: PoolPlace): boolean {
    return reachedBy.some((director) => {
      const { state, stopping } = this.#directors[director]!;
      return ALIVE.includes(state) || stopping;
    });
  }

  #setState(director: number, state: DirectorState): void {
    const place = this.#directors[director]!;
    place.state = state;
    place.since = this.#now;
    this.#changed();
  }

  #setPhase(pool: number, phase: PoolPhase): void {
    this.#pools[pool]!.phase = phase;
    this.#changed();
  }

  /** At this place among the actions: who hears of them hears of what is true before what is to be done. */
  #changed(): void {
    this.#version += 1;
    if (this.#actions.at(-1)?.type !== "publish") this.#do({ type: "publish" });
  }

  #endCommand(place: { command: number | undefined }, refusal: string | undefined): void {
    const { command } = place;
    if (command === undefined) return;
    place.command = undefined;
    this.#end(command, refusal);
  }

  #end(command: number, refusal: string | undefined): void {
    this.#do({ type: "ended", command, ...(refusal === undefined ? {} : { refusal }) });
  }

  #raise(severity: ArrayEvent["severity"], type: string, director: number, message: string): void {
    this.#do({ type: "raise", event: { severity, type, subject: `director ${this.#directors[director]!.name}`, message } });
  }

  #do(action: FailoverAction): void {
    this.#actions.push(action);
  }
}

/** Those that serve, or will: a pool may wait for them. */
const ALIVE: readonly DirectorState[] = ["starting", "active", "leaving", "returning"];

const CAUSE_WORDS = { ended: "ended by itself", stuck: "is stuck", killed: "was ended on command" } as const satisfies Record<
  DeathCause,
  string
>;

function poolEvent(severity: ArrayEvent["severity"], type: string, pool: string, how: string): Omit<ArrayEvent, "time"> {
  return { severity, type, subject: `pool ${pool}`, message: `pool ${pool}: ${how}` };
}
