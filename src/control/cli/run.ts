/** Parses the command line and runs one command; the result is the exit status. */
import { Command, CommanderError } from "commander";
import { VERSION } from "../version.ts";
import { ApiClient, CliError, type ClientOptions, EXIT } from "./api-client.ts";
import { addFaultCommands } from "./drive-commands.ts";
import { addHostCommands } from "./host-commands.ts";
import { addStorageCommands } from "./storage-commands.ts";
import { addSystemCommands } from "./system-commands.ts";

export interface CliIo {
  readonly env: NodeJS.ProcessEnv;
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
}

/** What a command works with. */
export interface CliContext extends CliIo {
  client(): ApiClient;
  /** With --json the answer as it is, else what `text` makes of it. */
  show<T>(answer: T, text: (answer: T) => string): void;
  /** The command ends with this status. */
  end(exitStatus: number): void;
}

export async function runCli(args: readonly string[], io: CliIo): Promise<number> {
  let exitStatus: number = EXIT.done;
  const program = new Command("varray")
    .description("Talks to a varray array over its API.")
    .version(VERSION)
    .option("--api <url>", "address of the API (VARRAY_API; http://127.0.0.1:8080)")
    .option("--token <token>", "API token (better: VARRAY_TOKEN, or the file <data>/api-token, which is found by itself)")
    .option("--data <folder>", "the array's data folder, for its token (VARRAY_DATA; ./varray-data)")
    .option("--json", "print the API's answer as JSON")
    .showHelpAfterError("(varray --help lists the commands)")
    .addHelpText(
      "after",
      "\nExit status: 0 done, 1 the array refused or is not ready, 2 used wrongly, 3 the array was not reached.",
    )
    .exitOverride()
    .configureOutput({ writeOut: io.out, writeErr: io.err });
  const options = () => program.opts<ClientOptions & { json?: true }>();
  const context: CliContext = {
    ...io,
    client: () => new ApiClient(options(), io.env),
    show: (answer, text) => io.out(options().json ? `${JSON.stringify(answer, null, 2)}\n` : text(answer)),
    end: (status) => {
      exitStatus = status;
    },
  };
  addSystemCommands(program, context);
  addStorageCommands(program, context);
  addHostCommands(program, context);
  addFaultCommands(program, context);
  for (const group of program.commands) refuseUnknownCommand(group);
  try {
    await program.parseAsync([...args], { from: "user" });
    return exitStatus;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usage;
    if (!(error instanceof CliError)) throw error;
    io.err(`varray: ${error.message}\n`);
    return error.exitStatus;
  }
}

/** A group's default command would take a word that is no command for its argument, and complain of that. */
function refuseUnknownCommand(group: Command): void {
  group.hook("preSubcommand", (_group, chosen) => {
    const word = group.args[0];
    if (word === undefined || word.startsWith("-") || [chosen.name(), ...chosen.aliases()].includes(word)) return;
    const commands = group.commands.map((command) => command.name()).join(", ");
    group.error(`error: unknown command '${group.name()} ${word}'; there are ${commands}`);
  });
}
