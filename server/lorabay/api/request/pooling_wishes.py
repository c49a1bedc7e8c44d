"""What clients may wish of vectors, classes and scores, in the fields of other servers.

The names are those of OpenAI's, Cohere's, Jina's and Voyage's APIs, of text-embeddings-inference,
and of sentence-transformers. What vLLM answers with an error of its own, `normalize`, is not here.
"""

from __future__ import annotations

from lorabay.api.request.wishes import NOWHERE, WISHES, Fields, Wish
from lorabay.serving.engine import CLASSIFY, EMBEDDINGS, POOLING, RERANK, SCORE, Call

POOLING_CALLS = (EMBEDDINGS, SCORE, RERANK, CLASSIFY, POOLING)
OF_INPUTS = (EMBEDDINGS, CLASSIFY, POOLING)
OF_PAIRS = (SCORE, RERANK)

ADAPTER_NAMES = next(wish.names for wish in WISHES if "adapter_id" in wish.names)
"""Fields that say who answers; here that is `model`."""


def _in(calls: tuple[Call, ...], *fields: str) -> Fields:
    return dict.fromkeys(calls, fields)


POOLING_WISHES: tuple[Wish, ...] = (
    Wish(ADAPTER_NAMES, _in(POOLING_CALLS, "model")),
    # What is read.
    Wish(
        ("content", "inputs", "prompt", "sentences", "text", "texts"),
        {**_in(OF_INPUTS, "input"), RERANK: ("documents",), SCORE: ("documents",)},
    ),
    Wish(("passages",), _in(OF_PAIRS, "documents")),
    Wish(("instruct", "instruction"), _in(OF_PAIRS, "instruction")),
    # A model that tells queries from documents wants that in the text itself.
    Wish(("input_type", "prompt_name", "prompt_type", "task_type"), NOWHERE),
    Wish(("system", "system_prompt"), _in(OF_INPUTS, "messages")),
    Wish(("chat_template",), _in(OF_INPUTS, "chat_template")),
    # How much of it is read.
    Wish(
        ("max_length", "truncate", "truncate_prompt_tokens", "truncation"),
        _in(POOLING_CALLS, "truncate_prompt_tokens"),
        (0, False, "NONE", "none"),
    ),
    Wish(
        ("max_tokens_per_doc", "max_tokens_per_document"),
        _in(OF_PAIRS, "max_tokens_per_doc"),
        (0,),
    ),
    Wish(
        ("max_query_length", "max_tokens_per_query"),
        _in(OF_PAIRS, "max_tokens_per_query"),
        (0,),
    ),
    Wish(("late_chunking", "max_chunks_per_doc", "overlap_tokens"), NOWHERE, (0, False)),
    Wish(("rank_fields",), NOWHERE),
    # What is made of it.
    Wish(
        ("dim", "dimensions", "output_dimension", "output_dimensions", "truncate_dim"),
        _in((EMBEDDINGS, POOLING), "dimensions"),
    ),
    Wish(("pooling", "pooling_method", "pooling_type"), NOWHERE),
    Wish(("task",), _in((POOLING,), "task")),
    Wish(
        ("activation", "raw_scores", "return_logits", "use_activation"),
        _in(POOLING_CALLS, "use_activation"),
        (False,),
    ),
    # What the answer looks like.
    Wish(
        ("embedding_type", "embedding_types", "encoding_format", "output_dtype"),
        _in((EMBEDDINGS, POOLING), "encoding_format"),
        ("float", ["float"]),
    ),
    Wish(("embed_dtype",), _in((EMBEDDINGS, POOLING), "embed_dtype"), ("float32",)),
    Wish(("top_k", "top_n"), {RERANK: ("top_n",)}, (0,)),
    Wish(("stream",), NOWHERE, (False,)),
)
"""Every wish that changes the answer."""
