// The way in: an admin key or a token, sent once.
import { useSignal } from "@preact/signals";
import { logIn } from "../login";
import { PreferenceButtons } from "../parts/preference_buttons";
import { TextField } from "../parts/text_field";
import { hasEnded } from "../session";
import { words } from "../words/words";

export function LoginPage() {
  const key = useSignal("");
  const problem = useSignal("");
  const busy = useSignal(false);

  async function submit(event: Event): Promise<void> {
    event.preventDefault();
    busy.value = true;
    problem.value = "";
    try {
      await logIn(key.value.trim());
    } catch (error) {
      problem.value = (error as Error).message;
    } finally {
      busy.value = false;
    }
  }

  return (
    <main class="login">
      <div class="row spread">
        <h1>
          <img src="/console/icon.svg" alt="" width="32" height="32" /> lorabay
        </h1>
        <PreferenceButtons />
      </div>
      {hasEnded.value && <p class="banner">{words.value.sessionEnded}</p>}
      <form onSubmit={submit}>
        <TextField
          label={words.value.adminKey}
          type="password"
          value={key.value}
          change={(value) => (key.value = value)}
          hint={words.value.loginHint}
          required
        />
        {problem.value && (
          <p class="problem" role="alert">
            {problem.value}
          </p>
        )}
        <button type="submit" class="button main" disabled={busy.value}>
          {words.value.logIn}
        </button>
      </form>
    </main>
  );
}
