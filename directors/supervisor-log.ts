/** The supervisor's log: JSON lines on stderr. Standard output is for the banner. Never used on the data path. */
import { destination, type Logger, pino } from "pino";
import type { Config } from "../src/config/config.ts";

export type SupervisorLog = Pick<Logger, "info" | "warn" | "error">;

const STDERR = 2;

export function supervisorLog(config: Config): SupervisorLog {
  return pino({ level: config.log.level, base: { thread: "main" } }, destination({ fd: STDERR, sync: true }));
}
