import { describe, expect, test } from "vitest";
import { type Access, admit } from "../../../directors/front-end/iscsi/login/access.ts";

const LISTED = "iqn.2026-11.test:listed";
const WITH_CHAP = "iqn.2026-11.test:chap";
const access = (allowListOnly: boolean): Access => ({
  targetName: "iqn.2026-11.test:array",
  hosts: [
    { name: "listed", initiatorName: LISTED },
    { name: "chap", initiatorName: WITH_CHAP, chap: { user: "u", secret: "twelve-or-more" } },
  ],
  allowListOnly,
  luns: [],
});

describe("who is admitted", () => {
  test.each([
    // allow-list, beyond loopback, initiator, admitted
    [false, false, "iqn.2026-11.test:unknown", true],
    [false, false, LISTED, true],
    [true, false, "iqn.2026-11.test:unknown", false],
    [true, false, LISTED, true],
    [false, true, "iqn.2026-11.test:unknown", false],
    [false, true, LISTED.toUpperCase(), false], // CHAP on every host let the portal open: it must hold for hosts added later
    [false, true, WITH_CHAP, true],
    [true, true, LISTED, true],
  ])("allow-list %s, listed only %s, %s: %s", (allowListOnly, listedOnly, initiator, admitted) => {
    expect(admit(access(allowListOnly), initiator, listedOnly).admitted).toBe(admitted);
  });
});
