/**
 * Architecture, invariant 2: journal fdatasync, then drive data, then map, each durable before the next, then trim. The
 * order of what reaches drives and journal is recorded over a random load, and every step is held against it.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { MetadataOperation, StripWrite } from "../../../drivers/drive/drive.ts";
import type { JournalFile } from "../../../drivers/journal-file/journal-file.ts";
import { decodeSuperblock, JOURNAL_DATA_START, SUPERBLOCK_BYTES } from "../../../src/journal/record.ts";
import { decodeLogRecord, sequenceOfLogKey, ZONE_EVENT } from "../../../src/map/map-log.ts";
import { decodePlace, groupGeometry, NOT_MAPPED } from "../../../src/raid/geometry.ts";
import { readTag, stripShape } from "../../../src/raid/strip.ts";
import { interceptDrive } from "../../support/gated-drive.ts";
import {
  MemoryPoolMedia,
  type OpenedPool,
  openMemoryPool,
  SMALL_POOL,
  volumeDocument,
  writeBytes,
  zeroBytes,
} from "../../support/memory-pool.ts";

const BLOCK = 4096;
const VOLUME_BLOCKS = 1400;

/** Watches a pool's drives and journal; throws where a step comes before what it relies on. */
class Law {
  readonly geometry = groupGeometry(SMALL_POOL);
  pool: OpenedPool | undefined;
  /** Journal records written, and how many of them an fdatasync has covered. */
  written = 0;
  synced = 0;
  /** Stripes durable on all drives, "zone/stripe", and each drive's own. */
  readonly strips = Array.from({ length: 4 }, () => new Set<string>());
  readonly zoneOfSlot = new Map<number, number>();
  readonly blocksLive = new Map<number, Set<string>>();
  /** Where the map as it is on the drives has each block. */
  readonly mapped = new Map<string, { zone: number; place: number }>();
  readonly logged = [new Map<number, Uint8Array>(), new Map<number, Uint8Array>()];
  seen = { stripes: 0, changes: 0, zonesRemoved: 0, trims: 0 };
  broken: string[] = [];

  require(holds: boolean, what: string): void {
    if (!holds) this.broken.push(what);
  }

  beforeStrips(position: number, write: StripWrite): void {
    const { global, frames, service } = this.pool!;
    const { shape } = this.geometry;
    const { cache } = service.pool(0).parts;
    for (let n = 0; n < write.count; n++) {
      const strip = write.address + n * write.strideBytes;
      for (let index = 0; index < shape.blocksPerStrip; index++) {
        const tag = readTag(global, strip, shape, index);
        const parityAt = 3 - ((write.firstStrip + n) % 4);
        if (position === parityAt || tag.volume !== 1) continue;
        const frame = cache.find(tag.volume, tag.block);
        // What is still the newest version and dirty was journaled, and the journal is durable up to there.
        if (frame < 0 || !cache.isDirty(frame) || frames.destaging[frame] !== 1) continue;
        if (frames.crc[frame] !== tag.crc) continue;
        this.require(
          frames.sequence[frame]! <= this.synced,
          `block ${tag.block} of record ${frames.sequence[frame]} on a drive, durable: ${this.synced}`,
        );
      }
    }
  }

  afterStrips(position: number, write: StripWrite): void {
    for (let n = 0; n < write.count; n++) this.strips[position]!.add(`${write.zone}/${write.firstStrip + n}`);
    this.seen.stripes += write.count;
  }

  metadata(position: number, operations: readonly MetadataOperation[]): void {
    for (const operation of operations) {
      if (!operation.key.startsWith("l/") || operation.type !== "put" || position > 1) continue;
      const sequence = sequenceOfLogKey(operation.key);
      // The first copy to be written is looked at; what it relies on must be durable by now.
      if (!this.logged[1 - position]!.has(sequence)) this.change(decodeLogRecord(operation.value, sequence)!);
      this.logged[position]!.set(sequence, operation.value);
    }
  }

  change(change: NonNullable<ReturnType<typeof decodeLogRecord>>): void {
    this.seen.changes += 1;
    for (const event of change.events) {
      if (event.kind === ZONE_EVENT.opened) this.zoneOfSlot.set(event.slot, event.zone);
      if (event.kind === ZONE_EVENT.emptied) {
        for (const { zone } of this.mapped.values())
          this.require(zone !== event.zone, `zone ${event.zone} is emptied and mapped`);
      }
    }
    for (let n = 0; n < change.count; n++) {
      const key = `${change.volume[n]}/${change.block[n]}`;
      const place = change.place[n]!;
      if (place === NOT_MAPPED) {
        this.mapped.delete(key);
        continue;
      }
      const { slot, stripe } = decodePlace(this.geometry, place);
      const zone = this.zoneOfSlot.get(slot)!;
      for (const strips of this.strips)
        this.require(strips.has(`${zone}/${stripe}`), `mapped before its stripe ${zone}/${stripe} was durable`);
      this.mapped.set(key, { zone, place });
    }
  }

