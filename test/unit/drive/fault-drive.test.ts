/** Each fault on command does what drive-faults.ts says, over memory and over LevelDB, and nothing else. */
import { afterEach, describe, expect, test } from "vitest";
import type { DriveError } from "../../../drivers/drive/drive.ts";
import { type DriveFaultSettings, DriveFaults, type FaultRule } from "../../../drivers/drive/drive-faults.ts";
import { FaultDrive } from "../../../drivers/drive/fault-drive.ts";
import { partChecksum, writePart } from "../../../drivers/drive/strip-parts.ts";
import { dataChecksum } from "../../../drivers/shared-memory/data-checksum.ts";
import { type DriveFixture, levelFixture, memoryFixture, TEST_GEOMETRY } from "../../support/drive-fixtures.ts";

const { stripBytes, stripsPerZone } = TEST_GEOMETRY;
const fixtures: DriveFixture[] = [];
afterEach(async () => {
  for (const fixture of fixtures.splice(0)) await fixture.dispose();
});

const contentOf = (strip: number) => Buffer.alloc(stripBytes, 1 + strip);

async function faultyDrive(make: () => Promise<DriveFixture>) {
  const fixture = await make();
  fixtures.push(fixture);
  const faults = new DriveFaults();
  const drive = new FaultDrive(fixture.attach(), faults, fixture.global);
  await drive.open(1);
  await drive.createZone(1);
  const { global, scratch } = fixture;
  const strips = (firstStrip: number, count = 1, zone = 1) => ({
    ...{ zone, firstStrip, count, address: scratch, strideBytes: stripBytes },
  });
  return {
    ...{ fixture, faults, drive, strips },
    set: (...rules: FaultRule[]) => faults.set({ seed: 5, rules }),
    write(firstStrip: number, count = 1, zone = 1): Promise<void> {
      for (let n = 0; n < count; n++) global.u8.set(contentOf(firstStrip + n), scratch + n * stripBytes);
      return drive.writeStrips(strips(firstStrip, count, zone));
    },
    /** A strip as a read finds it; the error's kind where it does not. */
    async found(strip: number, zone = 1): Promise<Buffer | string> {
      global.u8.fill(0xee, scratch, scratch + stripBytes);
      try {
        await drive.readStrips(strips(strip, 1, zone));
      } catch (error) {
        return (error as DriveError).kind;
      }
      return Buffer.from(global.view(scratch, stripBytes));
    },
    /** The same by parts: two of them, with their checksums checked against what came. */
    async foundInParts(strip: number): Promise<Buffer | string> {
      const list = scratch + 4 * stripBytes;
      const half = stripBytes / 2;
      for (const n of [0, 1])
        writePart(global, list, n, { offsetBytes: n * half, bytes: half, address: scratch + n * half, checksum: true });
      const read = { zone: 1, strip, list, count: 2 };
      try {
        if (!drive.tryReadParts(read)) await drive.readParts(read);
      } catch (error) {
        return (error as DriveError).kind;
      }
      for (const n of [0, 1])
        expect(partChecksum(global, list, n)).toBe(dataChecksum(global.view(scratch + n * half, half)) >>> 0);
      return Buffer.from(global.view(scratch, stripBytes));
    },
  };
}

const kind = (operation: Promise<unknown>): Promise<string> =>
  operation.then(
    () => "done",
    (error: DriveError) => error.kind,
  );

const put = (key: string, text: string) => ({ type: "put", key, value: Buffer.from(text) }) as const;
const textOf = (value: Uint8Array | undefined) => (value === undefined ? undefined : Buffer.from(value).toString());

