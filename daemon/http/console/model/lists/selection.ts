/** What is selected in a list: some rows, or all that match a filter but for some. */

export type Selection =
  | { readonly of: "some"; readonly keys: ReadonlySet<string> }
  | { readonly of: "all"; readonly except: ReadonlySet<string> };

export const NOTHING: Selection = { of: "some", keys: new Set() };
export const EVERYTHING: Selection = { of: "all", except: new Set() };

export function isSelected(selection: Selection, key: string): boolean {
  return selection.of === "some" ? selection.keys.has(key) : !selection.except.has(key);
}

export const isNothing = (selection: Selection): boolean => selection.of === "some" && selection.keys.size === 0;

export function toggled(selection: Selection, key: string): Selection {
  const keys = new Set(selection.of === "some" ? selection.keys : selection.except);
  if (!keys.delete(key)) keys.add(key);
  return selection.of === "some" ? { of: "some", keys } : { of: "all", except: keys };
}

/** The rows from `from` to `to` in the order of `order` take the state that `to` gets. */
export function ranged(selection: Selection, order: readonly string[], from: string, to: string): Selection {
  const [a, b] = [order.indexOf(from), order.indexOf(to)];
  if (a < 0 || b < 0) return toggled(selection, to);
  const wanted = !isSelected(selection, to);
  let next = selection;
  for (const key of order.slice(Math.min(a, b), Math.max(a, b) + 1))
    if (isSelected(next, key) !== wanted) next = toggled(next, key);
  return next;
}

/** How many are selected of `total` that match; null where the total is not known. */
export function selectedCount(selection: Selection, total: number | null): number | null {
  if (selection.of === "some") return selection.keys.size;
  return total === null ? null : Math.max(0, total - selection.except.size);
}
