/**
 * Generated host I/O on one volume, and its model: requests of all kinds, several at a time, each answer held against the
 * registers.
 */
import { dataChecksum } from "../../drivers/shared-memory/data-checksum.ts";
import type { FramePool } from "../../src/cache/frame-pool.ts";
import { growFrameRun } from "../../src/scsi/task.ts";
import { BLOCK_BYTES, BLOCK_STATUS, BlockIo, type BlockStatus, MappingQuery } from "../../src/volume/block-io.ts";
import type { PoolService } from "../../src/volume/pool-service.ts";
import type { Addresses } from "./addresses.ts";
import type { Engine, Life } from "./engine.ts";
import { Registers, type Write } from "./registers.ts";
import { SIM_SECTOR, stampWords } from "./stamp.ts";

/** One read of those that read everything. */
const VERIFY_SECTORS = 64;
const SECTORS_PER_BLOCK = BLOCK_BYTES / SIM_SECTOR;
const KEPT_MILLISECONDS = 10;
/** Of a read that found no memory, 20 ms apart: what holds it waits for drives that may be slow. */
const VERIFY_ATTEMPTS = 200;

/** Whoever serves the volume now. */
export interface Server {
  readonly life: Life;
  readonly frames: FramePool;
  readonly service: PoolService;
  readonly words: Int32Array;
}

/** How hosts behave in this stretch. */
export interface Mood {
  readonly writes: number;
  readonly zeros: number;
  /** Share of the zeroed ranges that reach over more than one cluster. */
  readonly wideZeros: number;
  readonly flushes: number;
  readonly fua: number;
  /** Share of requests that go to a small part of the volume. */
  readonly hot: number;
  readonly hotBlocks: number;
  readonly blocksMax: number;
  /** Share of the requests that begin or end within a block. */
  readonly parts: number;
  /** Every request is of one whole block: records of two lives lie in the same places. */
  readonly uniform: boolean;
  /** Share of what was read that stays in its frames for a while. */
  readonly patience: number;
}

interface Look {
  readonly begun: number;
  readonly life: Life;
}

export class HostVolume {
  readonly volume: number;
  readonly name: string;
  readonly addresses: Addresses;
  readonly registers: Registers;
  /** Shared by all volumes of a run: requests have numbers of their own. */
  readonly #numbers: { next: number };
  readonly #engine: Engine;
  readonly #onAcknowledged: (write: Write, durably: boolean) => void;
  readonly #looks = new Set<Look>();
  readonly #pending = new Set<Write>();
  /** Of the block that a read could not have last. */
  #unreadSpot: number | undefined;
  writeCacheEnabled = true;
  #switching = false;
  #switches = 0;
  /** It is being deleted: what is on its way may be refused, and says nothing any more. */
  closed = false;
  /** Requests sent and not answered by a director that lives. */
  inFlight = 0;
  /** First sectors of blocks that could not be read when all was read. */
  readonly unreadable = new Set<number>();
  readonly seen = { unreadable: 0, reads: 0, writes: 0, zeros: 0, flushes: 0, refused: 0, noMemory: 0 };

