/**
 * What directors say to each other through the rings of global memory: the message table of the channel (CA).
 *
 * Between every two directors there are two rings, one each way, of slots of 32 words (Int32). One ring carries every
 * kind of message, so that all of them keep their order:
 *
 *   director that was asked (ChannelClient)              owner of the volume (ChannelServer)
 *   nexusOpened ─────────────────────────────────────▶  I_T nexus is known
 *   request  token, CDB, write frames ────────────────▶  frames of its own taken, write data copied, task submitted
 *   write frames given back, task completed ◀─────────  reply  token, status, sense, data-in frames (pinned)
 *   data sent to the host; release  tokens ────────────▶ frames unpinned, tasks free
 *   reset  token, LUN ────────────────────────────────▶  LOGICAL UNIT RESET
 *   done ◀────────────────────────────────────────────  resetDone  token, exists
 *   nexusClosed ─────────────────────────────────────▶   I_T nexus loss
 *
 * A token is a row of the requester's table, and of a table of the same size at the owner: it is free again when the
 * reply has come (nothing to release) or the release is noted; a release leaves ahead of the next request, many tokens
 * in one message. So per token at most two messages lie in one direction.
 * Word 0 of a slot is the sender's epoch: what a dead incarnation left in a ring is told by it, and dropped. Data is never in
 * a slot: frames are named by number; more than INLINE_FRAMES of them are listed in list frames, whose numbers stand in the
 * slot instead.
 * A request has a number, which its director gives once in an epoch; when the owner dies it is sent to the next owner under the same
 * number, as a repeat (docs/architecture.md, "Executed once").
 */
import { CHANNEL_TOKENS, FRAME_BYTES, SLOT_WORDS } from "../../drivers/shared-memory/layout.ts";

/** Word 1 of every message. */
export const MESSAGE = {
  request: 1,
  reply: 2,
  release: 3,
  nexusOpened: 4,
  nexusName: 5,
  nexusClosed: 6,
  reset: 7,
  resetDone: 8,
} as const;

export const KIND_WORD = 1;
/** Word 2 of every message: the token, the nexus for the nexus messages, the number of tokens for a release. */
export const TOKEN_WORD = 2;

export const TOKENS = CHANNEL_TOKENS;

/** Above the token of a request: when it came, milliseconds of the time base, as many bits as are left. */
export const REQUEST_ARRIVED_SHIFT = 10;
export const REQUEST_ARRIVED_MASK = 2 ** (32 - REQUEST_ARRIVED_SHIFT) - 1;
if (TOKENS > 2 ** REQUEST_ARRIVED_SHIFT) throw new Error("invariant: tokens outgrow their bits");

export const REQUEST = {
  nexus: 3,
  /** −1 for the expected length of a transport that has none. */
  expectedTransferBytes: 4,
  volume: 5,
  initiatorTaskTag: 6,
  /** attribute (8 bits), the bits below, and from REQUEST_LUN_SHIFT on the LUN, signed. */
  flags: 7,
  /** 16 bytes, as they come, in four little-endian words. */
  cdb: 8,
  /** Phase (12 bits), and the number of frames above it. */
  phaseAndCount: 12,
  bytes: 13,
  /** The request's number. */
  request: 14,
  frames: 15,
} as const;
export const REQUEST_READ = 1 << 8;
export const REQUEST_WRITE = 1 << 9;
/** It was sent to an owner that died. */
export const REQUEST_REPEAT = 1 << 10;
/** … and had been executed by it. */
export const REQUEST_EXECUTED = 1 << 11;
export const REQUEST_LUN_SHIFT = 16;

export const REPLY = {
  /** status (8 bits), senseBytes (8 bits), then REPLY_RELEASE. */
  status: 3,
  transferBytes: 4,
  phase: 5,
  bytes: 6,
  /** 32 bytes in eight words. */
  sense: 7,
  /** Data-in frames; the count is in the word before, with the sense out of the way at the front of the slot. */
  frames: 15,
} as const;
/** The owner waits for a release message: data-in frames are pinned. */
export const REPLY_RELEASE = 1 << 16;
/** Nothing was done: the volume is not at that director any more. */
export const REPLY_MOVED = 1 << 17;
/** frameCount stands above the phase (12 bits), in REPLY.phase and REQUEST.phaseAndCount. */
export const COUNT_SHIFT = 12;

/** As many tokens as word 2 says. */
export const RELEASE = { tokens: 3 } as const;
export const RELEASE_TOKENS_MAX = SLOT_WORDS - RELEASE.tokens;

export const RESET = { nexus: 3, lun: 4 } as const;
/** `exists`: 0 or 1, or RESET_MOVED. */
export const RESET_DONE = { exists: 3 } as const;
export const RESET_MOVED = 2;

export const NEXUS_OPENED = {
  directorIndex: 3,
  /** Six bytes in two words. */
  isid: 4,
  nameBytes: 6,
  /** The first part of the name; `nexusName` messages follow with the rest. */
  name: 7,
} as const;
export const NEXUS_NAME = { name: 3 } as const;
/** RFC 7143 §4.2.7.1: a name is at most 223 bytes. */
export const INITIATOR_NAME_BYTES_MAX = 223;

/** Frame numbers that fit in a slot: 64 KiB at any phase. */
const INLINE_FRAMES = SLOT_WORDS - REQUEST.frames;
export const LIST_FRAME_ENTRIES = FRAME_BYTES / 4;
/** 4 MiB at any phase. */
export const TRANSFER_FRAMES_MAX = 1025;
export const LIST_FRAMES_MAX = Math.ceil(TRANSFER_FRAMES_MAX / LIST_FRAME_ENTRIES);

/** List frames that name `frameCount` frames. */
export function listFramesFor(frameCount: number): number {
  return frameCount <= INLINE_FRAMES ? 0 : Math.ceil(frameCount / LIST_FRAME_ENTRIES);
}

/** Bytes into words of a slot; `bytes` is a multiple of four. */
export function putBytes(words: Int32Array, at: number, source: Uint8Array, bytes: number): void {
  for (let n = 0; n < bytes; n += 4) {
    words[at + n / 4] = source[n]! | (source[n + 1]! << 8) | (source[n + 2]! << 16) | (source[n + 3]! << 24);
  }
}

/** Words of a slot into bytes; `bytes` is a multiple of four. */
export function takeBytes(words: Int32Array, at: number, target: Uint8Array, bytes: number): void {
  for (let n = 0; n < bytes; n += 4) {
    const word = words[at + n / 4]!;
    target[n] = word;
    target[n + 1] = word >> 8;
    target[n + 2] = word >> 16;
    target[n + 3] = word >> 24;
  }
}
