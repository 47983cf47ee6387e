/** What `npm start` prints once the array serves: what was built, where it is reached, and three commands to try. */
import type { Config } from "../src/config/config.ts";
import type { ArraySummary } from "../src/control/contract.ts";
import { raidLevel } from "../src/raid/raid-levels.ts";

export function bannerOf(options: { version: string; config: Config; summary: ArraySummary; node: string }): string {
  const { version, config, summary } = options;
  const portals = summary.portals.map((portal) => {
    const state = portal.open
      ? `${portal.address}${["", portal.address].includes(portal.advertise) ? "" : `, advertised as ${portal.advertise}`}`
      : `closed: ${portal.reason ?? "unknown"}`;
    return row(`portal ${portal.director}`, state);
  });
  const pools = summary.pools.map((pool) => {
    const configured = config.pools.find(({ name }) => name === pool.name);
    const drives = configured?.drives.join(" ") ?? `${pool.driveCount}`;
    const spares = configured === undefined || configured.spares.length === 0 ? "" : `, spare ${configured.spares.join(" ")}`;
    const level = configured === undefined ? "" : `${raidLevel(configured.raid).label}, `;
    return row(`pool ${pool.name}`, `${level}drives ${drives}${spares}, ${pool.state}`);
  });
  const luns = summary.luns.map((lun) =>
    row(`LUN ${lun.lun}`, `${lun.volume}, ${sizeText(lun.sizeBytes)} thin, pool ${lun.pool}, owner ${lun.owner}`),
  );
  const lines = [
    headline(summary, version, options.node),
    row("data", config.dataFolder),
    row("target", summary.targetName),
    ...portals,
    ...pools,
    ...luns,
    row("API", `${summary.apiUrl} (metrics at /metrics, OpenAPI at /openapi.json)`),
    ...(summary.tokenFile === undefined ? [] : [row("API token", summary.tokenFile)]),
    "Try:",
    ...commands(summary).map((command) => `  ${command}`),
  ];
  return `${lines.join("\n")}\n`;
}

/** As `/healthz` judges it: what is failed or closed is no detail of a list. */
function headline({ pools, portals }: ArraySummary, version: string, node: string): string {
  const missing = [
    ...pools.filter(({ state }) => state === "failed").map(({ name }) => `pool ${name} failed`),
    ...portals.filter(({ open }) => !open).map(({ director }) => `portal ${director} is closed`),
  ];
  if (missing.length === 0) return `varray ${version} is ready (Node ${node}).`;
  return `varray ${version} serves, but not all of it is ready (Node ${node}): ${missing.join(", ")}.`;
}

function commands(summary: ArraySummary): string[] {
  const portal = summary.portals.find(({ open }) => open);
  const address = portal?.advertise || portal?.address.replace(/^(0\.0\.0\.0|\[::\])/, "127.0.0.1") || "127.0.0.1:3260";
  const lun = summary.luns[0]?.lun ?? 0;
  return [
    `iscsi-ls -s iscsi://${address}`,
    `qemu-img info iscsi://${address}/${summary.targetName}/${lun}`,
    `curl ${summary.apiUrl}/metrics`,
  ];
}

function row(name: string, value: string): string {
  return `  ${name.padEnd(10)} ${value}`;
}

function sizeText(bytes: number): string {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${Number.isInteger(value) ? value : value.toFixed(1)} ${units[unit]}`;
}
