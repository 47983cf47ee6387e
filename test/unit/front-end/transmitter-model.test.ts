/**
 * Transmitters that share a few slabs, beside a model: what each peer gets is what was said, in order, with its digests, and
 * stays as it is until the socket has taken it; slabs and pins come back once, and not before.
 */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ByteStream } from "../../../directors/front-end/iscsi/byte-stream.ts";
import { SLAB_BYTES, SlabPool } from "../../../directors/front-end/iscsi/slab-pool.ts";
import { Transmitter } from "../../../directors/front-end/iscsi/transmitter.ts";
import { dataCrc32c } from "../../../drivers/shared-memory/data-crc32c.ts";
import { FRAME_BYTES } from "../../../drivers/shared-memory/layout.ts";
import type { FrameSource } from "../../../src/volume/block-io.ts";
import { testGlobalMemory } from "../../support/global-memory.ts";

const CONNECTIONS = 3;
const FRAMES = 256;

const { global } = testGlobalMemory();
const addressOf = (frame: number) => global.layout.frames + frame * FRAME_BYTES;
for (let frame = 0; frame < FRAMES; frame++)
  for (let at = 0; at < FRAME_BYTES; at += 4)
    global.i32[(addressOf(frame) + at) / 4] = Math.imul(frame * FRAME_BYTES + at, 0x9e3779b1);
const content = (frame: number) => global.u8.slice(addressOf(frame), addressOf(frame) + FRAME_BYTES);
const frameSource = { addressOf, view: (frame: number) => global.view(addressOf(frame), FRAME_BYTES) } as FrameSource;

function digestOf(bytes: Uint8Array): Buffer {
  const digest = Buffer.alloc(4);
  digest.writeUInt32LE(dataCrc32c(bytes));
  return digest;
}

/** A connection whose peer takes what it was sent when the test says so. */
class Peer {
  readonly tx: Transmitter;
  readonly said: Buffer[] = [];
  readonly got: Buffer[] = [];
  /** Commands answered, and those of them whose pins came back. */
  answered = 0;
  unpinned = 0;
  wantsFlush = false;
  #handed: Uint8Array[] = [];
  #done: ((error?: Error | null) => void) | undefined;
  readonly #headerDigest: boolean;
  readonly #dataDigest: boolean;

  constructor(slabs: SlabPool, digests: { readonly header: boolean; readonly data: boolean }) {
    this.#headerDigest = digests.header;
    this.#dataDigest = digests.data;
    const stream = {
      cork() {},
      uncork() {},
      write: (piece: Uint8Array, done?: (error?: Error | null) => void) => {
        this.#handed.push(piece);
        if (done !== undefined) this.#done = done;
        return true;
      },
    } as unknown as ByteStream;
    this.tx = new Transmitter({
      stream,
      slabs,
      global,
      frames: frameSource,
      wantsFlush: () => {
        this.wantsFlush = true;
      },
      handedOver() {},
      drained() {},
    });
    this.tx.headerDigest = digests.header;
    this.tx.dataDigest = digests.data;
  }

  #header(tag: number): void {
    const at = this.tx.beginHeader();
    const header = Buffer.alloc(48);
    expect(this.tx.slab.subarray(at, at + 48).equals(header)).toBe(true);
    header.writeUInt32BE(tag, 16);
    header.copy(this.tx.slab, at);
    this.tx.endHeader();
    this.said.push(header);
    if (this.#headerDigest) this.said.push(digestOf(header));
  }

  #data(data: Uint8Array): void {
    if (data.length === 0) return;
    const padded = Buffer.alloc(Math.ceil(data.length / 4) * 4);
    padded.set(data);
    this.said.push(padded);
    if (this.#dataDigest) this.said.push(digestOf(padded));
  }

  read(tag: number, frames: readonly number[], phase: number, offset: number, bytes: number): void {
    this.#header(tag);
    const all = Buffer.concat(frames.map(content)).subarray(phase);
    this.tx.frames({ frames: Int32Array.from(frames), frameCount: frames.length, phase, bytes: all.length }, offset, bytes);
    this.#data(all.subarray(offset, offset + bytes));
    this.#answer();
  }

  inline(tag: number, bytes: number): void {
    this.#header(tag);
    const data = Buffer.alloc(bytes, tag);
    this.tx.data(data);
    this.#data(data);
    this.#answer();
  }

  /** A PDU that leaves so many bytes of its slab, where its data is short enough. */
  upTo(tag: number, left: number): void {
    const start = this.tx.beginHeader();
    const room = this.tx.slab.length - start - 48 - (this.#headerDigest ? 4 : 0) - (this.#dataDigest ? 4 : 0) - left;
    this.inline(tag, Math.max(0, Math.min(room, 4096)));
  }

  #answer(): void {
    this.answered += 1;
    this.tx.answered(0, 0, {
      sent: () => {
        this.unpinned += 1;
      },
    });
  }

