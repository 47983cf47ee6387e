/**
 * A drive as a director sees it: the Drive interface over the rings and the mailbox of its pool's drive thread.
 *
 * Runs on: a director. What is wrong with a request is said here already where no drive is needed to tell.
 */
import {
  type Drive,
  DriveError,
  type DriveIdentity,
  type MetadataOperation,
  type MetadataPage,
  type MetadataRange,
  type PartsRead,
  type StripRead,
  type StripWrite,
  type ZoneNumber,
  type ZoneStat,
} from "./drive.ts";
import type { DriveAnswer, DriveChannel, DriveRequest } from "./drive-channel.ts";
import {
  checkMetadataKey,
  checkMetadataOperations,
  checkMetadataRange,
  checkZoneNumber,
  METADATA_PAGE_BYTES_MAX,
  METADATA_VALUE_BYTES_MAX,
} from "./drive-checks.ts";
import { DRIVE_OPERATION, type DriveOperation } from "./drive-slots.ts";
import { decodeEntries, encodeOperations, operationsBytes } from "./metadata-codec.ts";

const IDENTITY_BYTES_MAX = 4096;
/** First guess at the size of a value or a list; a larger answer is asked for again. */
const ANSWER_BYTES_GUESS = 16 * 1024;
const ENTRY_BYTES_MAX = METADATA_VALUE_BYTES_MAX + 256;
const ZONE_STAT_BYTES = 8;

export class RemoteDrive implements Drive {
  readonly name: string;
  readonly #channel: DriveChannel;
  readonly #driveIndex: number;
  #epoch = -1;

  /** @param driveIndex - the drive's place in its pool */
  constructor(channel: DriveChannel, options: { name: string; driveIndex: number }) {
    this.name = options.name;
    this.#channel = channel;
    this.#driveIndex = options.driveIndex;
  }

  async identify(): Promise<DriveIdentity> {
    const answer = await this.#channel.transact(this.#request(DRIVE_OPERATION.identify, { answerBytesMax: IDENTITY_BYTES_MAX }));
    return JSON.parse(answer.bytes.toString("utf8")) as DriveIdentity;
  }

  async open(epoch: number): Promise<void> {
    if (!Number.isInteger(epoch) || epoch < 0 || epoch > 0x7fff_ffff) throw this.#invalid(`epoch ${epoch} is not an epoch`);
    await this.#channel.transact({ ...this.#request(DRIVE_OPERATION.open), epoch });
    this.#epoch = epoch;
  }

  async listZones(): Promise<readonly ZoneStat[]> {
    const { bytes } = await this.#transactGrowing(DRIVE_OPERATION.listZones, ANSWER_BYTES_GUESS, {});
    const zones: ZoneStat[] = [];
    for (let at = 0; at < bytes.byteLength; at += ZONE_STAT_BYTES) {
      zones.push({ zone: bytes.readUInt32LE(at), finished: bytes.readUInt32LE(at + 4) !== 0 });
    }
    return zones;
  }

  createZone(zone: ZoneNumber): Promise<void> {
    return this.#zoneOperation(DRIVE_OPERATION.createZone, zone);
  }

  finishZone(zone: ZoneNumber): Promise<void> {
    return this.#zoneOperation(DRIVE_OPERATION.finishZone, zone);
  }

  resetZone(zone: ZoneNumber): Promise<void> {
    return this.#zoneOperation(DRIVE_OPERATION.resetZone, zone);
  }

  async forgetZones(): Promise<void> {
    await this.#channel.transact(this.#request(DRIVE_OPERATION.forgetZones));
  }

  writeStrips(write: StripWrite): Promise<void> {
    return this.#strips(DRIVE_OPERATION.writeStrips, write);
  }

  readStrips(read: StripRead): Promise<void> {
    return this.#strips(DRIVE_OPERATION.readStrips, read);
  }

  readParts(read: PartsRead): Promise<void> {
    const { zone, strip, list, count } = read;
    return this.#strips(DRIVE_OPERATION.readParts, { zone, firstStrip: strip, count, address: list, strideBytes: 0 });
  }

