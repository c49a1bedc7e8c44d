// Everything that the page says, in each of its languages.

export const WORDS = {
  en: {
    name: "English",
    title: "Which answer is better?",
    question: "Question",
    system: "What the assistant was told beforehand",
    user: "Customer",
    assistant: "Assistant",
    answer: "Answer",
    empty: "(no answer)",
    left: "1 is better",
    right: "2 is better",
    tie: "Equal",
    undo: "Take back",
    shortcuts: "Vote with keys",
    finished: "All done",
    thanks: "Thank you. Your votes are kept; you can close this page.",
    count: (done, total) => `${done} of ${total}`,
    next: (number, total) => `Comparison ${number} of ${total}`,
    retry: "Try again",
    offline: "The server does not answer. Votes so far are kept.",
    stranger: "This link leads to nobody's comparisons. Ask for a new one.",
    elsewhere: "You judged this one in another window. Here is the next.",
    unkept: "The vote could not be kept. Try again, or tell whoever sent you the link.",
  },
  zh: {
    name: "中文",
    title: "哪个回答更好？",
    question: "问题",
    system: "助手事先得到的说明",
    user: "客户",
    assistant: "助手",
    answer: "回答",
    empty: "（没有回答）",
    left: "1 更好",
    right: "2 更好",
    tie: "差不多",
    undo: "撤回",
    shortcuts: "用按键投票",
    finished: "全部完成",
    thanks: "谢谢！您的选择已保存，可以关闭本页面。",
    count: (done, total) => `${done} / ${total}`,
    next: (number, total) => `第 ${number} 组，共 ${total} 组`,
    retry: "重试",
    offline: "服务器没有响应。之前的选择已保存。",
    stranger: "此链接无效，请索取新的链接。",
    elsewhere: "您已在另一个窗口评过这一组。这是下一组。",
    unkept: "未能保存这次选择。请重试，或告知发链接给您的人。",
  },
};

const REMEMBERED = "lorabay-judge-language";

// The language that was chosen here before, else the first one of the browser's that the page has.
export function firstLanguage() {
  const chosen = localStorage.getItem(REMEMBERED);
  const wished = [chosen, ...navigator.languages].filter(Boolean);
  const known = wished.map((tag) => tag.toLowerCase().split("-")[0]).filter((tag) => tag in WORDS);
  return known[0] ?? "en";
}

export function otherLanguage(language) {
  return language === "zh" ? "en" : "zh";
}

export function remember(language) {
  localStorage.setItem(REMEMBERED, language);
}
