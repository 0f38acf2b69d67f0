"""A tiny seeded Llama with a tokenizer trained here; skips where torch or transformers are not installed."""

from __future__ import annotations

from pathlib import Path

import pytest

TEMPLATE = "{{ bos_token }}{% for m in messages %}[INST] {{ m['content'] }} [/INST]{% endfor %}"
TEXTS = ["[INST] \n The answer is A B C D 1 2 3.", "Question: how many? Answer: two apples and one pear"] * 20


def write_tiny(folder: Path, positions: int = 128) -> Path:
    """Save the model into a folder; `positions` is how many tokens it takes in all."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    parts = pytest.importorskip("tokenizers")
    tokenizer = parts.Tokenizer(parts.models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = parts.pre_tokenizers.Metaspace(prepend_scheme="first")
    tokenizer.decoder = parts.decoders.Metaspace(prepend_scheme="first")
    trainer = parts.trainers.BpeTrainer(
        vocab_size=600, special_tokens=["<unk>", "<s>", "</s>"], show_progress=False
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    tokenizer.post_processor = parts.processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 1)]
    )
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        chat_template=TEMPLATE,
    )
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        vocab_size=len(fast), max_position_embeddings=positions, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    return folder
