// What surrounds every page: where one can go, whether the server is there, and who is logged in.
import type { ComponentChildren } from "preact";
import { connection } from "./following";
import { logOut } from "./login";
import { Button } from "./parts/button";
import { PreferenceButtons } from "./parts/preference_buttons";
import { address, PAGES, route } from "./route";
import { person } from "./session";
import { words } from "./words/words";

export function Frame({ children }: { children: ComponentChildren }) {
  return (
    <>
      <a class="skip" href="#content" onClick={goToContent}>
        {words.value.skip}
      </a>
      <header>
        <a class="brand" href={address("adapters")}>
          <img src="/console/icon.svg" alt="" width="24" height="24" />
          lorabay
        </a>
        <nav aria-label="lorabay">
          {PAGES.map((page) => (
            <a
              key={page}
              href={address(page)}
              aria-current={route.value.page === page ? "page" : undefined}
            >
              {words.value[page]}
            </a>
          ))}
        </nav>
        <Connection />
        <PreferenceButtons />
        <span class="person" title={`lorabay ${person.value?.lorabay}`}>
          {person.value?.who} · {words.value.roles[person.value?.role ?? "viewer"]}
        </span>
        <Button act={logOut}>{words.value.logOut}</Button>
      </header>
      {connection.value === "away" && (
        <p class="banner" role="alert">
          {words.value.serverAway}
        </p>
      )}
      <main id="content" tabIndex={-1}>
        {children}
      </main>
    </>
  );
}

// The address behind # is the console's own, so the browser must not follow the link.
function goToContent(event: Event): void {
  event.preventDefault();
  document.getElementById("content")?.focus();
}

function Connection() {
  const texts = {
    open: words.value.connectionOpen,
    away: words.value.away,
    paused: words.value.paused,
    connecting: words.value.connecting,
  };
  return (
    <span class={`connection ${connection.value}`} role="status">
      {texts[connection.value]}
    </span>
  );
}
