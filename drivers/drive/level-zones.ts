/**
 * All zones of one LevelDB drive: which there are, their states, and which databases are open.
 *
 * Runs on: the drive thread. Owns: the zone databases and their folders.
 * Invariants:
 *  1. At most `zoneCount` zones; a number that was reset comes back only after `forget`, of a drive without zones (zone-ledger.ts).
 *  2. Changes of one zone's state (create, finish, reset) run one after the other.
 *  3. Open databases that nobody uses are at most `finishedOpenMax` finished ones and `writableOpenMax` others; those
 *     in use are bounded by the operations in flight.
 */
import type { GlobalMemory } from "../shared-memory/global-memory.ts";
import { AtMost } from "./at-most.ts";
import type { DiskSpace } from "./disk-space.ts";
import {
  DriveError,
  type DriveGeometry,
  type PartsRead,
  type StripRead,
  type StripWrite,
  type ZoneNumber,
  type ZoneStat,
} from "./drive.ts";
import { LevelDatabase, type LevelTuning } from "./level-database.ts";
import type { LevelMetadata } from "./level-metadata.ts";
import { LevelZone } from "./level-zone.ts";
import { ReadPace } from "./read-pace.ts";
import { RefusedStrips } from "./refused-strips.ts";
import { ZoneFolders } from "./zone-folders.ts";
import { ZoneLedger } from "./zone-ledger.ts";

/** What a drive may keep in memory: 2 × 2 × 1 MiB of write buffers and about 40 KiB for each open finished zone. */
export const LEVEL_DRIVE_BOUNDS = {
  zoneTuning: { writeBufferBytes: 1024 * 1024, blockCacheBytes: 16 * 1024 },
  writableOpenMax: 2,
  finishedOpenMax: 128,
} as const;

export type LevelDriveBounds = {
  readonly zoneTuning: LevelTuning;
  readonly writableOpenMax: number;
  readonly finishedOpenMax: number;
};

/**
 * Reads of one drive in libuv's threads. The whole process has 16 of them, LevelDB's writes run there too, and a disk that
 * hangs keeps those that it was given: the other drives must have some left.
 */
const READS_ASIDE_MAX = 4;

const FINISHED = "finished/";
const FINISHED_END = "finished0";

export class LevelZones {
  readonly #drive: string;
  readonly #driveFolder: string;
  readonly #geometry: DriveGeometry;
  readonly #global: GlobalMemory;
  readonly #metadata: LevelMetadata;
  readonly #space: DiskSpace;
  readonly refused = new RefusedStrips();
  readonly #folders: ZoneFolders;
  readonly #bounds: LevelDriveBounds;
  readonly #pace = new ReadPace();
  readonly #aside = new AtMost(READS_ASIDE_MAX);
  readonly #zones = new Map<ZoneNumber, LevelZone>();
  /** Open zones, the least recently used first: a read looks at no other zone than its own. */
  readonly #recentFinished = new Set<LevelZone>();
  readonly #recentWritable = new Set<LevelZone>();
  /** The last state change under way for a zone. */
  readonly #changes = new Map<ZoneNumber, Promise<void>>();
  /** Numbers of zones that are being made, against `zoneCount`. */
  #unborn = 0;
  #ledger = new ZoneLedger();
  /** Ledger updates run one after the other: each writes the whole ledger. */
  #ledgerTurn: Promise<void> = Promise.resolve();

  constructor(options: {
    drive: string;
    driveFolder: string;
    geometry: DriveGeometry;
    global: GlobalMemory;
    metadata: LevelMetadata;
    space: DiskSpace;
    bounds?: LevelDriveBounds;
  }) {
    this.#drive = options.drive;
    this.#driveFolder = options.driveFolder;
    this.#geometry = options.geometry;
    this.#global = options.global;
    this.#metadata = options.metadata;
    this.#space = options.space;
    this.#folders = new ZoneFolders(options.driveFolder);
    this.#bounds = options.bounds ?? LEVEL_DRIVE_BOUNDS;
  }

  get openCount(): number {
    return this.#recentFinished.size + this.#recentWritable.size;
  }

