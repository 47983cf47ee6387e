/** The contract that every Drive passes (drivers/drive/drive.ts). */
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Drive, MetadataOperation } from "../../drivers/drive/drive.ts";
import { keyAfter } from "../../drivers/drive/drive-checks.ts";
import { partChecksum, writePart } from "../../drivers/drive/strip-parts.ts";
import { dataChecksum } from "../../drivers/shared-memory/data-checksum.ts";
import { type DriveFixture, TEST_GEOMETRY } from "../support/drive-fixtures.ts";

const { stripBytes, stripsPerZone, zoneCount } = TEST_GEOMETRY;
const bytes = (text: string) => new Uint8Array(Buffer.from(text));

/** What strip `strip` of `zone` holds in these tests. */
function pattern(zone: number, strip: number): Buffer {
  const content = Buffer.alloc(stripBytes, (zone * 31 + strip * 7) & 0xff);
  content.writeUInt32LE(zone, 0);
  content.writeInt32LE(strip, stripBytes - 4);
  return content;
}

export function driveContract(subject: string, make: () => Promise<DriveFixture>): void {
  describe(`${subject}: the drive contract`, () => {
    let fixture: DriveFixture;
    let drive: Drive;
    let epoch = 1;
    let nextZone = 100;

    beforeAll(async () => {
      fixture = await make();
      drive = fixture.attach();
      await drive.open(epoch);
    });
    afterAll(async () => {
      await fixture.dispose();
    });

    const at = (slot: number) => fixture.scratch + slot * stripBytes;

    async function write(zone: number, firstStrip: number, count: number, slot = 0): Promise<void> {
      for (let index = 0; index < count; index++) fixture.global.u8.set(pattern(zone, firstStrip + index), at(slot + index));
      await drive.writeStrips({ zone, firstStrip, count, address: at(slot), strideBytes: stripBytes });
    }

    async function read(zone: number, firstStrip: number, count: number, slot = 1000): Promise<void> {
      fixture.global.u8.fill(0xee, at(slot), at(slot + count));
      await drive.readStrips({ zone, firstStrip, count, address: at(slot), strideBytes: stripBytes });
      for (let index = 0; index < count; index++) {
        expect(Buffer.compare(fixture.global.view(at(slot + index), stripBytes), pattern(zone, firstStrip + index))).toBe(0);
      }
    }

    async function newZone(): Promise<number> {
      const zone = nextZone++;
      await drive.createZone(zone);
      return zone;
    }

    async function restart(): Promise<void> {
      await drive.close();
      await fixture.restart();
      drive = fixture.attach();
      await drive.open(++epoch);
    }

    async function empty(): Promise<void> {
      for (const { zone } of await drive.listZones()) await drive.resetZone(zone);
    }

    test("identifies itself with the geometry that it was formatted with", async () => {
      expect(await drive.identify()).toMatchObject({
        ...TEST_GEOMETRY,
        name: drive.name,
        driveId: `id-${drive.name}`,
        formatVersion: 2,
      });
    });

    test("reads the strips that were written, from open and from finished zones", async () => {
      const zone = await newZone();
      await write(zone, 0, 5);
      await read(zone, 0, 5);
      await write(zone, 5, 3);
      await drive.finishZone(zone);
      await read(zone, 4, 4);
      await drive.resetZone(zone);
    });

    test("takes strips from and puts them to memory with a stride", async () => {
      const zone = await newZone();
      const strideBytes = stripBytes + 64;
      for (let index = 0; index < 3; index++) fixture.global.u8.set(pattern(zone, index), fixture.scratch + index * strideBytes);
      await drive.writeStrips({ zone, firstStrip: 0, count: 3, address: fixture.scratch, strideBytes });
      await read(zone, 0, 3);
      fixture.global.u8.fill(0xee, at(2000), at(2010));
      await drive.readStrips({ zone, firstStrip: 0, count: 3, address: at(2000), strideBytes });
      for (let index = 0; index < 3; index++) {
        const found = fixture.global.view(at(2000) + index * strideBytes, stripBytes + 64);
        expect(Buffer.compare(found.subarray(0, stripBytes), pattern(zone, index))).toBe(0);
        expect(found.subarray(stripBytes).every((byte) => byte === 0xee)).toBe(true);
      }
      await drive.resetZone(zone);
    });

    test("reads any parts of a strip, each to its own place, with the checksums that are asked for", async () => {
      const zone = await newZone();
      await write(zone, 0, 3);
      const strip = pattern(zone, 1);
      const list = at(900);
      const parts = [
        { offsetBytes: stripBytes - 32, bytes: 32, address: at(1000) + 3, checksum: false },
        { offsetBytes: 0, bytes: 512, address: at(1010), checksum: true },
        { offsetBytes: 500, bytes: 13, address: at(1020) + 1, checksum: true },
      ];
      for (const finished of [false, true]) {
        if (finished) await drive.finishZone(zone);
        fixture.global.u8.fill(0xee, at(1000), at(1030));
        for (const [index, part] of parts.entries()) writePart(fixture.global, list, index, part);
        await drive.readParts({ zone, strip: 1, list, count: parts.length });
        for (const [index, { offsetBytes, bytes, address, checksum }] of parts.entries()) {
          const wanted = strip.subarray(offsetBytes, offsetBytes + bytes);
          expect(Buffer.compare(fixture.global.view(address, bytes), wanted)).toBe(0);
          expect(fixture.global.u8[address - 1]).toBe(0xee);
          expect(fixture.global.u8[address + bytes]).toBe(0xee);
          expect(partChecksum(fixture.global, list, index)).toBe(checksum ? dataChecksum(wanted) : 0);
        }
      }
      await restart();
      for (const [index, part] of parts.entries()) writePart(fixture.global, list, index, part);
      await drive.readParts({ zone, strip: 1, list, count: parts.length });
      expect(partChecksum(fixture.global, list, 1)).toBe(dataChecksum(strip.subarray(0, 512)));
      await expect(drive.readParts({ zone, strip: 3, list, count: 1 })).rejects.toMatchObject({ kind: "notFound" });
      await expect(drive.readParts({ zone: 99_999, strip: 0, list, count: 1 })).rejects.toMatchObject({ kind: "notFound" });
      await drive.resetZone(zone);
    });

    test.each([
      ["a strip beyond the zone", { strip: stripsPerZone }, {}],
      ["a negative strip", { strip: -1 }, {}],
      ["no parts", { count: 0 }, {}],
      ["more parts than any strip has", { count: 100_000 }, {}],
      ["a list outside of memory", { list: 2 ** 32 - 8 }, {}],
      ["a list that is not aligned", { list: 70_001 }, {}],
      ["a part beyond the strip", {}, { offsetBytes: stripBytes - 1, bytes: 2 }],
      ["a part before the strip", {}, { offsetBytes: -1, bytes: 2 }],
      ["an empty part", {}, { bytes: 0 }],
      ["a part that lands outside of memory", {}, { address: 2 ** 32 - 4 }],
    ])("refuses a read of parts with %s as invalid", async (_what, change, partChange) => {
      const zone = await newZone();
      await write(zone, 0, 1);
      const list = at(900);
      writePart(fixture.global, list, 0, { offsetBytes: 0, bytes: 64, address: at(1000), checksum: true, ...partChange });
      const read = { zone, strip: 0, list, count: 1, ...change };
      await expect(drive.readParts(read)).rejects.toMatchObject({ name: "DriveError", kind: "invalid" });
      await drive.resetZone(zone);
    });

    test("lists zones with their states, also after a restart", async () => {
      await empty();
      const open = await newZone();
      const finished = await newZone();
      await drive.finishZone(finished);
      const listed = [
        { zone: open, finished: false },
        { zone: finished, finished: true },
      ];
      expect(await drive.listZones()).toEqual(listed);
      await restart();
      expect(await drive.listZones()).toEqual(listed);
    });

    test("keeps strips over a restart and goes on where a zone ended", async () => {
      const zone = await newZone();
      await write(zone, 0, 4);
      await restart();
      await read(zone, 0, 4);
      await expect(write(zone, 3, 1)).rejects.toMatchObject({ kind: "invalid" });
      await write(zone, 4, 2);
      await restart();
      await read(zone, 0, 6);
    });

    test("refuses strips out of order, twice, or beyond the zone, and writes none of them", async () => {
      const zone = await newZone();
      await write(zone, 2, 2);
      await expect(write(zone, 0, 1)).rejects.toMatchObject({ kind: "invalid" });
      await expect(write(zone, 3, 2)).rejects.toMatchObject({ kind: "invalid" });
      await expect(write(zone, stripsPerZone - 1, 2)).rejects.toMatchObject({ kind: "invalid" });
      await expect(read(zone, 4, 1)).rejects.toMatchObject({ kind: "notFound" });
      await write(zone, 4, 1);
      await read(zone, 2, 3);
      await drive.resetZone(zone);
    });

    test.each([
      ["no strips", { count: 0 }],
      ["a negative strip", { firstStrip: -1 }],
      ["a broken number of strips", { count: 1.5 }],
      ["a stride below a strip", { count: 2, strideBytes: stripBytes - 1 }],
      ["memory beyond the end", { address: 2 ** 32 - 8 }],
      ["a negative address", { address: -4 }],
      ["a zone number that is none", { zone: -1 }],
    ])("refuses a request with %s as invalid", async (_what, change) => {
      const zone = await newZone();
      const request = { zone, firstStrip: 0, count: 1, address: at(0), strideBytes: stripBytes, ...change };
      await expect(drive.writeStrips(request)).rejects.toMatchObject({ name: "DriveError", kind: "invalid" });
      await expect(drive.readStrips(request)).rejects.toMatchObject({ name: "DriveError", kind: "invalid" });
      await drive.resetZone(zone);
    });

    test("answers notFound for zones and strips that are not there, never zeros", async () => {
      const zone = await newZone();
      await expect(read(zone, 0, 1)).rejects.toMatchObject({ kind: "notFound" });
      await write(zone, 0, 2);
      await expect(read(zone, 1, 2)).rejects.toMatchObject({ kind: "notFound" });
      await expect(read(99_999, 0, 1)).rejects.toMatchObject({ kind: "notFound" });
      await expect(write(99_999, 0, 1)).rejects.toMatchObject({ kind: "notFound" });
      await expect(drive.finishZone(99_999)).rejects.toMatchObject({ kind: "notFound" });
      await drive.resetZone(zone);
      await expect(read(zone, 0, 1)).rejects.toMatchObject({ kind: "notFound" });
    });

    test("takes no strip into a finished zone, and finishes one twice without complaint", async () => {
      const zone = await newZone();
      await write(zone, 0, 1);
      await drive.finishZone(zone);
      await drive.finishZone(zone);
      await expect(write(zone, 1, 1)).rejects.toMatchObject({ kind: "invalid" });
      await restart();
      await expect(write(zone, 1, 1)).rejects.toMatchObject({ kind: "invalid" });
      await read(zone, 0, 1);
      await drive.resetZone(zone);
    });

    test("never gives a zone number twice, also not after a restart", async () => {
      const zone = await newZone();
      await expect(drive.createZone(zone)).rejects.toMatchObject({ kind: "invalid" });
      await drive.resetZone(zone);
      await expect(drive.createZone(zone)).rejects.toMatchObject({ kind: "invalid" });
      await restart();
      await expect(drive.createZone(zone)).rejects.toMatchObject({ kind: "invalid" });
    });

    test("begins anew on command once it has no zone: then numbers may be given again, also after a restart", async () => {
      await empty();
      const [kept, gone, never] = [await newZone(), await newZone(), nextZone++];
      await write(gone, 0, 2);
      await drive.finishZone(gone);
      await drive.resetZone(gone);
      await drive.resetZone(never);
      await expect(drive.forgetZones()).rejects.toMatchObject({ kind: "invalid" });
      await expect(drive.createZone(gone)).rejects.toMatchObject({ kind: "invalid" });
      await drive.resetZone(kept);
      await drive.forgetZones();
      await drive.forgetZones();
      await drive.createZone(gone);
      await restart();
      await drive.createZone(never);
      expect(await drive.listZones()).toEqual([
        { zone: gone, finished: false },
        { zone: never, finished: false },
      ]);
      await expect(read(gone, 0, 1)).rejects.toMatchObject({ kind: "notFound" });
      await write(gone, 0, 1);
      await read(gone, 0, 1);
      await drive.resetZone(gone);
      await expect(drive.createZone(gone)).rejects.toMatchObject({ kind: "invalid" });
      await empty();
    });

    test("is done with resetting a zone that is not there", async () => {
      const zone = nextZone++;
      await drive.resetZone(zone);
      await drive.resetZone(zone);
    });

    test("holds as many zones as its geometry says", async () => {
      await empty();
      const zones: number[] = [];
      for (let count = 0; count < zoneCount; count++) zones.push(await newZone());
      await expect(drive.createZone(nextZone++)).rejects.toMatchObject({ kind: "noSpace" });
      await drive.resetZone(zones[0]!);
      await newZone();
      await empty();
    });

    test("serves many operations at once", async () => {
      await empty();
      const zones = await Promise.all([newZone(), newZone(), newZone(), newZone()]);
      const writes: Promise<void>[] = [];
      for (let strip = 0; strip < 32; strip += 4) {
        zones.forEach((zone, index) => {
          writes.push(write(zone, strip, 4, index * 32 + strip));
        });
      }
      await Promise.all(writes);
      const reads: Promise<void>[] = [];
      zones.forEach((zone, index) => {
        for (let strip = 0; strip < 32; strip += 2) reads.push(read(zone, strip, 2, 1000 + index * 32 + strip));
      });
      await Promise.all([...reads, ...zones.slice(2).map((zone) => drive.finishZone(zone)), drive.flush()]);
      await restart();
      for (const zone of zones) await read(zone, 0, 32);
      await Promise.all(zones.map((zone) => drive.resetZone(zone)));
      expect(await drive.listZones()).toEqual([]);
    });

    test("fences an access of an older epoch for good, in every operation", async () => {
      const zone = await newZone();
      const older = drive;
      drive = fixture.attach();
      await drive.open(++epoch);
      const strips = { zone, firstStrip: 0, count: 1, address: at(0), strideBytes: stripBytes };
      const fenced = { kind: "fenced" };
      await expect(older.writeStrips(strips)).rejects.toMatchObject(fenced);
      await expect(older.readStrips(strips)).rejects.toMatchObject(fenced);
      await expect(older.readParts({ zone, strip: 0, list: at(0), count: 1 })).rejects.toMatchObject(fenced);
      await expect(older.createZone(nextZone++)).rejects.toMatchObject(fenced);
      await expect(older.finishZone(zone)).rejects.toMatchObject(fenced);
      await expect(older.resetZone(zone)).rejects.toMatchObject(fenced);
      await expect(older.forgetZones()).rejects.toMatchObject(fenced);
      await expect(older.listZones()).rejects.toMatchObject(fenced);
      await expect(older.metadataGet("a")).rejects.toMatchObject(fenced);
      await expect(older.metadataBatch([{ type: "delete", key: "a" }])).rejects.toMatchObject(fenced);
      await expect(older.metadataScan({ from: "a", below: "b", bytesMax: 100 })).rejects.toMatchObject(fenced);
      await expect(older.flush()).rejects.toMatchObject(fenced);
      await expect(older.open(epoch - 1)).rejects.toMatchObject(fenced);
      await write(zone, 0, 1);
      await read(zone, 0, 1);
      await drive.resetZone(zone);
    });

    test("refuses operations of an access that did not open it", async () => {
      const stranger = fixture.attach();
      await expect(stranger.listZones()).rejects.toMatchObject({ name: "DriveError" });
      await expect(stranger.metadataGet("a")).rejects.toMatchObject({ name: "DriveError" });
      expect((await stranger.identify()).stripBytes).toBe(stripBytes);
    });

    test("keeps metadata: get, batch and delete, over a restart", async () => {
      expect(await drive.metadataGet("none")).toBeUndefined();
      await drive.metadataBatch([
        { type: "put", key: "map/1", value: bytes("one") },
        { type: "put", key: "map/2", value: bytes("two") },
        { type: "put", key: "empty", value: bytes("") },
      ]);
      await drive.metadataBatch([
        { type: "delete", key: "map/1" },
        { type: "put", key: "map/2", value: bytes("zwei") },
      ]);
      await restart();
      expect(await drive.metadataGet("map/1")).toBeUndefined();
      expect(new Uint8Array((await drive.metadataGet("map/2"))!)).toEqual(bytes("zwei"));
      expect((await drive.metadataGet("empty"))!.byteLength).toBe(0);
    });

    test("takes metadata up to its limits, and nothing beyond", async () => {
      const large = new Uint8Array(256 * 1024).fill(7);
      await drive.metadataBatch([{ type: "put", key: "k".repeat(48), value: large }]);
      expect(Buffer.compare((await drive.metadataGet("k".repeat(48)))!, large)).toBe(0);
      const page = await drive.metadataScan({ from: "k", below: "l", bytesMax: 100 });
      expect(page.entries.length).toBe(1);
      expect(Buffer.compare(page.entries[0]![1], large)).toBe(0);
      const put = (key: string, value: Uint8Array): MetadataOperation => ({ type: "put", key, value });
      const invalid = { kind: "invalid" };
      await expect(drive.metadataBatch([put("k", new Uint8Array(256 * 1024 + 1))])).rejects.toMatchObject(invalid);
      await expect(drive.metadataBatch([put("1", large), put("2", large), put("3", large)])).rejects.toMatchObject(invalid);
      await expect(drive.metadataBatch([put("k".repeat(49), bytes("x"))])).rejects.toMatchObject(invalid);
      await expect(drive.metadataBatch([put("", bytes("x"))])).rejects.toMatchObject(invalid);
      await expect(drive.metadataBatch([put("é", bytes("x"))])).rejects.toMatchObject(invalid);
      await expect(drive.metadataGet("a\n")).rejects.toMatchObject(invalid);
      await expect(drive.metadataScan({ from: "a", below: "b", bytesMax: 0 })).rejects.toMatchObject(invalid);
      await drive.metadataBatch([{ type: "delete", key: "k".repeat(48) }]);
    });

    test("scans metadata in ASCII order, page by page, without a gap or a repeat", async () => {
      const keys = Array.from({ length: 300 }, (_, index) => `scan/${String(index * 3).padStart(4, "0")}`);
      await drive.metadataBatch(keys.map((key) => ({ type: "put", key, value: bytes(key) })));
      await drive.metadataBatch([{ type: "put", key: "scao", value: bytes("outside") }]);
      const found: string[] = [];
      let from = "scan/";
      for (let pages = 0; pages < 50; pages++) {
        const page = await drive.metadataScan({ from, below: "scan0", bytesMax: 1000 });
        for (const [key, value] of page.entries) {
          expect(Buffer.from(value).toString()).toBe(key);
          found.push(key);
        }
        if (!page.more) break;
        expect(page.entries.length).toBeLessThan(60);
        from = keyAfter(found.at(-1)!);
      }
      expect(found).toEqual(keys);
      const some = await drive.metadataScan({ from: keys[10]!, below: keys[12]!, bytesMax: 100_000 });
      expect(some.entries.map(([key]) => key)).toEqual([keys[10], keys[11]]);
      expect(await drive.metadataScan({ from: "x", below: "a", bytesMax: 10 })).toEqual({ entries: [], more: false });
    });

    test("does what a plain model does, for any sequence of operations", async () => {
      const step = fc.oneof(
        fc.record({ do: fc.constant("create" as const), zone: fc.nat(5) }),
        fc.record({ do: fc.constant("write" as const), zone: fc.nat(5), skip: fc.nat(2), count: fc.integer({ min: 1, max: 6 }) }),
        fc.record({
          do: fc.constant("read" as const),
          zone: fc.nat(5),
          strip: fc.nat(stripsPerZone),
          count: fc.integer({ min: 1, max: 3 }),
        }),
        fc.record({ do: fc.constant("finish" as const), zone: fc.nat(5) }),
        fc.record({ do: fc.constant("reset" as const), zone: fc.nat(5) }),
        fc.record({ do: fc.constant("put" as const), key: fc.nat(9), value: fc.uint8Array({ maxLength: 20 }) }),
        fc.record({ do: fc.constant("restart" as const), rare: fc.nat(2) }),
      );
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 25, size: "max" }), async (steps) => {
          await empty();
          const base = nextZone;
          nextZone += 6;
          const zones = new Map<number, { finished: boolean; next: number; strips: Set<number> }>();
          const used = new Set<number>();
          const values = new Map<string, Uint8Array>();
          const outcome = async (promise: Promise<void>) =>
            promise.then(
              () => "done",
              (error) => error.kind as string,
            );
          for (const one of steps) {
            const zone = "zone" in one ? base + one.zone : 0;
            const model = zones.get(zone);
            if (one.do === "create") {
              expect(await outcome(drive.createZone(zone))).toBe(used.has(zone) ? "invalid" : "done");
              if (!used.has(zone)) zones.set(zone, { finished: false, next: 0, strips: new Set() });
              used.add(zone);
            } else if (one.do === "write") {
              const first = (model?.next ?? 0) + one.skip - 1;
              const impossible = first < 0 || first + one.count > stripsPerZone;
              const good = !impossible && model !== undefined && !model.finished && one.skip > 0;
              const expected = impossible ? "invalid" : model === undefined ? "notFound" : good ? "done" : "invalid";
              expect(await outcome(write(zone, first, one.count))).toBe(expected);
              if (!good) continue;
              for (let index = 0; index < one.count; index++) model.strips.add(first + index);
              model.next = first + one.count;
            } else if (one.do === "read") {
              const within = one.strip + one.count <= stripsPerZone;
              const there = Array.from({ length: one.count }, (_, index) => model?.strips.has(one.strip + index)).every(Boolean);
              expect(await outcome(read(zone, one.strip, one.count))).toBe(!within ? "invalid" : there ? "done" : "notFound");
            } else if (one.do === "finish") {
              expect(await outcome(drive.finishZone(zone))).toBe(model === undefined ? "notFound" : "done");
              if (model !== undefined) model.finished = true;
            } else if (one.do === "reset") {
              expect(await outcome(drive.resetZone(zone))).toBe("done");
              zones.delete(zone);
              used.add(zone);
            } else if (one.do === "put") {
              await drive.metadataBatch([{ type: "put", key: `model/${one.key}`, value: one.value }]);
              values.set(`model/${one.key}`, one.value);
            } else if (one.rare === 0) {
              await restart();
            }
          }
          expect(await drive.listZones()).toEqual(
            [...zones].map(([zone, { finished }]) => ({ zone, finished })).sort((a, b) => a.zone - b.zone),
          );
          for (const [zone, { strips }] of zones) for (const strip of strips) await read(zone, strip, 1);
          for (const [key, value] of values) expect(Buffer.compare((await drive.metadataGet(key))!, value)).toBe(0);
        }),
        { numRuns: 12 },
      );
    });
  });
}