describe.each([
  ["memory", memoryFixture],
  ["LevelDB", levelFixture],
])("FaultDrive over %s", (_below, make) => {
  test("read error: of the strips of its range in its zone, by either kind of read, and nothing else", async () => {
    const { set, drive, strips, write, found, foundInParts } = await faultyDrive(make);
    await write(0, 10);
    set({ fault: "readError", zone: 1, firstStrip: 3, stripCount: 2 });
    for (let strip = 0; strip < 10; strip++) {
      const hit = strip === 3 || strip === 4;
      expect(await found(strip)).toEqual(hit ? "unrecoveredRead" : contentOf(strip));
      expect(await foundInParts(strip)).toEqual(hit ? "unrecoveredRead" : contentOf(strip));
    }
    expect(await kind(drive.readStrips(strips(0, 4)))).toBe("unrecoveredRead");
    expect(await drive.metadataGet("a")).toBeUndefined();
    await write(10);
    set({ fault: "readError", zone: 2 });
    expect(await found(3)).toEqual(contentOf(3));
  });

  test("read error of a range of bytes: only of reads that touch them", async () => {
    const { fixture, set, drive, write, found } = await faultyDrive(make);
    await write(0);
    set({ fault: "readError", firstByte: 100, byteCount: 50 });
    const list = fixture.scratch + 4 * stripBytes;
    const part = async (offsetBytes: number, bytes: number) => {
      writePart(fixture.global, list, 0, { offsetBytes, bytes, address: fixture.scratch, checksum: false });
      return kind(drive.readParts({ zone: 1, strip: 0, list, count: 1 }));
    };
    expect(await part(0, 100)).toBe("done");
    expect(await part(150, 10)).toBe("done");
    expect(await part(99, 2)).toBe("unrecoveredRead");
    expect(await part(149, 2)).toBe("unrecoveredRead");
    expect(await found(0)).toBe("unrecoveredRead");
  });

  test("write error and no space: nothing is stored", async () => {
    for (const [fault, told] of [
      ["writeError", "writeFailed"],
      ["noSpace", "noSpace"],
    ] as const) {
      const { set, faults, drive, write, found } = await faultyDrive(make);
      set({ fault, hitsMax: 3 });
      expect(await kind(write(0))).toBe(told);
      expect(await kind(drive.metadataBatch([put("a", "1")]))).toBe(told);
      expect(await kind(drive.createZone(2))).toBe(told);
      expect(faults.status()).toEqual([{ rule: { fault, hitsMax: 3 }, matched: 3, hits: 3 }]);
      expect(await found(0)).toBe("notFound");
      expect(await drive.metadataGet("a")).toBeUndefined();
      expect(await drive.listZones()).toHaveLength(1);
      await write(0);
    }
  });

  test("what lies behind a write that found no room waits for it, unless its owner is gone or its zone is", async () => {
    const { set, drive, write, found } = await faultyDrive(make);
    set({ fault: "noSpace", operations: ["write"], hitsMax: 2 });
    expect([await kind(write(3)), await kind(write(5))]).toEqual(["noSpace", "noSpace"]);
    set();
    expect([await kind(write(7)), await kind(write(5)), await kind(write(3))]).toEqual(["noSpace", "noSpace", "done"]);
    expect([await kind(write(7)), await kind(write(5)), await kind(write(7))]).toEqual(["noSpace", "done", "done"]);
    expect([await found(3), await found(5), await found(7)]).toEqual([contentOf(3), contentOf(5), contentOf(7)]);
    set({ fault: "noSpace", operations: ["write"], hitsMax: 1 });
    expect(await kind(write(9))).toBe("noSpace");
    await drive.open(1_000_000);
    expect(await kind(write(11))).toBe("done");
  });

  test("torn write: the strips before the tear, part of one, and nothing after it", async () => {
    const { set, write, found } = await faultyDrive(make);
    set({ fault: "tornWrite", strips: 2, bytes: 100, hitsMax: 1 });
    await write(0, 5);
    expect([await found(0), await found(1)]).toEqual([contentOf(0), contentOf(1)]);
    expect(await found(2)).toEqual(Buffer.concat([contentOf(2).subarray(0, 100), Buffer.alloc(stripBytes - 100)]));
    expect([await found(3), await found(4)]).toEqual(["notFound", "notFound"]);
    await write(5);
    expect(await found(5)).toEqual(contentOf(5));
    for (const report of ["unknown", "writeFailed"] as const) {
      set({ fault: "tornWrite", strips: 1, report, hitsMax: 1 });
      const firstStrip = report === "unknown" ? 10 : 20;
      expect(await kind(write(firstStrip, 3))).toBe(report);
      expect([await found(firstStrip), await found(firstStrip + 1)]).toEqual([contentOf(firstStrip), "notFound"]);
    }
  });

  test("lost write: told as done, of strips and of metadata", async () => {
    const { set, drive, write, found } = await faultyDrive(make);
    await drive.metadataBatch([put("a", "1")]);
    set({ fault: "lostWrite", hitsMax: 2 });
    await write(0);
    await drive.metadataBatch([put("a", "2")]);
    expect(await found(0)).toBe("notFound");
    expect(textOf(await drive.metadataGet("a"))).toBe("1");
    await write(1);
    expect(await found(1)).toEqual(contentOf(1));
  });

  test("misdirected write: it is at another place over what was there, and not at its own; the zone goes on", async () => {
    const { set, drive, write, found } = await faultyDrive(make);
    await drive.createZone(2);
    await write(0, 5);
    await write(0, 5, 2);
    set({ fault: "misdirectedWrite", toStrip: 2, hitsMax: 1 });
    await write(5, 2);
    expect(await found(2)).toEqual(contentOf(5));
    expect([await found(5), await found(6)]).toEqual(["notFound", contentOf(6)]);
    set({ fault: "misdirectedWrite", toZone: 2, toStrip: 3, hitsMax: 1 });
    await write(7);
    expect([await found(3, 2), await found(7)]).toEqual([contentOf(7), "notFound"]);
    for (let strip = 8; strip < 40; strip++) {
      set({ fault: "misdirectedWrite", hitsMax: 1 });
      await write(strip);
    }
    await drive.finishZone(1);
    // By the seed: never at its own place.
    for (let strip = 0; strip < stripsPerZone; strip++) {
      const content = await found(strip);
      if (strip >= 8 && typeof content !== "string") expect(content[0]).not.toBe(1 + strip);
    }
  });

  test("bit flip in what is read: by either kind of read, with checksums of what is there; what is stored is whole", async () => {
    const { set, write, found, foundInParts } = await faultyDrive(make);
    await write(0, 3);
    for (const read of [found, foundInParts]) {
      set({ fault: "bitFlip", zone: 1, firstStrip: 1, offsetBytes: 5, bit: 7, hitsMax: 1 });
      expect(await read(0)).toEqual(contentOf(0));
      const flipped = contentOf(1);
      flipped[5]! ^= 0x80;
      expect(await read(1)).toEqual(flipped);
      expect(await read(1)).toEqual(contentOf(1));
    }
  });

  test("bit flip in what is stored: in one strip of the write, for good, and the writer's memory is left alone", async () => {
    const { fixture, faults, drive, strips, set, write } = await faultyDrive(make);
    set({ fault: "bitFlip", on: "write", firstStrip: 1, offsetBytes: 9, bit: 0 });
    await write(0, 3);
    expect(Buffer.from(fixture.global.view(fixture.scratch + stripBytes, stripBytes))).toEqual(contentOf(1));
    faults.set(undefined);
    await drive.close();
    await fixture.restart();
    const again = fixture.attach();
    await again.open(2);
    await again.readStrips(strips(0, 3));
    const flipped = contentOf(1);
    flipped[9]! ^= 1;
    expect(Buffer.from(fixture.global.view(fixture.scratch, 3 * stripBytes))).toEqual(
      Buffer.concat([contentOf(0), flipped, contentOf(2)]),
    );
    await again.close();
  });

  test("reverted key: a strip that is read is gone for good; a key keeps what it had, or is gone, beside the rest of its batch", async () => {
    const { faults, set, drive, write, found, foundInParts } = await faultyDrive(make);
    await write(0, 4);
    set({ fault: "revertedKey", firstStrip: 1, stripCount: 2 });
    expect([await found(1), await foundInParts(2), await found(3)]).toEqual(["notFound", "notFound", contentOf(3)]);
    faults.set(undefined);
    expect([await found(1), await found(2)]).toEqual(["notFound", "notFound"]);
    await drive.metadataBatch([put("pool", "1"), put("map/1", "1")]);
    set({ fault: "revertedKey", keyPrefix: "map/", hitsMax: 1 });
    await drive.metadataBatch([put("pool", "2"), put("map/1", "2"), put("map/2", "2")]);
    expect([textOf(await drive.metadataGet("pool")), textOf(await drive.metadataGet("map/1"))]).toEqual(["2", "1"]);
    expect(await drive.metadataGet("map/2")).toBeUndefined();
    set({ fault: "revertedKey", keyPrefix: "map/", to: "absent", hitsMax: 1 });
    await drive.metadataBatch([put("pool", "3"), put("map/1", "3")]);
    expect([textOf(await drive.metadataGet("pool")), await drive.metadataGet("map/1")]).toEqual(["3", undefined]);
  });

  test("unknown outcome: done or not as told, or by the seed", async () => {
    const { set, drive, write, found } = await faultyDrive(make);
    set({ fault: "unknownOutcome", done: true, hitsMax: 1 });
    expect(await kind(write(0))).toBe("unknown");
    expect(await found(0)).toEqual(contentOf(0));
    set({ fault: "unknownOutcome", done: false, hitsMax: 2 });
    expect(await kind(write(1))).toBe("unknown");
    expect(await found(1)).toBe("notFound");
    expect(await kind(drive.createZone(9))).toBe("unknown");
    set({ fault: "unknownOutcome" });
    const outcomes = new Set<string>();
    for (let strip = 2; strip < 40; strip++) {
      expect(await kind(write(strip))).toBe("unknown");
      outcomes.add(typeof (await found(strip)));
    }
    expect([...outcomes].sort()).toEqual(["object", "string"]);
  });

  test("unreachable: every operation, or those of its place", async () => {
    const { faults, set, drive, strips, write } = await faultyDrive(make);
    await write(0);
    set({ fault: "unreachable" });
    const all = [
      ...[drive.identify(), drive.open(1), drive.listZones(), drive.createZone(3), drive.finishZone(1), drive.resetZone(1)],
      ...[drive.writeStrips(strips(1)), drive.readStrips(strips(0)), drive.readParts({ zone: 1, strip: 0, list: 0, count: 1 })],
      ...[drive.metadataGet("a"), drive.metadataBatch([put("a", "1")]), drive.flush()],
      drive.metadataScan({ from: "a", below: "b", bytesMax: 100 }),
    ];
    expect(new Set(await Promise.all(all.map(kind)))).toEqual(new Set(["unreachable"]));
    set({ fault: "unreachable", operations: ["metadataWrite"] });
    expect(await kind(drive.metadataBatch([put("a", "1")]))).toBe("unreachable");
    expect(await drive.metadataGet("a")).toBeUndefined();
    faults.set(undefined);
    await write(1);
  });
});

