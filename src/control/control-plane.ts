/**
 * What the API's routes work on: the array once it has started, and what is there before.
 *
 * Runs on: the control thread.
 */
import type { Config } from "../config/config.ts";
import { ApiError } from "./api-error.ts";
import type { ArrayState } from "./array-state.ts";
import { Audit } from "./audit.ts";
import { ChangeQueue } from "./change-queue.ts";
import type { DirectorStatus, PoolStatus } from "./contract.ts";
import { DirectorError, type DirectorLink } from "./director-link.ts";
import type { DriveLink } from "./drive-link.ts";
import { EventLog } from "./event-log.ts";
import type { Portals } from "./portals.ts";
import { type StatusAnswer, StatusReader } from "./status-reader.ts";

/** From here on an operator has to act: pools tell the same by the event pool.nearlyFull. */
const NEARLY_FULL_SHARE = 0.85;

/** The request that commands a change. */
export interface Command {
  readonly ip: string;
  readonly method: string;
  readonly url: string;
}

export interface Serving {
  readonly array: ArrayState;
  readonly portals: Portals;
}

export class ControlPlane {
  readonly config: Config;
  readonly events: EventLog;
  readonly changes = new ChangeQueue();
  readonly status: StatusReader;
  readonly drives: DriveLink;
  readonly startedAt = performance.now();
  private started: Serving | undefined;

  constructor(config: Config, links: readonly DirectorLink[], drives: DriveLink, events: EventLog = new EventLog()) {
    this.config = config;
    this.events = events;
    this.status = new StatusReader(links);
    this.drives = drives;
  }

  /** Start-up is done: routes answer from now on. */
  serve(serving: Serving): void {
    this.started = serving;
  }

  get isServing(): boolean {
    return this.started !== undefined;
  }

  /** @throws ApiError 503 while the array starts */
  serving(): Serving {
    if (this.started !== undefined) return this.started;
    throw new ApiError(503, "starting", "the array is starting (journals are replayed); see /healthz");
  }

  /** One change at a time; see ChangeQueue. */
  change<T>(command: Command, change: (serving: Serving, audit: Audit) => Promise<T>): Promise<T> {
    const serving = this.serving();
    return this.audited(command, (audit) => this.changes.run(() => change(serving, audit)));
  }

  /** What a director refused, or left without an answer, may have been done in part: that is on record too. */
  async audited<T>({ ip, method, url }: Command, work: (audit: Audit) => Promise<T>): Promise<T> {
    const audit = new Audit(this.events, ip);
    try {
      return await work(audit);
    } catch (error) {
      if (error instanceof DirectorError)
        audit.record("warning", "change.failed", "array", `${method} ${url} failed: ${error.message}`);
      throw error;
    }
  }

  /** Fresh status of every director. @throws DirectorError where one does not answer */
  async statusOrThrow(): Promise<DirectorStatus[]> {
    const { directors, failures } = await this.status.readFresh();
    const failure = failures.find((one) => one !== undefined);
    if (failure !== undefined) throw failure;
    return directors.map((status) => status!);
  }

  health(answer: StatusAnswer): { live: boolean; ready: boolean; reasons: string[]; warnings: string[] } {
    const reasons: string[] = [];
    const warnings: string[] = [];
    if (this.started === undefined) reasons.push("the array is starting: pools are opened, journals replayed");
    for (const failure of answer.failures) if (failure !== undefined) reasons.push(failure.message);
    for (const { director, open, reason } of this.started?.portals.states ?? []) {
      if (!open) reasons.push(`portal ${director} is closed: ${reason ?? "no reason given"}`);
    }
    for (const status of answer.directors) {
      if (status === undefined) continue;
      const portal = this.started?.portals.states[status.index];
      if (portal?.open === true && !status.portal.listening) {
        reasons.push(`portal ${status.name} does not listen: ${status.portal.reason ?? "no reason given"}`);
      }
      for (const pool of status.pools) {
        if (pool.state === "failed")
          reasons.push(
            pool.reason?.startsWith(`pool ${pool.name} `)
              ? pool.reason
              : `pool ${pool.name} failed: ${pool.reason ?? "no reason given"}`,
          );
        if (pool.state === "degraded") warnings.push(`pool ${pool.name} is degraded: ${pool.reason ?? missingDrives(pool)}`);
        for (const drive of pool.drives) {
          if (drive.state !== "predictive") continue;
          warnings.push(`drive ${drive.name} of pool ${pool.name} should be replaced: ${drive.reason ?? "no reason given"}`);
        }
        const used = pool.usableBytes > 0 ? (pool.liveBytes + pool.dirtyBytes) / pool.usableBytes : 0;
        if (used >= NEARLY_FULL_SHARE) {
          warnings.push(
            `pool ${pool.name} is ${Math.min(100, Math.floor(used * 100))} % full: when it is full, writes to new blocks are refused`,
          );
        }
      }
    }
    for (const { drive, pulled, faultRules } of this.drives.conditions) {
      if (pulled) warnings.push(`drive ${drive} is pulled, on command: varray drives insert ${drive}`);
      if (faultRules > 0) warnings.push(`drive ${drive} has ${faultRules} fault(s) on command: varray faults clear ${drive}`);
    }
    return { live: true, ready: reasons.length === 0, reasons, warnings };
  }
}

function missingDrives(pool: PoolStatus): string {
  const drives = pool.drives
    .filter((drive) => drive.state !== "online" && drive.state !== "predictive" && drive.state !== "spare")
    .map((drive) => `drive ${drive.name} is ${drive.state}`);
  return drives.join(", ") || "redundancy is reduced";
}
