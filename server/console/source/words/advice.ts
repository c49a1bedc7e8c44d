// What to do about a reason that keeps an adapter from being served, by the reason's code.
import { language } from "../preferences";

interface Advice {
  en: string;
  zh: string;
}

const CONVERT: Advice = {
  en: "Run `lorabay convert` on the folder, and serve what that writes.",
  zh: "对该文件夹运行 `lorabay convert`，然后提供转换后的结果。",
};

const OTHER_BASE: Advice = {
  en: "It was made for another base. Train it on this base, or serve it where its own base runs.",
  zh: "它是为另一个基座制作的。请在此基座上训练，或在其基座所在的服务器上提供。",
};

const COPY_AGAIN: Advice = {
  en: "The files are incomplete or damaged. Copy the folder again, under a hidden name first, and then rename it.",
  zh: "文件不完整或已损坏。请重新复制：先用隐藏名称，再改名。",
};

const DISK: Advice = {
  en: "A disk refused or does not answer. It is tried again by itself; look at the disk.",
  zh: "磁盘拒绝或没有响应。服务器会自动重试，请检查磁盘。",
};

const RANK: Advice = {
  en: "Start the server with a larger `--engine max_lora_rank=N`, or make the rank smaller with `lorabay convert --rank N`.",
  zh: "用更大的 `--engine max_lora_rank=N` 启动，或用 `lorabay convert --rank N` 降低秩。",
};

const ENGINE: Advice = {
  en: "The engine refused it. Load it again once the cause is gone, or roll back to a former version.",
  zh: "引擎拒绝了它。排除原因后重新加载，或回滚到旧版本。",
};

const MEND: Advice = {
  en: "Mend the folder. It is looked at again by itself. `lorabay check FOLDER` says all of this without a server.",
  zh: "请修复该文件夹，服务器会自动重新检查。`lorabay check 文件夹` 可离线给出同样的说明。",
};

const BY_CODE: Record<string, Advice> = {
  foreign_format: CONVERT,
  peft_type_unsupported: CONVERT,
  convert: CONVERT,
  quantised_base: CONVERT,
  foreign_base: OTHER_BASE,
  module_not_in_base: OTHER_BASE,
  shape: OTHER_BASE,
  vocabulary: OTHER_BASE,
  header_truncated: COPY_AGAIN,
  header_malformed: COPY_AGAIN,
  changed_while_read: COPY_AGAIN,
  missing_tensor: COPY_AGAIN,
  weights_missing: COPY_AGAIN,
  config_missing: COPY_AGAIN,
  config_not_json: COPY_AGAIN,
  read_failed: DISK,
  store_write: DISK,
  unreadable: DISK,
  rank: RANK,
  rank_over_limit: RANK,
  engine: ENGINE,
  engine_unavailable: ENGINE,
};

export function advice(code: string): string {
  return (BY_CODE[code] ?? MEND)[language.value];
}
