/**
 * A host of one LUN through both portals: writers and readers whose every answer is judged by the LUN's history, whole reads that tell
 * which blocks are lost, and writes that heal them.
 */
import type { RunningArray } from "../array.ts";
import { cdb16, expectGood, fill, type LoadOptions, noCounts, rewrite, runReader, runWorker } from "../crash/crash-load.ts";
import { SECTOR_BYTES } from "../crash/sector-stamp.ts";
import { BLOCK_SECTORS, type Violation, WriteHistory } from "../crash/write-history.ts";
import { PipelinedSession } from "../pipelined-session.ts";
import { Random } from "../random.ts";

const PIECE_SECTORS = 256;
const DEPTH = 8;
const WORKERS_PER_PORTAL = 1;
const MEDIUM_ERROR = "03/11/00";
/** What "the load goes on" means: so many more of each. */
const PROGRESS = { writes: 20, readBytes: 2 ** 20 };
const LOOK_MILLISECONDS = 25;
/** All levels at once: load that is there all the time, and not as much as the machine can do. */
const THINK_MILLISECONDS = 10;
const PROGRESS_MILLISECONDS_MAX = 60_000;

export class LevelHost {
  readonly lun: number;
  readonly history: WriteHistory;
  readonly violations: Violation[] = [];
  readonly counts = noCounts();
  /** Set while something is beyond redundancy. */
  mediumErrorsAllowed = false;
  readonly #array: RunningArray;
  readonly #random: Random;
  #sequence = 0;
  #isOver = true;
  #running: Promise<unknown> = Promise.resolve();
  #failure: Error | undefined;
  #reads = 0;

  constructor(array: RunningArray, options: { lun: number; bytes: number; seed: number }) {
    const { lun, bytes, seed } = options;
    this.#array = array;
    this.lun = lun;
    this.#random = new Random(seed + lun);
    this.history = new WriteHistory({ lun, seed, sectors: bytes / SECTOR_BYTES });
  }

  async fill(): Promise<void> {
    await this.#withSessions(([session]) => fill(session!, this.history, this.#options()));
  }

  /** @param within - what writers keep to, and readers: the whole LUN unless given */
  async start(within: { readonly workedSectors?: number; readonly readSectors?: number } = {}): Promise<void> {
    this.#isOver = false;
    const sessions = await this.#open();
    const options = { ...this.#options(), ...within };
    Object.defineProperty(options, "mediumErrorsAllowed", { get: () => this.mediumErrorsAllowed });
    const workers = sessions.flatMap((session) => [
      ...Array.from({ length: WORKERS_PER_PORTAL }, () => runWorker(session, this.history, options)),
      runReader(session, this.history, options),
    ]);
    this.#running = Promise.all(workers)
      .catch((error: unknown) => {
        this.#failure = error instanceof Error ? error : new Error(String(error));
      })
      .finally(() => {
        for (const session of sessions) session.close();
      });
  }

  /** Resolves when the load has written and read some more since this was called. @throws what a worker found */
  async goesOn(): Promise<void> {
    const { acknowledgedWrites, readBytes } = this.counts;
    const until = performance.now() + PROGRESS_MILLISECONDS_MAX;
    while (
      this.counts.acknowledgedWrites < acknowledgedWrites + PROGRESS.writes ||
      this.counts.readBytes < readBytes + PROGRESS.readBytes
    ) {
      this.#raiseFailure();
      if (performance.now() > until) throw new Error(`LUN ${this.lun}: the load stands still`);
      await new Promise((resolve) => {
        setTimeout(resolve, LOOK_MILLISECONDS);
      });
    }
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await this.#running;
    this.#raiseFailure();
  }

  /** Reads everything, judges it, and tells which blocks of 4 KiB answer MEDIUM ERROR. @throws Error at any other answer */
  async readAll(): Promise<Set<number>> {
    const lost = new Set<number>();
    this.#reads += 1;
    await this.#withSessions(async (sessions) => {
      let next = 0;
      const reader = async (): Promise<void> => {
        while (next < this.history.sectors) {
          const first = next;
          next += PIECE_SECTORS;
          // Each time through the other portal.
          const session = sessions[(first / PIECE_SECTORS + this.#reads) % sessions.length]!;
          if (await this.#read(session, first, Math.min(PIECE_SECTORS, this.history.sectors - first))) continue;
          const end = Math.min(first + PIECE_SECTORS, this.history.sectors);
          for (let sector = first; sector < end; sector += BLOCK_SECTORS)
            if (!(await this.#read(session, sector, BLOCK_SECTORS))) lost.add(sector / BLOCK_SECTORS);
        }
      };
      await Promise.all(Array.from({ length: DEPTH }, reader));
    });
    return lost;
  }

  /** Writes whole blocks. */
  async rewrite(blocks: ReadonlySet<number>): Promise<void> {
    await this.#withSessions(async ([session]) => {
      for (const { first, count } of runsOf(blocks)) {
        const range = { firstSector: first * BLOCK_SECTORS, sectors: count * BLOCK_SECTORS };
        await rewrite(session!, this.history, this.#options(), range);
      }
    });
  }

  /** False: MEDIUM ERROR. */
  async #read(session: PipelinedSession, first: number, sectors: number): Promise<boolean> {
    const askedAt = this.history.now();
    const answer = await session.execute(cdb16(0x88, first, sectors), { lun: this.lun, readBytes: sectors * SECTOR_BYTES });
    if (answer.sense === MEDIUM_ERROR) return false;
    expectGood(answer, `read of LUN ${this.lun} sectors ${first} + ${sectors}`);
    this.violations.push(...this.history.check(answer.data, first, askedAt));
    return true;
  }

  #raiseFailure(): void {
    const failure = this.#failure;
    this.#failure = undefined;
    if (failure !== undefined) throw failure;
  }

  async #withSessions(work: (sessions: readonly PipelinedSession[]) => Promise<void>): Promise<void> {
    const sessions = await this.#open();
    try {
      await work(sessions);
    } finally {
      for (const session of sessions) session.close();
    }
  }

  async #open(): Promise<PipelinedSession[]> {
    const { portalPorts, targetName } = this.#array;
    const sessions = await Promise.all(portalPorts.map((port) => PipelinedSession.open({ port, targetName })));
    for (const session of sessions) await session.testUnitReady(this.lun);
    return sessions;
  }

  #options(): LoadOptions {
    const { violations, counts } = this;
    return {
      random: this.#random,
      nextSequence: () => ++this.#sequence,
      counts,
      violations,
      isOver: () => this.#isOver,
      thinkMilliseconds: THINK_MILLISECONDS,
    };
  }
}

function runsOf(blocks: ReadonlySet<number>): { first: number; count: number }[] {
  const runs: { first: number; count: number }[] = [];
  for (const block of [...blocks].sort((a, b) => a - b)) {
    const last = runs.at(-1);
    if (last !== undefined && last.first + last.count === block) last.count += 1;
    else runs.push({ first: block, count: 1 });
  }
  return runs;
}
