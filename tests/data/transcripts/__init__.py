"""Raw transcripts of the three domains, made up, and what a preparation made of them.

    python -m tests.data.transcripts raw [--count 1000]
    python -m tests.data.transcripts.counted raw/ecommerce prepared/ecommerce

The first makes a folder for each domain with what a help desk exports: chats in Chinese and in
English, JSON lines, a table. They hold personal data, noise and duplicates; `raw/NAME.key.jsonl`
says where each of them is. The same seed makes the same bytes. The second counts what was found.

English conversations are about the questions of `adapters/NAME/data/train.jsonl`, and so are
Chinese ones of finance; the other Chinese questions are in `scripts`. No held-out question is
asked.
"""
