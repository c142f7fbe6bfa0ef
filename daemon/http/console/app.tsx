/** The shell: who is signed in, where the person is, and what is always in sight. */

import { effect } from "@preact/signals";
import { Component, render, type ComponentType, type VNode } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { alerting, followAlerts } from "./link/alerts.ts";
import { connectionWord, hidden, keepConnected, lastSeen, linkState, paused, refusedPermission } from "./link/connection.ts";
import { about, followPrincipal, who } from "./link/principal.ts";
import { common, followPulses, runningCount, silentSince } from "./link/pulse.ts";
import { begin, config, credentials, signOut } from "./link/session.ts";
import { href } from "./model/route.ts";
import { count, visible } from "./model/text.ts";
import { clock, zoneName } from "./model/time.ts";
import { Help } from "./parts/shell/help.tsx";
import { dropHeld, followHeldKeys } from "./parts/shell/held_keys.ts";
import { followKeys, useShellKeys } from "./parts/shell/keys.ts";
import { NAMED, UNDER } from "./parts/shell/navigation.ts";
import { Outcome } from "./parts/shell/outcome.tsx";
import { keepPreferences, nextTheme, nextZone, now, theme, zone } from "./parts/shell/preferences.ts";
import { followAddress, go, route } from "./parts/shell/router.ts";
import { Agents } from "./views/agents.tsx";
import { Alerts } from "./views/alerts.tsx";
import { Care } from "./views/care.tsx";
import { Cost } from "./views/cost.tsx";
import { DeadLetters } from "./views/dead_letters.tsx";
import { Job } from "./views/job.tsx";
import { Jobs } from "./views/jobs.tsx";
import { Kpis } from "./views/kpis.tsx";
import { Letter } from "./views/letter.tsx";
import { Now } from "./views/now.tsx";
import { Run } from "./views/run.tsx";
import { Runs } from "./views/runs.tsx";
import { Session } from "./views/session.tsx";
import { SignIn } from "./views/sign_in.tsx";
import { Story } from "./views/story.tsx";

const VIEWS: Readonly<Record<string, ComponentType>> = {
  now: Now,
  dead: DeadLetters,
  runs: Runs,
  run: Run,
  jobs: Jobs,
  job: Job,
  story: Story,
  alerts: Alerts,
  alert: Alerts,
  cost: Cost,
  session: Session,
  kpi: Kpis,
  agents: Agents,
  care: Care,
};

function viewOf(path: readonly string[]): ComponentType {
  const [word = "now", thing] = path;
  return word === "dead" && thing !== undefined ? Letter : (VIEWS[word] ?? Now);
}

function wordOf(path: readonly string[]): string {
  const word = path[0] ?? "now";
  return UNDER[word] ?? (VIEWS[word] ? word : "now");
}

const titleOf = (path: readonly string[]): string => NAMED.find(({ word }) => word === wordOf(path))?.name ?? "Now";

/** A view that breaks says so in its place; the rest of the page goes on. */
class Safe extends Component<{ children: VNode }, { failed: string }> {
  override state = { failed: "" };

  static override getDerivedStateFromError(error: unknown): { failed: string } {
    return { failed: String(error) };
  }

  render(): VNode {
    if (!this.state.failed) return this.props.children;
    return (
      <div class="problem" role="alert">
        <p>This view could not be shown: {visible(this.state.failed)}</p>
        <button onClick={() => this.setState({ failed: "" })}>Show it again</button>
      </div>
    );
  }
}

const MARKED = new Set(["dead", "runs", "alerts"]);

function markOf(word: string): string {
  if (word === "dead" && common.value) return count(common.value.dead_letters_open);
  if (word === "runs" && runningCount.value > 0) return `● ${count(runningCount.value)}`;
  if (word === "alerts" && alerting.value.length > 0) return `▲ ${count(alerting.value.length)}`;
  return "";
}

/** It has its place before there is anything to tell: no link moves away under the pointer. */
const Mark = ({ word }: { word: string }): VNode | null => (MARKED.has(word) ? <span class={`mark ${word}`}>{markOf(word)}</span> : null);

