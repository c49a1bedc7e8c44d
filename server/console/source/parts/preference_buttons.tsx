// The buttons that change the language and the theme.
import { choose, language, theme } from "../preferences";
import { words } from "../words/words";

export function PreferenceButtons() {
  const isDark = theme.value === "dark";
  const isChinese = language.value === "zh";
  return (
    <span class="row tight">
      <button
        type="button"
        class="button plain"
        lang={isChinese ? "en" : "zh-CN"}
        onClick={() => choose("language", isChinese ? "en" : "zh")}
      >
        {isChinese ? "English" : "中文"}
      </button>
      <button
        type="button"
        class="button plain"
        onClick={() => choose("theme", isDark ? "light" : "dark")}
      >
        {isDark ? words.value.light : words.value.dark}
      </button>
    </span>
  );
}
