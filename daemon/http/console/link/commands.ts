/**
 * Every command that the console asks, with the fields that it uses. The types below hold the page to this list, and a
 * test holds the list to `/asyncapi.json`: a change of the contract breaks the build, not the operator.
 */

const LETTER_FILTERS = [
  "states",
  "kinds",
  "codes",
  "producers",
  "ids",
  "paths",
  "message_ids",
  "trace_ids",
  "except_ids",
  "since",
  "until",
] as const;

export const COMMANDS = {
  about: { family: "ops", fields: [] },
  "health-check": { family: "ops", fields: [] },
  "system-status": { family: "ops", fields: [] },
  find: { family: "ops", fields: ["id"] },
  explain: { family: "ops", fields: ["kind", "message_id", "trace_id", "id", "cursor", "limit"] },
  "dead-letters": {
    family: "ops",
    fields: [
      "action",
      "dead_letter_id",
      "body",
      "base_replay_number",
      "reason",
      "dry_run",
      "all",
      "buckets",
      "cursor",
      "limit",
      ...LETTER_FILTERS,
    ],
  },
  "replay-failed": {
    family: "ops",
    fields: ["targets", "all", "limit", "dry_run", "rate_per_second", "stop_on_failure_ratio", ...LETTER_FILTERS],
  },
  "replay-status": { family: "ops", fields: ["run_id", "cursor", "limit"] },
  "replay-abort": { family: "ops", fields: ["run_id"] },
  runs: { family: "ops", fields: ["run_id", "operation", "status", "since", "cursor", "limit"] },
  jobs: { family: "ops", fields: ["status", "project_id", "owner", "since", "cursor", "limit"] },
  alerts: { family: "ops", fields: ["action", "rule", "until", "reason"] },
  "kpi-report": { family: "ops", fields: ["period", "from", "to", "topic", "platform", "format"] },
  control: { family: "ops", fields: ["agent", "action", "session_id", "reason", "model", "task"] },
  logs: { family: "ops", fields: ["agent", "session_id", "trace_id", "type", "limit"] },
  "self-heal": { family: "ops", fields: ["dry_run"] },
  prune: { family: "ops", fields: [] },
  backup: { family: "ops", fields: [] },
  "import-legacy": { family: "ops", fields: ["kind", "path", "object"] },
  "job.get": { family: "cmd", fields: ["job_id"] },
  "job.approve": { family: "cmd", fields: ["job_id", "version", "note"] },
  "job.render": { family: "cmd", fields: ["job_id"] },
  "job.cancel": { family: "cmd", fields: ["job_id"] },
  "job.retry": { family: "cmd", fields: ["job_id"] },
  "job.run": { family: "cmd", fields: ["job_id"] },
  "job.transcript": { family: "cmd", fields: ["job_id", "cursor", "limit"] },
  "job.storyboard": { family: "cmd", fields: ["job_id"] },
  "job.history": { family: "cmd", fields: ["job_id", "cursor", "limit"] },
  "instruction.get": { family: "cmd", fields: ["instruction_id", "version"] },
  "alert.list": { family: "cmd", fields: ["cursor", "limit"] },
  "alert.get": { family: "cmd", fields: ["rule"] },
  "analytics.usage": { family: "cmd", fields: ["from", "to", "group_by", "agent", "model"] },
  "analytics.performance": { family: "cmd", fields: ["from", "to", "group_by", "agent", "model"] },
  "ledger.list": { family: "cmd", fields: ["agent", "model", "status", "from", "to", "search", "cursor", "limit"] },
  "ledger.get": { family: "cmd", fields: ["session_id"] },
} as const;

export type Command = keyof typeof COMMANDS;
export type PayloadOf<C extends Command> = Partial<Record<(typeof COMMANDS)[C]["fields"][number], unknown>>;

/** The scope that a command needs; jobs are their owner's. */
export function scopeOf(command: Command, act: boolean): string {
  const jobs = command.startsWith("job.") || command.startsWith("instruction.");
  return `${jobs ? "jobs" : "ops"}:${act ? "write" : "read"}`;
}
