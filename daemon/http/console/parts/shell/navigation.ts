/** The views by the first word of their route; the order is the navigation's. */

export interface Named {
  readonly word: string;
  readonly name: string;
  readonly key?: string;
}

export const NAMED: readonly Named[] = [
  { word: "now", name: "Now", key: "g n" },
  { word: "dead", name: "Dead letters", key: "g d" },
  { word: "runs", name: "Runs", key: "g r" },
  { word: "jobs", name: "Jobs", key: "g j" },
  { word: "story", name: "Story", key: "g s" },
  { word: "alerts", name: "Alerts", key: "g a" },
  { word: "cost", name: "Cost", key: "g c" },
  { word: "kpi", name: "KPIs", key: "g k" },
  { word: "agents", name: "Agents" },
  { word: "care", name: "Care" },
];

/** Views of one thing stand under the list that leads to them. */
export const UNDER: Readonly<Record<string, string>> = { run: "runs", job: "jobs", alert: "alerts", session: "cost" };
