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
 *  2. Nothing that was sent under an epoch that is over is begun: such messages are dropped, but for answers, which are
 *     true whoever their sender is by now.
 *
 *        up ──epoch raised by main──▶ fenced ──`partnerLost`, main has joined it──▶ down ──`partnerBack`──▶ up
 *
 *  3. Rings are emptied by the survivor, while their other end is dead: in `partnerLost`, both of them. A director that starts
 *     finds them empty, or with what was said to its present life.
 */
import { counterBlock } from "../../drivers/shared-memory/counters.ts";
import { Doorbell, signalCounts } from "../../drivers/shared-memory/doorbell.ts";
import { threadEpoch } from "../../drivers/shared-memory/epoch.ts";
import type { GlobalMemory } from "../../drivers/shared-memory/global-memory.ts";
import { CHANNEL_REQUEST_WORD, channelRequestWords, channelRing, threadNumber } from "../../drivers/shared-memory/layout.ts";
import { RingConsumer } from "../../drivers/shared-memory/ring.ts";
import type { ExecutedRequests } from "../../src/scsi/executed-requests.ts";
import type { LogicalUnitServer } from "../../src/scsi/task.ts";
import type { FrameSource } from "../../src/volume/block-io.ts";
import type { DirectorLife } from "../director-messages.ts";
import type { TurnEnd } from "../turn-end.ts";
import { ChannelClient } from "./channel-client.ts";
import { CHANNEL_COUNTERS } from "./channel-counters.ts";
import { ChannelServer } from "./channel-server.ts";
import { KIND_WORD, MESSAGE, TOKENS } from "./messages.ts";
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
  /** Requests without an answer are told to it when their owner is dead, before its pools are recovered. */
  readonly executed?: ExecutedRequests;
  /** A partner came back and is to be told of the nexuses here. */
  readonly onPartnerBack?: (partner: LogicalUnitServer) => void;
  /** Those that run, by what main knows: one may have died since. The others are down until `partnerBack`. */
  readonly partners: readonly DirectorLife[];
}

interface Partner extends DirectorLife {
  fenced: boolean;
  readonly inbox: RingConsumer;
  readonly outbox: Outbox;
  readonly client: ChannelClient;
  readonly server: ChannelServer;
}

/** Stands in for a partner that is down: what is sent to it waits for another owner. */
const DOWN: LogicalUnitServer = {
  planDataOut: () => {},
  submit: (task) => task.onMoved!(task),
  resetLogicalUnit: (_nexus, _lun, done) => done(true, true),
  nexusOpened: () => {},
  nexusClosed: () => {},
};

export class Channel {
  readonly #global: GlobalMemory;
  readonly #thread: number;
  readonly #counters: Float64Array;
  readonly #options: ChannelOptions;
  /** Those that are not down. */
  #partners: Partner[] = [];
  /** By director. */
  readonly #clients: (LogicalUnitServer | undefined)[] = [];
  readonly #turnEnd: TurnEnd;
  /** Numbers of requests: one sequence for all partners, as pools go from one to another. */
  #lastRequest = 0;
  #flushing = false;
  #retry: NodeJS.Timeout | undefined;
  #quiet: NodeJS.Timeout | undefined;

  constructor(options: ChannelOptions) {
    const { global, directorIndex } = options;
    this.#options = options;
    this.#global = global;
    this.#turnEnd = options.turnEnd;
    this.#thread = threadNumber(global.layout, "director", directorIndex);
    this.#counters = counterBlock(global, "channel", directorIndex);
    const { directorCount } = global.layout.shape;
    for (let director = 0; director < directorCount; director++) if (director !== directorIndex) this.#clients[director] = DOWN;
    for (const partner of options.partners) this.#open(partner);
  }

  /** What serves the volumes of another director. */
  clientTo(director: number): LogicalUnitServer {
    const client = this.#clients[director];
    if (client === undefined) throw new Error(`invariant: no channel to director ${director}`);
    return client;
  }

  /** Takes a bounded number of messages from every partner; true when there were any. */
  drain(): boolean {
    let found = false;
    for (const partner of this.#partners) {
      this.#checkFence(partner);
      if (this.#takeSome(partner, MESSAGES_PER_DRAIN)) found = true;
    }
    return found;
  }

  #takeSome(partner: Partner, messagesMax: number): boolean {
    const { inbox } = partner;
    let taken = 0;
    for (; taken < messagesMax; taken += 1) {
      const slot = inbox.peek();
      if (slot < 0) break;
      this.#take(partner, slot);
      inbox.advance();
    }
    return taken > 0;
  }

