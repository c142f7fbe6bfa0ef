import assert from "node:assert/strict";
import { test } from "node:test";
import {
  filterText,
  groupTerms,
  LETTER_KEYS,
  letterPayload,
  letterQuery,
  letterTerms,
  narrowed,
  narrows,
  parseFilter,
  termsOf,
  withTerm,
  withTerms,
  type Terms,
} from "../../../daemon/http/console/model/lists/filters.ts";
import { href, parseRoute } from "../../../daemon/http/console/model/route.ts";
import { NAUGHTY, pick, seeded } from "./support.ts";

const KEYS = Object.keys(LETTER_KEYS);

function anyTerms(chance: () => number): Terms {
  let terms: Terms = [];
  for (let left = Math.floor(chance() * 6); left > 0; left--) {
    const key = pick(chance, KEYS.filter((each) => each !== "since" && each !== "until"));
    terms = withTerm(terms, { key, value: pick(chance, NAUGHTY) });
  }
  return terms;
}

test("filters survive their text form", () => {
  const chance = seeded(1);
  for (let round = 0; round < 3_000; round++) {
    const terms = anyTerms(chance);
    const { terms: read, unknown } = parseFilter(filterText(terms), KEYS);
    assert.deepEqual(read, terms, filterText(terms));
    assert.deepEqual(unknown, []);
  }
});

test("filters survive the address", () => {
  const chance = seeded(2);
  for (let round = 0; round < 3_000; round++) {
    const terms = anyTerms(chance);
    const { path, query } = parseRoute(href(["dead", pick(chance, NAUGHTY.slice(1))], withTerms(new URLSearchParams(), terms, KEYS)));
    assert.equal(path[0], "dead");
    assert.deepEqual(termsOf(query, KEYS), terms);
  }
});

test("a path in an address is taken apart as it was put together", () => {
  for (const id of NAUGHTY.slice(1)) assert.deepEqual(parseRoute(href(["job", id])).path, ["job", id]);
});

test("an address without a state means what is open, and says so only where it is another", () => {
  const open = letterTerms(new URLSearchParams());
  assert.deepEqual(open, [{ key: "state", value: "open" }]);
  assert.equal(letterQuery(new URLSearchParams(), open).toString(), "");
  assert.equal(letterQuery(new URLSearchParams(), []).toString(), "state=any");
  assert.deepEqual(letterPayload(letterTerms(new URLSearchParams("state=any")), 0), {});
});

test("a group is named exactly: its paths as one list, its unknown producer as null", () => {
  const group = { kind: "session.usage", code: "VALIDATION_ERROR", paths: ["payload.at", "payload.model"], producer: null };
  assert.deepEqual(letterPayload(groupTerms(group), 0), {
    kinds: ["session.usage"],
    codes: ["VALIDATION_ERROR"],
    paths: [["payload.at", "payload.model"]],
    producers: [null],
  });
  assert.deepEqual(letterPayload(groupTerms({ ...group, paths: [] }), 0)["paths"], [[]]);
});

test("narrowing to a group keeps what is said of time and state, and nothing of its neighbours", () => {
  const terms: Terms = [
    { key: "state", value: "open" },
    { key: "kind", value: "feed.item" },
    { key: "kind", value: "session.usage" },
    { key: "since", value: "24h" },
  ];
  const payload = letterPayload(narrowed(terms, { kind: "session.usage", code: "X", paths: ["a"], producer: "p" }), 86_400_000);
  assert.deepEqual(payload, {
    states: ["open"],
    since: "1970-01-01T00:00:00.000Z",
    kinds: ["session.usage"],
    codes: ["X"],
    paths: [["a"]],
    producers: ["p"],
  });
});

test("states alone name no letters: an act over them says so aloud", () => {
  assert.equal(narrows({ states: ["open"] }), false);
  assert.equal(narrows({ states: ["open"], kinds: ["a"] }), true);
});

test("what is no term is told, not guessed", () => {
  assert.deepEqual(parseFilter("kind:a nonsense colour:red", KEYS).unknown, ["nonsense", "colour:red"]);
});

test("one since at a time", () => {
  const terms = withTerm(withTerm([], { key: "since", value: "1h" }), { key: "since", value: "2h" });
  assert.deepEqual(terms, [{ key: "since", value: "2h" }]);
});
