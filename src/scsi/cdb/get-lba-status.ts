/** GET LBA STATUS (SBC-3 §5.6): service action 12h of SERVICE ACTION IN(16). */
import { defineCdb } from "./define-cdb.ts";
import { u32, u64 } from "./field.ts";

export const GET_LBA_STATUS = defineCdb(
  "GET LBA STATUS",
  { opcode: 0x9e, serviceAction: 0x12, lengthBytes: 16, direction: "in" },
  { startingLogicalBlockAddress: u64(2), allocationLength: u32(10) },
);
