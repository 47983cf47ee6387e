/** UNMAP (SBC-3 §5.28). */
import { parameterListOut } from "./data-out-rules.ts";
import { defineCdb } from "./define-cdb.ts";
import { bit, bits, u16, unused } from "./field.ts";

const fields = { anchor: unused(bit(1, 0)), groupNumber: unused(bits(6, 4, 0)), parameterListLength: u16(7) };

export const UNMAP = defineCdb(
  "UNMAP",
  { opcode: 0x42, lengthBytes: 10, direction: "out", dataOut: parameterListOut(fields.parameterListLength, 0xffff) },
  fields,
);
