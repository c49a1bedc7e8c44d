// The words of the console in the language that is chosen.
import { computed } from "@preact/signals";
import { language } from "../preferences";
import { en } from "./en";
import { zh } from "./zh";

export const words = computed(() => (language.value === "zh" ? zh : en));
