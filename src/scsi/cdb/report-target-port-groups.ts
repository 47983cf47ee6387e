/** REPORT TARGET PORT GROUPS (SPC-4 §6.37). */
import { defineCdb } from "./define-cdb.ts";
import { bits, u32 } from "./field.ts";

export const REPORT_TARGET_PORT_GROUPS = defineCdb(
  "REPORT TARGET PORT GROUPS",
  { opcode: 0xa3, serviceAction: 0x0a, lengthBytes: 12, direction: "in" },
  { parameterDataFormat: bits(1, 7, 5), allocationLength: u32(6) },
);