  async metadataGet(key: string): Promise<Uint8Array | undefined> {
    checkMetadataKey(this.name, key);
    const name = Buffer.from(key, "latin1");
    const answer = await this.#transactGrowing(DRIVE_OPERATION.metadataGet, ANSWER_BYTES_GUESS, {
      requestBytes: name.byteLength,
      encode: (target) => target.set(name),
    });
    return answer.flag === 0 ? undefined : answer.bytes;
  }

  async metadataBatch(operations: readonly MetadataOperation[]): Promise<void> {
    checkMetadataOperations(this.name, operations);
    if (operations.length === 0) return;
    await this.#channel.transact(
      this.#request(DRIVE_OPERATION.metadataBatch, {
        requestBytes: operationsBytes(operations),
        encode: (target) => encodeOperations(target, operations),
      }),
    );
  }

  async metadataScan(range: MetadataRange): Promise<MetadataPage> {
    checkMetadataRange(this.name, range);
    const bounds = Buffer.from(`${String.fromCharCode(range.from.length)}${range.from}${range.below}`, "latin1");
    const bytesMax = Math.min(range.bytesMax, METADATA_PAGE_BYTES_MAX);
    const answer = await this.#transactGrowing(DRIVE_OPERATION.metadataScan, bytesMax, {
      bytesMax,
      requestBytes: bounds.byteLength,
      encode: (target) => target.set(bounds),
    });
    return { entries: decodeEntries(answer.bytes), more: answer.flag !== 0 };
  }

  async flush(): Promise<void> {
    await this.#channel.transact(this.#request(DRIVE_OPERATION.flush));
  }

  async close(): Promise<void> {
    this.#epoch = -1;
  }

  async #zoneOperation(operation: DriveOperation, zone: ZoneNumber): Promise<void> {
    checkZoneNumber(this.name, zone);
    await this.#channel.transact(this.#request(operation, { zone }));
  }

  #strips(operation: DriveOperation, strips: StripRead): Promise<void> {
    const { zone, firstStrip, count, address, strideBytes } = strips;
    // Only what could not be told from its low 32 bits is judged here; the drive's thread knows the geometry.
    if (!Number.isInteger(address) || address < 0 || address >= this.#channel.global.u8.byteLength) {
      return Promise.reject(this.#invalid(`address ${address} is outside of global memory`));
    }
    if ((zone | 0) !== zone || (firstStrip | 0) !== firstStrip || (count | 0) !== count || (strideBytes | 0) !== strideBytes) {
      return Promise.reject(this.#invalid(`${[zone, firstStrip, count, strideBytes]} are not 32-bit numbers`));
    }
    const drive = this.name;
    const request = {
      drive,
      driveIndex: this.#driveIndex,
      epoch: this.#epoch,
      operation,
      zone,
      firstStrip,
      count,
      address,
      strideBytes,
    };
    // The answer says no more than that it is there: one promise for each read, without one more that drops it.
    return this.#channel.transact(request) as Promise<unknown> as Promise<void>;
  }

  /** Asks again, once, with the most room that an answer may need, when the guess was too small. */
  async #transactGrowing(operation: DriveOperation, guessBytes: number, fields: Partial<DriveRequest>): Promise<DriveAnswer> {
    const first = await this.#channel.transact(this.#request(operation, { ...fields, answerBytesMax: guessBytes }));
    if (first.fits) return first;
    const answerBytesMax = Math.max(first.neededBytes, ENTRY_BYTES_MAX);
    if (answerBytesMax > this.#channel.global.layout.shape.mailboxBytes) {
      throw this.#invalid(`an answer of ${answerBytesMax} bytes does not fit into the mailbox`);
    }
    const second = await this.#channel.transact(this.#request(operation, { ...fields, answerBytesMax }));
    if (!second.fits) throw new DriveError("unknown", this.name, "its answer grew while it was asked for");
    return second;
  }

  #request(operation: DriveOperation, fields: Partial<DriveRequest> = {}): DriveRequest {
    return { ...fields, drive: this.name, driveIndex: this.#driveIndex, epoch: this.#epoch, operation };
  }

  #invalid(message: string): DriveError {
    return new DriveError("invalid", this.name, message);
  }
}
