/**
 * Cuts a TCP byte stream into PDUs, in place: many PDUs per received chunk, nothing copied but what a chunk's end cuts off.
 *
 * Runs on: the director's thread. Owns: one buffer for a cut-off header, and one for a cut-off data segment that the
 * handler wants whole (grown by what has really arrived, never by what a header announces).
 * Invariants:
 *  1. A length is compared with its limit before a byte of the segment is kept.
 *  2. While paused nothing is parsed; the rest of one chunk is all that is kept.
 *  3. A header whose digest is wrong, or whose lengths break a limit, ends the connection: nothing after it can be trusted.
 */
import { dataCrc32c } from "../../../drivers/shared-memory/data-crc32c.ts";
import { headerDigest, readDigest } from "./digest.ts";
import { BHS_BYTES } from "./pdu/define-bhs.ts";
import { ahsBytesOf, dataSegmentLengthOf } from "./pdu/hot-path.ts";

/** What to do with a PDU's data segment. */
export const DATA = {
  /** Hand it over whole at the end of the PDU. */
  collect: 0,
  /** Hand over every piece as it comes. */
  stream: 1,
  discard: 2,
  /** Not known yet: stop here until `decide`. */
  wait: 3,
} as const;
export type DataDisposition = (typeof DATA)[keyof typeof DATA];

export type ReceiveFault = "headerDigest" | "dataSegmentLength";

export interface PduHandler {
  /** The header (BHS and AHS) lies in `header` from `at`; it is gone when the call returns. */
  onHeader(header: Buffer, at: number, ahsBytes: number, dataBytes: number): DataDisposition;
  /** A piece of a streamed data segment. */
  onData(chunk: Buffer, start: number, end: number): void;
  /** The PDU is complete. `data` is the collected segment (it may lie in a socket buffer: gone when the call returns). */
  onEnd(data: Buffer, digestGood: boolean): void;
  onFault(fault: ReceiveFault): void;
}

const STATE = { header: 0, undecided: 1, data: 2, trailer: 3 } as const;

/** BHS, 255 words of AHS, digest. */
const HEADER_BYTES_MAX = BHS_BYTES + 255 * 4 + 4;
const NO_DATA = Buffer.alloc(0);

export class Receiver {
  /** Negotiated: our MaxRecvDataSegmentLength. 8192 until login ends (RFC 7143 §13.12). */
  dataBytesMax = 8192;
  headerDigest = false;
  dataDigest = false;

  readonly #handler: PduHandler;
  #state: number = STATE.header;
  #paused = false;
  #stopped = false;
  #feeding = false;
  #rest: Buffer | undefined = undefined;

  readonly #partial = Buffer.allocUnsafeSlow(HEADER_BYTES_MAX);
  #partialBytes = 0;

  #disposition: DataDisposition = DATA.discard;
  #dataBytes = 0;
  #dataLeft = 0;
  #crc = 0;
  #collected: Buffer = NO_DATA;
  #collectedBytes = 0;
  /** Padding and data digest, at most 3 + 4 bytes. */
  readonly #trailer = Buffer.alloc(8);
  #trailerBytes = 0;
  #trailerNeeded = 0;
  #paddingBytes = 0;

  constructor(handler: PduHandler) {
    this.#handler = handler;
  }

  /** Nothing is parsed any more. */
  stop(): void {
    this.#stopped = true;
    this.#rest = undefined;
  }

  pause(): void {
    this.#paused = true;
  }

