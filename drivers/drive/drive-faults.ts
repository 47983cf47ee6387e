/**
 * The faults that one drive is to have: rules, which operations they are for, and how often they have hit.
 *
 * Runs on: where its drive runs. One object for each drive, shared by all accesses to it (FaultDrive), set while it runs.
 * Invariants:
 *  1. What is chosen at random is chosen by the settings' seed: the same settings and operations give the same faults.
 *  2. A hit is counted when the fault happens, and `hitsMax` is never passed.
 *  3. What hangs goes on when the rules are set anew, whatever they say.
 *  4. Nothing here outlives the process: a drive begins without faults.
 */
import { setTimeout as sleepOnTimer } from "node:timers/promises";
import { RefusedStrips } from "./refused-strips.ts";

/** What an operation is, as far as a rule can ask. */
type FaultOperation = "read" | "write" | "metadataRead" | "metadataWrite" | "zone" | "other";

/** Which operations a rule is for; all that its fault can hit where nothing is said. */
interface FaultPlace {
  /** This zone's only: no metadata. */
  readonly zone?: number;
  /** Strips from this one on, in every zone unless `zone` says which: no metadata, no zone operations. */
  readonly firstStrip?: number;
  /** 1 unless given. */
  readonly stripCount?: number;
  /** Reads that touch these bytes of a strip; other operations touch all of it. */
  readonly firstByte?: number;
  /** 1 unless given. */
  readonly byteCount?: number;
  /** Metadata keys that begin so: nothing but metadata. */
  readonly keyPrefix?: string;
  readonly operations?: readonly FaultOperation[];
}

/** How often a rule hits what it is for: each time where nothing is said. */
interface FaultRate {
  /** So many pass first. */
  readonly skip?: number;
  /** Of what is left, the first of every so many is hit. */
  readonly everyNth?: number;
  /** And of those so many, by the seed. */
  readonly probability?: number;
  /** Ends after so many hits. */
  readonly hitsMax?: number;
}

/** What happens. */
type FaultKind =
  /** Read: "unrecoveredRead". */
  | { readonly fault: "readError" }
  /** Write, metadata batch, zone operation: "writeFailed", and nothing is done. */
  | { readonly fault: "writeError" }
  /** Write, metadata batch, new zone: "noSpace", and nothing is done. */
  | { readonly fault: "noSpace" }
  /**
   * Only the first `strips` (0) strips of a write are stored, and `bytes` (0) of the next, whose rest is zeros. Told as done
   * where `report` does not say otherwise.
   */
  | {
      readonly fault: "tornWrite";
      readonly strips?: number;
      readonly bytes?: number;
      readonly report?: "done" | "writeFailed" | "unknown";
    }
  /** Write, metadata batch: told as done, nothing is stored. */
  | { readonly fault: "lostWrite" }
  /** The first strip of a write lands at another place instead, over what is there: at one by the seed where none is given. */
  | { readonly fault: "misdirectedWrite"; readonly toZone?: number; readonly toStrip?: number }
  /** In what a read returns, or (on: "write") in what is stored; at a byte and bit by the seed where none is given. */
  | { readonly fault: "bitFlip"; readonly on?: "read" | "write"; readonly offsetBytes?: number; readonly bit?: number }
  /**
   * Strips that are read are gone from then on. Keys that a batch writes keep what they had ("older", unless given) or are
   * gone ("absent"), and the batch is told as done.
   */
  | { readonly fault: "revertedKey"; readonly to?: "older" | "absent" }
  /** Each operation waits so long first, and up to `jitterMilliseconds` more by the seed. */
  | { readonly fault: "delay"; readonly milliseconds: number; readonly jitterMilliseconds?: number }
  /** Operations wait until the rules are set anew. */
  | { readonly fault: "hang" }
  /** Write, metadata batch, zone operation: "unknown", and done or not, by the seed where it is not said. */
  | { readonly fault: "unknownOutcome"; readonly done?: boolean }
  /** Any operation: "unreachable". */
  | { readonly fault: "unreachable" };

export type FaultName = FaultKind["fault"];
export type FaultRule = FaultPlace & FaultRate & FaultKind;
export type RuleOf<Name extends FaultName> = FaultRule & { readonly fault: Name };

export interface DriveFaultSettings {
  /** 1 unless given. */
  readonly seed?: number;
  readonly rules: readonly FaultRule[];
}

export interface FaultRuleStatus {
  readonly rule: FaultRule;
  /** Operations that the rule was for. */
  readonly matched: number;
  readonly hits: number;
}

export const FAULT_RULES_MAX = 32;
const FAULT_DELAY_MILLISECONDS_MAX = 60_000;

/** One operation as rules see it. */
export interface FaultTarget {
  readonly operation: FaultOperation;
  readonly zone?: number;
  readonly firstStrip?: number;
  readonly count?: number;
  /** Of a batch: all its keys. */
  readonly keys?: readonly string[];
  /** Whether a read touches any of these bytes of the strip. */
  readonly touches?: (firstByte: number, byteCount: number) => boolean;
}

