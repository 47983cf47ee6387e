/** What healing.ts measures: one value for each repeat. */
export interface HostsSeen {
  readonly iops: number;
  readonly p50Microseconds: number;
  readonly p99Microseconds: number;
  readonly p999Microseconds: number;
  readonly maxMicroseconds: number;
}

/** Beside hosts that ask for all that they can get. */
export interface HealingBeside {
  readonly work: "rebuild" | "scrub";
  /** Of the rate while hosts are quiet, in percent: as it was set. */
  readonly share: number;
  readonly bytesPerSecond: number[];
  readonly hosts: HostsSeen[];
}

export interface HealingResults {
  /** Which run of its own it was: it may be another than that of the rest. */
  readonly run?: { readonly commit: string; readonly day: string };
  readonly spanMebibytes: number;
  /** Of one drive to another; of four drives at once. */
  readonly raw: { readonly copyBytesPerSecond: number[]; readonly readBytesPerSecond: number[] };
  /** Bytes a second: written by rebuild and copy-back, read by the scrub. */
  readonly quiet: { readonly rebuild: number[]; readonly copyBack: number[]; readonly scrub: number[] };
  readonly hostsAlone: HostsSeen[];
  readonly beside: readonly HealingBeside[];
}
