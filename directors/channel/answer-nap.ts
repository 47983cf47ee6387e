/**
 * Waits a moment for the owners' answers where many commands are on their way to them, instead of going back to the sockets.
 *
 * To send a command across is little work: less than the host needs to send the next one. A director that went back to its
 * socket each time found one command there, gave a turn of the event loop and its system calls to it, and told the owner of
 * it: twice the processor's time for each command that the owner itself takes. While it naps the hosts' next commands
 * gather in the socket, and the owner has the processor; its answer ends the nap, by the kernel's shortest way, and one turn
 * sends many answers to the hosts and many commands across.
 *
 * Runs on: a director's thread; one for each director. Called at the end of each turn.
 * Invariants:
 *  1. It naps only after a turn in which as much went across as hosts sent: who wants this director's own volumes is not
 *     kept waiting by another's. (Where a command went that had waited for a token, one of them may be: for one nap.)
 *  2. It naps only while UNANSWERED_MIN commands are on their way: with fewer, the time until the next is known counts, not
 *     the work.
 *  3. A nap ends with the first ring of the doorbell, whoever rings, at the latest after NAP_MILLISECONDS.
 *  4. After a vain nap it lets ever more opportunities pass before it tries again (back-off.ts): where the owner has to go to
 *     its drives, hosts are not kept waiting.
 */
import { BackOff } from "../back-off.ts";

/** More than a host has that keeps eight commands going: reads at that depth lost a seventh by naps (docs/performance/channel.md). */
const UNANSWERED_MIN = 9;
/** Some four times what an owner takes for what lies in memory; the kernel adds its timer slack, half as much again. */
const NAP_MILLISECONDS = 0.1;

export interface AnswerNapOptions {
  /** PDUs that came from this director's hosts so far. */
  pdus(): number;
  /** Commands that this director sent to others so far. */
  sent(): number;
  /** Of these, those that were not answered yet. */
  unanswered(): number;
  /** Waits for the doorbell and drains; says whether there was anything (EventLoopDoorbell). */
  nap(milliseconds: number): boolean;
}

export class AnswerNap {
  readonly #options: AnswerNapOptions;
  #pdus = 0;
  #sent = 0;
  readonly #backOff = new BackOff();

  constructor(options: AnswerNapOptions) {
    this.#options = options;
  }

  turnEnded(): void {
    const { pdus, sent } = this.#options;
    const came = pdus() - this.#pdus;
    const crossed = sent() - this.#sent;
    this.#pdus += came;
    this.#sent += crossed;
    if (crossed === 0 || came > crossed) return;
    if (this.#options.unanswered() < UNANSWERED_MIN) return;
    if (this.#backOff.admits()) this.#backOff.ended(this.#options.nap(NAP_MILLISECONDS));
  }
}
