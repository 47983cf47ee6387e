import { beforeEach, describe, expect, test } from "vitest";
import { INQUIRY } from "../../../src/scsi/cdb/inquiry.ts";
import { READ_10 } from "../../../src/scsi/cdb/read.ts";
import { REPORT_LUNS } from "../../../src/scsi/cdb/report-luns.ts";
import { REQUEST_SENSE } from "../../../src/scsi/cdb/request-sense.ts";
import { TEST_UNIT_READY } from "../../../src/scsi/cdb/test-unit-ready.ts";
import { WRITE_10 } from "../../../src/scsi/cdb/write.ts";
import { STATUS } from "../../../src/scsi/task.ts";
import type { ScsiInitiator } from "../../support/scsi-initiator.ts";
import { type TestTarget, testTarget } from "../../support/scsi-target.ts";

let array: TestTarget;
let host: ScsiInitiator;

beforeEach(() => {
  array = testTarget();
  host = array.initiator();
});

function reportLuns(selectReport = 0, lun = 0, allocationLength = 1024): string[] {
  const answer = host.send(REPORT_LUNS, { selectReport, allocationLength }, { lun });
  expect(answer.status).toBe(STATUS.GOOD);
  const list = Buffer.from(answer.data);
  expect(list.readUInt32BE(0)).toBe(list.length - 8);
  return Array.from({ length: (list.length - 8) / 8 }, (_, i) => list.toString("hex", 8 + 8 * i, 16 + 8 * i));
}

describe("REPORT LUNS (SPC-4 §6.33)", () => {
  test("lists LUNs below 256 by peripheral, above by flat space addressing", () => {
    array.route([
      { lun: 16383, volume: 3 },
      { lun: 0, volume: 1 },
      { lun: 255, volume: 2 },
      { lun: 256, volume: 2 },
      { lun: 16384, volume: 2 },
      { lun: 7, volume: 99 },
    ]);
    // LUN 7's volume is in a pool that did not come up: it is still there to be reported.
    const expected = ["0000000000000000", "0007000000000000", "00ff000000000000", "4100000000000000", "7fff000000000000"];
    expect(reportLuns()).toEqual(expected);
    expect(reportLuns(2)).toEqual(expected);
    expect(reportLuns(0x11)).toEqual(expected);
    expect(reportLuns(1)).toEqual([]);
    expect(reportLuns(0x10)).toEqual([]);
  });

  test("answers at LUNs where nothing is, also ones that can't be addressed", () => {
    expect(reportLuns(0, 5).length).toBe(3);
    expect(reportLuns(0, -1).length).toBe(3);
  });

  test("cuts to the allocation length and refuses reserved values of SELECT REPORT", () => {
    expect(host.send(REPORT_LUNS, { allocationLength: 12 })).toMatchObject({ status: STATUS.GOOD, transferBytes: 12 });
    expect(host.send(REPORT_LUNS, { selectReport: 3, allocationLength: 64 }).sense).toBe("05/24/00");
  });
});

describe("a LUN whose pool did not come up", () => {
  test("stays known: INQUIRY with qualifier 1, REQUEST SENSE with the reason, anything else 2/04/03", () => {
    array.route([
      { lun: 0, volume: 1 },
      { lun: 7, volume: 99 },
    ]);
    host.send(REPORT_LUNS, { allocationLength: 64 });
    const inquiry = host.send(INQUIRY, { allocationLength: 96 }, { lun: 7 });
    expect(inquiry).toMatchObject({ status: STATUS.GOOD });
    expect(inquiry.data[0]).toBe(0x20);
    expect(host.send(TEST_UNIT_READY, {}, { lun: 7 }).sense).toBe("02/04/03");
    expect(host.send(READ_10, { transferLength: 1 }, { lun: 7 }).sense).toBe("02/04/03");
    expect(host.send(WRITE_10, { transferLength: 1 }, { lun: 7, dataOut: new Uint8Array(512) }).sense).toBe("02/04/03");
    const sense = host.send(REQUEST_SENSE, { allocationLength: 252 }, { lun: 7 });
    expect(sense.data[2]! & 0x0f).toBe(2);
    expect([sense.data[12], sense.data[13]]).toEqual([0x04, 0x03]);
    expect(array.frames.taken.size).toBe(0);
  });
});

