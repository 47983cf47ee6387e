/** Counters of one pool. Written by the director that owns it. */
import { defineCounters } from "../../drivers/shared-memory/counters.ts";

export const POOL_COUNTERS = defineCounters("pool", {
  readBlocksHit: {
    type: "counter",
    metric: "varray_cache_blocks_total",
    help: "4 KiB blocks that hosts read, by where they were found.",
    labels: { result: "hit" },
  },
  readBlocksMissed: {
    type: "counter",
    metric: "varray_cache_blocks_total",
    help: "4 KiB blocks that hosts read, by where they were found.",
    labels: { result: "miss" },
  },
  readBlocksUnmapped: {
    type: "counter",
    metric: "varray_cache_blocks_total",
    help: "4 KiB blocks that hosts read, by where they were found.",
    labels: { result: "unmapped" },
  },
  readAheadBlocks: {
    type: "counter",
    metric: "varray_read_ahead_blocks_total",
    help: "4 KiB blocks fetched ahead of hosts that read in order.",
  },
  readAheadMissed: {
    type: "counter",
    metric: "varray_read_ahead_missed_total",
    help: "Reads of such hosts that found what was fetched ahead gone again.",
  },
  writtenBlocks: {
    type: "counter",
    metric: "varray_pool_written_blocks_total",
    help: "4 KiB blocks that hosts wrote, partly or whole.",
  },
  partialBlocks: {
    type: "counter",
    metric: "varray_pool_partial_blocks_total",
    help: "Blocks written in part whose rest had to be read later.",
  },
  dirtyBlocks: {
    type: "gauge",
    metric: "varray_write_pending_blocks",
    help: "4 KiB blocks in global memory that are not on the drives yet.",
  },
  dirtyBlocksMax: {
    type: "gauge",
    metric: "varray_write_pending_limit_blocks",
    help: "Write-pending blocks at which host writes wait for destage.",
  },
  cleanBlocks: {
    type: "gauge",
    metric: "varray_cache_clean_blocks",
    help: "4 KiB blocks in global memory that are on the drives too.",
  },
  evictedBlocks: {
    type: "counter",
    metric: "varray_cache_evicted_blocks_total",
    help: "4 KiB blocks that left global memory to make room for others.",
  },
  ghostHits: {
    type: "counter",
    metric: "varray_cache_ghost_hits_total",
    help: "Blocks that were asked for again soon after they had left global memory: with more frames they would have been hits.",
  },
  readAheadUnused: {
    type: "counter",
    metric: "varray_cache_read_ahead_unused_blocks_total",
    help: "Blocks read ahead that left global memory before anyone asked for them.",
  },
  destagedBlocks: {
    type: "counter",
    metric: "varray_destaged_blocks_total",
    help: "Dirty blocks written to the drives and mapped.",
  },
  destagedSupersededBlocks: {
    type: "counter",
    metric: "varray_destaged_superseded_blocks_total",
    help: "Blocks that were overwritten while they were destaged.",
  },
  destageBatches: {
    type: "counter",
    metric: "varray_destage_batches_total",
    help: "Batches of whole stripes written by destage.",
  },
  destageBatchesActive: { type: "gauge", metric: "varray_destage_batches_active", help: "Destage batches under way." },
  destageBatchTime: {
    type: "histogram",
    metric: "varray_destage_batch_seconds",
    help: "Time of a destage batch, from its journal sync to the durable map.",
  },
  paddedBlocks: {
    type: "counter",
    metric: "varray_destage_padding_blocks_total",
    help: "Blocks of padding written to fill stripes.",
  },
  compactedZones: {
    type: "counter",
    metric: "varray_compaction_zones_total",
    help: "Zones emptied by compaction and given back.",
  },
  compactedBlocks: { type: "counter", metric: "varray_compaction_blocks_total", help: "Live blocks that compaction copied." },
  compactionActive: { type: "gauge", metric: "varray_compaction_active", help: "1 while compaction runs." },
  unmappedBlocks: {
    type: "counter",
    metric: "varray_unmapped_blocks_total",
    help: "Mapped blocks given back by UNMAP and WRITE SAME.",
  },
  liveBlocks: { type: "gauge", metric: "varray_pool_live_blocks", help: "Mapped 4 KiB blocks of all volumes of the pool." },
  usableBlocks: {
    type: "gauge",
    metric: "varray_pool_usable_blocks",
    help: "4 KiB blocks that the pool can hold, the reserve of compaction taken off.",
  },
  zonesFree: { type: "gauge", metric: "varray_pool_zones_free", help: "Zones that hold nothing." },
  zonesTotal: { type: "gauge", metric: "varray_pool_zones", help: "Zones of the pool." },
  journalLiveBytes: {
    type: "gauge",
    metric: "varray_journal_live_bytes",
    help: "Journal from the oldest record that is needed to the newest.",
  },
  journalCapacityBytes: { type: "gauge", metric: "varray_journal_capacity_bytes", help: "Size of the journal's data area." },
  journalFullWaits: {
    type: "counter",
    metric: "varray_journal_full_waits_total",
    help: "Times that writes waited for room in the journal.",
  },
  rebuiltZones: {
    type: "counter",
    metric: "varray_rebuilt_zones_total",
    help: "Zones written anew to a drive that lacked them: rebuild, copy-back, drives that were away.",
  },
  rebuiltBytes: {
    type: "counter",
    metric: "varray_rebuilt_bytes_total",
    help: "Bytes of strips that rebuilds wrote.",
  },
  scrubbedZones: {
    type: "counter",
    metric: "varray_scrubbed_zones_total",
    help: "Zones that scrubs read and checked whole.",
  },
  scrubbedBytes: { type: "counter", metric: "varray_scrubbed_bytes_total", help: "Bytes of strips that scrubs read." },
  scrubBadStrips: {
    type: "counter",
    metric: "varray_scrub_bad_strips_total",
    help: "Strips that scrubs found to be gone, or not what was written: their zones were moved.",
  },
  scrubLostBlocks: {
    type: "counter",
    metric: "varray_scrub_lost_blocks_total",
    help: "Blocks that scrubs found and redundancy could not rebuild.",
  },
  scrubActive: { type: "gauge", metric: "varray_scrub_active", help: "1 while a scrub is under way." },
  repairedBlocks: {
    type: "counter",
    metric: "varray_repaired_blocks_total",
    help: "Blocks whose copy on a drive was bad, rebuilt from their stripe.",
  },
  rebuiltReads: {
    type: "counter",
    metric: "varray_degraded_reads_total",
    help: "Strips read from the other drives because theirs is lost.",
  },
  lostBlocks: {
    type: "counter",
    metric: "varray_lost_blocks_total",
    help: "Reads of blocks that redundancy could not rebuild: MEDIUM ERROR.",
  },
  spaceExhausted: { type: "counter", metric: "varray_space_exhausted_total", help: "Writes refused because the pool was full." },
  degraded: { type: "gauge", metric: "varray_pool_degraded", help: "Drives that the pool lacks." },
  failed: { type: "gauge", metric: "varray_pool_failed", help: "1 when the pool can't serve." },
});
export const POOL_COUNT = POOL_COUNTERS.slots;
