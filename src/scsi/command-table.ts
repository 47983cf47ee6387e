/**
 * What each CDB does: its handler, its family for counters, and whether it passes another nexus's reservation.
 *
 * Runs on: any thread. Owns: nothing.
 * Invariant, checked at load: every CDB of cdb/cdb-table.ts has an entry, so that what REPORT SUPPORTED OPERATION CODES
 * lists is what works.
 */
import { CDBS } from "./cdb/cdb-table.ts";
import type { CdbDefinition } from "./cdb/define-cdb.ts";
import { GET_LBA_STATUS } from "./cdb/get-lba-status.ts";
import { INQUIRY } from "./cdb/inquiry.ts";
import { MODE_SELECT_6, MODE_SELECT_10 } from "./cdb/mode-select.ts";
import { MODE_SENSE_6, MODE_SENSE_10 } from "./cdb/mode-sense.ts";
import { READ_FULL_STATUS, READ_KEYS, READ_RESERVATION, REPORT_CAPABILITIES } from "./cdb/persistent-reserve-in.ts";
import { PRE_FETCH_10, PRE_FETCH_16 } from "./cdb/pre-fetch.ts";
import { READ_6, READ_10, READ_12, READ_16 } from "./cdb/read.ts";
import { READ_CAPACITY_10, READ_CAPACITY_16 } from "./cdb/read-capacity.ts";
import { REPORT_LUNS } from "./cdb/report-luns.ts";
import { REPORT_SUPPORTED_OPERATION_CODES, REPORT_SUPPORTED_TASK_MANAGEMENT_FUNCTIONS } from "./cdb/report-supported.ts";
import { REPORT_TARGET_PORT_GROUPS } from "./cdb/report-target-port-groups.ts";
import { REQUEST_SENSE } from "./cdb/request-sense.ts";
import { RELEASE_6, RELEASE_10, RESERVE_6, RESERVE_10 } from "./cdb/reserve.ts";
import { START_STOP_UNIT } from "./cdb/start-stop-unit.ts";
import { SYNCHRONIZE_CACHE_10, SYNCHRONIZE_CACHE_16 } from "./cdb/synchronize-cache.ts";
import { TEST_UNIT_READY } from "./cdb/test-unit-ready.ts";
import { UNMAP } from "./cdb/unmap.ts";
import { VERIFY_10, VERIFY_12, VERIFY_16 } from "./cdb/verify.ts";
import { WRITE_6, WRITE_10, WRITE_12, WRITE_16 } from "./cdb/write.ts";
import { WRITE_AND_VERIFY_10, WRITE_AND_VERIFY_12, WRITE_AND_VERIFY_16 } from "./cdb/write-and-verify.ts";
import { WRITE_SAME_10, WRITE_SAME_16 } from "./cdb/write-same.ts";
import type { Command } from "./command.ts";
import { getLbaStatus } from "./commands/get-lba-status.ts";
import { inquiry } from "./commands/inquiry.ts";
import { modeSelect6, modeSelect10 } from "./commands/mode-select.ts";
import { modeSense6, modeSense10 } from "./commands/mode-sense.ts";
import { readNoRegistrations, reportCapabilities } from "./commands/persistent-reserve-in.ts";
import { read6, read10, read12, read16 } from "./commands/read.ts";
import { readCapacity10, readCapacity16 } from "./commands/read-capacity.ts";
import { reportSupportedOperationCodes, reportSupportedTaskManagementFunctions } from "./commands/report-supported.ts";
import { reportTargetPortGroups } from "./commands/report-target-port-groups.ts";
import { preFetch10, preFetch16, startStopUnit, synchronizeCache10, synchronizeCache16 } from "./commands/synchronize-cache.ts";
import { release, requestSense, reserve6, reserve10, testUnitReady } from "./commands/unit-state.ts";
import { unmap } from "./commands/unmap.ts";
import { verify10, verify12, verify16 } from "./commands/verify.ts";
import { write6, write10, write12, write16 } from "./commands/write.ts";
import { writeAndVerify10, writeAndVerify12, writeAndVerify16 } from "./commands/write-and-verify.ts";
import { writeSame10, writeSame16 } from "./commands/write-same.ts";
import { type CommandFamily, SCSI_COUNTERS } from "./scsi-counters.ts";

export interface CommandEntry {
  readonly definition: CdbDefinition;
  readonly run: (command: Command) => void;
  readonly counterSlot: number;
  /** Runs though another nexus holds the reservation (SPC-2 table 9, SBC-2 table 4). */
  readonly passesReservation: boolean;
  /** Runs though a unit attention is pending, which stays pending (SAM-5 §5.14.2). */
  readonly passesUnitAttention: boolean;
  /** Changes data or state: must not be executed late (command-age.ts). */
  readonly changes: boolean;
}

