/**
 * A simulated drive: the contract of drivers/drive/drive.ts over memory, with the times, the order and the durability of the
 * LevelDB drive, and what LevelDB leaves after a crash.
 *
 *   call ─▶ (ring) ─▶ arrives: fence, checks, order ─▶ happens: bytes are copied, durable and seen at once ─▶ (ring) ─▶ answer
 *
 * What the real one promises (level-database.ts: every batch is `sync: true`; a batch is atomic; zone-folders.ts: a zone is
 * there whole or not at all) holds from the moment that an operation happens. What has arrived and not happened when the
 * process is killed may be there or not: of one zone's writes a first part, as they lie in one log. When the power fails
 * any subset of them is there, as LevelDB drops damaged log records in silence and goes on with those behind.
 *
 * `SimDriveState` is the drive itself, its thread and its disk: it outlives directors.
 */
import {
  DriveError,
  type DriveGeometry,
  type DriveIdentity,
  type MetadataOperation,
  type MetadataPage,
  type MetadataRange,
  type PartsRead,
  type StripRead,
  type StripWrite,
  type ZoneNumber,
  type ZoneStat,
} from "../../drivers/drive/drive.ts";
import {
  checkMetadataKey,
  checkMetadataOperations,
  checkMetadataRange,
  checkStrips,
  checkZoneNumber,
  METADATA_ENTRY_OVERHEAD_BYTES,
  METADATA_PAGE_BYTES_MAX,
} from "../../drivers/drive/drive-checks.ts";
import { DriveFence } from "../../drivers/drive/drive-fence.ts";
import type { DamageableDrive } from "../../drivers/drive/fault-drive.ts";
import { memoryDriveIdentity } from "../../drivers/drive/memory-drive.ts";
import { checkParts, deliverParts } from "../../drivers/drive/strip-parts.ts";
import { ZoneLedger } from "../../drivers/drive/zone-ledger.ts";
import type { GlobalMemory } from "../../drivers/shared-memory/global-memory.ts";
import type { Random } from "../support/random.ts";
import type { Engine, Life } from "./engine.ts";

export interface SimZone {
  finished: boolean;
  /** One past the last strip that was handed to the database. */
  nextStrip: number;
  readonly strips: Map<number, Uint8Array>;
  /** Writes handed over that have not happened yet. */
  writing: number;
}

/** An operation that changes the drive, from its arrival until it happens. */
interface Pending {
  /** Operations of one log happen one after the other. */
  readonly log: string;
  readonly apply: () => void;
}

/** Where a crash may come: told by drive and journal file. May throw `Stopped` for a life that is just acting. */
export type Site = (site: string, life: Life | undefined) => void;

const REQUEST_MILLISECONDS = 0.02;
const STALL_SHARE = 0.003;
const STALL_MILLISECONDS = 25;
/** Between two that keep their order. */
const ORDER_MILLISECONDS = 0.0001;
const FOLDER_MILLISECONDS = 8;
const WRITE_MILLISECONDS = 2;
const READ_MILLISECONDS = 0.3;
/** A drive that does what it is told is done well before the deadline (late-drive.ts), also with others of its log before. */
const SLOWEST_MILLISECONDS = 1000;

export class SimDriveState {
  readonly identity: DriveIdentity;
  readonly zones = new Map<ZoneNumber, SimZone>();
  readonly metadata = new Map<string, Uint8Array>();
  ledger = new ZoneLedger();
  fence: DriveFence;
  readonly pending = new Set<Pending>();
  /** When the last operation of each log happens. */
  readonly lastOf = new Map<string, number>();
  /** Raised with each end of the process: what is on its way in an older one is gone. */
  process = 0;
  /** Zones that strips were asked for of, and that it does not have: nobody should, who knows what it has. */
  readonly readsAstray = new Set<ZoneNumber>();
  /** How slow it is, against others; how slow reads, and changes of its metadata, are beside. */
  slowness = 1;
  metadataSlowness = 1;
  readSlowness = 1;
  /** A drive thread that is busy with something else: what lies in its rings may be older than the owner that it hears of next. */
  stallShare = STALL_SHARE;
  /** Hears of each value that is put among the metadata, as it is put. */
  onMetadata: ((key: string, value: Uint8Array) => void) | undefined;

