/**
 * Where everything lies in global memory. Declared here once, computed by main, handed to every thread.
 *
 * Owns: every shared offset. Addresses are bytes from the start of global memory; `…_WORD` tables are Int32 indexes
 * inside one line or header, `…_DOUBLE` tables Float64 indexes.
 * Invariants:
 *  1. Regions don't overlap, lie in the order of `regions`, and begin on 64 bytes; rings and threads on 128 (a pair of
 *     cache lines, which the processor prefetches together), staging and frames on 64 KiB.
 *  2. The first 64 KiB page belongs to the kernels; nothing else is placed there.
 *  3. The whole is at most 4 GiB: wasm32, and Node 20 has neither memory64 nor multi-memory.
 */
import { COUNTER_BLOCK_SLOTS, COUNTER_BLOCKS, type CounterSubsystem } from "./counters.ts";
import type { Address } from "./global-memory.ts";

/** Raised with every change of what is placed where; threads of two versions never share a memory. */
export const LAYOUT_VERSION = 5;
export const LAYOUT_MAGIC = 0x76617272; // "varr"

export const FRAME_BYTES = 4096;
/** Frames change hands between directors in chunks of this many. */
export const FRAMES_PER_CHUNK = 256;
export const LINE_BYTES = 64;
const LINE_PAIR_BYTES = 128;
/** WebAssembly page. */
const PAGE_BYTES = 65_536;
const GLOBAL_MEMORY_BYTES_MAX = 2 ** 32;
/** The kernels' module asks for at least so much memory. */
const GLOBAL_MEMORY_BYTES_MIN = 16 * PAGE_BYTES;

export const SLOT_BYTES = 128;
export const SLOT_WORDS = SLOT_BYTES / 4;
const RING_SLOTS_DEFAULT = 1024;
const RING_SLOTS_MAX = 65_536;

/** Requests that one director may have with another at one time; past it they wait. */
export const CHANNEL_TOKENS = 1024;
/**
 * Of each of them, in global memory: what the new owner of a pool must know when the one that was asked is dead. Numbers of
 * requests, 0: none.
 */
export const CHANNEL_REQUEST_WORD = {
  asked: 0, // writer: the requester; what is on its way, and 0 once it is answered
  done: 1, // writer: the owner; a write that it has executed, before it says so
} as const;
export const CHANNEL_REQUEST_WORDS = 2;

/** State of logical units that survives their owner (unit-table.ts): a row for each volume, and some that a crash may leave behind. */
export const UNIT_ROWS = 1024 + 64;
export const UNIT_ROW_BYTES = 256;

/** What one read from a socket brings at most: larger reads save system calls on large writes. */
export const RECEIVE_BYTES = 262_144;
/** What one director has in slabs: headers, and data that was copied beside them, on their way to the sockets. */
export const TRANSMIT_BYTES = 2_097_152;
/** Payload of one journal record that is gathered before it is written; larger ones go from where they lie. */
export const JOURNAL_GATHER_BYTES = 524_288;

/** Header of global memory. The creator writes it once, the magic last; attachers compare. */
export const HEADER_WORD = { magic: 0, layoutVersion: 1, pageCount: 2 } as const;

/** Ring header. Single producer, single consumer. */
export const RING_WORD = {
  layoutVersion: 0, // creator writes once; attachers compare
  slots: 1, // likewise
  head: 16, // writer: the producer; bytes 64–127
  tail: 32, // writer: the consumer; bytes 128–191
} as const;
export const RING_HEADER_BYTES = 256;

/** A thread's line pair. */
export const THREAD_WORD = {
  doorbell: 0, // bytes 0–63: the thread writes it, and whoever rings
  nap: 1, // likewise: 1 while the thread naps and was not rung
  heartbeat: 16, // bytes 64–127, writer: the thread. Milliseconds of the time base, 0: none yet
  epoch: 17, // incarnation of the thread; writer: main, while no such thread runs
  kernelThread: 24, // bytes 96–99, writer: the thread, once: its number in the kernel. 0: unknown
  sessionNumber: 25, // of a director; writer: the thread. The last that its portal gave, in this life or one before. 0: none
} as const;
/** In the same pair, as doubles; writer: the thread. */
export const THREAD_DOUBLE = { signalsSent: 9, signalsSaved: 10, wakeups: 11 } as const;
const THREAD_BYTES = LINE_PAIR_BYTES;

