/**
 * Messages between the control plane and the directors, and the documents that both keep on the drives.
 *
 * Setup path only: these travel as structured clones over a MessagePort, never on the data path. Every request is
 * answered by exactly one reply with its `id`; events come unasked.
 */
import type { MessagePort } from "node:worker_threads";
import type { DriveFaultSettings, FaultRuleStatus } from "../../drivers/drive/drive-faults.ts";
import type { GlobalMemoryTransfer } from "../../drivers/shared-memory/global-memory.ts";
import type { Config } from "../config/config.ts";
import type { MemberState } from "../raid/raid-group.ts";
import type { VolumeNumber } from "../volume/block-io.ts";

export const FORMAT_VERSION = 1;

export const VOLUMES_MAX = 1024;
/** So that every volume can be a LUN. From 256 on hosts must know flat space addressing (SAM-5 §4.7.7.3), as all do that are younger than SCSI-2. */
export const LUN_MAX = VOLUMES_MAX - 1;
/** 16 TiB: the number of a block on its volume has 32 bits, in frames, journal, map and tags. No pool holds more either. */
export const VOLUME_BYTES_MAX = 2 ** 44;

/** One initiator that may log in, with its CHAP secret if it needs one. */
export interface HostDocument {
  readonly name: string;
  /** iSCSI name: iqn., eui. or naa. */
  readonly initiatorName: string;
  /** One-way CHAP: the name and secret that the initiator must prove. */
  readonly chap?: { readonly user: string; readonly secret: string };
}

/** What belongs to the whole array. Kept on every drive of every pool; the highest version wins at start. */
export interface ArrayDocument {
  readonly formatVersion: number;
  readonly version: number;
  readonly arrayId: string;
  readonly targetName: string;
  /** The next volume number; raised durably before a volume gets it, so that none is used twice. */
  readonly nextVolume: VolumeNumber;
  readonly hosts: readonly HostDocument[];
  /** True: only initiators in `hosts` may log in. */
  readonly allowListOnly: boolean;
  readonly luns: readonly { readonly lun: number; readonly volume: VolumeNumber }[];
  /**
   * Volumes of the first start that may not exist yet. Stored with the first document, so that a crash in between
   * leaves neither a number used twice nor a LUN without its volume; gone once all of them are made.
   */
  readonly pendingVolumes?: readonly (VolumeDocument & { readonly pool: number })[];
}

export interface VolumeDocument {
  readonly volume: VolumeNumber;
  readonly name: string;
  readonly sizeBytes: number;
  readonly logicalBlockBytes: number;
  readonly naa: string;
  readonly serial: string;
  readonly writeCacheEnabled: boolean;
  /** ISO 8601. */
  readonly createdAt: string;
}

/** Which director serves which volume that is a LUN: pushed to every director whenever it changes. */
export interface Routing {
  readonly array: ArrayDocument;
  readonly volumes: readonly {
    readonly volume: VolumeNumber;
    readonly pool: number;
    readonly owner: number;
    readonly logicalBlockBytes: number;
    /**
     * "transitioning": its pool changes owners, commands wait; "unavailable": nobody can serve it now. Absent: "active".
     */
    readonly access?: VolumeAccess;
  }[];
  /** Directors that are down: their ports are reported unavailable. Absent: none. */
  readonly directorsDown?: readonly number[];
}

export type VolumeAccess = "active" | "transitioning" | "unavailable";

/**
 * Who owns what at this moment. Main decides it, and tells directors and control plane at the same time, so that no
 * takeover waits for the control plane: in each director the newest ownership goes over what a routing says.
 */
export interface Ownership {
  /** Rises with every change. */
  readonly version: number;
  /** By pool index. */
  readonly pools: readonly { readonly owner: number; readonly access: VolumeAccess }[];
  /** By director index. */
  readonly directors: readonly DirectorState[];
  /** Deaths of directors that owned pools, since the array started. */
  readonly failovers: number;
  /** How long the last pool that was taken over was not served; 0: none was. */
  readonly takeoverSeconds: number;
}

/**
 * starting: opens its pools, at the array's start. returning: was started again after its death. leaving: gives its pools
 * away before a restart on command. joining: fenced, and being ended. dead: gone, will be started again. down: stays so.
 */