  resetZone(zone: number): void {
    this.seen.zonesRemoved += 1;
    for (const [key, at] of this.mapped) this.require(at.zone !== zone, `zone ${zone} is removed and names ${key}`);
  }

  superblock(bytes: Uint8Array): void {
    const superblock = decodeSuperblock(Buffer.from(bytes));
    if (superblock === undefined || superblock === "version") return;
    this.seen.trims += 1;
    if (this.pool === undefined) return;
    // Every dirty block and every zeroed range that waits is in a record that stays.
    const { cache, zeros } = this.pool.service.pool(0).parts;
    this.require(superblock.tailSequence <= Math.min(cache.oldestSequence, zeros.oldestSequence), "trimmed what is still needed");
  }

  wrapDrive(media: MemoryPoolMedia): void {
    media.wrap = (drive, position) =>
      interceptDrive(drive, async (operation, parameters, run) => {
        if (operation === "writeStrips") this.beforeStrips(position, parameters[0] as StripWrite);
        if (operation === "metadataBatch") this.metadata(position, parameters[0] as MetadataOperation[]);
        if (operation === "resetZone") this.resetZone(parameters[0] as number);
        // Each drive takes its own time.
        for (let n = 0; n < position * 2; n++) await new Promise((resolve) => setImmediate(resolve));
        const result = await run();
        if (operation === "writeStrips") this.afterStrips(position, parameters[0] as StripWrite);
        return result;
      });
  }

  wrapJournal(file: JournalFile): JournalFile {
    return {
      bytes: file.bytes,
      write: (position, buffers) => {
        if (position >= JOURNAL_DATA_START) this.written += 1;
        else if (buffers[0]!.length === SUPERBLOCK_BYTES) this.superblock(buffers[0]!);
        file.write(position, buffers);
      },
      read: (position, target) => file.read(position, target),
      sync: (done) => {
        const covered = this.pool?.service.pool(0).parts.journal.nextSequence ?? 1;
        // As an fdatasync does, it takes a while.
        setImmediate(() =>
          file.sync((error) => {
            this.synced = Math.max(this.synced, covered - 1);
            done(error);
          }),
        );
      },
      close: () => file.close(),
    };
  }
}

describe("order is law (architecture, invariant 2)", () => {
  test("strips after the journal, map after strips on all drives, trim after the map, removal after the last name", async () => {
    expect(stripShape(SMALL_POOL.blocksPerStrip)).toEqual(groupGeometry(SMALL_POOL).shape);
    const all = { stripes: 0, changes: 0, zonesRemoved: 0, trims: 0 };
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.record({
            zero: fc.nat({ max: 6 }),
            at: fc.nat({ max: VOLUME_BLOCKS - 1 }),
            count: fc.integer({ min: 20, max: 150 }),
          }),
          { minLength: 40, maxLength: 60 },
        ),
        async (steps) => {
          const law = new Law();
          const media = new MemoryPoolMedia();
          law.wrapDrive(media);
          const pool = await openMemoryPool(media, { wrapJournal: (file) => law.wrapJournal(file) });
          law.pool = pool;
          await pool.service.createVolume(0, volumeDocument(1, VOLUME_BLOCKS * BLOCK));
          const pending: Promise<unknown>[] = [];
          for (const { zero, at, count } of steps) {
            const blocks = Math.min(count, VOLUME_BLOCKS - at);
            if (zero === 0) pending.push(zeroBytes(pool, 1, at * BLOCK, blocks * BLOCK));
            else pending.push(writeBytes(pool, 1, at * BLOCK, new Uint8Array(blocks * BLOCK).fill(at + zero)));
            if (pending.length > 6) await pending.shift();
          }
          await Promise.all(pending);
          await pool.service.pool(0).destageAll();
          expect(law.broken).toEqual([]);
          for (const what of Object.keys(all) as (keyof typeof all)[]) all[what] += law.seen[what];
          pool.kill();
        },
      ),
      { numRuns: 8 },
    );
    for (const [what, times] of Object.entries(all)) expect(times, what).toBeGreaterThan(0);
  });
});
