/**
 * A simulated director: its life, its frames, and the pools that it has open, over the real src/volume.
 */
import type { DriveFaults } from "../../drivers/drive/drive-faults.ts";
import { FaultDrive } from "../../drivers/drive/fault-drive.ts";
import { FrameChunks } from "../../drivers/shared-memory/frame-chunks.ts";
import type { GlobalMemory } from "../../drivers/shared-memory/global-memory.ts";
import { FramePool } from "../../src/cache/frame-pool.ts";
import type { PoolConfig } from "../../src/config/config.ts";
import type { RaidConfig } from "../../src/raid/raid-level.ts";
import type { Pool } from "../../src/volume/pool.ts";
import type { JournalBay } from "../../src/volume/pool-members.ts";
import { openPool } from "../../src/volume/pool-open.ts";
import type { BayDrive } from "../../src/volume/pool-parts.ts";
import { PoolService } from "../../src/volume/pool-service.ts";
import { type PoolRuntime, pause } from "../../src/volume/runtime.ts";
import type { DriveChanges } from "./drive-changes.ts";
import type { Engine, Life } from "./engine.ts";
import type { JournalTrouble } from "./journal-trouble.ts";
import { LateDrive } from "./late-drive.ts";
import { SimDrive, type SimDriveState, type Site } from "./sim-drive.ts";
import { type JournalDisk, SimJournalFile, SimJournalState } from "./sim-journal.ts";
import type { Trouble } from "./trouble.ts";

const FRAME_TICK_MILLISECONDS = 1000;
const IDLE_POLL_MILLISECONDS = 2;

/** What of a pool survives its directors. */
export interface PoolMedia {
  readonly index: number;
  readonly name: string;
  readonly raid: RaidConfig;
  /** Of the bays: one for each position, then one for each spare. A drive in another's bay is foreign there. */
  readonly names: readonly string[];
  readonly drives: SimDriveState[];
  readonly spareCount: number;
  /** Where drives fail for good, and are replaced. */
  readonly changes: DriveChanges | undefined;
  /** Of each drive, for as long as the process runs. */
  faults: DriveFaults[];
  readonly trouble: Trouble;
  /** Bays whose drive is not there in this life of the process. */
  absent: readonly number[];
  /** It was opened once: from then on drives may misbehave. (A pool is made on drives that are there and well.) */
  isMade: boolean;
  /** By a director of this process: what was written to the journal's file is in the kernel's pages. */
  openedBefore: boolean;
  /** One, or two that hold the same. */
  readonly journals: (SimJournalState | undefined)[];
  /** Of two. */
  readonly journalTrouble: JournalTrouble | undefined;
  readonly journalBytes: number;
  /** Of each copy of the journal. */
  readonly journalDisks: readonly JournalDisk[];
}

export interface DirectorOptions {
  readonly index: number;
  readonly engine: Engine;
  readonly global: GlobalMemory;
  readonly site: Site;
  readonly mapPagesMax: number;
  readonly onEvent: (
    director: Director,
    event: { readonly type: string; readonly subject: string; readonly message: string },
  ) => void;
}

export class Director {
  readonly index: number;
  readonly life: Life;
  readonly frames: FramePool;
  readonly runtime: PoolRuntime;
  readonly pools: Pool[] = [];
  readonly service: PoolService;
  readonly #options: DirectorOptions;
  readonly #drives = new Map<Pool, readonly LateDrive[]>();
  readonly #journalFiles = new Map<Pool, readonly SimJournalFile[]>();

  constructor(options: DirectorOptions) {
    this.#options = options;
    this.index = options.index;
    this.life = { name: `1${options.index === 0 ? "A" : "B"}`, dead: false };
    this.frames = new FramePool({
      global: options.global,
      chunks: new FrameChunks(options.global),
      directorIndex: options.index,
      directorCount: 2,
      dirtyPercentMax: 70,
    });
    this.runtime = this.#runtime();
    this.service = new PoolService([], this.frames);
    this.runtime.every(FRAME_TICK_MILLISECONDS, () => this.frames.tick());
  }

