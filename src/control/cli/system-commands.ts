/** status, directors, ports, sessions, events, metrics. */
import type { Command } from "commander";
import type { Director, Event, Health, Portal, Session, System } from "./answers.ts";
import { CliError, EXIT } from "./api-client.ts";
import type { CliContext } from "./run.ts";
import { percent, readableBytes, table } from "./table.ts";

const RESTART_SECONDS = 130;
/** Of one line of a stream: an event is far below it. */
const LINE_CHARACTERS_MAX = 1024 * 1024;

export function addSystemCommands(program: Command, context: CliContext): void {
  program
    .command("status")
    .description("the array at a glance; exit status 1 when it is not ready")
    .action(async () => {
      const client = context.client();
      const { status, body: health } = await client.getWithStatus<Health>("/healthz");
      const system =
        health.ready || !health.reasons.some((reason) => reason.includes("starting"))
          ? await client.get<System>("/api/v1/system")
          : undefined;
      const ports = system === undefined ? [] : (await client.get<{ ports: Portal[] }>("/api/v1/ports")).ports;
      context.show({ health, system, ports }, () => statusText(health, system, ports));
      if (status !== 200) context.end(EXIT.refused);
    });
  addDirectorCommands(program.command("directors").description("directors, their pools and sessions"), context);
  program
    .command("ports")
    .description("iSCSI portals")
    .action(async () => {
      const answer = await context.client().get<{ ports: Portal[] }>("/api/v1/ports");
      context.show(answer, ({ ports }) => portTable(ports));
    });
  program
    .command("sessions")
    .description("iSCSI sessions")
    .action(async () => {
      const answer = await context.client().get<{ sessions: Session[] }>("/api/v1/sessions");
      context.show(answer, ({ sessions }) =>
        table<Session>(
          [
            { title: "DIRECTOR", value: ({ director }) => director },
            { title: "INITIATOR", value: ({ initiatorName }) => initiatorName },
            { title: "ADDRESS", value: ({ address }) => address },
            { title: "TSIH", value: ({ tsih }) => tsih },
            {
              title: "DIGESTS",
              value: ({ headerDigest, dataDigest }) =>
                [headerDigest ? "header" : "", dataDigest ? "data" : ""].filter(Boolean).join(",") || "none",
            },
            { title: "KIND", value: ({ discovery }) => (discovery ? "discovery" : "normal") },
            { title: "SINCE", value: ({ since }) => since },
          ],
          sessions,
        ),
      );
    });
  program
    .command("events")
    .description("latest events")
    .option("--follow", "then print events as they come, until stopped")
    .option("--severity <least>", "info, warning or critical", "info")
    .option("--limit <count>", "at most so many", "50")
    .action(async ({ follow, severity, limit }: { follow?: true; severity: string; limit: string }) => {
      const query = new URLSearchParams({ severity, limit }).toString();
      if (follow) await followEvents(context, query);
      else {
        const answer = await context.client().get<{ events: Event[] }>(`/api/v1/events?${query}`);
        context.show(answer, ({ events }) => events.map(eventLine).join(""));
      }
    });
  program
    .command("metrics")
    .description("metrics as Prometheus gets them")
    .argument("[start]", "only those whose name starts so")
    .action(async (start?: string) => {
      const text = await context.client().text("/metrics");
      const wanted = (line: string) => start === undefined || line.replace(/^# (HELP|TYPE) /, "").startsWith(start);
      context.out(
        text
          .split("\n")
          .filter((line) => line !== "" && wanted(line))
          .map((line) => `${line}\n`)
          .join(""),
      );
    });
}

function addDirectorCommands(directors: Command, context: CliContext): void {
  directors
    .command("list", { isDefault: true })
    .description("all directors")
    .action(async () => {
      const answer = await context.client().get<{ directors: Director[] }>("/api/v1/directors");
      context.show(answer, (shown) => directorTable(shown.directors));
    });
  directors
    .command("restart")
    .description("restart a director; its partner serves its pools meanwhile. Done when it is back")
    .argument("<director>", "as 1A")
    .action(async (director: string) => {
      const path = `/api/v1/directors/${encodeURIComponent(director)}/restart`;
      const answer = await context.client().post(path, undefined, RESTART_SECONDS);
      context.show(answer, () => `director ${director} was restarted\n`);
    });
  directors
    .command("fault")
    .description("let a director fail, to see what becomes of the array")
    .argument("<director>", "as 1A")
    .argument("<kind>", "kill, throw, exit, hang or cutOff (from its drive threads)")
    .option("--seconds <seconds>", "how long a hang or a cut lasts")
    .action(async (director: string, kind: string, { seconds }: { seconds?: string }) => {
      const body = { kind, ...(seconds === undefined ? {} : { seconds: Number(seconds) }) };
      const answer = await context.client().post(`/api/v1/faults/directors/${encodeURIComponent(director)}`, body);
      context.show(answer, () => `director ${director} was told to fail: ${kind}\n`);
    });
}

function directorTable(directors: readonly Director[]): string {
  return table<Director>(
    [
      { title: "DIRECTOR", value: ({ name }) => name },
      { title: "ENGINE", value: ({ engine }) => engine },
      { title: "STATE", value: ({ state, answering, reason }) => (answering ? state : `${state}, silent: ${reason ?? ""}`) },
      { title: "POOLS", value: ({ pools }) => pools.join(",") },
      { title: "SESSIONS", value: ({ sessionCount }) => sessionCount },
    ],
    directors,
  );
}

function statusText(health: Health, system: System | undefined, ports: readonly Portal[]): string {
  const lines = [`array is ${health.ready ? "ready" : "NOT READY"}`];
  for (const reason of health.reasons) lines.push(`  ${reason}`);
  for (const warning of health.warnings) lines.push(`  warning: ${warning}`);
  if (system !== undefined) {
    lines.push(
      `target     ${system.targetName}`,
      `array id   ${system.arrayId}`,
      `version    ${system.version}, up ${Math.round(system.uptimeSeconds)} s`,
      `pools      ${system.pools.join(", ")}; ${system.volumeCount} volumes`,
      ...system.capacity.map(capacityLine),
      `memory     ${readableBytes(system.frameBytes)} of frames`,
      `sessions   ${system.sessionCount}${system.allowListOnly ? "; only known hosts log in" : ""}`,
    );
  }
  return `${lines.join("\n")}\n${ports.length === 0 ? "" : `\n${portTable(ports)}`}`;
}

function capacityLine({ pool, usableBytes, liveBytes, provisionedBytes }: System["capacity"][number]): string {
  const promised = `${readableBytes(provisionedBytes)} provisioned of ${readableBytes(usableBytes)} usable`;
  const over = provisionedBytes > usableBytes && usableBytes > 0 ? ", OVERCOMMITTED" : "";
  return `pool ${pool.padEnd(6)}${promised} (${percent(provisionedBytes, usableBytes)}${over}), ${readableBytes(liveBytes)} used`;
}

function portTable(ports: readonly Portal[]): string {
  return table<Portal>(
    [
      { title: "DIRECTOR", value: ({ director }) => director },
      { title: "LISTENS", value: ({ address }) => address },
      { title: "ADVERTISES", value: ({ advertise }) => advertise || "(its own address)" },
      { title: "GROUP", value: ({ groupTag }) => groupTag },
      { title: "STATE", value: ({ open, reason }) => (open ? "open" : `closed: ${reason ?? ""}`) },
    ],
    ports,
  );
}

/** The subject goes first where the sentence leaves it to the reader: "pool A goes on without it". */
function eventLine({ time, severity, type, subject, message }: Event): string {
  const sentence = message.includes(subject) ? message : `${subject}: ${message}`;
  return `${time}  ${severity.padEnd(8)}  ${type.padEnd(24)}  ${sentence}\n`;
}

async function followEvents(context: CliContext, query: string): Promise<void> {
  const stream = await context.client().stream(`/api/v1/events/stream?${query}`);
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    rest += text;
    if (rest.length > LINE_CHARACTERS_MAX)
      throw new CliError(EXIT.refused, "the event stream sends no lines: is this varray's API?");
    const lines = rest.split("\n");
    rest = lines.pop()!;
    for (const line of lines) {
      if (!line.startsWith("data: ")) continue;
      const event = JSON.parse(line.slice("data: ".length)) as Event;
      context.show(event, eventLine);
    }
  }
  throw new CliError(EXIT.unreachable, "the array ended the event stream");
}
