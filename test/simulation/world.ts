/**
 * One run of the simulation: two directors with a pool each, hosts on both, and crashes; the whole from one seed.
 *
 *   start ─▶ pools open (recover) ─▶ what is there is read ─▶ hosts ─▶ crash ──┬─ the process, the power: both start again
 *                       └───────────── crash ────────────────────┘             └─ one director: its partner opens its pools
 *
 * At the end everything comes to rest, and media and books are looked at (media-check.ts).
 */

import { Failover, type FailoverAction, type FailoverEvent } from "../../directors/failover.ts";
import { DriveFaults } from "../../drivers/drive/drive-faults.ts";
import { raisePoolEpoch, raiseThreadEpoch } from "../../drivers/shared-memory/epoch.ts";
import { FrameChunks } from "../../drivers/shared-memory/frame-chunks.ts";
import { threadNumber } from "../../drivers/shared-memory/layout.ts";
import type { VolumeDocument } from "../../src/control/contract.ts";
import { raidLevel } from "../../src/raid/raid-levels.ts";
import { stripShape } from "../../src/raid/strip.ts";
import type { Pool } from "../../src/volume/pool.ts";
import { PoolRefusedError } from "../../src/volume/pool-members.ts";
import { Addresses } from "./addresses.ts";
import { BETWEEN_EVENTS, CrashPlan, type SitePasses } from "./crash-plan.ts";
import { Director, type PoolMedia } from "./director.ts";
import { DriveChanges } from "./drive-changes.ts";
import { Engine, type Life, Stopped } from "./engine.ts";
import { HostVolume, type Mood, type Server } from "./host.ts";
import { JournalTrouble } from "./journal-trouble.ts";
import { checkBooks, checkHealing, checkMedia } from "./media-check.ts";
import { drivesOf, memoryOf, SHAPES, type Shape, type SimMemory, SMALL_BATCHES } from "./shape.ts";
import { SimDriveState } from "./sim-drive.ts";
import type { JournalDisk } from "./sim-journal.ts";
import { newSwarm, type Swarm, type SwarmFeature } from "./swarm.ts";
import { restingFaults, Trouble } from "./trouble.ts";

export interface RunOptions {
  readonly seed: number;
  /** Every crash site there is, in one order. */
  readonly sites: readonly string[];
  /** Drives are lost, replaced and rebuilt in every seed, not in every third only. */
  readonly healing?: boolean;
  /** Ends here; 12 unless given. */
  readonly crashes?: number;
  /** Whether journals are kept in two copies in every seed, and not in every fourth only. */
  readonly mirrored?: boolean;
  /** What this run has much of, whatever else it has (swarm.ts). */
  readonly swarm?: readonly SwarmFeature[];
}

export interface RunResult {
  readonly seed: number;
  readonly violation: string | undefined;
  /** The last steps, for people. */
  readonly lines: readonly string[];
  readonly crashes: ReadonlyMap<string, number>;
  readonly crashCount: number;
  /** Sites that were come by, with or without a crash. */
  readonly reached: ReadonlySet<string>;
  readonly events: number;
  readonly traceHash: number;
  readonly seen: Readonly<Record<string, number>>;
}

type CrashMode = "process" | "power" | "director";

interface Crash {
  readonly mode: CrashMode;
  readonly director: number;
  /** Of a director that is ended on command: it goes on for a moment. */
  readonly lingers: boolean;
}

const EVENTS_MAX = 400_000;
/** Enough for what all batches together pin, of the shape with small ones; others have fewer pages in use than that. */
const MAP_PAGES_MAX = 64;
const LIFE_EVENTS_MAX = 900;
/** Of long lives, and how many of them are enough. */
const QUIET_EVENTS_MAX = 6000;
const LONG_LIVES = 4;
const FULL_MILLISECONDS = 2;
/** Where drives are rebuilt, which takes its time. */
const HEALING_LIFE_EVENTS_MAX = 3000;
/** One seed in so many has drives that are to be replaced, and spares. */
const HEALING_EVERY = 3;
const JOURNAL_SITES = /^journal(File)?\./;
const HEALING_SITES = /^(rebuild|spare|member|losses|scrub)\.|^map\.pageCopied$/;
const LOSS_LIFE_EVENTS_MAX = 12_000;
const LOSS_SITES = /^losses\./;
/** Virtual time in which anything that hosts asked for must have been answered. */
const STALL_MILLISECONDS = 120_000;
/** … and anything that the array does by itself. */
const SETTLE_MILLISECONDS = 20_000;
/** What can't be read is read again for ten seconds before it is given up. */
const QUIET_MILLISECONDS = 15_000;
const QUIET_HOUSE_MILLISECONDS = 1000;
/** Main looks so often. */
const TICK_MILLISECONDS = 25;
/** One seed in so many has pools whose journals have two copies, which have troubles of their own. */
const MIRRORED_EVERY = 4;
const MIRRORED_POOLS = 0.7;
/** Twenty times as long, as some take, is still well within what anything may take. */
const SLOWEST_SYNC_MILLISECONDS = 100;
const CREATED_AT = "2026-01-01T00:00:00.000Z";

interface PoolState {
  readonly media: PoolMedia;
  /** Volumes whose making was acknowledged. */
  readonly volumes: HostVolume[];
  /** Volumes that were asked to be deleted, and whether that was acknowledged. */
  readonly doomed: { readonly volume: number; gone: boolean }[];
  open: { readonly director: Director; readonly pool: Pool } | undefined;
  /** It moves to the other director: hosts wait, and nothing new is asked of it. */
  closing: boolean;
  /** From the preparation of a move to its end. */
  moving: boolean;
  /** Changes of volumes under way. */
  changes: number;
  /** Nothing was written since the power failed. */
  untouchedSincePower: boolean;
}

