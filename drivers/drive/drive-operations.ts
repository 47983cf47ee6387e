/**
 * Runs one request's operation on a drive, and puts its answer into the mailbox.
 *
 * Runs on: the drive thread. The words of a request come from a director, which is trusted no further than its bytes:
 * what does not decode is "invalid".
 */
import type { GlobalMemory } from "../shared-memory/global-memory.ts";
import { type Drive, DriveError, type LocalDrive, type PartsRead, type StripRead } from "./drive.ts";
import { METADATA_BATCH_BYTES_MAX, METADATA_KEY_CHARS_MAX } from "./drive-checks.ts";
import { DRIVE_OPERATION, REQUEST_WORD } from "./drive-slots.ts";
import { decodeOperations, encodeEntries, entriesBytes } from "./metadata-codec.ts";

export interface DriveAnswerParts {
  /** False: `answerBytes` says how much room the answer needs. */
  readonly fits: boolean;
  readonly answerBytes: number;
  readonly flag: number;
}

export const NOTHING: DriveAnswerParts = { fits: true, answerBytes: 0, flag: 0 };
const ZONE_STAT_BYTES = 8;

/** @param mailbox - address of the request's lease in the mailbox */
export async function runDriveOperation(
  drive: LocalDrive,
  words: Int32Array,
  global: GlobalMemory,
  mailbox: number,
): Promise<DriveAnswerParts> {
  const zone = words[REQUEST_WORD.zone]!;
  switch (words[REQUEST_WORD.operation]) {
    case DRIVE_OPERATION.readStrips:
      await drive.readStrips(stripsOf(words));
      return NOTHING;
    case DRIVE_OPERATION.readParts:
      await drive.readParts(partsOf(words));
      return NOTHING;
    case DRIVE_OPERATION.writeStrips:
      if (!isRepeated(words) || !(await drive.hasStrips(stripsOf(words)))) await drive.writeStrips(stripsOf(words));
      return NOTHING;
    case DRIVE_OPERATION.createZone:
      // A number is used once, unless its drive began anew: a zone that is there is the one that was asked for.
      if (!isRepeated(words) || !(await drive.listZones()).some((stat) => stat.zone === zone)) await drive.createZone(zone);
      return NOTHING;
    case DRIVE_OPERATION.finishZone:
      await drive.finishZone(zone);
      return NOTHING;
    case DRIVE_OPERATION.resetZone:
      await drive.resetZone(zone);
      return NOTHING;
    case DRIVE_OPERATION.forgetZones:
      await drive.forgetZones();
      return NOTHING;
    case DRIVE_OPERATION.flush:
      await drive.flush();
      return NOTHING;
    case DRIVE_OPERATION.identify:
      return answer(words, global, mailbox, Buffer.from(JSON.stringify(await drive.identify()), "utf8"), 0);
    case DRIVE_OPERATION.listZones:
      return answer(words, global, mailbox, await zoneList(drive), 0);
    case DRIVE_OPERATION.metadataGet: {
      const value = await drive.metadataGet(keyOf(drive, words, global, mailbox));
      return value === undefined ? NOTHING : answer(words, global, mailbox, value, 1);
    }
    case DRIVE_OPERATION.metadataBatch:
      await drive.metadataBatch(decoded(drive, () => decodeOperations(requestBytes(drive, words, global, mailbox))));
      return NOTHING;
    case DRIVE_OPERATION.metadataScan:
      return scan(drive, words, global, mailbox);
    default:
      throw new DriveError("invalid", drive.name, `there is no operation ${words[REQUEST_WORD.operation]}`);
  }
}

/** All other operations may be done twice. */
function isRepeated(words: Int32Array): boolean {
  return words[REQUEST_WORD.repeated] === 1;
}

export function partsOf(words: Int32Array): PartsRead {
  return {
    zone: words[REQUEST_WORD.zone]!,
    strip: words[REQUEST_WORD.firstStrip]!,
    list: words[REQUEST_WORD.address]! >>> 0,
    count: words[REQUEST_WORD.count]!,
  };
}

function stripsOf(words: Int32Array): StripRead {
  return {
    zone: words[REQUEST_WORD.zone]!,
    firstStrip: words[REQUEST_WORD.firstStrip]!,
    count: words[REQUEST_WORD.count]!,
    address: words[REQUEST_WORD.address]! >>> 0,
    strideBytes: words[REQUEST_WORD.strideBytes]!,
  };
}

function requestBytes(drive: Drive, words: Int32Array, global: GlobalMemory, mailbox: number): Buffer {
  const bytes = words[REQUEST_WORD.requestBytes]!;
  if (bytes < 0 || bytes > METADATA_BATCH_BYTES_MAX) throw new DriveError("invalid", drive.name, `request of ${bytes} bytes`);
  return global.view(mailbox, bytes);
}

function keyOf(drive: Drive, words: Int32Array, global: GlobalMemory, mailbox: number): string {
  const bytes = requestBytes(drive, words, global, mailbox);
  if (bytes.byteLength > METADATA_KEY_CHARS_MAX) throw new DriveError("invalid", drive.name, "metadata key is too long");
  return bytes.toString("latin1");
}

async function scan(drive: Drive, words: Int32Array, global: GlobalMemory, mailbox: number): Promise<DriveAnswerParts> {
  const bounds = requestBytes(drive, words, global, mailbox).toString("latin1");
  const fromChars = bounds.charCodeAt(0);
  const from = bounds.slice(1, 1 + fromChars);
  const below = bounds.slice(1 + fromChars);
  const page = await drive.metadataScan({ from, below, bytesMax: words[REQUEST_WORD.bytesMax]! });
  const bytes = entriesBytes(page.entries);
  if (bytes > words[REQUEST_WORD.answerBytesMax]!) return { fits: false, answerBytes: bytes, flag: 0 };
  encodeEntries(global.view(mailbox, bytes), page.entries);
  return { fits: true, answerBytes: bytes, flag: page.more ? 1 : 0 };
}

async function zoneList(drive: Drive): Promise<Buffer> {
  const zones = await drive.listZones();
  const list = Buffer.alloc(zones.length * ZONE_STAT_BYTES);
  zones.forEach((stat, index) => {
    list.writeUInt32LE(stat.zone, index * ZONE_STAT_BYTES);
    list.writeUInt32LE(stat.finished ? 1 : 0, index * ZONE_STAT_BYTES + 4);
  });
  return list;
}

function answer(words: Int32Array, global: GlobalMemory, mailbox: number, bytes: Uint8Array, flag: number): DriveAnswerParts {
  if (bytes.byteLength > words[REQUEST_WORD.answerBytesMax]!) return { fits: false, answerBytes: bytes.byteLength, flag: 0 };
  global.u8.set(bytes, mailbox);
  return { fits: true, answerBytes: bytes.byteLength, flag };
}

function decoded<T>(drive: Drive, decode: () => T): T {
  try {
    return decode();
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new DriveError("invalid", drive.name, "the request does not decode", { cause });
  }
}
