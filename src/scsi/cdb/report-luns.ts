/** REPORT LUNS (SPC-4 §6.33). */
import { defineCdb } from "./define-cdb.ts";
import { u8, u32 } from "./field.ts";

export const REPORT_LUNS = defineCdb(
  "REPORT LUNS",
  { opcode: 0xa0, lengthBytes: 12, direction: "in" },
  { selectReport: u8(2), allocationLength: u32(6) },
);
