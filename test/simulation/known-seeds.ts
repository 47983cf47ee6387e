/**
 * Every seed that ever failed, and why. (When the simulation itself changes, a seed becomes just another one: what was found
 * then has a unit test besides.)
 */
export const KNOWN_SEEDS: readonly {
  readonly seed: number;
  readonly why: string;
  /** Found with journals in two copies in every seed. */
  readonly mirrored?: true;
  /** Found with drives that are lost, replaced and rebuilt in every seed. */
  readonly healing?: true;
  /** Found in runs that all had these features. */
  readonly swarm?: string;
}[] = [
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
  {
    seed: 976,
    why: "an epoch was given again that one drive knew, which was away: its document and the journal did not agree any more",
  },
  { seed: 50032, mirrored: true, why: "a crash between the claims of a journal's two copies cost one of them" },
  {
    seed: 40019,
    mirrored: true,
    why: "a drive was rebuilt while its pool was opened: recovery sealed a zone that was being written to",
  },
  { seed: 66, mirrored: true, why: "drives that were brought level heard nothing of the journal's copies" },
  { seed: 77, mirrored: true, why: "the same" },
  {
    seed: 262,
    mirrored: true,
    why: "a copy that missed the journal's making anew was taken for another pool's at the next, and kept the pool closed",
  },
  // From here on with drives that are lost, replaced and rebuilt.
  { seed: 1326, why: "a rebuild left out what was written and had no map entry yet: the drive was trusted without it" },
  { seed: 39, why: "a drive that was out of reach for a moment when it was taken counted as failed until the next start" },
  { seed: 207, why: "a drive that got its place back kept zones that were removed meanwhile, and had no room for new ones" },
  { seed: 399, why: "a new drive in the place of a member that was gone counted as failed" },
  { seed: 522, why: "a spare failed before anything was built: the drive before did not get its place back" },
  { seed: 390, why: "a read from before all of a zone was written anew went to a drive that had not been given the zone" },
  { seed: 20040, why: "a member that was rolled back to before it was one was neither used nor free" },
  {
    seed: 366369588,
    why: "a zone that a rebuilt drive does without was taken for the loss of one drive too many at the next start",
  },
  {
    seed: 40907,
    why: "the newest version of the document was on a drive that had lost volumes' records: the pool stayed closed",
  },
  {
    seed: 90051,
    mirrored: true,
    why: "what only one copy of the journal had was read, and gone where the other was taken for whole after a crash",
  },
  { seed: 90053, mirrored: true, why: "a write to a deleted volume that waited for room kept its frames when its pool moved" },
  { seed: 701280, why: "two loads waited for room for one map page, and what was made was enough for one of them" },
  {
    seed: 701259,
    why: "compaction did not take a block from a strip whose header was damaged, as reads do: its zone stayed for ever",
  },
  { seed: 700206, why: "a read that was on its way when its block was written was answered with what became of the old one" },
  { seed: 700389, why: "a zone with nothing but lost blocks, without which a drive was rebuilt, kept the pool closed" },
  {
    seed: 703335,
    why: "a part that was replayed over its block let the block's own record go: with the next crash the rest was zeros",
  },
  {
    seed: 700119,
    why: "the drive that a suspect's place was built from had the only copy of the map, and did not get its changes",
  },
  { seed: 704016, why: "the same drive, with a destage that waited for ever" },
  {
    seed: 706376,
    why: "a batch went on waiting for a free zone of its own, though another of its stream had opened one with room for both",
  },
  {
    seed: 20010,
    why: "a member that was rolled back to before it was one kept its pool degraded, with a good drive in its place",
  },
  {
    seed: 30062,
    healing: true,
    why: "a scrub read a zone that nothing lived in any more, from a drive that was rebuilt without it",
  },
  {
    seed: 40004,
    mirrored: true,
    why: "a crash while a journal was claimed kept its pool closed though the other copy was whole",
  },
  { seed: 711651, why: "strips were made in bulk of stripes that one drive lacked: wrong data after a rebuild" },
  { seed: 712422, why: "a suspect that was lost while its spare got ready was taken for what the spare is built from" },
  { seed: 810231, why: "a drive that lacked a zone did not count as having the map, and the pool failed at the next start" },
  { seed: 128, swarm: "uniform", why: "what recovery took from one copy of a journal was not in the other before it counted" },
  {
    seed: 240,
    mirrored: true,
    swarm: "uniform",
    why: "a zone that could not be emptied stayed when nothing lived in it any more",
  },
  { seed: 820854, why: "a drive that was lost in the moment in which its rebuild ended counted as one that has everything" },
  {
    seed: 902331,
    why: "a drive that was being built was gone at a start, and the one that it was built from was not asked again",
  },
  {
    seed: 930729,
    why: "a part was given up with the rest of its block, which was read after all and moved before that was on record",
  },
  {
    seed: 945936,
    why: "a full pool waited for the room of a zone whose lost block only memory had, and destage was to write it anew",
  },
  {
    seed: 801,
    why: "zones were kept as damaged for what was dead in them, as a drive was rebuilt while another was away: no room came of them any more",
  },
  { seed: 165, why: "of the model: of a stripe with an empty place only who reads it tells that all can be had", healing: true },
  { seed: 46, why: "of the model: nobody made room for a pool that was opened while a drive's disk was full", healing: true },
  { seed: 1002261, why: "of the model: a part was refused over what a range that was zeroed meanwhile had lost" },
  { seed: 1003568, why: "of the model: an fdatasync of twenty seconds is nothing that anybody has to wait for" },
];
