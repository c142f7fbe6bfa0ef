/** Sign-in: by a one-time link of the command line, or with the credentials that NATS knows. */

import type { VNode } from "preact";
import { useState } from "preact/hooks";
import { config, signIn, signInNotice, type SignIn as Way } from "../link/session.ts";

/** What a `.creds` file of NATS holds, whatever else stands in it. */
const CREDENTIALS = /BEGIN NATS USER JWT-+\s+\S+[^]*BEGIN USER NKEY SEED-+\s+SU\w+/;

export function SignIn(): VNode {
  const { sign_in: ways = [], auth = "none" } = config.value ?? {};
  const [user, setUser] = useState("");
  const [password, setPassword] = useState("");
  const [token, setToken] = useState("");
  const [file, setFile] = useState<File | null>(null);
  const has = (way: Way): boolean => ways.includes(way);
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    const bearer = token.trim() ? { token: token.trim() } : {};
    if (file !== null) {
      const creds = await file.text();
      if (CREDENTIALS.test(creds)) signIn({ creds, ...bearer });
      else signInNotice.value = "This is no credentials file of NATS: it has a user's token and a seed.";
    } else if (user !== "") signIn({ user, password, ...bearer });
    else if (has("cookie")) signIn(bearer);
    else signInNotice.value = "Give user and password, or a credentials file.";
  };
  return (
    <main class="signin">
      <h1>Sign in</h1>
      {signInNotice.value && (
        <p role="alert" class="problem">
          {signInNotice.value}
        </p>
      )}
      {has("link") && (
        <p>
          On the daemon's machine: <code>headgate console</code> opens this page, signed in. Its link works once, for a minute.
        </p>
      )}
      {(has("password") || has("creds") || has("cookie")) && (
        <form onSubmit={(event) => void submit(event)}>
          {has("password") && (
            <>
              <label>
                User <input autocomplete="username" value={user} onInput={(event) => setUser(event.currentTarget.value)} />
              </label>
              <label>
                Password{" "}
                <input
                  type="password"
                  autocomplete="current-password"
                  value={password}
                  onInput={(event) => setPassword(event.currentTarget.value)}
                />
              </label>
            </>
          )}
          {has("creds") && (
            <label>
              Credentials file <input type="file" accept=".creds" onChange={(event) => setFile(event.currentTarget.files?.[0] ?? null)} />
            </label>
          )}
          {auth === "jwt" && (
            <label>
              Token <textarea rows={3} spellcheck={false} autocomplete="off" value={token} onInput={(event) => setToken(event.currentTarget.value)} />
            </label>
          )}
          <button type="submit" class="main">
            Sign in
          </button>
        </form>
      )}
      <p class="soft">What is given stays in this tab until it is closed or you sign out; it goes to NATS and nowhere else.</p>
    </main>
  );
}
