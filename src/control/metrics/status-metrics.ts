/**
 * Metrics out of the directors' status: capacity, fill, journal, states, sessions; and of the control plane itself.
 *
 * Runs on: the control thread. A director that does not answer in time keeps its last values and has `varray_director_up` 0.
 * States are state sets: one series for each state, 1 for the one that holds.
 */
import { Counter, Gauge, type Registry } from "prom-client";
import type { DirectorState, DirectorStatus, DriveStatus, PoolStatus, VolumeAccess } from "../contract.ts";
import type { ControlPlane } from "../control-plane.ts";
import { provisionedBytes } from "../overcommit.ts";
import { VERSION } from "../version.ts";

const POOL_STATES: readonly PoolStatus["state"][] = ["optimal", "degraded", "readonly", "failed"];
const DRIVE_STATES: readonly DriveStatus["state"][] = [
  "online",
  "predictive",
  "rebuilding",
  "missing",
  "failed",
  "foreign",
  "spare",
];
const DIRECTOR_STATES: readonly DirectorState[] = ["starting", "active", "leaving", "joining", "dead", "returning", "down"];
const ACCESSES: readonly VolumeAccess[] = ["active", "transitioning", "unavailable"];

export class StatusMetrics {
  private readonly plane: ControlPlane;
  private readonly gauges: Readonly<Record<GaugeName, Gauge>>;
  private readonly eventsTotal: Counter;
  private readonly failoversTotal: Counter;
  readonly apiRequests: Counter;

  constructor(registry: Registry, plane: ControlPlane) {
    this.plane = plane;
    const gauges = Object.entries(GAUGES).map(([name, [metric, help, ...labelNames]]) => {
      return [name, new Gauge({ name: metric, help, labelNames, registers: [registry] })] as const;
    });
    this.gauges = Object.fromEntries(gauges) as Record<GaugeName, Gauge>;
    this.eventsTotal = new Counter({
      name: "varray_events_total",
      help: "Events of the array, by type and severity.",
      labelNames: ["type", "severity"],
      registers: [registry],
    });
    this.failoversTotal = new Counter({
      name: "varray_failovers_total",
      help: "Deaths of directors whose pools a partner took over.",
      registers: [registry],
    });
    this.apiRequests = new Counter({
      name: "varray_api_requests_total",
      help: "Requests to the API, by route and status.",
      labelNames: ["method", "route", "status"],
      registers: [registry],
    });
  }

  /** Before a scrape is answered. */
  async update(): Promise<void> {
    const { gauges, plane } = this;
    const answer = plane.isServing ? await plane.status.read() : { directors: [], failures: [] };
    for (const gauge of Object.values(gauges)) gauge.reset();
    gauges.ready.set(plane.health(answer).ready ? 1 : 0);
    gauges.frames.set(plane.config.memory.frameBytes);
    for (const [index, { name }] of plane.config.directors.entries()) {
      const answers = plane.isServing && answer.failures[index] === undefined;
      gauges.directorUp.set({ director: name }, answers ? 1 : 0);
      for (const state of DIRECTOR_STATES) {
        gauges.directorState.set({ director: name, state }, plane.ownership.directors[index] === state ? 1 : 0);
      }
    }
    for (const { drive, pool, pulled, faultRules } of plane.drives.conditions) {
      const labels = { pool: plane.config.pools[pool]?.name ?? "", drive };
      gauges.driveFaults.set(labels, faultRules);
      gauges.drivePulled.set(labels, pulled ? 1 : 0);
    }
    for (const [index, { access }] of plane.ownership.pools.entries()) {
      const pool = plane.config.pools[index]!.name;
      for (const one of ACCESSES) gauges.poolAccess.set({ pool, access: one }, access === one ? 1 : 0);
    }
    this.failoversTotal.reset();
    this.failoversTotal.inc(plane.ownership.failovers);
    gauges.takeoverSeconds.set(plane.ownership.takeoverSeconds);
    for (const status of answer.directors) if (status !== undefined) this.director(status);
    this.eventsTotal.reset();
    for (const { type, severity, count } of plane.events.counts()) this.eventsTotal.inc({ type, severity }, count);
    if (!plane.isServing) return;
    const { arrayId, targetName } = plane.serving().array.document;
    gauges.info.set({ version: VERSION, array_id: arrayId, target: targetName }, 1);
  }

  private director(status: DirectorStatus): void {
    const { gauges } = this;
    gauges.sessions.set({ director: status.name }, status.sessions.length);
    gauges.portalOpen.set({ director: status.name }, status.portal.listening ? 1 : 0);
    for (const pool of status.pools) this.pool(pool);
  }

