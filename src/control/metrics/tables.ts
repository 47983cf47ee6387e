/** The counter tables of all subsystems: the only place of the control plane that knows them by name. */

import { CHANNEL_COUNTERS } from "../../../directors/channel/channel-counters.ts";
import { DIRECTOR_COUNTERS } from "../../../directors/director-counters.ts";
import { FRONT_END_COUNTERS } from "../../../directors/front-end/front-end-counters.ts";
import { DRIVE_COUNTERS } from "../../../drivers/drive/drive-counters.ts";
import { JOURNAL_COUNTERS } from "../../../drivers/journal-file/journal-counters.ts";
import type { CounterTable } from "../../../drivers/shared-memory/counters.ts";
import { THREAD_COUNTERS } from "../../../drivers/shared-memory/thread-counters.ts";
import { SCSI_COUNTERS } from "../../scsi/scsi-counters.ts";
import { POOL_COUNTERS } from "../../volume/pool-counters.ts";

export const COUNTER_TABLES: readonly CounterTable[] = [
  DIRECTOR_COUNTERS,
  FRONT_END_COUNTERS,
  SCSI_COUNTERS,
  CHANNEL_COUNTERS,
  POOL_COUNTERS,
  JOURNAL_COUNTERS,
  DRIVE_COUNTERS,
  THREAD_COUNTERS,
];