export type DirectorState = "starting" | "active" | "leaving" | "joining" | "dead" | "returning" | "down";

export type DirectorRequestBody =
  /** Writes the array document to the drives of this director's pools. */
  | { readonly kind: "storeArrayDocument"; readonly document: ArrayDocument }
  /** Takes new routing into force; sent to every director after the document is stored. */
  | { readonly kind: "route"; readonly routing: Routing }
  | { readonly kind: "openPortal" }
  | { readonly kind: "createVolume"; readonly pool: number; readonly volume: VolumeDocument }
  | { readonly kind: "growVolume"; readonly volume: VolumeNumber; readonly sizeBytes: number }
  | { readonly kind: "deleteVolume"; readonly volume: VolumeNumber }
  /** Answered when everything that was dirty is on the drives and the journal is empty. */
  | { readonly kind: "destagePool"; readonly pool: number }
  /** start: also goes on with one that is paused. Refused where there is nothing to pause or to cancel. */
  | { readonly kind: "scrubPool"; readonly pool: number; readonly action: ScrubAction }
  /** Until the next start; the shares that are not given stay. */
  | {
      readonly kind: "setShares";
      readonly pool: number;
      readonly rebuildSharePercent?: number | undefined;
      readonly scrubSharePercent?: number | undefined;
    }
  /** What is lost is rebuilt without waiting for it to come back. */
  | { readonly kind: "rebuildPool"; readonly pool: number }
  /** Answered by the identities (string[]) that may be wiped out in that drive's place; refused where it may be needed. */
  | { readonly kind: "mayReplaceDrive"; readonly pool: number; readonly drive: string }
  /** People put another drive into its place. */
  | { readonly kind: "drivePlaced"; readonly pool: number; readonly drive: string }
  | { readonly kind: "status" }
  /** Stops portals, ends sessions, makes journals durable. */
  | { readonly kind: "stop" };

export type DirectorRequest = DirectorRequestBody & { readonly id: number };

export interface DriveStatus {
  readonly name: string;
  /** spare: holds nothing, and stands by. */
  readonly state: MemberState | "spare";
  readonly reason?: string;
  readonly capacityBytes: number;
  readonly zonesUsed: number;
  readonly zoneCount: number;
  /** What redundancy made good of late, decayed (driveHealth). */
  readonly errors?: number;
}

/** A drive that is brought up to date. */
export interface RebuildStatus {
  readonly drive: string;
  readonly position: number;
  /** The drive that it is built from, where it takes the place of one that still serves. */
  readonly from?: string;
  readonly zonesDone: number;
  readonly zonesTotal: number;
  readonly writtenBytes: number;
  /** Strips that nothing had any more. */
  readonly lostStrips: number;
  /** Of the time, while hosts are active. */
  readonly sharePercent: number;
  /** At the rate so far. */
  readonly secondsLeft?: number;
}

/** What one scrub of a pool did. Of one that a restart cut: since then. */
export interface ScrubResult {
  readonly bytesRead: number;
  /** Strips that were not what was written: their zones were moved. */
  readonly badStrips: number;
  readonly movedZones: number;
  /** Blocks that nothing had any more: medium errors. */
  readonly lostBlocks: number;
  /** Strips of which not even tags were left: what was in them is not known. */
  readonly lostStrips: number;
}

export interface ScrubStatus {
  readonly state: "idle" | "running" | "paused";
  /** Of the time, while hosts are active. */
  readonly sharePercent: number;
  /** 0: on command only. */
  readonly intervalHours: number;
  /** That the pool was served, since the last scrub ended. */
  readonly hoursSinceLast: number;
  readonly zonesDone?: number;
  readonly zonesTotal?: number;
  readonly found?: ScrubResult;
  readonly secondsLeft?: number;
  readonly last?: ScrubResult;
}

export type ScrubAction = "start" | "pause" | "cancel";

/** A volume as its director found it. */
export interface FoundVolume extends VolumeDocument {
  readonly pool: number;
}

/**
 * What changes of a pool's volumes without the control plane: one element of each list for each volume. Numbers only,
 * because the director makes it beside the data path at each scrape: at 1,000 volumes microseconds, where documents took
 * most of a millisecond.
 */
export interface VolumesUsage {
  readonly volume: Uint32Array;
  readonly mappedBytes: Float64Array;
  /** 1 or 0: hosts change it. */
  readonly writeCacheEnabled: Uint8Array;
}

