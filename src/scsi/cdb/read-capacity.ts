/** READ CAPACITY(10) and (16) (SBC-3 §5.15, §5.16). The address and PMI of the first are obsolete and ignored. */
import { defineCdb } from "./define-cdb.ts";
import { bit, u32, u64, unused } from "./field.ts";

export const READ_CAPACITY_10 = defineCdb(
  "READ CAPACITY(10)",
  { opcode: 0x25, lengthBytes: 10, direction: "in" },
  { logicalBlockAddress: unused(u32(2)), pmi: unused(bit(8, 0)) },
);

export const READ_CAPACITY_16 = defineCdb(
  "READ CAPACITY(16)",
  { opcode: 0x9e, serviceAction: 0x10, lengthBytes: 16, direction: "in" },
  { logicalBlockAddress: unused(u64(2)), allocationLength: u32(10), pmi: unused(bit(14, 0)) },
);
