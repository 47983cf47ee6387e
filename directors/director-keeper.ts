/**
 * Keeps the directors going: starts them, fences and ends those that fail, has their pools taken over, starts them again.
 * What is to be done is decided by failover.ts; here it is done.
 *
 * Runs on: main. Owns: the directors' threads, and who owns which pool.
 * Invariants:
 *  1. What a thread says counts only as long as it is the director's present one.
 *  2. Chunks of a dead director are given back when it is joined, the others have let go of its frames, and no drive has
 *     a request of it any more; enough for a start are kept for it.
 */
import { MessageChannel, type MessagePort } from "node:worker_threads";
import { raisePoolEpoch, raiseThreadEpoch } from "../drivers/shared-memory/epoch.ts";
import { FrameChunks } from "../drivers/shared-memory/frame-chunks.ts";
import type { GlobalMemory, GlobalMemoryTransfer } from "../drivers/shared-memory/global-memory.ts";
import { clearHeartbeat, heartbeatAgeMilliseconds } from "../drivers/shared-memory/heartbeat.ts";
import { threadNumber } from "../drivers/shared-memory/layout.ts";
import type { Config } from "../src/config/config.ts";
import type { ArrayEvent, DirectorFault, MainCommand, Ownership } from "../src/control/contract.ts";
import type { DirectorLife, DirectorPool, DirectorStart, FromDirector, JournalPlace, ToDirector } from "./director-messages.ts";
import { Failover, type FailoverAction, type FailoverEvent } from "./failover.ts";
import { HeartbeatWatch } from "./heartbeat-watch.ts";
import type { Joinable } from "./process-exit.ts";
import { stopThread, type ThreadLimits, WatchedThread } from "./watched-thread.ts";

const DIRECTOR_ENTRY = new URL("./director.worker.js", import.meta.url);
/** A young generation of half the size would be collected 340 times a second at depth 1, 0.1 to 0.2 ms each: that is p99 then. */
const DIRECTOR_LIMITS: ThreadLimits = { heapMebibytesMax: 160, youngMebibytesMax: 6 };
/** A director beats ten times a second; so often are the beats looked at. */
const CHECK_MILLISECONDS = 100;
/** When main itself was as late, everything was held up, and nobody is blamed. */
const MAIN_LATE_MILLISECONDS = 400;

type Director = WatchedThread<ToDirector, FromDirector>;

export interface DirectorKeeperOptions {
  readonly config: Config;
  readonly global: GlobalMemory;
  readonly transfer: GlobalMemoryTransfer;
  /** Each thread is entered here while it runs. */
  readonly threads: Joinable[];
  readonly poolOf: (index: number) => Omit<DirectorPool, "openedBefore">;
  /** Resolves when no drive of any pool has a request of this director. */
  readonly drivesQuiet: (director: number) => Promise<void>;
  readonly raise: (event: ArrayEvent) => void;
  readonly onOwnership: (ownership: Ownership) => void;
  readonly onPort: (director: number, port: MessagePort) => void;
  readonly onCommandEnded: (id: number, refusal: string | undefined) => void;
  /** The process can't go on. */
  readonly onFatal: (reason: string) => void;
}

export class DirectorKeeper {
  readonly #options: DirectorKeeperOptions;
  readonly #failover: Failover;
  readonly #chunks: FrameChunks;
  readonly #threads: (Director | undefined)[];
  /** By director, of its present life, or its last. */
  readonly #epochs: number[];
  /** Per dead director: who has not let go of its memory yet. */
  readonly #awaited: Set<number>[];
  readonly #pastStart: Set<number> = new Set();
  /** Pools that were opened once: the journal that main made for one is its own since. */
  readonly #everServed: Set<number> = new Set();
  #timer: NodeJS.Timeout | undefined;
  #stopping = false;

  constructor(options: DirectorKeeperOptions) {
    this.#options = options;
    const { config, global } = options;
    this.#failover = new Failover({ directors: config.directors, pools: config.pools });
    this.#chunks = new FrameChunks(global);
    this.#threads = config.directors.map(() => undefined);
    this.#epochs = config.directors.map(() => 0);
    this.#awaited = config.directors.map(() => new Set());
  }

  get ownership(): Ownership {
    return this.#failover.ownership;
  }

