import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LostBlocks } from "../../../src/map/lost-blocks.ts";
import {
  decodeCheckpoint,
  decodeLogRecord,
  encodeCheckpoint,
  encodeLogRecord,
  LOG_RANGE,
  logKey,
  MapChange,
  sequenceOfLogKey,
} from "../../../src/map/map-log.ts";
import { decodePage, encodePage, pageKey, pageOfKey, pageRange } from "../../../src/map/map-page.ts";
import { PAGE_BLOCKS } from "../../../src/map/map-pages.ts";
import { decodeDocument, encodeDocument } from "../../../src/map/metadata-store.ts";
import { type ZoneState, ZoneTable } from "../../../src/map/zone-table.ts";

const u32 = fc.nat({ max: 0xffff_ffff });
const sequence = fc.integer({ min: 0, max: 2 ** 52 - 1 });

/** Every byte of a value changed in turn, and the value cut at every length, must decode to nothing. */
function expectEveryDamageSeen(value: Uint8Array, decode: (value: Uint8Array) => unknown): void {
  expect(decode(value)).toBeDefined();
  const step = Math.max(1, Math.floor(value.length / 300));
  for (let at = 0; at < value.length; at += at < 64 ? 1 : step) {
    const damaged = value.slice();
    damaged[at]! ^= 0x40;
    expect(decode(damaged), `byte ${at}`).toBeUndefined();
    expect(decode(value.slice(0, at)), `${at} bytes`).toBeUndefined();
  }
  expect(decode(new Uint8Array([...value, 0, 0, 0, 0]))).toBeUndefined();
}

function changeOf(entries: readonly (readonly number[])[], events: readonly (readonly number[])[]): MapChange {
  const change = new MapChange();
  for (const [volume, block, place, old] of entries) change.add(volume!, block!, place!, old!);
  for (const [kind, slot, zone, stripes] of events) {
    change.events.push({ kind: kind!, slot: slot!, zone: zone!, stripes: stripes! });
  }
  return change;
}

function listed(change: MapChange): { entries: number[][]; events: unknown } {
  const entries = Array.from({ length: change.count }, (_, n) => [
    change.volume[n]!,
    change.block[n]!,
    change.place[n]!,
    change.old[n]!,
  ]);
  return { entries, events: change.events };
}

describe("map log record", () => {
  const four = fc.tuple(u32, u32, u32, u32);
  test("reads back as it was written, under its own sequence only", () => {
    fc.assert(
      fc.property(sequence, fc.array(four, { maxLength: 40 }), fc.array(four, { maxLength: 4 }), (at, entries, events) => {
        const change = changeOf(entries, events);
        const value = encodeLogRecord(at, change);
        expect(listed(decodeLogRecord(value, at)!)).toEqual(listed(change));
        expect(decodeLogRecord(value, at + 1)).toBeUndefined();
      }),
    );
  });

  test("grows beyond its first arrays", () => {
    const change = new MapChange();
    for (let n = 0; n < 5000; n++) change.add(1, n, n + 1, 0);
    expect(listed(decodeLogRecord(encodeLogRecord(9, change), 9)!).entries[4999]).toEqual([1, 4999, 5000, 0]);
  });

  test("is not taken when it is damaged or cut", () => {
    expectEveryDamageSeen(
      encodeLogRecord(
        5,
        changeOf(
          [
            [1, 2, 3, 4],
            [5, 6, 7, 8],
          ],
          [[1, 2, 3, 4]],
        ),
      ),
      (value) => decodeLogRecord(value, 5),
    );
  });

  test("has a key that sorts as its sequence does, within the log's range", () => {
    fc.assert(
      fc.property(sequence, sequence, (a, b) => {
        expect(logKey(a) < logKey(b)).toBe(a < b);
        expect(sequenceOfLogKey(logKey(a))).toBe(a);
        expect(logKey(a) >= LOG_RANGE.from && logKey(a) < LOG_RANGE.below).toBe(true);
      }),
    );
  });
});

describe("map page", () => {
  test("reads back as it was written, as that page only", () => {
    const places = Uint32Array.from({ length: PAGE_BLOCKS }, (_, n) => (n * 2654435761) >>> 0);
    const value = encodePage(7, 9, 2 ** 40 + 3, places);
    expect(decodePage(value, 7, 9)).toEqual({ places, logSequence: 2 ** 40 + 3 });
    expect(decodePage(value, 8, 9)).toBeUndefined();
    expect(decodePage(value, 7, 8)).toBeUndefined();
    expectEveryDamageSeen(value, (bytes) => decodePage(bytes, 7, 9));
  });

  test("has a key within its volume's range, and in no other's", () => {
    fc.assert(
      fc.property(u32, u32, u32, (volume, other, page) => {
        const key = pageKey(volume, page);
        const isIn = (of: number): boolean => key >= pageRange(of).from && key < pageRange(of).below;
        expect(isIn(volume)).toBe(true);
        expect(pageOfKey(key)).toBe(page);
        if (other !== volume) expect(isIn(other)).toBe(false);
      }),
    );
  });
});

describe("map checkpoint", () => {
  test("reads back as it was written, for a pool of so many zones only", () => {
    const zones = new ZoneTable(5);
    zones.nextZone = 77;
    for (let slot = 0; slot < 5; slot++) {
      zones.zone[slot] = 70 + slot;
      zones.setState(slot, (slot % 4) as ZoneState);
      zones.stripes[slot] = slot * 11;
      zones.addLive(slot, slot * 3);
    }
    const mapped = new Map([
      [1, 20],
      [9, 10],
    ]);
    const value = encodeCheckpoint({ logSequence: 2 ** 35, zones, mapped });
    const decoded = decodeCheckpoint(value, 5)!;
    expect(decoded).toEqual({ logSequence: 2 ** 35, zones, mapped, lost: new LostBlocks() });
    expect([0, 1, 2, 3].map((state) => decoded.zones.count(state as ZoneState))).toEqual([2, 1, 1, 1]);
    expect(decodeCheckpoint(value, 4)).toBeUndefined();
    expect(decodeCheckpoint(value, 6)).toBeUndefined();
    expectEveryDamageSeen(value, (bytes) => decodeCheckpoint(bytes, 5));
  });
});

describe("document", () => {
  test("reads back as it was written, and not when it is damaged", () => {
    const document = { a: 1, b: ["x", { c: "ü" }] };
    expect(decodeDocument(encodeDocument(document))).toEqual(document);
    const value = encodeDocument(document);
    for (let at = 0; at < value.length; at++) {
      const damaged = value.slice();
      damaged[at]! ^= 1;
      expect(decodeDocument(damaged)).toBeUndefined();
      expect(decodeDocument(value.slice(0, at))).toBeUndefined();
    }
  });
});
