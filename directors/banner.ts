/** What `npm start` prints once the array serves: what was built, where it is reached, and three commands to try. */
import type { Config } from "../src/config/config.ts";
import type { ArraySummary } from "../src/control/contract.ts";

export function bannerOf(options: { version: string; config: Config; summary: ArraySummary; node: string }): string {
  const { version, config, summary } = options;
  const portals = summary.portals.map((portal) => {
    const state = portal.open
      ? `${portal.address}${portal.advertise === portal.address ? "" : `, advertised as ${portal.advertise}`}`
      : `closed: ${portal.reason ?? "unknown"}`;
    return row(`portal ${portal.director}`, state);
  });
  const pools = summary.pools.map((pool) => {
    const drives = config.pools.find(({ name }) => name === pool.name)?.drives.join(" ") ?? `${pool.driveCount}`;
    return row(`pool ${pool.name}`, `RAID-5 ${pool.driveCount - 1}+1, drives ${drives}, ${pool.state}`);
  });
  const luns = summary.luns.map((lun) =>
    row(`LUN ${lun.lun}`, `${lun.volume}, ${sizeText(lun.sizeBytes)} thin, pool ${lun.pool}, owner ${lun.owner}`),
  );
  const lines = [
    `varray ${version} is ready (Node ${options.node}).`,
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

function commands(summary: ArraySummary): string[] {
  const portal = summary.portals.find(({ open }) => open);
  const address = portal?.advertise ?? "127.0.0.1:3260";
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