  /** Parses what was kept; a caller that holds the socket back too lets it go on afterwards. */
  resume(): void {
    this.#paused = false;
    if (this.#state !== STATE.undecided && this.#rest !== undefined) this.#feedRest();
  }

  get paused(): boolean {
    return this.#paused || this.#state === STATE.undecided;
  }

  /** Ends DATA.wait. */
  decide(disposition: DataDisposition): void {
    if (this.#state !== STATE.undecided) return;
    this.#startData(disposition);
    if (!this.#paused) this.#feedRest();
  }

  #feedRest(): void {
    if (this.#feeding) return;
    const rest = this.#rest;
    this.#rest = undefined;
    this.feed(rest ?? NO_DATA);
  }

  feed(chunk: Buffer): void {
    if (this.#stopped) return;
    this.#feeding = true;
    let at = 0;
    for (;;) {
      if (this.#stopped) break;
      if (this.#paused || this.#state === STATE.undecided) {
        this.#keepRest(chunk, at);
        break;
      }
      if (this.#state === STATE.header) {
        if (at === chunk.length) break;
        at = this.#takeHeader(chunk, at);
      } else if (this.#state === STATE.data) {
        if (this.#dataLeft > 0) {
          if (at === chunk.length) break;
          at = this.#takeData(chunk, at);
        }
        if (this.#dataLeft === 0) this.#state = STATE.trailer;
      } else {
        if (at === chunk.length && this.#trailerBytes < this.#trailerNeeded) break;
        at = this.#takeTrailer(chunk, at);
      }
    }
    this.#feeding = false;
  }

  #keepRest(chunk: Buffer, at: number): void {
    if (at === chunk.length) return;
    // Copied: the chunk lies in a buffer that the next read of any connection fills anew.
    const rest = chunk.subarray(at);
    this.#rest = this.#rest === undefined ? Buffer.from(rest) : Buffer.concat([this.#rest, rest]);
  }

  #takeHeader(chunk: Buffer, at: number): number {
    const digestBytes = this.headerDigest ? 4 : 0;
    if (this.#partialBytes === 0 && chunk.length - at >= BHS_BYTES) {
      const needed = BHS_BYTES + ahsBytesOf(chunk, at) + digestBytes;
      if (chunk.length - at >= needed) {
        this.#beginPdu(chunk, at);
        return at + needed;
      }
    }
    let next = this.#fillPartial(chunk, at, BHS_BYTES);
    if (this.#partialBytes < BHS_BYTES) return next;
    const needed = BHS_BYTES + ahsBytesOf(this.#partial, 0) + digestBytes;
    next = this.#fillPartial(chunk, next, needed);
    if (this.#partialBytes < needed) return next;
    this.#partialBytes = 0;
    this.#beginPdu(this.#partial, 0);
    return next;
  }

  #fillPartial(chunk: Buffer, at: number, upTo: number): number {
    const taken = Math.min(upTo - this.#partialBytes, chunk.length - at);
    if (taken <= 0) return at;
    chunk.copy(this.#partial, this.#partialBytes, at, at + taken);
    this.#partialBytes += taken;
    return at + taken;
  }

  #beginPdu(header: Buffer, at: number): void {
    const ahsBytes = ahsBytesOf(header, at);
    const headerBytes = BHS_BYTES + ahsBytes;
    if (this.headerDigest && headerDigest(header, at, headerBytes) !== readDigest(header, at + headerBytes)) {
      this.#fault("headerDigest");
      return;
    }
    const dataBytes = dataSegmentLengthOf(header, at);
    if (dataBytes > this.dataBytesMax) {
      this.#fault("dataSegmentLength");
      return;
    }
    this.#dataBytes = dataBytes;
    this.#state = STATE.undecided;
    const disposition = this.#handler.onHeader(header, at, ahsBytes, dataBytes);
    if (disposition !== DATA.wait && this.#state === STATE.undecided) this.#startData(disposition);
  }

  #fault(fault: ReceiveFault): void {
    this.stop();
    this.#handler.onFault(fault);
  }

  #startData(disposition: DataDisposition): void {
    this.#state = STATE.data;
    this.#disposition = disposition;
    this.#dataLeft = this.#dataBytes;
    this.#crc = 0;
    this.#collectedBytes = 0;
    this.#paddingBytes = -this.#dataBytes & 3;
    this.#trailerBytes = 0;
    this.#trailerNeeded = this.#paddingBytes + (this.dataDigest && this.#dataBytes > 0 ? 4 : 0);
  }

  #takeData(chunk: Buffer, at: number): number {
    const end = Math.min(chunk.length, at + this.#dataLeft);
    if (this.dataDigest) this.#crc = dataCrc32c(chunk.subarray(at, end), this.#crc);
    if (this.#disposition === DATA.stream) {
      this.#handler.onData(chunk, at, end);
    } else if (this.#disposition === DATA.collect) {
      if (end - at === this.#dataBytes) {
        this.#collected = chunk.subarray(at, end);
        this.#collectedBytes = this.#dataBytes;
      } else {
        this.#collect(chunk, at, end);
      }
    }
    this.#dataLeft -= end - at;
    return end;
  }

  /** Room is made for what has come, doubling: a peer that only announces a large segment costs nothing. */
  #collect(chunk: Buffer, at: number, end: number): void {
    const needed = this.#collectedBytes + (end - at);
    if (this.#collectedBytes === 0 || this.#collected.length < needed) {
      const grown = Buffer.allocUnsafeSlow(Math.min(this.#dataBytes, Math.max(1024, needed * 2)));
      this.#collected.copy(grown, 0, 0, this.#collectedBytes);
      this.#collected = grown;
    }
    chunk.copy(this.#collected, this.#collectedBytes, at, end);
    this.#collectedBytes = needed;
  }

  #takeTrailer(chunk: Buffer, at: number): number {
    const taken = Math.min(this.#trailerNeeded - this.#trailerBytes, chunk.length - at);
    for (let i = 0; i < taken; i += 1) this.#trailer[this.#trailerBytes + i] = chunk[at + i]!;
    this.#trailerBytes += taken;
    if (this.#trailerBytes < this.#trailerNeeded) return at + taken;
    this.#endPdu();
    return at + taken;
  }

  #endPdu(): void {
    let digestGood = true;
    if (this.dataDigest && this.#dataBytes > 0) {
      const padding = this.#paddingBytes;
      if (padding > 0) this.#crc = dataCrc32c(this.#trailer.subarray(0, padding), this.#crc);
      digestGood = this.#crc === readDigest(this.#trailer, padding);
    }
    const data = this.#disposition === DATA.collect ? this.#collected.subarray(0, this.#collectedBytes) : NO_DATA;
    this.#collected = NO_DATA;
    this.#state = STATE.header;
    this.#handler.onEnd(data, digestGood);
  }
}