/** A pool's line. */
export const POOL_WORD = {
  epoch: 0, // ownership; writer: main
  firstEpoch: 1, // of the pool's first owner in this process; writer: that one
  syncRequested: 4, // writer: the owning director, as the next
  syncRequester: 5, // its index
  syncDone: 8, // writer: the journal-sync thread, as the next
  syncError: 9, // of the journal's file; 0: none
  syncErrorMirror: 10, // of its second copy
} as const;

/** What decides the layout. */
export interface LayoutShape {
  readonly directorCount: number;
  readonly poolCount: number;
  /** Drives of all pools together. */
  readonly driveCount: number;
  /** Directors that reach each pool's drive thread. */
  readonly poolReachedBy: readonly (readonly number[])[];
  /** Rounded up to whole chunks of 256; the layout's own `shape` says what it became. */
  readonly frameCount: number;
  /** Staging for destage, strip reads and compaction, for each pool. */
  readonly stagingBytesPerPool: number;
  /** Buffer for metadata batches and scans between one director and one drive thread. */
  readonly mailboxBytes: number;
  /** Slots of each ring between two directors; a power of two, 1024 unless given. */
  readonly channelRingSlots?: number;
  /** Slots of each ring between a director and a drive thread; likewise. */
  readonly driveRingSlots?: number;
}

export type ThreadRole = "director" | "drive" | "journalSync";

/** Index into the thread table: directors first, then a drive thread and then a journal-sync thread for each pool. */
export type ThreadNumber = number;

interface Region {
  readonly name: string;
  readonly address: Address;
  readonly bytes: number;
}

export interface RingPlace {
  readonly address: Address;
  readonly slots: number;
}

/** What one director and one drive thread share. */
export interface DrivePath {
  readonly director: number;
  /** Director → drive thread. */
  readonly requests: RingPlace;
  /** Drive thread → director. */
  readonly completions: RingPlace;
  readonly mailbox: Address;
  /** One Int32: who has the drive thread's ends of the rings (drive-relay-state.ts). */
  readonly relay: Address;
}

/** Plain data: it is posted to threads. */
export interface Layout {
  readonly shape: Required<LayoutShape>;
  readonly totalBytes: number;
  readonly regions: readonly Region[];
  readonly header: Address;
  readonly timeBase: Address;
  readonly threads: Address;
  readonly threadCount: number;
  readonly pools: Address;
  /** One Int32 for each chunk: 0 free, or the owning director's index + 1. */
  readonly frameChunks: Address;
  readonly frameChunkCount: number;
  /** One line for each director, its first Int32: chunks that it wants. */
  readonly framesWanted: Address;
  readonly counters: Readonly<Record<CounterSubsystem, Address>>;
  /** [from][to]; none from a director to itself. */
  readonly channelRings: readonly (readonly (RingPlace | undefined)[])[];
  /** [requester][owner]: CHANNEL_REQUEST_WORDS for each token. */
  readonly channelRequests: readonly (readonly Address[])[];
  /** UNIT_ROWS rows. */
  readonly unitStates: Address;
  /** [pool], in the order of `poolReachedBy`. */
  readonly drivePaths: readonly (readonly DrivePath[])[];
  /** What a director's sockets are read into, RECEIVE_BYTES each. */
  readonly receive: readonly Address[];
  /** Each director's slabs (transmitter.ts), TRANSMIT_BYTES each. */
  readonly transmit: readonly Address[];
  /** Where each pool's journal gathers the payload of a record, JOURNAL_GATHER_BYTES each. */
  readonly journalGather: readonly Address[];
  /** Staging area of each pool. */
  readonly staging: readonly Address[];
  readonly frames: Address;
}

