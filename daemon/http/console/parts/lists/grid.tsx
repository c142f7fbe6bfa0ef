/**
 * Lists: a `grid` whose rows stand in the document only while they are in sight, or in plain pages of fifty. One tab
 * stop, arrows inside. Rows never move by themselves; a row opens by Enter or a click.
 */

import type { ComponentChildren, VNode } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { count } from "../../model/text.ts";
import { isSelected, ranged, toggled, type Selection } from "../../model/lists/selection.ts";
import { useKeys, type Binding } from "../shell/keys.ts";
import { plainPages } from "../shell/preferences.ts";
import { cardHeight, useVisibleRows } from "./visible_rows.ts";

export interface Column<T> {
  readonly name: string;
  readonly cell: (row: T) => ComponentChildren;
  /** A track of the CSS grid; `1fr` unless said. */
  readonly width?: string;
  readonly numeric?: boolean;
}

interface GridProps<T> {
  readonly name: string;
  readonly rows: readonly T[];
  readonly columns: readonly Column<T>[];
  readonly keyOf: (row: T) => string;
  readonly onOpen?: (row: T) => void;
  readonly selection?: Selection;
  readonly onSelect?: (selection: Selection) => void;
  /** The rows that stand in the document now. */
  readonly onShow?: (rows: readonly T[]) => void;
  /** Rows below the last loaded one come into sight. */
  readonly onEnd?: () => void;
  readonly complete?: boolean;
  /** The person goes up from the first row; absent: nothing is above it. */
  readonly onStart?: (() => void) | undefined;
  /** So many of the rows were put on top since the list was first shown. */
  readonly above?: number;
  /** Keys wait for the first rows while it is so. */
  readonly loading?: boolean;
  /** Whether the single keys of lists are this grid's: one in a view. */
  readonly main?: boolean;
  readonly empty?: ComponentChildren;
}

const PAGE = 50;
const NEAR = 10;