export class World {
  readonly engine: Engine;
  readonly #options: RunOptions;
  readonly #memory: SimMemory;
  readonly #shape: Shape;
  readonly #pools: PoolState[];
  readonly #swarm: Swarm;
  readonly #heals: boolean;
  readonly #numbers = { next: 1 };
  #nextVolume = 1;
  #directors: Director[] = [];
  #failover: Failover | undefined;
  #exiting = false;
  #plan: CrashPlan | undefined;
  #crash: Crash | undefined;
  #mood: Mood;
  /** Hosts go on until then. */
  #hostsUntil = 0;
  /** From then on nobody gives commands, so that the pools get where they are to be: the array comes to rest. */
  #restAfter = 0;
  /** Hosts pause until then, so that what takes the array long comes about within a life of so many events. */
  #quietUntil = 0;
  readonly #crashes = new Map<string, number>();
  #crashCount = 0;
  /** Fenced, and not ended yet. */
  readonly #lingering = new Set<Director>();
  readonly #passes: SitePasses = new Map();
  /** What drives were at an earlier start. */
  readonly #snapshots = new Map<SimDriveState, () => void>();

  constructor(options: RunOptions) {
    this.#options = options;
    this.engine = new Engine(options.seed);
    const { random } = this.engine;
    this.#swarm = newSwarm(random, options.swarm ?? []);
    const { manyPages } = this.#swarm;
    this.#shape = manyPages ? SMALL_BATCHES : SHAPES[random.between(0, SHAPES.length - 1)]!;
    this.#memory = memoryOf(this.#shape);
    this.#memory.reset();
    this.#heals = options.healing === true || options.seed % HEALING_EVERY === 0;
    this.#pools = [0, 1].map((index) => ({
      media: this.#makeMedia(index),
      volumes: [],
      doomed: [],
      open: undefined,
      closing: false,
      moving: false,
      changes: 0,
      untouchedSincePower: false,
    }));
    this.#mood = this.#newMood();
  }

  run(): RunResult {
    const engine = this.engine;
    const crashesMax = this.#options.crashes ?? (this.#swarm.longLives ? LONG_LIVES : 12);
    try {
      while (this.#crashCount < crashesMax && engine.violation === undefined) this.#liveOnce(true);
      if (engine.violation === undefined) this.#liveOnce(false);
    } catch (error) {
      engine.fail(`the simulation itself: ${error instanceof Error ? error.stack : String(error)}`);
    }
    return {
      seed: this.#options.seed,
      violation: engine.violation?.message,
      lines: engine.violation === undefined ? [] : engine.lastLines(300),
      crashes: this.#crashes,
      crashCount: this.#crashCount,
      reached: new Set(this.#passes.keys()),
      events: engine.steps,
      traceHash: engine.traceHash,
      seen: this.#seen(),
    };
  }

  // — lives —

  /** From the start of the process to its end. */
  #liveOnce(crashes: boolean): void {
    const { random } = this.engine;
    this.#quietUntil = 0;
    this.#memory.restart();
    this.#mood = this.#newMood();
    this.#directors = [0, 1].map((index) => this.#newDirector(index));
    this.#plan = crashes ? this.#newPlan() : undefined;
    for (const { media } of this.#pools) {
      this.#newTrouble(media);
      if (media.isMade) media.journalTrouble?.beforeStart(media);
    }
    this.#startMain();
    this.#hostsUntil = Number.POSITIVE_INFINITY;
    this.#restAfter = random.chance(0.15) || !crashes ? this.engine.now + 100 + 700 * random.next() : Number.POSITIVE_INFINITY;
    for (;;) {
      if (!this.#step()) return;
      const crash = this.#crash;
      if (crash !== undefined) {
        this.#crash = undefined;
        if (crash.mode !== "director") {
          this.#processEnds(crash.mode);
          return;
        }
        if (crash.lingers) this.#tell(this.#failover!, failedOf(crash.director, "killed"));
        else this.#directorEnds(this.#directors[crash.director]!);
        // Where no partner is up yet, main ends the process.
        if (this.#isExiting()) {
          this.#crash = undefined;
          this.#processEnds("process");
          return;
        }
        this.#plan = crashes ? this.#newPlan() : undefined;
      }
      if (this.engine.now >= this.#restAfter && this.#isSettled()) {
        this.#plan = undefined;
        this.#comeToRest();
        if (this.engine.violation === undefined) this.#processEnds(random.chance(0.5) ? "process" : "power");
        return;
      }
    }
  }

  /** One event; false: the run is over. */
  #step(): boolean {
    const engine = this.engine;
    if (!engine.step()) {
      engine.fail("nothing is left to happen");
      return false;
    }
    if (engine.steps > EVENTS_MAX) engine.fail("the run does not end");
    if (this.#crash === undefined && this.#plan?.afterEvent() === true) this.#trigger(BETWEEN_EVENTS, undefined);
    return engine.violation === undefined;
  }

  /** Steps until something holds, with no crash planned. */
  #until(what: string, holds: () => boolean): boolean {
    const started = this.engine.now;
    while (!holds()) {
      if (!this.#step()) return false;
      if (this.engine.now - started > STALL_MILLISECONDS) {
        const waiting = this.#pools
          .flatMap(({ volumes }) => volumes.map(({ waitsFor }) => waitsFor))
          .filter((text) => text !== "");
        this.engine.fail(`not within ${STALL_MILLISECONDS / 1000} s of virtual time: ${what}. ${waiting.join("; ")}`);
        return false;
      }
    }
    return true;
  }

  /** Runs a promise to its end. */
  #wait(what: string, work: () => Promise<unknown>): boolean {
    let ended = false;
    this.engine.after(0, undefined, () => {
      work().then(
        () => {
          ended = true;
        },
        (error: unknown) => {
          ended = true;
          this.engine.fail(`${what}: ${error instanceof Error ? error.stack : String(error)}`);
        },
      );
    });
    return this.#until(what, () => ended);
  }

  /** Hosts stop, all is answered; then drives, map and books are looked at. */
  #comeToRest(): void {
    const { random } = this.engine;
    this.#hostsUntil = 0;
    const volumes = this.#pools.flatMap((pool) => pool.volumes);
    const quiet = (): boolean => volumes.every(({ inFlight }) => inFlight === 0);
    if (!this.#until("hosts' requests answered", () => volumes.every(({ boundedInFlight }) => boundedInFlight === 0))) return;
    // A move may have been asked for right before.
    if (!this.#until("pools where they are to be", () => this.#isSettled())) return;
    // Nothing is at rest while a disk is full, or has operations that hang.
    for (const { media } of this.#pools) for (const faults of media.faults) faults.set(restingFaults(faults));
    if (!this.#until("what waited for room answered", quiet)) return;
    for (const state of this.#pools) if (!this.#heal(state)) return;
    for (const state of this.#pools) for (const volume of state.volumes) volume.verify(this.#server(state)!);
    if (!this.#until("everything read", quiet)) return;
    // A volume whose deletion was asked for right before is not on record as deleted yet.
    const given = (): boolean =>
      this.#pools.every(
        ({ open, changes }) =>
          changes === 0 && [...open!.pool.record.volumes.values()].every((document) => document.deleting !== true),
      );
    if (!this.#until("deleted volumes given back", given)) return;
    for (const state of this.#pools) {
      const { open, volumes } = state;
      const { pool } = open!;
      if (!this.#wait("destage of everything", () => pool.destageAll())) return;
      if (!this.#scrub(state)) return;
      pool.parts.cache.reclaim(1000);
      for (const volume of volumes) volume.verify(this.#server(this.#pools[pool.parts.index]!)!);
      if (!this.#until("everything read from the drives", quiet)) return;
    }
    for (const state of this.#pools) {
      const { pool } = state.open!;
      const wrong = state.media.changes === undefined ? undefined : checkHealing(pool, state.media);
      if (wrong !== undefined) this.engine.fail(wrong);
      if (!this.#wait("media", () => checkMedia(pool, state.media, state.volumes))) return;
    }
    // What is read ahead, or compacted, ends by itself.
    const books = (): string | undefined => checkBooks(this.#directors.filter(({ life }) => !life.dead));
    const started = this.engine.now;
    while (books() !== undefined && this.engine.now - started < SETTLE_MILLISECONDS) if (!this.#step()) return;
    const problem = books();
    if (problem !== undefined) this.engine.fail(problem);
    if (random.chance(0.6)) return;
    for (const { open } of this.#pools) if (!this.#wait("stop", () => open!.pool.stop())) return;
  }

  /** Every place that can have a drive has one, with all that belongs there. */
  #heal({ media, open }: PoolState): boolean {
    const { changes } = media;
    if (changes === undefined) return true;
    const { pool } = open!;
    changes.calm(media);
    const started = this.engine.now;
    for (let left = changes.unhealed(media, pool); left !== undefined; left = changes.unhealed(media, pool)) {
      if (!this.#step()) return false;
      if (this.engine.now - started < STALL_MILLISECONDS) continue;
      this.engine.fail(`pool ${media.name} is not healed within ${STALL_MILLISECONDS / 1000} s of virtual time: ${left}`);
      return false;
    }
    return true;
  }

  /** Whatever rotted is found and mended, or given up. */
  #scrub(state: PoolState): boolean {
    const { media, open } = state;
    if (media.changes === undefined || (media.changes.loss.rottenDrives.size === 0 && this.engine.random.chance(0.7)))
      return true;
    open!.pool.scrub.start();
    return this.#heal(state) && this.#wait("destage of what was mended", () => open!.pool.destageAll());
  }

  // — starts —

  #newDirector(index: number): Director {
    return new Director({
      index,
      engine: this.engine,
      global: { ...this.#memory.global, clock: { nowMicroseconds: () => this.engine.now * 1000 } },
      site: (site, life) => this.#site(site, life),
      mapPagesMax: MAP_PAGES_MAX,
      onEvent: (director, event) => this.#raised(director, event),
    });
  }

  #open(state: PoolState, director: Director, opened: () => void): void {
    const engine = this.engine;
    engine.after(engine.random.next(), director.life, () => {
      engine.trace("opens", director.life.name, state.media.name);
      director.open(state.media).then(
        (pool) => {
          if (director.life.dead) return;
          engine.trace("opened", director.life.name, state.media.name);
          state.open = { director, pool };
          state.media.changes?.loss.watch(pool, state.media);
          const wrong = state.media.isMade ? state.media.journalTrouble?.opened(pool.record.document) : undefined;
          if (wrong !== undefined) engine.fail(`pool ${state.media.name}: ${wrong}`);
          state.media.isMade = true;
          state.media.openedBefore = true;
          this.#afterOpening(state);
          state.moving = false;
          opened();
        },
        (error: unknown) => {
          if (director.life.dead) return;
          if (error instanceof PoolRefusedError && state.media.changes?.bringBack(state.media) === true)
            this.#open(state, director, opened);
          else engine.fail(`pool ${state.media.name} does not open: ${error instanceof Error ? error.stack : String(error)}`);
        },
      );
    });
  }

  #server(state: PoolState): Server | undefined {
    if (state.open === undefined) return undefined;
    const { director } = state.open;
    return { life: director.life, frames: director.frames, service: director.service, words: this.#memory.global.i32 };
  }

  /** Volumes that were made must be there; what they hold is read, mostly; then hosts come. */
  #afterOpening(state: PoolState): void {
    const engine = this.engine;
    const { random } = engine;
    const { director, pool } = state.open!;
    const found = pool.foundVolumes();
    for (const volume of state.volumes) {
      if (!found.some((document) => document.volume === volume.volume)) engine.fail(`volume ${volume.name} is gone`);
    }
    for (const doomed of state.doomed) {
      const there = found.some((document) => document.volume === doomed.volume);
      if (doomed.gone && there) engine.fail(`volume ${doomed.volume} was deleted and is there again`);
      // Nothing else could delete it now: what became of it is settled.
      if (!there) doomed.gone = true;
      else {
        state.changes += 1;
        director.service.deleteVolume(doomed.volume).then(
          () => {
            if (!director.life.dead) state.changes -= 1;
          },
          (error: unknown) => this.#unlessDead(director.life, error),
        );
      }
    }
    const volumes = state.volumes;
    const share = random.chance(0.5) ? 1 : random.chance(0.5) ? random.next() : 0;
    if (share > 0) for (const volume of volumes) volume.verify(this.#server(state)!, share);
    const waitForAll = share === 1;
    const begin = (): void => {
      if (state.closing || state.open?.pool !== pool) return;
      if (waitForAll && volumes.some(({ inFlight }) => inFlight > 0)) {
        engine.after(1, director.life, begin);
        return;
      }
      if (waitForAll && state.untouchedSincePower) for (const volume of volumes) volume.registers.allDurable();
      state.untouchedSincePower = false;
      this.#hosts(state);
      if (volumes.length < 2) this.#makeVolume(state);
    };
    begin();
  }

  #makeVolume(state: PoolState): void {
    const engine = this.engine;
    const { director, pool } = state.open!;
    const volume = this.#nextVolume++;
    const addresses = this.#newAddresses();
    const document: VolumeDocument = {
      volume,
      name: `v${volume}`,
      sizeBytes: addresses.blockCount * 4096,
      logicalBlockBytes: 512,
      naa: volume.toString(16).padStart(32, "6"),
      serial: `s${volume}`,
      writeCacheEnabled: true,
      createdAt: CREATED_AT,
    };
    state.changes += 1;
    director.service.createVolume(pool.parts.index, document).then(
      () => {
        if (director.life.dead) return;
        state.changes -= 1;
        engine.trace("made volume", volume);
        const made = new HostVolume({
          ...{ volume, name: `${state.media.name}/${volume}`, addresses, engine, numbers: this.#numbers },
          onAcknowledged: (write, durably) => {
            this.#plan?.acknowledged();
            const { media, open } = state;
            if (!durably && open !== undefined && media.journals.length === 1)
              media.changes?.loss.acknowledged(open.pool, made, write);
          },
        });
        state.volumes.push(made);
        // Each page of it is in use from the beginning.
        const { clusters, clusterSectors } = addresses;
        for (let cluster = 0; this.#swarm.manyPages && cluster < clusters; cluster++)
          made.write(this.#server(state)!, { first: cluster * clusterSectors, count: 8 }, false);
        this.#hostOf(state, made);
        if (state.volumes.length < 2 && !state.closing) this.#makeVolume(state);
      },
      (error: unknown) => {
        if (!director.life.dead) engine.fail(`volume ${volume} can't be made: ${String(error)}`);
      },
    );
  }

  #newAddresses(): Addresses {
    const { random } = this.engine;
    if (this.#swarm.manyPages) return new Addresses({ clusters: 60, clusterBlocks: 2, strideBlocks: 1024 });
    return random.chance(0.5)
      ? new Addresses({ clusters: 3, clusterBlocks: 32, strideBlocks: 2048 })
      : new Addresses({ clusters: 6, clusterBlocks: 12, strideBlocks: 700 });
  }

  // — hosts —

  #hosts(state: PoolState): void {
    for (const volume of state.volumes) this.#hostOf(state, volume);
    this.#keepHouse(state);
  }

  #hostOf(state: PoolState, volume: HostVolume): void {
    const engine = this.engine;
    const { random } = engine;
    const { director } = state.open!;
    const server = this.#server(state)!;
    const { busy } = this.#swarm;
    const meanPause = (0.3 + 6 * random.next() ** 2) * (busy ? 0.1 : 1) * (state.media.changes === undefined ? 1 : 4);
    const queue = random.between(2, 12) * (busy ? 4 : 1);
    const turn = (): void => {
      if (engine.now >= this.#hostsUntil || volume.closed || state.closing || state.open?.director !== director) return;
      if (engine.now < this.#quietUntil) {
        engine.after(this.#quietUntil - engine.now + random.next(), director.life, turn);
        return;
      }
      // Often several in one turn, so that they are in one record.
      for (
        let burst = !this.#mood.uniform && random.chance(0.3) ? random.between(2, 6) : 1;
        burst > 0 && volume.inFlight < queue;
        burst--
      )
        volume.act({ ...server, service: director.service }, this.#mood);
      // Who has all under way that he may waits for answers.
      const pause = volume.inFlight < queue ? meanPause : Math.max(meanPause, FULL_MILLISECONDS);
      engine.after(-Math.log(1 - random.next()) * pause, director.life, turn);
    };
    engine.after(random.next(), director.life, turn);
  }

  /** What the array and its people do now and then. */
  #keepHouse(state: PoolState): void {
    const engine = this.engine;
    const { random } = engine;
    const { director, pool } = state.open!;
    const house = this.#swarm.narrow ? 10 : random.chance(0.5) ? 200 : 20;
    // Also when it was opened again by the same director: its drives belong to the later opening.
    const unlessClosed = (error: unknown): void => {
      if (state.open?.pool === pool) this.#unlessDead(director.life, error);
    };
    const turn = (): void => {
      if (engine.now >= this.#hostsUntil || state.closing || state.open?.director !== director) return;
      const { changes } = state.media;
      const isLoss = changes !== undefined && random.chance(0.2) && changes.act(state.media, pool, state.volumes);
      const looksForLosses = isLoss && engine.now >= this.#quietUntil && random.chance(0.5);
      if (looksForLosses || (changes !== undefined && random.chance(0.02))) pool.scrub.start();
      if (looksForLosses) this.#waitForLosses();
      const dice = random.next();
      if (dice < 0.3) void pool.destageAll().catch(unlessClosed);
      else if (dice < 0.6) pool.parts.cache.reclaim(random.between(1, 300));
      else if (dice < 0.7) void pool.parts.map.checkpoint().catch(unlessClosed);
      else if (dice < 0.8 && state.volumes.length > 0) this.#switchWriteCache(state);
      else if (dice < 0.84 && state.volumes.length > 1) this.#deleteVolume(state);
      else if (dice < 0.95 && state.media.trouble.kind === "faults") this.#changeFaults(state.media);
      // Somebody copies the folder of a running drive.
      else if (dice < 0.95 && state.media.trouble.kind === "rolledBack") this.#keepCopies(state.media);
      else if (dice > 0.96 && engine.now < this.#restAfter) this.#command(pool.parts.index, director.index);
      engine.after(random.next() * (engine.now < this.#quietUntil ? QUIET_HOUSE_MILLISECONDS : house), director.life, turn);
    };
    engine.after((random.next() * house) / 2, director.life, turn);
  }

  /** Hosts pause, and the crash may be one of that work. */
  #waitForLosses(): void {
    const { random, now } = this.engine;
    this.#quietUntil = now + QUIET_MILLISECONDS;
    if (this.#plan === undefined || random.chance(0.4)) return;
    const sites = this.#options.sites.filter((site) => LOSS_SITES.test(site));
    this.#plan = new CrashPlan(random, { sites, eventsMax: LOSS_LIFE_EVENTS_MAX, patience: 1, passes: this.#passes });
  }

  /** Gone when it is acknowledged; until then it may be there or not. */
  #deleteVolume(state: PoolState): void {
    const { engine } = this;
    const { director } = state.open!;
    const at = engine.random.between(0, state.volumes.length - 1);
    const [volume] = state.volumes.splice(at, 1);
    volume!.closed = true;
    engine.trace("delete", volume!.name);
    state.doomed.push({ volume: volume!.volume, gone: false });
    const doomed = state.doomed.at(-1)!;
    state.changes += 1;
    director.service.deleteVolume(volume!.volume).then(
      () => {
        if (director.life.dead) return;
        state.changes -= 1;
        engine.trace("deleted", volume!.name);
        doomed.gone = true;
        if (director.service.volumeInfo(volume!.volume) !== undefined)
          engine.fail(`volume ${volume!.name} was deleted and is there`);
        if (engine.now < this.#hostsUntil && !state.closing) this.#makeVolume(state);
      },
      (error: unknown) => this.#unlessDead(director.life, error),
    );
  }

  /** Somebody moves a pool to the other director, or has one started again. */
  #command(pool: number, director: number): void {
    const { random } = this.engine;
    const failover = this.#failover!;
    const event: FailoverEvent = random.chance(0.6)
      ? { type: "move", pool, to: 1 - director, command: this.#numbers.next++ }
      : { type: "restart", director, command: this.#numbers.next++ };
    this.engine.after(0, undefined, () => this.#tell(failover, event));
  }

  #changeFaults({ trouble, faults, drives }: PoolMedia): void {
    const { random } = this.engine;
    const position = trouble.positions[random.between(0, trouble.positions.length - 1)]!;
    const settings = random.chance(0.3) ? undefined : trouble.settings(random);
    this.engine.trace("faults", drives[position]!.identity.name, JSON.stringify(settings?.rules ?? []));
    faults[position]!.set(settings);
    if (settings?.rules.some(({ fault }) => fault === "noSpace") === true)
      this.engine.after(20_000 + 40_000 * random.next(), undefined, () =>
        faults[position]!.set(restingFaults(faults[position]!)),
      );
  }

  /** A pool that opens may wait for room for as long as there is none: somebody makes some. */
  #faultsAtStart(faults: DriveFaults, trouble: Trouble): void {
    const { random } = this.engine;
    faults.set(trouble.settings(random));
    this.engine.after(1000 + 10_000 * random.next(), undefined, () => faults.set(restingFaults(faults)));
  }

  #keepCopies({ trouble, drives }: PoolMedia): void {
    for (const position of trouble.positions) this.#snapshots.set(drives[position]!, drives[position]!.snapshot());
  }

  #switchWriteCache(state: PoolState): void {
    const engine = this.engine;
    const { director } = state.open!;
    const volume = state.volumes[engine.random.between(0, state.volumes.length - 1)]!;
    volume.switchWriteCache({ ...this.#server(state)!, service: director.service }, engine.random.chance(0.7));
  }

  #unlessDead(life: Life, error: unknown): void {
    // Told to whoever asks a pool that has moved away.
    if (error instanceof Error && error.message === "the pool was closed") return;
    if (!life.dead) this.engine.fail(`housekeeping: ${error instanceof Error ? error.stack : String(error)}`);
  }

  #newMood(): Mood {
    const { random } = this.engine;
    const { uniform, narrow, wideZeros, manyPages, patience } = this.#swarm;
    return {
      writes: 0.3 + 0.5 * random.next(),
      zeros: uniform ? 0 : random.chance(0.5) ? 0.02 : 0.1 * random.next(),
      wideZeros: wideZeros ? 0.5 : 0.02,
      flushes: uniform || random.chance(0.5) ? 0.02 : 0.1 * random.next(),
      fua: uniform ? 0.03 : random.chance(0.5) ? 0.1 : random.next(),
      hot: narrow ? 0.95 : random.next() * (manyPages ? 0.2 : 0.8),
      hotBlocks: narrow ? 3 : 8,
      blocksMax: random.between(2, 24),
      uniform: uniform || random.chance(0.2),
      parts: narrow ? 0.4 : 0.3,
      patience: patience ? 0.3 : 0,
    };
  }

  // — crashes —

  #newPlan(): CrashPlan {
    const { random } = this.engine;
    const { sites } = this.#options;
    const quietEvents = this.#swarm.longLives ? random.between(0, QUIET_EVENTS_MAX) : 0;
    // While records that no history has lie behind the journal's end: before they are all written over.
    const behind = Math.max(...this.#pools.flatMap(({ media }) => media.journals.map((journal) => journal?.behindEnd ?? 0)));
    if (behind > 0 && random.chance(0.7)) {
      const patience = random.between(1, behind);
      return new CrashPlan(random, { sites: ["journal.written"], eventsMax: LIFE_EVENTS_MAX, patience, passes: this.#passes });
    }
    const ofInterest = this.#heals ? HEALING_SITES : this.#swarm.uniform ? JOURNAL_SITES : undefined;
    const wanted = ofInterest !== undefined && random.chance(0.5) ? sites.filter((site) => ofInterest.test(site)) : sites;
    if (!this.#heals)
      return new CrashPlan(random, { sites: wanted, eventsMax: LIFE_EVENTS_MAX, quietEvents, passes: this.#passes });
    return new CrashPlan(random, { sites: wanted, eventsMax: HEALING_LIFE_EVENTS_MAX, passes: this.#passes });
  }

  #site(site: string, life: Life | undefined): void {
    if (life?.dead === true) throw new Stopped();
    const isNow = this.#crash === undefined && this.#plan?.at(site) === true;
    this.#passes.set(site, (this.#passes.get(site) ?? 0) + 1);
    if (site === "spare.wiped")
      for (const { media, open } of this.#pools) if (open?.director.life === life) media.changes?.spareIsReady(media, open!.pool);
    if (!isNow) return;
    this.#trigger(site, life);
    if (this.#crash !== undefined && life !== undefined && isDead(life)) throw new Stopped();
  }

  #trigger(site: string, life: Life | undefined): void {
    const { random } = this.engine;
    const living = this.#directors.filter((director) => !director.life.dead && !this.#lingering.has(director));
    const alone = living.length < 2;
    const processShare = this.#swarm.uniform ? 0.2 : 0.45;
    const rather = this.#plan?.rather;
    let mode: CrashMode = random.chance(processShare) ? "process" : random.chance(0.6) ? "power" : "director";
    if (rather !== undefined && random.chance(0.6)) mode = rather;
    // No system call is cut short by the end of one thread.
    if (mode === "director" && (alone || site === "journalFile.writeTorn")) mode = "process";
    const victim = living.find((director) => director.life === life) ?? living[random.between(0, living.length - 1)]!;
    const lingers = mode === "director" && random.chance(0.3);
    this.#crash = { mode, director: victim.index, lingers };
    if (!lingers) for (const director of mode === "director" ? [victim] : this.#directors) director.life.dead = true;
    this.#crashCount += 1;
    this.#crashes.set(site, (this.#crashes.get(site) ?? 0) + 1);
    this.engine.trace("CRASH", mode, site, mode === "director" ? `${victim.life.name}${lingers ? " lingers" : ""}` : "");
  }

  /** What is wrong with the drives from this start on. */
  #newTrouble(media: PoolMedia): void {
    const { random } = this.engine;
    const { trouble } = media;
    const sleep = (milliseconds: number): Promise<void> =>
      new Promise((resolve) => void this.engine.after(milliseconds, undefined, resolve));
    media.faults = media.drives.map(() => new DriveFaults(sleep));
    if (media.changes !== undefined) {
      media.changes.beforeStart(media);
      return;
    }
    const { isMade } = media;
    media.absent = trouble.kind === "absent" && isMade ? trouble.positions.filter(() => random.chance(0.3)) : [];
    for (const position of trouble.positions) {
      if (trouble.kind === "faults" && isMade && random.chance(0.3)) this.#faultsAtStart(media.faults[position]!, trouble);
      if (trouble.kind !== "rolledBack") continue;
      const before = this.#snapshots.get(media.drives[position]!);
      if (before !== undefined && random.chance(0.4)) {
        this.engine.trace("rolled back", media.drives[position]!.identity.name);
        before();
      } else if (isMade && random.chance(0.3)) this.#snapshots.set(media.drives[position]!, media.drives[position]!.snapshot());
    }
  }

  #processEnds(mode: "process" | "power"): void {
    const { random } = this.engine;
    this.engine.trace("the process ends", mode);
    this.#failover = undefined;
    this.#exiting = false;
    this.#lingering.clear();
    for (const director of this.#directors) director.life.dead = true;
    for (const state of this.#pools) {
      if (state.open !== undefined) state.media.changes?.ended(state.open.pool, state.media);
      state.open = undefined;
      state.closing = false;
      state.moving = false;
      state.changes = 0;
      for (const drive of state.media.drives) drive.crash(mode, random);
      for (const journal of state.media.journals) journal?.crash(mode, random);
      state.media.openedBefore = false;
      for (const volume of state.volumes) {
        volume.serverDied();
        if (mode === "power") volume.registers.powerFailed();
      }
      state.untouchedSincePower = mode === "power" || (state.untouchedSincePower && state.open === undefined);
    }
  }

  // — failover: the real state machine, with main's hands simulated —

  #startMain(): void {
    const names = ["1A", "1B"].map((name) => ({ name }));
    const failover = new Failover({
      directors: names,
      pools: this.#pools.map(({ media }, owner) => ({ name: media.name, owner, reachedBy: [0, 1] })),
    });
    this.#failover = failover;
    for (const [index, state] of this.#pools.entries()) {
      this.#open(state, this.#directors[index]!, () => this.#tell(failover, { type: "ready", director: index, failed: [] }));
    }
    const tick = (): void => {
      if (this.#failover !== failover) return;
      this.#tell(failover, { type: "tick" });
      this.engine.after(TICK_MILLISECONDS, undefined, tick);
    };
    this.engine.after(TICK_MILLISECONDS, undefined, tick);
  }

  #tell(failover: Failover, event: FailoverEvent): void {
    if (this.#failover !== failover) return;
    for (const action of failover.take(event, this.engine.now)) this.#perform(failover, action);
  }

  #later(failover: Failover, milliseconds: number, event: FailoverEvent): void {
    this.engine.after(this.engine.latency(milliseconds), undefined, () => this.#tell(failover, event));
  }

  #perform(failover: Failover, action: FailoverAction): void {
    const { global } = this.#memory;
    const { engine } = this;
    if (action.type !== "publish")
      engine.trace("main", action.type, "director" in action ? action.director : "", "pool" in action ? action.pool : "");
    switch (action.type) {
      case "fence":
        raiseThreadEpoch(global, threadNumber(global.layout, "director", action.director));
        for (const pool of action.pools) raisePoolEpoch(global, pool);
        break;
      case "terminate":
        this.#terminate(failover, this.#directors[action.director]!);
        break;
      case "stop":
        this.#later(failover, 1, { type: "stopped", director: action.director });
        break;
      case "lost":
        this.#giveMemoryBack(action.director);
        this.#later(failover, 1, { type: "memoryFree", director: action.director });
        break;
      case "start":
        this.#directors[action.director] = this.#newDirector(action.director);
        this.#later(failover, 20, { type: "ready", director: action.director, failed: [] });
        break;
      case "open": {
        const { director, pool } = action;
        this.#open(this.#pools[pool]!, this.#directors[director]!, () =>
          this.#tell(failover, { type: "opened", director, pool, served: true }),
        );
        break;
      }
      case "prepare":
        this.#prepare(failover, action.director, action.pool);
        break;
      case "close":
        this.#close(failover, action.director, action.pool);
        break;
      case "exit":
        this.#exiting = true;
        for (const director of this.#directors) director.life.dead = true;
        break;
      case "publish":
      case "returned":
      case "raise":
      case "ended":
        break;
    }
  }

  #prepare(failover: Failover, director: number, pool: number): void {
    const { life } = this.#directors[director]!;
    this.#pools[pool]!.moving = true;
    const prepared = (): void => {
      if (!life.dead) this.#tell(failover, { type: "prepared", director, pool });
    };
    const open = this.#pools[pool]!.open;
    this.engine.after(0, life, () => {
      if (open === undefined) prepared();
      else open.pool.destageAll().then(prepared, prepared);
    });
  }

  /** When no task for it is in, it lets go of the pool; the other director then opens it. */
  #close(failover: Failover, director: number, pool: number): void {
    const state = this.#pools[pool]!;
    const { life } = this.#directors[director]!;
    state.closing = true;
    const look = (): void => {
      if (state.changes > 0 || state.volumes.some(({ inFlight }) => inFlight > 0)) {
        this.engine.after(1, life, look);
        return;
      }
      const open = state.open!;
      open.director.close(open.pool).then(
        () => {
          if (life.dead) return;
          state.open = undefined;
          state.closing = false;
          this.#tell(failover, { type: "closed", director, pool });
        },
        (error: unknown) => this.#unlessDead(life, error),
      );
    };
    this.engine.after(0, life, look);
  }

  #isExiting(): boolean {
    return this.#exiting;
  }

  /** Nothing is on its way between directors, and nothing will be. */
  #isSettled(): boolean {
    const { directors, pools } = this.#failover!.ownership;
    const up = directors.every((state) => state === "active" || state === "down");
    return (
      up &&
      pools.every(({ access }) => access === "active") &&
      this.#pools.every(({ open, closing, moving }) => open !== undefined && !closing && !moving)
    );
  }

  /** A thread that works goes on until it is ended, and what it has under way goes on after that. */
  #terminate(failover: Failover, director: Director): void {
    const joined = (): void => this.#later(failover, 2, { type: "joined", director: director.index });
    if (director.life.dead) {
      joined();
      return;
    }
    this.#lingering.add(director);
    this.engine.after(this.engine.latency(1), undefined, () => {
      this.#lingering.delete(director);
      if (!director.life.dead) {
        director.life.dead = true;
        this.#poolsLose(director);
      }
      joined();
    });
  }

  /** Its partner takes what it had, once main has seen it. */
  #directorEnds(director: Director): void {
    this.#poolsLose(director);
    this.#exiting = false;
    this.#tell(this.#failover!, failedOf(director.index, "ended"));
  }

  #poolsLose(director: Director): void {
    for (const state of this.#pools) {
      if (state.open?.director !== director) continue;
      state.media.changes?.ended(state.open.pool, state.media);
      state.open = undefined;
      state.closing = false;
      state.moving = false;
      state.changes = 0;
      state.untouchedSincePower = false;
      for (const volume of state.volumes) volume.serverDied();
    }
  }

  /** As directors/director-keeper.ts does it: enough stays for the director to start with. */
  #giveMemoryBack(index: number): void {
    const chunks = new FrameChunks(this.#memory.global);
    const kept = Math.ceil(chunks.chunkCount / this.#directors.length / 2);
    for (const chunk of chunks.chunksOf(index).slice(kept)) chunks.release(chunk);
    chunks.want(index, 0);
  }

  /** What the array tells people: nothing bad may come without a fault. */
  #raised(director: Director, event: { readonly type: string; readonly subject: string; readonly message: string }): void {
    this.engine.trace("event", director.life.name, event.type, event.message);
    if (event.type === "journal.copyLost" && this.engine.random.chance(0.8)) this.#copyLost(event.message);
    if (event.type === "journal.copyRestored") this.#copyRestored(this.#poolOf(event).media);
    if (event.type === "block.lost") this.#blockLost(event);
    if (UNASKED.has(event.type) && !this.#isTrouble(event))
      this.engine.fail(`${event.type} (${event.subject}): ${event.message}`);
  }

  /**
   * Worth a crash: before it is on record, or as soon as anything is acknowledged all the same; or when it is, while the other
   * copy has in memory only what this one had on its disk.
   */
  #copyLost(message: string): void {
    const { random } = this.engine;
    const plan = this.#plan;
    if (plan === undefined) return;
    if (!message.includes("fdatasync") && random.chance(0.5)) {
      plan.rather = "power";
      plan.within(random.between(10, 60));
      return;
    }
    // All that hosts were told must be there then: after a power failure it need not be.
    plan.rather = "process";
    if (random.chance(0.5)) plan.within(random.between(2, 20));
    else plan.afterAcknowledgements(random.between(1, 3));
  }

  /** Worth a crash when hosts have read what there is, before anything is written over what the copy had. */
  #copyRestored({ journals, journalTrouble }: PoolMedia): void {
    const { random, now } = this.engine;
    journalTrouble?.restored(journals);
    if (random.chance(0.5)) return;
    this.#quietUntil = now + 60;
    const plan = this.#plan;
    this.engine.after(10 + 50 * random.next(), undefined, () => {
      if (this.#plan === plan) plan?.within(1);
    });
  }

  /** One block that could not be read; the event of many that are given up names ranges. */
  #blockLost(event: { readonly subject: string; readonly message: string }): void {
    const block = /^block (\d+) of volume (\d+) can't be read/.exec(event.message);
    const { open, media } = this.#poolOf(event);
    if (block !== null && open !== undefined) media.changes?.loss.told(open.pool, media, Number(block[2]), Number(block[1]));
  }

  #poolOf({ subject }: { readonly subject: string }): PoolState {
    return this.#pools.find(({ media }) => subject === `pool ${media.name}`)!;
  }

  /** What a drive that misbehaves may be said to do. */
  #isTrouble(event: { readonly type: string; readonly subject: string; readonly message: string }): boolean {
    const { type, subject } = event;
    const isLossy = this.#pools.some(
      ({ media }) => subject === `pool ${media.name}` && (media.changes?.loss.zones.size ?? 0) > 0,
    );
    if (isLossy && (type === "zone.unreadable" || type === "block.lost")) return true;
    if (type === "journal.copyLost")
      return this.#pools.some(({ media }) => subject === `pool ${media.name}` && media.journalTrouble?.explains(event) === true);
    if (!type.startsWith("drive.") && type !== "zone.missing") return false;
    return this.#pools.some(
      ({ media }) =>
        [...(media.changes?.touched ?? [])].some((name) => subject === `drive ${name}`) ||
        media.trouble.positions.some((position) => subject === `drive ${media.drives[position]!.identity.name}`),
    );
  }

  // — media —

  #makeMedia(index: number): PoolMedia {
    const { random } = this.engine;
    const { blocksPerStrip, stripesPerZone, zoneSlots } = this.#shape;
    const raid = this.#shape.raid[index]!;
    const { stripBytes } = stripShape(blocksPerStrip);
    const geometry = {
      capacityBytes: stripBytes * stripesPerZone * zoneSlots,
      stripBytes,
      stripsPerZone: stripesPerZone,
      zoneCount: zoneSlots,
    };
    const level = raidLevel(raid);
    const changes = this.#heals && random.chance(0.8) ? new DriveChanges(this.engine, level) : undefined;
    const spareCount = changes === undefined ? 0 : random.between(0, 2);
    const names = Array.from({ length: drivesOf(raid) + spareCount }, (_, n) => `${index}${n}`);
    const drives = names.map((name) => {
      const drive = new SimDriveState({ name, driveId: `id-${name}`, geometry });
      drive.slowness = 0.3 + random.next() * (random.chance(0.2) ? 10 : 1.5);
      if (this.#swarm.manyPages) drive.metadataSlowness = 1 + 7 * random.next();
      if (this.#swarm.lateWrites) drive.stallShare = 0.2;
      drive.onMetadata = (key, value) => changes?.heard(key, value);
      return drive;
    });
    // One alone: what is read from the others goes on being destaged.
    if (this.#swarm.slowReads) drives[random.between(0, drives.length - 1)]!.readSlowness = 20 + 100 * random.next();
    const isMirrored =
      (this.#options.mirrored === true || this.#options.seed % MIRRORED_EVERY === 0) && random.chance(MIRRORED_POOLS);
    const journalDisk: JournalDisk = {
      syncMilliseconds: this.#swarm.slowSyncs || this.#swarm.uniform ? 5 + 40 * random.next() : 1,
      losesOne: this.#swarm.uniform,
    };
    return {
      index,
      name: index === 0 ? "A" : "B",
      raid,
      names,
      drives,
      spareCount,
      changes,
      faults: [],
      trouble: new Trouble(random, level, changes !== undefined),
      absent: [],
      isMade: false,
      openedBefore: false,
      journals: isMirrored ? [undefined, undefined] : [undefined],
      journalTrouble: isMirrored ? new JournalTrouble(random) : undefined,
      // Where records are to be of one size none may wait for room: those that did come together.
      journalBytes: 8192 + 4096 * random.between(56, 160) * (this.#swarm.uniform ? random.between(2, 6) : 1),
      journalDisks: isMirrored ? this.#unlikeDisks(journalDisk) : [journalDisk],
    };
  }

  /** Of two copies one may be slow: what is durable in the other it has in memory only. */
  #unlikeDisks(disk: JournalDisk): JournalDisk[] {
    const { random } = this.engine;
    const times = random.chance(0.4) ? 5 + 20 * random.next() : 1;
    const slow = { ...disk, syncMilliseconds: Math.min(disk.syncMilliseconds * times, SLOWEST_SYNC_MILLISECONDS) };
    return random.chance(0.5) ? [disk, slow] : [slow, disk];
  }

  #seen(): Record<string, number> {
    const seen: Record<string, number> = {};
    for (const { volumes, media } of this.#pools) {
      for (const [what, times] of Object.entries(media.changes?.seen ?? {})) seen[what] = (seen[what] ?? 0) + times;
      for (const volume of volumes)
        for (const [what, times] of Object.entries(volume.seen)) seen[what] = (seen[what] ?? 0) + times;
    }
    return seen;
  }
}

function failedOf(director: number, cause: "ended" | "killed"): FailoverEvent {
  return { type: "failed", director, cause, reason: "simulated" };
}

function isDead(life: Life): boolean {
  return life.dead;
}

const UNASKED = new Set([
  "pool.failed",
  "drive.failed",
  "drive.missing",
  "drive.foreign",
  "drive.noSpace",
  "zone.missing",
  "zone.unreadable",
  "block.lost",
  "journal.copyLost",
]);
