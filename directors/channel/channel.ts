/**
 * The channel adapter (CA) of one director: its ends of the rings to and from every other director.
 *
 * Runs on: the director's thread. Owns: the producers' ends of its rings to the others, the consumers' ends of theirs to it.
 * `drain` is called by the thread's doorbell (drivers/shared-memory/doorbell.ts) and once in each turn; what is to be
 * sent leaves at the end of the turn in which it arose, with one signal for each partner at most. Releases alone signal
 * nobody: the partner finds them with the next request, or is told after QUIET_MILLISECONDS, so that a host that falls
 * silent holds no memory of the owner.
 * Invariants:
 *  1. A slot is given back to its ring once it was acted on; nothing keeps a reference to it.
 *  2. A message under another epoch than the partner's is a bug in this release (a director that dies ends the process).
 */
import { counterBlock } from "../../drivers/shared-memory/counters.ts";
import { Doorbell, signalCounts } from "../../drivers/shared-memory/doorbell.ts";
import { threadEpoch } from "../../drivers/shared-memory/epoch.ts";
import type { GlobalMemory } from "../../drivers/shared-memory/global-memory.ts";
import { channelRing, threadNumber } from "../../drivers/shared-memory/layout.ts";
import { RingConsumer } from "../../drivers/shared-memory/ring.ts";
import type { LogicalUnitServer } from "../../src/scsi/task.ts";
import type { FrameSource } from "../../src/volume/block-io.ts";
import type { TurnEnd } from "../turn-end.ts";
import { ChannelClient } from "./channel-client.ts";
import { CHANNEL_COUNTERS } from "./channel-counters.ts";
import { ChannelServer } from "./channel-server.ts";
import { KIND_WORD, MESSAGE } from "./messages.ts";
import { Outbox } from "./outbox.ts";

const COUNT = CHANNEL_COUNTERS.slots;
/** From one partner in one go; then the others, and the event loop, get their turn. */
const MESSAGES_PER_DRAIN = 128;
/** A ring that was full is looked at again after so long, when nothing else wakes the thread. */
const FULL_RING_RETRY_MILLISECONDS = 1;
/** So long do releases lie before the owner is woken for them. */
const QUIET_MILLISECONDS = 5;

export interface ChannelOptions {
  readonly global: GlobalMemory;
  readonly directorIndex: number;
  readonly frames: FrameSource;
  /** Serves the volumes that this director owns. */
  readonly server: LogicalUnitServer;
  readonly turnEnd: TurnEnd;
}

interface Partner {
  readonly director: number;
  readonly epoch: number;
  readonly inbox: RingConsumer;
  readonly outbox: Outbox;
  readonly client: ChannelClient;
  readonly server: ChannelServer;
}

export class Channel {
  readonly #global: GlobalMemory;
  readonly #thread: number;
  readonly #counters: Float64Array;
  #partners: readonly Partner[];
  readonly #options: ChannelOptions;
  /** By director. */
  readonly #clients: (ChannelClient | undefined)[] = [];
  readonly #turnEnd: TurnEnd;
  #flushing = false;
  #retry: NodeJS.Timeout | undefined;
  #quiet: NodeJS.Timeout | undefined;

