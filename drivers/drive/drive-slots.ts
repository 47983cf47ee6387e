/**
 * What director and drive thread write into the slots of their rings: one request, one completion.
 *
 * Word indexes within a slot of 32 Int32 words. Metadata bytes, lists and identities lie in the mailbox of the pair;
 * strips lie wherever their address in global memory says.
 */
import { DriveError, type DriveErrorKind } from "./drive.ts";

export const REQUEST_WORD = {
  epoch: 0, // the caller's
  requestId: 1, // echoed in the completion
  operation: 2, // DRIVE_OPERATION
  driveIndex: 3, // in the pool
  zone: 4,
  firstStrip: 5,
  count: 6,
  address: 7, // unsigned
  strideBytes: 8,
  mailboxOffset: 9, // request bytes from here, later overwritten by the answer
  requestBytes: 10,
  answerBytesMax: 11,
  deadlineMilliseconds: 12, // of the time base, wrapping: not begun after it
  bytesMax: 13, // of a metadata page
  threadEpoch: 14, // of the drive thread that it is for: another incarnation leaves it unanswered
  repeated: 15, // 1: it was asked of an earlier incarnation, and may have been done
} as const;

export const COMPLETION_WORD = {
  epoch: 0,
  requestId: 1,
  outcome: 2, // OUTCOME_…, or 1 + index of the error's kind
  answerBytes: 3, // in the mailbox; with OUTCOME_LARGER: bytes that the answer needs
  flag: 4, // metadataGet: found; metadataScan: more
  messageBytes: 5,
  message: 6, // ASCII, up to the end of the slot
} as const;
export const MESSAGE_BYTES_MAX = (32 - COMPLETION_WORD.message) * 4;

export const OUTCOME_DONE = 0;
/** The answer does not fit: ask again with more room. */
export const OUTCOME_LARGER = -1;

export const DRIVE_OPERATION = {
  identify: 1,
  open: 2,
  listZones: 3,
  createZone: 4,
  finishZone: 5,
  resetZone: 6,
  writeStrips: 7,
  readStrips: 8,
  metadataGet: 9,
  metadataBatch: 10,
  metadataScan: 11,
  flush: 12,
  readParts: 13, // firstStrip: the strip; count: parts; address: their list
  forgetZones: 14,
} as const;
export type DriveOperation = (typeof DRIVE_OPERATION)[keyof typeof DRIVE_OPERATION];

/** Order is part of the contract between the two threads (one build, so it may change with the build). */
const ERROR_KINDS = [
  "unrecoveredRead",
  "notFound",
  "writeFailed",
  "noSpace",
  "fenced",
  "unreachable",
  "unknown",
  "foreign",
  "invalid",
] as const satisfies readonly DriveErrorKind[];

export function outcomeOf(kind: DriveErrorKind): number {
  return 1 + ERROR_KINDS.indexOf(kind);
}

/** Writes the message of an error into a completion; characters outside of ASCII become "?". */
export function writeMessage(i32: Int32Array, word: number, message: string): void {
  const length = Math.min(message.length, MESSAGE_BYTES_MAX);
  i32[word + COMPLETION_WORD.messageBytes] = length;
  for (let index = 0; index < length; index += 4) {
    let packed = 0;
    for (let byte = 0; byte < 4 && index + byte < length; byte++) {
      const code = message.charCodeAt(index + byte);
      packed |= (code >= 0x20 && code < 0x7f ? code : 0x3f) << (byte * 8);
    }
    i32[word + COMPLETION_WORD.message + index / 4] = packed;
  }
}

/** The error that a completion carries. */
export function readError(i32: Int32Array, word: number, drive: string): DriveError {
  const kind = ERROR_KINDS[i32[word + COMPLETION_WORD.outcome]! - 1] ?? "unknown";
  const length = Math.min(Math.max(i32[word + COMPLETION_WORD.messageBytes]!, 0), MESSAGE_BYTES_MAX);
  let message = "";
  for (let index = 0; index < length; index++) {
    message += String.fromCharCode((i32[word + COMPLETION_WORD.message + (index >> 2)]! >>> ((index & 3) * 8)) & 0x7f);
  }
  return new DriveError(kind, drive, message);
}
