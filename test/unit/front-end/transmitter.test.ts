import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ByteStream } from "../../../directors/front-end/iscsi/byte-stream.ts";
import { SLAB_BYTES, SlabPool } from "../../../directors/front-end/iscsi/slab-pool.ts";
import { Transmitter } from "../../../directors/front-end/iscsi/transmitter.ts";
import { dataCrc32c } from "../../../drivers/shared-memory/data-crc32c.ts";
import { FRAME_BYTES, TRANSMIT_BYTES } from "../../../drivers/shared-memory/layout.ts";
import type { FrameSource } from "../../../src/volume/block-io.ts";
import { testGlobalMemory } from "../../support/global-memory.ts";

const BHS = 48;

/** A transmitter whose socket keeps the pieces that it was given until `taken`. */
function transmitter() {
  const { global } = testGlobalMemory();
  for (let frame = 0; frame < 256; frame++)
    for (let at = 0; at < FRAME_BYTES; at += 4)
      global.i32[(global.layout.frames + frame * FRAME_BYTES + at) / 4] = frame * 4096 + at;
  const pieces: Uint8Array[] = [];
  const callbacks: ((error?: Error | null) => void)[] = [];
  const stream = {
    cork() {},
    uncork() {},
    write(piece: Uint8Array, done?: (error?: Error | null) => void) {
      pieces.push(piece);
      if (done !== undefined) callbacks.push(done);
      return true;
    },
  } as unknown as ByteStream;
  const addressOf = (frame: number) => global.layout.frames + frame * FRAME_BYTES;
  const slabs = new SlabPool(global, global.layout.transmit[0]!, TRANSMIT_BYTES);
  const tx = new Transmitter({
    stream,
    slabs,
    global,
    frames: { addressOf, view: (frame: number) => global.view(addressOf(frame), FRAME_BYTES) } as FrameSource,
    wantsFlush() {},
    handedOver() {},
    drained() {},
  });
  return {
    tx,
    slabs,
    pieces,
    frame: (frame: number) => Buffer.from(global.u8.slice(addressOf(frame), addressOf(frame) + FRAME_BYTES)),
    pdu(frames: number[], phase: number, offset: number, bytes: number): void {
      tx.beginHeader();
      tx.endHeader();
      const run = {
        frames: Int32Array.from(frames),
        frameCount: frames.length,
        phase,
        bytes: frames.length * FRAME_BYTES - phase,
      };
      tx.frames(run, offset, bytes);
    },
    taken(): void {
      for (const done of callbacks.splice(0)) done();
    },
  };
}