interface ActiveRule {
  readonly rule: FaultRule;
  matched: number;
  hits: number;
}

export class DriveFaults {
  readonly #sleep: (milliseconds: number) => Promise<unknown>;
  #rules: ActiveRule[] = [];
  #random = 1;
  /** Operations that hang. */
  #hanging: (() => void)[] = [];
  /** By zone: the last write that faults held up, or that came behind one. */
  readonly #writes = new Map<number, Promise<void>>();
  /** By "noSpace". */
  readonly refused = new RefusedStrips();

  /** @param sleep - the thread's timer unless time is somebody else's */
  constructor(sleep: (milliseconds: number) => Promise<unknown> = sleepOnTimer) {
    this.#sleep = sleep;
  }

  /** Takes these rules into force in the place of those before, with nothing hit yet; undefined: none. */
  set(settings: DriveFaultSettings | undefined): void {
    this.#rules = (settings?.rules ?? []).slice(0, FAULT_RULES_MAX).map((rule) => ({ rule, matched: 0, hits: 0 }));
    // Zero is a state that xorshift never leaves.
    this.#random = (settings?.seed ?? 1) | 0 || 1;
    for (const goOn of this.#hanging.splice(0)) goOn();
  }

  get active(): boolean {
    return this.#rules.length > 0;
  }

  status(): FaultRuleStatus[] {
    return this.#rules.map(({ rule, matched, hits }) => ({ rule, matched, hits }));
  }

  /** The first rule of this fault (that `also` takes) which hits the operation, counted as hit. */
  hit<Name extends FaultName>(
    fault: Name,
    target: FaultTarget,
    also: (rule: RuleOf<Name>) => boolean = () => true,
  ): RuleOf<Name> | undefined {
    for (const active of this.#rules) {
      const { rule } = active;
      if (rule.fault !== fault || !isFor(rule, target) || !also(rule as RuleOf<Name>)) continue;
      active.matched += 1;
      const after = active.matched - 1 - (rule.skip ?? 0);
      if (after < 0 || after % (rule.everyNth ?? 1) !== 0) continue;
      if (active.hits >= (rule.hitsMax ?? Number.POSITIVE_INFINITY)) continue;
      if (rule.probability !== undefined && this.fraction() >= rule.probability) continue;
      active.hits += 1;
      return rule as RuleOf<Name>;
    }
    return undefined;
  }

  /** The keys of a batch that the rule is for. */
  static keysFor(rule: FaultRule, keys: readonly string[]): string[] {
    return keys.filter((key) => key.startsWith(rule.keyPrefix ?? ""));
  }

  /** 0 … 1, by the seed. */
  fraction(): number {
    let state = this.#random;
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    this.#random = state;
    return (state >>> 0) / 2 ** 32;
  }

  /** Writes of a zone stay in the order of their calls, however long one of them is held up. */
  inOrder(zone: number, write: () => Promise<void>): Promise<void> {
    const before = this.#writes.get(zone);
    if (before === undefined && !this.active) return write();
    const turn = (before ?? Promise.resolve()).then(write, write);
    this.#writes.set(zone, turn);
    const clear = () => {
      if (this.#writes.get(zone) === turn) this.#writes.delete(zone);
    };
    turn.then(clear, clear);
    return turn;
  }

  /** Waits as long as the rules want the operation to. */
  async wait(target: FaultTarget): Promise<void> {
    const delay = this.hit("delay", target);
    if (delay !== undefined) {
      const jitter = (delay.jitterMilliseconds ?? 0) * this.fraction();
      await this.#sleep(Math.min(delay.milliseconds + jitter, FAULT_DELAY_MILLISECONDS_MAX));
    }
    // Set anew meanwhile, the operation may have to hang on another rule.
    while (this.hit("hang", target) !== undefined) await new Promise<void>((goOn) => this.#hanging.push(goOn));
  }
}

function isFor(rule: FaultRule, target: FaultTarget): boolean {
  if (rule.operations !== undefined && !rule.operations.includes(target.operation)) return false;
  if (rule.keyPrefix !== undefined && !(target.keys?.some((key) => key.startsWith(rule.keyPrefix!)) ?? false)) return false;
  if (rule.zone !== undefined && target.zone !== rule.zone) return false;
  if (rule.firstStrip !== undefined) {
    if (target.firstStrip === undefined) return false;
    const end = rule.firstStrip + (rule.stripCount ?? 1);
    if (target.firstStrip >= end || rule.firstStrip >= target.firstStrip + (target.count ?? 1)) return false;
  }
  if (rule.firstByte === undefined) return true;
  if (target.firstStrip === undefined) return false;
  return target.touches?.(rule.firstByte, rule.byteCount ?? 1) ?? true;
}
