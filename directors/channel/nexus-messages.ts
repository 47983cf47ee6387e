/**
 * I_T nexus information across the channel: the initiator's name takes up to three slots.
 *
 * Runs on: both ends. Login path only.
 */
import { SLOT_WORDS } from "../../drivers/shared-memory/layout.ts";
import type { NexusInfo } from "../../src/scsi/task.ts";
import { INITIATOR_NAME_BYTES_MAX, MESSAGE, NEXUS_NAME, NEXUS_OPENED, putBytes, TOKEN_WORD, takeBytes } from "./messages.ts";
import type { Outbox } from "./outbox.ts";

const FIRST_PART_BYTES = (SLOT_WORDS - NEXUS_OPENED.name) * 4;
const NEXT_PART_BYTES = (SLOT_WORDS - NEXUS_NAME.name) * 4;
const NAME_BUFFER_BYTES = FIRST_PART_BYTES + 2 * NEXT_PART_BYTES;

export function sendNexusOpened(outbox: Outbox, info: NexusInfo): void {
  const name = Buffer.alloc(NAME_BUFFER_BYTES);
  const nameBytes = Buffer.byteLength(info.initiatorName);
  if (nameBytes > INITIATOR_NAME_BYTES_MAX) throw new Error(`invariant: initiator name of ${nameBytes} bytes passed login`);
  name.write(info.initiatorName);
  const isid = Buffer.alloc(8);
  isid.write(info.isid, "hex");

  outbox.begin(MESSAGE.nexusOpened, info.nexus);
  const { words, at } = outbox;
  words[at + NEXUS_OPENED.directorIndex] = info.directorIndex;
  words[at + NEXUS_OPENED.nameBytes] = nameBytes;
  putBytes(words, at + NEXUS_OPENED.isid, isid, 8);
  putBytes(words, at + NEXUS_OPENED.name, name, FIRST_PART_BYTES);
  outbox.send();
  for (let sent = FIRST_PART_BYTES; sent < nameBytes; sent += NEXT_PART_BYTES) {
    outbox.begin(MESSAGE.nexusName, info.nexus);
    putBytes(outbox.words, outbox.at + NEXUS_NAME.name, name.subarray(sent), NEXT_PART_BYTES);
    outbox.send();
  }
}

/** Puts the slots of one nexus together; they follow each other, as a ring keeps order and nexuses don't interleave. */
export class NexusAssembler {
  readonly #name = Buffer.alloc(NAME_BUFFER_BYTES);
  readonly #isid = Buffer.alloc(8);
  #nexus = 0;
  #directorIndex = 0;
  #nameBytes = 0;
  #received = 0;

  /** Takes a nexusOpened or nexusName message; returns what was opened when it is whole. */
  take(kind: number, words: Int32Array, at: number): NexusInfo | undefined {
    const nexus = words[at + TOKEN_WORD]!;
    if (kind === MESSAGE.nexusOpened) {
      this.#nexus = nexus;
      this.#directorIndex = words[at + NEXUS_OPENED.directorIndex]!;
      this.#nameBytes = words[at + NEXUS_OPENED.nameBytes]!;
      takeBytes(words, at + NEXUS_OPENED.isid, this.#isid, 8);
      takeBytes(words, at + NEXUS_OPENED.name, this.#name, FIRST_PART_BYTES);
      this.#received = FIRST_PART_BYTES;
    } else {
      if (nexus !== this.#nexus) throw new Error(`invariant: name of nexus ${nexus} inside that of ${this.#nexus}`);
      takeBytes(words, at + NEXUS_NAME.name, this.#name.subarray(this.#received), NEXT_PART_BYTES);
      this.#received += NEXT_PART_BYTES;
    }
    if (this.#received < this.#nameBytes) return undefined;
    return {
      nexus: this.#nexus,
      initiatorName: this.#name.toString("utf8", 0, this.#nameBytes),
      isid: this.#isid.toString("hex", 0, 6),
      directorIndex: this.#directorIndex,
    };
  }
}