  private pool(status: PoolStatus): void {
    const { gauges } = this;
    const pool = status.name;
    gauges.poolUsable.set({ pool }, status.usableBytes);
    gauges.poolLive.set({ pool }, status.liveBytes);
    gauges.poolLost.set({ pool }, (status.lost?.blocks ?? 0) * 4096);
    gauges.poolUnreadable.set({ pool }, (status.unreadable?.blocks ?? 0) * 4096);
    gauges.poolDirty.set({ pool }, status.dirtyBytes);
    gauges.poolJournal.set({ pool }, status.journalBytes);
    gauges.poolJournalLive.set({ pool }, status.journalLiveBytes);
    gauges.poolEpoch.set({ pool }, status.epoch);
    gauges.poolOwner.set({ pool, director: this.plane.config.directors[status.owner]?.name ?? "" }, 1);
    for (const state of POOL_STATES) gauges.poolState.set({ pool, state }, status.state === state ? 1 : 0);
    for (const drive of status.drives) {
      const labels = { pool, drive: drive.name };
      for (const state of DRIVE_STATES) gauges.driveState.set({ ...labels, state }, drive.state === state ? 1 : 0);
      gauges.driveErrors.set(labels, drive.errors ?? 0);
      gauges.driveCapacity.set(labels, drive.capacityBytes);
      gauges.driveZones.set(labels, drive.zoneCount);
      gauges.driveZonesUsed.set(labels, drive.zonesUsed);
    }
    this.volumes(status);
  }

  private volumes({ index, name: pool, usage }: PoolStatus): void {
    const { gauges } = this;
    const { array } = this.plane.serving();
    gauges.poolProvisioned.set({ pool }, provisionedBytes(array, index));
    for (const [n, number] of usage.volume.entries()) {
      const document = array.volumes.get(number)?.document;
      // One that is made or deleted at this moment.
      if (document === undefined) continue;
      gauges.volumeSize.set({ pool, volume: document.name }, document.sizeBytes);
      gauges.volumeMapped.set({ pool, volume: document.name }, usage.mappedBytes[n]!);
    }
  }
}

/** Metric, help, labels. */
const GAUGES = {
  info: ["varray_info", "1; what this array is.", "version", "array_id", "target"],
  ready: ["varray_ready", "1 when hosts can log in and every pool serves."],
  frames: ["varray_memory_frames_bytes", "Global memory for data."],
  directorUp: ["varray_director_up", "1 when the director answers the control plane.", "director"],
  directorState: [
    "varray_director_state",
    "1 for the state that holds: starting, active, leaving, joining, dead, returning, down.",
    "director",
    "state",
  ],
  takeoverSeconds: ["varray_takeover_seconds", "How long the last pool that was taken over was not served."],
  poolAccess: ["varray_pool_access", "1 for the access that holds: active, transitioning, unavailable.", "pool", "access"],
  poolEpoch: ["varray_pool_epoch", "Rises with every change of the pool's owner.", "pool"],
  sessions: ["varray_sessions", "iSCSI sessions.", "director"],
  portalOpen: ["varray_portal_open", "1 when the director's portal listens.", "director"],
  poolUsable: ["varray_pool_usable_bytes", "What hosts can store, the compaction reserve taken off.", "pool"],
  poolLive: ["varray_pool_live_bytes", "Live blocks on the drives.", "pool"],
  poolDirty: ["varray_pool_write_pending_bytes", "Acknowledged and journaled, not on the drives yet.", "pool"],
  poolProvisioned: ["varray_pool_provisioned_bytes", "Sizes of the pool's volumes together.", "pool"],
  poolJournal: ["varray_pool_journal_size_bytes", "Size of the pool's journal.", "pool"],
  poolJournalLive: ["varray_pool_journal_used_bytes", "Journal that holds live records.", "pool"],
  poolUnreadable: ["varray_pool_unreadable_bytes", "Of a read-only pool: what can't be read while drives are away.", "pool"],
  poolLost: ["varray_pool_lost_bytes", "Lost for good, until it is written anew.", "pool"],
  poolOwner: ["varray_pool_owner", "1 for the director that owns the pool.", "pool", "director"],
  poolState: ["varray_pool_state", "1 for the state that holds: optimal, degraded, readonly, failed.", "pool", "state"],
  driveState: [
    "varray_drive_state",
    "1 for the state that holds: online, predictive, rebuilding, missing, failed, foreign, spare.",
    "pool",
    "drive",
    "state",
  ],
  driveFaults: ["varray_drive_faults", "Faults on command that the drive has now; no series: none.", "pool", "drive"],
  drivePulled: ["varray_drive_pulled", "1 for a drive that was pulled on command; no series: none.", "pool", "drive"],
  driveErrors: ["varray_drive_recent_errors", "Errors of the drive that redundancy made good of late, decayed.", "pool", "drive"],
  driveCapacity: ["varray_drive_capacity_bytes", "Size of the drive.", "pool", "drive"],
  driveZones: ["varray_drive_zones", "Zones of the drive.", "pool", "drive"],
  driveZonesUsed: ["varray_drive_zones_used", "Zones of the drive that exist.", "pool", "drive"],
  volumeSize: ["varray_volume_size_bytes", "What hosts see of the volume.", "pool", "volume"],
  volumeMapped: ["varray_volume_mapped_bytes", "What was written to the volume and is kept.", "pool", "volume"],
} as const satisfies Record<string, readonly [string, string, ...string[]]>;
type GaugeName = keyof typeof GAUGES;
