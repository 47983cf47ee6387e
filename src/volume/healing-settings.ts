/** What people may set of what a pool does about its drives by itself. */
export interface HealingSettings {
  /** Of the time, while hosts are active; all of it while they are not. */
  readonly rebuildSharePercent: number;
  /** A drive that can't be reached may come back: so long nobody takes its place. One that failed is replaced at once. */
  readonly missingSeconds: number;
  /** Whether a drive that was replaced gets its place back from the spare. */
  readonly copyBack: boolean;
  /** As for rebuilds; the two never run at one time. */
  readonly scrubSharePercent: number;
  /** Hours that the pool is served, from the end of a scrub to the beginning of the next; 0: on command only. */
  readonly scrubIntervalHours: number;
}

export const HEALING_SETTINGS: HealingSettings = {
  rebuildSharePercent: 30,
  missingSeconds: 10,
  copyBack: true,
  scrubSharePercent: 10,
  scrubIntervalHours: 168,
};
