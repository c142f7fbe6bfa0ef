/** Going up from a time, each step has rows, few enough of them, and leaves none out. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { stepUp } from "../../../daemon/http/console/model/lists/above.ts";

const buckets = (...counts: number[]) => counts.map((count, index) => ({ start: `2026-11-28T0${index}:00:00Z`, count }));
const hour = (number: number): string => `2026-11-28T0${number}:00:00Z`;

test("as many buckets are asked for as have the rows that are wanted", () => {
  assert.deepEqual(stepUp(buckets(0, 3, 4, 9), 7, 20), { kind: "ask", until: hour(3) });
  assert.deepEqual(stepUp(buckets(0, 3, 4), 100, 200), { kind: "ask", until: null });
});

test("a bucket that would be too much is left for the next step", () => {
  assert.deepEqual(stepUp(buckets(3, 400), 100, 200), { kind: "ask", until: hour(1) });
});

test("a bucket that holds too many by itself is looked into", () => {
  assert.deepEqual(stepUp(buckets(0, 400, 1), 100, 200), { kind: "narrow", since: hour(1), until: hour(2) });
  assert.deepEqual(stepUp(buckets(0, 400), 100, 200), { kind: "narrow", since: hour(1), until: null });
});

test("where nothing lies above, that is said", () => {
  assert.deepEqual(stepUp(buckets(0, 0), 100, 200), { kind: "none" });
  assert.deepEqual(stepUp([], 100, 200), { kind: "none" });
});
