/** What each director counts of itself: its thread, its thread pool, and first touch of memory. */
import { defineCounters } from "../drivers/shared-memory/counters.ts";

const turn = {
  type: "histogram",
  metric: "varray_director_turn_seconds",
  help: "Time of each stage of a turn of the director's event loop that had work: receive, storage with its journal, answers.",
} as const;

export const DIRECTOR_COUNTERS = defineCounters("director", {
  memoryTouchedBytes: {
    type: "gauge",
    metric: "varray_memory_touched_bytes",
    help: "Global memory touched ahead of its use, of this director's share.",
  },
  memoryToTouchBytes: {
    type: "gauge",
    metric: "varray_memory_to_touch_bytes",
    help: "Global memory that this director touches in the background after the start.",
  },
  poolTasks: {
    type: "counter",
    metric: "varray_thread_pool_tasks_total",
    help: "Tasks that this director's thread pool has done.",
  },
  poolTasksWaiting: {
    type: "gauge",
    metric: "varray_thread_pool_tasks_waiting",
    help: "Tasks that wait for a thread of this director's thread pool.",
  },
  busySeconds: {
    type: "counter",
    metric: "varray_director_busy_seconds_total",
    help: "Time that the director's thread was not waiting in its event loop; staying awake for the next command and naps count.",
  },
  turnReceive: { ...turn, labels: { stage: "receive" } },
  turnStorage: { ...turn, labels: { stage: "storage" } },
  turnAnswers: { ...turn, labels: { stage: "answers" } },
});
