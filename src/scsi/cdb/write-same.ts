/** WRITE SAME(10) and (16) (SBC-3 §5.44, §5.45). One block of data-out, none with NDOB. WRPROTECT and ANCHOR must be zero. */
import { defineCdb } from "./define-cdb.ts";
import { bit, bits, fieldValue, u16, u32, u64, unused } from "./field.ts";

export const WRITE_SAME_10 = defineCdb(
  "WRITE SAME(10)",
  {
    opcode: 0x41,
    lengthBytes: 10,
    direction: "out",
    dataOut: (_cdb, logicalBlockBytes, plan) => {
      plan.bytes = logicalBlockBytes;
    },
  },
  {
    wrprotect: unused(bits(1, 7, 5)),
    anchor: unused(bit(1, 4)),
    unmap: bit(1, 3),
    logicalBlockAddress: u32(2),
    groupNumber: unused(bits(6, 4, 0)),
    transferLength: u16(7), // NUMBER OF LOGICAL BLOCKS
  },
);

const ndob = bit(1, 0);
export const WRITE_SAME_16 = defineCdb(
  "WRITE SAME(16)",
  {
    opcode: 0x93,
    lengthBytes: 16,
    direction: "out",
    dataOut: (cdb, logicalBlockBytes, plan) => {
      if (fieldValue(cdb, ndob) === 0) plan.bytes = logicalBlockBytes;
    },
  },
  {
    wrprotect: unused(bits(1, 7, 5)),
    anchor: unused(bit(1, 4)),
    unmap: bit(1, 3),
    ndob,
    logicalBlockAddress: u64(2),
    transferLength: u32(10), // NUMBER OF LOGICAL BLOCKS
    groupNumber: unused(bits(14, 4, 0)),
  },
);
