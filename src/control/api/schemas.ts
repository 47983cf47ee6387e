/** What goes over the API: TypeBox schemas, which validate requests, shape answers, and are the OpenAPI document. */
import { Type } from "typebox";
import { FAULT_RULES_MAX } from "../../../drivers/drive/drive-faults.ts";
import { VOLUME_NAME } from "../../config/schema.ts";
import { LUN_MAX } from "../contract.ts";

const text = (description?: string) => Type.String(description === undefined ? {} : { description });
const bytes = (description: string) => Type.Integer({ description });
const object = <P extends Parameters<typeof Type.Object>[0]>(properties: P) =>
  Type.Object(properties, { additionalProperties: false });

/** Host names: no path, no control characters. */
const HOST_NAME = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$";
const INITIATOR_NAME =
  "^(iqn\\.[0-9]{4}-[0-9]{2}\\.[a-z0-9.:_-]{1,200}|eui\\.[0-9A-Fa-f]{16}|naa\\.([0-9A-Fa-f]{16}|[0-9A-Fa-f]{32}))$";
const DRIVE_NAME = "^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$";
const PRINTABLE = "^[ -~]+$";
const POOL_NAME = "^[A-Z][A-Z0-9]{0,7}$";
const DIRECTOR_NAME = "^[1-9][0-9]{0,2}[AB]$";
const VOLUME_NAME_OR_NUMBER = `^([0-9]{1,15}|${VOLUME_NAME.slice(1, -1)})$`;

/** What the patterns say, for people. */
export const PATTERN_WORDS: ReadonlyMap<string, string> = new Map([
  [VOLUME_NAME, "must be a letter, then up to 62 letters, digits, dots, underscores or hyphens"],
  [VOLUME_NAME_OR_NUMBER, "must be a volume's name or number"],
  [DIRECTOR_NAME, "must be a director's name: its engine's number and A or B, as 1A"],
  [POOL_NAME, "must be a pool's name: a capital letter, then up to 7 capital letters or digits"],
  [DRIVE_NAME, "must be a drive's name: a letter or digit, then up to 31 letters, digits, underscores or hyphens"],
  [HOST_NAME, "must be a letter or digit, then up to 62 letters, digits, dots, underscores or hyphens"],
  [
    INITIATOR_NAME,
    "must be an iSCSI name in lower case: iqn.<year>-<month>.<domain>:<name>, or eui. with 16, or naa. with 16 or 32 hexadecimal digits",
  ],
  [PRINTABLE, "must be printable ASCII characters, at least one"],
]);

// ---- requests

/** Any number here: what is no size is told apart (400, 422) where the volume is known. */
const SizeBytes = Type.Number({ description: "What the host sees; a multiple of 4096." });
const VolumeName = Type.String({ pattern: VOLUME_NAME, maxLength: 63 });
const PoolName = Type.String({ pattern: POOL_NAME });
const Lun = Type.Integer({ description: "0 to 1023." });
const Chap = object({
  user: Type.String({ pattern: PRINTABLE, maxLength: 223 }),
  secret: Type.String({
    pattern: PRINTABLE,
    minLength: 12,
    maxLength: 255,
    description: "At least 96 bits (RFC 7143 §9.2.1). Never shown again.",
  }),
});

