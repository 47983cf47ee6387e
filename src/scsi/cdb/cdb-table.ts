/**
 * Every CDB that this target knows, found by operation code and service action; and the plan of a CDB's data-out.
 *
 * Runs on: any thread. Owns: nothing.
 */
import type { DataOutPlan } from "../task.ts";
import { type CdbDefinition, printCdb } from "./define-cdb.ts";
import { GET_LBA_STATUS } from "./get-lba-status.ts";
import { INQUIRY } from "./inquiry.ts";
import { MODE_SELECT_6, MODE_SELECT_10 } from "./mode-select.ts";
import { MODE_SENSE_6, MODE_SENSE_10 } from "./mode-sense.ts";
import { READ_FULL_STATUS, READ_KEYS, READ_RESERVATION, REPORT_CAPABILITIES } from "./persistent-reserve-in.ts";
import { PRE_FETCH_10, PRE_FETCH_16 } from "./pre-fetch.ts";
import { READ_6, READ_10, READ_12, READ_16 } from "./read.ts";
import { READ_CAPACITY_10, READ_CAPACITY_16 } from "./read-capacity.ts";
import { REPORT_LUNS } from "./report-luns.ts";
import { REPORT_SUPPORTED_OPERATION_CODES, REPORT_SUPPORTED_TASK_MANAGEMENT_FUNCTIONS } from "./report-supported.ts";
import { REPORT_TARGET_PORT_GROUPS } from "./report-target-port-groups.ts";
import { REQUEST_SENSE } from "./request-sense.ts";
import { RELEASE_6, RELEASE_10, RESERVE_6, RESERVE_10 } from "./reserve.ts";
import { START_STOP_UNIT } from "./start-stop-unit.ts";
import { SYNCHRONIZE_CACHE_10, SYNCHRONIZE_CACHE_16 } from "./synchronize-cache.ts";
import { TEST_UNIT_READY } from "./test-unit-ready.ts";
import { UNMAP } from "./unmap.ts";
import { VERIFY_10, VERIFY_12, VERIFY_16 } from "./verify.ts";
import { WRITE_6, WRITE_10, WRITE_12, WRITE_16 } from "./write.ts";
import { WRITE_AND_VERIFY_10, WRITE_AND_VERIFY_12, WRITE_AND_VERIFY_16 } from "./write-and-verify.ts";
import { WRITE_SAME_10, WRITE_SAME_16 } from "./write-same.ts";

/** In the order in which REPORT SUPPORTED OPERATION CODES lists them. */
export const CDBS: readonly CdbDefinition[] = [
  TEST_UNIT_READY,
  REQUEST_SENSE,
  READ_6,
  WRITE_6,
  INQUIRY,
  MODE_SELECT_6,
  RESERVE_6,
  RELEASE_6,
  MODE_SENSE_6,
  START_STOP_UNIT,
  READ_CAPACITY_10,
  READ_10,
  WRITE_10,
  WRITE_AND_VERIFY_10,
  VERIFY_10,
  PRE_FETCH_10,
  SYNCHRONIZE_CACHE_10,
  WRITE_SAME_10,
  UNMAP,
  MODE_SELECT_10,
  RESERVE_10,
  RELEASE_10,
  MODE_SENSE_10,
  READ_KEYS,
  READ_RESERVATION,
  REPORT_CAPABILITIES,
  READ_FULL_STATUS,
  READ_16,
  WRITE_16,
  WRITE_AND_VERIFY_16,
  VERIFY_16,
  PRE_FETCH_16,
  SYNCHRONIZE_CACHE_16,
  WRITE_SAME_16,
  READ_CAPACITY_16,
  GET_LBA_STATUS,
  REPORT_LUNS,
  REPORT_TARGET_PORT_GROUPS,
  REPORT_SUPPORTED_OPERATION_CODES,
  REPORT_SUPPORTED_TASK_MANAGEMENT_FUNCTIONS,
  READ_12,
  WRITE_12,
  WRITE_AND_VERIFY_12,
  VERIFY_12,
];

/** One entry for each operation code: the index in CDBS, or for one with service actions the index by service action. */
const INDEX_BY_OPCODE: (number | readonly number[] | undefined)[] = Array.from({ length: 256 }, () => undefined);
for (const [index, definition] of CDBS.entries()) {
  const { opcode, serviceAction, name } = definition;
  const there = INDEX_BY_OPCODE[opcode];
  if (serviceAction === undefined) {
    if (there !== undefined) throw new RangeError(`${name}: operation code ${opcode} is there twice`);
    INDEX_BY_OPCODE[opcode] = index;
  } else {
    const actions = typeof there === "object" ? [...there] : Array.from({ length: 32 }, () => -1);
    if (typeof there === "number" || actions[serviceAction] !== -1)
      throw new RangeError(`${name}: service action is there twice`);
    actions[serviceAction] = index;
    INDEX_BY_OPCODE[opcode] = actions;
  }
}

/** What a CDB is, when it is not one that we know. */
export const CDB_UNKNOWN = { operationCode: -1, serviceAction: -2 } as const;

/** Index in CDBS, or one of CDB_UNKNOWN. */
export function cdbIndex(opcode: number, serviceAction: number): number {
  const found = INDEX_BY_OPCODE[opcode];
  if (typeof found === "number") return found;
  if (found === undefined) return CDB_UNKNOWN.operationCode;
  const index = found[serviceAction] ?? -1;
  return index < 0 ? CDB_UNKNOWN.serviceAction : index;
}

/** The operation code is split up by service actions. */
export function hasServiceActions(opcode: number): boolean {
  return typeof INDEX_BY_OPCODE[opcode] === "object";
}

/**
 * How many bytes a CDB takes from the host, and at which phase of a block they begin. Looks at the CDB only; never fails.
 */
export function planDataOut(cdb: Uint8Array, logicalBlockBytes: number, plan: DataOutPlan): void {
  plan.bytes = 0;
  plan.phase = 0;
  const index = cdbIndex(cdb[0]!, cdb[1]! & 0x1f);
  if (index >= 0) CDBS[index]!.dataOut?.(cdb, logicalBlockBytes, plan);
}

/** Any CDB in words, for logs. */
export function describeCdb(cdb: Uint8Array): string {
  const index = cdbIndex(cdb[0]!, cdb[1]! & 0x1f);
  return index >= 0 ? printCdb(CDBS[index]!, cdb) : `operation code ${cdb[0]!.toString(16).padStart(2, "0")}h`;
}
