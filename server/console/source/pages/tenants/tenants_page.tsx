// Who may ask, what they used, and what was done: keys, usage and the audit.
import { useSignal } from "@preact/signals";
import { Empty } from "../../parts/empty";
import { useLook } from "../../parts/use_look";
import { address } from "../../route";
import { answered, Problem, server } from "../../server";
import { words } from "../../words/words";
import { AuditTab } from "./audit_tab";
import { KeysTab } from "./keys_tab";
import { UsageTab } from "./usage_tab";

const TABS = ["keys", "usage", "audit"] as const;

export function TenantsPage({ tab }: { tab: string }) {
  const isInUse = useSignal<boolean | undefined>(undefined);
  const shown = TABS.find((one) => one === tab) ?? "keys";

  useLook(async () => {
    try {
      await answered(server.GET("/admin/limits"));
      isInUse.value = true;
    } catch (problem) {
      if (!(problem instanceof Problem && problem.status === 404)) throw problem;
      isInUse.value = false;
    }
  }, []);

  return (
    <>
      <h1>{words.value.tenants}</h1>
      <nav class="tabs" aria-label={words.value.tenants}>
        {TABS.map((one) => (
          <a key={one} href={address("tenants", one)} aria-current={one === shown ? "page" : undefined}>
            {words.value[one]}
          </a>
        ))}
      </nav>
      {isInUse.value === undefined && <p class="hint">{words.value.loading}</p>}
      {isInUse.value === false && (
        <Empty title={words.value.noAccounts} hint={words.value.noAccountsHint} />
      )}
      {isInUse.value && shown === "keys" && <KeysTab />}
      {isInUse.value && shown === "usage" && <UsageTab />}
      {isInUse.value && shown === "audit" && <AuditTab />}
    </>
  );
}
