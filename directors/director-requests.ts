/**
 * What the control plane asks of a director, done and answered: one reply for each request.
 *
 * Runs on: a director's thread; setup path only. Its own bound is the control plane's: 16 requests under way.
 */
import type {
  DirectorReply,
  DirectorRequest,
  DirectorRequestBody,
  DirectorState,
  DirectorStatus,
  Ownership,
  PoolStatus,
  Routing,
} from "../src/control/contract.ts";
import type { DeviceServer } from "../src/scsi/device-server.ts";
import type { Target } from "../src/scsi/target.ts";
import { drivePlaced, hurry, mayReplaceDrive, scrubPool, setShares } from "../src/volume/healing-commands.ts";
import type { PoolService } from "../src/volume/pool-service.ts";
import { PoolChangeError } from "../src/volume/volume-changes.ts";
import type { Channel } from "./channel/channel.ts";
import type { Access } from "./front-end/iscsi/login/access.ts";
import { admit } from "./front-end/iscsi/login/access.ts";
import type { Portal } from "./front-end/portal.ts";
import { PortalRefused } from "./front-end/portal-safety.ts";

export interface DirectorServices {
  readonly name: string;
  readonly index: number;
  readonly pools: PoolService;
  /** Pools of this director that could not be opened. */
  readonly failedPools: () => readonly PoolStatus[];
  readonly target: Target;
  readonly deviceServer: DeviceServer;
  readonly channel: Channel;
  readonly portal: Portal;
  /** Host and port that the portal is to listen on. */
  readonly portalAddress: string;
  readonly stop: () => Promise<void>;
}

/** Before the first routing nobody is let in; the portal is not open by then either. */
const NO_ACCESS: Access = { targetName: "", hosts: [], allowListOnly: true, luns: [] };

export class DirectorRequests {
  readonly #services: () => DirectorServices;
  #access: Access = NO_ACCESS;
  #portalReason: string | undefined;
  #routing: Routing | undefined;
  #ownership: Ownership | undefined;

  /** @param services - there from the moment that the director has opened its pools; nothing is asked before */
  constructor(services: () => DirectorServices) {
    this.#services = services;
  }

  /** Who may log in, as the last routing said. */
  get access(): Access {
    return this.#access;
  }

  /** Main's word on who owns what: it goes over what the control plane routes, older or newer. */
  setOwnership(ownership: Ownership): void {
    this.#ownership = ownership;
    if (this.#routing !== undefined) this.#services().target.setRouting(routed(this.#routing, ownership));
  }

  async answer(request: DirectorRequest): Promise<DirectorReply> {
    const { id } = request;
    try {
      return { id, ok: true, value: await this.#do(request) };
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      return { id, ok: false, code: codeOf(error), message };
    }
  }

  async #do(request: DirectorRequestBody): Promise<unknown> {
    const { pools, deviceServer } = this.#services();
    switch (request.kind) {
      case "storeArrayDocument":
        return pools.storeArrayDocument(request.document);
      case "route":
        return this.#route(request.routing);
      case "openPortal":
        return this.#openPortal();
      case "createVolume":
        return pools.createVolume(request.pool, request.volume);
      case "growVolume":
        await pools.growVolume(request.volume, request.sizeBytes);
        return deviceServer.onVolumeGrown(request.volume);
      case "deleteVolume":
        await pools.deleteVolume(request.volume);
        return deviceServer.onVolumeDeleted(request.volume);
      case "destagePool":
        return pools.pool(request.pool).destageAll();
      case "scrubPool":
        return scrubPool(pools.pool(request.pool), request.action);
      case "setShares":
        return setShares(pools.pool(request.pool), request);
      case "rebuildPool":
        return hurry(pools.served(request.pool));
      case "mayReplaceDrive":
        return mayReplaceDrive(pools.pool(request.pool), request.drive);
      case "drivePlaced":
        return drivePlaced(pools.served(request.pool), request.drive);
      case "status":
        return this.#status();
      case "stop":
        return this.#services().stop();
    }
  }

  #route(routing: Routing): void {
    const { target, portal } = this.#services();
    this.#routing = routing;
    const { targetName, hosts, allowListOnly, luns } = routing.array;
    const before = this.#access;
    this.#access = { targetName, hosts, allowListOnly, luns: luns.map(({ lun }) => lun) };
    target.setRouting(this.#ownership === undefined ? routing : routed(routing, this.#ownership));
    for (const { initiatorName, discovery } of portal.sessions()) {
      if (!discovery && mustLogInAnew(before, this.#access, initiatorName)) portal.dropSessionsOf(initiatorName);
    }
  }

  async #openPortal(): Promise<void> {
    const { portal, name, portalAddress } = this.#services();
    if (portal.address !== undefined) return;
    try {
      await portal.listen();
      this.#portalReason = undefined;
    } catch (error) {
      this.#portalReason = (error as Error).message;
      if (error instanceof PortalRefused) throw error;
      throw new Error(
        `director ${name} can't listen on ${portalAddress} (VARRAY_PORTALS_${name}_HOST, VARRAY_PORTALS_${name}_PORT): ${this.#portalReason}`,
        { cause: error },
      );
    }
  }

  #status(): DirectorStatus {
    const { name, index, pools, failedPools, portal, portalAddress } = this.#services();
    const reason = this.#portalReason;
    return {
      name,
      index,
      portal: {
        address: portal.address ?? portalAddress,
        listening: portal.address !== undefined,
        ...(reason === undefined ? {} : { reason }),
      },
      pools: [...pools.status(), ...failedPools()],
      sessions: portal.sessions(),
    };
  }
}

/** In these states a director's portal serves hosts. */
const SERVES: readonly DirectorState[] = ["starting", "active", "leaving"];

function routed(routing: Routing, { pools, directors }: Ownership): Routing {
  return {
    ...routing,
    volumes: routing.volumes.map((volume) => ({ ...volume, ...pools[volume.pool] })),
    directorsDown: [...directors.keys()].filter((director) => !SERVES.includes(directors[director]!)),
  };
}

/** It could not log in as it did, or as whom it did. */
function mustLogInAnew(before: Access, after: Access, initiatorName: string): boolean {
  const now = admit(after, initiatorName, false);
  if (!now.admitted) return true;
  const then = admit(before, initiatorName, false);
  if (!then.admitted || then.chap === undefined) return false;
  return now.chap?.user !== then.chap.user || now.chap.secret !== then.chap.secret;
}

function codeOf(error: unknown): Extract<DirectorReply, { ok: false }>["code"] {
  if (error instanceof PoolChangeError) return error.code;
  return error instanceof PortalRefused ? "conflict" : "failed";
}
