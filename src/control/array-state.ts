/**
 * What the control plane knows of the array: the stored document, the volumes, and who owns which pool.
 *
 * Runs on: the control thread. Changed only inside the ChangeQueue (and by start-up, before it).
 * Invariants:
 *  1. A document is in force (`document`) only after every director that runs has stored it, and one pool at least. A pool
 *     that was on its way between two directors gets it when it is opened (`poolOpened`).
 *  2. A document version is never used twice, also when storing it failed half way.
 *  3. `nextVolume` is above every number in `volumes` and in every document stored before.
 */
import type { Config } from "../config/config.ts";
import type { VolumeNumber } from "../volume/block-io.ts";
import { ApiError } from "./api-error.ts";
import type { ArrayDocument, FoundVolume, Ownership, PoolOpened, PoolStatus, Routing, VolumeDocument } from "./contract.ts";
import { DirectorError, type DirectorLink } from "./director-link.ts";
import type { EventLog } from "./event-log.ts";

/** A drive takes 256 KiB as one value; four of them are the checksum. */
const ARRAY_DOCUMENT_BYTES_MAX = 256 * 1024 - 4;

export interface KnownVolume {
  readonly document: VolumeDocument;
  readonly pool: number;
}

export class ArrayState {
  readonly config: Config;
  readonly links: readonly DirectorLink[];
  readonly events: EventLog;
  readonly volumes = new Map<VolumeNumber, KnownVolume>();
  document: ArrayDocument;
  /** Pools that did not open: what they hold, and the newest document they know, can't be seen. */
  failedPools: readonly string[];
  private versionUsed: number;
  private owners: Ownership["pools"];

  constructor(
    config: Config,
    links: readonly DirectorLink[],
    events: EventLog,
    document: ArrayDocument,
    pools: readonly PoolStatus[],
    volumes: readonly FoundVolume[],
  ) {
    this.config = config;
    this.links = links;
    this.events = events;
    this.document = document;
    this.failedPools = pools.filter(({ state }) => state === "failed").map(({ name }) => name);
    this.versionUsed = document.version;
    this.owners = config.pools.map(({ owner }) => ({ owner, access: "active" }));
    for (const { pool, ...document } of volumes) this.volumes.set(document.volume, { document, pool });
  }

  setOwnership({ pools }: Ownership): void {
    this.owners = pools;
  }

  /** @throws ApiError where no director serves the pool at the moment */
  ownerLink(pool: number): DirectorLink {
    const { owner, access } = this.owners[pool]!;
    const { name } = this.config.pools[pool]!;
    if (access === "transitioning")
      throw new ApiError(503, "poolChangesOwner", `pool ${name} is on its way to director ${this.ownerName(pool)}: try again`);
    return this.links[owner]!;
  }

  /** Owner's name, for people. */
  ownerName(pool: number): string {
    return this.config.directors[this.owners[pool]!.owner]!.name;
  }

  /**
   * A director opened a pool while the array serves, after its owner's death or on a move: what it found on the drives is what is
   * true, also of a change that was under way.
   */
  async poolOpened({ status, volumes, array }: PoolOpened): Promise<void> {
    const others = this.failedPools.filter((name) => name !== status.name);
    this.failedPools = status.state === "failed" ? [...others, status.name] : others;
    if (status.state !== "failed") {
      for (const [number, { pool }] of this.volumes) if (pool === status.index) this.volumes.delete(number);
      for (const { pool, ...document } of volumes) this.volumes.set(document.volume, { document, pool });
      if (array?.version !== this.document.version) await this.store({});
    }
    await this.route();
  }

  lunsOf(volume: VolumeNumber): number[] {
    return this.document.luns.filter((mapping) => mapping.volume === volume).map(({ lun }) => lun);
  }

  /** The LUNs of all volumes that have some. */
  lunsByVolume(): ReadonlyMap<VolumeNumber, readonly number[]> {
    const found = new Map<VolumeNumber, number[]>();
    for (const { lun, volume } of this.document.luns) {
      const luns = found.get(volume);
      if (luns === undefined) found.set(volume, [lun]);
      else luns.push(lun);
    }
    return found;
  }

