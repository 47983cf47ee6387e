/**
 * Load for the crash test: workers that write, overwrite, give back and read one LUN each through one session, and note
 * in its history what they did. Every read is judged at once.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { CommandAnswer, PipelinedSession } from "../pipelined-session.ts";
import type { Random } from "../random.ts";
import { SECTOR_BYTES, stampSectors } from "./sector-stamp.ts";
import { BLOCK_SECTORS, type Operation, type Violation, type WriteHistory } from "./write-history.ts";

const STATUS_GOOD = 0x00;
const STATUS_BUSY = 0x08;
const STATUS_TASK_SET_FULL = 0x28;
const BUSY_WAIT_MILLISECONDS = 20;
const UNIT_ATTENTION = "06/";
/** Unrecovered read error, at reads of what is lost and at writes of a part of such a block. */
const MEDIUM_ERROR = "03/11/00";
/** Half of what happens happens here: overwrites of what is in the journal, in destage, or just on the drives. */
const HOT_SHARE = 0.5;
const HOT_SECTORS = 4096;
const LARGE_SECTORS = 512;
/** WRITE SAME and UNMAP change at most so much at once: the LUN should not run empty. */
const SAME_SECTORS_MAX = 256;
const VIOLATIONS_MAX = 100;

export interface LoadCounts {
  commands: number;
  acknowledgedWrites: number;
  writtenBytes: number;
  readBytes: number;
  /** BUSY and TASK SET FULL. */
  heldBack: number;
  mediumErrors: number;
}

export function noCounts(): LoadCounts {
  return { commands: 0, acknowledgedWrites: 0, writtenBytes: 0, readBytes: 0, heldBack: 0, mediumErrors: 0 };
}

export interface LoadOptions {
  readonly random: Random;
  /** A sequence that no other operation of the run has. */
  readonly nextSequence: () => number;
  readonly counts: LoadCounts;
  readonly violations: Violation[];
  readonly isOver: () => boolean;
  /** What is beyond redundancy may be answered so: counted, and nothing is known of such a command. */
  readonly mediumErrorsAllowed?: boolean;
  /** Workers keep to the first so many; readers only where `readSectors` says so. */
  readonly workedSectors?: number;
  /** Between two commands of a worker or reader: for load that only has to be there, and leaves the machine to others. */
  readonly thinkMilliseconds?: number;
  readonly readSectors?: number;
}

/** One command at a time, until the connection ends or the load is over. */
export async function runWorker(session: PipelinedSession, history: WriteHistory, options: LoadOptions): Promise<void> {
  while (!options.isOver() && !session.isClosed && options.violations.length < VIOLATIONS_MAX) {
    await new Worker(session, history, options).step();
    await think(options);
  }
}

/** Reads only, all over the LUN: what others write is seen as it changes, at the owner and through the other director. */
export async function runReader(session: PipelinedSession, history: WriteHistory, options: LoadOptions): Promise<void> {
  const worker = new Worker(session, history, options);
  while (!options.isOver() && !session.isClosed && options.violations.length < VIOLATIONS_MAX) {
    await worker.readSomewhere();
    await think(options);
  }
}

export async function think({ thinkMilliseconds = 0 }: Pick<LoadOptions, "thinkMilliseconds">): Promise<void> {
  if (thinkMilliseconds > 0) await sleep(thinkMilliseconds);
}

/** Writes the whole LUN once, in order. */
export async function fill(session: PipelinedSession, history: WriteHistory, options: LoadOptions): Promise<void> {
  const worker = new Worker(session, history, options);
  const depth = 8;
  let next = 0;
  await Promise.all(
    Array.from({ length: depth }, async () => {
      while (next < history.sectors) {
        const firstSector = next;
        next += LARGE_SECTORS;
        await worker.write(firstSector, Math.min(LARGE_SECTORS, history.sectors - firstSector), false);
      }
    }),
  );
}

/** Writes these sectors anew. */
export async function rewrite(
  session: PipelinedSession,
  history: WriteHistory,
  options: LoadOptions,
  range: { readonly firstSector: number; readonly sectors: number },
): Promise<void> {
  const end = range.firstSector + range.sectors;
  const worker = new Worker(session, history, options);
  for (let sector = range.firstSector; sector < end; sector += LARGE_SECTORS)
    await worker.write(sector, Math.min(LARGE_SECTORS, end - sector), false);
}

class Worker {
  readonly #session: PipelinedSession;
  readonly #history: WriteHistory;
  readonly #options: LoadOptions;

  constructor(session: PipelinedSession, history: WriteHistory, options: LoadOptions) {
    this.#session = session;
    this.#history = history;
    this.#options = options;
  }