export function Grid<T>(props: GridProps<T>): VNode {
  const { name, rows, columns, keyOf, selection, onSelect, onOpen, onEnd, complete = true, loading = false, main = false, onStart, above = 0 } = props;
  const [active, setActive] = useState(0);
  const [page, setPage] = useState(0);
  const anchor = useRef<string | null>(null);
  const body = useRef<HTMLDivElement>(null);
  const plain = plainPages.value;
  const shown = useVisibleRows(body, plain ? 0 : rows.length, columns.length);
  const pages = Math.max(1, Math.ceil(rows.length / PAGE));
  const [from, to] = plain ? [page * PAGE, Math.min(rows.length, (page + 1) * PAGE)] : [shown.from, shown.to];
  const at = Math.min(active, Math.max(0, rows.length - 1));

  useEffect(() => {
    if (!complete && (plain ? page >= pages - 1 : to >= rows.length - 10)) onEnd?.();
  }, [to, rows.length, complete, page, plain]);

  useEffect(() => props.onShow?.(rows.slice(from, to)), [from, to, rows, props.onShow]);

  const known = useRef(above);
  useLayoutEffect(() => {
    const added = above - known.current;
    known.current = above;
    if (added <= 0) return;
    const kept = at + added;
    setActive(kept);
    if (plain) setPage(Math.floor(kept / PAGE));
    else shown.shift(added);
  }, [above]);
  // Above the first row by the wheel; once something was put there, more of it before one gets to its end.
  useEffect(() => {
    const element = body.current;
    if (!element || !onStart || plain) return;
    const onWheel = (event: WheelEvent): void => {
      if (event.deltaY < 0 && element.scrollTop === 0) onStart();
    };
    element.addEventListener("wheel", onWheel, { passive: true });
    return () => element.removeEventListener("wheel", onWheel);
  }, [onStart, plain]);
  useEffect(() => {
    if (!plain && above > 0 && shown.first < NEAR) onStart?.();
  }, [shown.first, above, plain]);

  const move = (index: number): void => {
    if (index < 0) onStart?.();
    const next = Math.max(0, Math.min(rows.length - 1, index));
    setActive(next);
    if (plain) setPage(Math.floor(next / PAGE));
    else shown.reveal(next);
  };
  const select = (index: number, range: boolean): void => {
    const row = rows[index];
    if (row === undefined || !selection || !onSelect) return;
    const key = keyOf(row);
    onSelect(range && anchor.current ? ranged(selection, rows.map(keyOf), anchor.current, key) : toggled(selection, key));
    anchor.current = key;
  };
  const open = (index: number): void => {
    const row = rows[index];
    if (row !== undefined) onOpen?.(row);
  };

  const keys: Binding[] = [
    { key: "j", help: "next row", run: () => move(at + 1) },
    { key: "k", help: "row before", run: () => move(at - 1) },
    { key: "ArrowDown", help: "next row", run: () => move(at + 1) },
    { key: "ArrowUp", help: "row before", run: () => move(at - 1) },
    ...(onOpen ? [{ key: "Enter", help: "open", run: () => open(at) }] : []),
    ...(onSelect ? [{ key: "x", help: "select (with Shift: a range)", run: () => select(at, false) }] : []),
    ...(onSelect ? [{ key: "X", help: "select a range", run: () => select(at, true) }] : []),
  ];
  useKeys(main ? keys : [], main && loading && rows.length === 0);

  const onKey = (event: KeyboardEvent): void => {
    const steps: Record<string, number> = { ArrowDown: 1, ArrowUp: -1, PageDown: 20, PageUp: -20 };
    const step = steps[event.key];
    if (step !== undefined) move(at + step);
    else if (event.key === "Home") move(0);
    else if (event.key === "End") move(rows.length - 1);
    else if (event.key === "Enter" && event.target === event.currentTarget) open(at);
    else if (event.key === " " && event.target === event.currentTarget) select(at, event.shiftKey);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };

  const tracks = [...(selection ? ["28px"] : []), ...columns.map((column) => column.width ?? "1fr")].join(" ");
  const id = `grid-${name.replace(/\W/g, "-")}`;
  return (
    <div class="list">
      <div
        role="grid"
        aria-label={name}
        aria-rowcount={complete && !onStart ? rows.length + 1 : -1}
        aria-multiselectable={selection ? true : undefined}
        aria-activedescendant={rows.length ? `${id}-${at}` : undefined}
        tabIndex={0}
        class={plain ? "plain" : "windowed"}
        onKeyDown={onKey}
        ref={body}
      >
        <div role="row" aria-rowindex={1} class="head" style={{ gridTemplateColumns: tracks }}>
          {selection && <span role="columnheader" aria-label="Selected" />}
          {columns.map((column) => (
            <span role="columnheader" class={column.numeric ? "numeric" : undefined}>
              {column.name}
            </span>
          ))}
        </div>
        {!plain && <Gap height={from * shown.height} />}
        {rows.slice(from, to).map((row, offset) => (
          <Row
            key={keyOf(row)}
            id={`${id}-${from + offset}`}
            index={from + offset}
            row={row}
            columns={columns}
            tracks={tracks}
            active={from + offset === at}
            selected={selection ? isSelected(selection, keyOf(row)) : null}
            onSelect={(range) => {
              setActive(from + offset);
              select(from + offset, range);
            }}
            onOpen={onOpen && (() => open(from + offset))}
          />
        ))}
        {!plain && <Gap height={(rows.length - to) * shown.height} />}
      </div>
      {rows.length === 0 && props.empty !== undefined && <p class="none">{props.empty}</p>}
      {plain && (
        <p class="pages">
          <button disabled={page === 0 && !onStart} onClick={() => (page === 0 ? onStart?.() : setPage(page - 1))}>
            Previous 50
          </button>{" "}
          rows {count(rows.length ? from + 1 : 0)} to {count(to)} of {count(rows.length)}
          {complete ? "" : " and more"}{" "}
          <button disabled={page >= pages - 1} onClick={() => setPage(page + 1)}>
            Next 50
          </button>
        </p>
      )}
    </div>
  );
}

function Gap({ height }: { height: number }): VNode {
  const element = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    if (element.current) element.current.style.height = `${height}px`;
  }, [height]);
  return <div role="none" ref={element} />;
}

interface RowProps<T> {
  readonly id: string;
  readonly index: number;
  readonly row: T;
  readonly columns: readonly Column<T>[];
  readonly tracks: string;
  readonly active: boolean;
  readonly selected: boolean | null;
  readonly onSelect: (range: boolean) => void;
  readonly onOpen: (() => void) | undefined;
}

function Row<T>({ id, index, row, columns, tracks, active, selected, onSelect, onOpen }: RowProps<T>): VNode {
  const click = (event: MouseEvent): void => {
    const target = event.target as Element;
    if (target.closest("a, button, input, .choice") || getSelection()?.toString()) return;
    onOpen?.();
  };
  return (
    <div
      role="row"
      id={id}
      aria-rowindex={index + 2}
      aria-selected={selected ?? undefined}
      class={`${active ? "active" : ""}${onOpen ? " opens" : ""}`}
      style={{ gridTemplateColumns: tracks, "--card": `${cardHeight(columns.length)}px` }}
      onClick={click}
    >
      {selected !== null && (
        <span role="gridcell" class="choice" onClick={(event) => event.target === event.currentTarget && onSelect(event.shiftKey)}>
          <input
            type="checkbox"
            tabIndex={-1}
            aria-label="Select"
            checked={selected}
            onClick={(event) => onSelect(event.shiftKey)}
          />
        </span>
      )}
      {columns.map((column) => (
        <span role="gridcell" class={column.numeric ? "numeric" : undefined} data-name={column.name}>
          {column.cell(row)}
        </span>
      ))}
    </div>
  );
}
