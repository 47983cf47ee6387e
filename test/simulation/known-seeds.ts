/**
 * Every seed that ever failed, and why. (When the simulation itself changes, a seed becomes just another one: what was found
 * then has a unit test besides.)
 */
export const KNOWN_SEEDS: readonly { readonly seed: number; readonly why: string }[] = [
  { seed: 26, why: "a second crash in recovery left drives two versions of the pool's document behind: refused as older copies" },
  { seed: 35, why: "power lost while the first document was written: drives without one were taken for foreign" },
  {
    seed: 2005,
    why: "a journal full of writes to a volume that was deleted: after a restart nothing trimmed it, and writes waited for ever",
  },
];