describe("FaultDrive: time", () => {
  /** Time that goes on when it is told to. */
  async function timed() {
    const asked: number[] = [];
    const made = await faultyDrive(memoryFixture);
    const faults = new DriveFaults(async (milliseconds) => {
      asked.push(milliseconds);
    });
    const drive = new FaultDrive(made.fixture.attach(), faults, made.fixture.global);
    await drive.open(1);
    return { ...made, drive, faults, asked };
  }

  test("delay: fixed, or more by the seed, the same for the same seed, never above the bound", async () => {
    const { faults, drive, asked } = await timed();
    const run = async (settings: DriveFaultSettings) => {
      asked.length = 0;
      faults.set(settings);
      for (let n = 0; n < 20; n++) await drive.flush();
      return [...asked];
    };
    expect(await run({ rules: [{ fault: "delay", milliseconds: 5 }] })).toEqual(new Array(20).fill(5));
    const random: DriveFaultSettings = { seed: 3, rules: [{ fault: "delay", milliseconds: 10, jitterMilliseconds: 90 }] };
    const first = await run(random);
    expect(await run(random)).toEqual(first);
    expect(await run({ ...random, seed: 4 })).not.toEqual(first);
    expect(first.every((milliseconds) => milliseconds >= 10 && milliseconds <= 100)).toBe(true);
    expect(new Set(first).size).toBeGreaterThan(10);
    expect(await run({ rules: [{ fault: "delay", milliseconds: 1e9 }] })).toEqual(new Array(20).fill(60_000));
  });

  test("hang: nothing is answered until the rules are set anew, then all of it is", async () => {
    const { faults, drive, strips } = await timed();
    faults.set({ rules: [{ fault: "hang", operations: ["write"] }] });
    let ended = 0;
    const writes = [0, 1, 2].map((strip) => drive.writeStrips(strips(strip)).then(() => (ended += 1)));
    await drive.flush();
    await new Promise((resolve) => setImmediate(resolve));
    expect(ended).toBe(0);
    // Those that hang still do under the next rules, if these say so.
    faults.set({ rules: [{ fault: "hang", operations: ["write"] }] });
    await new Promise((resolve) => setImmediate(resolve));
    // One after the other, as a zone's writes stay in order.
    expect([ended, faults.status()[0]!.hits]).toEqual([0, 1]);
    faults.set(undefined);
    await Promise.all(writes);
    expect(ended).toBe(3);
  });
});

