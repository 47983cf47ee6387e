/**
 * The array's configuration, parsed once at start into a frozen object and handed to every thread.
 * The schema (defaults, units, reasons) is in schema.ts, the defaults that follow from other settings in assemble.ts; this is the shape that the rest of the code sees.
 */
import type { DriveHealthLimits } from "../raid/drive-health.ts";
import type { RaidConfig } from "../raid/raid-level.ts";
import type { HealingSettings } from "../volume/healing-settings.ts";

export interface DirectorConfig {
  /** "1A", "1B", "2A" … */
  readonly name: string;
  readonly index: number;
  readonly engine: number;
  readonly portal: {
    readonly host: string;
    readonly port: number;
    /**
     * What SendTargets answers, "host:port": behind a port mapping the socket's own address is wrong.
     * Empty behind a wildcard address without a setting: the connection's own local address is answered.
     */
    readonly advertise: string;
    /** Target portal group tag and relative target port id: index + 1. */
    readonly groupTag: number;
  };
}

export interface PoolConfig {
  readonly name: string;
  readonly index: number;
  readonly raid: RaidConfig;
  /** Names of its drives, as many as the level has, in RAID position order; folders `drives/<name>`. */
  readonly drives: readonly string[];
  /** Names of drives that stand by: the pool's drive thread serves them after its drives, in this order. */
  readonly spares: readonly string[];
  /** When its drives count as unsound; the defaults unless given. */
  readonly driveHealth?: DriveHealthLimits;
  readonly healing?: HealingSettings;
  /** Index of the director that owns the pool at start. */
  readonly owner: number;
  /** The directors that reach its drives: the pair of the owner's engine. */
  readonly reachedBy: readonly number[];
}

/** All drives that the pool's drive thread serves, by drive index: its members' places first, then its spares'. */
export function driveNames(pool: PoolConfig): readonly string[] {
  return [...pool.drives, ...pool.spares];
}

export interface Config {
  readonly dataFolder: string;
  readonly targetName: string;
  readonly directors: readonly DirectorConfig[];
  readonly pools: readonly PoolConfig[];
  readonly memory: { readonly frameBytes: number };
  readonly drive: { readonly capacityBytes: number; readonly stripBlocks: number; readonly zoneBytes: number };
  readonly journal: {
    readonly bytes: number;
    /** Where each pool's journal has a second copy, `<mirrorFolder>/<pool>`. */
    readonly mirrorFolder?: string;
  };
  /** A director that is silent for so long is taken for stuck. */
  readonly failover: { readonly hangMilliseconds: number };
  /** Volumes made at the first start. */
  readonly initialVolumes: readonly {
    readonly name: string;
    readonly pool: string;
    readonly sizeBytes: number;
    readonly lun: number;
  }[];
  /** Logical block size given to new volumes: 512 or 4096. */
  readonly logicalBlockBytes: 512 | 4096;
  readonly iscsi: {
    readonly loginTimeoutSeconds: number;
    readonly idlePingSeconds: number;
    readonly idleTimeoutSeconds: number;
    readonly sessionsPerDirectorMax: number;
    readonly connectionsPerAddressMax: number;
    readonly commandWindow: number;
    readonly maxRecvDataSegmentBytes: number;
    readonly firstBurstBytes: number;
    readonly maxBurstBytes: number;
  };
  readonly api: {
    readonly host: string;
    readonly port: number;
    /** Bearer token; when none is configured one is made at the first start and kept in `<data>/api-token`. */
    readonly token: string | undefined;
    /** A second token that may only read; where it is set, reading needs a token too. */
    readonly readToken: string | undefined;
    /** From one address; bursts of twice as many. */
    readonly requestsPerSecondMax: number;
    /** Host header names accepted beside loopback. */
    readonly allowedHosts: readonly string[];
  };
  /** Portals beyond loopback may start without CHAP or an allow-list. */
  readonly open: boolean;
  readonly threadPool: { readonly threadsMax: number };
  readonly destage: { readonly dirtyPercentMax: number; readonly ageSeconds: number };
  readonly log: { readonly level: "debug" | "info" | "warn" | "error" };
}
