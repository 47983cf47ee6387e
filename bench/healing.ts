/**
 * Rebuild, copy-back and scrub: how fast they are while hosts are quiet, and at several shares while hosts ask for all that
 * they can get, beside what copying the same kind of LevelDB drives takes at best in the same run (raw/zone-copy.ts); and what
 * hosts see of them. With an array of its own for each repeat, because it takes drives away from it:
 *
 *   npm run bench:healing [-- --reps 3] [--span 1024] [--shares 10,30,60] [--data FOLDER] [--out FILE]
 *
 * `npm run bench` runs it as its part "healing".
 */
import { writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { parseArgs } from "node:util";
import type { HealingResults, HostsSeen } from "./healing-results.ts";
import { HealingSubject } from "./healing-subject.ts";
import { LoadClient, type LoadResult } from "./load-client.ts";
import { describeCommit, describeMachine, machineLine } from "./machine.ts";
import { rawZoneCopy } from "./raw/run-raw.ts";
import { temporaryFolder } from "./started.ts";
import { say, sayHealing } from "./terminal.ts";

const DATA_DRIVES = 3;

const { values } = parseArgs({
  options: {
    reps: { type: "string", default: "3" },
    span: { type: "string", default: "1024" },
    shares: { type: "string", default: "10,30,60" },
    data: { type: "string", default: tmpdir() },
    out: { type: "string" },
  },
});
const spanMebibytes = Number(values.span);
const shares = values.shares.split(",").map(Number);

const client = await LoadClient.compile(temporaryFolder(values.data));
const commit = describeCommit();
const results: HealingResults = {
  run: { commit: `${commit.id}${commit.isChanged ? " with changes" : ""}`, day: new Date().toISOString().slice(0, 10) },
  spanMebibytes,
  raw: { copyBytesPerSecond: [], readBytesPerSecond: [] },
  quiet: { rebuild: [], copyBack: [], scrub: [] },
  hostsAlone: [],
  beside: shares.flatMap((share) =>
    (["rebuild", "scrub"] as const).map((work) => ({ work, share, bytesPerSecond: [], hosts: [] })),
  ),
};
say(`varray ${commit.id} on ${machineLine(describeMachine(values.data))}`);
for (let rep = 0; rep < Number(values.reps); rep++) await repeat(results);
sayHealing(results);
if (values.out !== undefined) writeFileSync(values.out, `${JSON.stringify(results, undefined, 1)}\n`);
process.exit(0);

async function repeat(into: HealingResults): Promise<void> {
  const raw = await rawZoneCopy(values.data, Math.ceil(spanMebibytes / DATA_DRIVES));
  into.raw.copyBytesPerSecond.push(raw.copyBytesPerSecond);
  into.raw.readBytesPerSecond.push(raw.readBytesPerSecond);
  const subject = await HealingSubject.start({ client, dataFolder: values.data, spanMebibytes });
  await subject.fill();
  into.quiet.scrub.push(await subject.scrub());
  into.quiet.rebuild.push(await subject.rebuild());
  into.quiet.copyBack.push(await subject.copyBack());
  into.hostsAlone.push(seenBy(await subject.hosts()));
  for (const row of into.beside) {
    const { bytesPerSecond, hosts } = await subject.beside(row.work, row.share);
    row.bytesPerSecond.push(bytesPerSecond);
    row.hosts.push(seenBy(hosts));
  }
  await subject.stop();
}

function seenBy({ iops, p50Microseconds, p99Microseconds, p999Microseconds, maxMicroseconds }: LoadResult): HostsSeen {
  return { iops, p50Microseconds, p99Microseconds, p999Microseconds, maxMicroseconds };
}
