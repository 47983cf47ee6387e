/** What people may set of what a pool does about its drives by itself. */
export interface HealingSettings {
  /** Of the time, while hosts are active; all of it while they are not. */
  readonly rebuildSharePercent: number;
  /** A drive that can't be reached may come back: so long nobody takes its place. One that failed is replaced at once. */
  readonly missingSeconds: number;
  /** Whether a drive that was replaced gets its place back from the spare. */
  readonly copyBack: boolean;
}

export const HEALING_SETTINGS: HealingSettings = { rebuildSharePercent: 30, missingSeconds: 10, copyBack: true };
