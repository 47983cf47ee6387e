/** CRC32C of many ranges at once, for journal replay, compaction and scrub. */
import { dataCrc32c } from "../../drivers/shared-memory/data-crc32c.ts";
import type { GlobalMemory } from "../../drivers/shared-memory/global-memory.ts";

/** Numbers of one range in `ranges`: address, bytes, expected CRC32C. */
export const CHECK_NUMBERS = 3;

/** @returns the indexes of the ranges whose checksum differs */
export function verifyChecksums(global: GlobalMemory, input: { readonly ranges: Float64Array }): number[] {
  const { ranges } = input;
  const wrong: number[] = [];
  for (let at = 0; at + CHECK_NUMBERS <= ranges.length; at += CHECK_NUMBERS) {
    const bytes = global.view(ranges[at]!, ranges[at + 1]!);
    if (dataCrc32c(bytes) !== ranges[at + 2]! >>> 0) wrong.push(at / CHECK_NUMBERS);
  }
  return wrong;
}
