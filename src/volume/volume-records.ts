/**
 * The volumes of a pool as they stand on its drives: one small record for each, beside the pool's document.
 *
 * A change writes the volume's record and the pool's document in one batch, which is atomic, so that it costs the same
 * whatever the number of volumes. The document has the count and a digest of the records: a drive that lost one in
 * silence (LevelDB drops what it can't read of its log) is seen, and another's copy is taken.
 *
 * Runs on: the owning director's thread.
 */
import type { Drive, MetadataOperation } from "../../drivers/drive/drive.ts";
import { keyAfter } from "../../drivers/drive/drive-checks.ts";
import { decodeDocument, encodeDocument } from "../map/metadata-store.ts";
import type { PoolVolumeDocument } from "./pool-document.ts";

const PREFIX = "v/";
const BELOW = "v0";
const SCAN_BYTES = 256 * 1024;

/** The records as bytes, by key. */
export type VolumeRecords = ReadonlyMap<string, Uint8Array>;

export interface RecordsDigest {
  readonly volumeCount: number;
  /** Exclusive or of the records' checksums: a change of one record changes it in one step. */
  readonly volumesDigest: number;
}

export const NO_VOLUMES: RecordsDigest = { volumeCount: 0, volumesDigest: 0 };

export function volumeKey(volume: number): string {
  return PREFIX + volume.toString(16).padStart(8, "0");
}

/** The digest after a record was replaced, added (no `old`) or removed (no `fresh`). */
export function digestAfter(digest: RecordsDigest, old: Uint8Array | undefined, fresh: Uint8Array | undefined): RecordsDigest {
  return {
    volumeCount: digest.volumeCount + (fresh === undefined ? 0 : 1) - (old === undefined ? 0 : 1),
    volumesDigest: (digest.volumesDigest ^ checksumOf(old) ^ checksumOf(fresh)) >>> 0,
  };
}

export function digestOf(records: VolumeRecords): RecordsDigest {
  let digest = NO_VOLUMES;
  for (const record of records.values()) digest = digestAfter(digest, undefined, record);
  return digest;
}

export function encodeVolumes(volumes: readonly PoolVolumeDocument[]): VolumeRecords {
  return new Map(volumes.map((document) => [volumeKey(document.volume), encodeDocument(document)]));
}

/** The volumes, or undefined when they are not those that the digest was made of. */
export function decodeVolumes(records: VolumeRecords, expected: RecordsDigest): PoolVolumeDocument[] | undefined {
  const { volumeCount, volumesDigest } = digestOf(records);
  if (volumeCount !== expected.volumeCount || volumesDigest !== expected.volumesDigest) return undefined;
  const volumes: PoolVolumeDocument[] = [];
  for (const [key, record] of records) {
    const document = decodeDocument(record) as PoolVolumeDocument | undefined;
    if (document === undefined || volumeKey(document.volume) !== key) return undefined;
    volumes.push(document);
  }
  return volumes;
}

/** @throws DriveError */
export async function readVolumeRecords(drive: Drive): Promise<VolumeRecords> {
  const records = new Map<string, Uint8Array>();
  for (let from = PREFIX; ; ) {
    const { entries, more } = await drive.metadataScan({ from, below: BELOW, bytesMax: SCAN_BYTES });
    for (const [key, value] of entries) records.set(key, value);
    const last = entries.at(-1);
    if (!more || last === undefined) return records;
    from = keyAfter(last[0]);
  }
}

/** What makes `there` the same as `wanted`. */
export function differences(there: VolumeRecords, wanted: VolumeRecords): MetadataOperation[] {
  const operations: MetadataOperation[] = [];
  for (const key of there.keys()) if (!wanted.has(key)) operations.push({ type: "delete", key });
  for (const [key, value] of wanted) {
    const found = there.get(key);
    if (found === undefined || Buffer.compare(found, value) !== 0) operations.push({ type: "put", key, value });
  }
  return operations;
}

/** A document begins with its checksum. */
function checksumOf(record: Uint8Array | undefined): number {
  if (record === undefined || record.length < 4) return 0;
  return new DataView(record.buffer, record.byteOffset).getUint32(0, true);
}
