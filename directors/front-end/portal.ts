/**
 * A director's front end: its iSCSI portal, the connections on it, and their sessions. The only user of node:net for data.
 *
 * Runs on: the director's thread; one for each director.
 * Invariants:
 *  1. Beyond loopback it listens only with a list of initiators, CHAP everywhere, or `open` (portal-safety.ts).
 *  2. Connections are capped for each address and in all before anything is read; sessions at login.
 *  3. What is sent goes out at the end of the event loop's turn, after the storage phase (TurnEnd).
 */
import { createServer, type Server, Socket } from "node:net";
import { counterBlock } from "../../drivers/shared-memory/counters.ts";
import type { GlobalMemory } from "../../drivers/shared-memory/global-memory.ts";
import { RECEIVE_BYTES, TRANSMIT_BYTES, threadNumber } from "../../drivers/shared-memory/layout.ts";
import { SessionNumbers } from "../../drivers/shared-memory/session-numbers.ts";
import type { Config, DirectorConfig } from "../../src/config/config.ts";
import type { ArrayEvent, SessionStatus, Severity } from "../../src/control/contract.ts";
import type { LogicalUnitServer } from "../../src/scsi/task.ts";
import type { FrameSource } from "../../src/volume/block-io.ts";
import type { TurnEnd } from "../turn-end.ts";
import { ArrivalWatch } from "./arrival-watch.ts";
import { EventThrottle } from "./event-throttle.ts";
import { FRONT_END_COUNTERS } from "./front-end-counters.ts";
import { Connection, type ConnectionHost } from "./iscsi/connection.ts";
import type { FrontEndLimits, FrontEndServices } from "./iscsi/front-end-services.ts";
import { askLogout, tellConnectionDropped } from "./iscsi/full-feature/async-message.ts";
import { type Access, sameName } from "./iscsi/login/access.ts";
import type { LoginEnvironment } from "./iscsi/login/login-conversation.ts";
import type { LoginError } from "./iscsi/peer-error.ts";
import { ReadBudget } from "./iscsi/read-budget.ts";
import type { Session } from "./iscsi/session.ts";
import { SessionRegistry } from "./iscsi/session-registry.ts";
import { SlabPool } from "./iscsi/slab-pool.ts";
import { checkPortal, listedOnly } from "./portal-safety.ts";

const C = FRONT_END_COUNTERS.slots;

export interface PortalOptions {
  readonly config: Config;
  readonly director: DirectorConfig;
  readonly global: GlobalMemory;
  readonly frames: FrameSource;
  /** Frames for data that is asked for by R2T; `frames` unless given. */
  readonly solicitedFrames?: FrameSource;
  readonly units: LogicalUnitServer;
  readonly turnEnd: TurnEnd;
  /** Asked anew for each login and each target reset. */
  access(): Access;
  onEvent(event: ArrayEvent): void;
  /** Read data that may be pinned or unsent in all; a session's share is an eighth of it. */
  readonly readBudgetBytes?: number;
  /** The largest write that is collected: no less than the MAXIMUM TRANSFER LENGTH that the logical units report. */
  readonly writeBytesMax?: number;
  readonly limits?: Partial<FrontEndLimits>;
  readonly tickMilliseconds?: number;
}

/** Connections beyond the sessions' cap: logins under way, discovery. */
const CONNECTIONS_EXTRA = 32;

/** What Node keeps of an accepted socket; not documented, so looked for and not relied on. */
interface AcceptedSocket {
  _handle: { useUserBuffer?: unknown } | null;
  _server: unknown;
}

/**
 * Lets an accepted socket receive into a buffer of ours. Node offers that (`onread`) for sockets that connect, not for accepted
 * ones, whose every read allocates 64 KiB: garbage at the rate of the network. So its handle is given to a socket made with
 * `onread`. Where Node's insides look different, the accepted socket is used as it is.
 */
