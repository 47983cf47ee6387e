/**
 * A host with a path to each portal, as a multipath host is: sessions that it opens again when they are lost, and a command that
 * is tried on one path, and on another when it has no answer there in time.
 */
import { type CommandAnswer, type CommandOptions, PipelinedSession } from "../pipelined-session.ts";

/** No sooner does a host give a path up that does not answer: the array relies on it (src/scsi/command-age.ts). */
const COMMAND_MILLISECONDS_MAX = 4000;
const RECONNECT_MILLISECONDS = 50;
const CONNECT_MILLISECONDS_MAX = 3000;

const LOST: CommandAnswer = { status: undefined, data: Buffer.alloc(0), sense: "" };

export class PathHost {
  readonly #ports: readonly number[];
  readonly #targetName: string;
  readonly #luns: readonly number[];
  readonly #sessions: (PipelinedSession | undefined)[];
  #over = false;
  /** What the target did against the protocol. */
  readonly errors: Error[] = [];

  constructor(options: { ports: readonly number[]; targetName: string; luns: readonly number[] }) {
    this.#ports = options.ports;
    this.#targetName = options.targetName;
    this.#luns = options.luns;
    this.#sessions = options.ports.map(() => undefined);
  }

  /** Keeps every path open until `close`. Resolves when all are, for the first time. */
  async open(): Promise<void> {
    await Promise.all(this.#ports.map((_, path) => this.#keep(path)));
  }

  close(): void {
    this.#over = true;
    for (const session of this.#sessions) session?.close();
  }

  isUp(path: number): boolean {
    return this.#sessions[path]?.isClosed === false;
  }

  /** One attempt on one path. Without an answer in time the path is given up, with all that is on it. */
  async attempt(path: number, cdb: Buffer, options: CommandOptions): Promise<CommandAnswer> {
    const session = this.#sessions[path];
    if (session === undefined || session.isClosed) return LOST;
    const timer = setTimeout(() => session.close(), COMMAND_MILLISECONDS_MAX);
    const answer = await session.execute(cdb, options);
    clearTimeout(timer);
    return answer;
  }

  async #keep(path: number): Promise<void> {
    const session = await this.#connect(path);
    this.#sessions[path] = session;
    if (session === undefined) return;
    void this.#watch(path, session);
  }

  async #watch(path: number, session: PipelinedSession): Promise<void> {
    while (!session.isClosed) await sleep(RECONNECT_MILLISECONDS / 5);
    if (session.error !== undefined) this.errors.push(session.error);
    if (!this.#over) await this.#keep(path);
  }

  async #connect(path: number): Promise<PipelinedSession | undefined> {
    while (!this.#over) {
      let session: PipelinedSession | undefined;
      const timer = setTimeout(() => session?.close(), CONNECT_MILLISECONDS_MAX);
      try {
        session = await PipelinedSession.open({ port: this.#ports[path]!, targetName: this.#targetName });
        for (const lun of this.#luns) await session.testUnitReady(lun);
        return session;
      } catch {
        session?.close();
        await sleep(RECONNECT_MILLISECONDS);
      } finally {
        clearTimeout(timer);
      }
    }
    return undefined;
  }
}

export function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, milliseconds);
  });
}