describe("the transmitter, data out of frames", () => {
  test("sends the bytes that were asked for, however the frames lie", () => {
    const cases = fc.record({
      frames: fc.array(fc.integer({ min: 0, max: 255 }), { minLength: 1, maxLength: 70 }),
      phase: fc.integer({ min: 0, max: 7 }).map((sectors) => sectors * 512),
      from: fc.double({ min: 0, max: 1, noNaN: true }),
      share: fc.double({ min: 0, max: 1, noNaN: true }),
    });
    fc.assert(
      fc.property(cases, ({ frames, phase, from, share }) => {
        const { tx, pdu, pieces, frame } = transmitter();
        const all = Buffer.concat(frames.map(frame)).subarray(phase);
        const offset = Math.floor((all.length * from) / 512) * 512;
        const bytes = Math.floor((all.length - offset) * share);
        pdu(frames, phase, offset, bytes);
        tx.flush();
        const sent = Buffer.concat(pieces);
        expect(sent.subarray(BHS, BHS + bytes).equals(all.subarray(offset, offset + bytes))).toBe(true);
        expect(sent.length).toBe(BHS + Math.ceil(bytes / 4) * 4);
      }),
      { numRuns: 60 },
    );
  });

  test("puts short pieces beside their headers in as few slabs as hold them, given back once they were taken", () => {
    const { tx, pdu, pieces, slabs, taken } = transmitter();
    const { free } = slabs;
    for (let n = 0; n < 8; n++) pdu([n * 2], 0, 0, FRAME_BYTES);
    pdu([9, 7, 5, 3, 1, 11, 13, 15], 0, 0, 8 * FRAME_BYTES);
    tx.flush();
    const bytes = 9 * BHS + 16 * FRAME_BYTES;
    expect(pieces.map(({ length }) => length)).toEqual([SLAB_BYTES, SLAB_BYTES, bytes - 2 * SLAB_BYTES]);
    expect(slabs.free).toBe(free - 3);
    taken();
    expect(slabs.free).toBe(free);
  });

  test("sends long stretches of neighbours from where they lie", () => {
    const { tx, pdu, pieces } = transmitter();
    pdu([3, 4, 5, 6, 7, 8, 9, 10], 0, 0, 8 * FRAME_BYTES);
    pdu([20, 21, 22, 23, 30, 31, 32, 33], 0, 0, 8 * FRAME_BYTES);
    tx.flush();
    expect(pieces.map(({ length }) => length)).toEqual([BHS, 8 * FRAME_BYTES, BHS, 4 * FRAME_BYTES, 4 * FRAME_BYTES]);
  });

  test("a quiet connection holds no slab", () => {
    const { tx, pdu, slabs, taken } = transmitter();
    const { free } = slabs;
    pdu([1], 0, 0, FRAME_BYTES);
    expect(slabs.free).toBe(free - 1);
    tx.flush();
    taken();
    expect(slabs.free).toBe(free);
  });

  test.each([false, true])(
    "goes on from the frames when it holds as many slabs as are left, and gives all back at the close (digest %s)",
    (digest) => {
      const { tx, pdu, pieces, slabs, frame } = transmitter();
      tx.dataDigest = digest;
      const { free } = slabs;
      const scattered = Array.from({ length: 64 }, (_, n) => (n * 37) % 256);
      for (let n = 0; n < free; n++) pdu(scattered, 0, 0, 64 * FRAME_BYTES);
      const last = pieces.length;
      tx.answered(0, 0, undefined);
      for (let n = 0; n < 3; n++) pdu(scattered, 0, 0, 64 * FRAME_BYTES);
      expect(slabs.free).toBe(free / 2);
      tx.flush();
      tx.close();
      expect(pieces.length).toBeGreaterThan(last);
      expect(slabs.free).toBe(free);
      // What was handed to the socket is whole PDUs, whatever they were made of.
      const sent = Buffer.concat(pieces);
      const content = Buffer.concat(scattered.map(frame));
      expect(sent.subarray(BHS, BHS + content.length).equals(content)).toBe(true);
    },
  );

  test("data that is copied in part, because slabs run out, goes on where the copy ended; one digest covers both", () => {
    const { tx, pdu, pieces, slabs, frame, taken } = transmitter();
    tx.dataDigest = true;
    while (slabs.free > 1) slabs.take(0);
    const scattered = Array.from({ length: 16 }, (_, n) => (n * 37) % 256);
    const content = Buffer.concat(scattered.map(frame)).subarray(512, 512 + 60_001);
    pdu(scattered, 512, 0, content.length);
    tx.flush();
    const sent = Buffer.concat(pieces);
    const padded = Buffer.concat([content, Buffer.alloc(3)]);
    expect(sent.subarray(BHS, BHS + padded.length).equals(padded)).toBe(true);
    expect(sent.readUInt32LE(BHS + padded.length)).toBe(dataCrc32c(padded));
    expect(sent.length).toBe(BHS + padded.length + 4);
    taken();
    expect(slabs.free).toBe(1);
  });

  test("hands the socket about a mebibyte at a time: the rest waits until that was taken", () => {
    const { tx, pdu, pieces, taken } = transmitter();
    const neighbours = Array.from({ length: 64 }, (_, n) => n);
    for (let n = 0; n < 10; n++) {
      pdu(neighbours, 0, 0, 64 * FRAME_BYTES);
      tx.answered(0, 0, undefined);
    }
    const handed = (): number => pieces.splice(0).reduce((bytes, { length }) => bytes + length, 0);
    tx.flush();
    expect(handed()).toBe(4 * (BHS + 64 * FRAME_BYTES));
    tx.flush();
    expect(handed()).toBe(0);
    taken();
    expect(handed()).toBe(4 * (BHS + 64 * FRAME_BYTES));
    taken();
    expect(handed()).toBe(2 * (BHS + 64 * FRAME_BYTES));
  });

  test("the digest of copied data is that of the data", () => {
    const { tx, pdu, pieces, frame } = transmitter();
    tx.dataDigest = true;
    const scattered = [9, 7, 5, 3, 1, 11, 13, 15, 17];
    pdu(scattered, 0, 0, 9 * FRAME_BYTES);
    tx.flush();
    const sent = Buffer.concat(pieces);
    expect(sent.readUInt32LE(BHS + 9 * FRAME_BYTES)).toBe(dataCrc32c(Buffer.concat(scattered.map(frame))));
  });
});

describe("the pool of slabs", () => {
  test("hands out global memory while there is some, and all of it within its stretch", () => {
    const { global } = testGlobalMemory();
    const address = global.layout.transmit[0]!;
    const pool = new SlabPool(global, address, 3 * SLAB_BYTES + SLAB_BYTES / 2);
    expect(pool.free).toBe(3);
    const onHeap = Array.from({ length: 4 }, () => pool.take(0)).at(-1)!;
    expect(onHeap.address).toBe(-1);
    pool.give(onHeap);
    expect(pool.take(0)).toBe(onHeap);
    const again = new SlabPool(global, address, 3 * SLAB_BYTES);
    again.give(onHeap);
    expect(again.take(0).address).toBeGreaterThanOrEqual(address);
  });

  test("always has some for those who hold few, whoever does not give any back", () => {
    const { global } = testGlobalMemory();
    const pool = new SlabPool(global, global.layout.transmit[0]!, 64 * SLAB_BYTES);
    const held = (): number => {
      let count = 0;
      while (pool.take(count).address >= 0) count += 1;
      return count;
    };
    expect([held(), held(), held(), held(), held()]).toEqual([32, 16, 8, 4, 2]);
    expect(pool.free).toBe(2);
  });

  test("keeps a bounded number of slabs on the heap", () => {
    const { global } = testGlobalMemory();
    const pool = new SlabPool(global, global.layout.transmit[0]!, 0);
    const taken = Array.from({ length: 200 }, () => pool.take(0));
    for (const slab of taken) pool.give(slab);
    const before = new Set(taken);
    const kept = Array.from({ length: 200 }, () => pool.take(0)).filter((slab) => before.has(slab));
    expect(kept.length).toBe(64);
  });
});