/** @throws RangeError when the shape is not one, or needs more than 4 GiB. */
export function layoutOf(asked: LayoutShape): Layout {
  const shape = completeShape(asked);
  const { directorCount, poolCount, driveCount } = shape;
  const threadCount = directorCount + 2 * poolCount;
  const frameChunkCount = shape.frameCount / FRAMES_PER_CHUNK;
  const regions: Region[] = [];
  let next = 0;

  const place = (name: string, bytes: number, alignment: number = LINE_BYTES): Address => {
    const address = alignUp(next, alignment);
    regions.push({ name, address, bytes });
    next = address + bytes;
    return address;
  };
  const placeRing = (name: string, slots: number): RingPlace => ({
    address: place(name, RING_HEADER_BYTES + slots * SLOT_BYTES, LINE_PAIR_BYTES),
    slots,
  });

  place("kernels", PAGE_BYTES, PAGE_BYTES);
  const header = place("header", LINE_BYTES);
  const timeBase = place("timeBase", LINE_BYTES);
  const threads = place("threads", threadCount * THREAD_BYTES, LINE_PAIR_BYTES);
  const pools = place("pools", poolCount * LINE_BYTES);
  const frameChunks = place("frameChunks", frameChunkCount * 4);
  const framesWanted = place("framesWanted", directorCount * LINE_BYTES);
  // Threads with an event loop: directors and drive threads, the first of the thread table.
  const blockCounts = { director: directorCount, pool: poolCount, drive: driveCount, thread: directorCount + poolCount };
  const counters = {} as Record<CounterSubsystem, Address>;
  for (const [subsystem, owner] of Object.entries(COUNTER_BLOCKS) as [CounterSubsystem, keyof typeof blockCounts][]) {
    counters[subsystem] = place(`counters.${subsystem}`, blockCounts[owner] * COUNTER_BLOCK_SLOTS * 8);
  }
  const channelRings = times(directorCount, (from) =>
    times(directorCount, (to) => (from === to ? undefined : placeRing(`channel.${from}.${to}`, shape.channelRingSlots))),
  );
  const channelRequests = times(directorCount, (from) =>
    times(directorCount, (to) => place(`requests.${from}.${to}`, from === to ? 0 : CHANNEL_TOKENS * CHANNEL_REQUEST_WORDS * 4)),
  );
  const unitStates = place("unitStates", UNIT_ROWS * UNIT_ROW_BYTES);
  const drivePaths = shape.poolReachedBy.map((directors, pool) =>
    directors.map((director) => ({
      director,
      requests: placeRing(`drive.${pool}.${director}.requests`, shape.driveRingSlots),
      completions: placeRing(`drive.${pool}.${director}.completions`, shape.driveRingSlots),
      mailbox: place(`drive.${pool}.${director}.mailbox`, shape.mailboxBytes),
      relay: place(`drive.${pool}.${director}.relay`, LINE_BYTES),
    })),
  );
  const receive = times(directorCount, (director) => place(`receive.${director}`, RECEIVE_BYTES, PAGE_BYTES));
  const transmit = times(directorCount, (director) => place(`transmit.${director}`, TRANSMIT_BYTES, PAGE_BYTES));
  const journalGather = times(poolCount, (pool) => place(`journalGather.${pool}`, JOURNAL_GATHER_BYTES, PAGE_BYTES));
  const staging = times(poolCount, (pool) => place(`staging.${pool}`, shape.stagingBytesPerPool, PAGE_BYTES));
  const frames = place("frames", shape.frameCount * FRAME_BYTES, PAGE_BYTES);

  const totalBytes = Math.max(alignUp(next, PAGE_BYTES), GLOBAL_MEMORY_BYTES_MIN);
  if (totalBytes > GLOBAL_MEMORY_BYTES_MAX) throw tooLarge(totalBytes, regions);
  return {
    shape,
    totalBytes,
    regions,
    header,
    timeBase,
    threads,
    threadCount,
    pools,
    frameChunks,
    frameChunkCount,
    framesWanted,
    counters,
    channelRings,
    channelRequests,
    unitStates,
    drivePaths,
    receive,
    transmit,
    journalGather,
    staging,
    frames,
  };
}

function completeShape(asked: LayoutShape): Required<LayoutShape> {
  const count = (name: string, value: number, least: number, most: number): number => {
    if (Number.isInteger(value) && value >= least && value <= most) return value;
    throw new RangeError(`layout: ${name} is ${value}, must be a whole number from ${least} to ${most}`);
  };
  const slots = (name: string, value: number): number => {
    if ((count(name, value, 2, RING_SLOTS_MAX) & (value - 1)) === 0) return value;
    throw new RangeError(`layout: ${name} is ${value}, must be a power of two`);
  };
  const directorCount = count("directorCount", asked.directorCount, 1, 64);
  const poolCount = count("poolCount", asked.poolCount, 0, 256);
  if (asked.poolReachedBy.length !== poolCount) {
    throw new RangeError(`layout: poolReachedBy names ${asked.poolReachedBy.length} pools, poolCount is ${poolCount}`);
  }
  asked.poolReachedBy.forEach((directors, pool) => {
    for (const director of directors) count(`a director of poolReachedBy[${pool}]`, director, 0, directorCount - 1);
    if (new Set(directors).size !== directors.length)
      throw new RangeError(`layout: poolReachedBy[${pool}] names a director twice`);
  });
  return {
    directorCount,
    poolCount,
    driveCount: count("driveCount", asked.driveCount, 0, 4096),
    poolReachedBy: asked.poolReachedBy.map((directors) => [...directors]),
    frameCount: alignUp(count("frameCount", asked.frameCount, 0, Number.MAX_SAFE_INTEGER / FRAME_BYTES / 2), FRAMES_PER_CHUNK),
    stagingBytesPerPool: count("stagingBytesPerPool", asked.stagingBytesPerPool, 0, GLOBAL_MEMORY_BYTES_MAX),
    mailboxBytes: count("mailboxBytes", asked.mailboxBytes, 0, GLOBAL_MEMORY_BYTES_MAX),
    channelRingSlots: slots("channelRingSlots", asked.channelRingSlots ?? RING_SLOTS_DEFAULT),
    driveRingSlots: slots("driveRingSlots", asked.driveRingSlots ?? RING_SLOTS_DEFAULT),
  };
}

