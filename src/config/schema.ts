/**
 * Every setting of the array: default, unit, bounds and the reason for the default.
 *
 * One TypeBox schema, read in three ways: load.ts parses file and environment by it, document.ts writes
 * docs/configuration.md from it, and the types of the settings come out of it. A setting's variable follows from its
 * path (environment.ts). What depends on other settings (portals, pools, first volumes) has its default in assemble.ts
 * and says so in `defaultText`.
 */
import { type Static, Type } from "typebox";
import { VOLUME_BYTES_MAX } from "../control/contract.ts";
import { HEALING_SETTINGS } from "../volume/healing-settings.ts";

const MiB = 2 ** 20;
const GiB = 2 ** 30;

/** What the schema says of a setting beside JSON Schema's own words. */
export interface SettingNotes {
  readonly description: string;
  readonly unit?: string;
  /** Shown in place of `default` where the default follows from other settings. */
  readonly defaultText?: string;
  /** Never shown in errors. */
  readonly secret?: boolean;
}

const size = (options: SettingNotes & { minimum: number; maximum: number; default: number; multipleOf?: number }) =>
  Type.Integer({ unit: "bytes", ...options });
const count = (options: SettingNotes & { minimum: number; maximum: number; default: number }) => Type.Integer({ ...options });
const flag = (options: SettingNotes & { default: boolean }) => Type.Boolean({ ...options });
const group = <P extends Parameters<typeof Type.Object>[0]>(description: string, properties: P) =>
  Type.Object(properties, { description, additionalProperties: false });

/** Names of directors: engine number and side. */
const DIRECTOR_NAME = "^[1-4][AB]$";
/** Pool names are upper case, so that they read the same in a variable. */
const POOL_NAME = "^[A-Z][A-Z0-9]{0,7}$";
/** Drive names are folder names, and part of metrics and paths. */
const DRIVE_NAME = "^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$";
export const VOLUME_NAME = "^[A-Za-z][A-Za-z0-9._-]{0,62}$";
const ISCSI_NAME = "^iqn\\.[0-9]{4}-(0[1-9]|1[0-2])\\.[a-z0-9][a-z0-9.-]*(:[a-z0-9.:-]+)?$";
const TOKEN = "^[!-~]{16,256}$";
const HOST = "^[A-Za-z0-9.:_-]{1,253}$";
const ADDRESS = "^(\\[[0-9A-Fa-f:.]{2,45}\\]|[A-Za-z0-9._-]{1,253}):[0-9]{1,5}$";

const portal = group("The portal of one director, 1A to 4B (those of the engines that exist).", {
  host: Type.Optional(
    Type.String({
      pattern: HOST,
      defaultText: "127.0.0.1",
      description:
        "Address that the portal binds. Beyond loopback it opens only with the allow-list on, with CHAP on every host, or with `open`.",
    }),
  ),
  port: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: 65535,
      defaultText: "3260 for 1A, 3261 for 1B, and on from there",
      description: "TCP port. 3260 is the registered iSCSI port; each director needs its own on one address.",
    }),
  ),
  advertise: Type.Optional(
    Type.String({
      pattern: ADDRESS,
      defaultText: "host:port; behind a wildcard address (0.0.0.0, ::) the connection's own local address",
      description:
        "What SendTargets answers, as `host:port`. Needed behind a port mapping, where the socket's own address is not the host's.",
    }),
  ),
});

/** Of one pool. */
const SPARES_MAX = 8;

const pool = group(
  "One pool, by name (`A`, `B` …). Giving any pool in the file replaces the default pools; variables add to them.",
  {
    owner: Type.Optional(
      Type.String({
        pattern: DIRECTOR_NAME,
        defaultText: "the directors in turn: A 1A, B 1B, C 2A …",
        description: "The director that owns the pool and serves its volumes.",
      }),
    ),
    raidLevel: Type.Optional(
      Type.Union([Type.Literal(1), Type.Literal(5), Type.Literal(6), Type.Literal(10)], {
        defaultText: "5",
        description:
          "RAID-5 survives any one drive, RAID-6 any two, with parity; RAID-1 all but one of its copies, RAID-10 one drive of each pair, with copies. Parity takes less room, copies less work to read and to rebuild.",
      }),
    ),
    dataDrives: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 15,
        defaultText: "RAID-5 3, RAID-6 4, RAID-10 2, RAID-1 1; or what the names in `drives` make",
        description:
          "Drives whose worth of data the pool holds: RAID-5 2 to 15 and one more for parity, RAID-6 2 to 14 and two more, RAID-10 2 to 8 and as many again, RAID-1 always 1. 3+1 keeps a small array's parity cost at a quarter.",
      }),
    ),
    copies: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 3,
        defaultText: "RAID-1 and RAID-10 2, or as many as there are names in a RAID-1's `drives`; else 1",
        description: "Drives that hold the same data: RAID-1 2 or 3. It follows from the other levels.",
      }),
    ),
    drives: Type.Optional(
      Type.Array(Type.String({ pattern: DRIVE_NAME }), {
        minItems: 2,
        maxItems: 16,
        defaultText: "as many numbers as the RAID has drives, counted through all pools: 00 01 02 03, then 04 05 06 07",
        description:
          "Drive names in RAID order (copies side by side): folders `drives/<name>` in the data folder. Name them to add drives without renumbering others.",
      }),
    ),
    spares: Type.Optional(
      Type.Array(Type.String({ pattern: DRIVE_NAME }), {
        minItems: 0,
        maxItems: SPARES_MAX,
        defaultText: "one number, counted on after the drives of all pools: 08, then 09",
        description:
          "Names of drives that stand by. One takes the place of a drive that is lost, by itself. An empty list (`[]`, as a variable `,`): none. A spare that is added to a pool that exists is formatted at the next start.",
      }),
    ),
  },
);

