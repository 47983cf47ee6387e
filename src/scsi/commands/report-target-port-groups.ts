/** REPORT TARGET PORT GROUPS (SPC-4 §6.37), at the owner. Runs on: the owning director's thread. */
import { REPORT_TARGET_PORT_GROUPS } from "../cdb/report-target-port-groups.ts";
import type { Command } from "../command.ts";
import { EXTENDED_HEADER_FORMAT, targetPortGroupsData } from "../target-port-groups.ts";

export function reportTargetPortGroups(command: Command): void {
  const { fields } = REPORT_TARGET_PORT_GROUPS;
  const format = command.field(fields.parameterDataFormat);
  if (format > EXTENDED_HEADER_FORMAT) {
    command.invalidField(fields.parameterDataFormat);
    return;
  }
  const { identity, accessOf } = command.services;
  const data = targetPortGroupsData(identity.ports, accessOf(command.task.volume), format);
  command.inline(data, command.field(fields.allocationLength));
}
