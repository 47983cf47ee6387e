/** REQUEST SENSE (SPC-4 §6.39). */
import { defineCdb } from "./define-cdb.ts";
import { bit, u8 } from "./field.ts";

export const REQUEST_SENSE = defineCdb(
  "REQUEST SENSE",
  { opcode: 0x03, lengthBytes: 6, direction: "in" },
  { desc: bit(1, 0), allocationLength: u8(4) },
);
