/** A daemon is silent when its pulses stay away, and not when nobody listened for them. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { heard, isSilent } from "../../../daemon/http/console/model/silence.ts";

test("a daemon whose pulses stay away is silent after ten seconds, or after three of them", () => {
  const often = heard(heard(undefined, 0, 0), 2_000, 0);
  assert.equal(isSilent(often, 0, 12_000), false);
  assert.equal(isSilent(often, 0, 12_001), true);
  const seldom = heard(heard(undefined, 0, 0), 60_000, 0);
  assert.equal(isSilent(seldom, 0, 200_000), false);
  assert.equal(isSilent(seldom, 0, 240_001), true);
});

test("one pulse alone says nothing of when the next is due", () => {
  assert.equal(isSilent(heard(undefined, 0, 0), 0, 60_000), false);
  assert.equal(isSilent(heard(undefined, 0, 0), 0, 65_001), true);
});

test("a time without listening is neither silence nor a gap between pulses", () => {
  const before = heard(heard(undefined, 0, 0), 2_000, 0);
  assert.equal(isSilent(before, 600_000, 609_000), false);
  assert.equal(isSilent(before, 600_000, 610_001), true);
  assert.equal(heard(before, 601_000, 600_000).gap, 2_000);
});
