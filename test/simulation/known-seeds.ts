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
  { seed: 34, why: "a fault while a drive was given what it lacked of the map's log kept the pool closed" },
  {
    seed: 145,
    why: "a crash between the copies of a checkpoint took one of two drives for stale: with the other rolled back no map was left",
  },
  { seed: 203, why: "a batch that waited for a zone kept its frames when its pool moved away" },
  { seed: 204, why: "the same" },
];
