/** Entry of the process: configuration, then the supervisor. Exit statuses stand in start-error.ts. */
import { writeSync } from "node:fs";
import { ConfigError } from "../src/config/config-error.ts";
import { loadConfig } from "../src/config/load.ts";
import { EXIT_STATUS, StartError } from "./start-error.ts";
import { Supervisor } from "./supervisor.ts";
import { supervisorLog } from "./supervisor-log.ts";

const STDERR = 2;

/** Synchronous, whatever stderr is: the process ends right after. */
function end(status: number, message: string): never {
  writeSync(STDERR, `varray: ${message}\n`);
  process.exit(status);
}

function whatFailed(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

process.on("uncaughtException", (error) => end(EXIT_STATUS.failed, `main failed: ${whatFailed(error)}`));
process.on("unhandledRejection", (error) => end(EXIT_STATUS.failed, `main failed: ${whatFailed(error)}`));

try {
  const config = loadConfig(process.env);
  await new Supervisor(config, supervisorLog(config)).start();
} catch (error) {
  if (error instanceof ConfigError) end(EXIT_STATUS.badConfiguration, error.message);
  if (error instanceof StartError) end(error.exitStatus, error.message);
  throw error;
}