export interface PoolStatus {
  readonly index: number;
  readonly name: string;
  /** readonly: more drives are gone than its level makes good; what the others have is read, and nothing written. */
  readonly state: "optimal" | "degraded" | "readonly" | "failed";
  readonly reason?: string;
  readonly owner: number;
  readonly epoch: number;
  readonly drives: readonly DriveStatus[];
  readonly usage: VolumesUsage;
  /** Bytes that hosts can store, the compaction reserve taken off. */
  readonly usableBytes: number;
  /** Bytes of live blocks on the drives. */
  readonly liveBytes: number;
  readonly dirtyBytes: number;
  readonly journalBytes: number;
  readonly journalLiveBytes: number;
  readonly zonesFree: number;
  readonly zonesUsed: number;
  readonly rebuild?: RebuildStatus;
  readonly rebuildSharePercent?: number;
  readonly scrub?: ScrubStatus;
  /** Lost for good; absent: nothing is. */
  readonly lost?: LostStatus;
  /** Of a pool that is read-only: what can't be read while drives are away; absent while that is being found out, or nothing. */
  readonly unreadable?: LostStatus;
}

/** Blocks of 4 KiB that can't be had. */
export interface LostStatus {
  readonly blocks: number;
  /** Sorted; bounded. */
  readonly ranges: readonly { readonly volume: number; readonly firstBlock: number; readonly blockCount: number }[];
  /** Not among the ranges. */
  readonly unlistedBlocks: number;
}

export interface SessionStatus {
  readonly director: string;
  readonly initiatorName: string;
  readonly isid: string;
  readonly tsih: number;
  readonly address: string;
  readonly headerDigest: boolean;
  readonly dataDigest: boolean;
  readonly since: string;
  readonly discovery: boolean;
}

export interface DirectorStatus {
  readonly name: string;
  readonly index: number;
  readonly portal: { readonly address: string; readonly listening: boolean; readonly reason?: string };
  readonly pools: readonly PoolStatus[];
  readonly sessions: readonly SessionStatus[];
}

/** What a director found when it opened its pools: its first message. */
export interface DirectorOpened {
  readonly director: number;
  readonly pools: readonly PoolStatus[];
  /** Of these pools. */
  readonly volumes: readonly FoundVolume[];
  /** The newest array document on its drives, if any. */
  readonly array: ArrayDocument | undefined;
  readonly arrayDocumentIsNew: boolean;
}

export type DirectorReply =
  | { readonly id: number; readonly ok: true; readonly value: unknown }
  | {
      readonly id: number;
      readonly ok: false;
      readonly code: "conflict" | "notFound" | "spaceExhausted" | "failed";
      readonly message: string;
    };

export type Severity = "info" | "warning" | "critical";

/** Something that people should know: event stream, metric and log. */
export interface ArrayEvent {
  readonly time: string;
  readonly severity: Severity;
  /** Dotted and stable, e.g. "drive.missing", "pool.nearlyFull", "session.login". */
  readonly type: string;
  readonly subject: string;
  readonly message: string;
}

/** A pool that a director has opened while the array serves: what control plane and drives may disagree on, as it is. */
export interface PoolOpened {
  readonly director: number;
  readonly status: PoolStatus;
  readonly volumes: readonly FoundVolume[];
  /** The newest array document on its drives. */
  readonly array: ArrayDocument | undefined;
}

export type DirectorMessage =
  | { readonly kind: "opened"; readonly opened: DirectorOpened }
  | { readonly kind: "poolOpened"; readonly opened: PoolOpened }
  | { readonly kind: "reply"; readonly reply: DirectorReply }
  | { readonly kind: "event"; readonly event: ArrayEvent };

/** What main hands the control plane's thread. */
export interface ControlWorkerData {
  readonly memory: GlobalMemoryTransfer;
  readonly config: Config;
  /** One end of a channel to each director, in the order of `config.directors`; in the transfer list too. */
  readonly directors: readonly MessagePort[];
  readonly ownership: Ownership;
}

