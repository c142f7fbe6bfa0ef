/** The editor itself: loaded when the first body is opened. It lives in a shadow root, for its styles' sake. */

import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { json } from "@codemirror/lang-json";
import { HighlightStyle, bracketMatching, foldGutter, syntaxHighlighting } from "@codemirror/language";
import { EditorState, StateEffect, StateField, type Extension } from "@codemirror/state";
import {
  Decoration,
  EditorView,
  GutterMarker,
  gutter,
  highlightActiveLine,
  highlightSpecialChars,
  keymap,
  lineNumbers,
  type DecorationSet,
} from "@codemirror/view";
import { tags } from "@lezer/highlight";
import type { Fault } from "../../model/json/exact_json.ts";
import { visible } from "../../model/text.ts";

export interface Handle {
  readonly text: () => string;
  readonly replace: (text: string) => void;
  readonly mark: (faults: readonly Fault[]) => void;
  readonly goTo: (offset: number) => void;
  readonly destroy: () => void;
}

const setFaults = StateEffect.define<readonly Fault[]>();

class FaultDot extends GutterMarker {
  override toDOM(): Node {
    const dot = document.createElement("span");
    dot.textContent = "●";
    return dot;
  }
}
const DOT = new FaultDot();

const faultField = StateField.define<{ lines: ReadonlySet<number>; marks: DecorationSet }>({
  create: () => ({ lines: new Set(), marks: Decoration.none }),
  update(value, transaction) {
    let { lines, marks } = value;
    marks = marks.map(transaction.changes);
    for (const effect of transaction.effects) {
      if (!effect.is(setFaults)) continue;
      const document_ = transaction.state.doc;
      const places = effect.value.map((fault) => document_.lineAt(Math.min(fault.offset, document_.length)));
      const starts = [...new Set(places.map((line) => line.from))].sort((a, b) => a - b);
      lines = new Set(places.map((line) => line.number));
      marks = Decoration.set(starts.map((from) => Decoration.line({ class: "cm-fault" }).range(from)));
    }
    return { lines, marks };
  },
  provide: (field) => EditorView.decorations.from(field, (value) => value.marks),
});

const faultGutter = gutter({
  class: "cm-fault-gutter",
  lineMarker: (view, line) => (view.state.field(faultField).lines.has(view.state.doc.lineAt(line.from).number) ? DOT : null),
  lineMarkerChange: (update) => update.startState.field(faultField) !== update.state.field(faultField),
});

const colours = HighlightStyle.define([
  { tag: tags.propertyName, color: "var(--code-key)" },
  { tag: tags.string, color: "var(--code-string)" },
  { tag: [tags.number, tags.bool, tags.null], color: "var(--code-number)" },
]);

const look = EditorView.theme({
  "&": { height: "100%", backgroundColor: "var(--field)", color: "var(--text)", fontSize: "13px" },
  "&.cm-focused": { outline: "2px solid var(--focus)", outlineOffset: "-2px" },
  ".cm-content": { caretColor: "var(--text)", fontFamily: "var(--mono)" },
  ".cm-cursor": { borderLeftColor: "var(--text)" },
  ".cm-gutters": { backgroundColor: "var(--panel)", color: "var(--soft)", border: "none" },
  ".cm-activeLine": { backgroundColor: "var(--row-active)" },
  "&.cm-focused .cm-selectionBackground, .cm-selectionBackground, ::selection": { background: "var(--select) !important" },
  ".cm-fault": { backgroundColor: "var(--bad-soft)" },
  ".cm-fault-gutter": { color: "var(--bad)", width: "14px" },
});

/** What `visible` shows by its number and the library leaves as it is. */
const MORE_SPECIAL = /[\u180e\u200c\u200d\u202a-\u202c\u2060-\u2065\u2068\ud800-\udfff]/;

/** Shows `text` in `parent`; `onChange` hears of each change, `onSubmit` of Ctrl+Enter. */
export function openEditor(parent: HTMLElement, text: string, onChange: () => void, onSubmit: () => void): Handle {
  const root = parent.shadowRoot ?? parent.attachShadow({ mode: "open" });
  const place = document.createElement("div");
  root.replaceChildren(place);
  const view = new EditorView({
    root,
    parent: place,
    state: EditorState.create({ doc: text, extensions: extensions(onChange, onSubmit) }),
  });
  const fill = (): void => {
    place.style.height = "100%";
  };
  fill();
  return {
    text: () => view.state.doc.toString(),
    replace: (next) => view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: next } }),
    mark: (faults) => view.dispatch({ effects: setFaults.of(faults) }),
    goTo: (offset) => {
      const anchor = Math.min(offset, view.state.doc.length);
      view.dispatch({ selection: { anchor }, effects: EditorView.scrollIntoView(anchor, { y: "center" }) });
      view.focus();
    },
    destroy: () => view.destroy(),
  };
}

function extensions(onChange: () => void, onSubmit: () => void): Extension {
  return [
    // What is sent is the editor's text byte for byte: no line separator is guessed from the text.
    EditorState.lineSeparator.of("\n"),
    lineNumbers(),
    faultGutter,
    faultField,
    foldGutter(),
    history(),
    bracketMatching(),
    highlightActiveLine(),
    highlightSpecialChars({
      addSpecialChars: MORE_SPECIAL,
      render: (code) => {
        const shown = document.createElement("span");
        shown.textContent = visible(String.fromCodePoint(code));
        return shown;
      },
    }),
    json(),
    syntaxHighlighting(colours),
    look,
    EditorView.contentAttributes.of({ "aria-label": "Body", spellcheck: "false", tabindex: "0" }),
    EditorView.updateListener.of((update) => {
      if (update.docChanged) onChange();
    }),
    keymap.of([
      { key: "Mod-Enter", run: () => (onSubmit(), true) },
      // Tab leaves the editor, as it leaves any field; Escape does too.
      { key: "Escape", run: (editor) => (editor.contentDOM.blur(), true) },
      ...historyKeymap,
      ...defaultKeymap.filter((binding) => binding.key !== "Mod-Enter"),
    ]),
  ];
}