  async step(): Promise<void> {
    const { random } = this.#options;
    const dice = random.next();
    if (dice < 0.3) return this.write(...this.#blocks(1, 1), random.chance(0.1));
    if (dice < 0.5) return this.write(...this.#blocks(2, 32), random.chance(0.1));
    if (dice < 0.72) return this.write(...this.#place(random.between(1, 40)), random.chance(0.1));
    if (dice < 0.78) return this.write(...this.#blocks(64, 64), false);
    if (dice < 0.8) return this.write(...this.#place(LARGE_SECTORS), false);
    if (dice < 0.83) return this.unmap(...this.#place(random.between(1, SAME_SECTORS_MAX)));
    if (dice < 0.86) return this.writeSame(...this.#place(random.between(1, SAME_SECTORS_MAX)), random.chance(0.4));
    if (dice < 0.87) return this.synchronizeCache();
    return this.read(...this.#place(random.between(1, 128)));
  }

  readSomewhere(): Promise<void> {
    const { random, readSectors = this.#history.sectors } = this.#options;
    return this.read(...this.#place(random.between(1, 128), readSectors));
  }

  async write(firstSector: number, sectors: number, forceUnitAccess: boolean): Promise<void> {
    const sequence = this.#options.nextSequence();
    const { lun, seed } = this.#history;
    const dataOut = stampSectors({ lun, seed, sequence }, firstSector, sectors);
    const operation = this.#history.begin("write", sequence, firstSector, sectors);
    const cdb = cdb16(0x8a, firstSector, sectors);
    if (forceUnitAccess) cdb[1] = 0x08;
    await this.#change([operation], cdb, dataOut);
  }

  async writeSame(firstSector: number, sectors: number, zeros: boolean): Promise<void> {
    const sequence = this.#options.nextSequence();
    const { lun, seed } = this.#history;
    const dataOut = zeros ? Buffer.alloc(SECTOR_BYTES) : stampSectors({ lun, seed, sequence }, 0, 1, true);
    const operation = this.#history.begin(zeros ? "zero" : "same", sequence, firstSector, sectors);
    await this.#change([operation], cdb16(0x93, firstSector, sectors), dataOut);
  }

  /** Two ranges in one command. */
  async unmap(firstSector: number, sectors: number): Promise<void> {
    const second = this.#place(sectors)[0];
    const ranges = [firstSector, second];
    const list = Buffer.alloc(8 + 16 * ranges.length);
    list.writeUInt16BE(list.length - 2, 0);
    list.writeUInt16BE(16 * ranges.length, 2);
    ranges.forEach((sector, n) => {
      list.writeBigUInt64BE(BigInt(sector), 8 + 16 * n);
      list.writeUInt32BE(sectors, 16 + 16 * n);
    });
    const cdb = Buffer.alloc(10);
    cdb[0] = 0x42;
    cdb.writeUInt16BE(list.length, 7);
    const operations = ranges.map((sector) => this.#history.begin("zero", this.#options.nextSequence(), sector, sectors));
    await this.#change(operations, cdb, list);
  }

  async synchronizeCache(): Promise<void> {
    const cdb = Buffer.alloc(10);
    cdb[0] = 0x35;
    await this.#change([], cdb, undefined);
  }

  async read(firstSector: number, sectors: number): Promise<void> {
    const { counts, violations } = this.#options;
    const askedAt = this.#history.now();
    const answer = await this.#session.execute(cdb16(0x88, firstSector, sectors), {
      lun: this.#history.lun,
      readBytes: sectors * SECTOR_BYTES,
    });
    if (answer.status === undefined || (await this.#heldBack(answer)) || this.#isLost(answer)) return;
    expectGood(answer, `read of LUN ${this.#history.lun} sectors ${firstSector} + ${sectors}`);
    counts.commands += 1;
    counts.readBytes += answer.data.length;
    violations.push(...this.#history.check(answer.data, firstSector, askedAt));
  }

  /** Sends what changes the LUN; the operations are over when it was answered, and never when it was not. */
  async #change(operations: readonly Operation[], cdb: Buffer, dataOut: Buffer | undefined): Promise<void> {
    const { counts } = this.#options;
    const { lun } = this.#history;
    const answer = await this.#session.execute(cdb, dataOut === undefined ? { lun } : { lun, dataOut });
    if (answer.status === undefined) return;
    if (await this.#heldBack(answer)) {
      for (const operation of operations) this.#history.refused(operation);
      return;
    }
    if (this.#isLost(answer)) return;
    expectGood(answer, `command ${cdb.toString("hex")} to LUN ${lun}`);
    for (const operation of operations) this.#history.acknowledged(operation);
    counts.commands += 1;
    counts.acknowledgedWrites += operations.length;
    counts.writtenBytes += dataOut?.length ?? 0;
  }

  async #heldBack({ status, sense }: CommandAnswer): Promise<boolean> {
    const isFull = status === STATUS_BUSY || status === STATUS_TASK_SET_FULL;
    if (!isFull && !sense.startsWith(UNIT_ATTENTION)) return false;
    this.#options.counts.heldBack += 1;
    if (isFull) {
      await new Promise((resolve) => {
        setTimeout(resolve, BUSY_WAIT_MILLISECONDS);
      });
    }
    return true;
  }

  #isLost({ sense }: CommandAnswer): boolean {
    if (this.#options.mediumErrorsAllowed !== true || sense !== MEDIUM_ERROR) return false;
    this.#options.counts.mediumErrors += 1;
    return true;
  }

  #blocks(least: number, most: number): [number, number] {
    const [sector, sectors] = this.#place(this.#options.random.between(least, most) * BLOCK_SECTORS);
    return [sector - (sector % BLOCK_SECTORS), sectors];
  }

  #place(sectors: number, all = this.#options.workedSectors ?? this.#history.sectors): [number, number] {
    const { random } = this.#options;
    const room = random.chance(HOT_SHARE) ? Math.min(HOT_SECTORS, all) : all;
    return [random.between(0, room - sectors), sectors];
  }
}

export function cdb16(operationCode: number, lba: number, sectors: number): Buffer {
  const cdb = Buffer.alloc(16);
  cdb[0] = operationCode;
  cdb.writeBigUInt64BE(BigInt(lba), 2);
  cdb.writeUInt32BE(sectors, 10);
  return cdb;
}

export function expectGood({ status, sense }: CommandAnswer, what: string): void {
  if (status !== STATUS_GOOD) throw new Error(`${what} ended with status ${status}, sense ${sense || "none"}`);
}