  constructor(options: {
    volume: number;
    name: string;
    addresses: Addresses;
    engine: Engine;
    numbers: { next: number };
    /** A host has heard that a write or a zeroing was done; `durably`: not before an fdatasync. */
    onAcknowledged: (write: Write, durably: boolean) => void;
  }) {
    this.volume = options.volume;
    this.name = options.name;
    this.addresses = options.addresses;
    this.#engine = options.engine;
    this.#numbers = options.numbers;
    this.#onAcknowledged = options.onAcknowledged;
    this.registers = new Registers(this.name, options.addresses.sectors, () => this.#oldestLook());
  }

  #oldestLook(): number {
    let oldest = Number.POSITIVE_INFINITY;
    for (const { begun } of this.#looks) if (begun < oldest) oldest = begun;
    // A write may be answered that it was over what was lost then.
    for (const { begun } of this.#pending) if (begun < oldest) oldest = begun;
    return oldest;
  }

  /** The order of events, as the model counts it. */
  #tick(): number {
    return this.#numbers.next++;
  }

  /** From now on too little is left of a block; `older`: of what is there without its newest write. */
  mayBeLost(spot: number, older: boolean): void {
    this.registers.lost(spot, this.#tick(), older);
  }

  /** A random request. */
  act(server: Server, mood: Mood): void {
    const { random } = this.#engine;
    // A host that could not read a block writes a part of it.
    if (this.#unreadSpot !== undefined && random.chance(0.1)) {
      const first = this.#unreadSpot + random.between(1, SECTORS_PER_BLOCK - 2);
      this.write(server, { first, count: 1 }, random.chance(0.2));
      return;
    }
    const dice = random.next();
    if (dice < mood.writes) this.write(server, this.#range(mood), random.chance(mood.fua));
    else if (dice < mood.writes + mood.zeros) this.zero(server, this.#rangeToZero(mood));
    else if (dice < mood.writes + mood.zeros + mood.flushes) this.flush(server);
    else if (random.chance(0.03)) this.#askMapping(server);
    else this.read(server, this.#range(mood), undefined, random.chance(mood.patience));
  }

  /** A wide one reaches over clusters, and all the blocks between them. */
  #rangeToZero(mood: Mood): { first: number; count: number } {
    const { random } = this.#engine;
    const { first, count } = this.#range({ ...mood, blocksMax: 1000 });
    const { sectors, clusterSectors } = this.addresses;
    if (!random.chance(mood.wideZeros)) return { first, count };
    const most = random.chance(0.5) ? Math.min(sectors, first + 3 * clusterSectors) : sectors;
    return { first, count: random.between(1, most - first) };
  }

  /** Sectors within one cluster. */
  #range({ hot, hotBlocks, blocksMax, parts, uniform }: Mood): { first: number; count: number } {
    const { random } = this.#engine;
    const { clusters, clusterSectors } = this.addresses;
    const isHot = random.chance(hot);
    const cluster = isHot ? 0 : random.between(0, clusters - 1);
    const within = random.between(0, (isHot ? Math.min(clusterSectors, hotBlocks * SECTORS_PER_BLOCK) : clusterSectors) - 1);
    const whole = uniform || !random.chance(parts);
    const start = whole ? within - (within % SECTORS_PER_BLOCK) : within;
    const most = uniform ? 1 : random.chance(0.2) ? blocksMax : random.chance(0.5) ? 4 : 1;
    const wanted = whole ? SECTORS_PER_BLOCK * random.between(1, most) : random.between(1, SECTORS_PER_BLOCK * most);
    return { first: cluster * clusterSectors + start, count: Math.min(wanted, clusterSectors - start) };
  }

  #io(range: { first: number; count: number }, done: (io: BlockIo) => void): BlockIo {
    const io = new BlockIo(done);
    io.volume = this.volume;
    // From one cluster to another it is longer than what the hosts use of it.
    const first = this.addresses.sectorOf(range.first);
    const last = range.count === 0 ? first - 1 : this.addresses.sectorOf(range.first + range.count - 1);
    io.offsetBytes = first * SIM_SECTOR;
    io.bytes = (last - first + 1) * SIM_SECTOR;
    return io;
  }

  #begin(range: { first: number; count: number }, zero: boolean): Write {
    const number = this.#tick();
    const write: Write = { number, zero, begun: number, settled: Number.POSITIVE_INFINITY, ...range };
    this.registers.begin(write);
    this.#pending.add(write);
    this.inFlight += 1;
    return write;
  }

  #ended(what: string, write: Write, status: BlockStatus, life: Life, durably: boolean): void {
    if (life.dead || this.closed) return;
    this.inFlight -= 1;
    this.#pending.delete(write);
    const at = this.#tick();
    this.#engine.trace(what, `${this.name} #${write.number} ${write.first}+${write.count}`, STATUS_NAME[status]);
    if (status === BLOCK_STATUS.mediumError) this.#problem(this.#overLost(write));
    if (status === BLOCK_STATUS.good) {
      this.registers.acknowledged(write, at, durably);
      this.#onAcknowledged(write, durably);
    } else if (status === BLOCK_STATUS.failed || write.zero) {
      // It may have been done, in part or in whole. (A zeroing is cut in parts.)
      if (status === BLOCK_STATUS.failed) this.#problem(`${what} #${write.number} answered "failed"`);
      this.registers.abandoned(write, at);
    } else {
      this.seen.refused += 1;
      this.#problem(this.registers.refused(write, at));
    }
  }

