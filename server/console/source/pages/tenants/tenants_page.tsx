// Who may ask, what they used, and what was done: keys, usage and the audit.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { Empty } from "../../parts/empty";
import { tellProblem } from "../../parts/notices";
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

  useEffect(() => {
    answered(server.GET("/admin/limits"))
      .then(() => (isInUse.value = true))
      .catch((problem) => {
        isInUse.value = problem instanceof Problem && problem.status === 404 ? false : true;
        if (isInUse.value) tellProblem(problem);
      });
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
      {isInUse.value === false && (
        <Empty title={words.value.noAccounts} hint={words.value.noAccountsHint} />
      )}
      {isInUse.value && shown === "keys" && <KeysTab />}
      {isInUse.value && shown === "usage" && <UsageTab />}
      {isInUse.value && shown === "audit" && <AuditTab />}
    </>
  );
}