const passesReservation = new Set<CdbDefinition>([
  INQUIRY,
  REQUEST_SENSE,
  RELEASE_6,
  RELEASE_10,
  READ_CAPACITY_10,
  READ_CAPACITY_16,
  REPORT_TARGET_PORT_GROUPS,
  REPORT_SUPPORTED_OPERATION_CODES,
  REPORT_SUPPORTED_TASK_MANAGEMENT_FUNCTIONS,
]);
const changes = new Set<CommandFamily>(["write", "writeAndVerify", "writeSame", "unmap", "reserve", "mode"]);
const passesUnitAttention = new Set<CdbDefinition>([INQUIRY, REQUEST_SENSE]);

type Row = readonly [definition: CdbDefinition, run: (command: Command) => void, family: CommandFamily];
const ROWS: readonly Row[] = [
  [TEST_UNIT_READY, testUnitReady, "unitState"],
  [REQUEST_SENSE, requestSense, "unitState"],
  [START_STOP_UNIT, startStopUnit, "unitState"],
  [INQUIRY, inquiry, "inquiry"],
  [READ_CAPACITY_10, readCapacity10, "readCapacity"],
  [READ_CAPACITY_16, readCapacity16, "readCapacity"],
  [GET_LBA_STATUS, getLbaStatus, "getLbaStatus"],
  [MODE_SENSE_6, modeSense6, "mode"],
  [MODE_SENSE_10, modeSense10, "mode"],
  [MODE_SELECT_6, modeSelect6, "mode"],
  [MODE_SELECT_10, modeSelect10, "mode"],
  [RESERVE_6, reserve6, "reserve"],
  [RESERVE_10, reserve10, "reserve"],
  [RELEASE_6, release, "reserve"],
  [RELEASE_10, release, "reserve"],
  [READ_KEYS, readNoRegistrations, "reserve"],
  [READ_RESERVATION, readNoRegistrations, "reserve"],
  [READ_FULL_STATUS, readNoRegistrations, "reserve"],
  [REPORT_CAPABILITIES, reportCapabilities, "reserve"],
  [READ_6, read6, "read"],
  [READ_10, read10, "read"],
  [READ_12, read12, "read"],
  [READ_16, read16, "read"],
  [WRITE_6, write6, "write"],
  [WRITE_10, write10, "write"],
  [WRITE_12, write12, "write"],
  [WRITE_16, write16, "write"],
  [WRITE_AND_VERIFY_10, writeAndVerify10, "writeAndVerify"],
  [WRITE_AND_VERIFY_12, writeAndVerify12, "writeAndVerify"],
  [WRITE_AND_VERIFY_16, writeAndVerify16, "writeAndVerify"],
  [VERIFY_10, verify10, "verify"],
  [VERIFY_12, verify12, "verify"],
  [VERIFY_16, verify16, "verify"],
  [PRE_FETCH_10, preFetch10, "preFetch"],
  [PRE_FETCH_16, preFetch16, "preFetch"],
  [SYNCHRONIZE_CACHE_10, synchronizeCache10, "synchronizeCache"],
  [SYNCHRONIZE_CACHE_16, synchronizeCache16, "synchronizeCache"],
  [WRITE_SAME_10, writeSame10, "writeSame"],
  [WRITE_SAME_16, writeSame16, "writeSame"],
  [UNMAP, unmap, "unmap"],
  [REPORT_TARGET_PORT_GROUPS, reportTargetPortGroups, "report"],
  [REPORT_SUPPORTED_OPERATION_CODES, reportSupportedOperationCodes, "report"],
  [REPORT_SUPPORTED_TASK_MANAGEMENT_FUNCTIONS, reportSupportedTaskManagementFunctions, "report"],
];

/** By the index of the CDB in CDBS. REPORT LUNS has no entry: it asks the target, which answers it (target.ts). */
export const COMMANDS: readonly (CommandEntry | undefined)[] = CDBS.map((definition) => {
  const row = ROWS.find(([candidate]) => candidate === definition);
  if (row === undefined) {
    if (definition === REPORT_LUNS) return undefined;
    throw new RangeError(`${definition.name} has no handler`);
  }
  return {
    definition,
    run: row[1],
    counterSlot: SCSI_COUNTERS.slots[row[2]],
    passesReservation: passesReservation.has(definition),
    passesUnitAttention: passesUnitAttention.has(definition),
    changes: changes.has(row[2]) && definition.direction !== "in",
  };
});
