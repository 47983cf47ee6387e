/**
 * Drives that misbehave, as many of a pool as its RAID level can do without: chosen once for a run, with faults that come and
 * go. Whatever they do, hosts must not notice.
 *
 *   faults      errors, lost, torn, misdirected and flipped writes, keys that revert, unknown outcomes, delays, disks without
 *               room, operations that hang past their deadline and are done later: rules of drivers/drive/drive-faults.ts,
 *               some of them while hosts work
 *   absent      the drive is not there when the process starts, and comes back at a later start as it was left
 *   rolledBack  the drive is at some start what it was at an earlier one
 */
import type { DriveFaultSettings, DriveFaults, FaultRule } from "../../drivers/drive/drive-faults.ts";
import type { RaidLevel } from "../../src/raid/raid-level.ts";
import type { Random } from "../support/random.ts";

export type TroubleKind = "none" | "faults" | "absent" | "rolledBack";

export class Trouble {
  readonly kind: TroubleKind;
  /** The drives that may misbehave. */
  readonly positions: readonly number[];

  /** @param none - the drives do what they must, or what drive-changes.ts does to them */
  constructor(random: Random, level: RaidLevel, none = false) {
    this.kind =
      none || random.chance(0.55) ? "none" : random.chance(0.6) ? "faults" : random.chance(0.5) ? "absent" : "rolledBack";
    const positions = new Set<number>();
    const count = random.between(1, level.tolerance);
    // Half of the time among those that have the map.
    const most = random.chance(0.5) ? level.tolerance : level.driveCount - 1;
    while (this.kind !== "none" && positions.size < count) positions.add(random.between(0, most));
    this.positions = [...positions];
  }

  concerns(position: number): boolean {
    return this.positions.includes(position);
  }

  /** Faults for one of the drives, for a while. */
  settings(random: Random): DriveFaultSettings {
    const rules: FaultRule[] = [];
    for (let n = random.between(1, 2); n > 0; n--)
      rules.push({ ...KINDS[random.between(0, KINDS.length - 1)]!, ...rate(random) });
    return { seed: random.between(1, 1e6), rules };
  }
}

/** The drive's faults without those that keep the array from coming to rest, however long one waits. */
export function restingFaults(faults: DriveFaults): DriveFaultSettings | undefined {
  const rules = faults.status().map(({ rule }) => rule);
  return rules.length === 0 ? undefined : { rules: rules.filter(({ fault }) => fault !== "hang" && fault !== "noSpace") };
}

/** Those that a drive can't be told to have failed by come more often: they are the harder ones. */
const KINDS: readonly FaultRule[] = [
  { fault: "readError" },
  { fault: "readError", operations: ["read"] },
  { fault: "writeError" },
  { fault: "lostWrite" },
  { fault: "lostWrite", operations: ["write"] },
  { fault: "lostWrite", operations: ["metadataWrite"] },
  { fault: "tornWrite" },
  { fault: "tornWrite", strips: 1 },
  { fault: "misdirectedWrite" },
  { fault: "bitFlip" },
  { fault: "bitFlip", on: "write" },
  { fault: "bitFlip", on: "write" },
  { fault: "revertedKey" },
  { fault: "revertedKey", to: "absent" },
  { fault: "delay", milliseconds: 5, jitterMilliseconds: 50 },
  { fault: "unknownOutcome" },
  { fault: "unknownOutcome", operations: ["write"] },
  { fault: "unreachable" },
  { fault: "noSpace" },
  { fault: "noSpace", operations: ["write"] },
  { fault: "hang" },
  { fault: "hang", operations: ["write"] },
  { fault: "hang", operations: ["read"] },
];

function rate(random: Random): Pick<FaultRule, "skip" | "probability" | "hitsMax"> {
  return {
    skip: random.between(0, 10),
    probability: random.chance(0.5) ? 0.1 : random.next(),
    hitsMax: random.chance(0.5) ? random.between(1, 4) : 1000,
  };
}
