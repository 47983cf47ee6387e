/**
 * The supervisor: brings the array up, watches every thread, and takes it down.
 *
 *   configuration → data folder locked → global memory → drive and journal threads → directors → control plane → serving
 *
 * Runs on: main, and nothing else runs there: only the thread that made a Worker can end it, so this one is never busy.
 * Invariants:
 *  1. A thread that ends on its own ends the process with a status that is not 0: a restart recovers. A director's partner
 *     takes over instead (director-keeper.ts), as long as there is one.
 *  2. A stop makes the journals durable before anything else is closed, and the process is gone
 *     STOP_MILLISECONDS_MAX and CUT_OFF_JOIN_MILLISECONDS after the signal, well or not.
 *  3. The data folder's lock is held from before the first drive is opened until the process ends.
 */
import { readFileSync } from "node:fs";
import { createGlobalMemory, type GlobalMemory, type GlobalMemoryTransfer } from "../drivers/shared-memory/global-memory.ts";
import { heartbeatAgeMilliseconds } from "../drivers/shared-memory/heartbeat.ts";
import { type ThreadRole, threadNumber } from "../drivers/shared-memory/layout.ts";
import type { Config, PoolConfig } from "../src/config/config.ts";
import type { ArrayEvent, ArraySummary, ControlToMain, ControlWorkerData, MainToControl } from "../src/control/contract.ts";
import { memoryShape } from "./array-shape.ts";
import { bannerOf } from "./banner.ts";
import { DataFolder } from "./data-folder.ts";
import { DirectorKeeper } from "./director-keeper.ts";
import type { DirectorPool } from "./director-messages.ts";
import { DriveControl } from "./drive-control.ts";
import {
  HEARTBEAT_AGE_MAX_MILLISECONDS,
  HEARTBEAT_CHECK_MILLISECONDS,
  HeartbeatWatch,
  type WatchedHeart,
} from "./heartbeat-watch.ts";
import { type PoolThreads, startPoolThreads } from "./pool-threads.ts";
import { exitProcess, type Joinable } from "./process-exit.ts";
import { EXIT_STATUS, StartError } from "./start-error.ts";
import type { SupervisorLog } from "./supervisor-log.ts";
import { stopThread, type ThreadLimits, WatchedThread } from "./watched-thread.ts";

/** Also for what follows: the process must be gone within 5 s of the signal. */
const STOP_MILLISECONDS_MAX = 4000;
/** After which threads that can't be joined are not waited for: five seconds in all. */
const CUT_OFF_JOIN_MILLISECONDS = 800;
/** npm hands a signal on that the terminal sent to all: the same one twice is no second wish within this time. */
const SAME_SIGNAL_MILLISECONDS = 500;

const CONTROL_ENTRY = new URL("../src/control/control.worker.js", import.meta.url);
const CONTROL_LIMITS: ThreadLimits = { heapMebibytesMax: 256, youngMebibytesMax: 3 };

type Control = WatchedThread<MainToControl, ControlToMain>;

