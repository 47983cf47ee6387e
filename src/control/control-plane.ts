/**
 * What the API's routes work on: the array once it has started, and what is there before.
 *
 * Runs on: the control thread.
 */
import type { MessagePort } from "node:worker_threads";
import type { Config } from "../config/config.ts";
import { ApiError } from "./api-error.ts";
import type { ArrayState } from "./array-state.ts";
import { Audit } from "./audit.ts";
import { ChangeQueue } from "./change-queue.ts";
import type { DirectorState, DirectorStatus, MainCommand, Ownership, PoolOpened, PoolStatus } from "./contract.ts";
import { DirectorError, type DirectorLink } from "./director-link.ts";
import type { DriveLink } from "./drive-link.ts";
import { EventLog } from "./event-log.ts";
import { MainLink } from "./main-link.ts";
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
  readonly main: MainLink;
  readonly startedAt = performance.now();
  private readonly links: readonly DirectorLink[];
  private started: Serving | undefined;
  private owned: Ownership;

  constructor(
    config: Config,
    links: readonly DirectorLink[],
    drives: DriveLink,
    events: EventLog = new EventLog(),
    tellMain: (id: number, command: MainCommand) => void = () => {},
  ) {
    this.config = config;
    this.events = events;
    this.links = links;
    this.status = new StatusReader(links);
    this.drives = drives;
    this.main = new MainLink(tellMain);
    this.owned = {
      version: 0,
      pools: config.pools.map(({ owner }) => ({ owner, access: "active" })),
      directors: config.directors.map(() => "active"),
      failovers: 0,
      takeoverSeconds: 0,
    };
    for (const link of links) link.onPoolOpened = (opened) => this.poolOpened(opened);
  }

  /** Start-up is done: routes answer from now on. */
  serve(serving: Serving): void {
    this.started = serving;
    this.setOwnership(this.owned);
  }

  /** Who owns what, as main has last said. */
  get ownership(): Ownership {
    return this.owned;
  }

  setOwnership(ownership: Ownership): void {
    this.owned = ownership;
    if (this.started === undefined) return;
    this.started.array.setOwnership(ownership);
    for (const [index, state] of ownership.directors.entries()) {
      if (!SERVING_STATES.includes(state)) this.started.portals.lost(index, `its director is ${state}`);
    }
  }

  /** A director was started again: it gets its routing and its portal when it is up. */
  directorStarted(index: number, port: MessagePort): void {
    const link = this.links[index]!;
    link.attach(port);
    link.opened
      .then(() =>
        this.changes.run(async () => {
          const { array, portals } = this.serving();
          await array.route();
          await portals.open();
        }),
      )
      .catch((error: unknown) => this.tellFailed(`director ${link.director.name}`, error));
  }

  private poolOpened(opened: PoolOpened): void {
    // While the array starts its directors report everything with their first message.
    if (this.started === undefined) return;
    const { array } = this.started;
    this.changes
      .run(() => array.poolOpened(opened))
      .catch((error: unknown) => this.tellFailed(`pool ${opened.status.name}`, error));
  }

  private tellFailed(subject: string, error: unknown): void {
    const message = `${subject} came back, and could not be told all that it needs: ${(error as Error).message}`;
    this.events.add({ time: new Date().toISOString(), severity: "critical", type: "director.notRouted", subject, message });
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

  /** Whether a director is one that should answer. */
  private isUp(index: number): boolean {
    return SERVING_STATES.includes(this.owned.directors[index]!);
  }

  /** Fresh status of every director that runs. @throws DirectorError where one does not answer */
  async statusOrThrow(): Promise<DirectorStatus[]> {
    const { directors, failures } = await this.status.readFresh();
    const failure = failures.find((one, index) => one !== undefined && this.isUp(index));
    if (failure !== undefined) throw failure;
    return directors.filter((status) => status !== undefined);
  }

  health(answer: StatusAnswer): { live: boolean; ready: boolean; reasons: string[]; warnings: string[] } {
    const reasons: string[] = [];
    const warnings: string[] = [];
    if (this.started === undefined) reasons.push("the array is starting: pools are opened, journals replayed");
    for (const [index, failure] of answer.failures.entries()) {
      if (failure !== undefined && this.isUp(index)) reasons.push(failure.message);
    }
    for (const [index, { director, open, reason }] of (this.started?.portals.states ?? []).entries()) {
      if (!this.isUp(index)) warnings.push(`director ${director} is ${this.owned.directors[index]}: hosts use the other portals`);
      else if (!open) reasons.push(`portal ${director} is closed: ${reason ?? "no reason given"}`);
    }
    for (const [pool, { access }] of this.owned.pools.entries()) {
      if (access === "active" || this.started === undefined) continue;
      const reason = access === "transitioning" ? "changes its owner" : "is served by no director";
      if (!answer.directors.some((status) => status?.pools.some(({ index, state }) => index === pool && state === "failed")))
        reasons.push(`pool ${this.config.pools[pool]!.name} ${reason}`);
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
        if (pool.state === "readonly") warnings.push(`pool ${pool.name} is read-only: ${pool.reason ?? "no reason given"}`);
        if (pool.state === "degraded") warnings.push(`pool ${pool.name} is degraded: ${pool.reason ?? missingDrives(pool)}`);
        for (const drive of pool.drives) {
          if (drive.state !== "predictive") continue;
          warnings.push(`drive ${drive.name} of pool ${pool.name} should be replaced: ${drive.reason ?? "no reason given"}`);
        }
        if (pool.state === "optimal") warnings.push(...missingSpares(pool, this.config.pools[pool.index]!.spares.length));
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

/** In these states a director answers, and its portal serves hosts. */
const SERVING_STATES: readonly DirectorState[] = ["starting", "active", "leaving"];

/** A pool whose redundancy is whole, and whose next failure would find no spare. */
function missingSpares({ name, drives }: PoolStatus, configured: number): string[] {
  if (configured === 0 || drives.some(({ state }) => state === "spare" || state === "rebuilding")) return [];
  const out = drives.filter(({ state }) => OUT_STATES.has(state)).map((drive) => `drive ${drive.name} is ${drive.state}`);
  return [
    `pool ${name} has no spare left: replace ${out.length === 0 ? "the drive that is missing" : `what is out (${out.join(", ")})`}`,
  ];
}

const OUT_STATES: ReadonlySet<string> = new Set(["missing", "failed", "foreign"]);

function missingDrives(pool: PoolStatus): string {
  const drives = pool.drives
    .filter((drive) => drive.state !== "online" && drive.state !== "predictive" && drive.state !== "spare")
    .map((drive) => `drive ${drive.name} is ${drive.state}`);
  return drives.join(", ") || "redundancy is reduced";
}
