// Asks for what a new key may use, and makes it.
import { useSignal } from "@preact/signals";
import { Button } from "../../parts/button";
import { Dialog } from "../../parts/dialog";
import { tellProblem } from "../../parts/notices";
import { TextField } from "../../parts/text_field";
import { answered, server } from "../../server";
import { words } from "../../words/words";
import { LIMITS, type Limit } from "./limits";

interface Props {
  // Told the key's text, which is never shown again.
  made: (text: string) => Promise<void>;
  close: () => void;
}

export function NewKeyDialog({ made, close }: Props) {
  const told = words.value;
  const name = useSignal("");
  const tenant = useSignal("");
  const adapters = useSignal("");
  const expires = useSignal("");
  const limits = useSignal<Partial<Record<Limit, string>>>({});

  async function make(event: Event): Promise<void> {
    event.preventDefault();
    const given = Object.entries(limits.value).filter(([, text]) => text.trim());
    const names = adapters.value.split(/[,，\s]+/).filter(Boolean);
    const body = {
      name: name.value.trim(),
      tenant: tenant.value.trim() || null,
      adapters: names.length ? names : null,
      expires: expires.value.trim() || null,
      ...Object.fromEntries(given.map(([limit, text]) => [limit, Number(text)])),
    };
    try {
      await made((await answered(server.POST("/admin/keys", { body }))).key);
    } catch (problem) {
      tellProblem(problem);
    }
  }

  return (
    <Dialog title={told.newKey} close={close}>
      <form onSubmit={make} class="grid">
        <TextField label={told.name} value={name.value} change={(text) => (name.value = text)} required />
        <TextField label={told.tenant} hint={told.tenantHint} placeholder="default" value={tenant.value} change={(text) => (tenant.value = text)} />
        <TextField
          label={told.mayUse}
          hint={told.mayUseHint}
          value={adapters.value}
          change={(text) => (adapters.value = text)}
        />
        <TextField
          label={told.expires}
          hint={told.expiresHint}
          value={expires.value}
          change={(text) => (expires.value = text)}
        />
        {LIMITS.map((limit) => (
          <TextField
            key={limit}
            type="number"
            min="1"
            label={told.limitNames[limit]}
            placeholder={told.noLimit}
            value={limits.value[limit] ?? ""}
            change={(text) => (limits.value = { ...limits.value, [limit]: text })}
          />
        ))}
        <div class="row end wide">
          <Button act={close}>{told.cancel}</Button>
          <Button kind="main" submits act={() => undefined}>
            {told.makeKey}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
