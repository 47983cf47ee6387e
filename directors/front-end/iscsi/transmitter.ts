/**
 * What one connection has to send: headers and short data side by side in slabs, long data from where it lies, one gathered
 * write for each turn.
 *
 * Runs on: the director's thread. Owns: the batches that are being filled, wait, or are in the socket's hands.
 * Invariants:
 *  1. A batch is in the socket's hands, or its bytes were never seen by it: slabs and pins of a batch are given back by the
 *     write's callback, or at the close, and not before.
 *  2. One batch at a time is in the socket's hands; what comes meanwhile waits, so a batch's end shows that the peer reads.
 *  3. A PDU's bytes are never split between connections or reordered: batches leave in order.
 */
import { dataCrc32c } from "../../../drivers/shared-memory/data-crc32c.ts";
import type { GlobalMemory } from "../../../drivers/shared-memory/global-memory.ts";
import { FRAME_BYTES } from "../../../drivers/shared-memory/layout.ts";
import { STRETCH_FRAMES_LEAST } from "../../../src/cache/regroup.ts";
import { type FrameRun, stretchesIn } from "../../../src/scsi/task.ts";
import type { FrameSource } from "../../../src/volume/block-io.ts";
import type { ByteStream } from "./byte-stream.ts";
import { headerDigest, writeDigest } from "./digest.ts";
import { BHS_BYTES } from "./pdu/define-bhs.ts";
import type { Slab, SlabPool } from "./slab-pool.ts";

/** One write to the socket takes at most about this much: its end is the sign that the peer still reads. */
const BATCH_BYTES_MAX = 1 << 20;
/** Inline data up to this is copied beside its header; more is sent from where it lies. */
const COPY_BYTES_MAX = 4096;
/** Read data whose pieces are shorter than this on average is copied too: a piece costs more than its bytes (docs/decisions/0009). */
const PIECE_BYTES_LEAST = STRETCH_FRAMES_LEAST * FRAME_BYTES;

/** What a response keeps until its last byte was taken: a task with pinned frames. */
export interface Pinned {
  sent(): void;
}

class Batch {
  readonly pieces: Uint8Array[] = [];
  readonly slabs: Slab[] = [];
  readonly pinned: Pinned[] = [];
  /** Kind and time of receipt of each command answered here, for the latency histograms. */
  readonly kinds: number[] = [];
  readonly receivedAt: number[] = [];
  bytes = 0;
}

export interface TransmitterHost {
  readonly stream: ByteStream;
  readonly slabs: SlabPool;
  readonly global: GlobalMemory;
  readonly frames: FrameSource;
  /** Asks for `flush` at the end of this turn. */
  wantsFlush(): void;
  /** Bytes were handed to the socket; `kinds` and `receivedAt` name the commands that they answer. */
  handedOver(bytes: number, kinds: readonly number[], receivedAt: readonly number[]): void;
  /** A batch left: there may be room again. */
  drained(): void;
}

export class Transmitter {
  headerDigest = false;
  dataDigest = false;
  /** Bytes not yet taken by the kernel. */
  unsentBytes = 0;
  /** Batches that the kernel has taken, whole: grows while the peer reads. */
  batchesSent = 0;

  readonly #host: TransmitterHost;
  #filling = new Batch();
  readonly #waiting: Batch[] = [];
  #inFlight: Batch | undefined = undefined;
  readonly #spare: Batch[] = [];

  /** That is being filled; taken when there is something to send, so that a quiet connection holds none. */
  #slab: Slab | undefined = undefined;
  /** Slabs of global memory that are on their way or being filled. */
  #slabsHeld = 0;
  #slabAt = 0;
  #pieceStart = 0;

  #crc = 0;
  readonly #written: (error?: Error | null) => void;
  #closed = false;

  constructor(host: TransmitterHost) {
    this.#host = host;
    this.#written = (error) => this.#batchWritten(error ?? undefined);
  }

  get sending(): boolean {
    return this.#inFlight !== undefined;
  }

  get idle(): boolean {
    return this.unsentBytes === 0;
  }

  /** Where a header goes, between `beginHeader` and `endHeader`. */
  get slab(): Buffer {
    return this.#slab!.bytes;
  }

