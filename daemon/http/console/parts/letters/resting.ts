/** A text that is being written, seen at its pauses, and what is said of it then. */

import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { judge, type Judgement } from "../../link/schemas.ts";

const PAUSE_MS = 300;

/** Lets the browser do what waits for it: keys and painting first. */
export const breathe = (): Promise<void> => new Promise((resolve) => setTimeout(resolve));

const UNSEEN_MS = 200;

/** Once the present frame is on the screen; a tab that nobody sees paints none. */
export const painted = (): Promise<void> =>
  new Promise((resolve) => {
    requestAnimationFrame(() => setTimeout(resolve));
    setTimeout(resolve, UNSEEN_MS);
  });

/** Calls `onRest` when `stir` has not been called for a moment; `settle` does it at once where something waits. */
export function useRest(onRest: () => void): { readonly stir: () => void; readonly settle: () => void } {
  const timer = useRef(0);
  const latest = useRef(onRest);
  latest.current = onRest;
  const settle = useCallback(() => {
    if (timer.current === 0) return;
    clearTimeout(timer.current);
    timer.current = 0;
    latest.current();
  }, []);
  const stir = useCallback(() => {
    clearTimeout(timer.current);
    timer.current = setTimeout(settle, PAUSE_MS) as unknown as number;
  }, []);
  useEffect(() => {
    addEventListener("pagehide", settle);
    return () => {
      removeEventListener("pagehide", settle);
      clearTimeout(timer.current);
      timer.current = 0;
    };
  }, []);
  return { stir, settle };
}

/** What strict JSON and the schema say of a text. */
export function useJudgement(text: string, kind: string): Judgement | null {
  const [judged, setJudged] = useState<Judgement | null>(null);
  useEffect(() => {
    let gone = false;
    const goOn = async (): Promise<boolean> => {
      await breathe();
      return !gone;
    };
    void painted()
      .then(() => (gone ? null : judge(text, kind, goOn)))
      .then(
        (found) => !gone && found && setJudged(found),
        () => undefined,
      );
    return () => {
      gone = true;
    };
  }, [text, kind]);
  return judged;
}
