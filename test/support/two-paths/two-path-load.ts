/**
 * Load over both portals, every sector a register: which operations there were, when they began and ended, what they returned.
 *
 * Each attempt of a write has a sequence of its own, which its sectors carry. An attempt without a good answer may have taken
 * effect, but not after its repeat was acknowledged: that is the latest time that it is given. A part of the LUNs is written
 * all the time in large pieces, so that journal and drives have all that they can do; it is not looked at.
 */
import { FOUND, SECTOR_BYTES, StampedData, stampSectors } from "../crash/sector-stamp.ts";
import { notLinearizable, type RegisterOperation } from "../linearizable.ts";
import type { CommandAnswer } from "../pipelined-session.ts";
import { Random } from "../random.ts";
import { PathHost, sleep } from "./path-host.ts";

const STATUS = { good: 0x00, checkCondition: 0x02, busy: 0x08, taskSetFull: 0x28, aborted: 0x40 } as const;
/** After these a host tries again: not ready, aborted command, unit attention. */
const TRY_AGAIN = /^(02\/04\/0[ac]|0b\/|06\/)/;
const AGAIN_MILLISECONDS = 10;
const OPERATION_MILLISECONDS_MAX = 30_000;
const SECTORS_MAX = 64;
const FILL_SECTORS = 512;
const READ_SECTORS = 128;
const VIOLATIONS_MAX = 20;
const TRIES_SHOWN = 12;

export interface TwoPathOptions {
  readonly ports: readonly number[];
  readonly targetName: string;
  readonly luns: readonly number[];
  /** Sectors of each LUN that are registers: from 0 on. */
  readonly sectors: number;
  /** Beyond them, so many are written all the time. */
  readonly fillSectors: number;
  readonly hosts: number;
  readonly workersPerHost: number;
  readonly seed: number;
  /** More than the longest stall that is allowed: 30 s unless given. */
  readonly operationMilliseconds?: number;
  /** Sense after which a host tries again, besides those that always say so. */
  readonly tryAgain?: RegExp;
}

export interface RoundFigures {
  operations: number;
  /** Attempts without a good answer. */
  repeated: number;
  /** From the first attempt of an operation to its good answer. */
  longestMilliseconds: number;
  /** Its attempts: when, on which path, and what the answer was. */
  longest: string;
}

export class TwoPathLoad {
  readonly #options: TwoPathOptions;
  readonly #random: Random;
  readonly #hosts: readonly PathHost[];
  /** By LUN and sector. */
  readonly #registers = new Map<number, RegisterOperation[][]>();
  readonly #initial = new Map<number, number[]>();
  readonly #violations: string[] = [];
  #sequence = 0;
  #over = true;
  #running: Promise<unknown> = Promise.resolve();
  #figures: RoundFigures = noFigures();

