/** Drives for tests: in memory, over LevelDB in this thread, and over LevelDB in a real drive thread (from dist/). */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import type { Drive, DriveGeometry } from "../../drivers/drive/drive.ts";
import { DriveChannel, MAILBOX_BYTES_MIN } from "../../drivers/drive/drive-channel.ts";
import type { DriveState, DriveThreadDrive, FromDriveThread, ToDriveThread } from "../../drivers/drive/drive-thread-messages.ts";
import { LevelDriveMedium } from "../../drivers/drive/level-drive.ts";
import { formatDrive } from "../../drivers/drive/level-drive-format.ts";
import { MemoryDrive, MemoryDriveState } from "../../drivers/drive/memory-drive.ts";
import { RemoteDrive } from "../../drivers/drive/remote-drive.ts";
import { EventLoopDoorbell } from "../../drivers/shared-memory/doorbell.ts";
import { createGlobalMemory, type GlobalMemory } from "../../drivers/shared-memory/global-memory.ts";
import { threadNumber } from "../../drivers/shared-memory/layout.ts";

export const TEST_GEOMETRY: DriveGeometry = { capacityBytes: 8 * 64 * 1056, stripBytes: 1056, stripsPerZone: 64, zoneCount: 8 };

export function testGlobalMemory(options: { directorCount?: number; driveRingSlots?: number } = {}) {
  const directorCount = options.directorCount ?? 1;
  return createGlobalMemory({
    directorCount,
    poolCount: 1,
    driveCount: 4,
    poolReachedBy: [Array.from({ length: directorCount }, (_, index) => index)],
    frameCount: 256,
    stagingBytesPerPool: 4 * 1024 * 1024,
    mailboxBytes: Math.max(MAILBOX_BYTES_MIN, 1024 * 1024),
    driveRingSlots: options.driveRingSlots ?? 64,
    channelRingSlots: 64,
  });
}

/** One drive under test. */
export interface DriveFixture {
  readonly global: GlobalMemory;
  /** Scratch memory of 4 MiB for strips. */
  readonly scratch: number;
  /** A new access to the drive: `open(epoch)` comes next. */
  attach(): Drive;
  /** The drive is closed and opened again, as by a restart. */
  restart(): Promise<void>;
  dispose(): Promise<void>;
}

export function temporaryFolder(): { path: string; remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), "varray-drive-"));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

export async function memoryFixture(geometry = TEST_GEOMETRY): Promise<DriveFixture> {
  const { global } = testGlobalMemory();
  let state = new MemoryDriveState({ name: "m0", driveId: "id-m0", geometry });
  return {
    global,
    scratch: global.layout.staging[0]!,
    attach: () => new MemoryDrive(state, global),
    restart: async () => {
      state = Object.assign(new MemoryDriveState({ name: "m0", driveId: "id-m0", geometry }), {
        zones: state.zones,
        metadata: state.metadata,
        ledger: state.ledger,
      });
    },
    dispose: async () => undefined,
  };
}

export async function levelFixture(geometry = TEST_GEOMETRY): Promise<DriveFixture & { folder: string }> {
  const { global } = testGlobalMemory();
  const temporary = temporaryFolder();
  const folder = join(temporary.path, "d0");
  await formatDrive(folder, { name: "d0", driveId: "id-d0", geometry });
  let medium = await LevelDriveMedium.open(folder, { name: "d0", global });
  return {
    global,
    folder,
    scratch: global.layout.staging[0]!,
    attach: () => medium.attach(),
    restart: async () => {
      await medium.close();
      medium = await LevelDriveMedium.open(folder, { name: "d0", global });
    },
    dispose: async () => {
      await medium.close();
      temporary.remove();
    },
  };
}

export interface DriveThreadOptions {
  readonly memory: ReturnType<typeof testGlobalMemory>;
  readonly drives: readonly DriveThreadDrive[];
  readonly deadlineMilliseconds?: number;
  readonly requestsInFlightMax?: number;
  readonly holdMilliseconds?: number;
}

/** A drive thread with its drives, and the main thread as one of its directors. */
export class DriveThread {
  readonly worker: Worker;
  readonly global: GlobalMemory;
  readonly channel: DriveChannel;
  readonly #doorbell: EventLoopDoorbell;
  readonly #replies: { resolve(message: FromDriveThread): void; reject(error: unknown): void }[] = [];
  states: readonly DriveState[] = [];
  /** Drives that the thread had to close. */
  readonly gone: DriveState[] = [];

  private constructor(options: DriveThreadOptions) {
    const { global, transfer } = options.memory;
    this.global = global;
    this.channel = new DriveChannel(global, {
      pool: 0,
      director: 0,
      ...(options.deadlineMilliseconds === undefined ? {} : { deadlineMilliseconds: options.deadlineMilliseconds }),
      ...(options.requestsInFlightMax === undefined ? {} : { requestsInFlightMax: options.requestsInFlightMax }),
      ...(options.holdMilliseconds === undefined ? {} : { holdMilliseconds: options.holdMilliseconds }),
    });
    this.#doorbell = new EventLoopDoorbell(global, threadNumber(global.layout, "director", 0));
    this.#doorbell.consume(() => this.channel.drain());
    this.worker = new Worker(new URL("../../dist/drivers/drive/drive.worker.js", import.meta.url), {
      workerData: { transfer, pool: 0, drives: options.drives },
    });
    this.worker.on("message", (message: FromDriveThread) => {
      if (message.type === "driveGone") this.gone.push(message.drive);
      else this.#replies.shift()?.resolve(message);
    });
    this.worker.on("error", (error) => this.#lose(error));
    this.worker.on("exit", (code) => this.#lose(new Error(`the drive thread ended with ${code}`)));
  }

  static async start(options: DriveThreadOptions): Promise<DriveThread> {
    const thread = new DriveThread(options);
    const ready = await thread.reply();
    if (ready.type === "ready") thread.states = ready.drives;
    return thread;
  }

  reply(): Promise<FromDriveThread> {
    return new Promise((resolve, reject) => this.#replies.push({ resolve, reject }));
  }

  /** Nobody answers any more. */
  #lose(error: unknown): void {
    for (const { reject } of this.#replies.splice(0)) reject(error);
  }

  post(message: ToDriveThread): void {
    this.worker.postMessage(message);
  }

  async ask(message: ToDriveThread): Promise<FromDriveThread> {
    const reply = this.reply();
    this.post(message);
    return reply;
  }

  async stop(): Promise<void> {
    const ended = new Promise((resolve) => this.worker.once("exit", resolve));
    await this.ask({ type: "stop" });
    await ended;
    this.end();
  }

  end(): void {
    this.channel.close();
    this.#doorbell.stop();
  }
}

export async function remoteFixture(geometry = TEST_GEOMETRY): Promise<DriveFixture> {
  const temporary = temporaryFolder();
  const memory = testGlobalMemory();
  const drive: DriveThreadDrive = {
    driveIndex: 2,
    driveNumber: 2,
    name: "r2",
    folder: join(temporary.path, "r2"),
    format: { driveId: "id-r2", geometry },
  };
  let thread = await DriveThread.start({ memory, drives: [drive] });
  return {
    global: memory.global,
    scratch: memory.global.layout.staging[0]!,
    attach: () => new RemoteDrive(thread.channel, { name: "r2", driveIndex: 2 }),
    restart: async () => {
      await thread.stop();
      thread = await DriveThread.start({ memory, drives: [drive] });
    },
    dispose: async () => {
      await thread.stop();
      temporary.remove();
    },
  };
}
