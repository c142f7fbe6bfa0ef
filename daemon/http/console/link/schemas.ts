/** The schemas that the daemon publishes, for judging a body while it is written. */

import { Validator, type Schema } from "@cfworker/json-schema";
import { scan, type Fault, type Scanned } from "../model/exact_json.ts";
import { faultsOf, placeOf } from "../model/schema_paths.ts";

interface AsyncApi {
  readonly components: {
    readonly messages: Readonly<Record<string, { readonly payload: { readonly $ref: string } }>>;
    readonly schemas: Readonly<Record<string, Schema>>;
  };
}

let loading: Promise<AsyncApi> | null = null;
const validators = new Map<string, Validator>();

function document_(): Promise<AsyncApi> {
  loading ??= fetch("../asyncapi.json").then((answer) => answer.json() as Promise<AsyncApi>);
  loading.catch(() => {
    loading = null;
  });
  return loading;
}

export interface Judgement {
  readonly scanned: Scanned;
  readonly faults: readonly Fault[];
  /** The schema that was applied; empty where the body names none that is known. */
  readonly schema: string;
}

/** JSON strictly first, then the schema that `kind` and `schema_version` in the text name. */
export async function judge(text: string, kindOfSubject: string): Promise<Judgement> {
  const scanned = scan(text);
  if (!scanned.wellFormed) return { scanned, faults: scanned.faults, schema: "" };
  const value: unknown = JSON.parse(text);
  const named = value as { kind?: unknown; schema_version?: unknown; envelope_version?: unknown } | null;
  const kind = typeof named?.kind === "string" ? named.kind : kindOfSubject;
  const version = typeof named?.schema_version === "string" ? named.schema_version : "";
  const name = `${kind}-${version}${named?.envelope_version === 1 ? "-envelope-1" : ""}`;
  const validator = await validatorOf(name);
  if (validator === null) {
    const message = `There is no schema ${name}`;
    const offset = placeOf("schema_version", scanned);
    return { scanned, faults: [...scanned.faults, { offset, path: "schema_version", message }], schema: "" };
  }
  const violations = validator.validate(value).errors;
  const faults = [...scanned.faults, ...faultsOf(violations, scanned)].sort((a, b) => a.offset - b.offset);
  return { scanned, faults, schema: name };
}

async function validatorOf(name: string): Promise<Validator | null> {
  const known = validators.get(name);
  if (known) return known;
  const { components } = await document_();
  const ref = components.messages[name]?.payload.$ref;
  if (ref === undefined) return null;
  const schema = { $ref: ref, components } as unknown as Schema;
  const made = new Validator(schema, "2020-12", false);
  validators.set(name, made);
  return made;
}
