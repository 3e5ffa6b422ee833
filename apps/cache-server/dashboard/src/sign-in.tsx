import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { keepToken } from "./fetch-json.js";

interface SignInProps {
  /** What the server said. */
  readonly message: string;
  readonly onToken: () => void;
}

/** Asks for a token, which is kept for this tab only. */
export function SignIn({ message, onToken }: SignInProps): JSX.Element {
  const [token, setToken] = useState("");
  const submit = (event: Event): void => {
    event.preventDefault();
    keepToken(token.trim());
    onToken();
  };
  return (
    <main>
      <section>
        <div class="heading">
          <h2>varve cache</h2>
          <span class="note">{message}</span>
        </div>
        <form onSubmit={submit}>
          <input
            type="password"
            aria-label="Token"
            placeholder="Token, as varve-cache token create prints it"
            value={token}
            onInput={(event) => setToken(event.currentTarget.value)}
          />
          <button type="submit">Show</button>
        </form>
      </section>
    </main>
  );
}