  constructor(options: ChannelOptions) {
    const { global, directorIndex } = options;
    this.#global = global;
    this.#options = options;
    this.#turnEnd = options.turnEnd;
    this.#thread = threadNumber(global.layout, "director", directorIndex);
    this.#counters = counterBlock(global, "channel", directorIndex);
    const { directorCount } = global.layout.shape;
    const others = Array.from({ length: directorCount }, (_, director) => director).filter(
      (director) => director !== directorIndex,
    );
    this.#partners = others.map((director) => this.#partner(director, options));
    for (const { director, client } of this.#partners) this.#clients[director] = client;
  }

  /** What serves the volumes of another director. */
  clientTo(director: number): ChannelClient {
    const client = this.#clients[director];
    if (client === undefined) throw new Error(`invariant: no channel to director ${director}`);
    return client;
  }

  /**
   * A partner is dead and joined. What it asked for is not answered any more, what was asked of it ends BUSY: hosts ask again.
   * Resolves when nothing here refers to its memory.
   */
  async partnerLost(director: number): Promise<void> {
    const lost = this.#partners.find((partner) => partner.director === director);
    if (lost === undefined) return;
    this.#partners = this.#partners.filter((partner) => partner !== lost);
    lost.inbox.discard();
    lost.server.abandon();
    await lost.client.abandon();
  }

  /** It runs again: what is said from now on is said under its new epoch. */
  partnerBack(director: number): void {
    const partner = this.#partner(director, this.#options);
    this.#partners = [...this.#partners, partner];
    this.#clients[director] = partner.client;
  }

  /** Takes a bounded number of messages from every partner; true when there were any. */
  drain(): boolean {
    let found = false;
    for (const partner of this.#partners) {
      const { inbox } = partner;
      for (let n = 0; n < MESSAGES_PER_DRAIN; n += 1) {
        const slot = inbox.peek();
        if (slot < 0) break;
        found = true;
        this.#take(partner, slot);
        inbox.advance();
      }
    }
    return found;
  }

  /** Lets everything leave that was said so far. */
  flush(): void {
    let waiting = 0;
    let quiet = false;
    for (const { client, outbox } of this.#partners) {
      client.sendReleases();
      outbox.flush();
      waiting += outbox.waiting;
      quiet ||= outbox.quiet;
    }
    if (waiting > 0) this.#retry ??= setTimeout(this.#onRetry, FULL_RING_RETRY_MILLISECONDS);
    if (quiet) this.#quiet ??= setTimeout(this.#onQuiet, QUIET_MILLISECONDS);
  }

  readonly #onRetry = (): void => {
    this.#retry = undefined;
    this.flush();
  };

  /** Most often the next requests have told the partner by now. */
  readonly #onQuiet = (): void => {
    this.#quiet = undefined;
    for (const { outbox } of this.#partners) if (outbox.quiet) outbox.ring();
  };

  /** Tasks that this director has with the owners of their volumes. */
  get unanswered(): number {
    let unanswered = 0;
    for (const { client } of this.#partners) unanswered += client.unanswered;
    return unanswered;
  }

  /** For metrics: the thread's doorbells. Now and then, not for each message. */
  publishSignals(): void {
    const { sent, saved, wakeups } = signalCounts(this.#global, this.#thread);
    this.#counters[COUNT.signalsSent] = sent;
    this.#counters[COUNT.signalsSaved] = saved;
    this.#counters[COUNT.wakeups] = wakeups;
  }

  #take(partner: Partner, slot: number): void {
    const words = this.#global.i32;
    if (words[slot] !== partner.epoch) {
      throw new Error(`invariant: a message of director ${partner.director} under epoch ${words[slot]}, not ${partner.epoch}`);
    }
    const kind = words[slot + KIND_WORD]!;
    switch (kind) {
      case MESSAGE.request:
        partner.server.onRequest(words, slot);
        break;
      case MESSAGE.reply:
        partner.client.onReply(words, slot);
        break;
      case MESSAGE.release:
        partner.server.onRelease(words, slot);
        break;
      case MESSAGE.reset:
        partner.server.onReset(words, slot);
        break;
      case MESSAGE.resetDone:
        partner.client.onResetDone(words, slot);
        break;
      case MESSAGE.nexusOpened:
      case MESSAGE.nexusName:
      case MESSAGE.nexusClosed:
        partner.server.onNexus(kind, words, slot);
        break;
      default:
        throw new Error(`invariant: channel message of kind ${kind}`);
    }
  }

  #partner(director: number, options: ChannelOptions): Partner {
    const { global, directorIndex, frames, server } = options;
    const consumer = threadNumber(global.layout, "director", director);
    const doorbell = new Doorbell(global, { consumer, producer: this.#thread });
    const counters = this.#counters;
    const outbox = new Outbox({
      global,
      place: channelRing(global.layout, directorIndex, director),
      epoch: threadEpoch(global, this.#thread),
      counters,
      ring: () => doorbell.ring(),
    });
    const flushSoon = () => this.#flushSoon();
    return {
      director,
      epoch: threadEpoch(global, consumer),
      inbox: new RingConsumer(global, channelRing(global.layout, director, directorIndex)),
      outbox,
      client: new ChannelClient({ global, outbox, frames, counters, flushSoon }),
      server: new ChannelServer({ global, outbox, frames, server, counters, flushSoon }),
    };
  }

  #flushSoon(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    // Behind the storage's work: what that completes goes along. Before the answers to hosts: the partner works meanwhile.
    this.#turnEnd.defer("channel", this.#flushNow);
  }

  readonly #flushNow = (): void => {
    this.#flushing = false;
    this.flush();
  };
}
