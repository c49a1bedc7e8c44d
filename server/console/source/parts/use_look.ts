// Looks at what the server holds: as soon as it is there, whenever one of the causes changes, and
// again when it comes back.
import { useEffect } from "preact/hooks";
import { connection } from "../following";
import { tellProblem } from "./notices";

export function useLook(look: () => Promise<void>, causes: unknown[]): void {
  const isThere = connection.value === "open";

  useEffect(() => {
    if (isThere) look().catch(tellProblem);
  }, [isThere, ...causes]);
}
