/** Block Limits, B0h (SBC-3 §6.6.3). All in logical blocks; what the commands enforce (../block-limits.ts). */
import { BLOCK_BYTES } from "../../volume/block-io.ts";
import {
  OPTIMAL_TRANSFER_BYTES,
  TRANSFER_BYTES_MAX,
  UNMAP_BYTES_MAX,
  UNMAP_DESCRIPTORS_MAX,
  WRITE_SAME_BYTES_MAX,
} from "../block-limits.ts";
import { ParameterData } from "../parameter-data.ts";
import type { VpdPage } from "./vpd-page.ts";

export const BLOCK_LIMITS: VpdPage = {
  code: 0xb0,
  body: ({ info: { logicalBlockBytes } }) => {
    const blocks = (bytes: number): number => bytes / logicalBlockBytes;
    return new ParameterData(0x3c)
      .u8(0, 0x01) // WSNZ: WRITE SAME of 0 blocks is refused
      .u16(2, blocks(BLOCK_BYTES)) // OPTIMAL TRANSFER LENGTH GRANULARITY
      .u32(4, blocks(TRANSFER_BYTES_MAX))
      .u32(8, blocks(OPTIMAL_TRANSFER_BYTES))
      .u32(16, blocks(UNMAP_BYTES_MAX))
      .u32(20, UNMAP_DESCRIPTORS_MAX)
      .u32(24, blocks(BLOCK_BYTES)) // OPTIMAL UNMAP GRANULARITY
      .u32(28, 0x8000_0000) // UGAVALID, alignment 0
      .u64(32, BigInt(blocks(WRITE_SAME_BYTES_MAX))).bytes;
  },
};
