/**
 * The drives that one drive thread holds: opened, formatted, closed and put before the server.
 *
 * Runs on: the drive thread. Owns: the media. What directors get is LevelDB under faults (set on command) under counts.
 */
import { counterBlock } from "../shared-memory/counters.ts";
import type { GlobalMemory } from "../shared-memory/global-memory.ts";
import { CountingDrive, DriveCount } from "./counting-drive.ts";
import { DriveError } from "./drive.ts";
import { type DriveFaultSettings, DriveFaults } from "./drive-faults.ts";
import { DriveFolderWatch } from "./drive-folder-watch.ts";
import type { DriveServer } from "./drive-server.ts";
import type { DriveFaultsStatus, DriveState, DriveThreadDrive } from "./drive-thread-messages.ts";
import { FaultDrive } from "./fault-drive.ts";
import { LevelDriveMedium } from "./level-drive.ts";
import { formatDrive } from "./level-drive-format.ts";
import { LEVEL_DRIVE_BOUNDS, type LevelDriveBounds } from "./level-zones.ts";
import { zonesOpenMax } from "./open-files.ts";

interface Held {
  readonly name: string;
  readonly medium: LevelDriveMedium;
  readonly folder: DriveFolderWatch;
  readonly faults: DriveFaults;
}

/** As people read it, of a drive that was pulled or is being replaced. */
const TAKEN_OUT = "was taken out of its place";

export class PoolDrives {
  readonly #global: GlobalMemory;
  readonly #server: DriveServer;
  readonly #bounds: LevelDriveBounds;
  readonly #held = new Map<number, Held>();
  readonly #onGone: (drive: DriveState) => void;

  /** @param onGone - a drive that was open had to be closed */
  constructor(global: GlobalMemory, server: DriveServer, onGone: (drive: DriveState) => void) {
    this.#global = global;
    this.#server = server;
    this.#onGone = onGone;
    const finishedOpenMax = zonesOpenMax(global.layout.shape.driveCount, LEVEL_DRIVE_BOUNDS.finishedOpenMax);
    this.#bounds = { ...LEVEL_DRIVE_BOUNDS, finishedOpenMax };
  }

  async open(drive: DriveThreadDrive): Promise<DriveState> {
    const { driveIndex, driveNumber, name } = drive;
    await this.#closeHeld(driveIndex);
    const faults = new DriveFaults();
    try {
      const medium = await this.#openOrFormat(drive);
      const folder = new DriveFolderWatch(drive.folder);
      const count = new DriveCount(counterBlock(this.#global, "drive", driveNumber), this.#global.clock);
      this.#held.set(driveIndex, { name, medium, folder, faults });
      this.#server.setDrive(driveIndex, {
        name,
        attach: () => new CountingDrive(new FaultDrive(medium.attach(), faults, this.#global), count),
      });
      return { driveIndex, name, state: "open", identity: medium.identity };
    } catch (error) {
      if (!(error instanceof DriveError)) throw error;
      return this.#setFailed(driveIndex, name, error);
    }
  }

  async close(driveIndex: number): Promise<DriveState> {
    const name = this.#held.get(driveIndex)?.name ?? `${driveIndex}`;
    const state = this.#setFailed(driveIndex, name, new DriveError("unreachable", name, TAKEN_OUT));
    await this.#closeHeld(driveIndex);
    return state;
  }

  /** False: no drive is open there. */
  setFaults(driveIndex: number, settings: DriveFaultSettings | undefined): boolean {
    const held = this.#held.get(driveIndex);
    held?.faults.set(settings);
    return held !== undefined;
  }

  faults(): DriveFaultsStatus[] {
    const found = [...this.#held].map(([driveIndex, { name, faults }]) => ({ driveIndex, name, rules: faults.status() }));
    return found.sort((a, b) => a.driveIndex - b.driveIndex);
  }

  /** The thread is about to stop: nothing is held up by faults any more. */
  letGo(): void {
    for (const { faults } of this.#held.values()) faults.set(undefined);
  }

  /** Looks whether the drives' folders are still there. Each is looked at by itself: a disk that hangs holds up no other. */
  watchFolders(): void {
    for (const [driveIndex, held] of this.#held) {
      held.folder.look((reason) => {
        if (this.#held.get(driveIndex) !== held) return;
        this.#onGone(this.#setFailed(driveIndex, held.name, new DriveError("unreachable", held.name, reason)));
        this.#held.delete(driveIndex);
        // Whatever its files say when they are closed: the drive is gone.
        held.medium.close().catch(() => undefined);
      });
    }
  }

  async closeAll(): Promise<void> {
    await Promise.all([...this.#held.keys()].map((driveIndex) => this.#closeHeld(driveIndex)));
  }

  /** A folder that holds a drive is never formatted; `formatDrive` refuses also one that holds anything else. */
  async #openOrFormat(drive: DriveThreadDrive): Promise<LevelDriveMedium> {
    const { name, folder, format } = drive;
    try {
      return await LevelDriveMedium.open(folder, { name, global: this.#global, bounds: this.#bounds });
    } catch (error) {
      // Whatever a formatting that was cut off has left, LevelDB may call by several names; `formatDrive` looks for itself.
      if (format === undefined || !(error instanceof DriveError)) throw error;
      await formatDrive(folder, { name, ...format });
      return await LevelDriveMedium.open(folder, { name, global: this.#global, bounds: this.#bounds });
    }
  }

  #setFailed(driveIndex: number, name: string, failure: DriveError): DriveState {
    this.#server.setDrive(driveIndex, { name, failure });
    return { driveIndex, name, state: "failed", kind: failure.kind, message: failure.message };
  }

  async #closeHeld(driveIndex: number): Promise<void> {
    const held = this.#held.get(driveIndex);
    if (held === undefined) return;
    this.#held.delete(driveIndex);
    this.#setFailed(driveIndex, held.name, new DriveError("unreachable", held.name, TAKEN_OUT));
    held.faults.set(undefined);
    await held.medium.close();
  }
}