function tooLarge(totalBytes: number, regions: readonly Region[]): RangeError {
  const mebibytes = (bytes: number) => `${Math.ceil(bytes / 2 ** 20)} MiB`;
  const framesBytes = regions.at(-1)!.bytes;
  return new RangeError(
    `layout: global memory would take ${mebibytes(totalBytes)}, at most ${mebibytes(GLOBAL_MEMORY_BYTES_MAX)} can be had: ` +
      `frames ${mebibytes(framesBytes)}, all else ${mebibytes(totalBytes - framesBytes)}`,
  );
}

/** The thread table's entry for a director, or for the drive or journal-sync thread of a pool. */
export function threadNumber(layout: Layout, role: ThreadRole, index: number): ThreadNumber {
  const { directorCount, poolCount } = layout.shape;
  const limit = role === "director" ? directorCount : poolCount;
  if (!(index >= 0 && index < limit)) throw new RangeError(`layout: there is no ${role} thread ${index}`);
  if (role === "director") return index;
  return directorCount + (role === "drive" ? 0 : poolCount) + index;
}

/** First Int32 word of a thread's line pair. */
export function threadWords(layout: Layout, thread: ThreadNumber): number {
  if (!(thread >= 0 && thread < layout.threadCount)) throw new RangeError(`layout: there is no thread ${thread}`);
  return (layout.threads + thread * THREAD_BYTES) / 4;
}

/** First Int32 word of a pool's line. */
export function poolWords(layout: Layout, pool: number): number {
  if (!(pool >= 0 && pool < layout.shape.poolCount)) throw new RangeError(`layout: there is no pool ${pool}`);
  return (layout.pools + pool * LINE_BYTES) / 4;
}

/** The ring in which director `from` tells director `to`. */
export function channelRing(layout: Layout, from: number, to: number): RingPlace {
  const ring = layout.channelRings[from]?.[to];
  if (ring === undefined) throw new RangeError(`layout: there is no channel from director ${from} to director ${to}`);
  return ring;
}

/** What a director and a pool's drive thread share: rings both ways and the mailbox. */
export function drivePath(layout: Layout, pool: number, director: number): DrivePath {
  const path = layout.drivePaths[pool]?.find((candidate) => candidate.director === director);
  if (path === undefined) throw new RangeError(`layout: director ${director} does not reach the drives of pool ${pool}`);
  return path;
}

/** First Int32 word of what is said of a request, CHANNEL_REQUEST_WORD, between two directors. */
export function channelRequestWords(layout: Layout, requester: number, owner: number, token: number): number {
  return layout.channelRequests[requester]![owner]! / 4 + token * CHANNEL_REQUEST_WORDS;
}

export function driveRequestRing(layout: Layout, pool: number, director: number): RingPlace {
  return drivePath(layout, pool, director).requests;
}

export function driveCompletionRing(layout: Layout, pool: number, director: number): RingPlace {
  return drivePath(layout, pool, director).completions;
}

export function mailbox(layout: Layout, pool: number, director: number): Address {
  return drivePath(layout, pool, director).mailbox;
}

/** Byte offset of a frame. */
export function frameAddress(layout: Layout, frame: number): Address {
  return layout.frames + frame * FRAME_BYTES;
}

function alignUp(value: number, alignment: number): number {
  return Math.ceil(value / alignment) * alignment;
}

function times<T>(count: number, make: (index: number) => T): T[] {
  return Array.from({ length: count }, (_, index) => make(index));
}