describe("a LUN without a volume (SPC-4 §6.6.2, SAM-5 §4.7)", () => {
  test.each([5, -1, 0])(
    "answers INQUIRY with qualifier 3, REQUEST SENSE with the reason, anything else 5/25/00 (LUN %i)",
    (lun) => {
      array.route([{ lun: 1, volume: 2 }]);
      reportLuns();
      const inquiry = host.send(INQUIRY, { allocationLength: 255 }, { lun });
      expect(inquiry.data.length).toBe(96);
      expect(inquiry.data[0]).toBe(0x7f);
      expect([...host.send(INQUIRY, { evpd: 1, allocationLength: 255 }, { lun }).data]).toEqual([0x7f, 0, 0, 1, 0]);
      expect(host.send(INQUIRY, { evpd: 1, pageCode: 0x83, allocationLength: 255 }, { lun }).sense).toBe("05/24/00");
      const sense = host.send(REQUEST_SENSE, { allocationLength: 252 }, { lun });
      expect([sense.status, sense.data[2], sense.data[12]]).toEqual([STATUS.GOOD, 5, 0x25]);
      expect(host.send(TEST_UNIT_READY, {}, { lun }).sense).toBe("05/25/00");
      expect(host.send(WRITE_10, { transferLength: 1 }, { lun, dataOut: new Uint8Array(512) }).sense).toBe("05/25/00");
      expect(array.frames.taken.size).toBe(0);
    },
  );
});

describe("3F/0E REPORTED LUNS DATA HAS CHANGED (SPC-4 §6.33)", () => {
  const luns = [{ lun: 0, volume: 1 }];

  test("is told each nexus once, at its first command that is no exception", () => {
    const other = array.initiator(1);
    array.route(luns);
    expect(host.send(INQUIRY, { allocationLength: 36 }).status).toBe(STATUS.GOOD);
    for (const one of [host, other]) {
      expect(one.send(TEST_UNIT_READY).sense).toBe("06/3f/0e");
      expect(one.send(TEST_UNIT_READY).status).toBe(STATUS.GOOD);
    }
  });

  test("is taken off by REPORT LUNS and returned by REQUEST SENSE", () => {
    array.route(luns);
    reportLuns();
    expect(host.send(TEST_UNIT_READY).status).toBe(STATUS.GOOD);
    array.route([...luns, { lun: 9, volume: 2 }]);
    const sense = host.send(REQUEST_SENSE, { desc: 1, allocationLength: 252 });
    expect([...sense.data.subarray(0, 4)]).toEqual([0x72, 6, 0x3f, 0x0e]);
    expect(host.send(TEST_UNIT_READY).status).toBe(STATUS.GOOD);
  });

  test("is not raised by routing that changes nothing for a host", () => {
    array.targets[0].setRouting({ ...array.routing, array: { ...array.routing.array, version: 2 } });
    expect(host.send(TEST_UNIT_READY).status).toBe(STATUS.GOOD);
  });

  test("gives the frames of a write back and writes nothing", () => {
    array.route(luns);
    expect(host.send(WRITE_10, { transferLength: 1 }, { dataOut: new Uint8Array(512) }).sense).toBe("06/3f/0e");
    expect(array.blocks[0].log).toEqual([]);
    expect(array.frames.taken.size).toBe(0);
  });
});

describe("routing", () => {
  test("a task goes to the volume's owner from either director", () => {
    const other = array.initiator(1);
    const data = new Uint8Array(512).fill(7);
    other.send(WRITE_10, { transferLength: 1 }, { lun: 0, dataOut: data });
    expect(host.send(READ_10, { transferLength: 1 }, { lun: 0 }).data).toEqual(data);
    expect(array.blocks[0].log).toEqual(["write 0 512", "read 0 512"]);
    expect(array.blocks[1].log).toEqual([]);
  });

  test("a reset goes there too, and knows when there is no such LUN", () => {
    const answers: boolean[] = [];
    array.targets[0].resetLogicalUnit(host.nexus, 1, (exists) => answers.push(exists));
    array.targets[0].resetLogicalUnit(host.nexus, 77, (exists) => answers.push(exists));
    expect(answers).toEqual([true, false]);
    expect(host.send(TEST_UNIT_READY, {}, { lun: 1 }).sense).toBe("06/29/03");
    expect(host.send(TEST_UNIT_READY, {}, { lun: 0 }).status).toBe(STATUS.GOOD);
  });
});
