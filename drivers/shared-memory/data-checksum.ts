/**
 * The checksum that goes with data inside the array: of a block, of a strip's part, of a record of the journal or the map.
 *
 * CRC-32 (IEEE 802.3), not the CRC32C of iSCSI's digests: it finds the same errors, and the native one is twice as fast,
 * because it multiplies without carries over 64 bytes at a time where CRC32C takes eight by eight (docs/decisions/0010).
 *
 * Runs on: any thread, synchronously. Takes Buffers over global memory as they are.
 */
import { crc32 } from "@node-rs/crc32";

/** @param seed - the checksum of the bytes before these, 0 at the start; so runs of frames can be added up. */
export function dataChecksum(bytes: Uint8Array, seed = 0): number {
  return crc32(bytes, seed);
}
