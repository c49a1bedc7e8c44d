// Copies text, or says that it cannot: browsers allow it on safe addresses only.
import { words } from "../words/words";
import { tellDone, tellProblem } from "./notices";

export async function copy(text: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    tellDone(words.value.copied);
  } catch {
    tellProblem(words.value.copyFailed);
  }
}