function receiveInto(buffer: Buffer, accepted: Socket, received: (chunk: Buffer) => void): Socket {
  const inside = accepted as unknown as AcceptedSocket;
  const handle = inside._handle;
  if (typeof handle?.useUserBuffer !== "function" || inside._server === undefined) {
    accepted.on("data", received);
    return accepted;
  }
  const options = {
    handle,
    allowHalfOpen: false,
    readable: true,
    writable: true,
    manualStart: true,
    onread: {
      buffer,
      callback: (bytes: number): boolean => {
        received(buffer.subarray(0, bytes));
        return true;
      },
    },
  };
  const socket = new Socket(options);
  const moved = socket as unknown as AcceptedSocket;
  if (moved._handle !== handle) {
    accepted.on("data", received);
    return accepted;
  }
  // The server counts its connections by this, and waits for them when it closes.
  moved._server = inside._server;
  inside._server = null;
  inside._handle = null;
  socket.on("error", () => {}); // "close" follows
  return socket;
}

export class Portal {
  readonly #options: PortalOptions;
  readonly #host: string;
  readonly #services: FrontEndServices;
  readonly #connectionHost: ConnectionHost;
  #arrivals!: ArrivalWatch;
  readonly #registry: SessionRegistry;
  readonly #connections = new Map<Connection, string>();
  readonly #addresses = new Map<string, number>();
  readonly #counters: Float64Array;
  /** Every connection receives into this: a chunk is worked on before the next read, and what must be kept is copied. */
  readonly #receiveBuffer: Buffer;
  #server: Server | undefined = undefined;
  #ticker: NodeJS.Timeout | undefined = undefined;
  #closing = false;
  readonly #throttle = new EventThrottle();
  #allEnded: (() => void) | undefined = undefined;

  constructor(options: PortalOptions) {
    this.#options = options;
    const { config, director, global } = options;
    this.#host = director.portal.host;
    this.#counters = counterBlock(global, "frontEnd", director.index);
    // In global memory, so that the copy kernel takes write data from it.
    this.#receiveBuffer = global.view(global.layout.receive[director.index]!, RECEIVE_BYTES);
    const numbers = new SessionNumbers(global, threadNumber(global.layout, "director", director.index));
    this.#registry = new SessionRegistry(config.iscsi.sessionsPerDirectorMax, numbers);
    this.#services = this.#makeServices();
    this.#connectionHost = this.#makeConnectionHost();
  }

  #makeServices(): FrontEndServices {
    const { config, director, global, units, frames, access } = this.#options;
    const { clock } = global;
    this.#arrivals = new ArrivalWatch(clock.nowMicroseconds());
    return {
      arrivals: this.#arrivals,
      directorIndex: director.index,
      units,
      frames,
      solicitedFrames: this.#options.solicitedFrames ?? frames,
      global,
      budget: new ReadBudget(this.#options.readBudgetBytes ?? Math.max(8 << 20, Math.floor(config.memory.frameBytes / 16))),
      counters: this.#counters,
      limits: {
        commandWindow: config.iscsi.commandWindow,
        immediateCommandsMax: 32,
        writeBytesMax: this.#options.writeBytesMax ?? 16 << 20,
        idlePingSeconds: config.iscsi.idlePingSeconds,
        idleTimeoutSeconds: config.iscsi.idleTimeoutSeconds,
        sendStallSeconds: 30,
        frameWaitSeconds: 0.75, // with the tick, at most one second
        solicitedFrameWaitSeconds: 15, // half of what hosts give a command
        commandGapSeconds: 10,
        ...this.#options.limits,
      },
      portals: config.directors.map(({ portal }) => portal),
      access,
      nowMicroseconds: () => clock.nowMicroseconds(),
      sessions: () => this.#registry.all(),
      sessionEnded: (session) => this.#sessionEnded(session),
    };
  }