function Navigation(): VNode {
  const here = wordOf(route.value.path);
  const line = useRef<HTMLElement>(null);
  // On a narrow screen the line of views is scrolled: where one is has to be seen.
  useEffect(() => {
    const link = line.current?.querySelector<HTMLElement>("[aria-current]");
    if (line.current && link) line.current.scrollLeft = link.offsetLeft - line.current.offsetLeft - (line.current.clientWidth - link.offsetWidth) / 2;
  }, [here]);
  return (
    <nav aria-label="Views" ref={line}>
      {NAMED.map(({ word, name }) => (
        <a href={href([word])} aria-current={word === here ? "page" : undefined}>
          {name} <Mark word={word} />
        </a>
      ))}
    </nav>
  );
}

function Banner({ onHelp }: { onHelp: () => void }): VNode {
  const field = useRef<HTMLInputElement>(null);
  useShellKeys([
    { key: "/", help: "filter, or find any id", run: () => field.current?.focus() },
    { key: "?", help: "this help", run: onHelp },
    { key: ".", help: "pause, go on", run: () => (paused.value = !paused.value) },
    { key: "z", help: "local time or UTC", run: nextZone },
    ...NAMED.flatMap(({ word, name, key }) => (key ? [{ key, help: `go to ${name}`, run: () => go([word]) }] : [])),
  ]);
  const find = (event: Event): void => {
    event.preventDefault();
    const id = field.current?.value.trim() ?? "";
    if (id !== "") go(["story"], { id });
  };
  return (
    <header role="banner">
      <a class="name" href="#/now">
        headgate
      </a>
      <Navigation />
      <form role="search" onSubmit={find}>
        <input ref={field} type="text" aria-label="Find any id" placeholder="/ find any id" autocomplete="off" spellcheck={false} />
      </form>
      <span class="who">
        <span class="caller" title={who.value && `${visible(who.value)}: ${about.value?.scopes.join(" ") ?? ""}`}>
          {visible(who.value)}
        </span>
        <span role="status" aria-label="Connection" class={`connection ${connectionWord.value}`}>
          {connectionWord.value}
        </span>
        <button aria-label={paused.value ? "Go on" : "Pause"} title=". pauses" onClick={() => (paused.value = !paused.value)}>
          {paused.value ? "▶" : "❚❚"}
        </button>
        <button onClick={nextZone} title="local ⇄ UTC" aria-label={`Time zone ${zoneName(zone.value, now.value)}`}>
          {zoneName(zone.value, now.value)}
        </button>
        <button onClick={nextTheme} aria-label={`Theme ${theme.value}`}>
          {theme.value}
        </button>
        <button onClick={onHelp} aria-label="Keyboard help">
          ?
        </button>
        <button onClick={() => signOut()}>Sign out</button>
      </span>
    </header>
  );
}

function App(): VNode {
  const [help, setHelp] = useState(false);
  const View = viewOf(route.value.path);
  const away = linkState.value === "offline";
  const silent = away ? null : silentSince.value;
  const time = (at: number): string => clock(new Date(at).toISOString(), zone.value, now.value);
  return (
    <>
      <a class="skip" href="#main" onClick={(event) => (event.preventDefault(), document.querySelector("main")?.focus())}>
        To the view
      </a>
      <Banner onHelp={() => setHelp(true)} />
      {away && (
        <p class="offline-bar">
          offline: what is shown is as of {time(lastSeen.value)}. It is connected again by itself.
        </p>
      )}
      {silent !== null && <p class="offline-bar">no daemon is heard: the figures are as of {time(silent)}. The connection to NATS is there.</p>}
      {refusedPermission.value && <p class="offline-bar">NATS refuses: {visible(refusedPermission.value)}</p>}
      <main tabIndex={-1} class={away || silent !== null ? "away" : ""}>
        <Safe key={route.value.path.join("/")}>
          <View />
        </Safe>
      </main>
      <Outcome />
      {help && <Help onClose={() => setHelp(false)} />}
    </>
  );
}

function Root(): VNode {
  if (config.value === null) return <p>…</p>;
  return credentials.value === null ? <SignIn /> : <App />;
}

followAddress(dropHeld);
followKeys();
followHeldKeys();
keepPreferences();
effect(() => {
  document.title = `headgate: ${credentials.value === null ? "Sign in" : titleOf(route.value.path)}`;
});
effect(() => {
  document.documentElement.dataset["hidden"] = String(hidden.value);
});
const root = document.getElementById("app");
if (root) {
  root.replaceChildren();
  render(<Root />, root);
}
keepConnected();
followPrincipal();
followPulses();
followAlerts();
void begin();
