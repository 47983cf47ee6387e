/** Figures out of what the array counted between two scrapes: per operation, per host byte, and of histograms. */
import { parseSeries, total } from "./prometheus-text.ts";

const BLOCK_BYTES = 4096;

export type Counted = Readonly<Record<string, number>>;

/** Commands of hosts that were answered meanwhile. */
function hostCommands(counted: Counted): number {
  const of = (kind: string) => total(counted, "varray_frontend_commands_total", { kind });
  return of("read") + of("write");
}

function hostWriteBytes(counted: Counted): number {
  return total(counted, "varray_frontend_data_bytes_total", { kind: "write" });
}

/**
 * The time below which a share of a histogram's observations lies, in seconds: the upper bound of the bucket where it is
 * reached, so at most twice too large. NaN of nothing.
 */
export function histogramQuantile(
  counted: Counted,
  name: string,
  labels: Readonly<Record<string, string>>,
  share: number,
): number {
  const buckets = new Map<number, number>();
  for (const [text, value] of Object.entries(counted)) {
    if (!text.startsWith(`${name}_bucket{`)) continue;
    const series = parseSeries(text);
    if (series.name !== `${name}_bucket` || !Object.entries(labels).every(([label, wanted]) => series.labels[label] === wanted))
      continue;
    const bound = Number(series.labels.le!.replace("+Inf", "Infinity"));
    buckets.set(bound, (buckets.get(bound) ?? 0) + value);
  }
  const bounds = [...buckets.keys()].sort((a, b) => a - b);
  const all = buckets.get(Number.POSITIVE_INFINITY) ?? 0;
  if (all === 0) return Number.NaN;
  // Buckets are cumulative, and those that stayed 0 are left out.
  return bounds.find((bound) => buckets.get(bound)! >= all * share)!;
}

/** Mean of a histogram's observations, in seconds. */
function histogramMean(counted: Counted, name: string, labels: Readonly<Record<string, string>> = {}): number {
  return total(counted, `${name}_sum`, labels) / total(counted, `${name}_count`, labels);
}

export interface JavaScriptUse {
  readonly allocatedBytesPerCommand: number;
  /** Of the thread's CPU time. */
  readonly gcShare: number;
  readonly gcRunsPerSecond: number;
  readonly gcPauseP99Seconds: number;
  readonly loopDelayP99Seconds: number;
}

/** Of one thread. Its CPU time is counted too, so shares need no clock. */
export function javaScriptUse(counted: Counted, thread: string): JavaScriptUse {
  const cpuSeconds = total(counted, "varray_thread_cpu_seconds_total", { thread });
  return {
    allocatedBytesPerCommand: total(counted, "varray_thread_allocated_bytes_total", { thread }) / hostCommands(counted),
    gcShare: total(counted, "varray_thread_gc_seconds_total", { thread }) / cpuSeconds,
    gcRunsPerSecond: total(counted, "varray_thread_gc_runs_total", { thread }) / cpuSeconds,
    gcPauseP99Seconds: histogramQuantile(counted, "varray_thread_gc_pause_seconds", { thread }, 0.99),
    loopDelayP99Seconds: histogramQuantile(counted, "varray_thread_event_loop_delay_seconds", { thread }, 0.99),
  };
}

export interface TurnStages {
  readonly commandsPerTurn: number;
  /** Microseconds of each command's share of its turn: what was done for all commands of the turn, divided by them. */
  readonly receive: number;
  readonly storage: number;
  /** Of storage: the write to the journal's file. */
  readonly journal: number;
  readonly answers: number;
  /** Of strip reads at the drive, each; NaN where nothing missed. */
  readonly driveRead: number;
}

/** Of the director through which hosts came. */
export function turnStages(counted: Counted, director: string): TurnStages {
  const commands = hostCommands(counted);
  const each = (stage: string) => (total(counted, "varray_director_turn_seconds_sum", { director, stage }) / commands) * 1e6;
  return {
    commandsPerTurn: commands / total(counted, "varray_director_turn_seconds_count", { director, stage: "receive" }),
    receive: each("receive"),
    storage: each("storage"),
    journal: (total(counted, "varray_journal_append_latency_seconds_sum") / commands) * 1e6,
    answers: each("answers"),
    driveRead: histogramMean(counted, "varray_drive_read_latency_seconds") * 1e6,
  };
}

export interface CopiedBytes {
  readonly socketToFrame: number;
  readonly channel: number;
  /** By the kernel, in `writev`. */
  readonly journal: number;
  readonly frameToStaging: number;
}

/** Copies of written data for each byte that hosts wrote. Data that is read is sent from its frame. */
export function copiedBytes(counted: Counted): CopiedBytes {
  const host = hostWriteBytes(counted);
  const blocks = (name: string) => total(counted, name) * BLOCK_BYTES;
  return {
    socketToFrame: host / host,
    channel: total(counted, "varray_channel_copied_bytes_total") / host,
    journal: total(counted, "varray_journal_append_bytes_total") / host,
    frameToStaging: blocks("varray_destaged_blocks_total") / host,
  };
}

export interface WriteAmplification {
  /** Journal, headers included, for each byte that hosts wrote. */
  readonly journal: number;
  /** Strips on all drives, parity and tags included. */
  readonly strips: number;
  /** The map and the zones' records. */
  readonly metadata: number;
}

export function writeAmplification(counted: Counted): WriteAmplification {
  const host = hostWriteBytes(counted);
  return {
    journal: total(counted, "varray_journal_append_bytes_total") / host,
    strips: total(counted, "varray_drive_write_bytes_total") / host,
    metadata: total(counted, "varray_drive_metadata_write_bytes_total") / host,
  };
}
