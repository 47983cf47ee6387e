/**
 * Load whose promises are known: writes of all kinds to one unit through both portals, some FUA, some followed by a
 * SYNCHRONIZE CACHE, never two at one time to the same block.
 */
import { cdb16, expectGood } from "../crash/crash-load.ts";
import { SECTOR_BYTES, stampSectors } from "../crash/sector-stamp.ts";
import type { CommandAnswer, PipelinedSession } from "../pipelined-session.ts";
import type { Random } from "../random.ts";
import { DurableHistory, type DurableWrite } from "./durable-history.ts";

const BLOCK_SECTORS = 8;
const STATUS_GOOD = 0;
const STATUS_BUSY = 0x08;
const STATUS_TASK_SET_FULL = 0x28;
const PLACES_TRIED_MAX = 50;
const HOT_SHARE = 0.4;
const HOT_SECTORS = 1024;

/** Resolves when the mark stands in the trace. */
export type Mark = (text: string) => Promise<void>;

export class DurableLoad {
  readonly #history: DurableHistory;
  readonly #random: Random;
  readonly #mark: Mark;
  /** Blocks that a command is under way for. */
  readonly #busy: Uint8Array;
  /** Acknowledged, and not promised to be durable yet. */
  #unpromised: DurableWrite[] = [];
  isOver = false;
  readonly counts = { writes: 0, bytes: 0, forced: 0, flushes: 0 };

  constructor(options: { history: DurableHistory; random: Random; mark: Mark }) {
    this.#history = options.history;
    this.#random = options.random;
    this.#mark = options.mark;
    this.#busy = new Uint8Array(options.history.sectors / BLOCK_SECTORS);
  }

  /** One command after the other until it is over, or the array is gone. */
  async work(session: PipelinedSession): Promise<void> {
    while (!this.isOver && !session.isClosed) await this.#step(session);
  }

  async #step(session: PipelinedSession): Promise<void> {
    const random = this.#random;
    const dice = random.next();
    if (dice < 0.04) return this.#flush(session);
    if (dice < 0.08) return this.#zero(session);
    if (dice < 0.14) return this.#read(session);
    const whole = random.chance(0.7);
    const sectors = whole ? BLOCK_SECTORS * random.between(1, random.chance(0.2) ? 32 : 4) : random.between(1, 24);
    await this.#write(session, sectors, whole);
  }

  async #write(session: PipelinedSession, sectors: number, aligned: boolean): Promise<void> {
    await this.#alone(sectors, aligned, async (firstSector) => {
      const write = this.#history.begin({ zeros: false, firstSector, sectors });
      const cdb = cdb16(0x8a, firstSector, sectors);
      const forced = this.#random.chance(0.15);
      if (forced) cdb[1] = 0x08;
      const stamp = { lun: 0, seed: this.#history.seed, sequence: write.sequence };
      const dataOut = stampSectors(stamp, firstSector, sectors);
      if (!(await this.#done(session.execute(cdb, { lun: 0, dataOut }), "write", write))) return;
      this.counts.writes += 1;
      this.counts.bytes += dataOut.length;
      this.#acknowledged(write, forced);
    });
  }

  /** WRITE SAME of zeros: some become a record of zeros, the edges writes. */
  async #zero(session: PipelinedSession): Promise<void> {
    const sectors = this.#random.between(1, 128);
    await this.#alone(sectors, false, async (firstSector) => {
      const write = this.#history.begin({ zeros: true, firstSector, sectors });
      await this.#mark(DurableHistory.sending(write));
      const dataOut = Buffer.alloc(SECTOR_BYTES);
      const answer = session.execute(cdb16(0x93, firstSector, sectors), { lun: 0, dataOut });
      if (await this.#done(answer, "WRITE SAME", write)) this.#acknowledged(write, false);
    });
  }

  async #flush(session: PipelinedSession): Promise<void> {
    const covered = this.#unpromised;
    this.#unpromised = [];
    const cdb = Buffer.alloc(10);
    cdb[0] = 0x35;
    if (!(await this.#done(session.execute(cdb, { lun: 0 }), "SYNCHRONIZE CACHE"))) return;
    this.counts.flushes += 1;
    this.#promise(covered);
  }

  async #read(session: PipelinedSession): Promise<void> {
    const sectors = this.#random.between(1, 64);
    const first = this.#random.between(0, this.#history.sectors - sectors);
    await this.#done(session.execute(cdb16(0x88, first, sectors), { lun: 0, readBytes: sectors * SECTOR_BYTES }), "read");
  }

  #acknowledged(write: DurableWrite, forced: boolean): void {
    if (forced) {
      this.counts.forced += 1;
      this.#promise([write]);
    } else this.#unpromised.push(write);
  }

  #promise(writes: readonly DurableWrite[]): void {
    // When the array is gone, nobody will know of the promise: it comes to nothing.
    this.#mark(this.#history.promise(writes)).catch(() => undefined);
  }

  /** Runs `work` on a place where nothing else is under way; a load that finds none leaves it be. */
  async #alone(sectors: number, aligned: boolean, work: (firstSector: number) => Promise<void>): Promise<void> {
    const random = this.#random;
    for (let n = 0; n < PLACES_TRIED_MAX; n++) {
      const room = random.chance(HOT_SHARE) ? HOT_SECTORS : this.#history.sectors;
      let first = random.between(0, room - sectors);
      if (aligned) first -= first % BLOCK_SECTORS;
      const from = Math.floor(first / BLOCK_SECTORS);
      const to = Math.ceil((first + sectors) / BLOCK_SECTORS);
      if (this.#busy.subarray(from, to).includes(1)) continue;
      this.#busy.fill(1, from, to);
      try {
        await work(first);
      } finally {
        this.#busy.fill(0, from, to);
      }
      return;
    }
  }

  async #done(answer: Promise<CommandAnswer>, what: string, write?: DurableWrite): Promise<boolean> {
    const { status, sense } = await answer;
    if (status === STATUS_GOOD) return true;
    // The array is gone: whatever came of it, nothing was promised.
    if (status === undefined) return false;
    if (write !== undefined) this.#history.refused(write);
    if (status === STATUS_BUSY || status === STATUS_TASK_SET_FULL || sense.startsWith("06/")) return false;
    expectGood({ status, sense, data: Buffer.alloc(0) }, what);
    return false;
  }
}
