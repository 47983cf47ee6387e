/** MODE SELECT(6) and (10) (SPC-4 §6.9, §6.10). */
import { MODE_PARAMETER_LIST_BYTES_MAX } from "../block-limits.ts";
import { parameterListOut } from "./data-out-rules.ts";
import { defineCdb } from "./define-cdb.ts";
import { bit, u8, u16 } from "./field.ts";

const fields6 = { pf: bit(1, 4), sp: bit(1, 0), parameterListLength: u8(4) };
export const MODE_SELECT_6 = defineCdb(
  "MODE SELECT(6)",
  {
    opcode: 0x15,
    lengthBytes: 6,
    direction: "out",
    dataOut: parameterListOut(fields6.parameterListLength, MODE_PARAMETER_LIST_BYTES_MAX),
  },
  fields6,
);

const fields10 = { pf: bit(1, 4), sp: bit(1, 0), parameterListLength: u16(7) };
export const MODE_SELECT_10 = defineCdb(
  "MODE SELECT(10)",
  {
    opcode: 0x55,
    lengthBytes: 10,
    direction: "out",
    dataOut: parameterListOut(fields10.parameterListLength, MODE_PARAMETER_LIST_BYTES_MAX),
  },
  fields10,
);