  flush(): void {
    this.wantsFlush = false;
    this.tx.flush();
  }

  /** The socket takes what it has: only now its bytes are looked at. */
  take(): boolean {
    const done = this.#done;
    if (done === undefined) return false;
    this.got.push(Buffer.concat(this.#handed));
    this.#handed = [];
    this.#done = undefined;
    done();
    return true;
  }

  fail(): void {
    this.#done?.(new Error("reset by peer"));
  }

  close(): void {
    this.got.push(Buffer.concat(this.#handed));
    this.tx.close();
    this.#done?.(new Error("destroyed"));
  }
}

const runs = fc.oneof(
  // Scattered frames, neighbours, and runs of neighbours that lie apart.
  fc.array(fc.nat(FRAMES - 1), { minLength: 1, maxLength: 40 }),
  fc
    .tuple(fc.nat(FRAMES - 41), fc.integer({ min: 1, max: 40 }))
    .map(([first, count]) => Array.from({ length: count }, (_, n) => first + n)),
  fc
    .tuple(fc.array(fc.nat(30), { minLength: 1, maxLength: 6 }), fc.integer({ min: 1, max: 8 }))
    .map(([starts, count]) => starts.flatMap((start) => Array.from({ length: count }, (_, n) => start * 8 + n))),
);
const connection = fc.nat(CONNECTIONS - 1);
const share = fc.double({ min: 0, max: 1, noNaN: true });
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant("read" as const), connection, frames: runs, sectors: fc.nat(7), from: share, share }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant("inline" as const), connection, bytes: fc.oneof(fc.nat(64), fc.nat(9000)) }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("upTo" as const), connection, left: fc.nat(60) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("flush" as const), connection }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("take" as const), connection }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("close" as const), connection, failed: fc.boolean() }) },
);

describe("transmitters that share slabs", () => {
  test("send what was said, whole and in order, and give everything back, whatever peers take and whenever they go", () => {
    const cases = fc.record({
      steps: fc.array(step, { minLength: 1, maxLength: 60 }),
      slabs: fc.nat(4),
      digests: fc.record({ header: fc.boolean(), data: fc.boolean() }),
    });
    fc.assert(
      fc.property(cases, ({ steps, slabs: count, digests }) => {
        const slabs = new SlabPool(global, global.layout.transmit[0]!, count * SLAB_BYTES);
        expect(slabs.free).toBe(count);
        const peers = Array.from({ length: CONNECTIONS }, () => new Peer(slabs, digests));
        const end = (peer: Peer): void => {
          peer.close();
          const said = Buffer.concat(peer.said);
          const got = Buffer.concat(peer.got);
          expect(got.equals(said.subarray(0, got.length))).toBe(true);
          expect([peer.unpinned, peer.tx.unsentBytes]).toEqual([peer.answered, 0]);
        };
        steps.forEach((each, tag) => {
          const peer = peers[each.connection]!;
          if (each.do === "read") {
            const phase = each.sectors * 512;
            const whole = each.frames.length * FRAME_BYTES - phase;
            const offset = Math.floor((whole * each.from) / 512) * 512;
            peer.read(tag, each.frames, phase, offset, Math.floor((whole - offset) * each.share));
          } else if (each.do === "inline") peer.inline(tag, each.bytes);
          else if (each.do === "upTo") for (let n = 0; n < 8; n++) peer.upTo(tag, each.left);
          else if (each.do === "flush") peer.flush();
          else if (each.do === "take") peer.take();
          else {
            const { unpinned } = peer;
            if (each.failed) peer.fail();
            expect(peer.unpinned).toBe(unpinned);
            end(peer);
            peers[each.connection] = new Peer(slabs, digests);
          }
          for (const { unpinned, got, said } of peers) if (got.length === 0 && said.length > 0) expect(unpinned).toBe(0);
        });
        for (const peer of peers) {
          if (peer.wantsFlush) peer.flush();
          while (peer.take());
          expect(peer.tx.idle).toBe(true);
          expect(Buffer.concat(peer.got).equals(Buffer.concat(peer.said))).toBe(true);
          expect(peer.unpinned).toBe(peer.answered);
        }
        // Nobody has anything to send: nobody holds a slab.
        expect(slabs.free).toBe(count);
        for (const peer of peers) end(peer);
        expect(slabs.free).toBe(count);
      }),
      { numRuns: 150 },
    );
  });
});