export const PoolParams = object({ pool: PoolName });
export const MovePool = object({ to: Type.String({ pattern: DIRECTOR_NAME, description: "The director that is to serve it." }) });
const share = Type.Optional(
  Type.Integer({ minimum: 1, maximum: 100, description: "While hosts are active: percent of the rate while they are quiet." }),
);
export const SetShares = object({ rebuildSharePercent: share, scrubSharePercent: share });
export const ScrubBody = object({
  action: Type.Union([Type.Literal("start"), Type.Literal("pause"), Type.Literal("cancel")], {
    description: "start also goes on with one that is paused.",
  }),
});
export const DirectorParams = object({ director: Type.String({ pattern: DIRECTOR_NAME }) });
export const DirectorFaultBody = object({
  kind: Type.Union([
    Type.Literal("kill"),
    Type.Literal("throw"),
    Type.Literal("exit"),
    Type.Literal("hang"),
    Type.Literal("cutOff"),
  ]),
  seconds: Type.Optional(Type.Number({ minimum: 0.001, maximum: 3600, description: "How long a hang or a cut lasts." })),
});
export const VolumeParams = object({
  volume: Type.String({
    pattern: VOLUME_NAME_OR_NUMBER,
    maxLength: 63,
    description: "The volume's number or name.",
  }),
});
export const LunParams = object({ lun: Type.Integer({ minimum: 0, maximum: LUN_MAX }) });
export const HostParams = object({ host: Type.String({ pattern: HOST_NAME }) });
export const CreateVolume = object({
  name: VolumeName,
  pool: PoolName,
  sizeBytes: SizeBytes,
  logicalBlockBytes: Type.Optional(Type.Union([Type.Literal(512), Type.Literal(4096)])),
  lun: Type.Optional(Lun),
});
export const GrowVolume = object({ sizeBytes: SizeBytes });
export const DeleteVolumeQuery = object({ force: Type.Optional(Type.Boolean()) });
export const MapLun = object({
  volume: Type.Union([VolumeName, Type.Integer({ minimum: 1 })], { description: "The volume's name or number." }),
  lun: Type.Optional(Lun),
});
export const AddHost = object({
  name: Type.String({ pattern: HOST_NAME }),
  initiatorName: Type.String({ pattern: INITIATOR_NAME, maxLength: 223 }),
  chap: Type.Optional(Chap),
});
export const PatchHost = object({ chap: Type.Union([Chap, Type.Null()], { description: "null takes the secret away." }) });
export const HostAccess = object({ allowListOnly: Type.Boolean({ description: "Only known hosts may log in." }) });
const Severity = Type.Union([Type.Literal("info"), Type.Literal("warning"), Type.Literal("critical")]);
export const EventsQuery = object({
  after: Type.Optional(Type.Integer({ minimum: 0, description: "Sequence number that is known already." })),
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1024 })),
  severity: Type.Optional(Severity),
});

export const DriveParams = object({ drive: Type.String({ pattern: DRIVE_NAME }) });
const literals = <const T extends string>(...names: T[]) => Type.Union(names.map((name) => Type.Literal(name)));
const count = (minimum: number, maximum: number, description: string) => Type.Integer({ minimum, maximum, description });
const COUNT_MAX = 1_000_000_000;
const ZONE_MAX = 99_999_999;
const STRIP_MAX = 2 ** 31 - 1;
const STRIP_BYTES_MAX = 2 ** 20;
/** What a rule may say; which of it goes with which fault is checked beside (fault-rules.ts). */
const faultRule = {
  fault: literals(
    ...(["readError", "writeError", "noSpace", "tornWrite", "lostWrite", "misdirectedWrite", "bitFlip"] as const),
    ...(["revertedKey", "delay", "hang", "unknownOutcome", "unreachable"] as const),
  ),
  zone: Type.Optional(count(0, ZONE_MAX, "Only this zone.")),
  firstStrip: Type.Optional(count(0, STRIP_MAX, "Only strips from this one on …")),
  stripCount: Type.Optional(count(1, STRIP_MAX, "… so many; 1.")),
  firstByte: Type.Optional(count(0, STRIP_BYTES_MAX, "Only reads that touch bytes of a strip from this one on …")),
  byteCount: Type.Optional(count(1, STRIP_BYTES_MAX, "… so many; 1.")),
  keyPrefix: Type.Optional(Type.String({ pattern: PRINTABLE, maxLength: 48, description: "Only metadata keys that begin so." })),
  operations: Type.Optional(
    Type.Array(literals("read", "write", "metadataRead", "metadataWrite", "zone", "other"), {
      minItems: 1,
      maxItems: 6,
      description: "Only these kinds of operation.",
    }),
  ),
  skip: Type.Optional(count(0, COUNT_MAX, "So many pass first.")),
  everyNth: Type.Optional(count(1, COUNT_MAX, "Then the first of every so many is hit.")),
  probability: Type.Optional(Type.Number({ minimum: 0, maximum: 1, description: "And of those this share, by the seed." })),
  hitsMax: Type.Optional(count(1, COUNT_MAX, "Ends after so many hits.")),
  strips: Type.Optional(count(0, 1024, "tornWrite: whole strips that are stored; 0.")),
  bytes: Type.Optional(count(0, STRIP_BYTES_MAX, "tornWrite: bytes of the next strip that are stored; 0.")),
  report: Type.Optional(Type.Union(literals("done", "writeFailed", "unknown").anyOf, { description: "tornWrite; done." })),
  toZone: Type.Optional(count(0, ZONE_MAX, "misdirectedWrite: the same zone.")),
  toStrip: Type.Optional(count(0, STRIP_MAX, "misdirectedWrite: by the seed.")),
  on: Type.Optional(Type.Union(literals("read", "write").anyOf, { description: "bitFlip: in what is read, or stored; read." })),
  offsetBytes: Type.Optional(count(0, STRIP_BYTES_MAX, "bitFlip: byte of the strip; by the seed.")),
  bit: Type.Optional(count(0, 7, "bitFlip: by the seed.")),
  to: Type.Optional(Type.Union(literals("older", "absent").anyOf, { description: "revertedKey, of metadata; older." })),
  milliseconds: Type.Optional(count(0, 60_000, "delay.")),
  jitterMilliseconds: Type.Optional(count(0, 60_000, "delay: up to so much more, by the seed.")),
  done: Type.Optional(Type.Boolean({ description: "unknownOutcome: whether it is done; by the seed." })),
};
const FaultRuleBody = object(faultRule);
export const SetDriveFaults = object({
  seed: Type.Optional(count(1, STRIP_MAX, "What is chosen at random is chosen by it; 1.")),
  rules: Type.Array(FaultRuleBody, { minItems: 1, maxItems: FAULT_RULES_MAX }),
});

