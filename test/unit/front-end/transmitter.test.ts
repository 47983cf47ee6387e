import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ByteStream } from "../../../directors/front-end/iscsi/byte-stream.ts";
import { GATHER_BUFFER_BYTES, SlabPool, Transmitter } from "../../../directors/front-end/iscsi/transmitter.ts";
import { FRAME_BYTES, TRANSMIT_BYTES } from "../../../drivers/shared-memory/layout.ts";
import { RegionPool } from "../../../drivers/shared-memory/region-pool.ts";
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
  const gatherBuffers = new RegionPool(global.layout.transmit[0]!, GATHER_BUFFER_BYTES, TRANSMIT_BYTES / GATHER_BUFFER_BYTES);
  const tx = new Transmitter({
    stream,
    gatherBuffers,
    slabs: new SlabPool(),
    global,
    frames: { addressOf, view: (frame: number) => global.view(addressOf(frame), FRAME_BYTES) } as FrameSource,
    wantsFlush() {},
    handedOver() {},
    drained() {},
  });
  return {
    tx,
    gatherBuffers,
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

  test("puts a large read's scattered frames side by side, and gives the buffer back once it was taken", () => {
    const { tx, pdu, pieces, gatherBuffers, taken } = transmitter();
    const { free } = gatherBuffers;
    pdu([9, 7, 5, 3, 1, 11, 13, 15], 0, 0, 8 * FRAME_BYTES);
    pdu([2, 4, 6, 8, 10, 12, 14, 16], 0, 0, 8 * FRAME_BYTES);
    tx.flush();
    expect(pieces.map(({ length }) => length)).toEqual([BHS, 8 * FRAME_BYTES, BHS, 8 * FRAME_BYTES]);
    expect(gatherBuffers.free).toBe(free - 1);
    taken();
    expect(gatherBuffers.free).toBe(free);
  });

  test("sends neighbours and small reads from where they lie", () => {
    const { tx, pdu, pieces, gatherBuffers } = transmitter();
    const { free } = gatherBuffers;
    pdu([3, 4, 5, 6, 7, 8, 9, 10], 0, 0, 8 * FRAME_BYTES);
    pdu([30, 20], 0, 0, 2 * FRAME_BYTES);
    tx.flush();
    expect(pieces.map(({ length }) => length)).toEqual([BHS, 8 * FRAME_BYTES, BHS, FRAME_BYTES, FRAME_BYTES]);
    expect(gatherBuffers.free).toBe(free);
  });

  test("goes on from the frames when every buffer is on its way, and gives all back at the close", () => {
    const { tx, pdu, pieces, gatherBuffers } = transmitter();
    const { free } = gatherBuffers;
    const scattered = Array.from({ length: 64 }, (_, n) => (n * 37) % 256);
    for (let n = 0; n < free; n++) pdu(scattered, 0, 0, 64 * FRAME_BYTES);
    expect(gatherBuffers.free).toBe(0);
    pdu(scattered, 0, 0, 64 * FRAME_BYTES);
    tx.flush();
    expect(pieces.length).toBeGreaterThan(0);
    tx.close();
    expect(gatherBuffers.free).toBe(free);
  });
});