  /** A part of a block that is lost can't be written. */
  #overLost(write: Write): string | undefined {
    const { begun, number } = write;
    const parts = partsOf(write).map((spot) => this.registers.unreadable(spot, begun));
    if (parts.includes(undefined)) return undefined;
    return `request ${number} answered a medium error: ${parts[0] ?? "it has no part of a block"}`;
  }

  write(server: Server, range: { first: number; count: number }, fua: boolean): void {
    const { frames, life } = server;
    const count =
      Math.floor((range.first + range.count - 1) / SECTORS_PER_BLOCK) - Math.floor(range.first / SECTORS_PER_BLOCK) + 1;
    const write = this.#begin(range, false);
    this.seen.writes += 1;
    const through = this.#writesThrough();
    const io = this.#io(range, ({ status }) => this.#ended(fua ? "wrote FUA" : "wrote", write, status, life, fua || through()));
    io.forceUnitAccess = fua;
    io.initiatorTaskTag = write.number;
    growFrameRun(io.run, count);
    const go = (): void => {
      if (life.dead) return;
      if (!frames.tryTake(count, io.run.frames, 0)) {
        frames.whenAvailable(count, go);
        return;
      }
      this.#fill(server, io, range, write.number, count);
      server.service.write(io);
    };
    this.#engine.trace("write", `${this.name} #${write.number} ${range.first}+${range.count}`);
    go();
  }

  #fill({ words, frames }: Server, io: BlockIo, range: { first: number; count: number }, number: number, count: number): void {
    io.run.frameCount = count;
    io.run.phase = io.offsetBytes % BLOCK_BYTES;
    io.run.bytes = io.bytes;
    const firstSector = range.first - (range.first % SECTORS_PER_BLOCK);
    for (let n = 0; n < count; n++) {
      const at = frames.addressOf(io.run.frames[n]!) >> 2;
      for (let k = 0; k < SECTORS_PER_BLOCK; k++) {
        const sector = firstSector + n * SECTORS_PER_BLOCK + k;
        const word = at + (k * SIM_SECTOR) / 4;
        // What a host did not write must never show.
        if (sector >= range.first && sector < range.first + range.count) stampWords.write(words, word, this.name, sector, number);
        else words.fill(0x5a5a5a5a, word, word + SIM_SECTOR / 4);
      }
    }
  }

  zero(server: Server, range: { first: number; count: number }): void {
    const write = this.#begin(range, true);
    this.seen.zeros += 1;
    const through = this.#writesThrough();
    const io = this.#io(range, ({ status }) => this.#ended("zeroed", write, status, server.life, through()));
    this.#engine.trace("zero", `${this.name} #${write.number} ${range.first}+${range.count}`);
    server.service.zero(io);
  }

  flush(server: Server): void {
    const { life } = server;
    const look = this.#look(life);
    this.seen.flushes += 1;
    const io = this.#io({ first: 0, count: 0 }, ({ status }) => {
      if (life.dead) return;
      this.inFlight -= 1;
      this.#engine.trace("flushed", this.name, STATUS_NAME[status]);
      if (status === BLOCK_STATUS.good) this.registers.flushed(look.begun);
      else this.#problem(`a flush answered "${STATUS_NAME[status]}"`);
      this.#looks.delete(look);
    });
    server.service.flush(io);
  }

  #look(life: Life): Look {
    const look = { begun: this.#tick(), life };
    this.#looks.add(look);
    this.inFlight += 1;
    return look;
  }

  read(
    server: Server,
    range: { first: number; count: number },
    ended: (status: BlockStatus) => void = () => undefined,
    keeps = false,
  ): void {
    const { life, frames, service, words } = server;
    const look = this.#look(life);
    this.seen.reads += 1;
    const io = this.#io(range, ({ status, run, offsetBytes, errorOffsetBytes }) => {
      if (life.dead) return;
      this.inFlight -= 1;
      if (status === BLOCK_STATUS.good) {
        const at = this.#tick();
        // Frames lie anywhere: each block is looked at by itself.
        for (let n = 0, first = range.first; n < run.frameCount; n++) {
          const within = first % SECTORS_PER_BLOCK;
          const count = Math.min(SECTORS_PER_BLOCK - within, range.first + range.count - first);
          const word = (frames.addressOf(run.frames[n]!) + within * SIM_SECTOR) >> 2;
          this.#problem(this.registers.read({ first, count, begun: look.begun, at }, words, word));
          first += count;
        }
        if (keeps) this.#keep(server, io);
        else service.releaseRead(io);
      } else if (status === BLOCK_STATUS.noMemory) this.seen.noMemory += 1;
      else if (status === BLOCK_STATUS.mediumError) {
        this.seen.unreadable += 1;
        const spot = range.first + (errorOffsetBytes - offsetBytes) / SIM_SECTOR;
        this.#unreadSpot = spot - (spot % SECTORS_PER_BLOCK);
        this.#problem(this.registers.unreadable(spot, look.begun));
      } else this.#problem(`a read of ${range.first}+${range.count} answered "${STATUS_NAME[status]}"`);
      this.#engine.trace("read", `${this.name} ${range.first}+${range.count}`, STATUS_NAME[status]);
      this.#looks.delete(look);
      ended(status);
    });
    service.read(io);
  }

  /** A published frame never changes while it is pinned, whatever becomes of its block. */
  #keep({ life, frames, service }: Server, io: BlockIo): void {
    const engine = this.#engine;
    const checksums = (): string =>
      Array.from({ length: io.run.frameCount }, (_, n) => dataChecksum(frames.view(io.run.frames[n]!))).join();
    const before = checksums();
    engine.after(engine.latency(KEPT_MILLISECONDS), life, () => {
      if (checksums() !== before) this.#problem("what was read has changed in its frames before they were given back");
      service.releaseRead(io);
    });
  }

  /** Whether the volume writes through from now until the answer is asked for. */
  #writesThrough(): () => boolean {
    const switches = this.#switches;
    const enabled = this.writeCacheEnabled;
    return () => !enabled && switches === this.#switches;
  }

  /** Switches the write cache; write-through is counted on only while it is sure. One switch at a time. */
  switchWriteCache(server: Server, enabled: boolean): void {
    if (this.#switching) return;
    this.#switching = true;
    this.inFlight += 1;
    this.writeCacheEnabled = true;
    this.#switches += 1;
    const begun = this.#look(server.life);
    this.inFlight -= 1;
    server.service.setWriteCache(this.volume, enabled, (ok) => {
      if (server.life.dead) return;
      this.#switching = false;
      this.inFlight -= 1;
      this.#looks.delete(begun);
      this.#engine.trace("write cache", this.name, `${enabled} ${ok}`);
      if (!ok) this.#problem("the write cache can't be switched");
      this.writeCacheEnabled = enabled;
      // What was acknowledged before write-through began is durable too.
      if (!enabled) this.registers.flushed(begun.begun);
    });
  }

  /** Whether a question is answered is all that is asked here. */
  #askMapping(server: Server): void {
    const query = new MappingQuery(() => {
      if (!server.life.dead) this.inFlight -= 1;
    });
    query.volume = this.volume;
    query.extentsMax = 4;
    this.inFlight += 1;
    server.service.mapping(query);
  }

  /** Reads all there is, once. */
  verify(server: Server, share = 1): void {
    const { sectors, clusterSectors } = this.addresses;
    if (share === 1) this.unreadable.clear();
    for (let first = 0; first < sectors; ) {
      const count = Math.min(VERIFY_SECTORS, clusterSectors - (first % clusterSectors));
      if (share === 1 || this.#engine.random.chance(share)) this.#verifyPart(server, { first, count }, VERIFY_ATTEMPTS);
      first += count;
    }
  }

  #verifyPart(server: Server, range: { first: number; count: number }, attempts: number): void {
    this.read(server, range, (status) => {
      if (status === BLOCK_STATUS.good) return;
      if (status === BLOCK_STATUS.mediumError) {
        // What else is in there is read by itself.
        if (range.count === SECTORS_PER_BLOCK) this.unreadable.add(range.first);
        else
          for (let n = 0; n < range.count; n += SECTORS_PER_BLOCK)
            this.#verifyPart(server, { first: range.first + n, count: SECTORS_PER_BLOCK }, attempts);
        return;
      }
      if (attempts === 0) this.#problem(`sectors ${range.first}+${range.count} can't be read for want of memory`);
      else {
        // Its volume stays where it is until it is read.
        this.inFlight += 1;
        this.#engine.after(20, server.life, () => {
          this.inFlight -= 1;
          this.#verifyPart(server, range, attempts - 1);
        });
      }
    });
  }

  /** Requests that end however full a disk is: what is put on record on the drives waits there for room. */
  get boundedInFlight(): number {
    return this.#switching ? this.inFlight - 1 : this.inFlight;
  }

  /** What has not been answered, for people. */
  get waitsFor(): string {
    if (this.inFlight === 0) return "";
    const writes = [...this.#pending].map(
      (write) => `${write.zero ? "zero" : "write"} #${write.number} ${write.first}+${write.count}`,
    );
    return `${this.name} waits for ${this.inFlight} answers: ${this.#looks.size} reads and flushes, ${writes.join(", ")}`;
  }

  /** Its director died: what was not answered will not be. */
  serverDied(): void {
    const at = this.#tick();
    for (const write of this.#pending) this.registers.abandoned(write, at);
    this.#pending.clear();
    this.#looks.clear();
    // Which of the two it is is not known, unless it was settled.
    if (this.#switching) this.writeCacheEnabled = true;
    this.#switching = false;
    this.inFlight = 0;
  }

  #problem(what: string | undefined): void {
    if (what !== undefined && !this.closed) this.#engine.fail(`volume ${this.name}: ${what}`);
  }
}

/** A spot of each block that only a part of was written: of one, or of two. */
export function partsOf({ first, count }: Pick<Write, "first" | "count">): number[] {
  const end = first + count;
  return [...(first % SECTORS_PER_BLOCK > 0 ? [first] : []), ...(end % SECTORS_PER_BLOCK > 0 ? [end - 1] : [])];
}

const STATUS_NAME: Readonly<Record<BlockStatus, string>> = {
  [BLOCK_STATUS.good]: "good",
  [BLOCK_STATUS.mediumError]: "medium error",
  [BLOCK_STATUS.spaceExhausted]: "space exhausted",
  [BLOCK_STATUS.noMemory]: "no memory",
  [BLOCK_STATUS.failed]: "failed",
  [BLOCK_STATUS.noVolume]: "no volume",
  [BLOCK_STATUS.aborted]: "aborted",
  [BLOCK_STATUS.reopening]: "reopening",
  [BLOCK_STATUS.unreachable]: "unreachable",
  [BLOCK_STATUS.writeProtected]: "write protected",
};
