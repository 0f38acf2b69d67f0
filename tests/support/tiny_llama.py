"""A tiny model for tests with real servers: 1.85 million random weights and a tokenizer trained here.

`python tiny_llama.py FOLDER [FILE.gguf]` writes it; it needs torch, transformers and, for GGUF, gguf. What it
says means nothing: it is there so that servers tokenise, compute and sample for real.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any

VOCABULARY, HIDDEN, LAYERS, HEADS, INNER, CONTEXT = 4096, 128, 4, 4, 352, 2048
SPECIAL = ("<unk>", "<s>", "</s>")
SEED = 0
SHARPNESS, LETTERS = 8.0, 2.0
"""The output layer is drawn this much wider than usual, so that some tokens are likelier; those of A
to D, with a space before them and without, wider still, so that they are often among the likeliest."""

TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}[{{ m['role'] }}] {{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}[assistant] {% endif %}"
)


def build(folder: Path) -> Path:
    """Write the model in transformers' form; the same bytes each time. Returns the folder."""
    import torch
    import transformers

    tokenizer = _tokenizer()
    named = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "chat_template": TEMPLATE}
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **named)
    fast.save_pretrained(folder)
    torch.manual_seed(SEED)
    config = transformers.LlamaConfig(
        hidden_size=HIDDEN, intermediate_size=INNER, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
        vocab_size=VOCABULARY, max_position_embeddings=CONTEXT, bos_token_id=1, eos_token_id=2,
        rms_norm_eps=1e-5, rope_theta=10000.0, tie_word_embeddings=False,
    )  # fmt: skip
    model = transformers.LlamaForCausalLM(config)
    with torch.no_grad():
        model.lm_head.weight.mul_(SHARPNESS)
        letters = [f"{space}{letter}" for space in ("", "▁") for letter in "ABCD"]
        model.lm_head.weight[fast.convert_tokens_to_ids(letters)] *= LETTERS
        model.lm_head.weight[len(SPECIAL) : len(SPECIAL) + 256] = 0.0  # bytes are rare: replies are readable
    model.save_pretrained(folder)
    return folder


def _tokenizer() -> Any:
    """BPE over pieces that begin with a space, bytes for what it does not know, as Llama 2 has it."""
    from tokenizers import (
        AddedToken,
        Tokenizer,
        decoders,
        models,
        normalizers,
        pre_tokenizers,
        processors,
        trainers,
    )

    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")  # no piece crosses a space
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    alphabet = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[*SPECIAL, *alphabet],
        limit_alphabet=200,
        max_token_length=12,
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts(), trainer)
    # The bytes were special tokens only to have their ids; as such they would be matched in a text.
    plain = json.loads(tokenizer.to_str())
    plain["added_tokens"] = [one for one in plain["added_tokens"] if one["content"] in SPECIAL]
    tokenizer = Tokenizer.from_str(json.dumps(plain))
    tokenizer.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in SPECIAL])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)]
    )
    return tokenizer


def _texts() -> list[str]:
    """Sentences of made-up words with numbers and letters, so that every piece needed is learnt."""
    chance = random.Random(SEED)
    syllables = [a + b for a in "bcdfghjklmnprstvwz" for b in "aeiou"]
    words = ["".join(chance.choices(syllables, k=chance.randint(1, 3))) for _ in range(3000)]
    made = [
        " ".join([*chance.choices(words, k=12), str(chance.randint(0, 999)), chance.choice("ABCD")]) + "."
        for _ in range(4000)
    ]
    letters = " ".join(chr(code) for code in range(33, 127))
    return (
        [letters] * 50
        + made
        + [f"Question: {text}\nAnswer: {text[:1]}\n[user] [assistant] [INST] [/INST]" for text in made[:200]]
    )


def write_gguf(folder: Path, file: Path) -> Path:
    """Write the model of a folder as llama.cpp reads it, in 32-bit floats. Returns the file."""
    import gguf
    import numpy as np
    from safetensors.numpy import load_file

    weights = load_file(folder / "model.safetensors")
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_name("tiny")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(HIDDEN // HEADS)
    writer.add_vocab_size(VOCABULARY)
    _write_vocabulary(writer, json.loads((folder / "tokenizer.json").read_text("utf-8")))
    for name, weight in weights.items():
        writer.add_tensor(_gguf_name(name), np.ascontiguousarray(_gguf_order(name, weight), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def _write_vocabulary(writer: Any, tokenizer: Any) -> None:
    """As SentencePiece's: llama.cpp merges by score, so that an earlier merge has a higher one."""
    import gguf

    ids = sorted(tokenizer["model"]["vocab"].items(), key=lambda pair: pair[1])
    pieces = [piece for piece, _ in ids]
    merged = {"".join(pair): rank for rank, pair in enumerate(tokenizer["model"]["merges"])}
    kinds = {"<unk>": gguf.TokenType.UNKNOWN, "<s>": gguf.TokenType.CONTROL, "</s>": gguf.TokenType.CONTROL}
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(pieces)
    writer.add_token_scores([-float(merged.get(piece, len(merged))) for piece in pieces])
    writer.add_token_types([kinds.get(piece, _kind(piece, gguf.TokenType)) for piece in pieces])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_add_bos_token(True)
    writer.add_add_space_prefix(True)
    writer.add_chat_template(TEMPLATE)


def _kind(piece: str, types: Any) -> Any:
    return types.BYTE if piece.startswith("<0x") and len(piece) == 6 else types.NORMAL


def _gguf_name(name: str) -> str:
    """A tensor's name in GGUF, from its name in transformers."""
    whole = {
        "model.embed_tokens.weight": "token_embd.weight",
        "model.norm.weight": "output_norm.weight",
        "lm_head.weight": "output.weight",
    }
    if name in whole:
        return whole[name]
    _, _, layer, *part = name.removesuffix(".weight").split(".")
    short = {
        "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
    }[".".join(part)]  # fmt: skip
    return f"blk.{layer}.{short}.weight"


def _gguf_order(name: str, weight: Any) -> Any:
    """Rows as llama.cpp rotates them: pairs stand side by side, not half a head apart."""
    if not name.endswith(("q_proj.weight", "k_proj.weight")):
        return weight
    rows, columns = weight.shape
    return weight.reshape(HEADS, 2, rows // HEADS // 2, columns).swapaxes(1, 2).reshape(rows, columns)


if __name__ == "__main__":
    made = build(Path(sys.argv[1]))
    if len(sys.argv) > 2:
        write_gguf(made, Path(sys.argv[2]))
