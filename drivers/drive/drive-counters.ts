/**
 * What is counted of each drive. Written by the drive thread (CountingDrive), read by the control plane.
 */
import { type CounterSpec, defineCounters } from "../shared-memory/counters.ts";
import type { DriveErrorKind } from "./drive.ts";

function errorsOf(kind: DriveErrorKind): CounterSpec {
  return {
    type: "counter",
    metric: "varray_drive_errors_total",
    help: "Operations of a drive that did not end well, by kind.",
    labels: { kind },
  };
}

export const DRIVE_COUNTERS = defineCounters("drive", {
  reads: { type: "counter", metric: "varray_drive_reads_total", help: "Strip reads that a drive completed." },
  readBytes: { type: "counter", metric: "varray_drive_read_bytes_total", help: "Bytes of strips read from a drive." },
  writes: { type: "counter", metric: "varray_drive_writes_total", help: "Batches of strips that a drive made durable." },
  writeBytes: { type: "counter", metric: "varray_drive_write_bytes_total", help: "Bytes of strips written to a drive." },
  metadataReads: {
    type: "counter",
    metric: "varray_drive_metadata_reads_total",
    help: "Metadata keys and pages read from a drive.",
  },
  metadataWrites: {
    type: "counter",
    metric: "varray_drive_metadata_writes_total",
    help: "Metadata batches that a drive made durable.",
  },
  metadataWriteBytes: {
    type: "counter",
    metric: "varray_drive_metadata_write_bytes_total",
    help: "Bytes of metadata values written to a drive.",
  },
  zonesCreated: { type: "counter", metric: "varray_drive_zones_created_total", help: "Zones that a drive created." },
  zonesFinished: { type: "counter", metric: "varray_drive_zones_finished_total", help: "Zones that a drive finished." },
  zonesReset: { type: "counter", metric: "varray_drive_zones_reset_total", help: "Zones that a drive removed." },
  unrecoveredRead: errorsOf("unrecoveredRead"),
  notFound: errorsOf("notFound"),
  writeFailed: errorsOf("writeFailed"),
  noSpace: errorsOf("noSpace"),
  fenced: errorsOf("fenced"),
  unreachable: errorsOf("unreachable"),
  unknown: errorsOf("unknown"),
  foreign: errorsOf("foreign"),
  invalid: errorsOf("invalid"),
  underWay: { type: "gauge", metric: "varray_drive_operations_under_way", help: "Operations that a drive works on now." },
  busySeconds: {
    type: "counter",
    metric: "varray_drive_busy_seconds_total",
    help: "Time during which a drive had at least one operation under way.",
  },
  readLatency: { type: "histogram", metric: "varray_drive_read_latency_seconds", help: "Time of a strip read at the drive." },
  writeLatency: {
    type: "histogram",
    metric: "varray_drive_write_latency_seconds",
    help: "Time of a strip write at the drive, durable.",
  },
  metadataLatency: {
    type: "histogram",
    metric: "varray_drive_metadata_write_latency_seconds",
    help: "Time of a metadata batch at the drive, durable.",
  },
});