const initialVolume = group("A volume made at the first start, by its LUN (0 to 1023). Later ones are made through the API.", {
  name: Type.Optional(
    Type.String({ pattern: VOLUME_NAME, defaultText: "volume-<LUN>", description: "The volume's name, unique in the array." }),
  ),
  pool: Type.Optional(
    Type.String({ pattern: POOL_NAME, defaultText: "the pools in turn", description: "The pool that holds the volume." }),
  ),
  size: Type.Optional(
    Type.Integer({
      unit: "bytes",
      minimum: MiB,
      maximum: VOLUME_BYTES_MAX,
      multipleOf: 4096,
      defaultText: "16GiB",
      description: "What the host sees. Thin: it takes room only as it is written.",
    }),
  ),
});

export const SETTINGS = group("varray's settings", {
  data: Type.String({
    minLength: 1,
    default: "./varray-data",
    description: "Data folder: drives, journals and the API token. One process at a time holds it.",
  }),
  target: Type.String({
    pattern: ISCSI_NAME,
    maxLength: 223,
    default: "iqn.2026-11.io.varray:array",
    description: "iSCSI name of the one target (RFC 7143 §4.2.7).",
  }),
  engines: count({
    minimum: 1,
    maximum: 4,
    default: 1,
    description: "Engines; each is a pair of directors (1A and 1B, 2A and 2B …), and each director one thread.",
  }),
  open: flag({
    default: false,
    description:
      "Portals beyond loopback open without the allow-list: anyone who reaches them reads and writes. Only where the network decides who that is.",
  }),
  published: Type.Optional(
    Type.String({
      pattern: HOST,
      defaultText: "none: hosts reach the portals where they are bound",
      description:
        "In a container: the address at which the port mapping publishes the portals, under the same port numbers. Discovery advertises it, and where it is loopback the portals open as if they were bound there.",
    }),
  ),
  logicalBlockBytes: Type.Union([Type.Literal(512), Type.Literal(4096)], {
    unit: "bytes",
    default: 512,
    description:
      "Logical block of new volumes. 512 (with 4096 physical) is what every initiator boots from; 4096 spares merging of partial blocks.",
  }),
  memory: group("Global memory.", {
    frames: size({
      minimum: 64 * MiB,
      maximum: 3968 * MiB,
      multipleOf: MiB,
      default: 512 * MiB,
      description:
        "Frames for data of all directors: cache and write buffer. First touch costs about 4 s for each GiB, and one memory ends at 4 GiB.",
    }),
  }),
  drive: group("Virtual drives.", {
    capacity: size({
      minimum: 64 * MiB,
      maximum: 16 * 1024 * GiB,
      multipleOf: MiB,
      default: 16 * GiB,
      description: "Size of each drive. Only the space that is used is taken. A pool has at most 16TiB of data drives.",
    }),
    zone: size({
      minimum: 4 * MiB,
      maximum: GiB,
      default: 128 * MiB,
      description:
        "Largest zone, a power of two. Smaller drives get smaller zones (the power of two at or below capacity / 128, at least 4MiB), so that compaction has zones to choose from; drives beyond 8,192 zones larger ones.",
    }),
    stripBlocks: count({
      minimum: 1,
      maximum: 64,
      default: 8,
      unit: "blocks of 4KiB",
      description: "Strip: what one drive holds of a stripe. A random read that misses fetches one strip.",
    }),
  }),
  journal: group("The journal of each pool.", {
    bytes: size({
      minimum: 4 * MiB,
      maximum: 64 * GiB,
      multipleOf: MiB,
      default: 2 * GiB,
      description:
        "Preallocated file for each pool: acknowledged writes that are not on the drives yet. The larger it is against the blocks that hosts write again and again, the less of them goes to the drives. A restart replays at most this much.",
    }),
    mirrorFolder: Type.Optional(
      Type.String({
        minLength: 1,
        defaultText: "none",
        description:
          "A folder on another disk, which must be there: each pool's journal is kept there too, written and synced with the first. The pool goes on when either fails. Writes that are made durable take the time of both disks.",
      }),
    ),
  }),
  healing: group("What pools do about their drives by themselves.", {
    rebuildSharePercent: count({
      minimum: 1,
      maximum: 100,
      default: HEALING_SETTINGS.rebuildSharePercent,
      unit: "percent",
      description:
        "Rate of rebuilds while hosts are active, as a share of what it is once they are quiet for a second. 30 leaves hosts most of a drive's speed.",
    }),
    missingSeconds: count({
      minimum: 0,
      maximum: 86_400,
      default: HEALING_SETTINGS.missingSeconds,
      unit: "seconds",
      description:
        "A drive that can't be reached may come back, and needs only what it missed then: so long no spare takes its place. A drive that failed is replaced at once.",
    }),
    copyBack: flag({
      default: HEALING_SETTINGS.copyBack,
      description:
        "Whether a new drive in the place of one that was replaced gets it back from the spare, which then stands by again.",
    }),
    scrubSharePercent: count({
      minimum: 1,
      maximum: 100,
      default: HEALING_SETTINGS.scrubSharePercent,
      unit: "percent",
      description:
        "Rate of scrubs while hosts are active, as a share of what it is once they are quiet for a second. It has a week: 10 is hardly seen by hosts.",
    }),
    scrubIntervalHours: count({
      minimum: 0,
      maximum: 8760,
      default: HEALING_SETTINGS.scrubIntervalHours,
      unit: "hours",
      description:
        "Hours that a pool is served from one scrub, which reads and checks everything on its drives, to the next. 168 is a week, so that a fault is found before a second one meets it. 0: only on command.",
    }),
  }),
  driveHealth: group("When a drive counts as unsound, by what redundancy makes good and by its peers.", {
    predictiveErrors: count({
      minimum: 1,
      maximum: 1_000_000,
      default: 10,
      unit: "errors",
      description:
        "Read errors, and strips that are gone or not what was written, from which on a drive should be replaced: its state is predictive, and it serves as before. A few of them are what scrubbing is for.",
    }),
    failedErrors: count({
      minimum: 1,
      maximum: 1_000_000,
      default: 100,
      unit: "errors",
      description:
        "And from which on it is not used any more, if its pool can do without it. Each error costs a repair, and many of them say that others are to come.",
    }),
    halfLifeSeconds: count({
      minimum: 1,
      maximum: 2_592_000,
      default: 3600,
      unit: "s",
      description: "After which an error counts half.",
    }),
    slowFactor: count({
      minimum: 2,
      maximum: 1000,
      default: 8,
      unit: "times",
      description: "A drive is predictive, too, when its reads or writes take so many times as long as those of its peers …",
    }),
    slowMilliseconds: count({
      minimum: 1,
      maximum: 60_000,
      default: 50,
      unit: "ms",
      description: "… and this long at least, on average …",
    }),
    slowSeconds: count({
      minimum: 5,
      maximum: 86_400,
      default: 30,
      unit: "s",
      description: "… and that for so long.",
    }),
  }),
  failover: group("Directors that fail.", {
    hangMilliseconds: count({
      minimum: 500,
      maximum: 60_000,
      default: 1500,
      unit: "ms",
      description:
        "A director whose event loop does not turn for so long is ended, and its partner takes its pools over. Shorter stalls are waited for; a machine that holds threads up for longer needs more.",
    }),
  }),
  destage: group("When dirty data goes to the drives.", {
    dirtyPercentMax: count({
      minimum: 5,
      maximum: 90,
      default: 85,
      unit: "% of frames",
      description:
        "Share of the frames that may be dirty before writes wait for destage, which begins at 70 % of it and goes at full rate from 92 % of it. The rest is for reading.",
    }),
    ageSeconds: count({
      minimum: 1,
      maximum: 3600,
      default: 10,
      unit: "s",
      description:
        "A dirty block older than this is destaged even when nothing presses: younger ones are likely to be written again.",
    }),
  }),
  threadPool: group(
    "Piscina pool of each director, for bulk work on global memory: its first touch, in the background after a start; strips made by rebuilds and checked by scrubs.",
    {
      threadsMax: count({
        minimum: 1,
        maximum: 16,
        default: 1,
        unit: "threads a director",
        description: "Threads that do it. One each, because a small machine's cores are for the directors.",
      }),
    },
  ),
  initialVolumes: Type.Record(Type.String({ pattern: "^(0|[1-9][0-9]{0,3})$" }), initialVolume, {
    description: "Volumes made at the first start, 256 at most.",
    defaultText: "one of 16GiB in each pool: LUN 0 in A, LUN 1 in B …",
  }),
  portals: Type.Record(Type.String({ pattern: DIRECTOR_NAME }), portal, {
    description: "Where hosts log in.",
    defaultText: "127.0.0.1, ports from 3260",
  }),
  pools: Type.Record(Type.String({ pattern: POOL_NAME }), pool, {
    description: "Pools and their drives.",
    defaultText: "two RAID-5 3+1 pools for each engine, one for each director",
  }),
  iscsi: group("Limits of the front ends.", {
    loginTimeoutSeconds: count({
      minimum: 1,
      maximum: 300,
      default: 15,
      unit: "s",
      description: "A connection that has not logged in by then is closed.",
    }),
    idlePingSeconds: count({
      minimum: 1,
      maximum: 3600,
      default: 30,
      unit: "s",
      description: "A session that was silent this long is asked with a NOP-In.",
    }),
    idleTimeoutSeconds: count({
      minimum: 2,
      maximum: 7200,
      default: 60,
      unit: "s",
      description: "A session that was silent this long, ping included, is dropped. Must be longer than idlePingSeconds.",
    }),
    sessionsPerDirectorMax: count({
      minimum: 1,
      maximum: 1024,
      default: 128,
      unit: "sessions",
      description: "Sessions on one director; beyond it a login gets status 0302.",
    }),
    connectionsPerAddressMax: count({
      minimum: 1,
      maximum: 1024,
      default: 128,
      unit: "connections",
      description:
        "Connections from one address on one portal, logged in or not. All connections count as one address behind a port mapping.",
    }),
    commandWindow: count({
      minimum: 1,
      maximum: 1024,
      default: 128,
      unit: "commands a session",
      description: "Commands that a session may have outstanding (MaxCmdSN).",
    }),
    maxRecvDataSegmentBytes: size({
      minimum: 8192,
      maximum: 2 ** 24 - 1,
      default: 256 * 1024,
      description: "MaxRecvDataSegmentLength that the target declares (RFC 7143 §13.12). 256KiB segments measured best.",
    }),
    firstBurstBytes: size({
      minimum: 512,
      maximum: 2 ** 24 - 1,
      default: 256 * 1024,
      description:
        "FirstBurstLength offered: unsolicited data of one command (RFC 7143 §13.14). Saves a round trip for writes up to it.",
    }),
    maxBurstBytes: size({
      minimum: 512,
      maximum: 2 ** 24 - 1,
      default: 1024 * 1024,
      description: "MaxBurstLength offered: data of one R2T or Data-In sequence (RFC 7143 §13.13). At least firstBurstBytes.",
    }),
  }),
  api: group("REST API, /metrics and /healthz.", {
    host: Type.String({ pattern: HOST, default: "127.0.0.1", description: "Address that the API binds." }),
    port: count({ minimum: 1, maximum: 65535, default: 8080, description: "TCP port of the API." }),
    token: Type.Optional(
      Type.String({
        pattern: TOKEN,
        secret: true,
        defaultText: "made at the first start, kept in `<data>/api-token` (mode 0600)",
        description: "Bearer token for everything that changes state: 16 to 256 printable characters without space.",
      }),
    ),
    readToken: Type.Optional(
      Type.String({
        pattern: TOKEN,
        secret: true,
        defaultText: "none: reading needs no token",
        description: "Second token that may read and not change. Once it is set, reading under /api/v1 needs one of the two.",
      }),
    ),
    allowedHosts: Type.Array(Type.String({ pattern: HOST }), {
      maxItems: 64,
      default: [],
      description:
        "Host names or addresses, without port, under which the API may be called beside loopback: keeps foreign web pages out (DNS rebinding).",
    }),
    requestsPerSecondMax: count({
      minimum: 1,
      maximum: 100_000,
      default: 200,
      unit: "requests a second",
      description:
        "From one address, with bursts of twice as many; beyond it 429. The API shares the machine with the data path.",
    }),
  }),
  log: group("The log on standard error (JSON lines).", {
    level: Type.Union([Type.Literal("debug"), Type.Literal("info"), Type.Literal("warn"), Type.Literal("error")], {
      default: "info",
      description: "Least severe lines that are written.",
    }),
  }),
});

export type Settings = Static<typeof SETTINGS>;