  /** Offset in `slab` of 48 zeroed bytes; fill them in, then call `endHeader` before anything else. */
  beginHeader(): number {
    this.#makeRoom(BHS_BYTES + 4);
    const at = this.#slabAt;
    this.slab.fill(0, at, at + BHS_BYTES);
    return at;
  }

  endHeader(): void {
    const at = this.#slabAt;
    let bytes = BHS_BYTES;
    if (this.headerDigest) {
      writeDigest(this.slab, at + BHS_BYTES, headerDigest(this.slab, at, BHS_BYTES));
      bytes += 4;
    }
    this.#slabAt += bytes;
    this.#account(bytes);
    this.#crc = 0;
  }

  /** A whole data segment, copied when it is short; otherwise `data` must stay as it is until it is sent. */
  data(data: Uint8Array): void {
    if (data.length === 0) return;
    if (this.dataDigest) this.#crc = dataCrc32c(data, this.#crc);
    if (data.length <= COPY_BYTES_MAX) {
      this.#makeRoom(data.length);
      this.slab.set(data, this.#slabAt);
      this.#slabAt += data.length;
    } else {
      this.#cutPiece();
      this.#filling.pieces.push(data);
    }
    this.#account(data.length);
    this.#endData(data.length);
  }

  /** A data segment out of frames: `bytes` bytes from `offset` into the run. Neighbouring frames go as one piece. */
  frames(run: FrameRun, offset: number, bytes: number): void {
    if (bytes === 0) return;
    const copied = this.#isWorthCopying(run, offset, bytes) ? this.#copyFrames(run, offset, bytes) : 0;
    if (copied < bytes) {
      this.#cutPiece();
      this.#sendFrames(run, offset + copied, bytes - copied);
    }
    this.#account(bytes);
    this.#endData(bytes);
  }

  #isWorthCopying(run: FrameRun, offset: number, bytes: number): boolean {
    const start = run.phase + offset;
    const pieces = stretchesIn(run, Math.floor(start / FRAME_BYTES), Math.ceil((start + bytes) / FRAME_BYTES));
    return bytes < pieces * PIECE_BYTES_LEAST;
  }

  /** Into slabs, as far as there are some that the kernel reaches; returns how many bytes. */
  #copyFrames(run: FrameRun, offset: number, bytes: number): number {
    const { frames, global } = this.#host;
    const start = run.phase + offset;
    const end = start + bytes;
    let position = start;
    while (position < end) {
      this.#makeRoom(1);
      const slab = this.#slab!;
      if (slab.address < 0) break;
      const at = this.#slabAt;
      const room = Math.min(end - position, slab.bytes.length - at);
      for (const stop = position + room; position < stop; ) {
        const within = position % FRAME_BYTES;
        const taken = Math.min(FRAME_BYTES - within, stop - position);
        const frame = run.frames[Math.floor(position / FRAME_BYTES)]!;
        global.kernels.copy(slab.address + this.#slabAt, frames.addressOf(frame) + within, taken);
        this.#slabAt += taken;
        position += taken;
      }
      if (this.dataDigest) this.#crc = dataCrc32c(slab.bytes.subarray(at, this.#slabAt), this.#crc);
    }
    return position - start;
  }

  #sendFrames(run: FrameRun, offset: number, bytes: number): void {
    const { frames, global } = this.#host;
    let position = run.phase + offset;
    let left = bytes;
    while (left > 0) {
      const index = Math.floor(position / FRAME_BYTES);
      const within = position % FRAME_BYTES;
      const frame = run.frames[index]!;
      let piece: Uint8Array;
      if (within === 0 && left >= FRAME_BYTES && (left < 2 * FRAME_BYTES || !this.#neighbours(run, index))) {
        piece = frames.view(frame);
      } else {
        let taken = Math.min(FRAME_BYTES - within, left);
        for (let next = index; taken < left && this.#neighbours(run, next); next += 1)
          taken += Math.min(FRAME_BYTES, left - taken);
        piece = global.view(frames.addressOf(frame) + within, taken);
      }
      if (this.dataDigest) this.#crc = dataCrc32c(piece, this.#crc);
      this.#filling.pieces.push(piece);
      position += piece.length;
      left -= piece.length;
    }
  }

  #neighbours(run: FrameRun, index: number): boolean {
    return index + 1 < run.frameCount && run.frames[index + 1] === run.frames[index]! + 1;
  }

