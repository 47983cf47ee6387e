/** What the SCSI layer of one director counts. */
import { type CounterSpec, defineCounters } from "../../drivers/shared-memory/counters.ts";

/** Families of commands, as metrics and dashboards tell them apart. */
export type CommandFamily =
  | "read"
  | "write"
  | "writeAndVerify"
  | "verify"
  | "writeSame"
  | "unmap"
  | "synchronizeCache"
  | "preFetch"
  | "inquiry"
  | "readCapacity"
  | "getLbaStatus"
  | "mode"
  | "reserve"
  | "report"
  | "unitState"
  | "unknown";

const commands = (family: CommandFamily): CounterSpec => ({
  type: "counter",
  metric: "varray_scsi_commands_total",
  help: "SCSI commands that ended, at the director that owns the logical unit",
  labels: { family },
});
const conditions = (key: string): CounterSpec => ({
  type: "counter",
  metric: "varray_scsi_check_conditions_total",
  help: "Commands that ended in CHECK CONDITION, by sense key",
  labels: { key },
});

export const SCSI_COUNTERS = defineCounters("scsi", {
  read: commands("read"),
  write: commands("write"),
  writeAndVerify: commands("writeAndVerify"),
  verify: commands("verify"),
  writeSame: commands("writeSame"),
  unmap: commands("unmap"),
  synchronizeCache: commands("synchronizeCache"),
  preFetch: commands("preFetch"),
  inquiry: commands("inquiry"),
  readCapacity: commands("readCapacity"),
  getLbaStatus: commands("getLbaStatus"),
  mode: commands("mode"),
  reserve: commands("reserve"),
  report: commands("report"),
  unitState: commands("unitState"),
  unknown: commands("unknown"),
  readBytes: { type: "counter", metric: "varray_scsi_read_bytes_total", help: "Bytes that READ commands returned" },
  writtenBytes: { type: "counter", metric: "varray_scsi_written_bytes_total", help: "Bytes that WRITE commands wrote" },
  unmappedBytes: {
    type: "counter",
    metric: "varray_scsi_unmapped_bytes_total",
    help: "Bytes that UNMAP and WRITE SAME of zeros released",
  },
  checkNoSense: conditions("no sense"),
  checkRecoveredError: conditions("recovered error"),
  checkNotReady: conditions("not ready"),
  checkMediumError: conditions("medium error"),
  checkHardwareError: conditions("hardware error"),
  checkIllegalRequest: conditions("illegal request"),
  checkUnitAttention: conditions("unit attention"),
  checkDataProtect: conditions("data protect"),
  checkBlankCheck: conditions("blank check"),
  checkVendorSpecific: conditions("vendor specific"),
  checkCopyAborted: conditions("copy aborted"),
  checkAbortedCommand: conditions("aborted command"),
  checkReserved: conditions("reserved"),
  checkVolumeOverflow: conditions("volume overflow"),
  checkMiscompare: conditions("miscompare"),
  checkCompleted: conditions("completed"),
  reservationConflicts: {
    type: "counter",
    metric: "varray_scsi_reservation_conflicts_total",
    help: "Commands refused because another nexus holds the reservation",
  },
  unitAttentions: {
    type: "counter",
    metric: "varray_scsi_unit_attentions_total",
    help: "Unit attention conditions reported to initiators",
  },
  commandsTooLate: {
    type: "counter",
    metric: "varray_scsi_commands_too_late_total",
    help: "Commands refused because their host may have repeated them on another path",
  },
  commandsHeld: {
    type: "counter",
    metric: "varray_scsi_commands_held_total",
    help: "Commands that waited until their volume had an owner again",
  },
  repeatsAnswered: {
    type: "counter",
    metric: "varray_scsi_repeats_answered_total",
    help: "Writes that a dead owner had executed, acknowledged by its successor without being executed again",
  },
  taskSetFull: { type: "counter", metric: "varray_scsi_task_set_full_total", help: "Commands answered TASK SET FULL or BUSY" },
  logicalUnitResets: {
    type: "counter",
    metric: "varray_scsi_logical_unit_resets_total",
    help: "LOGICAL UNIT RESETs carried out",
  },
  tasks: { type: "gauge", metric: "varray_scsi_tasks", help: "Commands in the task sets of all logical units now" },
});

/** Slot of the check-condition counter of sense key 0; the other keys follow in their order. */
export const CHECK_CONDITION_SLOT = SCSI_COUNTERS.slots.checkNoSense;
