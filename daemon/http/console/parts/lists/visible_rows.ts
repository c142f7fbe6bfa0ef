/** Which rows of a long list are in sight: rows have one height, so it is arithmetic. */

import type { RefObject } from "preact";
import { useCallback, useEffect, useState } from "preact/hooks";
import { windowOf } from "../../model/lists/window.ts";

/** Rows are changed so many at a time. */
const STEP = 4;
/** The first rows are to be on the screen soon: those below come after the next painting. */
const AT_FIRST = 24;
const NARROW = "(max-width: 40rem)";

interface VisibleRows {
  readonly from: number;
  readonly to: number;
  /** Of one row, in pixels. */
  readonly height: number;
  readonly reveal: (index: number) => void;
  /** The first row in sight. */
  readonly first: number;
  /** Rows were put on top: what is in sight stays where it is. */
  readonly shift: (rows: number) => void;
}

/** The height of a card, which has room for all cells of a row of so many columns. */
export const cardHeight = (columns: number): number => 16 + 20 * Math.ceil(columns * 0.62);

/** Rows are lines of 28 px, as app.css has it too; on a narrow screen they are cards. */
export function useVisibleRows(body: RefObject<HTMLElement | null>, rows: number, columns: number): VisibleRows {
  const heightNow = (): number => (matchMedia(NARROW).matches ? cardHeight(columns) : 28);
  const [height, setHeight] = useState(heightNow);
  const [sight, setSight] = useState({ top: 0, room: 0 });
  useEffect(() => {
    const element = body.current;
    if (!element) return;
    let asked = 0;
    const measure = (): void => {
      cancelAnimationFrame(asked);
      asked = requestAnimationFrame(() => {
        setSight((before) => {
          const step = STEP * heightNow();
          const [top, room] = [Math.floor(element.scrollTop / step) * step, element.clientHeight];
          return before.top === top && before.room === room ? before : { top, room };
        });
        setHeight(heightNow());
      });
    };
    element.addEventListener("scroll", measure, { passive: true });
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    measure();
    return () => {
      element.removeEventListener("scroll", measure);
      observer.disconnect();
      cancelAnimationFrame(asked);
    };
  }, []);
  const reveal = useCallback(
    (index: number) => {
      const element = body.current;
      if (!element) return;
      const [top, bottom] = [index * height, (index + 2) * height];
      if (top < element.scrollTop) element.scrollTop = top;
      else if (bottom > element.scrollTop + element.clientHeight) element.scrollTop = bottom - element.clientHeight;
    },
    [height],
  );
  const shift = useCallback(
    (added: number) => {
      const element = body.current;
      if (!element) return;
      element.scrollTop += added * height;
      setSight({ top: element.scrollTop, room: element.clientHeight });
    },
    [height],
  );
  const [grown, setGrown] = useState(false);
  useEffect(() => {
    if (rows > 0) setGrown(true);
  }, [rows > 0]);
  const [from, to] = windowOf(Math.floor(sight.top / height), Math.ceil(sight.room / height) + STEP, rows);
  return { from, to: grown ? to : Math.min(to, AT_FIRST), height, reveal, shift, first: Math.floor(sight.top / height) };
}
