/** What the channel of each director counts. */
import { defineCounters } from "../../drivers/shared-memory/counters.ts";

export const CHANNEL_COUNTERS = defineCounters("channel", {
  requestsSent: {
    type: "counter",
    metric: "varray_channel_requests_total",
    help: "Commands that crossed the channel between directors.",
    labels: { side: "requester" },
  },
  requestsServed: {
    type: "counter",
    metric: "varray_channel_requests_total",
    help: "Commands that crossed the channel between directors.",
    labels: { side: "owner" },
  },
  requestsInFlight: {
    type: "gauge",
    metric: "varray_channel_requests_in_flight",
    help: "Commands that this director has with owners: not yet answered, or answered and not yet released.",
  },
  bytesCopied: {
    type: "counter",
    metric: "varray_channel_copied_bytes_total",
    help: "Write data that the owner copied from the requester's frames into its own.",
  },
  messagesDropped: {
    type: "counter",
    metric: "varray_channel_messages_dropped_total",
    help: "Messages of a director that was dead, or fenced, when they were found in its ring.",
  },
  requestsRepeated: {
    type: "counter",
    metric: "varray_channel_requests_repeated_total",
    help: "Commands without an answer from an owner that died, which go to the next one.",
  },
  driveRequestsRelayed: {
    type: "counter",
    metric: "varray_channel_drive_requests_relayed_total",
    help: "Requests to drives that this director brought on for a partner that is cut off from their thread.",
  },
  ringFullWaits: {
    type: "counter",
    metric: "varray_channel_ring_full_waits_total",
    help: "Messages that waited for room in a ring.",
  },
  frameWaits: {
    type: "counter",
    metric: "varray_channel_frame_waits_total",
    help: "Requests that waited at the owner for frames.",
  },
  requestWaits: {
    type: "counter",
    metric: "varray_channel_request_waits_total",
    help: "Commands that waited at the requester for a token or for frames to list their frames in.",
  },
  signalsSent: {
    type: "counter",
    metric: "varray_channel_signals_total",
    help: "Doorbells of other threads: rung because the thread slept, or spared because it ran.",
    labels: { outcome: "sent" },
  },
  signalsSaved: {
    type: "counter",
    metric: "varray_channel_signals_total",
    help: "Doorbells of other threads: rung because the thread slept, or spared because it ran.",
    labels: { outcome: "saved" },
  },
  wakeups: {
    type: "counter",
    metric: "varray_channel_wakeups_total",
    help: "Times that this thread was woken by its doorbell.",
  },
});
