/**
 * A worker thread as main sees it: started, listened to, and fatal to the process when it ends on its own.
 *
 * Runs on: main. An uncaught exception or an unhandled rejection in the thread arrives here as an error, with its stack.
 */
import { setFlagsFromString } from "node:v8";
import { type Transferable, Worker } from "node:worker_threads";

// `npm start` gives --max-semi-space-size, for main's own heap. V8 would put it above each thread's limit, too.
setFlagsFromString("--max-semi-space-size=0");

export interface ThreadLimits {
  /** Heap of the thread; data is outside of it. */
  readonly heapMebibytesMax: number;
  /** Young generation: it is collected when a third of this is full. */
  readonly youngMebibytesMax: number;
}

export interface WatchedThreadOptions {
  readonly name: string;
  readonly entry: URL;
  readonly data: unknown;
  readonly transfer?: readonly Transferable[];
  readonly limits: ThreadLimits;
  /** Called once at most, when the thread ends without having been told to. */
  readonly onFatal: (thread: string, reason: string) => void;
}

export class WatchedThread<To, From> {
  readonly name: string;
  readonly #worker: Worker;
  readonly #listeners: ((message: From) => void)[] = [];
  #ending = false;
  #exited = false;

  constructor(options: WatchedThreadOptions) {
    const { name, entry, data, transfer, limits, onFatal } = options;
    this.name = name;
    this.#worker = new Worker(entry, {
      name,
      workerData: data,
      transferList: [...(transfer ?? [])],
      resourceLimits: { maxOldGenerationSizeMb: limits.heapMebibytesMax, maxYoungGenerationSizeMb: limits.youngMebibytesMax },
    });
    let reason: string | undefined;
    this.#worker.on("message", (message: From) => {
      for (const listener of [...this.#listeners]) listener(message);
    });
    this.#worker.on("error", (error: unknown) => {
      reason = error instanceof Error ? (error.stack ?? error.message) : String(error);
    });
    this.#worker.on("exit", (status) => {
      this.#exited = true;
      if (!this.#ending || reason !== undefined) onFatal(name, reason ?? `ended with status ${status}`);
    });
  }

  post(message: To, transfer: readonly Transferable[] = []): void {
    this.#worker.postMessage(message, transfer);
  }

  onMessage(listener: (message: From) => void): void {
    this.#listeners.push(listener);
  }

  /** The first message from now on that `select` takes. */
  next<Selected extends From>(select: (message: From) => message is Selected): Promise<Selected> {
    return new Promise((resolve) => {
      const listener = (message: From) => {
        if (!select(message)) return;
        this.#listeners.splice(this.#listeners.indexOf(listener), 1);
        resolve(message);
      };
      this.#listeners.push(listener);
    });
  }

  /** From now on the thread may end. */
  expectEnd(): void {
    this.#ending = true;
  }

  get running(): boolean {
    return !this.#exited;
  }

  /** Ends the thread as it stands; resolves when it is joined, which waits for a native call that it is in. */
  async terminate(): Promise<void> {
    this.#ending = true;
    await this.#worker.terminate();
  }
}

/** Asks a thread to stop; resolves when it says that it has. It may end from then on. */
export async function stopThread<To, From>(
  thread: WatchedThread<To, From>,
  stop: To,
  isStopped: (message: From) => boolean,
): Promise<void> {
  const stopped = thread.next((message): message is From => isStopped(message));
  thread.expectEnd();
  thread.post(stop);
  await stopped;
}