describe("FaultDrive: order", () => {
  test("a write that comes when the faults are gone does not overtake one that they hold up", async () => {
    const { faults, write, found } = await faultyDrive(memoryFixture);
    faults.set({ rules: [{ fault: "hang", hitsMax: 1 }] });
    const first = write(0);
    const second = write(1);
    faults.set(undefined);
    await Promise.all([first, second]);
    expect(await found(1)).not.toBe("notFound");
  });
});

describe("DriveFaults: how often", () => {
  async function hits(rate: Partial<FaultRule>, count = 12, seed = 1): Promise<number[]> {
    const { faults, drive } = await faultyDrive(memoryFixture);
    faults.set({ seed, rules: [{ fault: "unreachable", ...rate } as FaultRule] });
    const hit: number[] = [];
    for (let n = 0; n < count; n++) if ((await kind(drive.flush())) !== "done") hit.push(n);
    return hit;
  }

  test("skip, every nth, hitsMax", async () => {
    expect(await hits({})).toHaveLength(12);
    expect(await hits({ skip: 10 })).toEqual([10, 11]);
    expect(await hits({ everyNth: 5 })).toEqual([0, 5, 10]);
    expect(await hits({ skip: 1, everyNth: 5, hitsMax: 2 })).toEqual([1, 6]);
    expect(await hits({ hitsMax: 0 })).toEqual([]);
  });

  test("probability: about as many as it says, by the seed", async () => {
    const found = await hits({ probability: 0.3 }, 1000, 9);
    expect(found.length).toBeGreaterThan(200);
    expect(found.length).toBeLessThan(400);
    expect(await hits({ probability: 0.3 }, 1000, 9)).toEqual(found);
    expect(await hits({ probability: 0.3 }, 1000, 10)).not.toEqual(found);
  });
});
