/** What a director's front end counts. One block for each director, written by its thread alone. */
import { defineCounters } from "../../drivers/shared-memory/counters.ts";

const pdus = { type: "counter", metric: "varray_frontend_pdus_total", help: "iSCSI PDUs" } as const;
const bytes = {
  type: "counter",
  metric: "varray_frontend_bytes_total",
  help: "Bytes on iSCSI connections, headers included",
} as const;
const commands = { type: "counter", metric: "varray_frontend_commands_total", help: "SCSI commands answered" } as const;
const latency = {
  type: "histogram",
  metric: "varray_frontend_command_seconds",
  help: "From receipt of a SCSI command to the last byte of its answer handed to the socket",
} as const;
const logins = { type: "counter", metric: "varray_frontend_logins_total", help: "Logins ended, by outcome" } as const;
const digests = {
  type: "counter",
  metric: "varray_frontend_digest_errors_total",
  help: "PDUs received with a wrong digest",
} as const;
const data = { type: "counter", metric: "varray_frontend_data_bytes_total", help: "Data of SCSI commands" } as const;

export const FRONT_END_COUNTERS = defineCounters("frontEnd", {
  pdusIn: { ...pdus, labels: { direction: "in" } },
  pdusOut: { ...pdus, labels: { direction: "out" } },
  bytesIn: { ...bytes, labels: { direction: "in" } },
  bytesOut: { ...bytes, labels: { direction: "out" } },
  readBytes: { ...data, labels: { kind: "read" } },
  writeBytes: { ...data, labels: { kind: "write" } },
  readCommands: { ...commands, labels: { kind: "read" } },
  writeCommands: { ...commands, labels: { kind: "write" } },
  otherCommands: { ...commands, labels: { kind: "other" } },
  readLatency: { ...latency, labels: { kind: "read" } },
  writeLatency: { ...latency, labels: { kind: "write" } },
  checkConditions: {
    type: "counter",
    metric: "varray_frontend_check_conditions_total",
    help: "SCSI commands ended with CHECK CONDITION",
  },
  taskSetFull: { type: "counter", metric: "varray_frontend_task_set_full_total", help: "SCSI commands answered TASK SET FULL" },
  rejects: { type: "counter", metric: "varray_frontend_rejects_total", help: "Reject PDUs sent" },
  headerDigestErrors: { ...digests, labels: { digest: "header" } },
  dataDigestErrors: { ...digests, labels: { digest: "data" } },
  ignoredCommands: {
    type: "counter",
    metric: "varray_frontend_commands_ignored_total",
    help: "Commands outside the command window, ignored as RFC 7143 has it",
  },
  taskManagement: {
    type: "counter",
    metric: "varray_frontend_task_management_total",
    help: "Task management functions received",
  },
  loginsGood: { ...logins, labels: { outcome: "good" } },
  loginsRefused: { ...logins, labels: { outcome: "refused" } },
  loginsTimedOut: { ...logins, labels: { outcome: "timeout" } },
  connectionsRefused: {
    type: "counter",
    metric: "varray_frontend_connections_refused_total",
    help: "Connections closed at once: over a cap for their address or for the director",
  },
  connectionsDropped: {
    type: "counter",
    metric: "varray_frontend_connections_dropped_total",
    help: "Connections ended by the director: protocol broken, idle, or not reading",
  },
  frameWaits: {
    type: "counter",
    metric: "varray_frontend_backpressure_waits_total",
    help: "Write commands that had to wait for frames",
  },
  connections: { type: "gauge", metric: "varray_frontend_connections", help: "Open iSCSI connections" },
  sessions: { type: "gauge", metric: "varray_frontend_sessions", help: "iSCSI sessions in full feature phase" },
  unsentBytes: {
    type: "gauge",
    metric: "varray_frontend_unsent_bytes",
    help: "Bytes of answers that the kernel has not taken yet",
  },
});

/** Command kinds as answers carry them. */
export const KIND = { read: 0, write: 1, other: 2 } as const;