  /** Returns the control plane's ends of the channels to the directors. */
  start(): MessagePort[] {
    // All before the first of them runs, as each is told of the others' lives.
    for (const { index } of this.#options.config.directors) this.#beginLife(index);
    const ports = this.#options.config.directors.map(({ index }) => this.#start(index));
    const watch = new HeartbeatWatch(
      this.#options.config.directors.map(({ name, index }) => ({ name, ageMilliseconds: () => this.#ageOf(index) })),
      performance.now(),
      { ageMaxMilliseconds: this.#options.config.failover.hangMilliseconds, mainLateMilliseconds: MAIN_LATE_MILLISECONDS },
    );
    this.#timer = setInterval(() => {
      const now = performance.now();
      const stuck = watch.check(now);
      if (stuck !== undefined) {
        const director = this.#options.config.directors.find(({ name }) => name === stuck)!.index;
        const reason = `no heartbeat for ${Math.round(heartbeatAgeMilliseconds(this.#options.global, this.#numberOf(director)))} ms`;
        this.#on({ type: "failed", director, cause: "stuck", reason });
      }
      this.#on({ type: "tick" });
    }, CHECK_MILLISECONDS);
    return ports;
  }

  command(id: number, command: MainCommand): void {
    if (command.kind === "movePool") this.#on({ type: "move", pool: command.pool, to: command.to, command: id });
    else if (command.kind === "restartDirector") this.#on({ type: "restart", director: command.director, command: id });
    else this.#fault(id, command.director, command.fault);
  }

  /** Portals closed, journals durable: of every director that runs. */
  async stop(): Promise<void> {
    this.#stopping = true;
    clearInterval(this.#timer);
    // One that is being ended has nothing to say any more; what it acknowledged is in the journal.
    const running = this.#threads.filter(
      (thread, director) => thread?.running === true && this.#failover.stateOf(director) !== "joining",
    );
    await Promise.all(
      running.map((thread) => stopThread(thread!, { type: "stop", restart: false }, ({ type }) => type === "stopped")),
    );
  }

  // — what failover.ts decides —

