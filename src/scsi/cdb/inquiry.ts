/** INQUIRY (SPC-4 §6.6). */
import { defineCdb } from "./define-cdb.ts";
import { bit, u8, u16, unused } from "./field.ts";

export const INQUIRY = defineCdb(
  "INQUIRY",
  { opcode: 0x12, lengthBytes: 6, direction: "in" },
  {
    cmddt: unused(bit(1, 1)), // obsolete; set means a question that nobody answers any more: refused
    evpd: bit(1, 0),
    pageCode: u8(2),
    allocationLength: u16(3),
  },
);
