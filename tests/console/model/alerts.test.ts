/** What somebody has to look at comes first, no row moves by itself, and an event changes what it tells of. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { current, inOrder, moved, ranked, withMove, type AlertMove, type Standing } from "../../../daemon/http/console/model/alerts.ts";

const alert = (rule: string, severity: string, more: Partial<Standing> = {}): Standing => ({
  rule,
  severity,
  lifecycle: severity === "ok" ? "resolved" : "active",
  value: 1,
  since: "2026-11-28T09:00:00.000000Z",
  ...more,
});

const move = (rule: string, what: string, severity: string, lifecycle: string, more: Partial<AlertMove> = {}): AlertMove => ({
  rule,
  version: 2,
  at: "2026-11-28T10:00:00.000000Z",
  what,
  severity,
  lifecycle,
  value: 7,
  ...more,
});

const rules = (alerts: readonly Standing[]): string[] => alerts.map(({ rule }) => rule);

test("critical comes before warning, what somebody has and what is kept quiet after them, what is well last", () => {
  const all = [
    alert("well", "ok"),
    alert("silent", "critical", { lifecycle: "suppressed" }),
    alert("taken", "critical", { acknowledged_by: "anna" }),
    alert("old", "warning"),
    alert("new", "warning", { since: "2026-11-28T09:30:00.000000Z" }),
    alert("worst", "critical"),
  ];
  assert.deepEqual(rules(ranked(all)), ["worst", "new", "old", "taken", "silent", "well"]);
});

test("rows keep their order whatever becomes of them, and new ones come below", () => {
  const before = rules(ranked([alert("a", "warning"), alert("b", "ok")]));
  assert.deepEqual(rules(inOrder([alert("c", "critical"), alert("b", "critical"), alert("a", "ok")], before)), ["a", "b", "c"]);
});

test("a step that is raised begins a time of its own; one that changes neither severity nor life does not", () => {
  const raised = moved(alert("a", "ok"), move("a", "critical_raised", "critical", "active", { from: { severity: "ok", lifecycle: "resolved" } }));
  assert.deepEqual([raised.severity, raised.value, raised.since], ["critical", 7, "2026-11-28T10:00:00.000000Z"]);
  const known = { severity: "critical", lifecycle: "active" };
  const taken = moved(raised, move("a", "acknowledged", "critical", "active", { at: "2026-11-28T11:00:00.000000Z", actor: "anna", from: known }));
  assert.deepEqual([taken.acknowledged_by, taken.since], ["anna", "2026-11-28T10:00:00.000000Z"]);
  assert.equal(moved(taken, move("a", "cleared", "ok", "resolved", { from: known })).acknowledged_by, null);
});

test("a suppression has its end, its author and its reason, and they go with it", () => {
  const until = "2026-11-28T12:00:00.000000Z";
  const silent = moved(alert("a", "warning"), move("a", "suppressed", "warning", "suppressed", { actor: "ben", reason: "provider down", until }));
  assert.deepEqual([silent.suppressed_until, silent.suppressed_by, silent.suppression_reason], [until, "ben", "provider down"]);
  assert.equal(moved(silent, move("a", "critical_raised", "critical", "suppressed")).suppressed_by, "ben");
  assert.equal(moved(silent, move("a", "suppression_ended", "warning", "active")).suppressed_until, null);
});

test("an answer that is newer than a step knows of it", () => {
  const moves = new Map([["a", move("a", "critical_raised", "critical", "active")]]);
  const of = (evaluated_at: string): string | undefined => current([alert("a", "ok", { evaluated_at })], moves)[0]?.severity;
  assert.equal(of("2026-11-28T09:59:59.000000Z"), "critical");
  assert.equal(of("2026-11-28T10:00:01.000000Z"), "ok");
});

test("a step that comes late counts only where a newer one cannot have been missed", () => {
  const began = Date.parse("2026-11-28T10:00:00.000Z");
  const step = (version: number, at: string, severity: string): AlertMove => move("a", "told", severity, "active", { version, at });
  const none: ReadonlyMap<string, AlertMove> = new Map();
  assert.equal(withMove(none, step(5, "2026-11-28T09:58:00.000000Z", "warning"), began), none);
  const newest = withMove(none, step(7, "2026-11-28T10:00:09.000000Z", "critical"), began);
  assert.equal(withMove(newest, step(6, "2026-11-28T10:00:05.000000Z", "warning"), began), newest);
  assert.equal(withMove(newest, step(8, "2026-11-28T10:00:10.000000Z", "ok"), began).get("a")?.severity, "ok");
});
