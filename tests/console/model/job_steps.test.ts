/** How long a job was in each state, told by its history alone. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { staysOf, timeIn, type JobStep } from "../../../daemon/http/console/model/job_steps.ts";

const at = (seconds: number): string => new Date(seconds * 1000).toISOString();
const step = (version: number, seconds: number, from: string, to: string): JobStep => ({ version, when: at(seconds), from, to });

const WAY = [step(2, 10, "CREATED", "QUEUED"), step(3, 15, "QUEUED", "TRANSCRIBING"), step(4, 27, "TRANSCRIBING", "AWAITING_APPROVAL")];

test("each state lasts until the next one, and the present one goes on", () => {
  const newestFirst = [...WAY].reverse();
  const stays = staysOf(newestFirst, at(0), 60_000);
  assert.deepEqual(
    stays.map(({ state, ms, goesOn }) => [state, ms, goesOn]),
    [
      ["CREATED", 10_000, false],
      ["QUEUED", 5_000, false],
      ["TRANSCRIBING", 12_000, false],
      ["AWAITING_APPROVAL", 33_000, true],
    ],
  );
});

test("an approval, which leaves the state as it is, ends no stay", () => {
  const approved = [...WAY, step(5, 40, "AWAITING_APPROVAL", "AWAITING_APPROVAL"), step(6, 41, "AWAITING_APPROVAL", "RENDERING")];
  assert.equal(timeIn(staysOf(approved, at(0), 60_000)).get("AWAITING_APPROVAL"), 14_000);
});

test("a state that is come back to has the time of all its stays, and an end has none", () => {
  const twice = [step(2, 10, "CREATED", "QUEUED"), step(3, 15, "QUEUED", "DRAFTING"), step(4, 20, "DRAFTING", "QUEUED"), step(5, 27, "QUEUED", "FAILED")];
  const times = timeIn(staysOf(twice, at(0), 60_000));
  assert.equal(times.get("QUEUED"), 12_000);
  assert.equal(times.has("FAILED"), false);
});

test("where older steps are not at hand, what lasted until the first one is not told", () => {
  assert.deepEqual([...timeIn(staysOf(WAY.slice(1), null, 60_000)).keys()], ["TRANSCRIBING", "AWAITING_APPROVAL"]);
  assert.deepEqual(staysOf([], null, 60_000), []);
});

test("a job that has not moved yet is where it was made", () => {
  assert.deepEqual(staysOf([], at(50), 60_000), [{ state: "CREATED", version: 1, ms: 10_000, goesOn: true }]);
});
