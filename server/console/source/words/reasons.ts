// What a reason means that keeps an adapter from being served, and what to do about it, by the
// reason's code. The server's own sentence has the details; it is in English.
import { language } from "../preferences";

interface Said {
  en: string;
  zh: string;
}

interface Meaning {
  what: Said;
  toDo: Said;
}

const ADVICE = {
  oneStore: {
    en: "Give all servers of the cluster one store, one adapter directory and the same engine options.",
    zh: "请让集群中的所有服务器使用同一存储、同一适配器目录和相同的引擎选项。",
  },
  convert: {
    en: "Run `lorabay convert` on the folder, and serve what that writes.",
    zh: "对该文件夹运行 `lorabay convert`，然后使用转换后的结果。",
  },
  byKind: {
    en: "Whether to convert it, to merge it or to train it in another way depends on its kind: the server's sentence names the way.",
    zh: "应转换、合并还是换一种方式训练，取决于其类型：服务器的说明给出了具体办法。",
  },
  merge: {
    en: "Fold it into the base with `lorabay merge`, and serve the model that that writes.",
    zh: "用 `lorabay merge` 合并进基座，然后部署得到的模型。",
  },
  otherBase: {
    en: "It was made for another base. Train it on this base, or serve it where its own base runs.",
    zh: "它是为另一个基座训练的。请在此基座上训练，或在其基座所在的服务器上部署。",
  },
  copyAgain: {
    en: "Copy the folder again: under a hidden name first, then rename it.",
    zh: "请重新复制文件夹：先用隐藏名称，再改名。",
  },
  download: {
    en: "Download the file again; look at it to see what it is.",
    zh: "请重新下载该文件，并打开看看它实际是什么。",
  },
  saveAgain: {
    en: "Save the adapter again from the training, with all its weights gathered, by PEFT's `save_pretrained`.",
    zh: "请在训练程序中用 PEFT 的 `save_pretrained` 重新保存适配器，并确保权重完整。",
  },
  trainAgain: {
    en: "Train it again: its values are unusable. A lower learning rate often helps.",
    zh: "其数值不可用，请重新训练。降低学习率通常有帮助。",
  },
  disk: {
    en: "It is tried again by itself. Look at the disk or the file server, its room and its permissions.",
    zh: "服务器会自动重试。请检查磁盘或文件服务器、剩余空间和权限。",
  },
  wait: {
    en: "It is looked at again by itself, as soon as nothing changes any more.",
    zh: "内容不再变化后，服务器会自动重新检查。",
  },
  rank: {
    en: "Start the server with a larger `--engine max_lora_rank=N`, or make the rank smaller with `lorabay convert --rank N`.",
    zh: "用更大的 `--engine max_lora_rank=N` 启动，或用 `lorabay convert --rank N` 降低秩。",
  },
  engine: {
    en: "Look into the server's log. Load it again once the cause is gone, or roll back to a former version.",
    zh: "请查看服务器日志。排除原因后重新加载，或回滚到旧版本。",
  },
  rename: {
    en: "Give the folder another name: that is what requests call it.",
    zh: "请给文件夹换一个名称，请求中使用的就是它。",
  },
  adapterConfig: {
    en: "Correct `adapter_config.json`, or save the adapter again.",
    zh: "请改正 `adapter_config.json`，或重新保存适配器。",
  },
  settings: {
    en: "Correct that file in the adapter's folder, or remove it.",
    zh: "请改正适配器文件夹中的该文件，或将其删除。",
  },
  composite: {
    en: "Correct `composite.toml` in the folder. Its members are folders of the adapter directory.",
    zh: "请改正文件夹中的 `composite.toml`。其成员是适配器目录中的文件夹。",
  },
  members: {
    en: "Combine the members into one adapter with `lorabay combine`, and serve that.",
    zh: "用 `lorabay combine` 把各成员合成一个适配器再使用。",
  },
  links: {
    en: "Copy what the link leads to into the folder (`cp -rL`), or allow its place with `--allowed-roots`.",
    zh: "把链接指向的内容复制进来（`cp -rL`），或用 `--allowed-roots` 允许其位置。",
  },
  modules: {
    en: "Start the server with these modules among `--engine lora_target_modules`, or without that option.",
    zh: "启动时把这些模块列入 `--engine lora_target_modules`，或去掉该选项。",
  },
  models: {
    en: "Serve whole models by engines of their own: start the server with `--max-models N`, and with room for them.",
    zh: "完整模型由独立引擎提供：用 `--max-models N` 启动服务器，并留出内存。",
  },
  theBase: {
    en: "Look at the files of the base that the server was started with.",
    zh: "请检查服务器启动时所用基座的文件。",
  },
  tellUs: {
    en: "This should not happen. Look into the server's log, and report it.",
    zh: "这不应发生。请查看服务器日志并报告。",
  },
  mend: {
    en: "Mend the folder. It is looked at again by itself. `lorabay check FOLDER` says all of this without a server.",
    zh: "请修复该文件夹，服务器会自动重新检查。`lorabay check 文件夹` 可离线给出同样的说明。",
  },
} satisfies Record<string, Said>;

