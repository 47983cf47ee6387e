/**
 * A director's end of the control protocol, for tests of the control plane: the peer, with its drives as plain objects.
 * `durable` is what a restart finds; everything else goes with the fake.
 */
import { MessageChannel, type MessagePort } from "node:worker_threads";
import type { Config } from "../../src/config/config.ts";
import type {
  ArrayDocument,
  DirectorReply,
  DirectorRequest,
  DirectorStatus,
  FoundVolume,
  PoolStatus,
  Routing,
  VolumesUsage,
} from "../../src/control/contract.ts";

export interface Durable {
  array: ArrayDocument | undefined;
  volumes: FoundVolume[];
  /** Bytes, by volume. */
  mapped?: Map<number, number>;
}

export const nothingStored = (): Durable => ({ array: undefined, volumes: [] });

type Refusal = { code: "conflict" | "notFound" | "spaceExhausted" | "failed"; message: string };

export class FakeDirector {
  readonly port: MessagePort;
  readonly requests: DirectorRequest[] = [];
  readonly durable: Durable;
  routing: Routing | undefined;
  listening = false;
  /** Kinds that are refused, or (undefined) left without an answer. */
  readonly refuse = new Map<DirectorRequest["kind"], Refusal | undefined>();
  poolChanges: Partial<PoolStatus> = {};
  private readonly own: MessagePort;
  private readonly config: Config;
  private readonly index: number;

  constructor(config: Config, index: number, durable: Durable = nothingStored()) {
    const { port1, port2 } = new MessageChannel();
    [this.own, this.port] = [port1, port2];
    [this.config, this.index, this.durable] = [config, index, durable];
    this.own.on("message", (request: DirectorRequest) => this.answer(request));
  }

  /** Says what it found, as a director does once its pools are open. */
  open(): this {
    const { array, volumes } = this.durable;
    const opened = { director: this.index, pools: this.pools(), volumes, array, arrayDocumentIsNew: false };
    this.own.postMessage({ kind: "opened", opened });
    return this;
  }

  raise(type: string, severity: "info" | "warning" | "critical" = "info"): void {
    const event = { time: new Date().toISOString(), severity, type, subject: "test", message: `${type} happened` };
    this.own.postMessage({ kind: "event", event });
  }

  kinds(): string[] {
    return this.requests.map(({ kind }) => kind).filter((kind) => kind !== "status");
  }

  die(): void {
    this.own.close();
  }

  private answer(request: DirectorRequest): void {
    this.requests.push(request);
    if (this.refuse.has(request.kind)) {
      const refusal = this.refuse.get(request.kind);
      if (refusal !== undefined) this.reply({ id: request.id, ok: false, ...refusal });
      return;
    }
    this.reply({ id: request.id, ok: true, value: this.serve(request) });
  }

  private reply(reply: DirectorReply): void {
    this.own.postMessage({ kind: "reply", reply });
  }

  private serve(request: DirectorRequest): unknown {
    if (request.kind === "storeArrayDocument") {
      this.durable.array = request.document;
      return this.pools().length;
    }
    if (request.kind === "route") this.routing = request.routing;
    else if (request.kind === "openPortal") this.listening = true;
    else if (request.kind === "createVolume") this.durable.volumes.push({ ...request.volume, pool: request.pool });
    else if (request.kind === "deleteVolume") {
      this.durable.volumes = this.durable.volumes.filter(({ volume }) => volume !== request.volume);
    } else if (request.kind === "growVolume") {
      this.durable.volumes = this.durable.volumes.map((one) =>
        one.volume === request.volume ? { ...one, sizeBytes: request.sizeBytes } : one,
      );
    } else if (request.kind === "status") return this.status();
    return undefined;
  }

  private status(): DirectorStatus {
    const { name, portal } = this.config.directors[this.index]!;
    return {
      name,
      index: this.index,
      portal: { address: `${portal.host}:${portal.port}`, listening: this.listening },
      pools: this.pools(),
      sessions: [],
    };
  }

  private usage(index: number): VolumesUsage {
    const volumes = this.durable.volumes.filter(({ pool }) => pool === index);
    return {
      volume: Uint32Array.from(volumes, ({ volume }) => volume),
      mappedBytes: Float64Array.from(volumes, ({ volume }) => this.durable.mapped?.get(volume) ?? 0),
      writeCacheEnabled: Uint8Array.from(volumes, ({ writeCacheEnabled }) => (writeCacheEnabled ? 1 : 0)),
    };
  }

  private pools(): PoolStatus[] {
    return this.config.pools
      .filter(({ owner }) => owner === this.index)
      .map(({ name, index, owner, drives, spares }) => ({
        index,
        name,
        state: "optimal",
        owner,
        epoch: 1,
        drives: [
          ...drives.map((drive) => ({ name: drive, state: "online" as const, zonesUsed: 2 })),
          ...spares.map((drive) => ({ name: drive, state: "spare" as const, zonesUsed: 0 })),
        ].map((drive) => ({ ...drive, capacityBytes: 2 ** 34, zoneCount: 128 })),
        usage: this.usage(index),
        usableBytes: 40 * 2 ** 30,
        liveBytes: 10 * 2 ** 30,
        dirtyBytes: 10,
        journalBytes: 100,
        journalLiveBytes: 5,
        zonesFree: 100,
        zonesUsed: 28,
        ...this.poolChanges,
      }));
  }
}