  findVolume(nameOrNumber: string): KnownVolume | undefined {
    if (/^\d+$/.test(nameOrNumber)) return this.volumes.get(Number(nameOrNumber));
    return [...this.volumes.values()].find(({ document }) => document.name === nameOrNumber);
  }

  /**
   * Makes `changes` part of the document: stored by every director, then in force here.
   *
   * Where one fails, the old content is stored again under a still newer version, so that a restart does not find half
   * a change; where that fails too, an event says that the outcome is open until the next change or restart.
   */
  async store(changes: Partial<Omit<ArrayDocument, "version" | "formatVersion" | "arrayId">>): Promise<void> {
    const next: ArrayDocument = { ...this.document, ...changes, version: this.versionUsed + 1 };
    checkFits(next);
    this.versionUsed += 1;
    try {
      await this.storeEverywhere(next);
    } catch (error) {
      await this.storeBack();
      throw error;
    }
    this.document = next;
  }

  /** Hands the routing to every director that runs; another gets it when it is back. */
  async route(): Promise<void> {
    const routing = this.routing();
    await this.everyLink((link) => link.request({ kind: "route", routing }));
  }

  /** Of the volumes only those that are a LUN: no host reaches another. */
  routing(): Routing {
    const volumes: Routing["volumes"][number][] = [];
    for (const { volume } of this.document.luns) {
      const known = this.volumes.get(volume);
      if (known === undefined) continue;
      const { pool, document } = known;
      volumes.push({ volume, pool, ...this.owners[pool]!, logicalBlockBytes: document.logicalBlockBytes });
    }
    return { array: this.document, volumes };
  }

  private async storeEverywhere(document: ArrayDocument): Promise<void> {
    const stored = await this.everyLink((link) => link.request({ kind: "storeArrayDocument", document }));
    if (stored.every((pools) => pools === 0 || pools === undefined)) {
      throw new ApiError(503, "noPoolServes", "no director serves a pool at the moment: try again");
    }
  }

  /** Of the directors that run; one that ends meanwhile has none of it to say: its pools are opened by another. */
  private async everyLink(ask: (link: DirectorLink) => Promise<unknown>): Promise<unknown[]> {
    const asked = this.links.filter((link) => !link.isGone).map((link) => ask(link).catch(undefinedIfGone));
    return settleAll(asked);
  }

  private async storeBack(): Promise<void> {
    const old: ArrayDocument = { ...this.document, version: ++this.versionUsed };
    try {
      await this.storeEverywhere(old);
      this.document = old;
    } catch (error) {
      this.events.add({
        time: new Date().toISOString(),
        severity: "critical",
        type: "array.documentUncertain",
        subject: "array",
        message: `a change could be stored neither whole nor taken back (${(error as Error).message}); a restart may show it`,
      });
    }
  }
}

function undefinedIfGone(error: unknown): undefined {
  if (!(error instanceof DirectorError && error.code === "gone")) throw error;
}

/** @throws ApiError where a drive would not take the document: that must not count as the drive's failure */
function checkFits(document: ArrayDocument): void {
  const bytes = Buffer.byteLength(JSON.stringify(document));
  if (bytes <= ARRAY_DOCUMENT_BYTES_MAX) return;
  throw new ApiError(
    409,
    "tooMuchConfiguration",
    `the array's document (hosts and LUNs) would have ${bytes} bytes, and ${ARRAY_DOCUMENT_BYTES_MAX} is the most: remove hosts that are not needed`,
  );
}

/** Waits for all, then throws the first failure: nothing is still under way when a change ends. */
export async function settleAll<T>(promises: readonly Promise<T>[]): Promise<T[]> {
  const results = await Promise.allSettled(promises);
  return results.map((result) => {
    if (result.status === "rejected") throw result.reason as Error;
    return result.value;
  });
}
