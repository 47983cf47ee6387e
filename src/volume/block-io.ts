/**
 * The block interface: what stands between protocols (SCSI today) and volumes.
 *
 * One BlockIo is one request on a byte range of a volume, in sectors of the volume's logical block size. It completes
 * exactly once by `done`, perhaps before the call returns. BlockIos are pooled by their users.
 */
import type { FrameRun } from "../scsi/task.ts";

export const BLOCK_BYTES = 4096;

/** Array-wide number of a volume; given once, never reused. */
export type VolumeNumber = number;

export const BLOCK_STATUS = {
  good: 0,
  /** Data is lost beyond what redundancy can rebuild: MEDIUM ERROR, `errorOffsetBytes` says where. */
  mediumError: 1,
  /** The pool has no room for a new block: 7/27/07. */
  spaceExhausted: 2,
  /** No frames now: TASK SET FULL. */
  noMemory: 3,
  /** The pool can't serve (too many drives missing, journal failed): 4/44/00 or 2/04/0C. */
  failed: 4,
  /** No such volume any more. */
  noVolume: 5,
  /** Not begun: who asked is gone, and nobody waits for it. */
  aborted: 6,
  /** The drives can't be reached now, by no path: 2/04/0C. It comes right by itself. */
  unreachable: 7,
  /** Not known to be done: the pool is opened anew at once, and has it or not. BUSY: who asked asks again. */
  reopening: 8,
  /** The pool can be read, and not written: 7/27/00. */
  writeProtected: 9,
} as const;
export type BlockStatus = (typeof BLOCK_STATUS)[keyof typeof BLOCK_STATUS];

/** A write or zeroing in the write path's queue. */
export interface WaitingWrite {
  /** Takes the range out of the map instead of writing it. */
  zeroes: boolean;
  spaceRetries: number;
  /** What must come before it is looked at again. */
  parkedFor: "nothing" | "page" | "destage";
}

export class BlockIo {
  volume: VolumeNumber = 0;
  offsetBytes = 0;
  bytes = 0;
  /** Durable against power loss before `done` (FUA, write-through volumes). */
  forceUnitAccess = false;
  /** Who asks: goes into the journal record (invariant 9). */
  nexus = 0;
  initiatorTaskTag = 0;
  /** Of a request that another director sent: its number, and that director's epoch (16 bits of it). 0: none did. */
  request = 0;
  requesterEpoch = 0;
  /** Nobody waits for it any more: a write that has not begun ends as "aborted". */
  abandoned = false;
  /**
   * read: filled in by the volume with one pinned frame for each block touched; give them back with `releaseRead`.
   * write: one RESERVED frame for each block touched, data in place (phase = offsetBytes % 4096); the volume takes them over.
   */
  run: FrameRun = { frames: new Int32Array(64), frameCount: 0, phase: 0, bytes: 0 };
  status: BlockStatus = BLOCK_STATUS.good;
  errorOffsetBytes = 0;
  done: (io: BlockIo) => void;
  /** The volume layer's own bookkeeping of a write that waits (write-path.ts). */
  readonly waiting: WaitingWrite = { zeroes: false, spaceRetries: 0, parkedFor: "nothing" };

  constructor(done: (io: BlockIo) => void) {
    this.done = done;
  }
}

/** A part of a volume whose blocks are all mapped, or all deallocated (they read as zeros and take no space). */
export interface MappingExtent {
  readonly bytes: number;
  readonly mapped: boolean;
}

/** A question: which of the blocks from an offset on are mapped (GET LBA STATUS)? Ended once by `done`, as a BlockIo is. */
export class MappingQuery {
  volume: VolumeNumber = 0;
  offsetBytes = 0;
  /** At most so many extents are looked for. */
  extentsMax = 1;
  status: BlockStatus = BLOCK_STATUS.good;
  /**
   * From `offsetBytes` on, one after the other, at least one when good. What comes after the last is not known: the
   * volume's work on one question is bounded, so neighbouring extents, of two answers too, may say the same.
   */
  readonly extents: MappingExtent[] = [];
  readonly done: (query: MappingQuery) => void;

  constructor(done: (query: MappingQuery) => void) {
    this.done = done;
  }
}

/** What a protocol may know of a volume. */
export interface VolumeInfo {
  readonly volume: VolumeNumber;
  readonly name: string;
  readonly sizeBytes: number;
  /** 512 or 4096. */
  readonly logicalBlockBytes: number;
  /** NAA designator, 16 bytes in hexadecimal (type 6), and unit serial number; both last for ever. */
  readonly naa: string;
  readonly serial: string;
  /** WCE: false means write-through. */
  readonly writeCacheEnabled: boolean;
}

/** The volumes of one director's pools. Everything runs on the owning director's thread. */
export interface BlockService {
  volumeInfo(volume: VolumeNumber): VolumeInfo | undefined;
  read(io: BlockIo): void;
  releaseRead(io: BlockIo): void;
  write(io: BlockIo): void;
  /** Reads as zeros from then on, and gives the space back (UNMAP, WRITE SAME of zeros). No frames. Any length. */
  zero(io: BlockIo): void;
  /** Everything acknowledged before is durable (SYNCHRONIZE CACHE). Range ignored: the pool's journal is one. */
  flush(io: BlockIo): void;
  /** Which blocks are mapped, from an offset within the volume on. */
  mapping(query: MappingQuery): void;
  /** Durable before `done`. */
  setWriteCache(volume: VolumeNumber, enabled: boolean, done: (ok: boolean) => void): void;
}

/**
 * Where transports get frames for write data. A RESERVED frame belongs to who took it until it is handed to
 * `BlockService.write` or given back.
 */
export interface FrameSource {
  /** Takes `count` frames into `out[at…]`, neighbours where it can; all or none. */
  tryTake(count: number, out: Int32Array, at: number): boolean;
  /** Calls back (once, in order of asking) when `count` frames could be taken; the waiter then tries again. Returns a ticket. */
  whenAvailable(count: number, ready: () => void): number;
  cancelWait(ticket: number): void;
  give(frame: number): void;
  /** Byte offset of the frame in global memory. */
  addressOf(frame: number): number;
  /** A cached 4096-byte Buffer over the frame. */
  view(frame: number): Buffer;
}
