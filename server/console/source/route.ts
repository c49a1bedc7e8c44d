// Where in the console somebody is: the address behind `#`, which never reaches the server.
import { signal } from "@preact/signals";

export const PAGES = ["adapters", "playground", "live", "tenants"] as const;
export type PageName = (typeof PAGES)[number];

export interface Route {
  page: PageName;
  // What is looked at on the page: an adapter, a tab. Empty for the page itself.
  name: string;
  query: URLSearchParams;
}

export const route = signal(read());

window.addEventListener("hashchange", () => {
  route.value = read();
});

function read(): Route {
  const [path = "", query = ""] = location.hash.slice(1).split("?");
  const [, page = "", ...rest] = path.split("/");
  const known = PAGES.find((one) => one === page) ?? "adapters";
  return { page: known, name: decoded(rest.join("/")), query: new URLSearchParams(query) };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export function address(page: PageName, name = ""): string {
  return name ? `#/${page}/${encodeURIComponent(name)}` : `#/${page}`;
}
