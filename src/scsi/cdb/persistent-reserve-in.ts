/** PERSISTENT RESERVE IN (SPC-4 §6.15): READ KEYS, READ RESERVATION, REPORT CAPABILITIES and READ FULL STATUS. */
import { defineCdb } from "./define-cdb.ts";
import { u16 } from "./field.ts";

const shape = { opcode: 0x5e, lengthBytes: 10, direction: "in" } as const;
const fields = { allocationLength: u16(7) };

export const READ_KEYS = defineCdb("PERSISTENT RESERVE IN, READ KEYS", { ...shape, serviceAction: 0x00 }, fields);
export const READ_RESERVATION = defineCdb("PERSISTENT RESERVE IN, READ RESERVATION", { ...shape, serviceAction: 0x01 }, fields);
export const REPORT_CAPABILITIES = defineCdb(
  "PERSISTENT RESERVE IN, REPORT CAPABILITIES",
  { ...shape, serviceAction: 0x02 },
  fields,
);
export const READ_FULL_STATUS = defineCdb("PERSISTENT RESERVE IN, READ FULL STATUS", { ...shape, serviceAction: 0x03 }, fields);