  constructor(options: { name: string; driveId: string; geometry: DriveGeometry }) {
    this.identity = memoryDriveIdentity(options);
    this.fence = new DriveFence(options.name);
  }

  /** What lies on the disk, to be put back later. */
  snapshot(): () => void {
    const { ledger } = this;
    const metadata = new Map(this.metadata);
    const zones = [...this.zones].map(([zone, { finished, nextStrip, strips }]) => ({
      zone,
      finished,
      nextStrip,
      strips: new Map(strips),
    }));
    return () => {
      this.ledger = ledger;
      this.metadata.clear();
      for (const [key, value] of metadata) this.metadata.set(key, value);
      this.zones.clear();
      for (const { zone, finished, nextStrip, strips } of zones)
        this.zones.set(zone, { finished, nextStrip, strips: new Map(strips), writing: 0 });
    };
  }

  /** The process ends, by itself or with the machine. */
  crash(kind: "process" | "power", random: Random): void {
    this.process += 1;
    const cut = new Set<string>();
    const share = random.next();
    for (const { log, apply } of this.pending) {
      if (cut.has(log)) continue;
      if (random.chance(share)) apply();
      else if (kind === "process") cut.add(log);
    }
    this.pending.clear();
    this.lastOf.clear();
    this.fence = new DriveFence(this.identity.name);
    for (const zone of this.zones.values()) {
      zone.nextStrip = zone.strips.size === 0 ? 0 : Math.max(...zone.strips.keys()) + 1;
      zone.writing = 0;
    }
  }
}

const never = <T>(): Promise<T> => new Promise<T>(() => undefined);

export class SimDrive implements DamageableDrive {
  readonly name: string;
  readonly #state: SimDriveState;
  readonly #global: GlobalMemory;
  readonly #engine: Engine;
  readonly #life: Life;
  readonly #site: Site;
  #epoch = -1;
  /** A ring keeps the order. */
  #lastArrival = 0;

  constructor(options: { state: SimDriveState; global: GlobalMemory; engine: Engine; life: Life; site: Site }) {
    this.name = options.state.identity.name;
    this.#state = options.state;
    this.#global = options.global;
    this.#engine = options.engine;
    this.#life = options.life;
    this.#site = options.site;
  }

  identify(): Promise<DriveIdentity> {
    return this.#life.dead ? never() : Promise.resolve(this.#state.identity);
  }

