/**
 * What one run has much of, and others have not: each seed draws its own, so that situations which need several unlikely
 * things at a time come up in some runs, where they would in none if all had a little of everything (swarm testing, Groce
 * and others, 2012). Each of them is there for bugs that were planted and not found without it (mutations.ts).
 *
 *   uniform     all records are of one size: those of an earlier lap, or of an owner before, lie where others are read;
 *               and fdatasyncs are slow, and the journal is long
 *   slowSyncs   the power takes dozens of records that no fdatasync has covered, and leaves some behind them
 *   narrow      all hosts meet in a handful of blocks, which are destaged and forgotten all the time
 *   wideZeros   ranges are zeroed over all that lies between two places: many pages of the map, a few in each change
 *   manyPages   more pages of the map are in use than there is memory for, and writing them takes long
 *   slowReads   what a drive is asked to read comes when the block has moved on
 *   lateWrites  what was on its way to a drive arrives when another owner has come
 *   busy        hosts send more than the array can do, and always have many requests under way
 *   longLives   nobody dies for thousands of events: for what takes a pool some time to come to
 *   patience    hosts keep what they have read in its frames for a while, as a socket does that is not drained
 */
import type { Random } from "../support/random.ts";

/** How many of the runs have it. */
const SHARES = {
  uniform: 0.12,
  narrow: 0.2,
  wideZeros: 0.25,
  manyPages: 0.25,
  slowReads: 0.2,
  lateWrites: 0.2,
  slowSyncs: 0.15,
  busy: 0.25,
  longLives: 0.2,
  patience: 0.4,
} as const;

export type SwarmFeature = keyof typeof SHARES;
export type Swarm = Readonly<Record<SwarmFeature, boolean>>;

export const SWARM_FEATURES = Object.keys(SHARES) as SwarmFeature[];

/** @param wanted - what every run is to have */
export function newSwarm(random: Random, wanted: readonly SwarmFeature[]): Swarm {
  const has = (feature: SwarmFeature): boolean => random.chance(SHARES[feature]) || wanted.includes(feature);
  return Object.fromEntries(SWARM_FEATURES.map((feature) => [feature, has(feature)])) as Swarm;
}