  // — partners that die and come back —

  /** Main has fenced it, and may be joining it: what it asks for from now on, its hosts may have asked elsewhere already. */
  #checkFence(partner: Partner): void {
    if (partner.fenced || threadEpoch(this.#global, this.#threadOf(partner.director)) === partner.epoch) return;
    partner.fenced = true;
    partner.server.abandon();
  }

  /**
   * A director is dead and joined. When this returns, nothing that it asked for can change anything here any more; its answers were
   * taken; what it had not answered waits for the routing that names another owner.
   * Resolves when nothing refers to its frames any more.
   */
  partnerLost(director: number): Promise<void> {
    return new Promise((resolve) => this.#lose(director, resolve));
  }

  #lose(director: number, released: () => void): void {
    const partner = this.#partners.find((candidate) => candidate.director === director);
    if (partner === undefined) {
      released();
      return;
    }
    this.#checkFence(partner);
    if (!partner.fenced) throw new Error(`invariant: director ${director} is lost, and its epoch was not raised`);
    // Its end is dead: so many messages at most as the ring has slots, and as answers let nothing new in.
    this.#takeSome(partner, channelRing(this.#global.layout, director, this.#options.directorIndex).slots);
    this.#partners = this.#partners.filter((other) => other !== partner);
    this.#clients[director] = DOWN;
    // What was said to it, in its place.
    new RingConsumer(this.#global, channelRing(this.#global.layout, this.#options.directorIndex, director)).discard();
    this.#options.executed?.expect(this.#unansweredRequests());
    partner.client.ownerLost(released);
  }

  /** Main started it anew, under a new epoch; all survivors have lost it before. Is it dead again by now, `partnerLost` follows. */
  partnerBack(partner: DirectorLife): void {
    const { director } = partner;
    if (this.#clients[director] !== DOWN) throw new Error(`invariant: director ${director} is back, and was not down`);
    this.#options.onPartnerBack?.(this.#open(partner));
  }

  /** What any director has sent to any other and has no answer to. */
  #unansweredRequests(): { director: number; epoch: number; request: number }[] {
    const { layout, i32 } = this.#global;
    const { directorCount } = layout.shape;
    const requests: { director: number; epoch: number; request: number }[] = [];
    for (let director = 0; director < directorCount; director += 1) {
      const epoch = threadEpoch(this.#global, this.#threadOf(director));
      for (let owner = 0; owner < directorCount; owner += 1) {
        for (let token = 0; director !== owner && token < TOKENS; token += 1) {
          const request = i32[channelRequestWords(layout, director, owner, token) + CHANNEL_REQUEST_WORD.asked]! >>> 0;
          if (request !== 0) requests.push({ director, epoch, request });
        }
      }
    }
    return requests;
  }

  readonly #nextRequest = (): number => {
    this.#lastRequest = this.#lastRequest >= 0xffff_ffff ? 1 : this.#lastRequest + 1;
    return this.#lastRequest;
  };

  #threadOf(director: number): number {
    return threadNumber(this.#global.layout, "director", director);
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

  /** Tasks and resets that are on their way, and answers whose data is not sent. */
  get inFlight(): number {
    let inFlight = 0;
    for (const { client } of this.#partners) inFlight += client.inFlight;
    return inFlight;
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
    const kind = words[slot + KIND_WORD]!;
    const isAnswer = kind === MESSAGE.reply || kind === MESSAGE.resetDone;
    if (words[slot] !== partner.epoch || (partner.fenced && !isAnswer)) {
      this.#counters[COUNT.messagesDropped]! += 1;
      return;
    }
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

  #open({ director, epoch }: DirectorLife): ChannelClient {
    const { global, directorIndex, frames, server } = this.#options;
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
    const common = { global, outbox, frames, counters, flushSoon };
    const isFenced = () => threadEpoch(global, consumer) !== epoch;
    const client = new ChannelClient({
      ...common,
      requester: directorIndex,
      epoch: threadEpoch(global, this.#thread),
      owner: director,
      nextRequest: this.#nextRequest,
    });
    const inbox = new RingConsumer(global, channelRing(global.layout, director, directorIndex));
    const life = { owner: directorIndex, requester: director, requesterEpoch: epoch, isFenced };
    this.#partners.push({
      director,
      epoch,
      fenced: false,
      inbox,
      outbox,
      client,
      server: new ChannelServer({ ...common, server, ...life }),
    });
    this.#clients[director] = client;
    return client;
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