  /** Reads the states and removes what interrupted births and removals left. */
  async load(): Promise<void> {
    const retired = await this.#metadata.getOwn("retired");
    const ledger = retired === undefined ? new ZoneLedger() : ZoneLedger.decode(retired);
    if (ledger === undefined) throw new DriveError("foreign", this.#drive, "its list of used zone numbers can't be read");
    this.#ledger = ledger;
    const finished = new Set<number>();
    for (const key of await this.#metadata.ownKeys(FINISHED, FINISHED_END)) finished.add(Number(key.slice(FINISHED.length)));
    for (const zone of this.#folders.sweep((number) => ledger.isRetired(number))) {
      this.#zones.set(zone, this.#zone(zone, finished.has(zone)));
    }
  }

  list(): ZoneStat[] {
    return [...this.#zones.values()].map(({ zone, finished }) => ({ zone, finished })).sort((a, b) => a.zone - b.zone);
  }

  create(zone: ZoneNumber): Promise<void> {
    return this.#inTurn(zone, async () => {
      if (this.#zones.has(zone)) throw new DriveError("invalid", this.#drive, `zone ${zone} is there already`);
      if (this.#ledger.isRetired(zone)) throw new DriveError("invalid", this.#drive, `zone number ${zone} was used before`);
      if (this.#zones.size + this.#unborn >= this.#geometry.zoneCount) {
        throw new DriveError("noSpace", this.#drive, `has its ${this.#geometry.zoneCount} zones`);
      }
      this.#space.check(0, this.#space.reserve.stripsBytes);
      this.#unborn += 1;
      const made = this.#zone(zone, false);
      try {
        await this.#folders.create(zone, this.#bounds.zoneTuning);
      } catch (error) {
        throw made.database.error(error, "write", `create zone ${zone}`);
      } finally {
        this.#unborn -= 1;
      }
      made.setEmpty();
      this.#zones.set(zone, made);
    });
  }

  finish(zone: ZoneNumber): Promise<void> {
    return this.#inTurn(zone, async () => {
      const found = this.#find(zone);
      if (found.finished) return;
      await found.writesDrained();
      this.refused.forget(zone);
      await this.#metadata.batchOwn([[`${FINISHED}${String(zone).padStart(8, "0")}`, new Uint8Array(0)]]);
      found.finished = true;
      // Opening again turns the log into tables, so that the zone's reads and its later openings are quick ones.
      await found.database.close();
      await found.database.acquire("read");
      found.database.release();
      this.#touch(found);
    });
  }

  reset(zone: ZoneNumber): Promise<void> {
    return this.#inTurn(zone, async () => {
      const found = this.#zones.get(zone);
      this.#zones.delete(zone);
      try {
        await found?.writesDrained();
        await this.#retire(zone);
      } catch (error) {
        // The zone is still whole: it is there again, and the caller may try again.
        if (found !== undefined) this.#zones.set(zone, found);
        throw error;
      }
      this.refused.forget(zone);
      if (found !== undefined) this.#forget(found);
      await found?.database.closeForRemoval();
      try {
        this.#folders.remove(zone);
      } catch (error) {
        // The number is retired, so that the next opening of the drive removes what is left.
        throw this.#metadata.database.error(error, "write", `remove zone ${zone}`);
      }
    });
  }