export class Supervisor {
  readonly #config: Config;
  readonly #log: SupervisorLog;
  readonly #threads: Joinable[] = [];
  #directors: DirectorKeeper | undefined;
  #pools: PoolThreads[] = [];
  #control: Control | undefined;
  #stopping: { readonly since: number } | undefined;
  #watch: NodeJS.Timeout | undefined;
  readonly #onFatal = (thread: string, reason: string): void => {
    void this.#fatal(`the thread "${thread}" ended: ${reason}`);
  };

  constructor(config: Config, log: SupervisorLog) {
    this.#config = config;
    this.#log = log;
    for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, () => this.#onSignal(signal));
  }

  /** Resolves when the array serves. @throws StartError */
  async start(): Promise<void> {
    const config = this.#config;
    const folder = await DataFolder.open(config.dataFolder);
    const { global, transfer } = makeMemory(config, folder);
    this.#log.info({ megabytes: Math.round(global.layout.totalBytes / 2 ** 20) }, "global memory made");

    const onJournalFailed = (pool: PoolConfig, reason: string) => this.#onJournalFailed(pool, reason);
    const common = { config, folder, transfer, global, threads: this.#threads, onFatal: this.#onFatal, onJournalFailed };
    const pools = config.pools.map((pool) => startPoolThreads({ ...common, pool }));
    this.#pools = await Promise.all(pools);
    for (const { pool, states } of this.#pools) {
      for (const state of states) {
        if (state.state !== "open") this.#log.warn({ pool: pool.name, drive: state.name, kind: state.kind }, state.message);
      }
    }
    if (this.#stopping !== undefined) return;
    const summary = await this.#startThreads(global, transfer);
    if (this.#stopping !== undefined) return;
    this.#watchHeartbeats(global);
    this.#log.info({ arrayId: summary.arrayId, firstStart: summary.firstStart }, "serving");
    process.stdout.write(bannerOf({ version: productVersion(), config, summary, node: process.versions.node }));
  }

  async #startThreads(global: GlobalMemory, transfer: GlobalMemoryTransfer): Promise<ArraySummary> {
    const directors = this.#keepDirectors(global, transfer);
    this.#directors = directors;
    const ports = directors.start();
    const data: ControlWorkerData = { memory: transfer, config: this.#config, directors: ports, ownership: directors.ownership };
    const control: Control = new WatchedThread({
      name: "control plane",
      entry: CONTROL_ENTRY,
      data,
      transfer: ports,
      limits: CONTROL_LIMITS,
      onFatal: this.#onFatal,
    });
    this.#threads.push(control);
    this.#control = control;
    return new Promise((resolve) => {
      const drives = new DriveControl(this.#pools, (message) => control.post(message));
      control.onMessage((message) => {
        if (message.kind === "driveCommand") void drives.command(message.id, message.command);
        if (message.kind === "ready") resolve(message.summary);
        if (message.kind === "command") directors.command(message.id, message.command);
        if (message.kind === "fatal") void this.#fatal(`the control plane can't go on: ${message.message}`);
      });
    });
  }

  #keepDirectors(global: GlobalMemory, transfer: GlobalMemoryTransfer): DirectorKeeper {
    return new DirectorKeeper({
      config: this.#config,
      global,
      transfer,
      threads: this.#threads,
      poolOf: (index) => this.#poolOf(index),
      drivesQuiet: async (director) => {
        await Promise.all(this.#pools.map((pool) => pool.quiet(director)));
      },
      raise: (event) => this.#raise(event),
      onOwnership: (ownership) => this.#control?.post({ kind: "ownership", ownership }),
      onPort: (director, port) => this.#control?.post({ kind: "directorPort", director, port }, [port]),
      onCommandEnded: (id, refusal) =>
        this.#control?.post({ kind: "commandEnded", id, ...(refusal === undefined ? {} : { refusal }) }),
      onFatal: (reason) => void this.#fatal(reason),
    });
  }

  #poolOf(index: number): Omit<DirectorPool, "openedBefore"> {
    const { journal, mirror } = this.#pools.find(({ pool }) => pool.index === index)!;
    return { index, journal, ...(mirror === undefined ? {} : { mirror }) };
  }

  // — watching —

  #watchHeartbeats(global: GlobalMemory): void {
    const heart = (name: string, role: ThreadRole, index: number): WatchedHeart => {
      const thread = threadNumber(global.layout, role, index);
      return { name, ageMilliseconds: () => heartbeatAgeMilliseconds(global, thread) };
    };
    const watch = new HeartbeatWatch(
      [...this.#config.pools.map(({ name, index }) => heart(`drives of pool ${name}`, "drive", index))],
      performance.now(),
    );
    this.#watch = setInterval(() => {
      const stuck = watch.check(performance.now());
      if (stuck !== undefined)
        void this.#fatal(`the thread "${stuck}" is stuck: no heartbeat for ${HEARTBEAT_AGE_MAX_MILLISECONDS / 1000} s`);
    }, HEARTBEAT_CHECK_MILLISECONDS);
  }

  /** Its owner fails the pool; the others go on. */
  #onJournalFailed(pool: PoolConfig, reason: string): void {
    const message = `the journal of pool ${pool.name} can't be made durable any more: ${reason}`;
    this.#log.error({ pool: pool.name }, message);
    const event = {
      time: new Date().toISOString(),
      severity: "critical",
      type: "journal.failed",
      subject: `pool ${pool.name}`,
      message,
    } as const;
    this.#control?.post({ kind: "event", event });
  }

  /** The control plane logs it, too. */
  #raise(event: ArrayEvent): void {
    this.#control?.post({ kind: "event", event });
  }

  async #fatal(reason: string): Promise<void> {
    this.#log.error(reason);
    await exitProcess(EXIT_STATUS.failed, `varray: ${reason}`, this.#threads);
  }

  // — stopping —

  #onSignal(signal: NodeJS.Signals): void {
    const now = performance.now();
    if (this.#stopping === undefined) {
      this.#stopping = { since: now };
      void this.#stop(signal, now + STOP_MILLISECONDS_MAX + CUT_OFF_JOIN_MILLISECONDS);
    } else if (now - this.#stopping.since > SAME_SIGNAL_MILLISECONDS) {
      void exitProcess(EXIT_STATUS.stopCutOff, `varray: a second ${signal}: stopped as it stands`, this.#threads);
    }
  }

  async #stop(signal: NodeJS.Signals, goneBy: number): Promise<void> {
    this.#log.info({ signal }, "stopping");
    clearInterval(this.#watch);
    const cutOff = setTimeout(() => {
      const message = `varray: the stop took longer than ${STOP_MILLISECONDS_MAX / 1000} s: ended as it stands; the next start recovers`;
      void exitProcess(EXIT_STATUS.stopCutOff, message, this.#threads, CUT_OFF_JOIN_MILLISECONDS);
    }, STOP_MILLISECONDS_MAX);
    const control = this.#control;
    const stopped: Promise<void>[] = [];
    if (this.#directors !== undefined) stopped.push(this.#directors.stop());
    if (control !== undefined) stopped.push(stopThread(control, { kind: "stop" }, ({ kind }) => kind === "stopped"));
    await Promise.all(stopped);
    await Promise.all(this.#pools.map((pool) => pool.stop()));
    clearTimeout(cutOff);
    this.#log.info("stopped");
    await exitProcess(EXIT_STATUS.stopped, undefined, this.#threads, goneBy - performance.now());
  }
}

function makeMemory(config: Config, folder: DataFolder): ReturnType<typeof createGlobalMemory> {
  try {
    return createGlobalMemory(memoryShape(config, folder));
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new StartError(EXIT_STATUS.badConfiguration, `global memory can't be had: ${cause.message}`, { cause });
  }
}

function productVersion(): string {
  const file = new URL("../../package.json", import.meta.url);
  return (JSON.parse(readFileSync(file, "utf8")) as { version: string }).version;
}