  #endData(bytes: number): void {
    const padding = -bytes & 3;
    const trailer = padding + (this.dataDigest ? 4 : 0);
    if (trailer === 0) return;
    this.#makeRoom(trailer);
    const at = this.#slabAt;
    this.slab.fill(0, at, at + padding);
    if (this.dataDigest) {
      if (padding > 0) this.#crc = dataCrc32c(this.slab.subarray(at, at + padding), this.#crc);
      writeDigest(this.slab, at + padding, this.#crc);
    }
    this.#slabAt += trailer;
    this.#account(trailer);
  }

  /** Notes a command whose answer was just queued. */
  answered(kind: number, receivedAt: number, pinned: Pinned | undefined): void {
    this.#filling.kinds.push(kind);
    this.#filling.receivedAt.push(receivedAt);
    if (pinned !== undefined) this.#filling.pinned.push(pinned);
    if (this.#filling.bytes >= BATCH_BYTES_MAX) this.#closeBatch();
  }

  #account(bytes: number): void {
    if (this.#filling.bytes === 0 && this.#waiting.length === 0 && this.#inFlight === undefined) this.#host.wantsFlush();
    this.#filling.bytes += bytes;
    this.unsentBytes += bytes;
  }

  /** Room in the slab for `bytes` in one stretch. */
  #makeRoom(bytes: number): void {
    if (this.#slab !== undefined && this.#slabAt + bytes <= this.#slab.bytes.length) return;
    this.#endSlab();
    this.#slab = this.#host.slabs.take(this.#slabsHeld);
    if (this.#slab.address >= 0) this.#slabsHeld += 1;
  }

  /** The slab is the filling batch's from now on. */
  #endSlab(): void {
    if (this.#slab === undefined) return;
    this.#cutPiece();
    this.#filling.slabs.push(this.#slab);
    this.#slab = undefined;
    this.#slabAt = 0;
    this.#pieceStart = 0;
  }

  /** What was written into the slab since the last piece becomes a piece. */
  #cutPiece(): void {
    if (this.#pieceStart === this.#slabAt) return;
    this.#filling.pieces.push(this.#slab!.bytes.subarray(this.#pieceStart, this.#slabAt));
    this.#pieceStart = this.#slabAt;
  }

  #closeBatch(): void {
    this.#endSlab();
    this.#waiting.push(this.#filling);
    this.#filling = this.#spare.pop() ?? new Batch();
  }

  flush(): void {
    if (this.#closed || this.#inFlight !== undefined) return;
    if (this.#waiting.length === 0) {
      if (this.#filling.bytes === 0) return;
      this.#closeBatch();
    }
    const batch = this.#waiting.shift()!;
    this.#inFlight = batch;
    const { stream } = this.#host;
    const last = batch.pieces.length - 1;
    if (last > 0) stream.cork();
    for (let i = 0; i < last; i += 1) stream.write(batch.pieces[i]!);
    stream.write(batch.pieces[last]!, this.#written);
    if (last > 0) stream.uncork();
    this.#host.handedOver(batch.bytes, batch.kinds, batch.receivedAt);
  }

  #batchWritten(error: Error | undefined): void {
    const batch = this.#inFlight;
    // After an error pins stay until the close: only then is the kernel surely done with the memory.
    if (batch === undefined || error !== undefined) return;
    this.#inFlight = undefined;
    this.batchesSent += 1;
    this.#empty(batch);
    this.flush();
    this.#host.drained();
  }

  #empty(batch: Batch): void {
    this.unsentBytes -= batch.bytes;
    for (const slab of batch.slabs) {
      if (slab.address >= 0) this.#slabsHeld -= 1;
      this.#host.slabs.give(slab);
    }
    const { pinned } = batch;
    for (let i = 0; i < pinned.length; i += 1) pinned[i]!.sent();
    batch.pieces.length = 0;
    batch.slabs.length = 0;
    pinned.length = 0;
    batch.kinds.length = 0;
    batch.receivedAt.length = 0;
    batch.bytes = 0;
    if (this.#spare.length < 4) this.#spare.push(batch);
  }

  /** The socket is closed: nothing reads this memory any more. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#inFlight !== undefined) this.#empty(this.#inFlight);
    this.#inFlight = undefined;
    for (const batch of this.#waiting.splice(0)) this.#empty(batch);
    this.#endSlab();
    const filling = this.#filling;
    this.#filling = new Batch();
    this.#empty(filling);
  }
}
