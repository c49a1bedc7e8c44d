// The whole console: the way in, or the page that the address names.
import { useEffect } from "preact/hooks";
import { follow } from "./following";
import { findSession } from "./login";
import { LoginPage } from "./pages/login_page";
import { AdaptersPage } from "./pages/adapters/adapters_page";
import { AdapterPage } from "./pages/adapters/adapter_page";
import { LivePage } from "./pages/live/live_page";
import { PlaygroundPage } from "./pages/playground/playground_page";
import { TenantsPage } from "./pages/tenants/tenants_page";
import { isDialogOpen } from "./parts/dialog";
import { Notices } from "./parts/notices";
import { Questions } from "./parts/question";
import { Frame } from "./frame";
import { route } from "./route";
import { person } from "./session";
import { keepAdapters } from "./stores/adapters";
import { words } from "./words/words";

export function App() {
  useEffect(() => {
    void findSession();
  }, []);

  return (
    <>
      {person.value === undefined ? null : person.value ? <Inside /> : <LoginPage />}
      <Questions />
      {!isDialogOpen.value && <Notices />}
    </>
  );
}

function Inside() {
  useEffect(() => {
    const stops = [follow(), keepAdapters()];
    return () => stops.forEach((stop) => stop());
  }, []);

  return (
    <Frame>
      <Page />
    </Frame>
  );
}

function Page() {
  const { page, name } = route.value;
  const title = page === "adapters" && name ? name : words.value[page];

  useEffect(() => {
    document.title = `${title} · lorabay`;
  }, [title]);

  if (page === "playground") return <PlaygroundPage />;
  if (page === "live") return <LivePage />;
  if (page === "tenants") return <TenantsPage tab={name} />;
  return name ? <AdapterPage key={name} name={name} /> : <AdaptersPage />;
}
