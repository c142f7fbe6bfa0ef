/** Filters as chips and as text: what is written is taken on Enter, a chip goes by its button. */

import type { VNode } from "preact";
import { useRef, useState } from "preact/hooks";
import { faultOf, filterText, parseFilter, sameTerm, withTerm, withoutTerm, type Term, type Terms } from "../../model/lists/filters.ts";
import { cut, visible } from "../../model/text.ts";
import { useKeys } from "../shell/keys.ts";
import { now } from "../shell/preferences.ts";

interface FilterBarProps {
  readonly terms: Terms;
  readonly keys: readonly string[];
  readonly onChange: (terms: Terms) => void;
  /** Terms worth offering, from what is on hand. */
  readonly suggestions?: Terms;
}

const MOST_SUGGESTED = 6;

export function FilterBar({ terms, keys, onChange, suggestions = [] }: FilterBarProps): VNode {
  const [fault, setFault] = useState("");
  const [written, setWritten] = useState("");
  const field = useRef<HTMLInputElement>(null);
  useKeys([{ key: "/", help: "filter", run: () => field.current?.focus() }]);

  const add = (more: Terms): void => {
    setFault("");
    setWritten("");
    onChange(more.reduce<Terms>((all, term) => withTerm(all, term), terms));
    field.current?.focus();
  };
  const take = (event: Event): void => {
    event.preventDefault();
    const text = written.trim();
    if (text === "") return;
    const { terms: parsed, unknown } = parseFilter(text, keys);
    const wrong = parsed.map((term) => faultOf(term, now.value)).find((each) => each !== null);
    if (unknown.length === 0 && !wrong) return add(parsed);
    setFault(wrong ?? `${visible(cut(unknown.join(" "), 60))}: write ${keys.map((key) => `${key}:…`).join(" ")}`);
  };
  const offered =
    written.trim() === ""
      ? []
      : suggestions.filter((term) => filterText([term]).includes(written.trim()) && !terms.some((each) => sameTerm(each, term)));
  return (
    <form class="filter" onSubmit={take}>
      {terms.map((term) => (
        <Chip term={term} onRemove={() => onChange(withoutTerm(terms, term))} />
      ))}
      <input
        ref={field}
        type="text"
        aria-label="Filter"
        placeholder={`+ filter, such as ${keys[1] ?? keys[0]}:…`}
        value={written}
        onInput={(event) => setWritten(event.currentTarget.value)}
        autocomplete="off"
        spellcheck={false}
        aria-invalid={fault !== ""}
      />
      {offered.length > 0 && (
        <span class="offered" role="group" aria-label="Suggestions">
          {offered.slice(0, MOST_SUGGESTED).map((term) => (
            <button type="button" onClick={() => add([term])}>
              {visible(cut(filterText([term]), 60))}
            </button>
          ))}
        </span>
      )}
      {fault && (
        <span role="alert" class="fault">
          {fault}
        </span>
      )}
    </form>
  );
}

function Chip({ term, onRemove }: { term: Term; onRemove: () => void }): VNode {
  const value = term.value === "" ? (term.key === "producer" ? "unknown" : "none") : visible(cut(term.value, 60));
  return (
    <span class="chip">
      {term.key} <b>{value}</b>
      <button type="button" aria-label={`Remove filter ${term.key} ${value}`} onClick={onRemove}>
        ×
      </button>
    </span>
  );
}
