/** Hosts of the allow-list and their CHAP secrets. Each change runs inside the ChangeQueue. */
import { ApiError } from "./api-error.ts";
import type { ArrayState } from "./array-state.ts";
import type { Audit } from "./audit.ts";
import type { HostDocument } from "./contract.ts";
import type { Serving } from "./control-plane.ts";
import { portalRefusal } from "./portal-policy.ts";

const HOSTS_MAX = 1024;

export async function addHost({ array, portals }: Serving, audit: Audit, host: HostDocument): Promise<void> {
  const { hosts } = array.document;
  if (hosts.length >= HOSTS_MAX) {
    throw new ApiError(409, "tooManyHosts", `the array has ${HOSTS_MAX} hosts, which is the most; delete one first`);
  }
  if (hosts.some(({ name }) => name === host.name)) {
    throw new ApiError(409, "nameInUse", `a host "${host.name}" exists; choose another name`, "name");
  }
  const holder = hosts.find(({ initiatorName }) => initiatorName === host.initiatorName);
  if (holder !== undefined) {
    throw new ApiError(
      409,
      "initiatorInUse",
      `initiator ${host.initiatorName} belongs to host "${holder.name}"`,
      "initiatorName",
    );
  }
  await array.store({ hosts: [...hosts, host] });
  const secret = host.chap === undefined ? "without a CHAP secret" : `with a CHAP secret of user ${host.chap.user}`;
  audit.record("info", "host.added", `host ${host.name}`, `host ${host.name} (${host.initiatorName}) was added, ${secret}`);
  await array.route();
  await portals.open();
}

/** Sets or (null) takes away the CHAP secret of a host. */
export async function setChap(
  { array, portals }: Serving,
  audit: Audit,
  name: string,
  chap: HostDocument["chap"] | null,
): Promise<void> {
  const host = findHost(array, name);
  const { chap: _, ...plain } = host;
  const changed: HostDocument = chap === null || chap === undefined ? plain : { ...plain, chap };
  await array.store({ hosts: array.document.hosts.map((other) => (other === host ? changed : other)) });
  const subject = `host ${name}`;
  if (changed.chap === undefined)
    audit.record("warning", "host.changed", subject, `the CHAP secret of host ${name} was taken away`);
  else audit.record("info", "host.changed", subject, `host ${name} has a new CHAP secret, of user ${changed.chap.user}`);
  await array.route();
  await portals.open();
}

export async function deleteHost(array: ArrayState, audit: Audit, name: string): Promise<void> {
  const host = findHost(array, name);
  await array.store({ hosts: array.document.hosts.filter((other) => other !== host) });
  audit.record("info", "host.removed", `host ${name}`, `host ${name} (${host.initiatorName}) was removed`);
  await array.route();
}

/** On: only known hosts log in, and portals beyond loopback open. Off is refused while such a portal is open. */
export async function setAllowListOnly({ array, portals }: Serving, audit: Audit, allowListOnly: boolean): Promise<void> {
  const exposed = array.config.directors.filter(
    (director, index) =>
      portals.states[index]!.open && portalRefusal(array.config, director, { ...array.document, allowListOnly }) !== undefined,
  );
  if (exposed.length > 0) {
    throw new ApiError(
      409,
      "portalExposed",
      `portal ${exposed.map(({ name }) => name).join(", ")} is open beyond loopback: without the allow-list anyone could log in. ` +
        "Bind it to loopback, or start with VARRAY_OPEN=1",
      "allowListOnly",
    );
  }
  const before = array.document.allowListOnly;
  await array.store({ allowListOnly });
  if (before !== allowListOnly) {
    const what = allowListOnly ? "on: only known hosts log in" : "off: hosts that are not known may log in";
    audit.record(allowListOnly ? "info" : "warning", "allowList.switched", "hosts", `the allow-list was switched ${what}`);
  }
  await array.route();
  await portals.open();
}

function findHost(array: ArrayState, name: string): HostDocument {
  const host = array.document.hosts.find((candidate) => candidate.name === name);
  if (host === undefined) throw new ApiError(404, "noSuchHost", `there is no host "${name}"`);
  return host;
}
