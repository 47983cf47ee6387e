/**
 * Keeps the drive thread of one pool alive: one that dies on its own is started again, with the drives that it had.
 *
 *   running ──ended on its own──▶ fenced (epoch raised) ──▶ started again ──ready──▶ running
 *      │ stop                        │ for the DEATHS_MAX-th time within DEATHS_MILLISECONDS, or not ready in time
 *      ▼                             ▼
 *   stopped                       the process ends, and its restart recovers
 *
 * Runs on: main. Its drives are unreachable meanwhile, and none of them has failed: directors hold what they ask of it
 * (drive-channel.ts), so that hosts notice a delay.
 * Invariants:
 *  1. Two incarnations never run at a time, and each has an epoch of its own: what was asked of one is not done by the next.
 *  2. Until one has been ready, each does what the first was told. From then on nothing is formatted by one that is started again.
 */
import type { DriveState, DriveThreadDrive, FromDriveThread, ToDriveThread } from "../drivers/drive/drive-thread-messages.ts";
import { raiseThreadEpoch } from "../drivers/shared-memory/epoch.ts";
import type { GlobalMemory } from "../drivers/shared-memory/global-memory.ts";
import { threadNumber } from "../drivers/shared-memory/layout.ts";
import type { ArrayEvent } from "../src/control/contract.ts";
import type { Joinable } from "./process-exit.ts";
import { stopThread, type WatchedThread } from "./watched-thread.ts";

const DEATHS_MAX = 4;
const DEATHS_MILLISECONDS = 60_000;
/** Opening drives reads the logs of their databases; directors hold requests twice as long. */
const READY_MILLISECONDS_MAX = 30_000;

export type DriveThread = WatchedThread<ToDriveThread, FromDriveThread>;

export interface KeepDriveThread {
  readonly pool: { readonly name: string; readonly index: number };
  readonly global: GlobalMemory;
  readonly drives: readonly DriveThreadDrive[];
  /** @param onEnd - the thread has ended on its own */
  readonly start: (drives: readonly DriveThreadDrive[], onEnd: (reason: string) => void) => DriveThread;
  /** The thread is entered here, and taken out when it has ended. */
  readonly threads: Joinable[];
  readonly onFatal: (thread: string, reason: string) => void;
  readonly nowMilliseconds: () => number;
}

export class DriveThreadKeeper {
  readonly #options: KeepDriveThread;
  readonly #listeners: ((message: FromDriveThread) => void)[] = [];
  readonly #restarted: (() => void)[] = [];
  /** Those who wait for an answer that a thread which ended never gives. */
  readonly #ended = new Set<() => void>();
  /** When the thread died of late. */
  #deaths: number[] = [];
  #stopping = false;
  /** As the next thread is to open them. */
  #drives: readonly DriveThreadDrive[];
  readonly #ready: Promise<readonly DriveState[]>;
  #thread: DriveThread;
  /** Events of this thread's life; set once there is somebody to tell. */
  raise: (event: ArrayEvent) => void = () => {};

  constructor(options: KeepDriveThread) {
    this.#options = options;
    this.#drives = options.drives;
    this.#ready = new Promise((resolve) => {
      this.onMessage((message) => {
        if (message.type !== "ready") return;
        this.#drives = options.drives.map(({ format: _, ...known }) => known);
        resolve(message.drives);
      });
    });
    this.#thread = this.#start();
  }

  /** Resolves when the drives have been tried, by the first thread that lives to do it. */
  ready(): Promise<readonly DriveState[]> {
    return this.#ready;
  }

  post(message: ToDriveThread): void {
    this.#thread.post(message);
  }

  onMessage(listener: (message: FromDriveThread) => void): void {
    this.#listeners.push(listener);
  }

  /** Called when a thread that died has been started again: it knows of no fault on command, and has all drives open. */
  onRestarted(listener: () => void): void {
    this.#restarted.push(listener);
  }

  /** The answer to a message; undefined: the thread ended before it gave one. */
  async ask<Answer extends FromDriveThread>(
    message: ToDriveThread,
    select: (answer: FromDriveThread) => answer is Answer,
  ): Promise<Answer | undefined> {
    if (!this.#thread.running) return undefined;
    let over: () => void = () => {};
    const ended = new Promise<undefined>((resolve) => {
      over = () => resolve(undefined);
      this.#ended.add(over);
    });
    const answer = this.#thread.next(select);
    this.#thread.post(message);
    try {
      return await Promise.race([answer, ended]);
    } finally {
      this.#ended.delete(over);
    }
  }

  /** Resolves when no drive has a request of this director any more: it is dead, and its epoch fenced. */
  async quiet(director: number): Promise<void> {
    // A thread that has ended works on nothing, and the next one leaves alone what was asked of it.
    await this.ask(
      { type: "quiet", director },
      (message): message is Extract<FromDriveThread, { type: "quiet" }> =>
        message.type === "quiet" && message.director === director,
    );
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    if (!this.#thread.running) return;
    await stopThread(this.#thread, { type: "stop" }, ({ type }) => type === "stopped");
  }

  #start(): DriveThread {
    const { global, pool, start, threads } = this.#options;
    raiseThreadEpoch(global, threadNumber(global.layout, "drive", pool.index));
    const thread = start(this.#drives, (reason) => this.#died(thread, reason));
    thread.onMessage((message) => {
      for (const listener of this.#listeners) listener(message);
    });
    threads.push(thread);
    return thread;
  }

  #died(thread: DriveThread, reason: string): void {
    const { onFatal, pool, threads, nowMilliseconds } = this.#options;
    const at = threads.indexOf(thread);
    if (at >= 0) threads.splice(at, 1);
    for (const over of this.#ended) over();
    if (this.#stopping) return;
    const now = nowMilliseconds();
    this.#deaths = [...this.#deaths.filter((death) => now - death < DEATHS_MILLISECONDS), now];
    if (this.#deaths.length >= DEATHS_MAX) {
      onFatal(thread.name, `${reason} (for the ${DEATHS_MAX}th time within ${DEATHS_MILLISECONDS / 1000} s)`);
      return;
    }
    const first = reason.split("\n")[0] ?? reason;
    this.#event("critical", "drives.threadLost", `the thread of pool ${pool.name}'s drives ended and is started again: ${first}`);
    this.#thread = this.#start();
    void this.#watchRestart(this.#thread);
  }

  async #watchRestart(thread: DriveThread): Promise<void> {
    const { onFatal, pool } = this.#options;
    const late = setTimeout(() => {
      if (this.#thread === thread)
        onFatal(thread.name, `was not ready ${READY_MILLISECONDS_MAX / 1000} s after it was started again`);
    }, READY_MILLISECONDS_MAX);
    // One that dies before it is ready never resolves this: its successor has a watch of its own.
    const over = new Promise<undefined>((resolve) => this.#ended.add(() => resolve(undefined)));
    const ready = await Promise.race([thread.next((message) => message.type === "ready"), over]);
    clearTimeout(late);
    if (ready === undefined || this.#thread !== thread) return;
    for (const listener of this.#restarted) listener();
    const closed = ready.drives.filter(({ state }) => state !== "open").map(({ name }) => name);
    const without = closed.length === 0 ? "" : `, without ${closed.join(", ")}`;
    this.#event("info", "drives.threadBack", `the thread of pool ${pool.name}'s drives serves again${without}`);
  }

  #event(severity: ArrayEvent["severity"], type: string, message: string): void {
    this.raise({ time: new Date().toISOString(), severity, type, subject: `pool ${this.#options.pool.name}`, message });
  }
}
