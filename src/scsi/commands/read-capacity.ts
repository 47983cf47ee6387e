/** READ CAPACITY(10) and (16) (SBC-3 §5.15, §5.16). Runs on: the owning director's thread. */
import { BLOCK_BYTES } from "../../volume/block-io.ts";
import { READ_CAPACITY_16 } from "../cdb/read-capacity.ts";
import type { Command } from "../command.ts";
import { ParameterData } from "../parameter-data.ts";

function lastBlock({ info }: Command): number {
  return info.sizeBytes / info.logicalBlockBytes - 1;
}

export function readCapacity10(command: Command): void {
  const { logicalBlockBytes } = command.info;
  command.inline(new ParameterData(8).u32(0, Math.min(lastBlock(command), 0xffff_ffff)).u32(4, logicalBlockBytes).bytes, 8);
}

export function readCapacity16(command: Command): void {
  const { logicalBlockBytes } = command.info;
  const data = new ParameterData(32)
    .u64(0, BigInt(lastBlock(command)))
    .u32(8, logicalBlockBytes)
    .u8(13, Math.log2(BLOCK_BYTES / logicalBlockBytes)) // LOGICAL BLOCKS PER PHYSICAL BLOCK EXPONENT
    .u8(14, 0x80 | 0x40).bytes; // LBPME, LBPRZ; lowest aligned LBA 0
  command.inline(data, command.field(READ_CAPACITY_16.fields.allocationLength));
}