  async open(media: PoolMedia): Promise<Pool> {
    const { engine, global, site } = this.#options;
    const { life } = this;
    const drives: LateDrive[] = [];
    const hasFaults = media.trouble.kind === "faults" || media.changes !== undefined;
    const positions = media.drives.length - media.spareCount;
    const bays = media.drives.map((state, bay): BayDrive => {
      if (media.absent.includes(bay)) return { state: "unavailable", memberState: "missing", reason: "its folder is gone" };
      if (state.identity.name !== media.names[bay])
        return { state: "unavailable", memberState: "foreign", reason: `its label names it ${state.identity.name}` };
      const healthy = new SimDrive({ state, global, engine, life, site });
      const drive = new LateDrive(hasFaults ? new FaultDrive(healthy, media.faults[bay]!, global) : healthy, engine, life);
      drives.push(drive);
      return { state: "open", drive, driveId: state.identity.driveId, capacityBytes: state.identity.capacityBytes };
    });
    const config: PoolConfig = {
      name: media.name,
      index: media.index,
      raid: media.raid,
      drives: media.names.slice(0, positions),
      spares: media.names.slice(positions),
      owner: this.index,
      reachedBy: [0, 1],
    };
    const journalFiles: SimJournalFile[] = [];
    const journalBay = (copy: number): JournalBay => {
      const open = (): SimJournalFile | undefined => {
        const state = media.journals[copy];
        if (state === undefined) return undefined;
        const file = new SimJournalFile({ state, engine, life, site });
        journalFiles.push(file);
        return file;
      };
      const create = (): SimJournalFile => {
        media.journals[copy] = new SimJournalState(media.journalBytes, media.journalDisks[copy]!);
        return open()!;
      };
      return { open, create };
    };
    const pool = await openPool({
      config,
      global,
      frames: this.frames,
      bays,
      journal: media.journals.length > 1 ? { ...journalBay(0), mirror: journalBay(1) } : journalBay(0),
      runtime: this.runtime,
      ageSeconds: 2,
      mapPagesMax: this.#options.mapPagesMax,
      pagesKept: media.openedBefore,
      ...(media.changes === undefined ? {} : { healing: media.changes.settings }),
    });
    this.pools.push(pool);
    this.#drives.set(pool, drives);
    this.#journalFiles.set(pool, journalFiles);
    this.service.add(pool);
    return pool;
  }

  /** The pool goes to another director: no task for it is in. As directors/back-end/owned-pool.ts does it. */
  async close(pool: Pool): Promise<void> {
    this.service.remove(pool.parts.index);
    await pool.stop();
    const drives = this.#drives.get(pool)!;
    for (let quiet = 0; quiet < 2; ) {
      quiet = drives.every(({ inFlight }) => inFlight === 0) ? quiet + 1 : 0;
      await pause(this.runtime, IDLE_POLL_MILLISECONDS);
    }
    pool.letGo();
    // An fdatasync that ends later must not have a superblock written over the next owner's.
    for (const file of this.#journalFiles.get(pool)!) await file.close();
    this.pools.splice(this.pools.indexOf(pool), 1);
  }

  #runtime(): PoolRuntime {
    const { engine, site, onEvent } = this.#options;
    const { life } = this;
    return {
      atTurnEnd: (work) => engine.atTurnEnd(life, work),
      nextTurn: (work) => void engine.after(engine.random.next() * 0.05, life, work),
      every: (milliseconds, work) => {
        let cancelled = false;
        const next = (): void => {
          engine.after(milliseconds * (1 + engine.random.next() * 0.05), life, () => {
            if (cancelled) return;
            work();
            if (!cancelled) next();
          });
        };
        next();
        return () => {
          cancelled = true;
        };
      },
      nowMilliseconds: () => engine.now,
      raise: (event) => {
        if (!life.dead) onEvent(this, event);
      },
      newIdentity: () => {
        let digits = "";
        while (digits.length < 32) digits += engine.random.between(0, 0xffff).toString(16).padStart(4, "0");
        return digits;
      },
      reached: (name) => site(name, life),
    };
  }
}
