/**
 * PERSISTENT RESERVE IN (SPC-4 §6.15) of a logical unit that takes no registrations: PERSISTENT RESERVE OUT is not supported,
 * so there are no keys, no reservation and no capabilities, and that is what is reported.
 *
 * (Tools ask before they rely on it; iscsi-test-cu reads the keys after every test, to clean up.)
 *
 * Runs on: the owning director's thread.
 */
import { READ_KEYS } from "../cdb/persistent-reserve-in.ts";
import type { Command } from "../command.ts";
import { ParameterData } from "../parameter-data.ts";

/** READ KEYS, READ RESERVATION and READ FULL STATUS: PRGENERATION 0, and nothing follows. */
export function readNoRegistrations(command: Command): void {
  command.inline(new Uint8Array(8), command.field(READ_KEYS.fields.allocationLength));
}

export function reportCapabilities(command: Command): void {
  const data = new ParameterData(8)
    .u16(0, 8) // LENGTH
    .u8(3, 0x80); // TMV: the type mask is valid, and empty
  command.inline(data.bytes, command.field(READ_KEYS.fields.allocationLength));
}