  constructor(options: TwoPathOptions) {
    this.#options = options;
    this.#random = new Random(options.seed);
    const { ports, targetName, luns, sectors } = options;
    this.#hosts = Array.from({ length: options.hosts }, () => new PathHost({ ports, targetName, luns }));
    for (const lun of luns) {
      this.#registers.set(
        lun,
        Array.from({ length: sectors }, () => []),
      );
      this.#initial.set(lun, new Array<number>(sectors).fill(0));
    }
  }

  async open(): Promise<void> {
    await Promise.all(this.#hosts.map((host) => host.open()));
  }

  close(): void {
    this.#over = true;
    for (const host of this.#hosts) host.close();
  }

  get allPathsUp(): boolean {
    return this.#hosts.every((host) => this.#options.ports.every((_, path) => host.isUp(path)));
  }

  start(): void {
    this.#over = false;
    this.#figures = noFigures();
    const workers: Promise<void>[] = [];
    for (const host of this.#hosts) {
      for (const lun of this.#options.luns) {
        for (let n = 0; n < this.#options.workersPerHost; n++) workers.push(this.#work(host, lun));
        if (this.#options.fillSectors > 0) workers.push(this.#fill(host, lun));
      }
    }
    this.#running = Promise.all(workers);
    this.#running.catch(() => undefined); // looked at when the load is stopped
  }

  /** Ends the load, reads everything through both portals, and judges what was seen. The next round begins with that. */
  async stopAndJudge(): Promise<{ readonly violations: readonly string[]; readonly figures: RoundFigures }> {
    this.#over = true;
    await this.#running;
    const [host] = this.#hosts;
    for (const lun of this.#options.luns) {
      for (const path of this.#options.ports.keys()) {
        for (let first = 0; first < this.#options.sectors; first += READ_SECTORS) {
          await this.#read(host!, { lun, first, sectors: Math.min(READ_SECTORS, this.#options.sectors - first) }, path);
        }
      }
      this.#judge(lun);
    }
    for (const { errors } of this.#hosts)
      for (const error of errors.splice(0)) this.#violate(`against the protocol: ${error.message}`);
    return { violations: this.#violations.splice(0), figures: this.#figures };
  }

  #judge(lun: number): void {
    const registers = this.#registers.get(lun)!;
    const initial = this.#initial.get(lun)!;
    for (const [sector, operations] of registers.entries()) {
      const wrong = notLinearizable(operations, initial[sector]!);
      if (wrong !== undefined) this.#violate(`LUN ${lun}, sector ${sector}: ${wrong}; ${describe(operations)}`);
      // The last read began when nothing else was under way.
      initial[sector] = operations.at(-1)!.value;
      registers[sector] = [];
    }
  }

  #violate(what: string): void {
    if (this.#violations.length < VIOLATIONS_MAX) this.#violations.push(what);
  }

  async #work(host: PathHost, lun: number): Promise<void> {
    while (!this.#over && this.#violations.length < VIOLATIONS_MAX) {
      const sectors = this.#random.between(1, SECTORS_MAX);
      const first = this.#random.between(0, this.#options.sectors - sectors);
      const place = this.#random.chance(0.5)
        ? { lun, first, sectors }
        : { lun, first: first - (first % 8), sectors: Math.min(8, this.#options.sectors) };
      if (this.#random.chance(0.6)) await this.#write(host, place);
      else await this.#read(host, place);
    }
  }

  async #fill(host: PathHost, lun: number): Promise<void> {
    const { sectors, fillSectors, ports } = this.#options;
    const data = Buffer.alloc(FILL_SECTORS * SECTOR_BYTES, 0x5a);
    while (!this.#over) {
      const first = sectors + this.#random.between(0, fillSectors - FILL_SECTORS);
      const path = this.#random.between(0, ports.length - 1);
      const { status } = await host.attempt(path, cdb16(0x8a, first, FILL_SECTORS), { lun, dataOut: data });
      if (status !== STATUS.good) await sleep(AGAIN_MILLISECONDS);
    }
  }

  async #write(host: PathHost, place: Place): Promise<void> {
    const { lun, first, sectors } = place;
    const registers = this.#registers.get(lun)!;
    const attempts: RegisterOperation[] = [];
    await this.#repeat(host, place, async (path) => {
      const sequence = this.#nextSequence();
      const dataOut = stampSectors({ lun, seed: this.#options.seed, sequence }, first, sectors);
      const operation: RegisterOperation = {
        kind: "write",
        value: sequence,
        invoked: performance.now(),
        ended: Number.POSITIVE_INFINITY,
        unknown: true,
      };
      attempts.push(operation);
      for (let sector = first; sector < first + sectors; sector++) registers[sector]!.push(operation);
      const answer = await host.attempt(path, cdb16(0x8a, first, sectors), { lun, dataOut });
      const now = performance.now();
      // An error comes when the command can change nothing more.
      if (answer.status !== undefined) operation.ended = now;
      if (answer.status === STATUS.good) {
        operation.unknown = false;
        for (const attempt of attempts) attempt.ended = Math.min(attempt.ended, now);
      }
      return answer;
    });
  }

  async #read(host: PathHost, place: Place, path?: number): Promise<void> {
    const { lun, first, sectors } = place;
    const registers = this.#registers.get(lun)!;
    await this.#repeat(
      host,
      place,
      async (tried) => {
        const invoked = performance.now();
        const answer = await host.attempt(tried, cdb16(0x88, first, sectors), { lun, readBytes: sectors * SECTOR_BYTES });
        if (answer.status !== STATUS.good) return answer;
        const ended = performance.now();
        const data = new StampedData(answer.data, { lun, seed: this.#options.seed, firstSector: first });
        for (let n = 0; n < sectors; n++) {
          const kind = data.kind(n);
          if (kind === FOUND.torn || kind === FOUND.foreign) {
            this.#violate(`LUN ${lun}, sector ${first + n} is ${kind === FOUND.torn ? "torn" : "foreign"}: ${data.describe(n)}`);
            continue;
          }
          const value = kind === FOUND.zero ? 0 : data.sequence(n);
          registers[first + n]!.push({ kind: "read", value, invoked, ended });
        }
        return answer;
      },
      path,
    );
  }

  /** Tries until it is good, on one path or another. */
  async #repeat(host: PathHost, place: Place, attempt: (path: number) => Promise<CommandAnswer>, only?: number): Promise<void> {
    const since = performance.now();
    const { operationMilliseconds = OPERATION_MILLISECONDS_MAX } = this.#options;
    const paths = this.#options.ports.length;
    let path = only ?? this.#random.between(0, paths - 1);
    const tries: string[] = [];
    for (;;) {
      if (!host.isUp(path) && only === undefined) path = (path + 1) % paths;
      const begun = performance.now();
      const answer = await attempt(path);
      const times = `${Math.round(begun - since)}-${Math.round(performance.now() - since)}`;
      if (tries.length < TRIES_SHOWN) tries.push(`${times} path ${path} ${answer.sense || (answer.status ?? "lost")}`);
      if (answer.status === STATUS.good) break;
      if (!mayTryAgain(answer) && this.#options.tryAgain?.test(answer.sense) !== true) {
        this.#violate(`status ${answer.status}, sense ${answer.sense} at LUN ${place.lun}, sector ${place.first}`);
        return;
      }
      this.#figures.repeated += 1;
      if (performance.now() - since > operationMilliseconds) {
        this.#violate(`no good answer within ${operationMilliseconds / 1000} s at LUN ${place.lun}, sector ${place.first}`);
        return;
      }
      if (only === undefined && (answer.status === undefined || answer.sense.startsWith("02/"))) path = (path + 1) % paths;
      await sleep(AGAIN_MILLISECONDS);
    }
    this.#figures.operations += 1;
    const took = performance.now() - since;
    if (took <= this.#figures.longestMilliseconds) return;
    this.#figures.longestMilliseconds = took;
    this.#figures.longest = `LUN ${place.lun}: ${tries.join(", ")}`;
  }

  #nextSequence(): number {
    this.#sequence += 1;
    return this.#sequence;
  }
}

const noFigures = (): RoundFigures => ({ operations: 0, repeated: 0, longestMilliseconds: 0, longest: "" });

interface Place {
  readonly lun: number;
  readonly first: number;
  readonly sectors: number;
}

function mayTryAgain({ status, sense }: CommandAnswer): boolean {
  if (status === undefined || status === STATUS.busy || status === STATUS.taskSetFull || status === STATUS.aborted) return true;
  return status === STATUS.checkCondition && TRY_AGAIN.test(sense);
}

/** The last operations of a register, for a report. */
function describe(operations: readonly RegisterOperation[]): string {
  return operations
    .slice(-12)
    .map(({ kind, value, invoked, ended, unknown }) => {
      return `${kind} ${value}${unknown === true ? "?" : ""} [${invoked.toFixed(1)}, ${ended.toFixed(1)}]`;
    })
    .join(" ");
}

function cdb16(opcode: number, firstSector: number, sectors: number): Buffer {
  const cdb = Buffer.alloc(16);
  cdb[0] = opcode;
  cdb.writeBigUInt64BE(BigInt(firstSector), 2);
  cdb.writeUInt32BE(sectors, 10);
  return cdb;
}
