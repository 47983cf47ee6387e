/** A session that writes and reads back in regions of its own, and notes everything that is not as it should be. */
import { read10, write10 } from "./initiator.ts";
import { PipelinedSession } from "./pipelined-session.ts";
import { Random } from "./random.ts";

const WORKERS = 4;
const SECTORS_PER_WORKER = 2048;
const SECTOR_BYTES = 512;
const SECTORS_MAX = 128;

export interface VerifiedLoad {
  readonly port: number;
  readonly targetName: string;
  readonly lun: number;
  readonly seed: number;
  /** Where its part of the LUN begins. */
  readonly firstSector?: number;
}

export class VerifyingSession {
  /** Writes that were read back as written. */
  verified = 0;
  readonly problems: string[] = [];
  readonly #options: VerifiedLoad;
  readonly #session: PipelinedSession;
  #over = false;
  readonly #workers: Promise<unknown>;

  static async start(options: VerifiedLoad): Promise<VerifyingSession> {
    const session = await PipelinedSession.open(options);
    await session.testUnitReady(options.lun);
    return new VerifyingSession(options, session);
  }

  private constructor(options: VerifiedLoad, session: PipelinedSession) {
    this.#options = options;
    this.#session = session;
    this.#workers = Promise.all(Array.from({ length: WORKERS }, (_, worker) => this.#work(worker)));
  }

  async stop(): Promise<void> {
    this.#over = true;
    await this.#workers;
    if (this.#session.error !== undefined) this.problems.push(this.#session.error.message);
    this.#session.close();
  }

  async #work(worker: number): Promise<void> {
    const { lun, seed, firstSector = 0 } = this.#options;
    const random = new Random(seed * WORKERS + worker);
    while (!this.#over && this.problems.length === 0) {
      const sectors = random.between(1, SECTORS_MAX);
      const sector = firstSector + worker * SECTORS_PER_WORKER + random.between(0, SECTORS_PER_WORKER - sectors);
      const data = Buffer.alloc(sectors * SECTOR_BYTES);
      for (let at = 0; at < data.length; at += 4) data.writeUInt32LE(random.between(0, 2 ** 32 - 1), at);
      const written = await this.#session.execute(write10(sector, sectors), { lun, dataOut: data });
      const read = await this.#session.execute(read10(sector, sectors), { lun, readBytes: data.length });
      for (const { status, sense } of [written, read]) {
        if (status !== 0) this.problems.push(status === undefined ? "the connection ended" : `status ${status} ${sense}`);
      }
      if (!read.data.equals(data)) this.problems.push(`sector ${sector} of LUN ${lun} is not as it was written`);
      this.verified += 1;
    }
  }
}