  open(epoch: number): Promise<void> {
    return this.#request("open", () => {
      this.#epoch = epoch;
      return this.#state.fence.raise(epoch);
    });
  }

  async close(): Promise<void> {
    this.#epoch = -1;
  }

  listZones(): Promise<readonly ZoneStat[]> {
    return this.#read("listZones", () =>
      [...this.#state.zones].map(([zone, { finished }]) => ({ zone, finished })).sort((a, b) => a.zone - b.zone),
    );
  }

  createZone(zone: ZoneNumber): Promise<void> {
    return this.#change("createZone", FOLDER_MILLISECONDS, () => {
      checkZoneNumber(this.name, zone);
      const { zones, ledger, identity, pending } = this.#state;
      if (zones.has(zone)) throw new DriveError("invalid", this.name, `zone ${zone} is there already`);
      if (ledger.isRetired(zone)) throw new DriveError("invalid", this.name, `zone number ${zone} was used before`);
      let unborn = 0;
      for (const { log } of pending) if (log.startsWith("create/")) unborn += 1;
      if (zones.size + unborn >= identity.zoneCount)
        throw new DriveError("noSpace", this.name, `has its ${identity.zoneCount} zones`);
      return {
        log: `create/${zone}`,
        apply: () => void zones.set(zone, { finished: false, nextStrip: 0, strips: new Map(), writing: 0 }),
      };
    });
  }

  finishZone(zone: ZoneNumber): Promise<void> {
    return this.#change("finishZone", FOLDER_MILLISECONDS, () => {
      checkZoneNumber(this.name, zone);
      const found = this.#zone(zone);
      return {
        log: `zone/${zone}`,
        apply: () => {
          found.finished = true;
        },
      };
    });
  }

  resetZone(zone: ZoneNumber): Promise<void> {
    return this.#change("resetZone", FOLDER_MILLISECONDS, () => {
      checkZoneNumber(this.name, zone);
      const state = this.#state;
      return {
        log: `zone/${zone}`,
        apply: () => {
          state.ledger = state.ledger.withRetired(zone);
          state.zones.delete(zone);
        },
      };
    });
  }

  /** To a crash it is a metadata batch, as it is one in the real drive. */
  forgetZones(): Promise<void> {
    return this.#change("metadataBatch", WRITE_MILLISECONDS, () => {
      const state = this.#state;
      if (state.zones.size > 0) throw new DriveError("invalid", this.name, "has zones");
      return {
        log: "metadata",
        apply: () => {
          state.ledger = new ZoneLedger();
        },
      };
    });
  }

  writeStrips(write: StripWrite): Promise<void> {
    return this.#change("writeStrips", WRITE_MILLISECONDS, () => {
      const { stripBytes } = this.#state.identity;
      checkStrips(this.name, this.#state.identity, write, this.#global);
      const zone = this.#zone(write.zone);
      if (zone.finished) throw new DriveError("invalid", this.name, `zone ${write.zone} is finished`);
      if (write.firstStrip < zone.nextStrip) {
        throw new DriveError(
          "invalid",
          this.name,
          `zone ${write.zone}: strip ${write.firstStrip} comes after strip ${zone.nextStrip - 1}`,
        );
      }
      zone.nextStrip = write.firstStrip + write.count;
      return {
        log: `zone/${write.zone}`,
        apply: () => {
          for (let n = 0; n < write.count; n++) {
            const at = write.address + n * write.strideBytes;
            zone.strips.set(write.firstStrip + n, this.#global.u8.slice(at, at + stripBytes));
          }
        },
      };
    });
  }

  readStrips(read: StripRead): Promise<void> {
    return this.#read("readStrips", () => {
      checkStrips(this.name, this.#state.identity, read, this.#global);
      const zone = this.#zoneToRead(read.zone);
      for (let n = 0; n < read.count; n++) {
        const strip = zone.strips.get(read.firstStrip + n);
        if (strip === undefined)
          throw new DriveError("notFound", this.name, `zone ${read.zone} has no strip ${read.firstStrip + n}`);
        this.#global.u8.set(strip, read.address + n * read.strideBytes);
      }
    });
  }

  readParts(read: PartsRead): Promise<void> {
    return this.#read("readParts", () => {
      checkParts(this.name, this.#state.identity, read, this.#global);
      const strip = this.#zoneToRead(read.zone).strips.get(read.strip);
      if (strip === undefined) throw new DriveError("notFound", this.name, `zone ${read.zone} has no strip ${read.strip}`);
      deliverParts(this.#global, Buffer.from(strip.buffer, strip.byteOffset, strip.byteLength), read);
    });
  }

  metadataGet(key: string): Promise<Uint8Array | undefined> {
    return this.#read("metadataGet", () => {
      checkMetadataKey(this.name, key);
      return this.#state.metadata.get(key)?.slice();
    });
  }

  metadataBatch(operations: readonly MetadataOperation[]): Promise<void> {
    return this.#change("metadataBatch", WRITE_MILLISECONDS * this.#state.metadataSlowness, () => {
      checkMetadataOperations(this.name, operations);
      const { metadata } = this.#state;
      // Values cross in the mailbox: what their owner does to them later changes nothing.
      const copies = operations.map((operation) =>
        operation.type === "put" ? { ...operation, value: operation.value.slice() } : operation,
      );
      return {
        log: "metadata",
        apply: () => {
          for (const operation of copies) {
            if (operation.type === "put") {
              metadata.set(operation.key, operation.value);
              this.#state.onMetadata?.(operation.key, operation.value);
            } else metadata.delete(operation.key);
          }
        },
      };
    });
  }

  metadataScan(range: MetadataRange): Promise<MetadataPage> {
    return this.#read("metadataScan", () => {
      checkMetadataRange(this.name, range);
      const { metadata } = this.#state;
      const bytesMax = Math.min(range.bytesMax, METADATA_PAGE_BYTES_MAX);
      const keys: string[] = [];
      for (const key of metadata.keys()) if (key >= range.from && key < range.below) keys.push(key);
      const entries: (readonly [string, Uint8Array])[] = [];
      let bytes = 0;
      for (const key of keys.sort()) {
        const value = metadata.get(key)!;
        bytes += METADATA_ENTRY_OVERHEAD_BYTES + key.length + value.byteLength;
        if (entries.length > 0 && bytes > bytesMax) return { entries, more: true };
        entries.push([key, value.slice()]);
      }
      return { entries, more: false };
    });
  }

  flush(): Promise<void> {
    return this.#read("flush", () => undefined);
  }

  /** For faults on command: at once, as what happens is what the fault drive has just let happen. */
  async changeStrip(
    zone: ZoneNumber,
    strip: number,
    change: (held: Buffer | undefined) => Uint8Array | undefined,
  ): Promise<void> {
    const strips = this.#state.zones.get(zone)?.strips;
    if (strips === undefined || this.#life.dead) return;
    const held = strips.get(strip);
    const changed = change(held === undefined ? undefined : Buffer.from(held));
    if (changed === undefined) strips.delete(strip);
    else strips.set(strip, new Uint8Array(changed));
  }

  #zoneToRead(zone: ZoneNumber): SimZone {
    if (!this.#state.zones.has(zone)) {
      this.#engine.trace("astray", this.#life.name, this.name, zone);
      this.#state.readsAstray.add(zone);
    }
    return this.#zone(zone);
  }

  #zone(zone: ZoneNumber): SimZone {
    const found = this.#state.zones.get(zone);
    if (found === undefined) throw new DriveError("notFound", this.name, `has no zone ${zone}`);
    return found;
  }

  /** A request on its way to the drive thread, done there in one go. */
  #request<T>(name: string, serve: () => Promise<T> | T): Promise<T> {
    if (this.#life.dead) return never();
    const engine = this.#engine;
    const state = this.#state;
    const { process } = state;
    return new Promise<T>((resolve, reject) => {
      this.#site(`drive.${name}`, this.#life);
      const transport = engine.random.chance(state.stallShare) ? STALL_MILLISECONDS : REQUEST_MILLISECONDS;
      this.#lastArrival = Math.max(this.#lastArrival + ORDER_MILLISECONDS, engine.now + engine.latency(transport));
      engine.at(this.#lastArrival, undefined, () => {
        if (state.process !== process) return;
        const answer = (tell: () => void): void => {
          if (state.process === process)
            engine.after(engine.latency(REQUEST_MILLISECONDS), this.#life, () => {
              tell();
            });
        };
        let served: Promise<T>;
        try {
          served = Promise.resolve(serve());
        } catch (error) {
          served = Promise.reject(error as Error);
        }
        served.then(
          (value) => answer(() => resolve(value)),
          (error: unknown) => answer(() => reject(error as Error)),
        );
      });
    });
  }

  #fenced(): number {
    if (this.#epoch < 0) throw new DriveError("invalid", this.name, "is not open");
    this.#state.fence.enter(this.#epoch);
    return this.#epoch;
  }

  #read<T>(name: string, read: () => T): Promise<T> {
    return this.#request(name, () => {
      const epoch = this.#fenced();
      const { fence } = this.#state;
      return new Promise<T>((resolve, reject) => {
        this.#happens(READ_MILLISECONDS * this.#state.readSlowness, 0, () => {
          try {
            resolve(read());
          } catch (error) {
            reject(error as Error);
          } finally {
            fence.leave(epoch);
          }
          this.#site(`driveDone.${name}`, undefined);
        });
      });
    });
  }

  #change(name: string, milliseconds: number, prepare: () => Pending): Promise<void> {
    return this.#request(name, () => {
      const epoch = this.#fenced();
      const { fence, pending, lastOf } = this.#state;
      let change: Pending;
      try {
        change = prepare();
      } catch (error) {
        fence.leave(epoch);
        throw error;
      }
      pending.add(change);
      return new Promise<void>((resolve) => {
        const when = this.#happens(milliseconds, lastOf.get(change.log) ?? 0, () => {
          pending.delete(change);
          change.apply();
          fence.leave(epoch);
          resolve();
          this.#site(`driveDone.${name}`, undefined);
        });
        lastOf.set(change.log, when);
      });
    });
  }

  #happens(milliseconds: number, notBefore: number, work: () => void): number {
    const engine = this.#engine;
    const state = this.#state;
    const { process } = state;
    const when = Math.max(
      notBefore + ORDER_MILLISECONDS,
      engine.now + Math.min(SLOWEST_MILLISECONDS, engine.latency(milliseconds * state.slowness)),
    );
    engine.at(when, undefined, () => {
      if (state.process === process) work();
    });
    return when;
  }
}