  async forget(): Promise<void> {
    const turn = this.#ledgerTurn.then(async () => {
      if (this.#zones.size + this.#unborn > 0) throw new DriveError("invalid", this.#drive, "has zones");
      const none = new ZoneLedger();
      try {
        // What a removal has left is told from a zone by its number alone.
        this.#folders.sweep(() => true);
      } catch (error) {
        throw this.#metadata.database.error(error, "write", "remove what is left of zones");
      }
      await this.#metadata.batchOwn([["retired", none.encode()]]);
      this.#ledger = none;
    });
    this.#ledgerTurn = turn.catch(() => undefined);
    await turn;
  }

  async writeStrips(write: StripWrite): Promise<void> {
    const zone = this.#find(write.zone);
    await this.refused.inTurn(this.#drive, write, () => {
      this.#space.check(write.count * this.#geometry.stripBytes, this.#space.reserve.stripsBytes);
      return zone.writeStrips(write);
    });
    this.#touch(zone);
  }

  hasStrips(write: StripWrite): Promise<boolean> {
    return this.#find(write.zone).hasStrips(write);
  }

  readStrips(read: StripRead): Promise<void> | undefined {
    const zone = this.#find(read.zone);
    if (!zone.tryReadStrips(read)) return this.#opened(zone, () => zone.readStrips(read));
    this.#touch(zone);
    return undefined;
  }

  /** False: the zone's database has to be opened first, or the disk is slow: many reads at a time, then (`readParts`). */
  tryReadParts(read: PartsRead): boolean {
    const zone = this.#find(read.zone);
    if (!this.#pace.onTheSpot()) return false;
    const { clock } = this.#global;
    const began = clock.nowMicroseconds();
    if (!zone.tryReadParts(read)) return false;
    this.#pace.took(clock.nowMicroseconds() - began);
    this.#touch(zone);
    return true;
  }

  async readParts(read: PartsRead): Promise<void> {
    await this.#aside.run(() => {
      const zone = this.#find(read.zone);
      return this.#opened(zone, () => zone.readParts(read));
    });
  }

  /** For faults on command. */
  async changeStrip(
    zone: ZoneNumber,
    strip: number,
    change: (held: Buffer | undefined) => Uint8Array | undefined,
  ): Promise<void> {
    await this.#zones.get(zone)?.changeStrip(strip, change);
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.#changes.values());
    for (const zone of this.#zones.values()) {
      await zone.writesDrained();
      await zone.database.close();
    }
    this.#recentFinished.clear();
    this.#recentWritable.clear();
  }

  /** Runs a read that opens the zone's database. */
  async #opened(zone: LevelZone, read: () => Promise<void>): Promise<void> {
    try {
      await read();
    } catch (error) {
      // The folder of a zone is gone, but not the drive: that zone's strips are lost writes, for redundancy to rebuild.
      if (error instanceof DriveError && error.kind === "unrecoveredRead" && !this.#folders.exists(zone.zone)) {
        throw new DriveError("notFound", this.#drive, `zone ${zone.zone} is gone`, { cause: error });
      }
      throw error;
    }
    this.#touch(zone);
  }

  #find(zone: ZoneNumber): LevelZone {
    const found = this.#zones.get(zone);
    if (found === undefined) throw new DriveError("notFound", this.#drive, `has no zone ${zone}`);
    return found;
  }

  #zone(zone: ZoneNumber, finished: boolean): LevelZone {
    const database = new LevelDatabase({
      folder: this.#folders.path(zone),
      drive: this.#drive,
      driveFolder: this.#driveFolder,
      tuning: this.#bounds.zoneTuning,
      space: this.#space,
    });
    return new LevelZone({ zone, finished, database, drive: this.#drive, geometry: this.#geometry, global: this.#global });
  }

  /** Runs `change` after the changes of the same zone that were asked for before. */
  #inTurn(zone: ZoneNumber, change: () => Promise<void>): Promise<void> {
    const before = this.#changes.get(zone) ?? Promise.resolve();
    const turn = before.catch(() => undefined).then(change);
    this.#changes.set(zone, turn);
    const clear = () => {
      if (this.#changes.get(zone) === turn) this.#changes.delete(zone);
    };
    turn.then(clear, clear);
    return turn;
  }

  async #retire(zone: ZoneNumber): Promise<void> {
    const turn = this.#ledgerTurn.then(async () => {
      const next = this.#ledger.withRetired(zone);
      await this.#metadata.batchOwn([
        ["retired", next.encode()],
        [`${FINISHED}${String(zone).padStart(8, "0")}`, undefined],
      ]);
      this.#ledger = next;
    });
    this.#ledgerTurn = turn.catch(() => undefined);
    await turn;
  }

  /** Marks a zone as used now, and closes what is open beyond the bounds. */
  #touch(zone: LevelZone): void {
    this.#forget(zone);
    if (!zone.database.isOpen) return;
    const { finishedOpenMax, writableOpenMax } = this.#bounds;
    const recent = zone.finished ? this.#recentFinished : this.#recentWritable;
    recent.add(zone);
    closeBeyond(recent, zone.finished ? finishedOpenMax : writableOpenMax);
  }

  #forget(zone: LevelZone): void {
    this.#recentFinished.delete(zone);
    this.#recentWritable.delete(zone);
  }
}

function closeBeyond(recent: Set<LevelZone>, max: number): void {
  if (recent.size <= max) return;
  for (const zone of recent) {
    if (zone.database.users > 0) continue;
    recent.delete(zone);
    // A failed close shows at the next opening, which somebody waits for.
    zone.database.close().catch(() => undefined);
    if (recent.size <= max) return;
  }
}