const means = (toDo: keyof typeof ADVICE, en: string, zh: string): Meaning => ({
  what: { en, zh },
  toDo: ADVICE[toDo],
});

const MEANINGS: Record<string, Meaning> = {
  adapter_nested: means("mend", "The adapter lies in a folder further down", "适配器位于更深一层的文件夹中"),
  ambiguous_module: means("saveAgain", "Two tensors claim the same weight", "有两个张量对应同一个权重"),
  approximate_error: means("merge", "As plain LoRA it would lose too much", "转换为普通 LoRA 会损失过多"),
  archive: means("mend", "An archive, not yet unpacked", "是尚未解压的压缩包"),
  backup_name: means("rename", "The name looks like that of a backup", "名称像是备份"),
  base_copy: means("otherBase", "It brings a tensor of the base that is not this base's", "所带的基座张量与此基座不同"),
  base_unreadable: means("theBase", "The base's files cannot be read", "无法读取基座的文件"),
  bias: means("merge", "It trains biases, which are not served", "训练了偏置，不支持直接使用"),
  changed_while_read: means("wait", "The folder is still being written", "文件夹仍在写入"),
  chat_template: means("settings", "Its chat template cannot be used", "聊天模板无法使用"),
  composite: means("composite", "What it is composed of is not well described", "组合描述有误"),
  composite_cycle: means("composite", "The composite contains itself", "组合包含了自身"),
  composite_depth: means("members", "Composites are nested too deeply", "组合嵌套过深"),
  composite_size: means("members", "The composite has too many members", "组合成员过多"),
  config_field: means("adapterConfig", "A field of its config is wrong", "配置中有字段不正确"),
  config_missing: means("copyAgain", "Its config is missing", "缺少配置文件"),
  config_not_json: means("copyAgain", "Its config is not JSON", "配置文件不是 JSON"),
  convert: means("convert", "It has to be converted", "需要先转换"),
  data_trailing: means("copyAgain", "The weights file holds more than it says", "权重文件内容多于其声明"),
  data_truncated: means("copyAgain", "The weights file ends too early", "权重文件不完整"),
  defaults_file: means("settings", "Its lorabay.toml is wrong", "lorabay.toml 有误"),
  dora: means("merge", "DoRA cannot be served in this form", "这种形式的 DoRA 无法直接使用"),
  dtype: means("saveAgain", "Its weights have a type that is not served", "权重的数据类型不受支持"),
  engine: means("engine", "The engine refused it", "引擎拒绝了它"),
  engine_unavailable: means("wait", "The engine is not there at the moment", "引擎暂时不可用"),
  file_too_large: means("mend", "A file is too large", "有文件过大"),
  foreign_base: means("otherBase", "It was trained on another base", "它是在另一个基座上训练的"),
  foreign_format: means("byKind", "The form of another tool", "是其他工具的格式"),
  header_malformed: means("copyAgain", "The head of the weights file is damaged", "权重文件头已损坏"),
  header_not_json: means("copyAgain", "The head of the weights file is damaged", "权重文件头已损坏"),
  header_too_large: means("copyAgain", "The head of the weights file is too large", "权重文件头过大"),
  header_truncated: means("copyAgain", "The weights file ends within its head", "权重文件在文件头处中断"),
  init_changed_base: means("convert", "Its training began by changing the base", "其训练初始化改动了基座"),
  internal: means("tellUs", "A check of the server failed", "服务器的检查出错"),
  lfs_pointer: means("download", "Only a pointer of Git LFS is there, not the file", "只有 Git LFS 指针，没有文件本身"),
  link_broken: means("links", "A link leads nowhere", "链接指向不存在的文件"),
  link_outside: means("links", "A link leaves the adapter directory", "链接指向适配器目录之外"),
  magnitude: means("trainAgain", "Its magnitudes are not all positive numbers", "其幅值不全为正数"),
  member_format: means("convert", "A member of the composite has another form", "组合成员的格式不受支持"),
  member_missing: means("composite", "A member of the composite is missing", "缺少组合成员"),
  missing_tensor: means("saveAgain", "A tensor is missing", "缺少张量"),
  model_architecture: means("models", "The engine does not know this kind of model", "引擎不认识这种模型"),
  model_files: means("copyAgain", "Files of the whole model are missing or wrong", "完整模型的文件缺失或有误"),
  model_memory: means("models", "The whole model needs more memory than there is", "完整模型所需内存超过可用内存"),
  models_off: means("models", "A whole model, and this server serves none", "是完整模型，而此服务器未启用"),
  module: means("merge", "It changes something that cannot be served", "它改动了无法直接使用的部分"),
  module_not_adapted: means("modules", "The engine does not adapt these modules", "引擎未对这些模块启用适配"),
  module_not_in_base: means("otherBase", "It changes modules that the base does not have", "它改动了基座没有的模块"),
  modules_to_save: means("merge", "It replaces whole parts of the base", "它替换了基座的整个部分"),
  name_case: means("rename", "The name differs only in case from another", "名称仅大小写与另一个不同"),
  name_characters: means("rename", "The name holds characters that none may have", "名称含有不允许的字符"),
  name_reserved: means("rename", "The name is the base's or the server's", "名称已保留给基座或服务器"),
  name_too_long: means("rename", "The name is too long", "名称过长"),
  no_effect: means("trainAgain", "It changes nothing", "它没有任何改动"),
  no_room_for_model: means("models", "There is no room for the whole model at the moment", "暂时没有空间容纳完整模型"),
  no_tensors: means("saveAgain", "The weights file holds no weights of an adapter", "权重文件中没有适配器权重"),
  not_a_folder: means("mend", "A file lies where a folder should be", "应为文件夹的位置是一个文件"),
  not_in_store: means(
    "oneStore",
    "This server's store lacks the version that its cluster serves",
    "此服务器的存储中没有集群正在使用的版本",
  ),
  not_finite: means("trainAgain", "It holds values that are no numbers", "含有非数值或无穷大"),
  pattern: means("adapterConfig", "A pattern of its config cannot be used", "配置中的匹配模式无法使用"),
  peft_type_unknown: means("adapterConfig", "Its PEFT type is unknown", "未知的 PEFT 类型"),
  peft_type_unsupported: means("byKind", "Its PEFT type is not served as it is", "该 PEFT 类型不能直接使用"),
  pickle: means("convert", "A pickle, which can run programs", "是可能执行代码的 pickle 文件"),
  quantised_base: means("merge", "It needs weights of the base that are quantised", "它需要基座的量化权重"),
  quarantined: means("engine", "The engine died on it twice", "引擎两次因它崩溃"),
  rank: means("adapterConfig", "The ranks of weights and config differ", "权重与配置的秩不一致"),
  rank_over_limit: means("rank", "Its rank is over the limit of the engine", "秩超过引擎上限"),
  rank_zero: means("saveAgain", "It has a rank of 0", "秩为 0"),
  read_failed: means("disk", "The folder cannot be read at the moment", "暂时无法读取文件夹"),
  shape: means("otherBase", "A weight has another shape than the base asks for", "权重形状与基座不符"),
  special_file: means("mend", "One of its files is no ordinary file", "其中有文件不是普通文件"),
  store_full: means("disk", "The store's disk is full", "存储磁盘已满"),
  store_write: means("disk", "The store's disk refuses to be written", "存储磁盘无法写入"),
  target_parameters: means("merge", "It trains parameters that are not served", "训练了不支持直接使用的参数"),
  tensor_bytes: means("copyAgain", "A tensor does not fit its bytes", "张量与其字节数不符"),
  tensor_dtype: means("saveAgain", "A tensor has an unknown type", "张量的数据类型未知"),
  tensor_offsets: means("copyAgain", "Tensors overlap, or leave a gap", "张量重叠或有空隙"),
  text_file: means("download", "A file holds text in place of weights", "文件内容是文本而非权重"),
  tokenizer_file: means("settings", "A file of its tokenizer is wrong", "分词器文件有误"),
  tokenizer_missing: means("copyAgain", "The tokenizer of the whole model is missing", "缺少完整模型的分词器"),
  too_large: means("mend", "It asks for too much memory", "所需内存过大"),
  trainable_tokens: means("merge", "Its trained tokens cannot be served", "所训练的词元无法直接使用"),
  unexpected_tensor: means("adapterConfig", "It holds weights that its config does not name", "含有配置未列出的权重"),
  unreadable: means("disk", "The folder cannot be read", "无法读取文件夹"),
  vanished: means("wait", "The folder is gone, or vanished while it was read", "文件夹不存在，或在读取时消失"),
  vocabulary: means("otherBase", "It was trained with a larger vocabulary", "训练时使用了更大的词表"),
  web_page: means("download", "A web page in place of the file: the download failed", "文件其实是网页：下载失败"),
  weights_missing: means("copyAgain", "Its weights are missing", "缺少权重文件"),
  whole_model: means("models", "A part of a whole model", "是完整模型的一部分"),
  withheld: means(
    "oneStore",
    "This server cannot offer the version that its cluster serves",
    "此服务器无法提供集群正在使用的版本",
  ),
};

// A code of a newer server has no words yet; its sentence is there all the same.
const OTHER: Meaning = means("mend", "It cannot be served", "无法使用");

export function meaning(code: string): string {
  return (MEANINGS[code] ?? OTHER).what[language.value];
}

export function advice(code: string): string {
  return (MEANINGS[code] ?? OTHER).toDo[language.value];
}
