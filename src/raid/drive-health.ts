/**
 * How sound the drives of a pool look by what they did lately: errors that redundancy made good, and how long they take
 * beside each other. Says which should be replaced, and which must not be trusted any more.
 *
 * Pure: told of each operation (ObservedDrive) and of what did not check out (RaidGroup), asked now and then.
 * Invariants:
 *  1. Errors weigh half as much after each half life: a drive is judged by what it does, not by how long it has been there.
 *  2. A drive is slow only beside others of its pool that do the same work at the same time: a machine, or a disk below all
 *     of them, that is slow says nothing against one drive.
 *  3. A verdict stands until the drive is another one (`forget`).
 */

/** What is held against a drive; an operation that ends its membership by itself is not counted here. */
export type DriveFinding =
  /** A read that ended in an error of the medium. */
  | "readError"
  /** A strip or zone that was written and is not there: a lost write, or a key that reverted. */
  | "notFound"
  /** What was read is not what was written there: checksum, block, volume or zone. */
  | "mismatch";

export type OperationClass = "read" | "write";

export interface DriveHealthLimits {
  /** Findings, decayed, from which on a drive should be replaced. */
  readonly predictiveErrors: number;
  /** And from which on it is not used any more, where the pool can do without it. */
  readonly failedErrors: number;
  readonly halfLifeSeconds: number;
  /** A drive is slow that takes so many times as long as the median of its peers … */
  readonly slowFactor: number;
  /** … and this long at least … */
  readonly slowMilliseconds: number;
  /** … over so long. */
  readonly slowSeconds: number;
}

export const DRIVE_HEALTH_LIMITS: DriveHealthLimits = {
  predictiveErrors: 10,
  failedErrors: 100,
  halfLifeSeconds: 3600,
  slowFactor: 8,
  slowMilliseconds: 50,
  slowSeconds: 30,
};

export type DriveVerdict = { readonly state: "predictive" | "failed"; readonly reason: string };

/** Latencies are compared over such stretches. */
const WINDOW_MILLISECONDS = 5000;
/** Fewer operations of a kind in a window say nothing. */
const OPERATIONS_MIN = 16;
const CLASSES = ["read", "write"] as const;

interface Latency {
  count: number;
  milliseconds: number;
  /** Windows in a row in which the drive was slow. */
  slowWindows: number;
}

interface Known {
  /** Findings, decayed to `at`. */
  errors: number;
  at: number;
  readonly findings: Record<DriveFinding, number>;
  readonly latency: Record<OperationClass, Latency>;
  verdict: DriveVerdict | undefined;
}

export interface DriveHealthStatus {
  /** Findings, decayed to now. */
  readonly errors: number;
  /** All of them, of each kind. */
  readonly findings: Readonly<Record<DriveFinding, number>>;
}

export class DriveHealth {
  readonly limits: DriveHealthLimits;
  /** Zones of which a rebuild left strips out that nothing had any more: that they are not there is not held against a drive. */
  readonly damagedZones = new Set<number>();
  readonly #drives = new Map<string, Known>();
  #windowEnds = Number.NEGATIVE_INFINITY;

  constructor(limits: DriveHealthLimits = DRIVE_HEALTH_LIMITS) {
    this.limits = limits;
  }

  /** Holds something against a drive. */
  found(drive: string, finding: DriveFinding, nowMilliseconds: number): void {
    const known = this.#of(drive);
    known.errors = this.#decayed(known, nowMilliseconds) + 1;
    known.at = nowMilliseconds;
    known.findings[finding] += 1;
    this.#judgeErrors(known);
  }

  /** An operation on strips ended well. */
  took(drive: string, operation: OperationClass, milliseconds: number): void {
    const latency = this.#of(drive).latency[operation];
    latency.count += 1;
    latency.milliseconds += milliseconds;
  }

