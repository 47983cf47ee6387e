/** REPORT SUPPORTED OPERATION CODES and REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS (SPC-4 §6.35, §6.36). */
import { defineCdb } from "./define-cdb.ts";
import { bit, bits, u8, u16, u32 } from "./field.ts";

export const REPORT_SUPPORTED_OPERATION_CODES = defineCdb(
  "REPORT SUPPORTED OPERATION CODES",
  { opcode: 0xa3, serviceAction: 0x0c, lengthBytes: 12, direction: "in" },
  {
    rctd: bit(2, 7),
    reportingOptions: bits(2, 2, 0),
    requestedOperationCode: u8(3),
    requestedServiceAction: u16(4),
    allocationLength: u32(6),
  },
);

export const REPORT_SUPPORTED_TASK_MANAGEMENT_FUNCTIONS = defineCdb(
  "REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS",
  { opcode: 0xa3, serviceAction: 0x0d, lengthBytes: 12, direction: "in" },
  { repd: bit(2, 7), allocationLength: u32(6) },
);
