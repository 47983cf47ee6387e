/**
 * The control plane's end of the channel to one director: requests with deadlines, events, and what it opened.
 *
 * A director that died and was started again is reached through another port: the link outlives both.
 *
 * Runs on: the control thread. Owns: its MessagePort.
 * Invariants:
 *  1. Every request settles: by its reply, at its deadline, or when the port closes.
 *  2. At most IN_FLIGHT_MAX requests are out; at most WAITING_MAX wait behind them; beyond that a request fails at once.
 */
import type { MessagePort } from "node:worker_threads";
import type { DirectorConfig } from "../config/config.ts";
import type { ArrayEvent, DirectorMessage, DirectorOpened, DirectorReply, DirectorRequestBody, PoolOpened } from "./contract.ts";

const IN_FLIGHT_MAX = 16;
const WAITING_MAX = 64;
const REQUEST_SECONDS = 10;

export type DirectorErrorCode = Extract<DirectorReply, { ok: false }>["code"] | "timeout" | "gone" | "busy";

/** A director's refusal, or its silence. */
export class DirectorError extends Error {
  readonly code: DirectorErrorCode;
  readonly director: string;

  constructor(director: string, code: DirectorErrorCode, message: string) {
    super(message);
    this.name = "DirectorError";
    this.code = code;
    this.director = director;
  }
}

interface Pending {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: DirectorError) => void;
  readonly timer: NodeJS.Timeout;
}

export class DirectorLink {
  readonly director: DirectorConfig;
  /** Told of each pool that the director opens while the array serves. */
  onPoolOpened: (opened: PoolOpened) => void = () => {};
  private readonly onEvent: (event: ArrayEvent) => void;
  private port: MessagePort;
  private openedPromise: Promise<DirectorOpened>;
  /** Out and waiting together; `waiting` holds what sends the latter. */
  private readonly pending = new Map<number, Pending>();
  private readonly waiting: (() => void)[] = [];
  private nextId = 1;
  private gone = false;

  constructor(director: DirectorConfig, port: MessagePort, onEvent: (event: ArrayEvent) => void) {
    this.director = director;
    this.onEvent = onEvent;
    this.port = port;
    this.openedPromise = this.listen(port);
  }

  /** Settles with the director's first message; rejects if its port closes before. */
  get opened(): Promise<DirectorOpened> {
    return this.openedPromise;
  }

  /** The director has ended, and was not started again yet. */
  get isGone(): boolean {
    return this.gone;
  }

  /** It was started again. */
  attach(port: MessagePort): void {
    this.fail();
    this.port.close();
    this.port = port;
    this.gone = false;
    this.openedPromise = this.listen(port);
  }

  private listen(port: MessagePort): Promise<DirectorOpened> {
    let resolveOpened: (opened: DirectorOpened) => void = () => {};
    let rejectOpened: (error: DirectorError) => void = () => {};
    const opened = new Promise<DirectorOpened>((resolve, reject) => {
      [resolveOpened, rejectOpened] = [resolve, reject];
    });
    opened.catch(() => {}); // whoever waits for it hears of it; nobody waiting is no fault
    port.on("message", (message: DirectorMessage) => {
      if (message.kind === "opened") resolveOpened(message.opened);
      else if (message.kind === "event") this.onEvent(message.event);
      else if (message.kind === "poolOpened") this.onPoolOpened(message.opened);
      else this.settle(message.reply);
    });
    port.on("close", () => {
      rejectOpened(this.error("gone", "has ended"));
      if (this.port === port) this.fail();
    });
    return opened;
  }

  /** @throws DirectorError */
  request(body: DirectorRequestBody, deadlineSeconds: number = REQUEST_SECONDS): Promise<unknown> {
    if (this.gone) return Promise.reject(this.error("gone", "has ended"));
    if (this.pending.size >= IN_FLIGHT_MAX + WAITING_MAX) {
      return Promise.reject(this.error("busy", `has ${WAITING_MAX} requests waiting; try again`));
    }
    const id = this.nextId++;
    return new Promise((resolve, reject) => {
      const send = () => {
        if (!this.pending.has(id)) return; // its deadline passed while it waited
        this.port.postMessage({ ...body, id });
      };
      const timer = setTimeout(() => {
        const at = this.waiting.indexOf(send);
        this.pending.delete(id);
        if (at >= 0) this.waiting.splice(at, 1);
        else this.sendNext();
        reject(
          this.error("timeout", `did not answer "${body.kind}" within ${deadlineSeconds} s; whether it was done is not known`),
        );
      }, deadlineSeconds * 1000);
      this.pending.set(id, { resolve, reject, timer });
      if (this.pending.size - this.waiting.length <= IN_FLIGHT_MAX) send();
      else this.waiting.push(send);
    });
  }

  close(): void {
    this.port.close();
  }

  private settle(reply: DirectorReply): void {
    const pending = this.pending.get(reply.id);
    if (pending === undefined) return; // late: its deadline has passed
    this.pending.delete(reply.id);
    clearTimeout(pending.timer);
    if (reply.ok) pending.resolve(reply.value);
    else pending.reject(new DirectorError(this.director.name, reply.code, reply.message));
    this.sendNext();
  }

  private sendNext(): void {
    this.waiting.shift()?.();
  }

  private fail(): void {
    this.gone = true;
    this.waiting.length = 0;
    for (const { reject, timer } of this.pending.values()) {
      clearTimeout(timer);
      reject(this.error("gone", "ended before it answered; whether it was done is not known"));
    }
    this.pending.clear();
  }

  private error(code: DirectorErrorCode, what: string): DirectorError {
    return new DirectorError(this.director.name, code, `director ${this.director.name} ${what}`);
  }
}