  /** To be called every second or so: ends the window of latencies when it is over. */
  tick(nowMilliseconds: number): void {
    if (nowMilliseconds < this.#windowEnds) return;
    // The first one only begins here, and one that nobody ended in time is no measure.
    const whole = nowMilliseconds < this.#windowEnds + WINDOW_MILLISECONDS;
    this.#windowEnds = nowMilliseconds + WINDOW_MILLISECONDS;
    for (const operation of CLASSES) {
      if (whole) this.#compare(operation);
      for (const { latency } of this.#drives.values()) {
        latency[operation].count = 0;
        latency[operation].milliseconds = 0;
      }
    }
  }

  verdict(drive: string): DriveVerdict | undefined {
    return this.#drives.get(drive)?.verdict;
  }

  /** In place of the drive of this name is another one. */
  forget(drive: string): void {
    this.#drives.delete(drive);
  }

  status(drive: string, nowMilliseconds: number): DriveHealthStatus {
    const known = this.#of(drive);
    return { errors: this.#decayed(known, nowMilliseconds), findings: { ...known.findings } };
  }

  #of(drive: string): Known {
    let known = this.#drives.get(drive);
    if (known === undefined) {
      const latency = () => ({ count: 0, milliseconds: 0, slowWindows: 0 });
      known = {
        errors: 0,
        at: 0,
        findings: { readError: 0, notFound: 0, mismatch: 0 },
        latency: { read: latency(), write: latency() },
        verdict: undefined,
      };
      this.#drives.set(drive, known);
    }
    return known;
  }

  #decayed({ errors, at }: Known, nowMilliseconds: number): number {
    return errors * 0.5 ** (Math.max(0, nowMilliseconds - at) / 1000 / this.limits.halfLifeSeconds);
  }

  #judgeErrors(known: Known): void {
    const { predictiveErrors, failedErrors } = this.limits;
    const state = known.errors >= failedErrors ? "failed" : known.errors >= predictiveErrors ? "predictive" : undefined;
    if (state === undefined || known.verdict?.state === "failed") return;
    if (state === "predictive" && known.verdict !== undefined) return;
    known.verdict = { state, reason: `${Math.floor(known.errors)} errors of late: ${wordsOf(known.findings)}` };
  }

  #compare(operation: OperationClass): void {
    const { slowFactor, slowMilliseconds, slowSeconds } = this.limits;
    const busy = [...this.#drives.values()].filter(({ latency }) => latency[operation].count >= OPERATIONS_MIN);
    const meanOf = ({ latency }: Known): number => latency[operation].milliseconds / latency[operation].count;
    for (const known of busy) {
      const peers = busy.filter((other) => other !== known).map(meanOf);
      if (peers.length === 0) continue;
      const usual = medianOf(peers);
      const mean = meanOf(known);
      const latency = known.latency[operation];
      const slow = mean >= slowMilliseconds && mean >= slowFactor * usual;
      latency.slowWindows = slow ? latency.slowWindows + 1 : 0;
      if (latency.slowWindows * WINDOW_MILLISECONDS < slowSeconds * 1000 || known.verdict !== undefined) continue;
      const reason = `its ${operation}s take ${mean.toFixed(0)} ms where those of its peers take ${usual.toFixed(1)} ms, for ${slowSeconds} s`;
      known.verdict = { state: "predictive", reason };
    }
  }
}

const WORDS: Readonly<Record<DriveFinding, string>> = {
  readError: "read errors",
  notFound: "strips that are gone",
  mismatch: "strips that are not what was written",
};

function wordsOf(findings: Readonly<Record<DriveFinding, number>>): string {
  const kinds = Object.entries(WORDS) as [DriveFinding, string][];
  return kinds
    .filter(([finding]) => findings[finding] > 0)
    .map(([finding, words]) => `${findings[finding]} ${words}`)
    .join(", ");
}

/** Of two in the middle the lower one. */
function medianOf(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[(values.length - 1) >> 1]!;
}
