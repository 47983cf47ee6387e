/**
 * Bugs to plant: changes of the built code (dist/), each of which breaks one thing that the array relies on, and the number of
 * seeds, from 1 on, within which the simulation must find it.
 */
import type { Patch } from "../support/mutant.ts";
import type { SwarmFeature } from "./swarm.ts";

export interface Mutation {
  readonly name: string;
  /** What goes wrong by it. */
  readonly breaks: string;
  readonly seedsMax: number;
  /** It is looked for in runs that have these: any, unless given, and those have it too, in their share. */
  readonly swarm?: readonly SwarmFeature[];
  readonly patches: readonly Patch[];
  /** It is about journals in two copies: every seed has them. */
  readonly mirrored?: true;
  /** Drives are lost and rebuilt in each of the seeds. */
  readonly healing?: boolean;
}

const JOURNAL = "src/journal/journal.js";
const READER = "src/journal/journal-reader.js";
const CLAIM = "src/volume/journal-claim.js";
const MIRROR = "drivers/journal-file/mirrored-journal-file.js";
const MAP = "src/map/pool-map.js";
const DESTAGER = "src/volume/destager.js";
const COMPACTOR = "src/volume/compactor.js";
const WRITES = "src/volume/write-path.js";
const READS = "src/volume/read-path.js";
const RECOVERY = "src/volume/recovery.js";
/** Many records proved by one sum: what is left is the proof of each. */
const ONE_BY_ONE = /if \(!isDoubtful && this\.#proveRun\(found, expected\)\)/;
const HEALING = "src/volume/healing.js";
const REBUILD = "src/volume/rebuild.js";
const ZONE_CHECK = "src/volume/zone-check.js";
const LOSSES = "src/volume/losses.js";

function mutation(name: string, breaks: string, seedsMax: number, file: string, find: RegExp, replace: string): Mutation {
  return { name, breaks, seedsMax, patches: [{ file, find, replace }] };
}

function mirrored(...given: Parameters<typeof mutation>): Mutation {
  return { ...mutation(...given), mirrored: true };
}

/** About drives that are lost and built again. */
function inHealing(name: string, breaks: string, seedsMax: number, file: string, find: RegExp, replace: string): Mutation {
  return { ...mutation(name, breaks, seedsMax, file, find, replace), healing: true };
}

/** To be looked for in runs that have much of something. */
function inRuns(swarm: readonly SwarmFeature[], planted: Mutation): Mutation {
  return { ...planted, swarm };
}

export const MUTATIONS: readonly Mutation[] = [
  // — journal: what is durable, and when —
  mutation(
    "FUA does not wait for the fdatasync",
    "FUA, flush",
    20,
    JOURNAL,
    /if \(this\.#failed \|\| sequence <= this\.#syncedSequence\)/,
    "if (true)",
  ),
  mutation(
    "a flush waits for nothing",
    "SYNCHRONIZE CACHE",
    20,
    "src/volume/pool.js",
    /journal\.whenSynced\(journal\.nextSequence - 1, \(durable\) => \{/,
    "journal.whenSynced(0, (durable) => {",
  ),
  mutation(
    "an fdatasync counts for what was written after it began",
    "FUA, flush",
    100,
    JOURNAL,
    /Math\.max\(this\.#syncedSequence, covered\)/,
    "this.#nextSequence - 1",
  ),
  mutation(
    "space is reused before the superblock is durable",
    "order: trim, then reuse",
    100,
    JOURNAL,
    /start \+ bytes - this\.#durableTail <= this\.#dataBytes/,
    "start + bytes - this.#tail <= this.#dataBytes",
  ),
  mutation(
    "the trim forgets dirty blocks",
    "acknowledged is kept",
    20,
    DESTAGER,
    /Math\.min\(cache\.oldestSequence, zeros\.oldestSequence, journal\.nextSequence\)/,
    "journal.nextSequence",
  ),
  mutation(
    "the trim forgets zeroed ranges",
    "UNMAP is kept",
    200,
    DESTAGER,
    /Math\.min\(cache\.oldestSequence, zeros\.oldestSequence, journal\.nextSequence\)/,
    "Math.min(cache.oldestSequence, journal.nextSequence)",
  ),
  inRuns(
    ["uniform"],
    mutation(
      "the journal is read on into records of an older owner",
      "one history",
      300,
      READER,
      /header\.epoch < expected\.epochMin \|\| /,
      "",
    ),
  ),
  inRuns(
    ["uniform"],
    mutation(
      "the superblock does not wait for the records that its tail relies on",
      "order: records, then trim",
      300,
      JOURNAL,
      /this\.whenSynced\(Math\.max\(this\.#nextSequence - 1, this\.#applying\), \(durable\) => \{/,
      "((_sequence, go) => go(true))(0, (durable) => {",
    ),
  ),
  mutation(
    "what records say that they sum to is taken for true",
    "torn records",
    100,
    READER,
    /const holds = dataChecksum\(this\.#piece\.subarray\(from, to\)\) === sum;/,
    "const holds = true;",
  ),
  {
    name: "a record's payload is not checked",
    breaks: "torn records",
    seedsMax: 100,
    patches: [
      { file: READER, find: ONE_BY_ONE, replace: "if (false)" },
      { file: READER, find: /&& this\.payloadHolds\(this\.entriesOf\(found\)\)/, replace: "" },
    ],
  },
  {
    name: "a record's header is not checked",
    breaks: "torn records",
    seedsMax: 1000,
    swarm: ["uniform"],
    patches: [
      { file: READER, find: ONE_BY_ONE, replace: "if (false)" },
      {
        file: READER,
        find: /return at >= 0 && recordChecksumHolds\(this\.#words, at \/ 4, entryCount\);/,
        replace: "return at >= 0;",
      },
    ],
  },
  {
    name: "GOOD comes before the journal record",
    breaks: "acknowledged is kept",
    seedsMax: 60,
    patches: [
      {
        file: WRITES,
        find: /const failed = !this\.#writeRecord\(\);/,
        replace:
          "for (const io of group) if (!io.forceUnitAccess && (io.told = true)) finish(io, BLOCK_STATUS.good); const failed = !this.#writeRecord();",
      },
      {
        file: WRITES,
        find: /for \(const io of group\) \{\s+if \(failed\)/,
        replace: "for (const io of group) { if (io.told) { io.told = false; continue; } if (failed)",
      },
    ],
  },
  // — zeroed ranges, partial blocks —
  mutation(
    "a zeroed range ends a block too early",
    "UNMAP reads zeros",
    20,
    "src/volume/pending-zeros.js",
    /block < range\.block \+ range\.count/,
    "block < range.block + range.count - 1",
  ),
  mutation(
    "a zeroing leaves what is in the cache",
    "UNMAP reads zeros",
    20,
    WRITES,
    /cache\.removeRange\(io\.volume, block, count\);/,
    "",
  ),
  mutation("replay leaves zeroed ranges out", "UNMAP is kept", 30, RECOVERY, /zeros\.add\(\{[^}]*\}\);/, ""),
  mutation(
    "replay applies the entries of a record backwards",
    "replay in order",
    100,
    RECOVERY,
    /this\.#applyEntry\(record\.entries\[n\], record\)/,
    "this.#applyEntry(record.entries[record.entries.length - 1 - n], record)",
  ),
  mutation(
    "a partial write takes the rest of its block for zeros",
    "read-modify-write",
    30,
    "src/volume/complete-block.js",
    /counters\[POOL_COUNT\.partialBlocks\] \+= 1;\s+return mask;/,
    "return MASK_FULL;",
  ),
  inRuns(
    ["narrow", "slowReads", "longLives"],
    mutation(
      "a partial block is merged with what the map named before",
      "read-modify-write",
      300,
      READS,
      /const current = map\.lookup\(volume, block\) === place;/,
      "const current = true;",
    ),
  ),
  // — map —
  mutation(
    "a map change is applied before its log record is durable",
    "order: map durable, then trim",
    60,
    MAP,
    /await this\.#store\.putMap\(\[\{ type: "put", key: logKey\(sequence\)/,
    'void this.#store.putMap([{ type: "put", key: logKey(sequence)',
  ),
  mutation(
    "map changes are not kept apart",
    "map commits in order",
    100,
    MAP,
    /const run = this\.#lock\.then\(work, work\);/,
    "const run = work();",
  ),
  {
    name: "the log is deleted past the checkpoint",
    breaks: "the map's log",
    seedsMax: 60,
    patches: [
      {
        file: MAP,
        find: /for \(let old = before \+ 1; old <= sequence; old\+\+\)/,
        replace: "for (let end = this.#logSequence, old = before + 1; old <= end; old++)",
      },
      { file: MAP, find: /=== 1000 \|\| old === sequence/, replace: "=== 1000 || old === end" },
    ],
  },
  mutation(
    "the checkpoint comes before its pages",
    "the map's pages",
    60,
    MAP,
    /const slots = this\.pages\.dirtySlots\(\);/,
    'await this.#store.putMap([{ type: "put", key: CHECKPOINT_KEY, value: table }]); const slots = this.pages.dirtySlots();',
  ),
  mutation(
    "the checkpoint has counts of later changes",
    "zones' live counts",
    60,
    MAP,
    /key: CHECKPOINT_KEY, value: table \}/,
    "key: CHECKPOINT_KEY, value: this.#encodeCheckpoint(sequence) }",
  ),
  mutation(
    "the older of two checkpoints is taken",
    "the map's checkpoint",
    100,
    MAP,
    /checkpoint\.logSequence > \(best\?\.checkpoint\.logSequence \?\? -1\)/,
    "checkpoint.logSequence < (best?.checkpoint.logSequence ?? Infinity)",
  ),
  mutation(
    "the log of one copy only is read",
    "the map's log on two drives",
    100,
    MAP,
    /for \(const entries of copies\.values\(\)\) \{/,
    "for (const entries of [...copies.values()].slice(0, 1)) {",
  ),
  inRuns(
    ["manyPages"],
    mutation(
      "a page that is written to the drives can be evicted meanwhile",
      "the map's pages",
      600,
      "src/map/map-pages.js",
      /this\.#dirtyCount -= 1;\s+this\.#pins\[slot\] \+= 1;/,
      "this.#dirtyCount -= 1;",
    ),
  ),
  // — destage, compaction, zones —
  mutation(
    "destage maps a block that was overwritten meanwhile",
    "newest version",
    30,
    DESTAGER,
    /if \(!current \|\| !unmoved\) \{/,
    "if (false) {",
  ),
  inRuns(
    ["wideZeros", "slowReads", "narrow"],
    mutation(
      "destage does not look whether a range was zeroed",
      "order of zeros and writes",
      300,
      DESTAGER,
      /if \(frames\.sequence\[frame\] >= zeros\.oldestSequence\)/,
      "if (false)",
    ),
  ),
  mutation(
    "a frame is freed while it is destaged",
    "a published frame never changes",
    60,
    "src/cache/frame-pool.js",
    /if \(this\.pins\[frame\] === 0 && this\.destaging\[frame\] === 0\)/,
    "if (this.pins[frame] === 0)",
  ),
  mutation(
    "compaction maps a copy of what was overwritten",
    "newest version",
    60,
    COMPACTOR,
    /if \(map\.lookup\(volume, batch\.block\[n\]\) !== batch\.from\[n\]\)/,
    "if (false)",
  ),
  mutation(
    "a zone is emptied while writes to it wait for the map",
    "reuse of zones",
    100,
    COMPACTOR,
    /mayEmpty: \(slot\) => zoneUse\.uncommitted\[slot\] === 0 &&/,
    "mayEmpty: (slot) => ",
  ),
  mutation(
    "stripes count as durable when one drive has them",
    "order: data durable, then map",
    60,
    "src/raid/raid-group.js",
    /await Promise\.all\(work\);\s+this\.#mustWork\(\);\s+\}\s+\/\*\*\s+\* As `onEach`/,
    "await Promise.race(work);\n this.#mustWork();\n }\n /**\n * As `onEach`",
  ),
  mutation(
    "parity leaves out a column",
    "redundancy",
    10,
    "src/raid/stripe-builder.js",
    /kernels\.xor\(p, strip, shape\.parityBytes\);/,
    "column === 0 || kernels.xor(p, strip, shape.parityBytes);",
  ),
  mutation(
    "zone numbers are given again after a restart",
    "zone numbers once",
    10,
    MAP,
    /zones\.nextZone = Math\.max\(zones\.nextZone, event\.zone \+ 1\);/,
    "zones.nextZone += zones.nextZone <= event.zone && this.#loads.size === 0 && this.#entriesSinceCheckpoint > 0 ? 1 : 0;",
  ),
  // — recovery, takeover —
  mutation(
    "open zones are not sealed by recovery",
    "zones",
    30,
    RECOVERY,
    /if \(zones\.state\[slot\] === ZONE_STATE\.open\) \{/,
    "if (false) {",
  ),
  mutation(
    "zones that the map does not know are left on the drives",
    "zones",
    300,
    "src/volume/zone-check.js",
    /await drive\.resetZone\(zone\);/,
    "continue;",
  ),
  mutation(
    "drives do not wait for what the old owner has under way",
    "fencing",
    300,
    "drivers/drive/drive-fence.js",
    /if \(!this\.#anyBelow\(epoch\)\)\s+return;/,
    "return;",
  ),
  inRuns(
    ["lateWrites"],
    mutation(
      "drives let an older owner in",
      "fencing",
      300,
      "drivers/drive/drive-fence.js",
      /enter\(epoch\) \{\s+if \(this\.#closed\)\s+throw new DriveError\("unreachable", this\.drive, "was closed"\);\s+if \(epoch < this\.#epoch\) \{/,
      "enter(epoch) {\n if (false) {",
    ),
  ),
  mutation(
    "a journal is made anew over one that is live",
    "acknowledged is kept",
    20,
    "src/volume/journal-claim.js",
    /document\.journalLive \? findLive/,
    "document.journalLive && document.version % 5 !== 4 ? findLive",
  ),
  mutation(
    "a deleted volume is given back before its deletion is on record",
    "volumes",
    200,
    "src/volume/volume-changes.js",
    /volume: document && |document && \{ \.\.\.document, deleting: true \}/,
    "document",
  ),
  // — the journal's claim, and its copies —
  mutation(
    "an epoch is given again that the drives did not hear of",
    "epochs rise",
    600,
    "src/volume/pool-open.js",
    /raisePoolEpoch\(global, config\.index, found\.lastEpoch \+ 1\)/,
    "raisePoolEpoch(global, config.index, document.epoch + 1)",
  ),
  mutation(
    "of two documents of one version the earlier start's is taken",
    "the document",
    1000,
    "src/volume/pool-document.js",
    /one\.epoch > other\.epoch \|\| \(one\.epoch === other\.epoch && one\.version > other\.version\)/,
    "one.version > other.version",
  ),
  mutation(
    "the claim is not durable before the document is written",
    "claim, then document",
    100,
    JOURNAL,
    /\[encodeSuperblock\(\{ \.\.\.claimed, counter: next \}\)\]\);\s+await synced\(file\);/,
    "[encodeSuperblock({ ...claimed, counter: next })]);",
  ),
  {
    name: "a lost copy is not on record before the next acknowledgement",
    breaks: "acknowledged is kept, by the other copy alone",
    seedsMax: 600,
    mirrored: true,
    patches: [
      { file: MIRROR, find: /return this\.#unrecorded > 0;/, replace: "return false;" },
      { file: MIRROR, find: /if \(this\.#failure !== undefined\)\s+go\(\);/, replace: "if (true)\ngo();" },
    ],
  },
  mirrored(
    "a copy is read that is on record as lost",
    "who is trusted",
    100,
    CLAIM,
    /if \(!single && recorded\?\.state !== "online"\)/,
    "if (!single && recorded === undefined)",
  ),
  mirrored(
    "an older copy of the journal is read",
    "who is trusted",
    100,
    READER,
    /if \(superblock\.ownerEpoch >= epochKnown\)/,
    "if (true)",
  ),
  mirrored(
    "a failed fdatasync of a copy is taken as good",
    "FUA, flush, by the other copy alone",
    300,
    MIRROR,
    /if \(error !== undefined\)\s+this\.#lose\(copy, error\);\s+else if/,
    "if",
  ),
  mirrored(
    "what one copy lacks is not taken from the other",
    "each copy has all that was acknowledged",
    600,
    JOURNAL,
    / \?\? this\.#findInOther\(position, expected\)/,
    "",
  ),
  mirrored(
    "what recovery found is not written to the copy that lacks it",
    "each copy has all that was acknowledged",
    300,
    JOURNAL,
    /if \(from >= this\.#recoveredEnd \|\| this\.#failed\)/,
    "if (true)",
  ),
  mirrored(
    "a copy that is made whole is not written where it reads the same",
    "what a failed fdatasync left",
    1000,
    JOURNAL,
    /target\.write\(this\.#positionOf\(offset\), \[slice\]\);/,
    "const there = Buffer.alloc(slice.length); target.read(this.#positionOf(offset), there); if (!slice.equals(there)) target.write(this.#positionOf(offset), [slice]);",
  ),
  {
    name: "a copy that was ahead keeps what lies behind the end",
    breaks: "one history",
    seedsMax: 1000,
    mirrored: true,
    patches: [
      { file: JOURNAL, find: /this\.#endAtHead\(target\);/, replace: "" },
      // Looking for room writes there, too, a moment later.
      { file: "src/volume/journal-room.js", find: /opened\(\) \{\s+this\.#pool\.journal\.findRoom\(\);/, replace: "opened() {" },
    ],
  },
  mirrored(
    "drives that are brought level hear nothing of the journal's copies",
    "who is trusted",
    300,
    "src/volume/pool-open.js",
    /const chosen = \{ \.\.\.kept, /,
    "const chosen = { ...kept, journalCopies: undefined, ",
  ),
  // — and these, which were invented when those above were all found —
  mutation(
    "the end of the journal's file is not marked",
    "records never go across the end",
    20,
    JOURNAL,
    /if \(skip >= RECORD_HEADER_BYTES\)/,
    "if (false)",
  ),
  mutation(
    "the older of two superblocks is taken",
    "the journal's tail",
    20,
    READER,
    /superblock\.counter > best\.counter/,
    "superblock.counter < best.counter",
  ),
  mutation(
    "space is given back that the superblock does not name yet",
    "order: trim, then reuse",
    60,
    JOURNAL,
    /this\.#durableTail = tail\.tailOffset;/,
    "this.#durableTail = this.#tail;",
  ),
  mutation(
    "a zeroed range is of no blocks in the journal",
    "UNMAP is kept",
    30,
    WRITES,
    /journal\.record\.addZero\(\{[^}]*\}\);/,
    "journal.record.addZero({ volume, block, count: 0, nexus, initiatorTaskTag, request, requesterEpoch });",
  ),
  mutation(
    "a replayed zero leaves what is in the cache",
    "replay in order",
    40,
    RECOVERY,
    /cache\.removeRange\(volume, block, count\);/,
    "",
  ),
  mutation(
    "a write is dirty under the sequence after its own",
    "the trim",
    20,
    WRITES,
    /entry\.crc, sequence\);/,
    "entry.crc, sequence + 1);",
  ),
  mutation(
    "a replayed write is dirty under the sequence after its own",
    "the trim",
    40,
    RECOVERY,
    /MASK_FULL, crc, sequence\);/,
    "MASK_FULL, crc, sequence + 1);",
  ),
  mutation(
    "a write-through volume does not wait for the fdatasync",
    "WCE = 0",
    30,
    WRITES,
    /io\.forceUnitAccess \|\| journal\.held \|\| this\.#hooks\.writesThrough\(io\.volume\)/,
    "io.forceUnitAccess || journal.held",
  ),
  mutation(
    "a full pool is not asked for room",
    "what was acknowledged can be destaged",
    100,
    WRITES,
    /newBlocks === 0 \|\| space\.hasRoomFor\(newBlocks, cache\.dirtyCount\)/,
    "true",
  ),
  mutation(
    "a deleted volume is written",
    "volumes",
    60,
    WRITES,
    /if \(!this\.#pool\.volumes\.has\(io\.volume\)\) \{/,
    "if (false) {",
  ),
  mutation(
    "what was read before its block was zeroed is published after it",
    "UNMAP reads zeros",
    60,
    READS,
    /current && !zeros\.covers\(volume, block\)/,
    "current",
  ),
  mutation(
    "zones that were being removed are not removed by recovery",
    "zones",
    100,
    RECOVERY,
    /else if \(zones\.state\[slot\] === ZONE_STATE\.emptied\)/,
    "else if (false)",
  ),
  // — members, spares, rebuilds —
  inHealing(
    "a drive that becomes a member counts as having the zones of before",
    "redundancy after a rebuild",
    100,
    HEALING,
    /hasZone: \(zone\) => zone >= from \|\| /,
    "hasZone: (zone) => zone >= 0 || ",
  ),
  inHealing(
    "a rebuilt drive is trusted before its last zone is there",
    "redundancy after a rebuild",
    100,
    REBUILD,
    /if \(todo\.length === 0\)/,
    "if (todo.length <= 1)",
  ),
  inHealing(
    "a rebuild does not wait for what has no map entry yet",
    "redundancy after a rebuild",
    2000,
    REBUILD,
    /map\.zones\.live\[slot\] > 0 && zoneUse\.uncommitted\[slot\] === 0/,
    "map.zones.live[slot] > 0",
  ),
  inHealing(
    "a drive joins while zones are open",
    "zones are whole or not there",
    300,
    HEALING,
    /await first\.closed\(closed\);/,
    "await swap();",
  ),
  inHealing(
    "zones that a rebuild had begun count as finished after a restart",
    "rebuild goes on where it stopped",
    300,
    ZONE_CHECK,
    /else if \(finished\) \{/,
    "else if (finished || zones.state[slot] === ZONE_STATE.sealed) {",
  ),
  inHealing("a drive that lacks zones is trusted", "older copies of drives", 600, ZONE_CHECK, /if \(lacking > 0\)/, "if (false)"),
  inHealing(
    "a spare is taken without being wiped",
    "spares hold nothing",
    300,
    HEALING,
    /await this\.#options\.shelf\.wipe\(shelf, this\.#epoch\(\)\);/,
    "await shelf.drive.open(this.#epoch());",
  ),
  inHealing(
    "the map is not copied to a drive that is rebuilt",
    "redundancy of the map",
    300,
    REBUILD,
    /if \(hasMap && this\.member\.hasMap !== true\)/,
    "if (false)",
  ),
  inHealing(
    "a drive that comes back keeps zones that were removed meanwhile",
    "zones that a drive missed",
    300,
    HEALING,
    /async #removeUnknown\(drive\) \{/,
    "async #removeUnknown(drive) {\n return;",
  ),
  inHealing(
    "a drive that comes back counts as having zones that it did not finish",
    "zones that a drive missed",
    600,
    HEALING,
    /\.filter\(\(stat\) => stat\.finished\)/,
    "",
  ),
  inHealing(
    "a member gives its place up while the group can't do without it",
    "redundancy of the map",
    300,
    HEALING,
    /=== member && \(!isTrusted\(member\.state\) \|\| group\.canDoWithout\(member\.position\)\);/,
    "=== member;",
  ),
  // — what is lost —
  inHealing(
    "a zone is removed with what could not be read of it",
    "only what is gone is lost",
    300,
    COMPACTOR,
    /if \(map\.zones\.live\[slot\] > 0\) \{/,
    "if (false) {",
  ),
  {
    name: "blocks are given up while a drive is away that may come back",
    breaks: "only what is gone is lost",
    seedsMax: 600,
    healing: true,
    patches: [
      { file: LOSSES, find: / \|\| \(this\.#pool\.group\.mayComeBack && !this\.#isSurvey\);/, replace: ";" },
      { file: LOSSES, find: /this\.#isSurvey = this\.#pool\.group\.mayComeBack;/, replace: "this.#isSurvey = false;" },
    ],
  },
  inHealing(
    "all of a damaged zone is given up",
    "only what is gone is lost",
    300,
    LOSSES,
    /return \[\.\.\.left\];/,
    "return [...blocks];",
  ),
  inHealing(
    "a part of a block that is lost is written",
    "nothing is made up",
    600,
    WRITES,
    /if \(place !== LOST_PLACE\)\s+return true;/,
    "return true;",
  ),
  inHealing(
    "a scrub leaves what it finds where it is",
    "scrub mends",
    100,
    "src/volume/scrub.js",
    /await this\.#options\.compactor\.evacuate\(slot\);/,
    "",
  ),
];