/** What is asked of the drives themselves, by name: main knows their threads. */
export type DriveCommand =
  /** Faults on command, in the place of those before; undefined takes them away. */
  | { readonly kind: "setFaults"; readonly drive: string; readonly faults: DriveFaultSettings | undefined }
  /** Answered by FaultyDrive[], of the drives that have faults set. */
  | { readonly kind: "faults" }
  /** As if the drive were pulled out of its slot: it is closed, and can't be reached. */
  | { readonly kind: "pull"; readonly drive: string }
  /** Opens the drive in its slot again. */
  | { readonly kind: "insert"; readonly drive: string }
  /** Makes a new, empty drive in its slot; what is there goes, if it is one of `erasable`, or no drive at all. */
  | { readonly kind: "replace"; readonly drive: string; readonly erasable: readonly string[] }
  /** The thread of a pool's drives throws. */
  | { readonly kind: "throw"; readonly pool: number };

export interface FaultyDrive {
  readonly drive: string;
  readonly pool: number;
  readonly rules: readonly FaultRuleStatus[];
}

export type DriveAnswer =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly code: "notFound" | "conflict" | "failed"; readonly message: string };

/** What people did to a drive that they should not forget. */
export interface DriveCondition {
  readonly drive: string;
  readonly pool: number;
  readonly pulled: boolean;
  readonly faultRules: number;
}

/** What an operator may do to a director, to see what becomes of it. */
export type DirectorFault =
  /** Main ends its thread. */
  | { readonly kind: "kill" }
  /** An error that nobody catches. */
  | { readonly kind: "throw" }
  /** Its thread ends by itself. */
  | { readonly kind: "exit" }
  /** An endless loop, for so long. */
  | { readonly kind: "hang"; readonly seconds: number }
  /** It does not reach the drive threads of its pools, for so long: its partner brings on what it asks of them. */
  | { readonly kind: "cutOff"; readonly seconds: number };

/** What only main can do. Each is answered once, by `commandEnded` with its `id`. */
export type MainCommand =
  /** Ends when the pool is served there. */
  | { readonly kind: "movePool"; readonly pool: number; readonly to: number }
  /** Ends when the director has come back. */
  | { readonly kind: "restartDirector"; readonly director: number }
  /** Ends when the fault is on its way. */
  | { readonly kind: "directorFault"; readonly director: number; readonly fault: DirectorFault };

/** Control plane → main, on its parentPort. */
export type ControlToMain =
  | { readonly kind: "driveCommand"; readonly id: number; readonly command: DriveCommand }
  | { readonly kind: "ready"; readonly summary: ArraySummary }
  | { readonly kind: "command"; readonly id: number; readonly command: MainCommand }
  /** It can't go on; main ends the process with this message. */
  | { readonly kind: "fatal"; readonly message: string }
  | { readonly kind: "stopped" };

/** Main → control plane. */
export type MainToControl =
  /** One for each "driveCommand". */
  | { readonly kind: "driveAnswer"; readonly id: number; readonly answer: DriveAnswer }
  /** The drives that are pulled or have faults set, whenever that changes. */
  | { readonly kind: "driveConditions"; readonly conditions: readonly DriveCondition[] }
  /** Close HTTP within a second, then answer "stopped". */
  | { readonly kind: "stop" }
  /** Something that main or a thread without a port to the control plane noticed. */
  | { readonly kind: "event"; readonly event: ArrayEvent }
  | { readonly kind: "ownership"; readonly ownership: Ownership }
  /** A director was started again: the port to it, in the transfer list too. */
  | { readonly kind: "directorPort"; readonly director: number; readonly port: MessagePort }
  | { readonly kind: "commandEnded"; readonly id: number; readonly refusal?: string };

/** What the banner prints once the array serves. */
export interface ArraySummary {
  readonly arrayId: string;
  readonly targetName: string;
  readonly firstStart: boolean;
  readonly apiUrl: string;
  /** Where the API token is kept; undefined where it was configured. */
  readonly tokenFile: string | undefined;
  readonly portals: readonly {
    readonly director: string;
    readonly address: string;
    readonly advertise: string;
    readonly open: boolean;
    readonly reason?: string;
  }[];
  readonly pools: readonly { readonly name: string; readonly state: PoolStatus["state"]; readonly driveCount: number }[];
  readonly luns: readonly {
    readonly lun: number;
    readonly volume: string;
    readonly sizeBytes: number;
    readonly pool: string;
    readonly owner: string;
  }[];
}