  #on(event: FailoverEvent): void {
    if (this.#stopping) return;
    for (const action of this.#failover.take(event, performance.now())) this.#do(action);
  }

  #do(action: FailoverAction): void {
    const { global, onFatal, onPort, onCommandEnded, raise } = this.#options;
    switch (action.type) {
      case "fence":
        raiseThreadEpoch(global, this.#numberOf(action.director));
        for (const pool of action.pools) raisePoolEpoch(global, pool);
        return;
      case "terminate":
        void this.#end(action.director);
        return;
      case "stop":
        this.#threads[action.director]!.expectEnd();
        this.#post(action.director, { type: "stop", restart: true });
        return;
      case "lost":
        this.#lost(action.director);
        return;
      case "start":
        this.#beginLife(action.director);
        onPort(action.director, this.#start(action.director));
        return;
      case "returned":
        for (const other of this.#others(action.director))
          this.#post(other, { type: "partnerReturned", partner: this.#lifeOf(action.director) });
        return;
      case "open":
        this.#post(action.director, { type: "openPool", pool: this.#poolOf(action.pool) });
        return;
      case "prepare":
        this.#post(action.director, { type: "preparePool", pool: action.pool });
        return;
      case "close":
        this.#post(action.director, { type: "closePool", pool: action.pool });
        return;
      case "publish":
        this.#publish();
        return;
      case "raise":
        raise({ time: new Date().toISOString(), ...action.event });
        return;
      case "ended":
        onCommandEnded(action.command, action.refusal);
        return;
      case "exit":
        onFatal(action.reason);
        return;
    }
  }

  #publish(): void {
    const { ownership } = this;
    for (const director of this.#threads.keys()) this.#post(director, { type: "ownership", ownership });
    this.#options.onOwnership(ownership);
  }

  // — threads —

  #beginLife(director: number): void {
    this.#epochs[director] = raiseThreadEpoch(this.#options.global, this.#numberOf(director));
  }

  #lifeOf(director: number): DirectorLife {
    return { director, epoch: this.#epochs[director]! };
  }

  #start(director: number): MessagePort {
    const { config, global, transfer, threads } = this.#options;
    const { name } = config.directors[director]!;
    const { directors, pools } = this.ownership;
    const returns = directors[director] === "returning";
    const { port1, port2 } = new MessageChannel();
    clearHeartbeat(global, this.#numberOf(director));
    this.#pastStart.delete(director);
    const data: DirectorStart = {
      transfer,
      config,
      directorIndex: director,
      control: port1,
      pools: returns ? [] : pools.flatMap(({ owner }, pool) => (owner === director ? [this.#poolOf(pool)] : [])),
      partners: partnersAtStart(directors, director).map((other) => this.#lifeOf(other)),
    };
    const thread: Director = new WatchedThread({
      name: `director ${name}`,
      entry: DIRECTOR_ENTRY,
      data,
      transfer: [port1],
      limits: DIRECTOR_LIMITS,
      onFatal: (_, reason) => {
        if (this.#threads[director] === thread) this.#on({ type: "failed", director, cause: "ended", reason });
      },
    });
    this.#threads[director] = thread;
    threads.push(thread);
    thread.onMessage((message) => {
      if (this.#threads[director] === thread) this.#heard(director, message);
    });
    return port2;
  }

  #heard(director: number, message: FromDirector): void {
    switch (message.type) {
      case "ready":
        this.#pastStart.add(director);
        for (const [pool, { owner }] of this.ownership.pools.entries()) {
          if (owner === director && !message.failed.includes(pool)) this.#everServed.add(pool);
        }
        this.#on({ type: "ready", director, failed: message.failed });
        // It knows of no change since it was started.
        this.#post(director, { type: "ownership", ownership: this.ownership });
        return;
      case "released":
        this.#letGo(message.director, director);
        return;
      case "opened":
        if (message.served) this.#everServed.add(message.pool);
        this.#on({ director, ...message });
        return;
      default:
        this.#on({ director, ...message });
    }
  }

  async #end(director: number): Promise<void> {
    const thread = this.#threads[director]!;
    await thread.terminate();
    const { threads } = this.#options;
    threads.splice(threads.indexOf(thread), 1);
    this.#threads[director] = undefined;
    this.#on({ type: "joined", director });
  }

  #post(director: number, message: ToDirector): void {
    const thread = this.#threads[director];
    if (thread?.running === true) thread.post(message);
  }

  #fault(id: number, director: number, fault: DirectorFault): void {
    const { onCommandEnded, config } = this.#options;
    const state = this.#failover.stateOf(director);
    if (state !== "active") {
      onCommandEnded(id, `director ${config.directors[director]!.name} is ${state}`);
      return;
    }
    if (fault.kind === "kill") this.#on({ type: "failed", director, cause: "killed", reason: "a fault on command" });
    else this.#post(director, { type: "fault", fault });
    onCommandEnded(id, undefined);
  }

  // — what a dead one leaves behind —

  #lost(director: number): void {
    const others = this.#others(director).filter((other) => this.#threads[other]?.running === true);
    const awaited = this.#awaited[director]!;
    awaited.clear();
    for (const other of others) awaited.add(other);
    for (const other of others) this.#post(other, { type: "partnerLost", director });
    // A partner that dies instead of answering lets go as well.
    for (const waiting of this.#awaited.keys()) if (this.#awaited[waiting]!.delete(director)) this.#settle(waiting);
    awaited.add(DRIVES);
    void this.#options.drivesQuiet(director).then(() => this.#letGo(director, DRIVES));
  }

  #letGo(dead: number, who: number): void {
    if (this.#awaited[dead]!.delete(who)) this.#settle(dead);
  }

  #settle(dead: number): void {
    if (this.#awaited[dead]!.size > 0) return;
    const chunks = this.#chunks.chunksOf(dead);
    const kept = Math.ceil(this.#chunks.chunkCount / this.#options.config.directors.length / 2);
    for (const chunk of chunks.slice(kept)) this.#chunks.release(chunk);
    this.#chunks.want(dead, 0);
    this.#on({ type: "memoryFree", director: dead });
  }

  // — small —

  /** Until a director has opened its first pools it may be busy for longer: those who wait for it have bounds of their own. */
  #ageOf(director: number): number {
    const state = this.#failover.stateOf(director);
    const beats = (state === "active" || state === "leaving") && this.#pastStart.has(director);
    return beats ? heartbeatAgeMilliseconds(this.#options.global, this.#numberOf(director)) : 0;
  }

  #poolOf(index: number): DirectorPool {
    const pool = this.#options.poolOf(index);
    const place = (of: JournalPlace): JournalPlace => ({ ...of, made: of.made && !this.#everServed.has(index) });
    const { journal, mirror } = pool;
    const openedBefore = this.#everServed.has(index);
    return { index, openedBefore, journal: place(journal), ...(mirror === undefined ? {} : { mirror: place(mirror) }) };
  }

  #others(director: number): number[] {
    return [...this.#threads.keys()].filter((other) => other !== director);
  }

  #numberOf(director: number): number {
    return threadNumber(this.#options.global.layout, "director", director);
  }
}

/** Stands for the drive threads among those that let go. */
const DRIVES = -1;
/** In these states a director's thread runs, and takes part. */
const RUNNING: readonly string[] = ["starting", "active", "leaving", "returning"];

/** Whom a director that starts begins with: of one that returns, too, both are told as it is ready (`partnerReturned`). */
export function partnersAtStart(states: Ownership["directors"], director: number): number[] {
  const isFirst = states[director] !== "returning";
  return [...states.keys()].filter(
    (other) => other !== director && (isFirst || (states[other] !== "returning" && RUNNING.includes(states[other]!))),
  );
}
