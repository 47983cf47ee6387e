/** The counter tables of all subsystems: the only place of the control plane that knows them by name. */

import { CHANNEL_COUNTERS } from "../../../directors/channel/channel-counters.ts";
import { DIRECTOR_COUNTERS } from "../../../directors/director-counters.ts";
import { DRIVE_COUNTERS } from "../../../drivers/drive/drive-counters.ts";
import type { CounterTable } from "../../../drivers/shared-memory/counters.ts";
import { SCSI_COUNTERS } from "../../scsi/scsi-counters.ts";

export const COUNTER_TABLES: readonly CounterTable[] = [DIRECTOR_COUNTERS, CHANNEL_COUNTERS, SCSI_COUNTERS, DRIVE_COUNTERS];