  #makeConnectionHost(): ConnectionHost {
    const { config, director, global, turnEnd } = this.#options;
    return {
      services: this.#services,
      slabs: new SlabPool(global, global.layout.transmit[director.index]!, TRANSMIT_BYTES),
      loginTimeoutSeconds: config.iscsi.loginTimeoutSeconds,
      loginEnvironment: () => this.#loginEnvironment(),
      makeRoom: (candidate) => this.#registry.makeRoom(candidate),
      sessionOpened: (session) => this.#sessionOpened(session),
      loginRefused: (address, initiatorName, error) => this.#loginRefused(address, initiatorName, error),
      deferFlush: (flush) => turnEnd.defer("frontEnd", flush),
      dropped: (address, initiatorName, why) =>
        this.#event("info", "connection.dropped", address, `${initiatorName || "connection"} from ${address}: ${why}`),
    };
  }

  #loginEnvironment(): LoginEnvironment {
    const { config, director } = this.#options;
    return {
      access: this.#options.access(),
      listedOnly: listedOnly(this.#host, config.open),
      portalGroupTag: director.portal.groupTag,
      targetAlias: "varray",
      offers: {
        maxRecvDataSegmentBytes: config.iscsi.maxRecvDataSegmentBytes,
        maxBurstBytes: config.iscsi.maxBurstBytes,
        firstBurstBytes: config.iscsi.firstBurstBytes,
      },
      sessionExists: (initiatorName, isid, tsih) => this.#registry.exists(initiatorName, isid, tsih),
    };
  }

  /** @throws PortalRefused beyond loopback without protection; the system's error when the address can't be had */
  async listen(): Promise<void> {
    const { config, director } = this.#options;
    checkPortal(this.#host, this.#options.access(), config.open);
    const server = createServer({ noDelay: true, allowHalfOpen: false, pauseOnConnect: true }, (socket) => this.#accept(socket));
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ host: this.#host, port: director.portal.port, backlog: 512 }, () => {
        server.off("error", reject);
        resolve();
      });
    });
    // Out of file descriptors, for one: the portal stays, the connection does not come about.
    server.on("error", (error) => this.#event("warning", "portal.error", director.name, error.message));
    this.#server = server;
    // Nothing can have come before.
    for (let n = 0; n < 2; n += 1) this.#arrivals.tick(this.#services.nowMicroseconds());
    // After the poll phase: what came in while this thread was busy is heard before anybody is called silent.
    const tick = (): void => this.#tick();
    this.#ticker = setInterval(() => setImmediate(tick), this.#options.tickMilliseconds ?? 250);
    this.#ticker.unref();
  }

  /** "host:port" that it listens on, while it does. */
  get address(): string | undefined {
    const address = this.#server?.address();
    return typeof address === "object" && address !== null ? `${address.address}:${address.port}` : undefined;
  }

  #accept(accepted: Socket): void {
    const { config } = this.#options;
    const remote = accepted.remoteAddress;
    accepted.on("error", () => {}); // "close" follows
    if (remote === undefined) {
      accepted.destroy();
      return;
    }
    const count = this.#addresses.get(remote) ?? 0;
    const connectionsMax = config.iscsi.sessionsPerDirectorMax + CONNECTIONS_EXTRA;
    if (this.#closing || count >= config.iscsi.connectionsPerAddressMax || this.#connections.size >= connectionsMax) {
      this.#counters[C.connectionsRefused]! += 1;
      accepted.destroy();
      return;
    }
    this.#addresses.set(remote, count + 1);
    // The connection is made first: bytes may come as soon as the socket reads.
    let connection: Connection | undefined;
    const socket = receiveInto(this.#receiveBuffer, accepted, (chunk) => connection?.received(chunk));
    connection = new Connection(this.#connectionHost, socket, remote);
    const opened = connection;
    this.#connections.set(opened, remote);
    this.#counters[C.connections] = this.#connections.size;
    socket.on("close", () => this.#closed(opened, remote));
    socket.resume();
  }

  #closed(connection: Connection, remote: string): void {
    connection.closed();
    this.#connections.delete(connection);
    this.#counters[C.connections] = this.#connections.size;
    const count = (this.#addresses.get(remote) ?? 1) - 1;
    if (count === 0) this.#addresses.delete(remote);
    else this.#addresses.set(remote, count);
    this.#checkAllEnded();
  }

  #tick(): void {
    const now = this.#services.nowMicroseconds();
    this.#arrivals.tick(now);
    let unsentBytes = 0;
    for (const connection of [...this.#connections.keys()]) {
      connection.tick(now);
      unsentBytes += connection.tx.unsentBytes;
    }
    this.#counters[C.unsentBytes] = unsentBytes;
  }

  // — sessions —

  #sessionOpened(session: Session): void {
    const { initiatorName, isid, discovery, address } = session.identity;
    this.#registry.add(session);
    this.#counters[C.sessions] = this.#registry.count;
    if (discovery) return;
    const directorIndex = this.#options.director.index;
    this.#options.units.nexusOpened({ nexus: session.nexus, initiatorName, isid, directorIndex });
    this.#event(
      "info",
      "session.login",
      initiatorName,
      `${initiatorName} logged in to ${this.#options.director.name} from ${address}`,
    );
  }

  #sessionEnded(session: Session): void {
    const { initiatorName, discovery } = session.identity;
    if (!discovery && this.#registry.exists(initiatorName, session.identity.isid, session.identity.tsih)) {
      this.#options.units.nexusClosed(session.nexus);
      const why = session.endReason ?? "its connection was closed by the host or lost";
      const message = `session of ${initiatorName} at ${this.#options.director.name} ended: ${why}`;
      this.#event("info", "session.logout", initiatorName, message);
    }
    this.#registry.remove(session);
    this.#counters[C.sessions] = this.#registry.count;
    this.#checkAllEnded();
  }

  #loginRefused(address: string, initiatorName: string, error: LoginError): void {
    const status = error.status.toString(16).padStart(4, "0");
    this.#event(
      "warning",
      "session.loginFailed",
      initiatorName || address,
      `login${initiatorName === "" ? "" : ` of ${initiatorName}`} from ${address} to ${this.#options.director.name} refused, ${status}: ${error.message}`,
    );
  }

  #event(severity: Severity, type: string, subject: string, message: string): void {
    const untold = this.#throttle.admit(type, this.#services.nowMicroseconds());
    if (untold === undefined) return;
    // What a peer sent may be anything: no control characters, and no more than a line of it.
    const clean = (text: string): string => text.replace(/[^\x20-\x7e\u00a0-\uffff]/g, "?").slice(0, 400);
    const more = untold > 0 ? ` (${untold} more like it were not told)` : "";
    this.#options.onEvent({
      time: new Date().toISOString(),
      severity,
      type,
      subject: clean(subject),
      message: clean(message) + more,
    });
  }

  sessions(): SessionStatus[] {
    return [...this.#registry.all()].map(({ identity, parameters }) => ({
      director: this.#options.director.name,
      initiatorName: identity.initiatorName,
      isid: identity.isid,
      tsih: identity.tsih,
      address: identity.address,
      headerDigest: parameters.headerDigest,
      dataDigest: parameters.dataDigest,
      since: identity.since,
      discovery: identity.discovery,
    }));
  }

  /** Its host was removed, or its secret changed: it has to log in anew. */
  dropSessionsOf(initiatorName: string): number {
    let dropped = 0;
    for (const session of [...this.#registry.all()]) {
      if (!sameName(session.identity.initiatorName, initiatorName)) continue;
      session.connection.dismiss("its host was removed or changed");
      dropped += 1;
    }
    return dropped;
  }

  // — the end —

  /**
   * Asks every session to log out, waits for them, then ends what is left, and tells it so. Resolves when no task of any session is at the
   * logical units any more, or after two more seconds: what is stuck there is not the front end's to wait for.
   */
  async close({ graceSeconds, why }: { graceSeconds: number; why: string }): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    this.#server?.close();
    for (const session of this.#registry.all()) {
      session.endsBecause(why);
      askLogout(session, Math.ceil(graceSeconds));
    }
    await this.#ended(graceSeconds);
    for (const connection of [...this.#connections.keys()]) {
      const { session } = connection;
      if (session === undefined) {
        connection.drop("shutdown");
        continue;
      }
      tellConnectionDropped(session);
      connection.finish();
    }
    await this.#ended(0.5);
    for (const connection of [...this.#connections.keys()]) connection.stream.destroy();
    await this.#ended(2);
    clearInterval(this.#ticker);
  }

  #ended(seconds: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, seconds * 1000);
      this.#allEnded = () => {
        clearTimeout(timer);
        resolve();
      };
      this.#checkAllEnded();
    });
  }

  #checkAllEnded(): void {
    if (this.#allEnded === undefined || this.#connections.size > 0 || this.#registry.count > 0) return;
    const allEnded = this.#allEnded;
    this.#allEnded = undefined;
    allEnded();
  }
}
