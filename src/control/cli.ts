/** The `varray` command: a client of the API. Runs on: a process of its own. */
import { runCli } from "./cli/run.ts";

// A reader that has seen enough (`| head`) ends the command, without a word.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0);
  throw error;
});
process.exitCode = await runCli(process.argv.slice(2), {
  env: process.env,
  out: (text) => process.stdout.write(text),
  err: (text) => process.stderr.write(text),
});
