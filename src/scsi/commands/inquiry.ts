/** INQUIRY of a logical unit that is there. Runs on: the owning director's thread. */
import { INQUIRY } from "../cdb/inquiry.ts";
import type { Command } from "../command.ts";
import { PERIPHERAL_DISK, standardInquiry } from "../standard-inquiry.ts";
import { portOfNexus } from "../target-identity.ts";
import { vpdPage } from "../vpd/vpd-page.ts";
import { findVpdPage } from "../vpd/vpd-pages.ts";
import { mustBeZero } from "./block-range.ts";

export function inquiry(command: Command): void {
  const { fields } = INQUIRY;
  if (!mustBeZero(command, fields.cmddt)) return;
  const allocationLength = command.field(fields.allocationLength);
  const pageCode = command.field(fields.pageCode);
  if (command.field(fields.evpd) === 0) {
    if (pageCode !== 0) {
      command.invalidField(fields.pageCode);
      return;
    }
    command.inline(standardInquiry(PERIPHERAL_DISK), allocationLength);
    return;
  }
  const page = findVpdPage(pageCode);
  if (page === undefined) {
    command.invalidField(fields.pageCode);
    return;
  }
  const { identity } = command.services;
  const body = page.body({ info: command.info, identity, port: portOfNexus(identity, command.task.nexus) });
  command.inline(vpdPage(PERIPHERAL_DISK, page.code, body), allocationLength);
}