// ---- answers

export const ErrorBody = object({
  error: object({ code: text("Stable; for programs."), message: text("What to do; for people."), field: Type.Optional(text()) }),
});
export const Portal = object({
  director: text(),
  address: text("Where it listens."),
  advertise: text("What discovery answers; empty: the connection's own local address."),
  groupTag: Type.Integer({ description: "Target portal group tag and ALUA target port group." }),
  open: Type.Boolean(),
  reason: Type.Optional(text()),
});
export const Drive = object({
  name: text(),
  pool: text(),
  state: text("online, predictive, rebuilding, missing, failed, foreign or spare"),
  reason: Type.Optional(text()),
  capacityBytes: bytes("Size of the drive."),
  zonesUsed: Type.Integer(),
  zoneCount: Type.Integer(),
  errors: Type.Optional(
    Type.Number({ description: "What redundancy made good of late; each counts half after driveHealth.halfLifeSeconds." }),
  ),
});
export const DriveFaultsView = object({
  drive: text(),
  pool: text(),
  rules: Type.Array(
    object({
      ...faultRule,
      matched: Type.Integer({ description: "Operations that the rule was for." }),
      hits: Type.Integer({ description: "Operations that it hit." }),
    }),
  ),
});
const ScrubFound = object({
  bytesRead: bytes("Read and checked."),
  badStrips: Type.Integer({ description: "Strips that were gone, or not what was written." }),
  movedZones: Type.Integer({ description: "Zones whose data were written anew for that." }),
  lostBlocks: Type.Integer({ description: "Blocks that nothing had any more: medium errors." }),
  lostStrips: Type.Integer({
    description: "Strips, in zones that could not be moved, of which nothing was left to say what was in them.",
  }),
});
function lostRanges(what: string) {
  return object({
    lostBytes: bytes(what),
    unlistedBytes: bytes("Of it, in none of the ranges: there are too many of them."),
    ranges: Type.Array(
      object({
        volume: Type.Integer(),
        name: text("Of the volume."),
        logicalBlockBytes: Type.Integer(),
        firstLba: Type.Integer({ description: "In the volume's logical blocks." }),
        lbaCount: Type.Integer(),
      }),
    ),
  });
}
export const Pool = object({
  name: text(),
  state: text("optimal, degraded, readonly or failed"),
  reason: Type.Optional(text()),
  owner: text("The director that owns it."),
  epoch: Type.Integer(),
  raid: text(),
  usableBytes: bytes("What hosts can store, the compaction reserve taken off."),
  liveBytes: bytes("Live blocks on the drives."),
  dirtyBytes: bytes("Write pending: acknowledged, journaled, not on the drives yet."),
  fillPercent: Type.Number(),
  journalBytes: bytes("Size of the journal."),
  journalLiveBytes: bytes("Journal in use."),
  rebuild: Type.Optional(
    object({
      drive: text("The drive that is brought up to date."),
      position: Type.Integer({ description: "Its place in the RAID group." }),
      from: Type.Optional(text("The drive that it is copied from, where that still serves.")),
      zonesDone: Type.Integer(),
      zonesTotal: Type.Integer(),
      writtenBytes: bytes("Written to it so far."),
      lostStrips: Type.Integer({ description: "Strips that nothing had any more, whether or not something lives in them." }),
      sharePercent: Type.Integer({ description: "Of the rate without hosts, while hosts are active." }),
      secondsLeft: Type.Optional(Type.Integer({ description: "At the rate so far." })),
    }),
  ),
  rebuildSharePercent: Type.Optional(
    Type.Integer({ description: "Of their rate without hosts that rebuilds get while hosts are active." }),
  ),
  scrub: Type.Optional(
    object({
      state: text("idle, running or paused"),
      sharePercent: Type.Integer({ description: "Of the rate without hosts, while hosts are active." }),
      intervalHours: Type.Integer({ description: "From one scrub to the next; 0: on command only." }),
      hoursSinceLast: Type.Number({ description: "That the pool was served since the last scrub ended." }),
      zonesDone: Type.Optional(Type.Integer()),
      zonesTotal: Type.Optional(Type.Integer()),
      found: Type.Optional(ScrubFound),
      secondsLeft: Type.Optional(Type.Integer({ description: "At the rate so far." })),
      last: Type.Optional(ScrubFound),
    }),
  ),
  lost: Type.Optional(lostRanges("Lost for good: reads get MEDIUM ERROR until it is written anew, or unmapped.")),
  unreadable: Type.Optional(
    lostRanges(
      "Of a pool that is readonly: reads get MEDIUM ERROR while drives are away. Absent too while it is being found out.",
    ),
  ),
  zonesFree: Type.Integer(),
  zonesUsed: Type.Integer(),
  provisionedBytes: bytes("Sizes of its volumes together; thin, so it may exceed what is usable."),
  drives: Type.Array(Drive),
});
export const Volume = object({
  volume: Type.Integer({ description: "Number; never used twice." }),
  name: text(),
  pool: text(),
  owner: text(),
  sizeBytes: bytes("What the host sees."),
  mappedBytes: bytes("What was written and is kept."),
  logicalBlockBytes: Type.Integer(),
  naa: text("Identifier that hosts see (VPD page 83)."),
  serial: text("Unit serial number (VPD page 80)."),
  writeCacheEnabled: Type.Boolean(),
  createdAt: text(),
  luns: Type.Array(Type.Integer()),
  warnings: Type.Optional(Type.Array(text("After a change: its pool can't hold all that its volumes promise."))),
});
export const LunMapping = object({
  lun: Type.Integer(),
  volume: Type.Integer(),
  name: Type.Optional(text("Missing where the volume's pool is not there.")),
  pool: Type.Optional(text()),
  owner: Type.Optional(text("The director whose portal is the active/optimized path.")),
});
export const Director = object({
  name: text(),
  engine: Type.Integer(),
  state: text("starting, active, leaving, joining, dead, returning or down"),
  answering: Type.Boolean(),
  reason: Type.Optional(text()),
  pools: Type.Array(text()),
  sessionCount: Type.Integer(),
});
export const Host = object({
  name: text(),
  initiatorName: text(),
  chapUser: Type.Optional(text("Set where the host must prove a secret.")),
});
export const Session = object({
  director: text(),
  initiatorName: text(),
  isid: text(),
  tsih: Type.Integer(),
  address: text(),
  headerDigest: Type.Boolean(),
  dataDigest: Type.Boolean(),
  discovery: Type.Boolean(),
  since: text(),
});
export const Event = object({
  sequence: Type.Integer(),
  time: text(),
  severity: text(),
  type: text(),
  subject: text(),
  message: text(),
});
export const System = object({
  arrayId: text(),
  targetName: text(),
  version: text(),
  ready: Type.Boolean(),
  uptimeSeconds: Type.Number(),
  frameBytes: bytes("Global memory for data."),
  directors: Type.Array(text()),
  pools: Type.Array(text()),
  capacity: Type.Array(
    object({
      pool: text(),
      usableBytes: bytes("What hosts can store; 0 where the pool does not say."),
      liveBytes: bytes("Live blocks on the drives."),
      provisionedBytes: bytes("Sizes of its volumes together; thin, so it may exceed what is usable."),
    }),
  ),
  volumeCount: Type.Integer(),
  sessionCount: Type.Integer(),
  allowListOnly: Type.Boolean(),
});
export const Health = object({
  live: Type.Boolean(),
  ready: Type.Boolean({ description: "Hosts can log in and every pool serves." }),
  reasons: Type.Array(text("Why it is not ready.")),
  warnings: Type.Array(text("What works, and should be looked at: a degraded pool, a pool that is nearly full.")),
});
export const listOf = <K extends string, T extends Parameters<typeof Type.Array>[0]>(key: K, item: T) =>
  object({ [key]: Type.Array(item) });
export const Done = object({ done: Type.Boolean() });
export const HostList = object({ allowListOnly: Type.Boolean(), hosts: Type.Array(Host) });
