/** Answers as state of a component: asked on sight, after a reconnect, and on demand; the last one stays while away. */

import { untracked, useSignalEffect } from "@preact/signals";
import { useCallback, useEffect, useMemo, useRef, useState } from "preact/hooks";
import { ask, type Answer } from "../../link/ask.ts";
import type { Command, PayloadOf } from "../../link/commands.ts";
import { generation, hidden } from "../../link/connection.ts";
import { NOBODY_ANSWERS, OFFLINE, type Problem } from "../../model/errors.ts";
import type { Page } from "../../link/views.ts";

export interface Asked<T> {
  readonly result: T | null;
  readonly problem: Problem | null;
  readonly loading: boolean;
  readonly asOf: number;
  readonly refresh: () => void;
}

const EMPTY = { result: null, problem: null, loading: true, asOf: 0 };

/** Asks `command` whenever the payload changes; nothing while the payload is null. */
export function useAnswer<T, C extends Command = Command>(command: C, payload: PayloadOf<C> | null): Asked<T> {
  const [state, setState] = useState<Omit<Asked<T>, "refresh">>(EMPTY);
  const latest = useRef(0);
  const key = JSON.stringify(payload);
  const refresh = useCallback(() => {
    if (payload === null) return;
    const mine = ++latest.current;
    setState((before) => ({ ...before, loading: true }));
    void ask<T, C>(command, payload).then((answer) => {
      if (mine !== latest.current) return;
      setState((before) =>
        answer.ok
          ? { result: answer.result, problem: null, loading: false, asOf: Date.now() }
          : { ...before, problem: answer.problem.code === OFFLINE && before.result ? null : answer.problem, loading: false },
      );
    });
  }, [command, key]);
  useEffect(() => {
    setState(EMPTY);
  }, [command, key]);
  useEffect(() => {
    if (generation.value > 0) refresh();
    return () => void latest.current++;
  }, [refresh, generation.value]);
  return { ...state, refresh };
}

export interface Listed<T> extends Asked<readonly T[]> {
  readonly rows: readonly T[];
  /** Whether all there is has been loaded. */
  readonly complete: boolean;
  readonly more: () => void;
  readonly first: Page<T> | null;
}

/** So many are kept. */
export const MOST_ROWS = 20_000;

/** A list by cursor: the first page at once, the next ones when their rows come into sight. */
export function useList<T, C extends Command = Command>(command: C, payload: PayloadOf<C> | null): Listed<T> {
  const asked = useAnswer<Page<T>, C>(command, payload);
  const [later, setLater] = useState<{ of: Page<T> | null; rows: readonly T[]; cursor: string | null }>(NO_PAGE);
  const loading = useRef(false);
  const first = asked.result;
  const current = later.of === first ? later : { of: first, rows: NO_ROWS, cursor: first?.next_cursor ?? null };
  const rows = useMemo(() => (current.rows.length ? [...(first?.items ?? []), ...current.rows] : (first?.items ?? NO_ROWS)), [first, current.rows]);
  const more = useCallback(() => {
    if (loading.current || current.cursor === null || payload === null || rows.length >= MOST_ROWS) return;
    loading.current = true;
    void ask<Page<T>, C>(command, { ...payload, cursor: current.cursor } as PayloadOf<C>).then((answer) => {
      loading.current = false;
      if (answer.ok)
        setLater({ of: first, rows: [...current.rows, ...answer.result.items], cursor: answer.result.next_cursor });
    });
  }, [command, JSON.stringify(payload), current]);
  return { ...asked, result: asked.result?.items ?? null, rows, complete: first !== null && current.cursor === null, more, first };
}

const NO_ROWS: readonly never[] = [];
const NO_PAGE = { of: null, rows: NO_ROWS, cursor: null };

/**
 * Calls `look` when what `mark` reads of signals comes to something else (undefined is not known yet), at most every ten
 * seconds, and never while nobody looks. The view is not drawn for it.
 */
export function useTenSeconds(mark: () => unknown, look: () => void): void {
  const last = useRef({ mark: undefined as unknown, at: Date.now(), timer: 0 });
  const latest = useRef(look);
  latest.current = look;
  useSignalEffect(() => {
    const state = last.current;
    const now = mark();
    state.mark ??= now;
    if (now === undefined || Object.is(state.mark, now) || hidden.value || state.timer) return;
    state.mark = now;
    const wait = Math.max(0, state.at + 10_000 - Date.now());
    state.timer = setTimeout(() => {
      state.timer = 0;
      state.at = Date.now();
      state.mark = untracked(mark);
      latest.current();
    }, wait) as unknown as number;
  });
  useEffect(() => () => clearTimeout(last.current.timer), []);
}

export const isUnknown = (problem: Problem | null): boolean => problem?.code === NOBODY_ANSWERS;
export type { Answer };
